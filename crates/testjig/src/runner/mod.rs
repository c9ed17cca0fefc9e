//! The runner: hands cases to worker processes, watches their deadlines, and tells reporters what became of them.

mod debug;
mod evidence;
mod exec;
mod isolation;
mod leftovers;
mod memory;
mod pool;
mod protocol;
mod sessions;
mod signals;
mod worker;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use testjig_vm::Qemu;

use crate::case::{Case, Decision, Misfit};
use crate::qemus::Qemus;
use crate::report::{QemuFacts, Reporter, Start};
use crate::verdict::{Evidence, Outcome, Verdict};

pub use isolation::Isolation;
pub(crate) use worker::serve;

/// How long a test may take once its machine is there, unless it says otherwise.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How a person gets hold of a machine before its test begins. Deadlines do not count then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Debug {
    /// The VMM is stopped; the run goes on when somebody lets it go on.
    Stop,
    /// gdb is started on it, on the runner's terminal.
    Gdb,
}

/// What to run, and how.
pub struct Plan {
    /// The cases, in the order to start them.
    pub cases: Vec<Case>,
    /// Registered tests that can't run as written; each is an ERROR.
    pub misfits: Vec<Misfit>,
    /// The QEMUs to run on.
    pub qemus: Qemus,
    /// How many tests run at once.
    pub jobs: usize,
    /// The deadline of a test that does not have its own.
    pub deadline: Duration,
    /// Where to record what did not pass; nowhere if `None`.
    pub log: Option<PathBuf>,
    /// Whether tests write to this process's own standard output and error.
    pub show_output: bool,
    /// How a person runs one case again; the case's name is appended.
    pub rerun: String,
    /// If not empty: the only reasons for which a case may be skipped, each the beginning of one.
    pub accepted_skips: Vec<String>,
    /// Whether cases that pass keep their timelines, too.
    pub timelines: bool,
    /// Whether each machine waits for a person before its test begins.
    pub debug: Option<Debug>,
    /// Whether what was recorded of cases that pass is kept, too.
    pub keep: bool,
    /// Where sessions of cases that pass are written, as files that can be replayed.
    pub record: Option<PathBuf>,
    /// How cases are kept apart.
    pub isolation: Isolation,
    /// How long cases took before, by name: those of one launch then go together, longest first. `None` keeps the order of `cases`.
    pub expected: Option<HashMap<String, Duration>>,
    /// Whether the first case that does not end well is the last that is started. The short cases of a launch then go first.
    pub fail_fast: bool,
    /// Names of cases to run before all others, in this order, unless the order of `cases` is kept.
    pub first: Vec<String>,
}

impl Plan {
    fn start(&self) -> Start {
        Start {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            qemus: self
                .qemus
                .iter()
                .map(|qemu| QemuFacts {
                    arch: qemu.arch,
                    version: version(qemu),
                    summary: qemu.summary(),
                })
                .collect(),
            missing: self.qemus.missing().collect(),
            cases: self.cases.len() + self.misfits.len(),
            jobs: self.jobs,
            rerun: self.rerun.clone(),
        }
    }

    fn accepts(&self, reason: &str) -> bool {
        let accepted = &self.accepted_skips;
        accepted.is_empty()
            || accepted
                .iter()
                .any(|start| reason.starts_with(start.as_str()))
    }
}

/// How a run went.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// One entry a case, in the order they ended.
    pub outcomes: Vec<(String, Outcome)>,
    /// From the first case to the last.
    pub duration: Duration,
    /// Whether a signal ended the run before its last case.
    pub interrupted: bool,
}

impl Summary {
    /// How many cases ended so.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.outcomes
            .iter()
            .filter(|(_, outcome)| outcome.verdict == verdict)
            .count()
    }

    /// How many cases were executed: all but the skipped.
    pub fn executed(&self) -> usize {
        self.outcomes.len() - self.count(Verdict::Skip)
    }

    /// The exit status: 0 green, 1 red, 4 nothing ran, 5 red by set-up alone, 130 interrupted.
    pub fn exit_status(&self) -> u8 {
        let errors = self.count(Verdict::Error);
        let bad = self
            .outcomes
            .iter()
            .filter(|(_, outcome)| !outcome.verdict.is_good())
            .count();
        if self.interrupted {
            130
        } else if bad > errors {
            1
        } else if errors > 0 {
            5
        } else if self.executed() == 0 {
            4
        } else {
            0
        }
    }
}

/// Runs the plan to its end.
///
/// # Errors
/// If no worker can be started at all.
pub fn run(plan: &Plan, reporter: &mut dyn Reporter) -> std::io::Result<Summary> {
    let started = Instant::now();
    // Before anything is said: who reads it may answer with a signal, and one that meets the registration itself would be lost.
    let signals = signals::Signals::catch()?;
    reporter.start(&plan.start());
    let mut summary = Summary::default();
    let mut finish =
        |case: &str, place: &str, mut outcome: Outcome, reporter: &mut dyn Reporter| {
            if outcome.verdict == Verdict::Skip && !plan.accepts(&outcome.reason) {
                let reason = format!(
                    "skipped for a reason that is not accepted: {}",
                    outcome.reason
                );
                outcome = Outcome::without_run(Verdict::Error, reason);
            }
            reporter.finished(case, place, &outcome);
            summary.outcomes.push((case.to_owned(), outcome));
        };

    for misfit in &plan.misfits {
        let mut outcome = Outcome::without_run(Verdict::Error, misfit.problem.clone());
        outcome.evidence = Some(Evidence {
            place: Some(misfit.place.clone()),
            message: misfit.problem.clone(),
            ..Evidence::default()
        });
        finish(&misfit.test, &misfit.place, outcome, reporter);
    }
    let mut runnable = Vec::new();
    for case in &plan.cases {
        let qemu = match plan.qemus.get(case.arch()) {
            Ok(qemu) => qemu,
            Err(reason) => {
                finish(
                    &case.name,
                    &place(case),
                    Outcome::without_run(Verdict::Error, reason),
                    reporter,
                );
                continue;
            }
        };
        match case.decide(qemu) {
            Decision::Run => runnable.push(case),
            Decision::Skip(reason) => {
                let mut outcome = Outcome::without_run(Verdict::Skip, reason);
                outcome.qemu = version(qemu);
                finish(&case.name, &place(case), outcome, reporter);
            }
        }
    }
    let interrupted = pool::run(
        plan,
        &runnable,
        &signals,
        reporter,
        &mut |case, mut outcome, reporter| {
            outcome.qemu = plan
                .qemus
                .get(case.arch())
                .map_or_else(|_| String::new(), version);
            // What is expected is QEMU's failure; the embedded machine has to do better.
            let on_qemu = plan
                .qemus
                .get(case.arch())
                .is_ok_and(|qemu| !qemu.is_embedded());
            if let (true, Some(why)) = (on_qemu, case.test.xfail) {
                outcome = outcome.expected_to_fail(why, &place(case));
            }
            let verdict = outcome.verdict;
            finish(&case.name, &place(case), outcome, reporter);
            verdict
        },
    )?;
    summary.interrupted = interrupted;
    summary.duration = started.elapsed();
    reporter.end(&summary);
    Ok(summary)
}

/// A QEMU's version without what its packager adds.
fn version(qemu: &Qemu) -> String {
    let version = qemu.version.to_string();
    version.split(' ').next().unwrap_or_default().to_owned()
}

fn place(case: &Case) -> String {
    format!("{}:{}", case.test.file, case.test.line)
}

/// As many tests at once as there are cores.
pub fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
