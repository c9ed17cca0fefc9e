//! Recorded sessions of virtual hardware.
//!
//! A `.qtr` file is one session: a header that says on which machine, and what it is about, and then one operation a line, with the
//! answers that matter. [`Trace`] is such a file as a value: read with [`Trace::read`] or `str::parse`, printed with `Display`.
//!
//! ```
//! use testjig_trace::Trace;
//!
//! let text = "\
//! qtr 1
//! title: the clock has power
//! arch: x86_64
//! machine: pc
//!
//! outb 0x70 0xd
//! inb 0x71 -> 0x80
//! ";
//! let trace: Trace = text.parse()?;
//! assert_eq!(trace.operations(), 2);
//! assert_eq!(trace.to_string(), text);
//! # Ok::<(), testjig_trace::ParseError>(())
//! ```
//!
//! [`Replay`] carries a session out on a QEMU and says what became of the machine. A file from elsewhere may ask for nothing of the host
//! ([`Trace::refusals`]). [`Minimise`] makes a session short, [`Import`] reads other spellings, [`Trace::export`] writes them.
//!
//! `docs/replay.md` has the grammar.

mod error;
mod export;
mod header;
mod import;
mod machine;
mod minimise;
mod outcome;
mod parse;
mod print;
mod record;
mod replay;
mod session;
mod signature;
mod vet;
mod watch;

pub use error::{FileError, ParseError};
pub use export::Target;
pub use header::{
    Detect, Disk, DiskInterface, Expect, Header, Red, Requirement, VersionNumber, VersionRange,
};
pub use import::{Import, Spelling};
pub use minimise::{Minimise, MinimiseError, Minimised, Progress, Stopped};
pub use outcome::{Difference, Outcome, Verdict};
pub use parse::{LARGEST_FILE, LONGEST_LINE, MOST_STEPS, MOST_WORDS};
pub use replay::{Replay, ReplayError, plug};
pub use session::{Action, Expected, Step, Trace};
pub use signature::Ending;
pub use vet::Refusal;
