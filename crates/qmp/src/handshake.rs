//! [`Handshake`]: from a socket to a connection that executes commands.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use crate::client::Qmp;
use crate::error::{Awaited, Error, ErrorKind, excerpt};
use crate::greeting::Greeting;
use crate::link::Link;
use crate::session::{Arrival, Direction, Limits, Session, Wait};

const ATTEMPT: &str = "open the QMP connection";
const NEGOTIATE: &str = "qmp_capabilities";

/// A connection whose peer may not have greeted yet.
///
/// QEMU greets while its machine is still being built, and answers when it is done. A launcher that has other things to do
/// meanwhile calls [`step`](Handshake::step) whenever the descriptor is readable, and [`finish`](Handshake::finish) in the
/// end; any other caller uses [`Qmp::connect`], which is both.
#[must_use = "the connection is closed when this is dropped"]
pub struct Handshake {
    session: Session,
    greeting: Option<Greeting>,
    is_answered: bool,
    is_complete: bool,
}

impl Handshake {
    /// Takes a connected stream socket; sends and awaits nothing yet.
    pub fn new(socket: impl Into<OwnedFd>) -> Self {
        Self {
            session: Session::new(Link::new(socket.into())),
            greeting: None,
            is_answered: false,
            is_complete: false,
        }
    }

    /// Sets how much of what the peer sends is kept.
    pub fn set_limits(&mut self, limits: Limits) {
        self.session.limits = limits;
    }

    /// Has every message shown to `trace`, as [`Qmp::set_trace`] does.
    pub fn set_trace(&mut self, trace: impl FnMut(Direction, &[u8]) + Send + 'static) {
        self.session.trace = Some(Box::new(trace));
    }

    /// Has `attend` called before each wait of this connection, from now on to its end: for a peer that is in this thread, and does
    /// what it was asked for when it is called.
    pub fn set_attend(&mut self, attend: impl Fn() + Send + 'static) {
        self.session.set_attend(Box::new(attend));
    }

    /// What the peer said of itself, once it has.
    pub fn greeting(&self) -> Option<&Greeting> {
        self.greeting.as_ref()
    }

    /// Does what can be done without waiting: takes the greeting, answers it, takes the reply. `true` when the connection is
    /// ready.
    ///
    /// # Errors
    ///
    /// As [`finish`](Handshake::finish), but never [`ErrorKind::TimedOut`].
    pub fn step(&mut self) -> Result<bool, Error> {
        let now = Wait::until(Instant::now());
        if self.greeting.is_none() {
            let Some(greeting) = self.await_greeting(now)? else {
                return Ok(false);
            };
            self.answer(greeting);
        }
        self.await_reply(now)
    }

    /// Waits until the connection is ready.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::NotQmp`] if what arrives first is no greeting,
    /// - [`ErrorKind::Refused`] if the peer answers with an error, be it instead of the greeting or to `qmp_capabilities`,
    /// - [`ErrorKind::TimedOut`] if there is no greeting or no reply by `deadline`,
    /// - and the errors of a connection, such as [`ErrorKind::Closed`] when QEMU exits because of a bad option.
    pub fn finish(mut self, deadline: Instant) -> Result<Qmp, Error> {
        let wait = Wait::until(deadline);
        let greeting = match self.greeting.take() {
            Some(greeting) => greeting,
            None => match self.await_greeting(wait)? {
                Some(greeting) => greeting,
                None => {
                    return Err(Error::new(
                        ATTEMPT,
                        self.session.timed_out(wait, Awaited::Greeting, false),
                    ));
                }
            },
        };
        self.answer(greeting.clone());
        if !self.await_reply(wait)? {
            let kind = self.session.timed_out(wait, Awaited::Reply, false);
            return Err(Error::of_command(NEGOTIATE, kind));
        }
        Ok(Qmp::new(self.session, greeting))
    }

    fn await_greeting(&mut self, wait: Wait) -> Result<Option<Greeting>, Error> {
        self.session
            .check()
            .map_err(|kind| Error::new(ATTEMPT, kind))?;
        let arrival = self.session.run(wait, |_, arrival| Some(arrival));
        let kind = match arrival {
            Ok(None) => return Ok(None),
            Ok(Some(Arrival::Greeting(greeting))) => return Ok(Some(greeting)),
            Ok(Some(_)) => ErrorKind::NotQmp {
                problem: "its first message is an event (has the connection been used before?)"
                    .to_owned(),
                line: self
                    .session
                    .events
                    .iter()
                    .next()
                    .map_or_else(String::new, |event| excerpt(event.name().as_bytes())),
            },
            Err(ErrorKind::Malformed { problem, line }) => ErrorKind::NotQmp {
                problem: not_qmp(&line).map_or_else(
                    || format!("its first message is no greeting ({problem})"),
                    str::to_owned,
                ),
                line,
            },
            Err(kind) => kind,
        };
        Err(self.session.failed(Error::new(ATTEMPT, kind)))
    }

    /// Leaves negotiation mode, once.
    fn answer(&mut self, greeting: Greeting) {
        self.greeting = Some(greeting);
        if !self.is_answered {
            self.is_answered = true;
            let id = self.session.next_id();
            let line = format!("{{\"execute\":\"{NEGOTIATE}\",\"id\":{id}}}\n");
            self.session.queue(line.as_bytes(), None);
        }
    }

    fn await_reply(&mut self, wait: Wait) -> Result<bool, Error> {
        if self.is_complete {
            return Ok(true);
        }
        self.session
            .check()
            .map_err(|kind| Error::of_command(NEGOTIATE, kind))?;
        let reply = self.session.run(wait, |_, arrival| match arrival {
            Arrival::Reply(reply) => Some(reply),
            _ => None,
        });
        let kind = match reply {
            Ok(None) => return Ok(false),
            Ok(Some(Ok(_))) => {
                self.is_complete = true;
                return Ok(true);
            }
            Ok(Some(Err(error))) => ErrorKind::Refused(error),
            Err(kind) => kind,
        };
        Err(self.session.failed(Error::of_command(NEGOTIATE, kind)))
    }
}

impl AsFd for Handshake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.session.link().as_fd()
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("greeting", &self.greeting)
            .field("is_complete", &self.is_complete)
            .finish_non_exhaustive()
    }
}

/// What a peer may be that greets with such a line.
fn not_qmp(line: &str) -> Option<&'static str> {
    if line.starts_with("QEMU ") && line.contains("monitor") {
        Some(
            "it is a human monitor (HMP); a QMP monitor is `-mon …,mode=control` or `-object monitor-qmp,…`",
        )
    } else if line.starts_with("OK")
        || line.starts_with("FAIL")
        || line.starts_with("[I ")
        || line.starts_with("IRQ ")
    {
        Some("it looks like a qtest server")
    } else {
        None
    }
}
