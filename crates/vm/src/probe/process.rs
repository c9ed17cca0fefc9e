//! One short conversation with a program over its standard input: [`converse`].

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// More than this from one of its streams is not a QEMU without a machine (11.1: 42 kB).
const FLOOD: usize = 4 << 20;

/// What a program said until it ended.
#[derive(Debug)]
pub(super) struct Transcript {
    /// What it wrote to the socket that is its standard input.
    pub(super) answers: Vec<u8>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    pub(super) end: End,
}

#[derive(Debug)]
pub(super) enum End {
    Exited(ExitStatus),
    /// It was killed: it said too much.
    Flood,
    /// It was killed: it was still there at the deadline.
    Deadline,
}

impl Transcript {
    /// What it printed, for people.
    pub(super) fn printed(&self) -> String {
        let both = [abridged(&self.stdout), abridged(&self.stderr)];
        both.join("\n").trim().to_owned()
    }

    /// What it printed to standard error, for people.
    pub(super) fn stderr(&self) -> String {
        abridged(&self.stderr)
    }
}

/// The first lines of a text that may be anything.
fn abridged(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(600)]);
    let lines: Vec<&str> = text.lines().map(str::trim_end).take(4).collect();
    lines.join("\n").trim().to_owned()
}

/// Starts the program with a socket as its standard input, in which `questions` lie ready, and
/// listens until it closes all its streams, says too much, or the deadline comes. It and its
/// process group are gone when this returns.
pub(super) fn converse(
    mut command: Command,
    questions: &[u8],
    deadline: Instant,
) -> io::Result<Transcript> {
    let (ours, theirs) = UnixStream::pair()?;
    (&ours).write_all(questions)?;
    ours.set_nonblocking(true)?;
    command
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = Guarded(command.spawn()?, None);
    // The command holds its copy of the socket's other end.
    drop(command);

    let stdout = child.0.stdout.take().expect("piped");
    let stderr = child.0.stderr.take().expect("piped");
    rustix::io::ioctl_fionbio(&stdout, true)?;
    rustix::io::ioctl_fionbio(&stderr, true)?;
    let mut streams = [Stream::new(ours), Stream::new(stdout), Stream::new(stderr)];
    let pidfd = pidfd_open(Pid::from_child(&child.0), PidfdFlags::empty())?;

    let end = loop {
        let mut fds = vec![PollFd::new(&pidfd, PollFlags::IN)];
        fds.extend(
            streams
                .iter()
                .filter(|stream| !stream.closed)
                .map(|stream| PollFd::from_borrowed_fd(stream.source.as_fd(), PollFlags::IN)),
        );
        let left = deadline.saturating_duration_since(Instant::now());
        let ready = poll(&mut fds, Some(&timespec(left)));
        if !matches!(ready, Ok(_) | Err(rustix::io::Errno::INTR)) {
            ready?;
        }
        let gone = !fds[0].revents().is_empty();
        for stream in &mut streams {
            stream.drain()?;
        }
        if streams.iter().any(|stream| stream.text.len() > FLOOD) {
            break End::Flood;
        }
        if gone {
            break End::Exited(child.end()?);
        }
        if left.is_zero() {
            break End::Deadline;
        }
    };
    drop(child);
    let [answers, stdout, stderr] = streams.map(|stream| stream.text);
    Ok(Transcript {
        answers,
        stdout,
        stderr,
        end,
    })
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs() as i64,
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

trait Source: Read + AsFd {}
impl<T: Read + AsFd> Source for T {}

struct Stream {
    source: Box<dyn Source>,
    text: Vec<u8>,
    closed: bool,
}

impl Stream {
    fn new(source: impl Source + 'static) -> Self {
        Self {
            source: Box::new(source),
            text: Vec::new(),
            closed: false,
        }
    }

    /// Takes what is there, up to the limit and a bit.
    fn drain(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        while !self.closed && self.text.len() <= FLOOD {
            match self.source.read(&mut buffer) {
                Ok(0) => self.closed = true,
                Ok(count) => self.text.extend_from_slice(&buffer[..count]),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => break,
                    io::ErrorKind::Interrupted => {}
                    // The other end went with our questions unread.
                    io::ErrorKind::ConnectionReset => self.closed = true,
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }
}

/// A child that is killed and reaped with its process group, whatever happens.
struct Guarded(Child, Option<ExitStatus>);

impl Guarded {
    fn end(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.1 {
            return Ok(status);
        }
        // A wrapper may have started the real binary as a child of its own. The group's number
        // stays ours until its leader is reaped.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let status = self.0.wait()?;
        self.1 = Some(status);
        Ok(status)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
