//! JSON lines: one object an event, for tools, and for [`Record`] to read back. The schema is in the book, page "JSON lines".

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::report::{Reporter, Start};
use crate::runner::Summary;
use crate::timeline::Timeline;
use crate::verdict::{Evidence, Outcome, Verdict};

/// Writes a run as JSON lines.
pub struct JsonLines<W> {
    to: W,
    failed: Option<io::Error>,
}

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Start(Start),
    Case(Box<CaseLine>),
    End {
        seconds: f64,
        interrupted: bool,
        counts: BTreeMap<String, usize>,
    },
    /// From a later version.
    #[serde(other)]
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct CaseLine {
    name: String,
    place: String,
    verdict: Verdict,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
    seconds: f64,
    launch_seconds: f64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    isolation: String,
    operations: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    qemu: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeline: Option<Timeline>,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `to`, flushed after each line.
    pub fn new(to: W) -> Self {
        Self { to, failed: None }
    }

    fn write(&mut self, event: &Event) {
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
    fn start(&mut self, start: &Start) {
        self.write(&Event::Start(start.clone()));
    }

    fn finished(&mut self, case: &str, place: &str, outcome: &Outcome) {
        self.write(&Event::Case(Box::new(CaseLine {
            name: case.to_owned(),
            place: place.to_owned(),
            verdict: outcome.verdict,
            reason: outcome.reason.clone(),
            seconds: outcome.duration.as_secs_f64(),
            launch_seconds: outcome.launch.as_secs_f64(),
            isolation: outcome.isolation.clone(),
            operations: outcome.operations,
            qemu: outcome.qemu.clone(),
            evidence: outcome.evidence.clone(),
            timeline: outcome.timeline.clone(),
        })));
    }

    fn end(&mut self, summary: &Summary) {
        self.write(&Event::End {
            seconds: summary.duration.as_secs_f64(),
            interrupted: summary.interrupted,
            counts: Verdict::ALL
                .iter()
                .map(|&verdict| (verdict.to_string(), summary.count(verdict)))
                .collect(),
        });
    }
}

/// A run that was written as JSON lines.
#[derive(Debug, Default)]
pub struct Record {
    /// How it began.
    pub start: Start,
    /// Its cases in the order in which they ended: name, place, outcome.
    pub cases: Vec<(String, String, Outcome)>,
    /// How long it took; `None` if the record ends before the run did.
    pub duration: Option<Duration>,
    /// Whether a signal ended it early.
    pub interrupted: bool,
}

impl Record {
    /// Reads a record back. Events and fields of later versions are passed over.
    ///
    /// # Errors
    /// At the first line that is no event of such a record, with its number.
    pub fn read(from: impl BufRead) -> Result<Self, RecordError> {
        let mut record = Self::default();
        for (nr, line) in (1..).zip(from.lines()) {
            let event = line
                .and_then(|line| serde_json::from_str(&line).map_err(io::Error::from))
                .map_err(|source| RecordError { line: nr, source })?;
            match event {
                Event::Start(start) => record.start = start,
                Event::Case(case) => {
                    let outcome = Outcome {
                        verdict: case.verdict,
                        reason: case.reason,
                        duration: seconds(case.seconds),
                        launch: seconds(case.launch_seconds),
                        isolation: case.isolation,
                        operations: case.operations,
                        qemu: case.qemu,
                        evidence: case.evidence,
                        timeline: case.timeline,
                    };
                    record.cases.push((case.name, case.place, outcome));
                }
                Event::End {
                    seconds: duration,
                    interrupted,
                    ..
                } => {
                    record.duration = Some(seconds(duration));
                    record.interrupted = interrupted;
                }
                Event::Unknown => {}
            }
        }
        Ok(record)
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// A line that is no event of a recorded run.
#[derive(Debug)]
pub struct RecordError {
    line: usize,
    source: io::Error,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {} is not of a run's record (what `jig run --json FILE` writes): {}",
            self.line, self.source
        )
    }
}

impl std::error::Error for RecordError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
