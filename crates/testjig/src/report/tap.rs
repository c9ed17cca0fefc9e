//! TAP, the Test Anything Protocol, version 14.

use std::fmt::Write as _;
use std::io::Write;

use serde_json::json;

use crate::report::{Reporter, Start, failure};
use crate::runner::Summary;
use crate::verdict::{Outcome, Verdict};

/// Writes a run as TAP 14, a test point as each case ends.
pub struct Tap<W> {
    to: W,
    points: usize,
    rerun: String,
    failed: bool,
}

impl<W: Write> Tap<W> {
    /// Writes to `to`, flushed after each test point.
    pub fn new(to: W) -> Self {
        Self {
            to,
            points: 0,
            rerun: String::new(),
            failed: false,
        }
    }

    fn write(&mut self, text: &str) {
        if self.failed {
            return;
        }
        let written = self
            .to
            .write_all(text.as_bytes())
            .and_then(|()| self.to.flush());
        if let Err(error) = written {
            eprintln!("jig: failed to write the TAP report: {error}; the run goes on without it");
            self.failed = true;
        }
    }
}

impl<W: Write> Reporter for Tap<W> {
    fn start(&mut self, start: &Start) {
        self.rerun.clone_from(&start.rerun);
        let mut text = format!("TAP version 14\n1..{}\n", start.cases);
        for line in start
            .qemus
            .iter()
            .flat_map(|qemu| qemu.summary.lines())
            .chain(start.missing.iter().flat_map(|reason| reason.lines()))
        {
            text.push_str("# ");
            text.push_str(line);
            text.push('\n');
        }
        self.write(&text);
    }

    fn finished(&mut self, case: &str, place: &str, outcome: &Outcome) {
        self.points += 1;
        // TAP's word for an expected failure is one that is still to do.
        let (ok, directive) = match outcome.verdict {
            Verdict::Pass => ("ok", ""),
            Verdict::Skip => ("ok", " # SKIP "),
            Verdict::Xfail => ("not ok", " # TODO "),
            Verdict::Flaky => ("ok", " (flaky) "),
            _ => ("not ok", ""),
        };
        let mut text = format!("{ok} {} - {}", self.points, escaped(case));
        if !directive.is_empty() {
            text.push_str(directive);
            text.push_str(&escaped(&outcome.reason));
        }
        text.push('\n');
        if !outcome.verdict.is_good() {
            // A JSON string is a YAML string, whatever is in it.
            let report = failure(case, place, outcome, &self.rerun, false);
            let lines = [
                ("verdict", json!(outcome.verdict)),
                ("message", json!(outcome.reason)),
                ("at", json!(place)),
                ("duration_ms", json!(outcome.duration.as_secs_f64() * 1e3)),
                ("report", json!(report.lines().collect::<Vec<_>>())),
            ];
            text.push_str("  ---\n");
            for (key, value) in lines {
                let _ = writeln!(text, "  {key}: {value}");
            }
            text.push_str("  ...\n");
        }
        self.write(&text);
    }

    fn end(&mut self, summary: &Summary) {
        if summary.interrupted {
            self.write("Bail out! interrupted\n");
        }
    }
}

/// A description without what TAP reads: `#` begins a directive, `\` escapes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('#', "\\#")
        .replace('\n', " ")
}
