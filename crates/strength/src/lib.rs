//! How strong are tests? Planted changes in the devices of a QEMU source tree, and which of them the tests notice.
//!
//! A [`Campaign`] draws small changes of a device's source from a seed, builds a binary with each, in a directory of its own, and has a
//! judge run the tests on it. A change that no test notices names a property that no test checks. The source tree and its build
//! directory are never written to.
//!
//! [`Coverage`] says which lines of a device each test reached, on a binary that was built to tell.

mod campaign;
mod coverage;
mod error;
mod lex;
mod mutant;
mod pick;
mod tree;

pub use campaign::{Campaign, Finding, Judge, Judgement, Progress};
pub use coverage::{Coverage, FileCoverage, Share};
pub use error::Error;
pub use mutant::{Change, Mutant};
pub use tree::Tree;
