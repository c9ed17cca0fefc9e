//! [`Session`]: commands out, replies in, in order.

use std::panic::Location;
use std::time::{Duration, Instant};

use crate::command::Command;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::journal::Journal;
use crate::transport::{Progress, Transport};

mod blocks;
mod input;
mod intercept;
mod machine;
mod receiver;
mod scalars;
mod sink;

use input::Input;
use receiver::Receiver;
use sink::Sink;

/// Bounds on what the peer may send, beside those that follow from the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest line in bytes, except the bytes of a block that was asked for: 65,536.
    pub line: usize,
    /// Most interrupt edges between two replies: 1,048,576.
    pub edges: u32,
    /// Longest reason that is kept of a `FAIL` or `ERR` line, in bytes: 1,024.
    pub reason: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line: 64 * 1024,
            edges: 1 << 20,
            reason: 1024,
        }
    }
}

/// Operations in flight before the session stops to collect replies. QEMU's throughput rises up to
/// some 256.
const WINDOW: u64 = 512;

/// Bytes queued before the session stops to send them.
const QUEUE: usize = 64 * 1024;

/// Operations in flight from which on the session lets replies gather.
const MANY: u64 = 64;

/// The longest timeout. Long enough for any test, and never overflows a clock.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// A client's end of a qtest connection.
///
/// Operations without a result are *queued*: they return at once and travel with the next operation
/// that has one, or with [`sync`](Session::sync). Everything is carried out in the order of the
/// calls. A queued operation that fails is reported by the next call that waits, with the request
/// and the place that issued it; calls that queue report only that the session is unusable or that
/// the request can't be sent.
///
/// After `FAIL` the session is usable as before. After anything else that [`Error::is_fatal`]
/// tells, every call fails and names the first cause.
///
/// Dropping a session sends nothing.
#[derive(Debug)]
pub struct Session<T> {
    transport: T,
    out: Vec<u8>,
    sent: usize,
    input: Input,
    receiver: Receiver,
    poison: Option<Error>,
    timeout: Duration,
    deadline: Option<Instant>,
    /// The peer closed the connection; what it sent before was taken.
    closed: bool,
    round_trips: u64,
}

impl<T: Transport> Session<T> {
    /// A session over a connected stream, of which nothing was read yet.
    pub fn new(transport: T) -> Self {
        Self {
            transport,
            out: Vec::with_capacity(4096),
            sent: 0,
            input: Input::default(),
            receiver: Receiver::default(),
            poison: None,
            timeout: Duration::from_secs(10),
            deadline: None,
            closed: false,
            round_trips: 0,
        }
    }

    /// Sets the longest wait for one reply; 10 s at first, at most a year.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout.min(LONGEST_TIMEOUT);
    }

    /// Sets the time at which every wait ends, or none. The earlier of this and the timeout counts.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Sets the bounds on what the peer may send.
    pub fn set_limits(&mut self, limits: Limits) {
        self.receiver.limits = limits;
    }

    /// What was done so far.
    pub fn journal(&self) -> &Journal {
        &self.receiver.journal
    }

    /// The journal, to change how much it keeps.
    pub fn journal_mut(&mut self) -> &mut Journal {
        &mut self.receiver.journal
    }

    /// The byte stream.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// The byte stream; moving bytes behind the session's back breaks it.
    pub fn transport_mut(&mut self) -> &mut T {
        &mut self.transport
    }

    /// The byte stream, of which the session may have taken more than it was asked for.
    pub fn into_transport(self) -> T {
        self.transport
    }

    /// What made the session unusable, if anything did.
    pub fn poison(&self) -> Option<&Error> {
        self.poison.as_ref()
    }

    /// Whether nothing is under way and nothing has failed: [`sync`](Self::sync) would return at once.
    pub fn is_quiet(&self) -> bool {
        self.poison.is_none() && self.receiver.failed.is_none() && self.journal().unanswered() == 0
    }

    /// How often something waited for the peer to answer all that was asked of it. What is queued travels with the next one, so this
    /// is what an exchange costs in time, whatever its number of operations.
    pub fn round_trips(&self) -> u64 {
        self.round_trips
    }

    /// Waits until everything is sent and answered.
    ///
    /// # Errors
    ///
    /// The failure of the oldest queued operation that failed, or what makes the session unusable.
    #[track_caller]
    pub fn sync(&mut self) -> Result<()> {
        self.check(None)?;
        self.collect(&mut Sink::None)
    }

    /// Waits, with nothing else to do, for at least one interrupt edge; `false` if `until` passed
    /// first.
    ///
    /// For devices that act on their own, for example when a disk's file was read. Queued
    /// operations are sent and answered first; their edges count as well.
    ///
    /// # Errors
    ///
    /// As for [`sync`](Self::sync).
    #[track_caller]
    pub fn wait_for_edge(&mut self, until: Instant) -> Result<bool> {
        let mark = self.journal().edge_count();
        self.sync()?;
        self.receiver.forgive_edges();
        let until = self.deadline.map_or(until, |deadline| deadline.min(until));
        while self.journal().edge_count() == mark {
            if self.exchange(&mut Sink::None, until)? == Progress::default()
                && Instant::now() >= until
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Fails if the session is unusable.
    #[inline]
    fn check(&self, attempted: Option<(&Command, &'static Location<'static>)>) -> Result<()> {
        match &self.poison {
            None => Ok(()),
            Some(first) => Err(poisoned(first, attempted)),
        }
    }

    /// Queues a request.
    #[inline]
    fn issue(&mut self, command: Command, location: &'static Location<'static>) -> Result<()> {
        self.issue_into(command, location, &mut Sink::None)
    }

    /// Queues a request whose reply goes to `sink`.
    #[inline]
    fn issue_into(
        &mut self,
        command: Command,
        location: &'static Location<'static>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        self.check(Some((&command, location)))?;
        command.encode(&mut self.out);
        self.receiver.journal.push(command, 0, location);
        self.make_room(sink)
    }

    /// Collects replies while too much is under way.
    #[inline]
    fn make_room(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        if self.journal().unanswered() < WINDOW && self.unsent() < QUEUE {
            return Ok(());
        }
        self.pump(sink, WINDOW / 2, QUEUE / 2)
    }

    /// Carries out a request that has no result, or whose result is not a number.
    #[inline]
    fn done(&mut self, command: Command, location: &'static Location<'static>) -> Result<()> {
        self.issue(command, location)?;
        self.collect(&mut Sink::None)
    }

    /// Carries out a request whose result is a number.
    #[inline]
    fn value(&mut self, command: Command, location: &'static Location<'static>) -> Result<u64> {
        self.done(command, location)?;
        Ok(self.receiver.last)
    }

    /// Sends all, collects all replies, and reports what failed.
    fn collect(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        self.round_trips += u64::from(self.journal().unanswered() > 0);
        self.pump(sink, 0, 0)?;
        match self.receiver.failed.take() {
            None => Ok(()),
            Some((error, others)) => Err(error.with_others(others)),
        }
    }

    /// Moves bytes until at most `unanswered` operations and `unsent` bytes are left.
    fn pump(&mut self, sink: &mut Sink<'_>, unanswered: u64, unsent: usize) -> Result<()> {
        let mut since = Instant::now();
        let mut until = self.patience(since);
        while self.journal().unanswered() > unanswered || self.unsent() > unsent {
            let answered = self.journal().answered();
            if self.unsent() == 0 && self.journal().unanswered() - unanswered >= MANY {
                self.transport.coalesce();
            }
            self.exchange(sink, until)?;
            if self.journal().unanswered() <= unanswered && self.unsent() <= unsent {
                break;
            }
            let now = Instant::now();
            if self.journal().answered() != answered {
                since = now;
                until = self.patience(now);
            }
            if now >= until {
                return Err(self.timed_out(now - since));
            }
        }
        Ok(())
    }

    /// When a wait that begins now ends.
    fn patience(&self, now: Instant) -> Instant {
        let until = now + self.timeout;
        self.deadline.map_or(until, |deadline| deadline.min(until))
    }

    /// Bytes that are queued and not sent.
    #[inline]
    fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Moves bytes once, and takes what came.
    fn exchange(&mut self, sink: &mut Sink<'_>, until: Instant) -> Result<Progress> {
        if self.closed {
            let unanswered = self.journal().unanswered();
            return Err(self.fail(ErrorKind::Closed { unanswered }));
        }
        let longest = self.receiver.longest_line();
        let Some(room) = self.input.room(longest) else {
            let kind = ErrorKind::TooLong {
                limit: longest,
                line: excerpt(self.input.partial()),
            };
            return Err(self.fail(kind));
        };
        let offered = room.len();
        let queued = &self.out[self.sent..];
        let progress = match self.transport.exchange(queued, room, until) {
            Ok(progress) if progress.written <= queued.len() && progress.read <= offered => {
                progress
            }
            Ok(_) => {
                let error =
                    std::io::Error::other("it claims to have moved more bytes than it was given");
                return Err(self.fail(ErrorKind::Io(error)));
            }
            Err(error) => return Err(self.fail(ErrorKind::Io(error))),
        };
        self.sent += progress.written;
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        } else if self.sent >= QUEUE {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        self.input.filled(progress.read);
        while let Some(line) = self.input.line() {
            if let Err(kind) = self.receiver.take(line, sink) {
                return Err(self.fail(kind));
            }
        }
        self.closed = progress.closed;
        Ok(progress)
    }

    #[cold]
    fn timed_out(&mut self, after: Duration) -> Error {
        let waiting_for = match self.journal().unanswered() {
            0 => "the server to take what was queued".into(),
            1 => "its reply".into(),
            unanswered => format!("its reply, the first of {unanswered}"),
        };
        let saw = match (self.input.partial(), self.receiver.edges()) {
            ([], 0) => "nothing".into(),
            ([], edges) => format!("{edges} interrupt edges and no reply"),
            (partial, _) => format!("half a line, `{}`", excerpt(partial)),
        };
        self.fail(ErrorKind::TimedOut {
            after,
            waiting_for,
            saw,
        })
    }

    /// Makes the session unusable.
    #[cold]
    fn fail(&mut self, kind: ErrorKind) -> Error {
        let oldest = self
            .receiver
            .journal
            .pending()
            .map(|entry| Operation::of(entry));
        let error = Error::new(kind, oldest);
        self.poison = Some(error.clone());
        self.out = Vec::new();
        self.sent = 0;
        error
    }
}

#[cold]
fn poisoned(first: &Error, attempted: Option<(&Command, &'static Location<'static>)>) -> Error {
    let operation = attempted.map(|(command, location)| Operation {
        command: command.to_string(),
        location,
        seq: None,
    });
    Error::new(
        ErrorKind::Poisoned {
            first: first.clone(),
        },
        operation,
    )
}

/// The beginning of a line, fit to be shown.
fn excerpt(line: &[u8]) -> String {
    const SHOWN: usize = 80;
    let shown = line[..line.len().min(SHOWN)].escape_ascii();
    if line.len() > SHOWN {
        format!("{shown}… ({} bytes)", line.len())
    } else {
        shown.to_string()
    }
}
