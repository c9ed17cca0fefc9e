//! A peer that says what a test wants it to say.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testjig_qmp::commands::Stop;
use testjig_qmp::{Error, ErrorKind, Qmp};

/// The greeting of a QEMU 11.1.3.
pub(crate) const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 3, "minor": 1, "major": 11}, "package": ""}, "capabilities": ["oob"]}}"#;

/// Nothing in these tests takes this long unless it fails.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Long enough for what is on its way to arrive, where a test waits for nothing to happen.
pub(crate) const SHORT: Duration = Duration::from_millis(50);

/// A deadline that is not meant to be reached.
pub(crate) fn later() -> Instant {
    Instant::now() + LONG
}

/// A deadline that is meant to be reached.
pub(crate) fn soon() -> Instant {
    Instant::now() + SHORT
}

/// The peer's end of the connection.
pub(crate) struct Peer {
    stream: BufReader<UnixStream>,
}

impl Peer {
    /// The socket itself. What the script has received by lines may be more than it has asked for.
    pub(crate) fn socket(&self) -> &UnixStream {
        self.stream.get_ref()
    }

    /// Sends bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .get_mut()
            .write_all(bytes.as_ref())
            .expect("the client reads");
    }

    /// Sends a line.
    pub(crate) fn line(&mut self, line: impl AsRef<[u8]>) {
        self.bytes([line.as_ref(), b"\r\n"].concat());
    }

    /// Sends an event without data.
    pub(crate) fn event(&mut self, name: &str) {
        self.line(
            json!({"event": name, "timestamp": {"seconds": 1, "microseconds": 2}}).to_string(),
        );
    }

    /// Receives a command and checks its name.
    #[track_caller]
    pub(crate) fn command(&mut self, name: &str) -> Value {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the client sends");
        let command: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        assert_eq!(command["execute"], name, "in {command}");
        command
    }

    /// Answers a command.
    pub(crate) fn reply(&mut self, command: &Value, value: &Value) {
        self.line(json!({"return": value, "id": command["id"]}).to_string());
    }

    /// Answers a command with an error.
    pub(crate) fn refuse(&mut self, command: &Value, class: &str, desc: &str) {
        self.line(
            json!({"id": command["id"], "error": {"class": class, "desc": desc}}).to_string(),
        );
    }

    /// Receives a command and answers it.
    #[track_caller]
    pub(crate) fn serve(&mut self, name: &str, value: &Value) {
        let command = self.command(name);
        self.reply(&command, value);
    }

    /// Greets and lets the client leave negotiation mode.
    #[track_caller]
    pub(crate) fn greet(&mut self) {
        self.line(GREETING);
        self.serve("qmp_capabilities", &json!({}));
    }

    /// Waits until the client has closed its end, whatever it sends before.
    pub(crate) fn until_closed(mut self) {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                // A client that closes with something unread resets the connection.
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// Whether the client sends nothing for a while.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.stream.get_ref().set_read_timeout(Some(SHORT)).unwrap();
        let silent = self.stream.fill_buf().is_err();
        self.stream.get_ref().set_read_timeout(Some(LONG)).unwrap();
        silent
    }

    /// Waits until the client has sent something, and leaves it unread.
    pub(crate) fn wait_for_input(&mut self) {
        let fd = self.stream.get_ref();
        let mut poll = [rustix::event::PollFd::new(fd, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut poll, None).expect("the client sends");
    }

    /// Sends the same again and again until the client closes.
    pub(crate) fn flood(&mut self, bytes: &[u8]) {
        while self.stream.get_mut().write_all(bytes).is_ok() {}
    }
}

/// A running script of a peer, which is joined when the test ends.
pub(crate) struct Script {
    thread: Option<JoinHandle<()>>,
}

impl Script {
    /// Waits for its end; passes on its panic.
    pub(crate) fn join(mut self) {
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Runs a script against the other end of the socket.
pub(crate) fn peer(script: impl FnOnce(Peer) + Send + 'static) -> (UnixStream, Script) {
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    theirs.set_read_timeout(Some(LONG)).unwrap();
    theirs.set_write_timeout(Some(LONG)).unwrap();
    let stream = BufReader::new(theirs);
    let thread = std::thread::spawn(|| script(Peer { stream }));
    (
        ours,
        Script {
            thread: Some(thread),
        },
    )
}

/// Runs a script against a client that has left negotiation mode.
pub(crate) fn connected(script: impl FnOnce(Peer) + Send + 'static) -> (Qmp, Script) {
    let (socket, script) = peer(|mut peer| {
        peer.greet();
        script(peer);
    });
    (
        Qmp::connect(socket, later()).expect("the peer greets"),
        script,
    )
}

/// What comes of a command that is answered with this.
pub(crate) fn failure(answer: impl FnOnce(&mut Peer, &Value) + Send + 'static) -> Error {
    let (mut qmp, script) = connected(|mut peer| {
        let command = peer.command("stop");
        answer(&mut peer, &command);
        peer.until_closed();
    });
    let error = qmp.execute(&Stop).expect_err("it must not succeed");
    drop(qmp);
    script.join();
    error
}

/// Sends commands that nobody reads until one does not fit any more.
pub(crate) fn clog(qmp: &mut Qmp) -> Vec<Error> {
    let text = "x".repeat(50_000);
    let mut errors = Vec::new();
    qmp.set_timeout(Duration::from_millis(5));
    loop {
        let error = qmp.hmp(&text).expect_err("nobody reads");
        let ErrorKind::TimedOut { unsent, .. } = *error.kind() else {
            panic!("{error:?}");
        };
        errors.push(error);
        if unsent {
            return errors;
        }
        assert!(errors.len() < 1000, "the socket takes everything");
    }
}
