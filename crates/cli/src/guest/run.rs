//! `jig guest run`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use testjig::find::{self, Wish};
use testjig::report::{All, Reporter, Start};
use testjig::runner::{Summary, default_jobs};
use testjig::verdict::Verdict;
use testjig::vm::Suite;

use testjig_guest::Lane;

use super::engine::{self, Engine, Options};
use super::select;
use crate::fail;
use crate::reports::Reports;

#[derive(Args)]
#[command(
    after_help = "A test is named by its file; behind an @ there may be values to choose, as reports write them:
  jig guest run net.sh@nic=e1000

Exit status:
  0    every test that ran passed
  1    a test failed, crashed or hung
  2    wrong usage
  4    nothing ran
  5    a set-up failed, for instance no QEMU or no kernel could be had
  130  interrupted"
)]
pub(crate) struct Arguments {
    /// Files, and directories of files that end in .sh
    #[arg(value_name = "FILE|DIR", required = true)]
    tests: Vec<PathBuf>,
    /// The QEMU binary to use
    #[arg(long, value_name = "PATH")]
    qemu: Option<PathBuf>,
    /// The Debian suite to fetch a QEMU from
    #[arg(long, value_name = "NAME", conflicts_with = "qemu")]
    suite: Option<Suite>,
    /// Boot the kernel that was built here, or the one that was fetched [default: the built one, if there is one]
    #[arg(long, value_name = "LANE")]
    lane: Option<Lane>,
    /// Fetch nothing
    #[arg(long)]
    offline: bool,
    /// What choices are drawn from [default: another each time, told at the start]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Choose this value wherever a choice has this name (may be repeated)
    #[arg(long, value_name = "NAME=VALUE", value_parser = select::pin)]
    choose: Vec<(String, String)>,
    /// Run each test once for every combination of its choices
    #[arg(long)]
    exhaustive: bool,
    /// Run each test until every pair of values has been chosen together
    #[arg(long, conflicts_with = "exhaustive")]
    pairwise: bool,
    /// Run each test this many times; each time with another seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    repeat: u64,
    /// How many tests run at once [default: as many as there are cores]
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,
    /// Seconds that a test may take, unless its file says so
    #[arg(long, value_name = "SECONDS", default_value_t = engine::DEADLINE)]
    deadline: u64,
    /// Boot every machine, those too that may begin where an equal one has booted to
    #[arg(long)]
    cold: bool,
    /// Write the golden files of the tests anew
    #[arg(long)]
    bless: bool,
    /// Give passing tests a line too, with what they printed
    #[arg(short, long)]
    verbose: bool,
    /// Accept only skips whose reason begins with this; any other skip is an error (may be repeated)
    #[arg(long, value_name = "REASON")]
    accept_skip: Vec<String>,
    /// Fail unless at least this many tests were executed
    #[arg(long, value_name = "N", default_value_t = 1)]
    at_least: usize,
    #[command(flatten)]
    reports: Reports,
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        let pinned = self.choose.iter().cloned().collect();
        let selected = match select::at(&self.tests, &pinned) {
            Ok(selected) => selected,
            Err(error) => return fail(error),
        };
        let mut reporters = match self.reports.open(self.verbose) {
            Ok(reporters) => All(reporters),
            Err(error) => return fail(error),
        };
        let options = self.options();
        let started = Instant::now();
        let summary = match Engine::prepare(&self.wish(), self.lane) {
            Ok(engine) => {
                reporters.start(&self.start(&engine, &options, selected.len()));
                match engine.conduct(&selected, &options, &mut reporters) {
                    Ok(summary) => summary,
                    Err(error) => return fail(format_args!("failed to run the tests: {error}")),
                }
            }
            Err(error) => {
                reporters.start(&Start {
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    missing: vec![error.clone()],
                    cases: selected.len(),
                    jobs: 1,
                    ..Start::default()
                });
                Summary {
                    outcomes: engine::without(&selected, &error, &mut reporters),
                    ..Summary::default()
                }
            }
        };
        let summary = Summary {
            duration: started.elapsed(),
            ..summary
        };
        reporters.end(&summary);
        let executed = summary.executed();
        if executed < self.at_least && summary.exit_status() == 0 {
            let skipped = summary.count(Verdict::Skip);
            eprintln!(
                "jig: only {executed} tests were executed, {} are required ({skipped} skipped)",
                self.at_least
            );
            return ExitCode::from(1);
        }
        ExitCode::from(summary.exit_status())
    }

    fn wish(&self) -> Wish {
        Wish {
            qemu: self.qemu.clone(),
            suite: self.suite.clone(),
            offline: self.offline,
            vmm: Some(find::Vmm::Qemu),
            plants: Vec::new(),
        }
    }

    fn options(&self) -> Options {
        Options {
            seed: self.seed.unwrap_or_else(engine::new_seed),
            repeat: self.repeat,
            exhaustive: self.exhaustive,
            pairwise: self.pairwise,
            jobs: self.jobs.unwrap_or_else(default_jobs).max(1),
            deadline: Duration::from_secs(self.deadline),
            cold: self.cold,
            bless: self.bless,
            fail_fast: false,
            accept_skip: self.accept_skip.clone(),
        }
    }

    fn start(&self, engine: &Engine, options: &Options, cases: usize) -> Start {
        let mut rerun = format!("{} guest run --seed {}", crate::me(), options.seed);
        if let Some(qemu) = &self.qemu {
            let _ = write!(rerun, " --qemu {}", qemu.display());
        }
        if let Some(suite) = &self.suite {
            let _ = write!(rerun, " --suite {suite}");
        }
        Start {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            qemus: vec![engine.facts(options.seed)],
            missing: Vec::new(),
            cases,
            jobs: options.jobs,
            rerun,
        }
    }
}
