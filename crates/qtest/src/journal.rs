//! [`Journal`]: the last operations with their replies, and the interrupt edges between them.

use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;

use crate::command::{Command, Shown};
use crate::reply::Reply;

/// What a session did, in order.
///
/// Keeps the last operations (4096 unless told otherwise) and the last edges of intercepted
/// interrupt lines (65,536), and counts what it forgot. Operations that are not answered yet are
/// always kept.
#[derive(Debug)]
pub struct Journal {
    entries: VecDeque<Entry>,
    capacity: usize,
    issued: u64,
    answered: u64,
    edges: VecDeque<Edge>,
    edge_capacity: usize,
    edge_count: u64,
    levels: Vec<Option<bool>>,
    kept_data: usize,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number, counted from 0 over the life of the session.
    pub seq: u64,
    /// The request. Of the bytes of a block write only the first are kept.
    pub command: Command,
    /// How many bytes of a block write are missing from `command`.
    pub elided: usize,
    /// The answer, if it came. Of the bytes of a block read only the first are kept.
    pub reply: Option<Reply>,
    /// Where the operation was issued.
    pub location: &'static Location<'static>,
}

impl Entry {
    /// The request as it travelled, the bytes of a long block elided.
    pub fn request(&self) -> impl fmt::Display {
        Shown {
            command: &self.command,
            elided: self.elided,
        }
    }
}

/// The request, and the reply where there is something to tell.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.request())?;
        match &self.reply {
            None => f.write_str(" (no reply)"),
            Some(Reply::Done) => Ok(()),
            Some(reply) => write!(f, " → {reply}"),
        }
    }
}

/// A change of an intercepted interrupt line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Number of the line in the intercepted list.
    pub line: u32,
    /// The level it changed to: `true` is high.
    pub level: bool,
    /// [`Entry::seq`] of the operation whose reply the edge preceded; of the next one if all were
    /// answered.
    pub before: u64,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            capacity: Self::DEFAULT_CAPACITY,
            issued: 0,
            answered: 0,
            edges: VecDeque::new(),
            edge_capacity: Self::DEFAULT_EDGE_CAPACITY,
            edge_count: 0,
            levels: Vec::new(),
            kept_data: Self::DEFAULT_KEPT_DATA,
        }
    }
}

impl Journal {
    /// Operations kept by default.
    pub const DEFAULT_CAPACITY: usize = 4096;
    /// Edges kept by default.
    pub const DEFAULT_EDGE_CAPACITY: usize = 65_536;
    /// Bytes of a block kept by default.
    pub const DEFAULT_KEPT_DATA: usize = 32;

    /// The operations kept, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.entries.iter()
    }

    /// The operation of number `seq`, if it is kept.
    pub fn entry(&self, seq: u64) -> Option<&Entry> {
        let nr = seq.checked_sub(self.dropped())?;
        self.entries.get(usize::try_from(nr).ok()?)
    }

    /// How many operations were issued; the next one's [`Entry::seq`].
    pub fn issued(&self) -> u64 {
        self.issued
    }

    /// How many operations were answered.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// How many operations were issued and not answered yet.
    pub fn unanswered(&self) -> u64 {
        self.issued - self.answered
    }

    /// How many operations were forgotten.
    pub fn dropped(&self) -> u64 {
        self.issued - self.entries.len() as u64
    }

    /// The edges kept, oldest first.
    pub fn edges(&self) -> impl DoubleEndedIterator<Item = &Edge> + ExactSizeIterator {
        self.edges.iter()
    }

    /// The edges kept from number `mark` on, where numbers count from 0 over the life of the
    /// session: [`edge_count`](Self::edge_count) taken earlier is the mark for what came since.
    pub fn edges_since(
        &self,
        mark: u64,
    ) -> impl DoubleEndedIterator<Item = &Edge> + ExactSizeIterator {
        let skipped = mark
            .saturating_sub(self.edges_dropped())
            .min(self.edges.len() as u64) as usize;
        self.edges.range(skipped..)
    }

    /// How many edges there were.
    pub fn edge_count(&self) -> u64 {
        self.edge_count
    }

    /// How many edges were forgotten.
    pub fn edges_dropped(&self) -> u64 {
        self.edge_count - self.edges.len() as u64
    }

    /// The level of an intercepted line: `true` is high. A line without an edge so far is low.
    pub fn level(&self, line: u32) -> bool {
        usize::try_from(line)
            .ok()
            .and_then(|nr| self.levels.get(nr).copied())
            .flatten()
            .unwrap_or(false)
    }

    /// The lines that had an edge, with their levels, by number.
    pub fn levels(&self) -> impl Iterator<Item = (u32, bool)> {
        (0..)
            .zip(&self.levels)
            .filter_map(|(line, level)| level.map(|level| (line, level)))
    }

    /// Keeps the last `operations`, which may be none.
    pub fn set_capacity(&mut self, operations: usize) {
        self.capacity = operations;
        self.forget();
    }

    /// Keeps the last `edges`, which may be none.
    pub fn set_edge_capacity(&mut self, edges: usize) {
        self.edge_capacity = edges;
        self.edges.drain(..self.edges.len().saturating_sub(edges));
    }

    /// Keeps the first `bytes` (at least 1) of the blocks that are read and written from now on.
    pub fn set_kept_data(&mut self, bytes: usize) {
        self.kept_data = bytes.max(1);
    }

    /// The part of a block that is kept.
    pub(crate) fn kept<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        &data[..data.len().min(self.kept_data)]
    }

    #[inline]
    pub(crate) fn push(
        &mut self,
        command: Command,
        elided: usize,
        location: &'static Location<'static>,
    ) {
        if self.entries.len() >= self.capacity && self.answered > self.dropped() {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry {
            seq: self.issued,
            command,
            elided,
            reply: None,
            location,
        });
        self.issued += 1;
    }

    /// The oldest operation without a reply.
    #[inline]
    pub(crate) fn pending(&mut self) -> Option<&mut Entry> {
        let nr = self.entries.len() - self.unanswered() as usize;
        self.entries.get_mut(nr)
    }

    /// Notes that the oldest operation without a reply has one.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.answered += 1;
        if self.entries.len() > self.capacity {
            self.entries.pop_front();
        }
    }

    pub(crate) fn edge(&mut self, line: u32, level: bool) {
        let nr = line as usize;
        if nr >= self.levels.len() {
            self.levels.resize(nr + 1, None);
        }
        self.levels[nr] = Some(level);
        self.edge_count += 1;
        if self.edge_capacity == 0 {
            return;
        }
        if self.edges.len() >= self.edge_capacity {
            self.edges.pop_front();
        }
        self.edges.push_back(Edge {
            line,
            level,
            before: self.answered,
        });
    }

    fn forget(&mut self) {
        let answered = self.entries.len() - self.unanswered() as usize;
        let surplus = self.entries.len().saturating_sub(self.capacity);
        self.entries.drain(..surplus.min(answered));
    }
}
