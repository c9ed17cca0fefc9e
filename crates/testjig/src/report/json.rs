//! JSON lines: one object an event, for tools. The schema is in the book, page "Reports".

use std::io::{self, Write};

use serde::Serialize;
use testjig_vm::Arch;

use crate::report::Reporter;
use crate::runner::{Plan, Summary};
use crate::verdict::{Evidence, Outcome, Verdict};

/// Writes a run as JSON lines.
pub struct JsonLines<W> {
    to: W,
    failed: Option<io::Error>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    Start {
        version: &'static str,
        qemus: Vec<QemuFacts>,
        cases: usize,
        jobs: usize,
    },
    Case {
        name: &'a str,
        place: &'a str,
        verdict: Verdict,
        #[serde(skip_serializing_if = "str::is_empty")]
        reason: &'a str,
        seconds: f64,
        launch_seconds: f64,
        operations: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        evidence: Option<&'a Evidence>,
    },
    End {
        seconds: f64,
        interrupted: bool,
        counts: serde_json::Map<String, serde_json::Value>,
    },
}

#[derive(Serialize)]
struct QemuFacts {
    arch: Arch,
    version: String,
    summary: String,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `to`, flushed after each line.
    pub fn new(to: W) -> Self {
        Self { to, failed: None }
    }

    fn write(&mut self, event: &Event<'_>) {
        if self.failed.is_some() {
            return;
        }
        let written = serde_json::to_writer(&mut self.to, event)
            .map_err(io::Error::from)
            .and_then(|()| self.to.write_all(b"\n"))
            .and_then(|()| self.to.flush());
        if let Err(error) = written {
            eprintln!("jig: failed to write the JSON report: {error}; the run goes on without it");
            self.failed = Some(error);
        }
    }
}

impl<W: Write> Reporter for JsonLines<W> {
    fn start(&mut self, plan: &Plan) {
        self.write(&Event::Start {
            version: env!("CARGO_PKG_VERSION"),
            qemus: plan
                .qemus
                .iter()
                .map(|qemu| QemuFacts {
                    arch: qemu.arch,
                    version: qemu.version.to_string(),
                    summary: qemu.summary(),
                })
                .collect(),
            cases: plan.cases.len(),
            jobs: plan.jobs,
        });
    }

    fn finished(&mut self, case: &str, place: &str, outcome: &Outcome) {
        self.write(&Event::Case {
            name: case,
            place,
            verdict: outcome.verdict,
            reason: &outcome.reason,
            seconds: outcome.duration.as_secs_f64(),
            launch_seconds: outcome.launch.as_secs_f64(),
            operations: outcome.operations,
            evidence: outcome.evidence.as_ref(),
        });
    }

    fn end(&mut self, _: &Plan, summary: &Summary) {
        let counts = Verdict::ALL
            .iter()
            .map(|&verdict| (verdict.to_string(), summary.count(verdict).into()))
            .collect();
        self.write(&Event::End {
            seconds: summary.duration.as_secs_f64(),
            interrupted: summary.interrupted,
            counts,
        });
    }
}
