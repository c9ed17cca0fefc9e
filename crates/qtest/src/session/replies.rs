//! [`Replies`]: each line of the peer to the operation it belongs to.

use super::intercept::Intercept;
use super::{Limits, excerpt};
use crate::command::{Command, Encoding, Length};
use crate::error::{Error, ErrorKind, Operation};
use crate::journal::Journal;
use crate::reply::{
    Failure, Line, Reply, Severity, Shape, decode_block, decode_nanos, decode_value,
};

/// The receiving half of a session.
#[derive(Debug, Default)]
pub(super) struct Replies {
    pub(super) journal: Journal,
    pub(super) limits: Limits,
    /// The oldest failure that no call reported yet, and how many came after it.
    pub(super) failed: Option<(Error, u64)>,
    /// The last value, time or byte order that was answered, as a number.
    pub(super) last: u64,
    edges: u32,
    intercept: Option<Intercept>,
}

/// Where the replies of the operations from number `from` on go, beside the journal.
pub(super) enum Sink<'a> {
    /// Nowhere.
    None,
    /// The bytes of blocks, in order, to a buffer.
    Bytes {
        from: u64,
        bytes: &'a mut [u8],
        filled: usize,
    },
    /// To a list.
    Replies { from: u64, list: &'a mut Vec<Reply> },
}

impl Replies {
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
            return Err(ErrorKind::TooLong {
                limit: self.longest_line(),
                line: excerpt(line),
            });
        }
        match Line::parse(line) {
            Some(Line::Ok(payload)) => self.done(line, payload, sink),
            Some(Line::Irq { line, level }) => self.edge(line, level),
            Some(Line::Failed(severity, reason)) => self.failure(line, severity, reason, sink),
            None => Err(ErrorKind::Malformed {
                line: excerpt(line),
                expected: "a reply or an interrupt edge".into(),
            }),
        }
    }

    fn edge(&mut self, line: u32, level: bool) -> Result<(), ErrorKind> {
        self.edges += 1;
        if self.edges > self.limits.edges {
            return Err(ErrorKind::Flood {
                limit: self.limits.edges,
            });
        }
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
            Shape::Value(width) => decode_value(payload, width).map(Reply::Value),
            Shape::Bytes { len, encoding } => self.block(payload, len, encoding, seq, sink),
            _ => Reply::decode(payload, shape),
        };
        let Some(reply) = reply else {
            return Err(ErrorKind::Malformed {
                line: excerpt(line),
                expected: shape.to_string(),
            });
        };
        match reply {
            Reply::Value(value) => self.last = value,
            Reply::Nanos(time) => self.last = time.get(),
            Reply::Endianness(order) => self.last = order as u64,
            Reply::Done => self.note_intercept(),
            _ => {}
        }
        if let Sink::Replies { from, list } = sink {
            // A block is in the list already, and only its beginning here.
            if seq >= *from && !matches!(reply, Reply::Bytes(_)) {
                list.push(reply.clone());
            }
        }
        self.finish(reply);
        Ok(())
    }

    /// Decodes a block to where it was asked for; what is left for the journal is its beginning.
    fn block(
        &self,
        payload: &[u8],
        len: Length,
        encoding: Encoding,
        seq: u64,
        sink: &mut Sink<'_>,
    ) -> Option<Reply> {
        match sink {
            Sink::Bytes {
                from,
                bytes,
                filled,
            } if seq >= *from => {
                let block = bytes.get_mut(*filled..)?.get_mut(..len.get() as usize)?;
                *filled += block.len();
                decode_block(payload, encoding, block)?;
                Some(Reply::Bytes(self.journal.kept(block).into()))
            }
            Sink::Replies { from, list } if seq >= *from => {
                let mut block = vec![0; len.get() as usize];
                decode_block(payload, encoding, &mut block)?;
                let kept = self.journal.kept(&block).into();
                list.push(Reply::Bytes(block));
                Some(Reply::Bytes(kept))
            }
            _ => {
                let mut block = vec![0; len.get() as usize];
                decode_block(payload, encoding, &mut block)?;
                block.truncate(self.journal.kept(&block).len());
                Some(Reply::Bytes(block))
            }
        }
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
        let intercept = self.intercept.as_ref().map(Intercept::request);
        let Some(entry) = self.journal.pending() else {
            return Err(ErrorKind::UnexpectedReply {
                line: excerpt(line),
            });
        };
        let kind = classify(&entry.command, &failure.reason, intercept);
        let (shape, seq) = (entry.command.shape(), entry.seq);
        self.note_failure(kind);
        match (sink, shape) {
            (Sink::Replies { from, list }, _) if seq >= *from => {
                list.push(Reply::Failed(failure.clone()));
            }
            (Sink::Bytes { from, filled, .. }, Shape::Bytes { len, .. }) if seq >= *from => {
                *filled += len.get() as usize;
            }
            _ => {}
        }
        self.finish(Reply::Failed(failure));
        Ok(())
    }

    /// Remembers what is intercepted. The server says `OK` to a second list of the same device, and does nothing.
    #[inline]
    fn note_intercept(&mut self) {
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
                let kind = ErrorKind::SecondIntercept {
                    installed: Some(installed.request()),
                };
                self.note_failure(kind);
            }
        }
    }

    /// Keeps a failure of the oldest operation without a reply for the next call that waits.
    #[cold]
    fn note_failure(&mut self, kind: ErrorKind) {
        if let Some((_, others)) = &mut self.failed {
            *others += 1;
            return;
        }
        let operation = self.journal.pending().map(|entry| Operation::of(entry));
        self.failed = Some((Error::new(kind, operation), 0));
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
