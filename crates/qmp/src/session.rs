//! [`Session`]: one connection's state, below the handshake and the commands.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use crate::error::{Awaited, CommandError, Error, ErrorKind, excerpt};
use crate::event::EventQueue;
use crate::greeting::Greeting;
use crate::link::{Attend, Link, Received};
use crate::message::{Id, Message};

/// How much of what the peer sends is kept, so that a peer gone wrong can't exhaust memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest message, in bytes; 16 MiB by default. (The largest of QEMU's own, the reply to `query-qmp-schema`,
    /// has a quarter of a megabyte.)
    pub message_bytes: usize,
    /// How deep arrays and objects of a message may be nested; 100 by default, 120 at most.
    pub depth: usize,
    /// How many events may wait to be taken; 16,384 by default.
    pub queued_events: usize,
    /// How many bytes of messages those events may have come in; 16 MiB by default.
    pub queued_event_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 16 * 1024 * 1024,
            depth: 100,
            queued_events: 16 * 1024,
            queued_event_bytes: 16 * 1024 * 1024,
        }
    }
}

impl Limits {
    /// Deeper than this the JSON parser gives up by itself.
    const DEEPEST: usize = 120;
}

/// Which way a traced message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From this side to the peer.
    Sent,
    /// From the peer to this side.
    Received,
}

/// Sees every message; see [`Qmp::set_trace`](crate::Qmp::set_trace).
pub(crate) type Trace = Box<dyn FnMut(Direction, &[u8]) + Send>;

/// A message that has been dealt with, as far as the session can.
pub(crate) enum Arrival {
    Greeting(Greeting),
    /// The reply to the command that was sent last; the one to a command given up is dropped unless it was the last.
    Reply(Result<Box<RawValue>, CommandError>),
    /// An event was queued.
    Event,
    /// A reply that comes too late was dropped.
    Dropped,
}

/// One wait, from its start to its deadline.
#[derive(Clone, Copy)]
pub(crate) struct Wait {
    started: Instant,
    until: Instant,
}

impl Wait {
    pub(crate) fn until(until: Instant) -> Self {
        Self {
            started: Instant::now(),
            until,
        }
    }

    pub(crate) fn is_over(self) -> bool {
        Instant::now() >= self.until
    }
}

pub(crate) struct Session {
    link: Link,
    pub(crate) events: EventQueue,
    pub(crate) limits: Limits,
    /// The longest single wait, where the caller names no deadline.
    pub(crate) timeout: Duration,
    /// The end of all waits.
    pub(crate) deadline: Option<Instant>,
    pub(crate) trace: Option<Trace>,
    /// The ids from `oldest_unanswered` up to this were sent and not answered.
    next_id: u64,
    oldest_unanswered: u64,
    is_greeted: bool,
    /// Whether the peer has closed.
    ended: bool,
    /// The error that broke the connection.
    broken: Option<String>,
}

/// A command that was queued.
pub(crate) struct Sending {
    place: u64,
}

impl Session {
    pub(crate) fn new(link: Link) -> Self {
        Self {
            link,
            events: EventQueue::default(),
            limits: Limits::default(),
            timeout: Duration::from_secs(10),
            deadline: None,
            trace: None,
            next_id: 0,
            oldest_unanswered: 0,
            is_greeted: false,
            ended: false,
            broken: None,
        }
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    pub(crate) fn set_attend(&mut self, attend: Attend) {
        self.link.set_attend(attend);
    }

    /// A wait of the usual length.
    pub(crate) fn usual_wait(&self) -> Wait {
        let now = Instant::now();
        // A timeout beyond what the clock can say is none.
        let until = now
            .checked_add(self.timeout)
            .unwrap_or(now + Duration::from_secs(u32::MAX.into()));
        self.wait_until(until)
    }

    /// A wait to the caller's deadline, or the connection's if that is earlier.
    pub(crate) fn wait_until(&self, until: Instant) -> Wait {
        Wait::until(self.deadline.map_or(until, |deadline| deadline.min(until)))
    }

    /// Fails if the connection broke earlier.
    pub(crate) fn check(&self) -> Result<(), ErrorKind> {
        match &self.broken {
            None => Ok(()),
            Some(first) => Err(ErrorKind::Broken {
                first: first.clone(),
            }),
        }
    }

    /// Remembers the error if it leaves the connection unusable.
    pub(crate) fn failed(&mut self, error: Error) -> Error {
        if self.broken.is_none() && error.kind().is_fatal() {
            self.broken = Some(error.to_string());
        }
        error
    }

    /// The id that the next command is to carry.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Queues a message that carries [`Session::next_id`], and a descriptor with it.
    pub(crate) fn queue(&mut self, line: &[u8], descriptor: Option<OwnedFd>) -> Sending {
        if let Some(trace) = &mut self.trace {
            trace(Direction::Sent, line.strip_suffix(b"\n").unwrap_or(line));
        }
        self.next_id += 1;
        let place = self.link.queue(line);
        if let Some(descriptor) = descriptor {
            self.link.attach(place, descriptor);
        }
        Sending { place }
    }

    /// Gives up a command. `false` if no byte of it had left: then the peer never sees it.
    pub(crate) fn give_up(&mut self, sending: &Sending) -> bool {
        let withdrawn = self.link.withdraw(sending.place);
        if withdrawn {
            self.next_id -= 1;
        }
        !withdrawn
    }

    /// Goes on until `done` makes something of an arrival, or the wait is over (`None`).
    ///
    /// What follows that arrival stays for the next time. What has arrived when the deadline passes still counts; what a peer
    /// that never pauses sends after that can't put off the end.
    pub(crate) fn run<T>(
        &mut self,
        wait: Wait,
        mut done: impl FnMut(&mut Self, Arrival) -> Option<T>,
    ) -> Result<Option<T>, ErrorKind> {
        // How many bytes are still to be taken after the deadline.
        let mut left = None;
        loop {
            self.link.send().map_err(ErrorKind::Io)?;
            while let Some(arrival) = self.next_arrival()? {
                if let Some(value) = done(self, arrival) {
                    return Ok(Some(value));
                }
            }
            if self.ended {
                return Err(ErrorKind::Closed {
                    seen: self.events.summary(),
                    partial: self.partial(),
                });
            }
            if left == Some(0) {
                return Ok(None);
            }
            if left.is_none() && wait.is_over() {
                // At least one attempt: a closed connection has no bytes.
                left = Some(self.link.arrived().map_err(ErrorKind::Io)?.max(1));
            }
            match self.link.receive().map_err(ErrorKind::Io)? {
                Received::Bytes(count) => left = left.map(|left| left.saturating_sub(count)),
                Received::End => self.ended = true,
                Received::Nothing if left.is_some() => return Ok(None),
                Received::Nothing => self.link.wait(wait.until).map_err(ErrorKind::Io)?,
            }
        }
    }

    /// Takes the next whole message from the buffer.
    fn next_arrival(&mut self) -> Result<Option<Arrival>, ErrorKind> {
        let Some(line) = self.link.line() else {
            let unfinished = self.link.unfinished();
            return if unfinished.len() > self.limits.message_bytes {
                Err(self.too_long(unfinished))
            } else {
                Ok(None)
            };
        };
        let bytes = self.link.bytes(line);
        let size = bytes.len();
        if size > self.limits.message_bytes {
            return Err(self.too_long(bytes));
        }
        let message = Message::parse(bytes, self.limits.depth.min(Limits::DEEPEST));
        if let Ok(Message::Event(event)) = &message {
            if !self.events.has_room(size, &self.limits) {
                // Not consumed: it is taken once there is room.
                return Err(ErrorKind::Flood {
                    events: self.events.len(),
                    bytes: self.events.bytes(),
                    last: excerpt(event.name.as_bytes()),
                });
            }
        }
        if let Some(trace) = &mut self.trace {
            trace(Direction::Received, bytes);
        }
        let arrival = match message? {
            Message::Greeting(_) if self.is_greeted => {
                return Err(ErrorKind::Malformed {
                    problem: "it is a second greeting".to_owned(),
                    line: excerpt(bytes),
                });
            }
            Message::Greeting(greeting) => {
                self.is_greeted = true;
                Arrival::Greeting(greeting)
            }
            Message::Reply {
                result: Err(error), ..
            } if !self.is_greeted => return Err(ErrorKind::Refused(error)),
            Message::Reply { id, result } => {
                // Commands are executed in order: an error without an id is about the oldest.
                let answered = match id {
                    Id::Number(id) => Some(id),
                    Id::Absent => Some(self.oldest_unanswered),
                    Id::Foreign => None,
                };
                let Some(answered) =
                    answered.filter(|id| (self.oldest_unanswered..self.next_id).contains(id))
                else {
                    return Err(ErrorKind::UnexpectedReply {
                        line: excerpt(bytes),
                    });
                };
                self.oldest_unanswered = answered + 1;
                if self.oldest_unanswered == self.next_id {
                    Arrival::Reply(result.map(RawValue::to_owned))
                } else {
                    Arrival::Dropped
                }
            }
            Message::Event(event) => {
                self.events.push(event, size);
                Arrival::Event
            }
        };
        self.link.consume(line);
        Ok(Some(arrival))
    }

    fn too_long(&self, line: &[u8]) -> ErrorKind {
        ErrorKind::TooLong {
            limit: self.limits.message_bytes,
            line: excerpt(line),
        }
    }

    fn partial(&self) -> Option<String> {
        let unfinished = self.link.unfinished();
        (!unfinished.is_empty()).then(|| excerpt(unfinished))
    }

    pub(crate) fn timed_out(&self, wait: Wait, awaited: Awaited, unsent: bool) -> ErrorKind {
        ErrorKind::TimedOut {
            after: wait.started.elapsed(),
            awaited,
            unsent,
            seen: self.events.summary(),
            partial: self.partial(),
        }
    }
}
