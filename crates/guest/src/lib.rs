//! Guest tests: what no register test reaches, tried by a Linux inside the machine.
//!
//! A test is one file with two halves. The host half starts QEMU, with words such as `qemu` and `qmp`; the guest half is run by the
//! [agent](testjig_agent) in the machine. An [`Environment`] is the kernel and the programs of the guest, a [`Machine`] is one that runs,
//! a [`Job`] one run of a test. Halves are shell functions of one script, or [Rust functions](halves) of one file.
//!
//! A program that runs tests is three programs in one: it calls [`serve_if_word`] and [`serve_if_supervisor`] first.

mod args;
pub mod choice;
mod drive;
mod environment;
pub mod halves;
mod header;
mod http;
pub mod initramfs;
mod job;
mod kernel;
mod machine;
mod memory;
mod modules;
mod run;
mod schemas;
mod serve;
mod snapshot;
mod starter;
mod supervisor;
mod test;
mod typed;
mod words;

pub use args::Arguments;
pub use environment::{Environment, EnvironmentError, How, Lane, Manifest};
pub use halves::register;
pub use job::{Ending, Job, Report};
pub use machine::{Boot, BootError, ChannelKind, Machine, Occurrence, can_be_warm};
pub use run::{Stopper, Supervised, Test, find, supervise};
pub use supervisor::serve_if_supervisor;
pub use words::serve_if_word;
