//! [`Connection`]: one client's bytes, neither way without bound.

use memchr::memchr;

/// How much a client may have under way.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The longest request, in bytes without its newline. Longer ones are refused when their end comes, and not kept.
    pub line: usize,
    /// Bytes that wait for the client to read them before its next request is looked at.
    pub output: usize,
    /// Bytes that wait for a client which reads too slowly to ever catch up; it is disconnected.
    pub overflow: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line: 4 << 20,
            output: 1 << 20,
            overflow: 64 << 20,
        }
    }
}

/// A client of a [`Server`](crate::Server): what it said and was not looked at, what it has not read yet.
#[derive(Debug, Default)]
pub struct Connection {
    limits: Limits,
    input: Vec<u8>,
    /// Bytes of `input` that have been dealt with.
    taken: usize,
    /// Bytes of `input` that are known to hold no newline.
    searched: usize,
    /// The line that has begun is too long: nothing of it is kept until its end.
    skipping: bool,
    pub(crate) output: Vec<u8>,
    sent: usize,
    /// Whether it has asked for interrupt lines.
    pub(crate) watches: bool,
}

/// What the client says next.
pub(crate) enum Request {
    /// A line, as a range of the input.
    Line(usize, usize),
    /// The end of a line that was too long.
    TooLong,
}

impl Connection {
    /// A client with limits of its own.
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// What is to be sent to the client. Tell [`sent`](Self::sent) how much was.
    pub fn output(&self) -> &[u8] {
        &self.output[self.sent..]
    }

    /// The first `count` bytes of the output have been sent.
    pub fn sent(&mut self, count: usize) {
        self.sent = (self.sent + count).min(self.output.len());
        if self.sent == self.output.len() {
            self.output.clear();
            self.sent = 0;
            self.output.shrink_to(self.limits.output);
        } else if self.sent >= self.limits.output {
            self.output.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Whether more input is welcome: a client that does not read is not listened to.
    pub fn wants_input(&self) -> bool {
        !self.is_full() && self.input.len() - self.taken <= self.limits.line
    }

    /// Whether the client is so far behind that it is to be disconnected.
    pub fn is_lost(&self) -> bool {
        self.output().len() > self.limits.overflow
    }

    /// Bytes that are kept for this client.
    pub fn memory(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.output().len() >= self.limits.output
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    pub(crate) fn input(&self) -> &[u8] {
        &self.input
    }

    /// The next request, if all of it is here and the client may be answered.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Request> {
        if self.is_full() {
            return None;
        }
        let from = self.taken.max(self.searched);
        let Some(length) = memchr(b'\n', &self.input[from..]) else {
            self.keep_partial();
            return None;
        };
        let (start, end) = (self.taken, from + length);
        self.taken = end + 1;
        self.searched = self.taken;
        if std::mem::take(&mut self.skipping) || end - start > self.limits.line {
            return Some(Request::TooLong);
        }
        Some(Request::Line(start, end))
    }

    /// What is left is the beginning of a line.
    fn keep_partial(&mut self) {
        let partial = self.input.len() - self.taken;
        if self.skipping || partial > self.limits.line {
            self.skipping = true;
            self.input.clear();
        } else {
            self.input.drain(..self.taken);
        }
        self.taken = 0;
        self.searched = self.input.len();
        if self.input.is_empty() {
            self.input.shrink_to(64 << 10);
        }
    }
}
