//! [`Qmp`]: a connection that executes commands and keeps events.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::command::Command;
use crate::commands::HumanMonitorCommand;
use crate::error::{Awaited, Error, ErrorKind, excerpt};
use crate::event::{Event, EventFilter};
use crate::greeting::Greeting;
use crate::handshake::Handshake;
use crate::session::{Arrival, Direction, Limits, Session};

/// A QMP connection: one command at a time, and a queue of the events that come between.
///
/// Every wait ends at the earliest of [the timeout](Qmp::set_timeout) (or the deadline that the call names) and [the
/// deadline](Qmp::set_deadline). The peer is told nothing when this is dropped; the socket is closed.
pub struct Qmp {
    session: Session,
    greeting: Greeting,
    line: Vec<u8>,
}

impl Qmp {
    pub(crate) fn new(session: Session, greeting: Greeting) -> Self {
        Self {
            session,
            greeting,
            line: Vec::new(),
        }
    }

    /// Opens a connection on a connected stream socket: takes the greeting and leaves negotiation mode without enabling any
    /// capability.
    ///
    /// # Errors
    ///
    /// As [`Handshake::finish`].
    pub fn connect(socket: impl Into<OwnedFd>, deadline: Instant) -> Result<Self, Error> {
        Handshake::new(socket).finish(deadline)
    }

    /// Begins to open a connection, for a caller that has other things to do before the peer is ready.
    pub fn begin(socket: impl Into<OwnedFd>) -> Handshake {
        Handshake::new(socket)
    }

    /// What the peer said of itself.
    pub fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// Sets the longest single wait; 10 seconds unless set. [`Qmp::wait_event`] has a deadline of its own instead.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.session.timeout = timeout;
    }

    /// Sets the end of all waits, or none.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.session.deadline = deadline;
    }

    /// Sets how much of what the peer sends is kept.
    pub fn set_limits(&mut self, limits: Limits) {
        self.session.limits = limits;
    }

    /// Has every message shown to `trace`, without its line end: those queued to be sent, and those received, when they are
    /// looked at.
    pub fn set_trace(&mut self, trace: impl FnMut(Direction, &[u8]) + Send + 'static) {
        self.session.trace = Some(Box::new(trace));
    }

    /// Executes a command and waits for its reply. Events that arrive meanwhile are queued.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Refused`] if the peer answers with an error,
    /// - [`ErrorKind::Mismatch`] if the reply does not fit its type,
    /// - [`ErrorKind::Invalid`] if the command can't be serialised,
    /// - [`ErrorKind::TimedOut`] if there is no reply in time; when it comes later, it is dropped,
    /// - and the errors of a connection ([`ErrorKind::is_fatal`]).
    pub fn execute<C: Command>(&mut self, command: &C) -> Result<C::Reply, Error> {
        self.call(C::NAME, command, None)
    }

    /// Executes a command with a descriptor that goes to the peer beside it, such as [`AddFd`](crate::commands::AddFd).
    ///
    /// The peer gets a duplicate; the caller's stays open.
    ///
    /// # Errors
    ///
    /// As [`Qmp::execute`]; [`ErrorKind::Invalid`] also if the descriptor can't be duplicated.
    pub fn execute_with_fd<C: Command>(
        &mut self,
        command: &C,
        fd: impl AsFd,
    ) -> Result<C::Reply, Error> {
        self.call(C::NAME, command, Some(fd.as_fd()))
    }

    /// Executes a command by its name. `arguments` is an object, or [`Value::Null`] for none.
    ///
    /// # Errors
    ///
    /// As [`Qmp::execute`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers write `json!({…})` here"
    )]
    pub fn execute_raw(&mut self, name: &str, arguments: Value) -> Result<Value, Error> {
        self.call(name, &arguments, None)
    }

    /// Executes a line of the human monitor and returns what it prints, with line ends as the monitor writes them.
    ///
    /// The human monitor has no errors: what it makes of an unknown command or a bad argument is part of the text.
    ///
    /// # Errors
    ///
    /// As [`Qmp::execute`].
    pub fn hmp(&mut self, line: &str) -> Result<String, Error> {
        self.execute(&HumanMonitorCommand::new(line))
    }

    /// Takes all events that have been received and not been taken, oldest first. Reads nothing from the socket; call
    /// [`Qmp::poll`] before to have those that have just arrived too.
    pub fn events(&mut self) -> impl Iterator<Item = Event> + use<'_> {
        self.session.events.drain()
    }

    /// Looks at the events that have been received and not been taken, oldest first.
    pub fn queued_events(&self) -> impl Iterator<Item = &Event> {
        self.session.events.iter()
    }

    /// The [`seq`](Event::seq) that the next event to be received will have. A caller that wants only what a command
    /// causes, and not what was queued before, asks for this first.
    pub fn next_event_seq(&self) -> u64 {
        self.session.events.next_seq()
    }

    /// Receives what has arrived, without waiting. That the peer has closed shows when there is nothing else left.
    ///
    /// # Errors
    ///
    /// The errors of a connection ([`ErrorKind::is_fatal`]), and [`ErrorKind::Flood`].
    pub fn poll(&mut self) -> Result<(), Error> {
        let attempt = "receive events";
        self.session
            .check()
            .and_then(|()| {
                let now = crate::session::Wait::until(Instant::now());
                self.session.run(now, |_, _| None::<()>)
            })
            .map(|_| ())
            .map_err(|kind| self.session.failed(Error::new(attempt, kind)))
    }

    /// Takes the first event that `filter` accepts, be it queued or still to come; all others stay queued in their order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`] if there is none by `deadline`, with the events seen instead; [`ErrorKind::Flood`]; and the
    /// errors of a connection ([`ErrorKind::is_fatal`]).
    pub fn wait_event(
        &mut self,
        mut filter: impl EventFilter,
        deadline: Instant,
    ) -> Result<Event, Error> {
        if let Some(event) = self.session.events.take(0, &mut filter) {
            return Ok(event);
        }
        let wait = self.session.wait_until(deadline);
        let result = self.session.check().and_then(|()| {
            self.session.run(wait, |session, arrival| match arrival {
                Arrival::Event => session.events.take(session.events.len() - 1, &mut filter),
                _ => None,
            })
        });
        result
            .and_then(|event| {
                event.ok_or_else(|| {
                    self.session
                        .timed_out(wait, Awaited::Event(filter.describe()), false)
                })
            })
            .map_err(|kind| {
                self.session.failed(Error::new(
                    &format!("wait for the {}", filter.describe()),
                    kind,
                ))
            })
    }

    fn call<A: Serialize + ?Sized, R: DeserializeOwned>(
        &mut self,
        name: &str,
        arguments: &A,
        fd: Option<BorrowedFd<'_>>,
    ) -> Result<R, Error> {
        self.reply(name, arguments, fd)
            .and_then(|reply| {
                serde_json::from_str(reply.get()).map_err(|error| ErrorKind::Mismatch {
                    problem: error.to_string(),
                    reply: excerpt(reply.get().as_bytes()),
                })
            })
            .map_err(|kind| self.session.failed(Error::of_command(name, kind)))
    }

    fn reply<A: Serialize + ?Sized>(
        &mut self,
        name: &str,
        arguments: &A,
        fd: Option<BorrowedFd<'_>>,
    ) -> Result<Box<RawValue>, ErrorKind> {
        self.session.check()?;
        let id = self.session.next_id();
        write_command(&mut self.line, name, arguments, id)
            .map_err(|problem| ErrorKind::Invalid { problem })?;
        let fd = fd
            .map(|fd| fd.try_clone_to_owned())
            .transpose()
            .map_err(|error| ErrorKind::Invalid {
                problem: format!("its descriptor can't be duplicated: {error}"),
            })?;
        let wait = self.session.usual_wait();
        if wait.is_over() {
            return Err(self.session.timed_out(wait, Awaited::Reply, true));
        }
        let sending = self.session.queue(&self.line, fd);
        let reply = self.session.run(wait, |_, arrival| match arrival {
            Arrival::Reply(reply) => Some(reply),
            _ => None,
        });
        match reply {
            Ok(Some(reply)) => reply.map_err(ErrorKind::Refused),
            Ok(None) => {
                let unsent = !self.session.give_up(&sending);
                Err(self.session.timed_out(wait, Awaited::Reply, unsent))
            }
            Err(kind) => {
                self.session.give_up(&sending);
                Err(kind)
            }
        }
    }
}

impl AsFd for Qmp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.session.link().as_fd()
    }
}

impl fmt::Debug for Qmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Qmp")
            .field("greeting", &self.greeting)
            .field("events", &self.session.events.len())
            .finish_non_exhaustive()
    }
}

/// Writes a command as one line.
fn write_command<A: Serialize + ?Sized>(
    line: &mut Vec<u8>,
    name: &str,
    arguments: &A,
    id: u64,
) -> Result<(), String> {
    line.clear();
    line.extend_from_slice(b"{\"execute\":");
    serde_json::to_writer(&mut *line, name).map_err(|error| error.to_string())?;
    let member = line.len();
    line.extend_from_slice(b",\"arguments\":");
    let value = line.len();
    serde_json::to_writer(&mut *line, arguments).map_err(|error| error.to_string())?;
    match &line[value..] {
        [b'{', ..] => {}
        b"null" => line.truncate(member),
        other => {
            return Err(format!(
                "its arguments are not an object but `{}`",
                excerpt(other)
            ));
        }
    }
    line.extend_from_slice(format!(",\"id\":{id}}}\n").as_bytes());
    Ok(())
}
