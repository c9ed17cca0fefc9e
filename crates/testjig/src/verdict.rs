//! Verdicts, and what is known about a test that did not pass.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::timeline::Timeline;

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// The property holds.
    Pass,
    /// It can't be tried here; the reason is given.
    Skip,
    /// It failed, and passed when it was tried again: the test says why it is unstable.
    Flaky,
    /// The property does not hold, which is known: the test says why it is expected to fail.
    Xfail,
    /// The property does not hold.
    Fail,
    /// The VMM died.
    Crash,
    /// The VMM, or the test, did not come to an end by its deadline.
    Hang,
    /// The test left something behind.
    Leak,
    /// The property holds although the test is expected to fail: what it waits for was mended.
    Xpass,
    /// The set-up failed: nothing is known about the property.
    Error,
}

impl Verdict {
    /// All verdicts, in the order of reports.
    pub const ALL: [Self; 10] = [
        Self::Pass,
        Self::Skip,
        Self::Flaky,
        Self::Xfail,
        Self::Fail,
        Self::Crash,
        Self::Hang,
        Self::Leak,
        Self::Xpass,
        Self::Error,
    ];

    /// Whether a run with this verdict is green.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Pass | Self::Skip | Self::Flaky | Self::Xfail)
    }

    /// As reports count it: "3 passed".
    pub fn participle(self) -> &'static str {
        match self {
            Self::Pass => "passed",
            Self::Skip => "skipped",
            Self::Flaky => "flaky",
            Self::Xfail => "failed as expected",
            Self::Fail => "failed",
            Self::Crash => "crashed",
            Self::Hang => "hung",
            Self::Leak => "leaked",
            Self::Xpass => "passed unexpectedly",
            Self::Error => "in error",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "PASS",
            Self::Skip => "SKIP",
            Self::Flaky => "FLAKY",
            Self::Xfail => "XFAIL",
            Self::Fail => "FAIL",
            Self::Crash => "CRASH",
            Self::Hang => "HANG",
            Self::Leak => "LEAK",
            Self::Xpass => "XPASS",
            Self::Error => "ERROR",
        })
    }
}

/// How one case ended, and what it cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// One line: what went wrong, why it was skipped, or why it was expected to fail. Empty for a pass.
    pub reason: String,
    /// From the start of the VMM to its end.
    pub duration: Duration,
    /// Of that, until the machine was there.
    pub launch: Duration,
    /// How it was kept from other cases: `fork`, or `fresh` with the reason in parentheses if forks were wanted; empty if it did not run.
    #[serde(default)]
    pub isolation: String,
    /// Operations on the wire.
    pub operations: u64,
    /// Version of the QEMU that it ran on; empty if it did not run.
    pub qemu: String,
    /// The evidence, for every verdict that is not good, for an expected failure, and for one of an unstable test.
    pub evidence: Option<Evidence>,
    /// What was done to the machine: for every failure, expected or not, and for all where the run keeps timelines.
    pub timeline: Option<Timeline>,
}

impl Outcome {
    /// Whether the case is in error before anything of it ran: for want of a QEMU, or skipped for a reason that is not accepted.
    pub fn is_unrun_error(&self) -> bool {
        self.verdict == Verdict::Error && self.evidence.is_none()
    }

    /// What becomes of the outcome of a test that is expected to fail for this reason. A skip or a failed set-up says nothing about it.
    #[must_use]
    pub fn expected_to_fail(mut self, why: &str, place: &str) -> Self {
        match self.verdict {
            Verdict::Pass => {
                self.verdict = Verdict::Xpass;
                self.reason = format!("it passes, and is expected to fail: {why}");
                self.evidence = Some(Evidence {
                    place: Some(place.to_owned()),
                    message: format!(
                        "{}\nif that was mended, take `xfail` off the test",
                        self.reason
                    ),
                    ..Evidence::default()
                });
            }
            Verdict::Fail | Verdict::Crash | Verdict::Hang | Verdict::Leak => {
                self.verdict = Verdict::Xfail;
                why.clone_into(&mut self.reason);
            }
            Verdict::Skip | Verdict::Flaky | Verdict::Error | Verdict::Xfail | Verdict::Xpass => {}
        }
        self
    }

    /// What becomes of the outcomes of a test that is unstable for this reason, in the order in which it was tried.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn of_unstable(mut tries: Vec<Self>, why: &str) -> Self {
        let good = tries
            .iter()
            .filter(|outcome| outcome.verdict.is_good())
            .count();
        let (count, first_failed) = (tries.len(), !tries[0].verdict.is_good());
        if !first_failed || good == 0 {
            return tries.pop().expect("it was tried");
        }
        // The evidence is what a person wants to see of it.
        let mut outcome = tries.swap_remove(0);
        outcome.verdict = Verdict::Flaky;
        outcome.reason = format!("passed {good} of {count} times: {why}");
        outcome
    }

    /// An outcome without a run behind it.
    pub fn without_run(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            verdict,
            reason: reason.into(),
            duration: Duration::ZERO,
            launch: Duration::ZERO,
            isolation: String::new(),
            operations: 0,
            qemu: String::new(),
            evidence: None,
            timeline: None,
        }
    }
}

/// What a person needs to understand a failure without a debugger.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// The line of the test, `suite/src/rtc.rs:14`.
    pub place: Option<String>,
    /// The whole message, its first line being the outcome's reason.
    pub message: String,
    /// Named facts, in order: interrupt levels, registers as last seen, the last operations.
    pub facts: Vec<Fact>,
    /// The end of what the VMM wrote to its standard error.
    pub stderr: String,
    /// What the test itself printed.
    pub output: String,
    /// The directory with all that was recorded.
    pub log: Option<PathBuf>,
}

/// One row of the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is about: `irq 8`, `rtc`, `last`.
    pub subject: String,
    /// What is known, one line each.
    pub lines: Vec<String>,
}

impl Fact {
    /// A fact of one line.
    pub fn new(subject: impl Into<String>, line: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            lines: vec![line.into()],
        }
    }
}
