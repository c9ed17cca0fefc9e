//! [`Error`]: what went wrong, in which operation, issued where.

use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::journal::Entry;

/// What every fallible call of a [`Session`](crate::Session) returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed.
///
/// Cheap to clone and one pointer wide.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: Option<Operation>,
    others: u64,
}

/// The operation an [`Error`] speaks of.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) command: String,
    pub(crate) location: &'static Location<'static>,
    pub(crate) seq: Option<u64>,
}

impl Operation {
    pub(crate) fn of(entry: &Entry) -> Self {
        Self {
            command: entry.request().to_string(),
            location: entry.location,
            seq: Some(entry.seq),
        }
    }
}

/// What kind of failure an [`Error`] is.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The server answered `FAIL` or `ERR`. The session stays usable.
    Failed {
        /// What followed; may be empty.
        reason: String,
    },
    /// The server does not know the command: another machine, another version, or (for the clock)
    /// another accelerator. The session stays usable.
    UnknownCommand,
    /// No object of the machine has the path. The session stays usable.
    UnknownDevice,
    /// The virtual clock does not go back. The session stays usable.
    ClockBackwards {
        /// The time that it shows, in nanoseconds.
        now: u64,
    },
    /// Something is intercepted already, and a server intercepts one list of one device in its
    /// life. The session stays usable.
    SecondIntercept {
        /// What is intercepted, if this session did it.
        installed: Option<String>,
    },
    /// The request was refused before it was sent, since the server would abort on it. The session
    /// stays usable.
    Invalid {
        /// What is wrong with it.
        what: String,
    },
    /// The answer to an extension makes no sense to it. The session stays usable.
    Undecoded {
        /// What followed `OK`.
        reply: String,
    },
    /// The peer closed the connection.
    Closed {
        /// How many operations were not answered.
        unanswered: u64,
    },
    /// Nothing came in time.
    TimedOut {
        /// How long the session waited.
        after: Duration,
        /// What for.
        waiting_for: String,
        /// What it saw instead.
        saw: String,
    },
    /// A line makes no sense, or is the answer to another kind of command.
    Malformed {
        /// The line, shortened.
        line: String,
        /// What would have made sense.
        expected: String,
    },
    /// A line has no end.
    TooLong {
        /// The longest line that could have made sense, in bytes.
        limit: usize,
        /// How the line begins.
        line: String,
    },
    /// Interrupt lines changed without end and without a reply.
    Flood {
        /// The most changes between two replies.
        limit: u32,
    },
    /// A reply came that nobody asked for.
    UnexpectedReply {
        /// The reply, shortened.
        line: String,
    },
    /// The transport failed.
    Io(io::Error),
    /// An earlier failure made the session unusable.
    Poisoned {
        /// That failure.
        first: Error,
    },
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, operation: Option<Operation>) -> Self {
        Self(Arc::new(Inner {
            kind,
            operation,
            others: 0,
        }))
    }

    /// The same, with the number of later operations that failed as well.
    pub(crate) fn with_others(self, others: u64) -> Self {
        let mut inner = self.0;
        if let Some(inner) = Arc::get_mut(&mut inner) {
            inner.others = others;
        }
        Self(inner)
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The request as it travels (blocks shortened): the one that failed, or the oldest that was
    /// not answered.
    pub fn command(&self) -> Option<&str> {
        self.0
            .operation
            .as_ref()
            .map(|operation| operation.command.as_str())
    }

    /// Where that request was issued.
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.0
            .operation
            .as_ref()
            .map(|operation| operation.location)
    }

    /// The request's number in the [`Journal`](crate::Journal), if it was sent.
    pub fn seq(&self) -> Option<u64> {
        self.0
            .operation
            .as_ref()
            .and_then(|operation| operation.seq)
    }

    /// How many later operations of the same batch failed too.
    pub fn others(&self) -> u64 {
        self.0.others
    }

    /// Whether the session can't be used any more.
    pub fn is_fatal(&self) -> bool {
        !matches!(
            self.0.kind,
            ErrorKind::Failed { .. }
                | ErrorKind::UnknownCommand
                | ErrorKind::UnknownDevice
                | ErrorKind::ClockBackwards { .. }
                | ErrorKind::SecondIntercept { .. }
                | ErrorKind::Invalid { .. }
                | ErrorKind::Undecoded { .. }
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.kind() {
            ErrorKind::Invalid { .. } | ErrorKind::Poisoned { .. } => "send",
            _ => "carry out",
        };
        match &self.0.operation {
            Some(Operation {
                command, location, ..
            }) => {
                let (file, line) = (location.file(), location.line());
                write!(f, "failed to {verb} `{command}` ({file}:{line}): ")?;
            }
            None => f.write_str("qtest session failed: ")?,
        }
        write!(f, "{}", self.kind())?;
        match self.0.others {
            0 => Ok(()),
            1 => f.write_str(" (another operation failed after it)"),
            others => write!(f, " ({others} more operations failed after it)"),
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { reason } if reason.is_empty() => {
                f.write_str("the server refused without a reason")
            }
            Self::Failed { reason } => write!(f, "the server refused: {reason}"),
            Self::UnknownCommand => f.write_str(
                "the server does not know this command; clock commands need the qtest \
                 accelerator, others a newer server or another machine",
            ),
            Self::UnknownDevice => f.write_str(
                "the machine has no object of this path, or more than one; `qom-list` over QMP \
                 shows those it has",
            ),
            Self::ClockBackwards { now } => {
                write!(
                    f,
                    "the virtual clock shows {now} ns already, and does not go back"
                )
            }
            Self::SecondIntercept { installed } => {
                match installed {
                    Some(installed) => write!(f, "`{installed}` is in force")?,
                    None => f.write_str("something is intercepted already")?,
                }
                f.write_str(
                    ", and a server intercepts one list of one device in its life; use another \
                     VM for the second",
                )
            }
            Self::Invalid { what } => f.write_str(what),
            Self::Undecoded { reply } => {
                write!(f, "the extension can't make sense of the answer `{reply}`")
            }
            Self::Closed { unanswered } => {
                f.write_str("the server closed the connection")?;
                match unanswered {
                    0 | 1 => Ok(()),
                    2 => f.write_str("; a later operation was not answered either"),
                    _ => {
                        let later = unanswered - 1;
                        write!(f, "; {later} later operations were not answered either")
                    }
                }
            }
            Self::TimedOut {
                after,
                waiting_for,
                saw,
            } => {
                write!(f, "waited {after:.1?} for {waiting_for}, saw {saw}")
            }
            Self::Malformed { line, expected } => {
                write!(f, "the server sent `{line}` instead of {expected}")
            }
            Self::TooLong { limit, line } => write!(
                f,
                "the server sent a line of more than {limit} bytes, which begins with `{line}`"
            ),
            Self::Flood { limit } => write!(
                f,
                "the server reported more than {limit} interrupt edges without a reply; raise \
                 `Limits::edges` if that is right"
            ),
            Self::UnexpectedReply { line } => {
                write!(f, "the server sent `{line}`, which nobody asked for")
            }
            Self::Io(error) => write!(f, "the transport failed: {error}"),
            Self::Poisoned { first } => write!(f, "the session broke down earlier: {first}"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("operation", &self.0.operation)
            .field("others", &self.0.others)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.kind() {
            ErrorKind::Io(error) => Some(error),
            ErrorKind::Poisoned { first } => Some(first),
            _ => None,
        }
    }
}
