//! [`Timeline`]: what a test did to its machine and what came of it, in order, for reports and waveform viewers.

mod trace;
mod vcd;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use testjig_qos::describe::{Describe, meaning};
use testjig_qtest::{Edge, Entry, Journal, Reply};

pub use trace::trace;
pub use vcd::vcd;

/// The operations of one test, with the interrupt edges between them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// How many earlier operations are not in it.
    pub dropped: u64,
    /// Operations and edges, in the order in which they happened.
    pub steps: Vec<Step>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The test did something.
    Op(Op),
    /// An intercepted interrupt line changed.
    Edge {
        /// Its number in the intercepted list.
        line: u32,
        /// The level it changed to: `true` is high.
        level: bool,
    },
}

/// One operation on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    /// Its number, counted from 0 over the life of the machine.
    pub seq: u64,
    /// The request, long data shortened: `outb 0x70 0xb`.
    pub request: String,
    /// The answer; missing if there was none, empty if there is nothing to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// What it meant to a device on the test's path: `rtc.B←0x26 {alarm_irq}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
    /// The line of the test that asked for it.
    pub place: String,
    /// What the virtual clock showed afterwards, in nanoseconds; only where it may have moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<u64>,
}

impl Op {
    /// One line: request, reply, meaning.
    pub fn line(&self) -> String {
        let mut line = self.request.clone();
        if let Some(reply) = self.reply.as_deref().filter(|reply| !reply.is_empty()) {
            line.push_str(" → ");
            line.push_str(reply);
        }
        if let Some(meaning) = &self.meaning {
            line.push_str("   ");
            line.push_str(meaning);
        }
        line
    }
}

impl Timeline {
    /// The operations that the journal still holds, decoded.
    pub(crate) fn of(journal: &Journal, decoders: &mut [Box<dyn Describe>]) -> Self {
        let mut steps = Vec::with_capacity(journal.entries().len());
        let mut edges = journal.edges().peekable();
        let edge = |edge: &Edge| Step::Edge {
            line: edge.line,
            level: edge.level,
        };
        for entry in journal.entries() {
            let meaning = meaning(decoders, entry);
            while let Some(earlier) = edges.next_if(|edge| edge.before <= entry.seq) {
                steps.push(edge(earlier));
            }
            steps.push(Step::Op(op(entry, meaning)));
        }
        steps.extend(edges.map(edge));
        Self {
            dropped: journal.dropped(),
            steps,
        }
    }

    /// The operations without the edges.
    pub fn ops(&self) -> impl Iterator<Item = &Op> {
        self.steps.iter().filter_map(|step| match step {
            Step::Op(op) => Some(op),
            Step::Edge { .. } => None,
        })
    }

    /// The numbers of the interrupt lines that moved, in order.
    pub fn lines(&self) -> Vec<u32> {
        let mut lines: Vec<u32> = self
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Edge { line, .. } => Some(*line),
                Step::Op(_) => None,
            })
            .collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    /// Each step with its time in nanoseconds: virtual time, and one more for each operation, so that steps without a tick of the clock
    /// between them keep their order in a viewer.
    fn timed(&self) -> impl Iterator<Item = (u64, &Step)> {
        let mut now = 0;
        self.steps.iter().map(move |step| {
            if let Step::Op(op) = step {
                now = op.clock.map_or(now + 1, |clock| clock.max(now + 1));
            }
            (now, step)
        })
    }
}

fn op(entry: &Entry, meaning: Option<String>) -> Op {
    let clock = match entry.reply {
        Some(Reply::Nanos(now)) => u64::try_from(Duration::from(now).as_nanos()).ok(),
        _ => None,
    };
    Op {
        seq: entry.seq,
        request: entry.request().to_string(),
        reply: entry.reply.as_ref().map(|reply| match reply {
            Reply::Done => String::new(),
            reply => reply.to_string(),
        }),
        meaning,
        place: format!("{}:{}", entry.location.file(), entry.location.line()),
        clock,
    }
}
