//! [`Minimise`]: a session made as short and as plain as it can be while it still shows the same bug.
//!
//! Delta debugging over what a session is made of, not over its text: operations are left out, in ever smaller runs; then blocks become
//! shorter and emptier, values lose bits, steps of the clock become short, arguments and their properties go. What decides is the
//! signature: a candidate that crashes otherwise is no candidate. Candidates are tried side by side, on forked machines where that is
//! possible. What is handed back was confirmed in processes of its own.

mod candidates;
mod probes;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use testjig_vm::Qemu;

use crate::replay::{Outcome, Replay, ReplayError, Verdict};
use crate::session::{Action, Step, Trace};

use candidates::Pass;
use probes::Probes;

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

/// A search under way.
struct Search<'a, 'w> {
    probes: Probes,
    best: Trace,
    passes: &'static [Pass],
    /// The best ones in their order.
    history: Vec<Trace>,
    tried: u64,
    begin: Instant,
    end: Instant,
    stop: &'a AtomicBool,
    watch: &'w mut dyn FnMut(&Progress<'_>),
}

impl Search<'_, '_> {
    fn is_over(&self) -> Option<Stopped> {
        if self.stop.load(Ordering::Relaxed) {
            Some(Stopped::Interrupted)
        } else if Instant::now() >= self.end {
            Some(Stopped::Budget)
        } else {
            None
        }
    }

    /// Tries candidates side by side; the first of them that shows the bug becomes the best. Its index, if there is one.
    fn attempt(
        &mut self,
        phase: &'static str,
        candidates: Vec<Trace>,
    ) -> Result<Option<usize>, MinimiseError> {
        self.tried += candidates.len() as u64;
        let found = self.probes.first(&candidates)?;
        if let Some(index) = found {
            let mut candidates = candidates;
            self.best = candidates.swap_remove(index);
            self.history.push(self.best.clone());
        }
        (self.watch)(&Progress {
            phase,
            probes: self.tried,
            elapsed: self.begin.elapsed(),
            best: &self.best,
            is_better: found.is_some(),
        });
        Ok(found)
    }

    /// Nothing after the operation that was not answered is needed, most of the time.
    fn cut_after(&mut self, outcome: &Outcome) -> Result<(), MinimiseError> {
        let mut lengths = Vec::new();
        for more in [1, 8, 64] {
            let length = outcome.answered as usize + more;
            if length < self.best.steps.len() {
                lengths.push(length);
            }
        }
        let candidates = lengths.iter().map(|&length| {
            let mut candidate = self.best.clone();
            candidate.steps.truncate(length);
            candidate
        });
        let candidates: Vec<Trace> = candidates.collect();
        self.attempt("operations", candidates)?;
        Ok(())
    }

    /// All passes, until none makes anything smaller.
    fn all(&mut self) -> Result<Stopped, MinimiseError> {
        loop {
            let before = self.history.len();
            if let Some(stopped) = self.operations()? {
                return Ok(stopped);
            }
            for &pass in self.passes {
                if let Some(stopped) = self.pass(pass)? {
                    return Ok(stopped);
                }
            }
            if self.history.len() == before {
                return Ok(Stopped::Minimal);
            }
        }
    }

    /// Leaves operations out, in ever smaller runs.
    fn operations(&mut self) -> Result<Option<Stopped>, MinimiseError> {
        let mut run = self.best.steps.len().div_ceil(2).max(1);
        loop {
            let mut at = 0;
            let mut is_shorter = false;
            while at < self.best.steps.len() {
                if let Some(stopped) = self.is_over() {
                    return Ok(Some(stopped));
                }
                let count = self.best.steps.len();
                let starts: Vec<usize> =
                    (at..count).step_by(run).take(self.probes.jobs()).collect();
                let candidates = starts.iter().map(|&start| {
                    let mut candidate = self.best.clone();
                    candidate.steps.drain(start..count.min(start + run));
                    candidate
                });
                let candidates: Vec<Trace> = candidates.collect();
                match self.attempt("operations", candidates)? {
                    Some(index) => {
                        is_shorter = true;
                        at = starts[index];
                    }
                    None => at += run * starts.len(),
                }
            }
            if run == 1 && !is_shorter {
                return Ok(None);
            }
            if !is_shorter || run > self.best.steps.len() {
                run = (run / 2).max(1);
            }
        }
    }

    /// One kind of simplification, at every place, as often as it helps.
    fn pass(&mut self, pass: Pass) -> Result<Option<Stopped>, MinimiseError> {
        let mut at = 0;
        loop {
            let candidates: Vec<Trace> = pass.candidates(&self.best, at, self.probes.jobs());
            if candidates.is_empty() {
                return Ok(None);
            }
            if let Some(stopped) = self.is_over() {
                return Ok(Some(stopped));
            }
            let count = candidates.len();
            match self.attempt(pass.name(), candidates)? {
                // What stands at this place now is another candidate.
                Some(index) => at += index,
                None => at += count,
            }
        }
    }
}
