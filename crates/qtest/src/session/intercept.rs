//! [`Intercept`]: what a server intercepts, and whether another request would change that.

use crate::command::Command;
use crate::word::Word;

/// A list of pins of a device whose levels the server reports.
#[derive(Clone, Debug)]
pub(super) struct Intercept {
    path: Word,
    list: List,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum List {
    In,
    Out(Option<Word>),
}

impl Intercept {
    /// What `command` would intercept, if it is such a request.
    pub(super) fn requested(command: &Command) -> Option<Self> {
        match command {
            Command::InterceptIn { path } => Some(Self {
                path: path.clone(),
                list: List::In,
            }),
            Command::InterceptOut { path, name } => Some(Self {
                path: path.clone(),
                list: List::Out(name.clone()),
            }),
            _ => None,
        }
    }

    /// Whether `other`, which the server accepted, is in force too because it is the same.
    ///
    /// The server refuses another device, so an accepted request is for the same one, whichever
    /// path names it. For another list of it the server says `OK` and does nothing.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.list == other.list
    }

    /// The request that asked for it.
    pub(super) fn request(&self) -> String {
        let Self { path, list } = self;
        match list {
            List::In => format!("irq_intercept_in {path}"),
            List::Out(None) => format!("irq_intercept_out {path}"),
            List::Out(Some(name)) => format!("irq_intercept_out {path} {name}"),
        }
    }
}
