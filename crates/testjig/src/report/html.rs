//! One self-contained HTML file: the matrix of devices and machines, filters, and each test's timeline.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::report::{Reporter, Start, failure};
use crate::runner::Summary;
use crate::verdict::{Outcome, Verdict};

/// The page, with a mark where the run's data goes.
const PAGE: &str = include_str!("page.html");
const MARK: &str = "/*DATA*/null";

/// Writes a run as a page when it is over.
pub struct Html<W> {
    to: W,
    start: Start,
    cases: Vec<Value>,
}

impl<W: Write> Html<W> {
    /// Writes to `to`.
    pub fn new(to: W) -> Self {
        Self {
            to,
            start: Start::default(),
            cases: Vec::new(),
        }
    }

    fn write(&mut self, summary: &Summary) -> io::Result<()> {
        let data = json!({
            "start": self.start,
            "seconds": summary.duration.as_secs_f64(),
            "interrupted": summary.interrupted,
            "verdicts": Verdict::ALL.map(|verdict| json!({ "name": verdict, "good": verdict.is_good() })),
            "cases": self.cases,
        });
        // A script ends at the first `</`, wherever it stands.
        let data = data.to_string().replace("</", "<\\/");
        let (before, after) = PAGE.split_once(MARK).expect("the page has the mark");
        for part in [before, &data, after] {
            self.to.write_all(part.as_bytes())?;
        }
        self.to.flush()
    }
}

impl<W: Write> Reporter for Html<W> {
    fn start(&mut self, start: &Start) {
        self.start = start.clone();
    }

    fn finished(&mut self, case: &str, place: &str, outcome: &Outcome) {
        let failed = !outcome.verdict.is_good()
            || matches!(outcome.verdict, Verdict::Xfail | Verdict::Flaky);
        let report = failed.then(|| failure(case, place, outcome, &self.start.rerun, false));
        self.cases.push(json!({
            "name": case,
            "place": place,
            "verdict": outcome.verdict,
            "reason": outcome.reason,
            "ms": outcome.duration.as_secs_f64() * 1e3,
            "operations": outcome.operations,
            "isolation": outcome.isolation,
            "report": report,
            "qemu": outcome.qemu,
            "timeline": outcome.timeline,
        }));
    }

    fn end(&mut self, summary: &Summary) {
        if let Err(error) = self.write(summary) {
            eprintln!("jig: failed to write the HTML report: {error}");
        }
    }
}
