//! Reporters: who is told how a run goes.
//!
//! A [`Reporter`] is told by the runner while it runs, or from a [`Record`] that was written before.

mod html;
mod json;
mod junit;
mod libtest;
mod render;
mod tap;
mod terminal;
mod timelines;

use serde::{Deserialize, Serialize};
use testjig_vm::Arch;

pub use html::Html;
pub use json::{JsonLines, Record, RecordError};
pub use junit::Junit;
pub use libtest::Libtest;
pub use render::failure;
pub use tap::Tap;
pub use terminal::Terminal;
pub use timelines::Timelines;

use crate::runner::Summary;
use crate::verdict::Outcome;

/// What is known when a run begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Version of testjig.
    pub version: String,
    /// The QEMUs that it runs on.
    pub qemus: Vec<QemuFacts>,
    /// Architectures without one, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// How many cases will be reported.
    pub cases: usize,
    /// How many run at once.
    pub jobs: usize,
    /// How a person runs one case again; its name is appended.
    #[serde(default)]
    pub rerun: String,
}

/// A QEMU of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QemuFacts {
    /// Its target architecture.
    pub arch: Arch,
    /// Its version.
    pub version: String,
    /// What was chosen and why, in one line.
    pub summary: String,
}

/// Is told of each step of a run, always from the same thread.
pub trait Reporter {
    /// The run begins.
    fn start(&mut self, start: &Start) {
        let _ = start;
    }

    /// A case was handed to a worker.
    fn started(&mut self, case: &str) {
        let _ = case;
    }

    /// A case has its verdict. `place` is its file and line.
    fn finished(&mut self, case: &str, place: &str, outcome: &Outcome);

    /// The run is over.
    fn end(&mut self, summary: &Summary) {
        let _ = summary;
    }
}

/// Tells several reporters, in order.
pub struct All(pub Vec<Box<dyn Reporter>>);

impl Reporter for All {
    fn start(&mut self, start: &Start) {
        self.0.iter_mut().for_each(|reporter| reporter.start(start));
    }

    fn started(&mut self, case: &str) {
        self.0
            .iter_mut()
            .for_each(|reporter| reporter.started(case));
    }

    fn finished(&mut self, case: &str, place: &str, outcome: &Outcome) {
        self.0
            .iter_mut()
            .for_each(|reporter| reporter.finished(case, place, outcome));
    }

    fn end(&mut self, summary: &Summary) {
        self.0.iter_mut().for_each(|reporter| reporter.end(summary));
    }
}

/// What a case's name is made of: `virtio_blk::ring`, `indirect` and `x86_64/q35/…`.
pub(crate) fn split(case: &str) -> (&str, &str, &str) {
    let (title, path) = case.split_once('@').unwrap_or((case, ""));
    let (module, test) = title.rsplit_once("::").unwrap_or(("", title));
    (module, test, path)
}
