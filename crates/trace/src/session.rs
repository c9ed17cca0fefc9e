//! [`Trace`]: a session as it stands in a file.

use testjig_qtest::{Command, Data, Reply};

use crate::header::Header;

/// A whole `.qtr` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// What it runs on, and what it is about.
    pub header: Header,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// One line after the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it says.
    pub action: Action,
    /// What is written behind it for people.
    pub comment: Option<String>,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing: the line is a comment, or blank.
    Nothing,
    /// One operation, and what is to be answered, if that matters.
    Do(Command, Option<Expected>),
    /// An operation that is repeated until it is answered so: for what the machine does in its own time.
    Until(Command, Expected),
    /// An intercepted interrupt line changes before the next operation is answered.
    Edge {
        /// Its number in the intercepted list.
        line: u32,
        /// Whether it is high then.
        level: bool,
    },
    /// Bytes are written to the image of a scratch disk, from outside.
    Image {
        /// The disk's name.
        disk: String,
        /// Where in the image.
        offset: u64,
        /// What.
        data: Data,
    },
    /// The machine is reset, as by its button.
    Reset,
    /// The machine is left alone until it rests: see [`testjig_vm::Vm::settle`].
    Settle,
    /// A device is plugged in, written as for `-device`. A machine that declines goes on without.
    Plug(String),
    /// The device of this id is asked to go. Some buses have the guest agree first.
    Unplug(String),
}

impl Action {
    /// Whether only version 2 of the format knows it.
    pub(crate) fn is_of_version_2(&self) -> bool {
        matches!(self, Self::Settle | Self::Plug(_) | Self::Unplug(_))
    }
}

/// An answer that a file asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The answer.
    pub reply: Reply,
    /// Of a number, the bits that count; all if absent.
    pub mask: Option<u64>,
}

impl Expected {
    /// Exactly this.
    pub fn exactly(reply: Reply) -> Self {
        Self { reply, mask: None }
    }

    /// Whether an answer is as asked for.
    pub fn is_met_by(&self, reply: &Reply) -> bool {
        match (&self.reply, reply, self.mask) {
            (Reply::Value(wanted), Reply::Value(got), Some(mask)) => wanted & mask == got & mask,
            // The text of a refusal differs from version to version.
            (Reply::Failed(wanted), Reply::Failed(_), _) if wanted.reason.is_empty() => true,
            (wanted, got, _) => wanted == got,
        }
    }
}

impl Step {
    /// A line without a comment.
    pub fn new(action: Action) -> Self {
        Self {
            action,
            comment: None,
        }
    }

    /// An operation whose answer does not matter.
    pub fn plain(command: Command) -> Self {
        Self::new(Action::Do(command, None))
    }
}

impl Trace {
    /// The lines that do something: operations and resets, not comments, interrupt lines and rests.
    pub fn operations(&self) -> usize {
        self.steps
            .iter()
            .filter(|step| {
                matches!(
                    step.action,
                    Action::Do(..)
                        | Action::Until(..)
                        | Action::Image { .. }
                        | Action::Reset
                        | Action::Plug(_)
                        | Action::Unplug(_)
                )
            })
            .count()
    }
}
