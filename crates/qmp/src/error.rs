//! What can go wrong on a QMP connection: [`Error`] says what was attempted, its [`ErrorKind`] what came of it.

use std::fmt::{self, Write as _};
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The class of a [`CommandError`].
///
/// QEMU keeps the classes for compatibility and answers nearly everything with
/// [`GenericError`](ErrorClass::GenericError); only the description tells such failures apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorClass {
    /// Any failure that has no class of its own.
    GenericError,
    /// The peer has no such command, or not in its present state.
    CommandNotFound,
    /// The device has not been activated.
    DeviceNotActive,
    /// There is no such device, or no object at such a path.
    DeviceNotFound,
    /// The command needs a KVM capability that the host lacks.
    KVMMissingCap,
    /// A class that this crate does not know, as it was spelt.
    #[serde(untagged)]
    Other(String),
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GenericError => f.write_str("GenericError"),
            Self::CommandNotFound => f.write_str("CommandNotFound"),
            Self::DeviceNotActive => f.write_str("DeviceNotActive"),
            Self::DeviceNotFound => f.write_str("DeviceNotFound"),
            Self::KVMMissingCap => f.write_str("KVMMissingCap"),
            Self::Other(class) => f.write_str(&printable(class)),
        }
    }
}

/// The `error` member of a reply: the peer understood the message and declined it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[error("{} ({class})", printable(desc))]
#[non_exhaustive]
pub struct CommandError {
    /// The machine-readable class.
    pub class: ErrorClass,
    /// The description, for people; QEMU does not promise that it stays the same between versions.
    pub desc: String,
}

/// Failure of an operation on a QMP connection.
///
/// Whether the connection can still be used afterwards is told by [`ErrorKind::is_fatal`].
#[derive(Debug, thiserror::Error)]
#[error("failed to {attempt}: {kind}")]
pub struct Error {
    attempt: String,
    command: Option<String>,
    kind: Box<ErrorKind>,
}

impl Error {
    pub(crate) fn new(attempt: &str, kind: ErrorKind) -> Self {
        Self {
            attempt: printable(attempt),
            command: None,
            kind: Box::new(kind),
        }
    }

    pub(crate) fn of_command(name: &str, kind: ErrorKind) -> Self {
        Self {
            attempt: format!("execute `{}`", printable(name)),
            command: Some(name.to_owned()),
            kind: Box::new(kind),
        }
    }

    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// Takes the error apart.
    pub fn into_kind(self) -> ErrorKind {
        *self.kind
    }

    /// The name of the QMP command that was being executed, if any.
    pub fn command(&self) -> Option<&str> {
        self.command.as_deref()
    }

    /// The peer's own error, if it understood the command and declined it.
    pub fn refusal(&self) -> Option<&CommandError> {
        match self.kind() {
            ErrorKind::Refused(error) => Some(error),
            _ => None,
        }
    }
}

/// The reason of an [`Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The peer answered with `{"error": …}`. The connection stays usable.
    #[error("{0}")]
    Refused(CommandError),

    /// The reply does not have the shape of the command's reply type. The connection stays usable.
    #[error(
        "the reply does not fit its type: {}, in `{reply}`",
        printable(problem)
    )]
    Mismatch {
        /// What did not fit.
        problem: String,
        /// The beginning of the reply.
        reply: String,
    },

    /// The command can't be put into a message, and was not sent. The connection stays usable.
    #[error("the command was not sent: {}", printable(problem))]
    Invalid {
        /// Why not.
        problem: String,
    },

    /// The deadline passed. The connection stays usable: a reply that comes late is dropped.
    #[error("{}", TimedOut { after: *after, awaited, unsent: *unsent, seen, partial: partial.as_deref() })]
    TimedOut {
        /// How long was waited.
        after: Duration,
        /// What was waited for.
        awaited: Awaited,
        /// Whether the command was withdrawn before any byte of it had left. If not, the peer may still execute it.
        unsent: bool,
        /// The events that arrived or were queued meanwhile, by name with their number, in the order of their first
        /// occurrence. They stay queued.
        seen: Vec<(String, usize)>,
        /// The beginning of an unfinished message, if the peer had sent part of one.
        partial: Option<String>,
    },

    /// More events are queued than [`Limits`](crate::Limits) allow. Nothing is lost: after
    /// [`Qmp::events`](crate::Qmp::events) has emptied the queue, the connection goes on.
    #[error(
        "{events} events ({bytes} bytes) are queued, which is the limit; take them with `events` or `wait_event`, or \
         find out why the peer sends so many (the last is {last})"
    )]
    Flood {
        /// How many events are queued.
        events: usize,
        /// How many bytes of messages they came in.
        bytes: usize,
        /// The name of the event that found no room.
        last: String,
    },

    /// The peer closed the connection: for QEMU, its process has ended.
    #[error("the peer closed the connection{}", Remains { seen, partial: partial.as_deref() })]
    Closed {
        /// The events that had arrived and not been taken, as in [`ErrorKind::TimedOut`]. They stay queued.
        seen: Vec<(String, usize)>,
        /// The beginning of an unfinished message, if the peer had sent part of one.
        partial: Option<String>,
    },

    /// What arrived first is not a QMP greeting.
    #[error(
        "the peer does not speak QMP: {}; it sent `{line}`",
        printable(problem)
    )]
    NotQmp {
        /// What it may be instead.
        problem: String,
        /// The beginning of what it sent.
        line: String,
    },

    /// A message is not QMP.
    #[error(
        "the peer sent a message that is not QMP: {}, in `{line}`",
        printable(problem)
    )]
    Malformed {
        /// What is wrong with it.
        problem: String,
        /// The beginning of the message.
        line: String,
    },

    /// A reply arrived that answers nothing that was asked on this connection.
    #[error("the peer sent a reply that answers none of the commands sent: `{line}`")]
    UnexpectedReply {
        /// The beginning of the message.
        line: String,
    },

    /// A message is longer than [`Limits`](crate::Limits) allow.
    #[error("the peer sent a message of more than {limit} bytes, which begins `{line}`")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
        /// The beginning of the message.
        line: String,
    },

    /// A message is nested deeper than [`Limits`](crate::Limits) allow.
    #[error("the peer sent a message nested more than {limit} deep, which begins `{line}`")]
    TooDeep {
        /// The limit: arrays and objects inside one another.
        limit: usize,
        /// The beginning of the message.
        line: String,
    },

    /// The socket failed.
    #[error("the socket failed: {0}")]
    Io(#[source] io::Error),

    /// The connection broke in an earlier operation.
    #[error("the connection is unusable since it {first}")]
    Broken {
        /// The message of the error that broke it.
        first: String,
    },
}

impl ErrorKind {
    /// Whether the connection is unusable after this: the messages that follow can't be told apart any more, or there will
    /// be none. Every later operation then fails with [`ErrorKind::Broken`]; events that had arrived can still be taken.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Refused(_)
            | Self::Mismatch { .. }
            | Self::Invalid { .. }
            | Self::TimedOut { .. }
            | Self::Flood { .. } => false,
            Self::Closed { .. }
            | Self::NotQmp { .. }
            | Self::Malformed { .. }
            | Self::UnexpectedReply { .. }
            | Self::TooLong { .. }
            | Self::TooDeep { .. }
            | Self::Io(_)
            | Self::Broken { .. } => true,
        }
    }
}

/// What a wait that [timed out](ErrorKind::TimedOut) was for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Awaited {
    /// The peer's greeting.
    Greeting,
    /// The reply to a command.
    Reply,
    /// An event, as its [filter](crate::EventFilter::describe) describes it.
    Event(String),
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Greeting => f.write_str("greeting"),
            Self::Reply => f.write_str("reply"),
            Self::Event(what) => f.write_str(what),
        }
    }
}

struct TimedOut<'a> {
    after: Duration,
    awaited: &'a Awaited,
    unsent: bool,
    seen: &'a [(String, usize)],
    partial: Option<&'a str>,
}

impl fmt::Display for TimedOut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {} within {:.1?}", self.awaited, self.after)?;
        if self.unsent {
            f.write_str(
                "; the command was not sent, because the deadline had passed or the peer reads nothing",
            )?;
        }
        if self.seen.is_empty() && matches!(self.awaited, Awaited::Event(_)) {
            f.write_str("; no event was seen")?;
        }
        Remains {
            seen: self.seen,
            partial: self.partial,
        }
        .fmt(f)
    }
}

/// What there was instead of what was waited for.
struct Remains<'a> {
    seen: &'a [(String, usize)],
    partial: Option<&'a str>,
}

impl fmt::Display for Remains<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, times)) in self.seen.iter().enumerate() {
            let separator = if at == 0 { "; seen instead: " } else { ", " };
            write!(f, "{separator}{name}")?;
            if *times > 1 {
                write!(f, " ×{times}")?;
            }
        }
        match self.partial {
            None => Ok(()),
            Some(partial) => write!(f, "; an unfinished message begins `{partial}`"),
        }
    }
}

/// The beginning of something that was received, on one line and printable.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 160;
    let head = &bytes[..bytes.len().min(SHOWN)];
    let mut text = printable(String::from_utf8_lossy(head).trim_end_matches(['\r', '\n']));
    if bytes.len() > SHOWN {
        let _ = write!(text, "… ({} bytes)", bytes.len());
    }
    text
}

/// The text with its control characters escaped: what a peer sends goes to people's terminals.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn excerpt_is_printable_and_short() {
        assert_eq!(excerpt(b"\x1b[1mbold\t\x00\r\n"), "\\u{1b}[1mbold\\t\\u{0}");
        assert_eq!(excerpt("é😀\"".as_bytes()), "é😀\"");
        assert_eq!(excerpt(b"\xff"), "\u{fffd}");
        assert_eq!(excerpt(&[b'x'; 160]), "x".repeat(160));
        assert_eq!(
            excerpt(&[b'x'; 161]),
            format!("{}… (161 bytes)", "x".repeat(160))
        );
    }
}
