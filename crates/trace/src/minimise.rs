//! [`Minimise`]: a session made as short and as plain as it can be while it still shows the same bug.
//!
//! Delta debugging over what a session is made of, not over its text: operations are left out, in ever smaller runs; then blocks become
//! shorter and emptier, values lose bits, steps of the clock become short, arguments and their properties go. What decides is the
//! signature: a candidate that crashes otherwise is no candidate. Candidates are tried side by side, on forked machines where that is
//! possible. What is handed back was confirmed in processes of its own.

mod candidates;
mod probes;
mod search;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use testjig_vm::Qemu;

use crate::outcome::{Outcome, Verdict};
use crate::replay::{Replay, ReplayError};
use crate::session::{Action, Step, Trace};

use candidates::Pass;
use probes::Probes;
use search::Search;

/// How to minimise.
#[derive(Clone, Debug)]
pub struct Minimise {
    /// How sessions are carried out.
    pub replay: Replay,
    /// How many candidates are tried at once, at least 1.
    pub jobs: usize,
    /// How long it may take, without the confirmation.
    pub budget: Duration,
    /// How often the result must show the bug, each time in a process of its own.
    pub confirmations: usize,
    /// Whether machines may be forked.
    pub forks: bool,
}

impl Default for Minimise {
    fn default() -> Self {
        Self {
            replay: Replay::default(),
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            budget: Duration::from_secs(300),
            confirmations: 20,
            forks: true,
        }
    }
}

/// How far it is.
#[derive(Clone, Debug)]
pub struct Progress<'a> {
    /// What is being made smaller.
    pub phase: &'static str,
    /// Candidates tried.
    pub probes: u64,
    /// Since the start.
    pub elapsed: Duration,
    /// The best so far.
    pub best: &'a Trace,
    /// Whether it has just become better.
    pub is_better: bool,
}

/// A session that was minimised.
#[derive(Clone, Debug)]
pub struct Minimised {
    /// The session, which showed the bug each time.
    pub trace: Trace,
    /// The bug's signature.
    pub signature: String,
    /// Candidates tried.
    pub probes: u64,
    /// How long it took.
    pub took: Duration,
    /// How often the session was confirmed.
    pub confirmed: usize,
    /// Why it stopped.
    pub stopped: Stopped,
    /// What was removed, in words.
    pub removed: Vec<String>,
}

/// Why minimising stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Nothing could be taken away any more.
    Minimal,
    /// The time was up.
    Budget,
    /// Whoever asked for it stopped it.
    Interrupted,
}

/// Why there is nothing to hand back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MinimiseError {
    /// The session shows no bug.
    #[error("there is nothing to minimise: the session {0}")]
    NoBug(Verdict),
    /// The session shows its bug only sometimes.
    #[error(
        "the session shows {signature} in {times} of {of} runs: a bug that depends on chance can't be minimised; see whether it needs the host's time"
    )]
    Unstable {
        /// The bug.
        signature: String,
        /// How often.
        times: usize,
        /// Of how many runs.
        of: usize,
    },
    /// A machine did not start.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// What tells whether a candidate shows the same bug.
pub(crate) fn key(outcome: &Outcome) -> Option<String> {
    let signature = outcome.verdict.signature()?;
    Some(match (&outcome.verdict, &outcome.difference) {
        (Verdict::Differs(_), Some(difference)) => {
            format!("{}: {} → {}", signature, difference.request, difference.got)
        }
        (Verdict::Differs(what), None) => format!("{signature}: {what}"),
        _ => signature,
    })
}

impl Minimise {
    /// Minimises. `watch` is told after each round of candidates.
    ///
    /// # Errors
    /// If the session shows no bug, or does so by chance only, or is refused, or a machine does not start. What is handed back has
    /// been confirmed.
    pub fn run(
        &self,
        trace: &Trace,
        qemu: &Qemu,
        stop: &AtomicBool,
        watch: &mut dyn FnMut(&Progress<'_>),
    ) -> Result<Minimised, MinimiseError> {
        let begin = Instant::now();
        let outcome = self.replay.run(trace, qemu)?;
        let Some(wanted) = key(&outcome) else {
            return Err(MinimiseError::NoBug(outcome.verdict));
        };
        let hangs = outcome.verdict == Verdict::Hung;
        let mut confirmation = self.replay.clone();
        let mut replay = self.replay.clone();
        if hangs {
            // Each that shows it takes as long as this.
            confirmation.patience = confirmation.patience.min(Duration::from_secs(1));
            replay.patience = replay.patience.min(Duration::from_millis(500));
        }
        let confirm =
            |trace: &Trace, times: usize| self.confirm(&confirmation, trace, qemu, &wanted, times);
        let first = confirm(trace, 3)?;
        if first < 3 {
            return Err(MinimiseError::Unstable {
                signature: wanted,
                times: first + 1,
                of: 4,
            });
        }
        let plain = without_ornaments(trace, &outcome);
        let mut search = Search {
            probes: Probes::start(qemu, &replay, &plain.header, &wanted, self),
            best: trace.clone(),
            // What the right answer is depends on what was written.
            passes: match outcome.verdict {
                Verdict::Differs(_) => &[Pass::Arguments],
                _ => &Pass::ALL,
            },
            history: vec![trace.clone()],
            failed: HashSet::new(),
            tried: 0,
            begin,
            end: begin + self.budget,
            stop,
            watch,
        };
        search.attempt("replies", vec![plain])?;
        search.cut_after(&outcome)?;
        let stopped = search.all()?;
        let (history, tried) = (search.history, search.tried);

        // The last that holds: a candidate that showed the bug once may owe that to chance.
        let mut times = 0;
        for candidate in history.iter().rev() {
            times = confirm(candidate, self.confirmations)?;
            if times == self.confirmations {
                return Ok(Minimised {
                    removed: removed(trace, candidate),
                    trace: candidate.clone(),
                    signature: wanted,
                    probes: tried,
                    took: begin.elapsed(),
                    confirmed: times,
                    stopped,
                });
            }
        }
        Err(MinimiseError::Unstable {
            signature: wanted,
            times,
            of: self.confirmations,
        })
    }

    /// How often the session shows the bug, each time in a process of its own, several at once; no more are tried once it does not.
    fn confirm(
        &self,
        replay: &Replay,
        trace: &Trace,
        qemu: &Qemu,
        wanted: &str,
        times: usize,
    ) -> Result<usize, ReplayError> {
        let (begun, shown) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let missed = AtomicBool::new(false);
        let work = || -> Result<(), ReplayError> {
            while !missed.load(Ordering::Relaxed) && begun.fetch_add(1, Ordering::Relaxed) < times {
                let outcome = replay.run(trace, qemu)?;
                if key(&outcome).as_deref() == Some(wanted) {
                    shown.fetch_add(1, Ordering::Relaxed);
                } else {
                    missed.store(true, Ordering::Relaxed);
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.jobs.max(1)).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| {
                // A thread that panics has confirmed nothing.
                worker.join().unwrap_or(Ok(()))
            })
        })?;
        Ok(shown.into_inner())
    }
}

/// The session without comments, and without answers but the one that makes the difference.
fn without_ornaments(trace: &Trace, outcome: &Outcome) -> Trace {
    let differs = matches!(outcome.verdict, Verdict::Differs(_));
    let kept = outcome
        .difference
        .as_ref()
        .map(|difference| difference.step);
    let edges_differ = differs && kept.is_none();
    let steps = trace.steps.iter().enumerate().filter_map(|(at, step)| {
        let action = match &step.action {
            Action::Nothing => return None,
            Action::Edge { .. } if !edges_differ => return None,
            Action::Do(command, Some(_)) if !(differs && kept == Some(at)) => {
                Action::Do(command.clone(), None)
            }
            action => action.clone(),
        };
        Some(Step::new(action))
    });
    Trace {
        header: trace.header.clone(),
        steps: steps.collect(),
    }
}

/// What is different, in words.
fn removed(from: &Trace, to: &Trace) -> Vec<String> {
    let mut words = Vec::new();
    let mut count = |what: &str, before: usize, after: usize| {
        if after < before {
            words.push(format!("{} of {before} {what}", before - after));
        }
    };
    count("operations", from.operations(), to.operations());
    count("bytes of blocks", bytes(from), bytes(to));
    count(
        "words of the command line",
        from.header.args.len(),
        to.header.args.len(),
    );
    count("disks", from.header.disks.len(), to.header.disks.len());
    words
}

fn bytes(trace: &Trace) -> usize {
    trace
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Do(testjig_qtest::Command::WriteBlock { data, .. }, _) => {
                Some(data.bytes().len())
            }
            _ => None,
        })
        .sum()
}
