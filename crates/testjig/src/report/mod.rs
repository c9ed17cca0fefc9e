//! Reporters: who is told how a run goes.

mod json;
mod libtest;
mod render;
mod terminal;

pub use json::JsonLines;
pub use libtest::Libtest;
pub use render::failure;
pub use terminal::Terminal;

use crate::runner::{Plan, Summary};
use crate::verdict::Outcome;

/// Is told of each step of a run, always from the same thread.
pub trait Reporter {
    /// The run begins.
    fn start(&mut self, plan: &Plan) {
        let _ = plan;
    }

    /// A case was handed to a worker.
    fn started(&mut self, case: &str) {
        let _ = case;
    }

    /// A case has its verdict. `place` is its file and line.
    fn finished(&mut self, case: &str, place: &str, outcome: &Outcome);

    /// The run is over.
    fn end(&mut self, plan: &Plan, summary: &Summary) {
        let _ = (plan, summary);
    }
}

/// Tells several reporters, in order.
pub struct All(pub Vec<Box<dyn Reporter>>);

impl Reporter for All {
    fn start(&mut self, plan: &Plan) {
        self.0.iter_mut().for_each(|reporter| reporter.start(plan));
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

    fn end(&mut self, plan: &Plan, summary: &Summary) {
        self.0
            .iter_mut()
            .for_each(|reporter| reporter.end(plan, summary));
    }
}
