//! The words of a host half: programs on its `PATH`, all of them this one, that ask the supervisor. [`serve_if_word`].

use std::env;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::http;

/// Where the supervisor listens; set for a host half alone.
pub(crate) const SOCKET: &str = "TESTJIG_GUEST_SOCKET";
/// The word that QEMU itself runs, for each connection of a guest to the server.
pub(crate) const FORWARD: &str = "testjig-forward";

/// All words. `$PATH` has a link for each.
pub(crate) const WORDS: [&str; 15] = [
    "qemu",
    "start_qemu",
    "qemu_is_okay",
    "get_qemu_status",
    "stop_qemu",
    "qmp",
    "hmp",
    "choose",
    "named_choose",
    "guest",
    "wait_guest",
    "wait_log",
    "wait_event",
    "skip",
    "golden",
];

/// What a word asks of the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) word: String,
    pub(crate) args: Vec<Vec<u8>>,
    pub(crate) directory: Vec<u8>,
    /// What is on standard input, for words that read it.
    pub(crate) input: Vec<u8>,
}

/// Where what a word prints goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Output,
    Error,
}

/// The supervisor's end of a word.
pub(crate) struct Caller<'a>(pub(crate) &'a UnixStream);

impl Caller<'_> {
    /// Prints. A word that was ended prints nothing any more, which is no failure.
    pub(crate) fn print(&self, stream: Stream, bytes: &[u8]) {
        let tag = match stream {
            Stream::Output => b'o',
            Stream::Error => b'e',
        };
        for part in bytes.chunks(1 << 20) {
            let mut frame = vec![tag];
            frame.extend(u32::try_from(part.len()).unwrap_or(0).to_le_bytes());
            frame.extend(part);
            let mut socket = self.0;
            let _ = socket.write_all(&frame);
        }
    }

    /// Ends the word.
    pub(crate) fn exit(&self, status: i32) {
        let mut frame = vec![b'x'];
        frame.extend(status.to_le_bytes());
        let mut socket = self.0;
        let _ = socket.write_all(&frame);
    }
}

/// Does what this process was started for, if its name is a word of a host half's and a supervisor listens; `None` if not. The first thing
/// that `main` calls.
pub fn serve_if_word() -> Option<ExitCode> {
    let name = env::args_os().next()?;
    let name = Path::new(&name).file_name()?.to_str()?.to_owned();
    if name == FORWARD {
        let port = env::args().nth(1)?.parse().ok()?;
        // A guest whose connection fails sees that.
        return Some(match http::forward(port) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        });
    }
    if !WORDS.contains(&name.as_str()) {
        return None;
    }
    let socket = env::var_os(SOCKET)?;
    Some(match ask(&name, Path::new(&socket)) {
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(1)),
        Err(error) => {
            eprintln!("{name}: the test's supervisor does not answer: {error}");
            ExitCode::from(125)
        }
    })
}

fn ask(word: &str, socket: &Path) -> io::Result<i32> {
    let mut socket = UnixStream::connect(socket)?;
    let mut input = Vec::new();
    if word == "golden" {
        io::stdin().lock().read_to_end(&mut input)?;
    }
    let call = Call {
        word: word.to_owned(),
        args: env::args_os().skip(1).map(OsString::into_vec).collect(),
        directory: env::current_dir()
            .unwrap_or_default()
            .into_os_string()
            .into_vec(),
        input,
    };
    let mut line = serde_json::to_vec(&call)?;
    line.push(b'\n');
    socket.write_all(&line)?;
    loop {
        let mut head = [0; 5];
        socket.read_exact(&mut head)?;
        let [tag, number @ ..] = head;
        if tag == b'x' {
            return Ok(i32::from_le_bytes(number));
        }
        let mut bytes = vec![0; u32::from_le_bytes(number) as usize];
        socket.read_exact(&mut bytes)?;
        // Whoever reads the word's output may have seen enough; the word goes on until it is told to end.
        if tag == b'o' {
            let mut output = io::stdout().lock();
            let _ = output.write_all(&bytes).and_then(|()| output.flush());
        } else {
            let _ = io::stderr().lock().write_all(&bytes);
        }
    }
}
