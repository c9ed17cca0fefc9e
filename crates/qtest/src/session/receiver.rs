//! [`Receiver`]: each line of the peer to the operation it belongs to.

use super::intercept::Intercept;
use super::sink::Sink;
use super::{Limits, excerpt};
use crate::command::{Command, Encoding, Length};
use crate::error::{Error, ErrorKind, Operation};
use crate::journal::Journal;
use crate::reply::{
    Failure, Line, Reply, Severity, Shape, decode_block, decode_nanos, decode_value,
};

/// The receiving half of a session.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    pub(super) journal: Journal,
    pub(super) limits: Limits,
    /// The oldest failure that no call reported yet, and how many came after it.
    pub(super) failed: Option<(Error, u64)>,
    /// The last value, time or byte order that was answered, as a number.
    pub(super) last: u64,
    edges: u32,
    intercept: Option<Intercept>,
}

impl Receiver {
    /// How many interrupt edges came since the last reply.
    pub(super) fn edges(&self) -> u32 {
        self.edges
    }

    /// Begins to count them anew: they are waited for.
    pub(super) fn forgive_edges(&mut self) {
        self.edges = 0;
    }

    /// The longest line that makes sense now, in bytes.
    pub(super) fn longest_line(&mut self) -> usize {
        let expected = match self.journal.pending().map(|entry| entry.command.shape()) {
            Some(Shape::Bytes { len, encoding }) => block_line(len, encoding),
            _ => 0,
        };
        expected.max(self.limits.line)
    }

    /// Takes one line.
    #[inline]
    pub(super) fn take(&mut self, line: &[u8], sink: &mut Sink<'_>) -> Result<(), ErrorKind> {
        if line.len() > self.limits.line && line.len() > self.longest_line() {
            let limit = self.longest_line();
            return Err(ErrorKind::TooLong {
                limit,
                line: excerpt(line),
            });
        }
        match Line::parse(line) {
            Some(Line::Ok(payload)) => self.done(line, payload, sink),
            Some(Line::Irq { line, level }) => self.edge(line, level),
            Some(Line::Failed(severity, reason)) => self.failure(line, severity, reason, sink),
            None => Err(malformed(line, &"a reply or an interrupt edge")),
        }
    }

    fn edge(&mut self, line: u32, level: bool) -> Result<(), ErrorKind> {
        if self.edges >= self.limits.edges {
            return Err(ErrorKind::Flood {
                limit: self.limits.edges,
            });
        }
        self.edges += 1;
        self.journal.edge(line, level);
        Ok(())
    }

    #[inline]
    fn done(&mut self, line: &[u8], payload: &[u8], sink: &mut Sink<'_>) -> Result<(), ErrorKind> {
        let Some(entry) = self.journal.pending() else {
            return Err(ErrorKind::UnexpectedReply {
                line: excerpt(line),
            });
        };
        let (shape, seq) = (entry.command.shape(), entry.seq);
        let reply = match shape {
            Shape::Port(width) => decode_value(payload, width.into()).map(Reply::Value),
            Shape::Value(width) => decode_value(payload, width).map(Reply::Value),
            Shape::Bytes { len, encoding } => self.block(payload, len, encoding, seq, sink),
            _ => Reply::decode(payload, shape),
        };
        let Some(reply) = reply else {
            return Err(malformed(line, &shape));
        };
        match reply {
            Reply::Value(value) => self.last = value,
            Reply::Nanos(time) => self.last = time.get(),
            Reply::Endianness(order) => self.last = order as u64,
            Reply::Done => self.note_intercept(sink),
            _ => {}
        }
        sink.put(seq, &reply);
        self.finish(reply);
        Ok(())
    }

    /// Decodes a block to its place. The journal gets its beginning.
    fn block(
        &self,
        payload: &[u8],
        len: Length,
        encoding: Encoding,
        seq: u64,
        sink: &mut Sink<'_>,
    ) -> Option<Reply> {
        let mut unwanted = Vec::new();
        let place = if let Some(place) = sink.place(seq, len) {
            place
        } else {
            unwanted.resize(len.get() as usize, 0);
            &mut unwanted
        };
        decode_block(payload, encoding, place)?;
        Some(Reply::Bytes(self.journal.kept(place).into()))
    }

    #[cold]
    fn failure(
        &mut self,
        line: &[u8],
        severity: Severity,
        reason: &[u8],
        sink: &mut Sink<'_>,
    ) -> Result<(), ErrorKind> {
        let kept = &reason[..reason.len().min(self.limits.reason)];
        let failure = Failure {
            severity,
            reason: String::from_utf8_lossy(kept).into(),
        };
        let installed = self.intercept.as_ref().map(Intercept::request);
        let Some(entry) = self.journal.pending() else {
            return Err(ErrorKind::UnexpectedReply {
                line: excerpt(line),
            });
        };
        let (shape, seq) = (entry.command.shape(), entry.seq);
        let kind = classify(&entry.command, &failure.reason, installed);
        self.note_failure(kind, sink);
        if let Shape::Bytes { len, .. } = shape {
            sink.skip(seq, len);
        }
        let reply = Reply::Failed(failure);
        sink.put(seq, &reply);
        self.finish(reply);
        Ok(())
    }

    /// Remembers what is intercepted. The server says `OK` to a second list of the same device, and
    /// does nothing.
    #[inline]
    fn note_intercept(&mut self, sink: &Sink<'_>) {
        let Some(requested) = self
            .journal
            .pending()
            .and_then(|entry| Intercept::requested(&entry.command))
        else {
            return;
        };
        match &self.intercept {
            None => self.intercept = Some(requested),
            Some(installed) if installed.covers(&requested) => {}
            Some(installed) => {
                let installed = Some(installed.request());
                self.note_failure(ErrorKind::SecondIntercept { installed }, sink);
            }
        }
    }

    /// Keeps a failure of the oldest operation without a reply for the next call that waits.
    #[cold]
    fn note_failure(&mut self, kind: ErrorKind, sink: &Sink<'_>) {
        let Some(entry) = self.journal.pending() else {
            return;
        };
        if sink.takes_failure(entry.seq) {
            return;
        }
        let operation = Operation::of(entry);
        match &mut self.failed {
            Some((_, others)) => *others += 1,
            none => *none = Some((Error::new(kind, Some(operation)), 0)),
        }
    }

    #[inline]
    fn finish(&mut self, reply: Reply) {
        if let Some(entry) = self.journal.pending() {
            entry.reply = Some(reply);
        }
        self.journal.advance();
        self.edges = 0;
    }
}

#[cold]
fn malformed(line: &[u8], expected: &impl ToString) -> ErrorKind {
    ErrorKind::Malformed {
        line: excerpt(line),
        expected: expected.to_string(),
    }
}

/// What a `FAIL` or `ERR` means, by QEMU's words (7.2 to 11.1).
fn classify(command: &Command, reason: &str, installed: Option<String>) -> ErrorKind {
    let intercepts = matches!(
        command,
        Command::InterceptIn { .. } | Command::InterceptOut { .. }
    );
    if reason.starts_with("Unknown command") {
        return ErrorKind::UnknownCommand;
    }
    if reason == "Unknown device" {
        return ErrorKind::UnknownDevice;
    }
    if intercepts && reason.contains("already") {
        return ErrorKind::SecondIntercept { installed };
    }
    if let (Command::ClockSet(_), Some(now)) = (command, decode_nanos(reason.as_bytes())) {
        return ErrorKind::ClockBackwards { now: now.get() };
    }
    ErrorKind::Failed {
        reason: reason.into(),
    }
}

/// The longest line that brings `len` bytes.
fn block_line(len: Length, encoding: Encoding) -> usize {
    let len = len.get() as usize;
    match encoding {
        Encoding::Hex => "OK 0x".len() + 2 * len,
        Encoding::Base64 => "OK ".len() + len.div_ceil(3) * 4,
    }
}
