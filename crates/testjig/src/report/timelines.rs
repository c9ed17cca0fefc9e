//! One case's timeline as a file of its own.

use std::io::{self, Write};

use crate::report::Reporter;
use crate::timeline::{self, Timeline};
use crate::verdict::Outcome;

type Export<W> = fn(&str, &Timeline, &mut W) -> io::Result<()>;

/// Writes the timeline of the first case that ends with one; a run of one case is what it is for.
pub struct Timelines<W> {
    to: Option<W>,
    export: Export<W>,
}

impl<W: Write> Timelines<W> {
    /// As a Value Change Dump, see [`timeline::vcd`].
    pub fn vcd(to: W) -> Self {
        Self {
            to: Some(to),
            export: |case, timeline, to| timeline::vcd(case, timeline, to),
        }
    }

    /// For Perfetto, see [`timeline::trace`].
    pub fn trace(to: W) -> Self {
        Self {
            to: Some(to),
            export: |case, timeline, mut to| {
                serde_json::to_writer(&mut to, &timeline::trace(case, timeline))?;
                to.flush()
            },
        }
    }
}

impl<W: Write> Reporter for Timelines<W> {
    fn finished(&mut self, case: &str, _: &str, outcome: &Outcome) {
        let Some(timeline) = &outcome.timeline else {
            return;
        };
        if let Some(mut to) = self.to.take() {
            if let Err(error) = (self.export)(case, timeline, &mut to) {
                eprintln!("jig: failed to write the timeline: {error}");
            }
        }
    }
}
