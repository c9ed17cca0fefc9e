//! [`Sink`]: where replies go, beside the journal.

use crate::command::Length;
use crate::reply::Reply;

/// Where the replies of a call's operations go.
pub(super) enum Sink<'a> {
    /// Nowhere.
    None,
    /// The bytes of blocks, one after the other, to a buffer.
    Buffer(Buffer<'a>),
    /// To a list.
    List(List),
}

/// Takes the blocks of the operations from number `from` on.
pub(super) struct Buffer<'a> {
    from: u64,
    /// What is not filled yet.
    bytes: &'a mut [u8],
    filled: usize,
}

/// Takes the replies of the operations from number `from` on.
pub(super) struct List {
    from: u64,
    replies: Vec<Reply>,
    /// Operations whose reply counts for the command that a later one ends, in order.
    parts: Vec<u64>,
    /// The first refusal of a part of the command under way.
    refused: Option<Reply>,
    takes_failures: bool,
}

impl<'a> Sink<'a> {
    pub(super) fn buffer(from: u64, bytes: &'a mut [u8]) -> Self {
        Self::Buffer(Buffer {
            from,
            bytes,
            filled: 0,
        })
    }

    /// Takes the reply of operation `seq`, except a block, which is in its place already.
    #[inline]
    pub(super) fn put(&mut self, seq: u64, reply: &Reply) {
        if let Self::List(list) = self {
            list.put(seq, reply);
        }
    }

    /// Where to put the `len` bytes that operation `seq` reads.
    pub(super) fn place(&mut self, seq: u64, len: Length) -> Option<&mut [u8]> {
        let len = len.get() as usize;
        match self {
            Self::Buffer(buffer) if seq >= buffer.from => {
                let place = buffer.bytes.get_mut(buffer.filled..)?.get_mut(..len);
                buffer.filled += len;
                place
            }
            Self::List(list) if seq >= list.from => {
                list.replies.push(Reply::Bytes(vec![0; len]));
                match list.replies.last_mut() {
                    Some(Reply::Bytes(bytes)) => Some(bytes),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Leaves out the `len` bytes that operation `seq` failed to read.
    pub(super) fn skip(&mut self, seq: u64, len: Length) {
        if let Self::Buffer(buffer) = self {
            if seq >= buffer.from {
                buffer.filled += len.get() as usize;
            }
        }
    }

    /// Whether the failure of operation `seq` is a reply like others.
    pub(super) fn takes_failure(&self, seq: u64) -> bool {
        matches!(self, Self::List(list) if list.takes_failures && seq >= list.from)
    }
}

impl List {
    /// A list for the replies of `capacity` commands.
    pub(super) fn new(from: u64, capacity: usize, takes_failures: bool) -> Self {
        Self {
            from,
            replies: Vec::with_capacity(capacity),
            parts: Vec::new(),
            refused: None,
            takes_failures,
        }
    }

    /// The replies, one a command.
    pub(super) fn into_replies(self) -> Vec<Reply> {
        self.replies
    }

    /// Says that operation `seq`, the next, is part of the command that a later one ends.
    pub(super) fn expect_part(&mut self, seq: u64) {
        self.parts.push(seq);
    }

    #[inline]
    fn put(&mut self, seq: u64, reply: &Reply) {
        if seq < self.from || matches!(reply, Reply::Bytes(_)) {
            return;
        }
        if !self.parts.is_empty() && self.parts.binary_search(&seq).is_ok() {
            if matches!(reply, Reply::Failed(_)) && self.refused.is_none() {
                self.refused = Some(reply.clone());
            }
            return;
        }
        self.replies
            .push(self.refused.take().unwrap_or_else(|| reply.clone()));
    }
}
