//! Tests that fail on purpose, each in its own way, and a few that pass beside them.
//!
//! `planted [--qemu PATH] [--fork] PATTERN…` runs those whose name contains a pattern and writes JSON lines.

mod planted;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use testjig::case::Cases;
use testjig::find::{self, Wish};
use testjig::report::JsonLines;
use testjig::runner::{self, Isolation, Plan};

fn main() -> ExitCode {
    if let Some(status) = testjig::serve_if_worker() {
        return status;
    }
    let mut wish = Wish::default();
    let mut isolation = Isolation::Fresh;
    let mut patterns = Vec::new();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--qemu" => wish.qemu = words.next().map(Into::into),
            "--fork" => isolation = Isolation::Fork,
            _ => patterns.push(word),
        }
    }
    let selected = |name: &str| {
        patterns
            .iter()
            .any(|pattern| name.contains(pattern.as_str()))
    };
    let Cases {
        mut cases,
        mut misfits,
    } = Cases::collect();
    cases.retain(|case| selected(&case.name));
    misfits.retain(|misfit| selected(&misfit.test));
    let plan = Plan {
        qemus: find::for_cases(&cases, &wish),
        cases,
        misfits,
        jobs: runner::default_jobs(),
        deadline: Duration::from_secs(20),
        log: std::env::var_os("PLANTED_LOG").map(Into::into),
        show_output: false,
        rerun: "planted".to_owned(),
        accepted_skips: Vec::new(),
        timelines: false,
        fail_fast: false,
        first: Vec::new(),
        isolation,
        expected: None,
        debug: None,
        keep: false,
        record: None,
    };
    match runner::run(&plan, &mut JsonLines::new(io::stdout())) {
        Ok(summary) => ExitCode::from(summary.exit_status()),
        Err(error) => {
            eprintln!("planted: {error}");
            ExitCode::FAILURE
        }
    }
}
