//! Fuzzing of devices in a stock QEMU.
//!
//! A [`Target`] is found by asking QEMU: which registers a device has, where, and which types make it up. An [`Input`] is a list of
//! typed operations on it. [`fuzz`] tries inputs, each on a machine of its own, forked from a started one where that is possible. What
//! it learns from is, in this order: which basic blocks of the device's own source files were reached for the first time
//! ([`Feedback::Blocks`]), else which replies were new ([`Feedback::Replies`]). A machine that ends, does not answer or takes memory
//! without bound is a [`Finding`]: confirmed on a started machine, made as short as possible, and on disk at once.
//!
//! [LibAFL](https://github.com/AFLplusplus/LibAFL) keeps the corpus, chooses from it, and exchanges it between workers. Inputs go to other
//! fuzzers and come from them over TCP, if that is asked for ([`Peers`]).

mod choice;
mod core;
mod dictionary;
mod discover;
mod draw;
mod exchange;
mod findings;
mod fuzz;
mod input;
mod machines;
mod minimise;
mod mutate;
mod recording;
mod replay;
mod replies;
mod seeds;
mod target;
mod trial;
mod virtio;
mod worker;

pub use dictionary::dictionary;
pub use exchange::{Exchanged, Peers};
pub use fuzz::{Feedback, Finding, FuzzError, Sessions, Settings, Status, fuzz};
pub use input::{Input, Op, Place, Size, Value};
pub use seeds::{seeds, sessions};
pub use target::{Line, Plug, Region, Space, Target, TargetError};
pub use testjig_trace::Ending;
