//! [`Search`]: which parts of a session can go.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::candidates::Pass;
use super::probes::Probes;
use super::{MinimiseError, Progress, Stopped};
use crate::outcome::Outcome;
use crate::session::Trace;

/// A search under way.
pub(super) struct Search<'a, 'w> {
    pub(super) probes: Probes,
    pub(super) best: Trace,
    pub(super) passes: &'static [Pass],
    /// The best ones in their order.
    pub(super) history: Vec<Trace>,
    /// Digests of those that did not show the bug.
    pub(super) failed: HashSet<u64>,
    pub(super) tried: u64,
    pub(super) begin: Instant,
    pub(super) end: Instant,
    pub(super) stop: &'a AtomicBool,
    pub(super) watch: &'w mut dyn FnMut(&Progress<'_>),
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

    /// Tries candidates side by side; which of them show the bug. What did not show it once is not tried again.
    fn shown(
        &mut self,
        phase: &'static str,
        candidates: &[Trace],
    ) -> Result<Vec<usize>, MinimiseError> {
        let known: Vec<u64> = candidates.iter().map(digest).collect();
        let new = (0..candidates.len()).filter(|&at| !self.failed.contains(&known[at]));
        let new: Vec<usize> = new.collect();
        self.tried += new.len() as u64;
        let results = self.probes.shown(new.iter().map(|&at| &candidates[at]))?;
        let mut shown = Vec::new();
        for (at, shows) in new.into_iter().zip(results) {
            if shows {
                shown.push(at);
            } else {
                self.failed.insert(known[at]);
            }
        }
        self.tell(phase, false);
        Ok(shown)
    }

    fn accept(&mut self, phase: &'static str, better: Trace) {
        self.history.push(better.clone());
        self.best = better;
        self.tell(phase, true);
    }

    fn tell(&mut self, phase: &'static str, is_better: bool) {
        (self.watch)(&Progress {
            phase,
            probes: self.tried,
            elapsed: self.begin.elapsed(),
            best: &self.best,
            is_better,
        });
    }

    /// Tries candidates side by side; the first of them that shows the bug becomes the best. Its index, if there is one.
    pub(super) fn attempt(
        &mut self,
        phase: &'static str,
        mut candidates: Vec<Trace>,
    ) -> Result<Option<usize>, MinimiseError> {
        let first = self.shown(phase, &candidates)?.first().copied();
        if let Some(index) = first {
            self.accept(phase, candidates.swap_remove(index));
        }
        Ok(first)
    }

    /// Nothing after the operation that was not answered is needed, most of the time.
    pub(super) fn cut_after(&mut self, outcome: &Outcome) -> Result<(), MinimiseError> {
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

    /// All passes in turn, until none makes anything smaller.
    pub(super) fn all(&mut self) -> Result<Stopped, MinimiseError> {
        let passes = self.passes;
        let mut idle = 0;
        let mut turn = (0..=passes.len()).cycle();
        while idle <= passes.len() {
            let before = self.history.len();
            let stopped = match turn.next().unwrap_or_default() {
                0 => self.operations()?,
                number => self.pass(passes[number - 1])?,
            };
            if let Some(stopped) = stopped {
                return Ok(stopped);
            }
            idle = if self.history.len() == before {
                idle + 1
            } else {
                0
            };
        }
        Ok(Stopped::Minimal)
    }

    /// Leaves operations out, in ever smaller runs.
    fn operations(&mut self) -> Result<Option<Stopped>, MinimiseError> {
        let mut run = self.best.steps.len().div_ceil(2).max(1);
        loop {
            let before = self.best.steps.len();
            if let Some(stopped) = self.runs_of(run)? {
                return Ok(Some(stopped));
            }
            let is_shorter = self.best.steps.len() < before;
            if run == 1 && !is_shorter {
                return Ok(None);
            }
            run = (run / 2).max(1);
        }
    }

    /// Leaves out each run of so many operations that is not needed.
    fn runs_of(&mut self, run: usize) -> Result<Option<Stopped>, MinimiseError> {
        const PHASE: &str = "operations";
        let mut at = 0;
        while at < self.best.steps.len() {
            if let Some(stopped) = self.is_over() {
                return Ok(Some(stopped));
            }
            let count = self.best.steps.len();
            let starts = (at..count).step_by(run).take(self.probes.jobs());
            let runs: Vec<_> = starts.map(|start| start..count.min(start + run)).collect();
            let candidates: Vec<Trace> = runs
                .iter()
                .map(|range| without(&self.best, std::slice::from_ref(range)))
                .collect();
            let shown = self.shown(PHASE, &candidates)?;
            let mut gone: Vec<Range<usize>> = shown.iter().map(|&at| runs[at].clone()).collect();
            let mut candidate = shown.first().map(|&first| candidates[first].clone());
            if gone.len() > 1 {
                // What can go by itself can go together, most of the time.
                let union = without(&self.best, &gone);
                if self.shown(PHASE, std::slice::from_ref(&union))?.is_empty() {
                    gone.truncate(1);
                } else {
                    candidate = Some(union);
                }
            }
            at = runs.last().map_or(count, |last| last.end);
            if let Some(candidate) = candidate {
                if gone.len() < shown.len() {
                    // The others have not been looked at without the first.
                    at = gone[0].end;
                }
                at -= gone.iter().map(ExactSizeIterator::len).sum::<usize>();
                self.accept(PHASE, candidate);
            }
        }
        Ok(None)
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

/// The session without these runs of steps, which are in order.
fn without(trace: &Trace, runs: &[Range<usize>]) -> Trace {
    let mut shorter = trace.clone();
    for range in runs.iter().rev() {
        shorter.steps.drain(range.clone());
    }
    shorter
}

fn digest(trace: &Trace) -> u64 {
    let mut hasher = DefaultHasher::new();
    trace.to_string().hash(&mut hasher);
    hasher.finish()
}
