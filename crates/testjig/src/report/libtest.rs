//! The output of Rust's own test harness, for `cargo test` and what reads it.

use std::collections::BTreeSet;

use crate::report::{Reporter, Start, failure};
use crate::runner::Summary;
use crate::verdict::{Outcome, Verdict};

/// Reports as Rust's own test harness does.
pub struct Libtest {
    /// Cases that the filters left out.
    pub filtered_out: usize,
    /// One character a test instead of one line.
    pub quiet: bool,
    failures: String,
    unrun: BTreeSet<String>,
    rerun: String,
}

impl Libtest {
    /// A reporter for a run of which `filtered_out` cases are no part.
    pub fn new(filtered_out: usize, quiet: bool) -> Self {
        Self {
            filtered_out,
            quiet,
            failures: String::new(),
            unrun: BTreeSet::new(),
            rerun: String::new(),
        }
    }
}

impl Reporter for Libtest {
    fn start(&mut self, start: &Start) {
        self.rerun.clone_from(&start.rerun);
        let count = start.cases;
        println!(
            "\nrunning {count} test{}",
            if count == 1 { "" } else { "s" }
        );
    }

    fn finished(&mut self, case: &str, place: &str, outcome: &Outcome) {
        let word = match outcome.verdict {
            Verdict::Pass => "... ok".to_owned(),
            Verdict::Skip => format!("... ignored, {}", outcome.reason),
            // As Rust's harness shows a test that should panic.
            Verdict::Xfail => format!("- should fail, {} ... ok", outcome.reason),
            Verdict::Flaky => format!("... ok (flaky: {})", outcome.reason),
            verdict => format!("... FAILED ({verdict})"),
        };
        if self.quiet {
            print!("{}", if outcome.verdict.is_good() { '.' } else { 'F' });
        } else {
            println!("test {case} {word}");
        }
        if outcome.is_unrun_error() {
            self.unrun.insert(outcome.reason.clone());
        } else if !outcome.verdict.is_good() {
            self.failures
                .push_str(&failure(case, place, outcome, &self.rerun, false));
            self.failures.push('\n');
        }
    }

    fn end(&mut self, summary: &Summary) {
        if self.quiet {
            println!();
        }
        for reason in &self.unrun {
            self.failures.push_str(reason);
            self.failures.push('\n');
        }
        if !self.failures.is_empty() {
            println!("\nfailures:\n\n{}", self.failures);
        }
        let failed: usize = summary
            .outcomes
            .iter()
            .filter(|(_, outcome)| !outcome.verdict.is_good())
            .count();
        println!(
            "\ntest result: {}. {} passed; {failed} failed; {} ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
            if failed == 0 && !summary.interrupted {
                "ok"
            } else {
                "FAILED"
            },
            [Verdict::Pass, Verdict::Xfail, Verdict::Flaky]
                .map(|verdict| summary.count(verdict))
                .iter()
                .sum::<usize>(),
            summary.count(Verdict::Skip),
            self.filtered_out,
            summary.duration.as_secs_f64(),
        );
    }
}
