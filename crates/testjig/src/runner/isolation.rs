//! How a case is kept from those before and after it: machines forked from templates, or started for it alone.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use testjig_vm::{Arch, Launch, LaunchError, LaunchOptions, Nascent, Qemu, Template, Vm};

use crate::case::Case;
use crate::runner::memory;
use crate::verdict::{Outcome, Verdict};

/// What a run does to keep its cases apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// A fork where that is sound and saves time, else a process started for the case; the embedded machine is in the worker's thread.
    /// What does not end well so is confirmed by a process that was started.
    #[default]
    Automatic,
    /// A fork wherever that is sound, even if only one case has that launch. Not confirmed.
    Fork,
    /// A process started for each case.
    Fresh,
    /// Both, one after the other; where they end differently the case fails.
    Compare,
}

/// How one case is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum How {
    /// In a fork, or in the worker's thread, if that can be had.
    Fork,
    /// In a process of its own, since no other case has its launch.
    Alone,
    /// In a process of its own, since it is so wanted.
    Fresh,
}

/// Fewer cases of one launch are sooner done without a template: it takes as long to start as a machine, a fork a tenth of it.
const WORTH_A_TEMPLATE: usize = 2;
/// The most templates of one worker: that of its cases, and those of the launches it came from. Where memory is short it is only one.
const MOST: usize = 3;

/// What a launch is by, for counting and sorting; two that collide are only scheduled worse.
pub(super) fn key(case: &Case) -> u64 {
    let mut hasher = DefaultHasher::new();
    case.launch().hash(&mut hasher);
    hasher.finish()
}

/// How each case is to be run first, by the keys of all, and by whether its machine can be in the worker's thread.
pub(super) fn choose(
    isolation: Isolation,
    keys: &[u64],
    is_here: impl Fn(usize) -> bool,
) -> Vec<How> {
    let mut counts: HashMap<u64, usize> = HashMap::new();
    for key in keys {
        *counts.entry(*key).or_default() += 1;
    }
    keys.iter()
        .enumerate()
        .map(|(index, key)| match isolation {
            Isolation::Fresh => How::Fresh,
            Isolation::Automatic if counts[key] < WORTH_A_TEMPLATE && !is_here(index) => How::Alone,
            Isolation::Automatic | Isolation::Fork | Isolation::Compare => How::Fork,
        })
        .collect()
}

/// Whether a case that ended so in a fork is run again in a fresh process.
pub(super) fn is_confirmed(isolation: Isolation, outcome: &Outcome) -> bool {
    is_light(&outcome.isolation)
        && match isolation {
            Isolation::Automatic => !outcome.verdict.is_good(),
            Isolation::Compare => true,
            Isolation::Fork | Isolation::Fresh => false,
        }
}

/// What becomes of a case that was run in a fork and then in a fresh process.
pub(super) fn settle(forked: Outcome, mut fresh: Outcome) -> Outcome {
    if forked.verdict.is_good() == fresh.verdict.is_good() {
        if fresh.verdict.is_good() && forked.verdict == fresh.verdict {
            return forked;
        }
        fresh.isolation = format!("fresh ({}: {})", place(&forked), forked.verdict);
        return fresh;
    }
    let told = |outcome: &Outcome| match outcome.reason.as_str() {
        "" => outcome.verdict.to_string(),
        reason => format!("{}: {reason}", outcome.verdict),
    };
    let reason = format!(
        "it ends differently {} ({}) and in a fresh process ({}): either the test is unstable, or testjig keeps its cases apart badly, \
         which is a bug of it",
        place(&forked),
        told(&forked),
        told(&fresh)
    );
    let mut worse = if forked.verdict.is_good() {
        fresh
    } else {
        forked
    };
    worse.verdict = Verdict::Fail;
    if let Some(evidence) = &mut worse.evidence {
        evidence.message = format!("{reason}\n{}", evidence.message);
    }
    worse.reason = reason;
    worse
}

/// Where the machine of a case was that was not started for it, in a sentence.
fn place(outcome: &Outcome) -> &str {
    if outcome.isolation == FORK {
        "in a fork"
    } else {
        &outcome.isolation
    }
}

pub(super) const FORK: &str = "fork";
/// Of the embedded machine.
const HERE: &str = "in the worker's thread";

/// Whether a case had no process that was started for it.
pub(super) fn is_light(isolation: &str) -> bool {
    isolation == FORK || isolation == HERE
}

/// The templates of a worker, that used last at the end.
#[derive(Default)]
pub(super) struct Templates {
    known: Vec<Known>,
    /// That of the launch which comes next, and of which architecture.
    next: Option<(Arch, Nascent)>,
}

struct Known {
    arch: Arch,
    launch: Launch,
    template: Result<Template, String>,
}

impl Templates {
    /// The machine of a case, if it wants one, and how it came to be.
    pub(super) fn machine(
        &mut self,
        qemu: &Qemu,
        case: &Case,
        launch: &Launch,
        how: How,
    ) -> Result<(Option<Vm>, String), LaunchError> {
        if !case.wants_vm() {
            return Ok((None, "fresh (it starts its own machines)".to_owned()));
        }
        let reason = match how {
            How::Fresh => String::new(),
            How::Alone => "no other case has its launch".to_owned(),
            How::Fork if qemu.is_here() => {
                return Ok((Some(qemu.launch_here(launch)?), HERE.to_owned()));
            }
            How::Fork => match self.fork(qemu, launch) {
                Ok(vm) => return Ok((Some(vm), FORK.to_owned())),
                Err(reason) => reason,
            },
        };
        let vm = qemu.launch(launch, &LaunchOptions::default())?;
        let isolation = match reason.as_str() {
            "" => "fresh".to_owned(),
            reason => format!("fresh ({reason})"),
        };
        Ok((Some(vm), isolation))
    }

    fn fork(&mut self, qemu: &Qemu, launch: &Launch) -> Result<Vm, String> {
        if let Some(reason) = qemu.unforkable().or_else(|| launch.unforkable()) {
            return Err(reason.to_owned());
        }
        let index = self
            .known
            .iter()
            .position(|known| known.arch == qemu.arch && known.launch.is_same_machine(launch));
        let known = if let Some(index) = index {
            self.known.remove(index)
        } else {
            let room = if memory::is_short() { 0 } else { MOST - 1 };
            let surplus = self.known.len().saturating_sub(room);
            self.known.drain(..surplus);
            let begun = self.next.take().filter(|(arch, begun)| {
                *arch == qemu.arch && begun.launch().is_same_machine(launch)
            });
            let begun = match begun {
                Some((_, begun)) => Ok(begun),
                None => qemu.begin_template(launch, &LaunchOptions::default()),
            };
            Known {
                arch: qemu.arch,
                launch: launch.clone(),
                template: begun
                    .and_then(Nascent::finish)
                    .map_err(|_| "its template did not start".to_owned()),
            }
        };
        self.known.push(known);
        let known = self.known.last_mut().expect("it was pushed");
        let template = known.template.as_ref().map_err(Clone::clone)?;
        match template.fork(launch.is_clock_forbidden()) {
            Ok(vm) => Ok(vm),
            Err(error) => {
                let reason = error.reason().to_owned();
                known.template = Err(reason.clone());
                Err(reason)
            }
        }
    }

    /// Begins with the template of a case that comes later, unless it is there or there is no room for one more.
    pub(super) fn begin(&mut self, qemu: &Qemu, case: &Case) {
        let launch = case.launch();
        let is_known =
            |known: &Known| known.arch == qemu.arch && known.launch.is_same_machine(&launch);
        let is_impossible = qemu.unforkable().or_else(|| launch.unforkable()).is_some();
        if is_impossible || self.known.iter().any(is_known) || memory::is_short() {
            return;
        }
        // If it does not start, whoever needs it is told why.
        let begun = qemu.begin_template(&launch, &LaunchOptions::default());
        self.next = begun.ok().map(|begun| (qemu.arch, begun));
    }

    /// The processes that are no leftovers of a test.
    pub(super) fn pids(&self) -> Vec<u32> {
        let known = self.known.iter();
        let known = known.filter_map(|known| known.template.as_ref().ok());
        let next = self.next.iter().map(|(_, begun)| begun.pid());
        known.map(Template::pid).chain(next).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(verdict: Verdict, isolation: &str) -> Outcome {
        Outcome {
            isolation: isolation.to_owned(),
            ..Outcome::without_run(verdict, if verdict.is_good() { "" } else { "why" })
        }
    }

    #[test]
    fn a_launch_of_one_case_gets_no_template() {
        let chosen = choose(Isolation::Automatic, &[1, 2, 1], |_| false);
        assert_eq!(chosen, [How::Fork, How::Alone, How::Fork]);
        assert_eq!(choose(Isolation::Automatic, &[1], |_| true), [How::Fork]);
        assert_eq!(choose(Isolation::Fork, &[1], |_| false), [How::Fork]);
        assert_eq!(
            choose(Isolation::Fresh, &[1, 1, 1], |_| true),
            [How::Fresh; 3]
        );
    }

    #[test]
    fn what_fails_in_a_fork_is_confirmed_and_what_passes_is_not() {
        let confirmed =
            |verdict, isolation| is_confirmed(Isolation::Automatic, &outcome(verdict, isolation));
        assert!(confirmed(Verdict::Fail, "fork"));
        assert!(confirmed(Verdict::Crash, "fork"));
        assert!(confirmed(Verdict::Fail, HERE));
        assert!(!confirmed(Verdict::Pass, "fork"));
        assert!(!confirmed(Verdict::Fail, "fresh"));
        assert!(is_confirmed(
            Isolation::Compare,
            &outcome(Verdict::Pass, "fork")
        ));
    }

    #[test]
    fn a_failure_in_a_fork_that_passes_fresh_is_no_pass() {
        let settled = settle(
            outcome(Verdict::Hang, "fork"),
            outcome(Verdict::Pass, "fresh"),
        );
        assert_eq!(settled.verdict, Verdict::Fail);
        assert!(settled.reason.contains("HANG: why"), "{}", settled.reason);
        let settled = settle(
            outcome(Verdict::Pass, "fork"),
            outcome(Verdict::Fail, "fresh"),
        );
        assert_eq!(settled.verdict, Verdict::Fail);
    }

    #[test]
    fn a_confirmed_failure_is_reported_as_the_fresh_one() {
        let settled = settle(
            outcome(Verdict::Hang, "fork"),
            outcome(Verdict::Crash, "fresh"),
        );
        assert_eq!(settled.verdict, Verdict::Crash);
        assert_eq!(settled.isolation, "fresh (in a fork: HANG)");
        let settled = settle(
            outcome(Verdict::Fail, HERE),
            outcome(Verdict::Crash, "fresh"),
        );
        assert_eq!(settled.isolation, "fresh (in the worker's thread: FAIL)");
    }

    #[test]
    fn agreement_on_a_pass_is_the_fork_s() {
        let settled = settle(
            outcome(Verdict::Pass, "fork"),
            outcome(Verdict::Pass, "fresh"),
        );
        assert_eq!(settled.verdict, Verdict::Pass);
        assert_eq!(settled.isolation, "fork");
    }
}
