//! [`Recording`]: what a test does to a machine besides what its journal has, so that all of it can be done again.

use crate::vm::Vm;

/// What a test did on other roads than the wire, since [`Vm::record`].
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// [`Journal::issued`](testjig_qtest::Journal::issued) when it began.
    pub begin: u64,
    /// In order.
    pub notes: Vec<Note>,
    /// Why the session can't be done again from operations alone, if it can't: the first reason.
    pub obstacle: Option<String>,
    /// How many operations were issued when the machine last rested.
    pub(crate) rested: Option<u64>,
}

/// Something that was done on another road than the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How many operations were issued before it.
    pub before: u64,
    /// What it was.
    pub what: Noted,
}

/// What was done on another road than the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Noted {
    /// Bytes were written to mapped memory, at this guest-physical address.
    Wrote {
        /// The first byte's.
        addr: u64,
        /// Them.
        bytes: Vec<u8>,
    },
    /// Mapped memory was filled.
    Filled {
        /// The first byte's guest-physical address.
        addr: u64,
        /// How many bytes.
        len: usize,
        /// The value of each.
        value: u8,
    },
    /// Bytes were read from mapped memory.
    Read {
        /// The first byte's guest-physical address.
        addr: u64,
        /// What was there.
        bytes: Vec<u8>,
    },
    /// Bytes were written to the image of a drive, from outside.
    Image {
        /// The drive's id.
        disk: String,
        /// Where.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// The machine was reset.
    Reset,
    /// The test began to wait for what the machine does in its own time: what it does until [`Noted::Waited`] it may do several times.
    Waits,
    /// It looks once more.
    Again,
    /// What it waited for is there.
    Waited,
    /// The machine had nothing to do any more.
    Rests,
    /// What is read from now on depends on the order in which threads of the machine come to their ends.
    Chance,
    /// It does so no longer.
    Sure,
}

impl Vm {
    /// Keeps from now on all that is done to the machine: the journal forgets nothing, and what goes other ways is noted.
    pub fn record(&self) {
        let begin = self.session(|session| {
            let journal = session.journal_mut();
            journal.set_capacity(usize::MAX);
            journal.set_edge_capacity(usize::MAX);
            journal.set_kept_data(1 << 20);
            journal.issued()
        });
        *self.recorder().borrow_mut() = Some(Recording {
            begin,
            ..Recording::default()
        });
    }

    /// What was noted since [`record`](Self::record); `None` if nothing was to be.
    pub fn recording(&self) -> Option<Recording> {
        self.recorder().borrow().clone()
    }

    /// Looks at what depends on the order in which threads of the machine come to their ends, such as which of several transfers was
    /// over first: a recording looks there as well, and may see something else.
    pub fn by_chance<R>(&self, look: impl FnOnce() -> R) -> R {
        self.note(|| Noted::Chance);
        let seen = look();
        self.note(|| Noted::Sure);
        seen
    }

    /// Notes something, if that is wanted. It is made up only then.
    pub(crate) fn note(&self, what: impl FnOnce() -> Noted) {
        if let Some(recording) = &mut *self.recorder().borrow_mut() {
            let before = self.with_journal(testjig_qtest::Journal::issued);
            recording.notes.push(Note {
                before,
                what: what(),
            });
        }
    }

    /// Notes why the session can't be done again.
    pub(crate) fn note_obstacle(&self, why: impl FnOnce() -> String) {
        if let Some(recording) = &mut *self.recorder().borrow_mut() {
            recording.obstacle.get_or_insert_with(why);
        }
    }
}
