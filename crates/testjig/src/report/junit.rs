//! JUnit XML, as CI systems read it: a test suite a device, a test case a case.

use std::collections::BTreeMap;
use std::io::{self, Write};

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};

use crate::report::{Reporter, Start, failure, split};
use crate::runner::Summary;
use crate::verdict::{Outcome, Verdict};

/// Writes a run as JUnit XML when it is over.
pub struct Junit<W> {
    to: W,
    rerun: String,
    suites: BTreeMap<String, TestSuite>,
}

impl<W: Write> Junit<W> {
    /// Writes to `to`.
    pub fn new(to: W) -> Self {
        Self {
            to,
            rerun: String::new(),
            suites: BTreeMap::new(),
        }
    }

    fn write(&mut self, summary: &Summary) -> io::Result<()> {
        let mut report = Report::new("testjig");
        report.set_time(summary.duration);
        report.add_test_suites(std::mem::take(&mut self.suites).into_values());
        let text = report.to_string().map_err(io::Error::other)?;
        // Jenkins's schema, which others check against, has this attribute on a suite only.
        let skipped = summary.count(Verdict::Skip) + summary.count(Verdict::Xfail);
        let skipped = format!(" skipped=\"{skipped}\"");
        self.to
            .write_all(text.replacen(&skipped, "", 1).as_bytes())?;
        self.to.flush()
    }
}

impl<W: Write> Reporter for Junit<W> {
    fn start(&mut self, start: &Start) {
        self.rerun.clone_from(&start.rerun);
    }

    fn finished(&mut self, case: &str, place: &str, outcome: &Outcome) {
        let (module, test, path) = split(case);
        let not_passed = |kind| {
            let mut status = TestCaseStatus::non_success(kind);
            status.set_type(outcome.verdict.to_string());
            status.set_message(outcome.reason.clone());
            status.set_description(failure(case, place, outcome, &self.rerun, false));
            status
        };
        let status = match outcome.verdict {
            Verdict::Pass => TestCaseStatus::success(),
            Verdict::Skip | Verdict::Xfail => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(outcome.reason.clone());
                status.set_type(outcome.verdict.to_string());
                status
            }
            Verdict::Flaky => {
                let mut status = TestCaseStatus::success();
                let mut failed = TestRerun::new(NonSuccessKind::Failure);
                failed.set_type(outcome.verdict.to_string());
                failed.set_message(outcome.reason.clone());
                status.add_rerun(failed);
                status
            }
            Verdict::Error => not_passed(NonSuccessKind::Error),
            _ => not_passed(NonSuccessKind::Failure),
        };
        let mut entry = TestCase::new(format!("{test}@{path}"), status);
        entry.set_classname(module.replace("::", "."));
        entry.set_time(outcome.duration);
        if let Some(evidence) = &outcome.evidence {
            if !evidence.output.is_empty() {
                entry.set_system_out(&evidence.output);
            }
            if !evidence.stderr.is_empty() {
                entry.set_system_err(&evidence.stderr);
            }
        }
        let device = module.split("::").next().unwrap_or(module);
        self.suites
            .entry(device.to_owned())
            .or_insert_with(|| TestSuite::new(device))
            .add_test_case(entry);
    }

    fn end(&mut self, summary: &Summary) {
        if let Err(error) = self.write(summary) {
            eprintln!("jig: failed to write the JUnit report: {error}");
        }
    }
}
