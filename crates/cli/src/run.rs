//! `jig run`.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use testjig::case::{Case, Cases};
use testjig::find::{self, Vmm, Wish};
use testjig::history::History;
use testjig::order::{self, Partition};
use testjig::qemus::Qemus;
use testjig::report::{All, Record};
use testjig::runner::{self, Debug, Isolation, Plan, Summary};
use testjig::vm::{Arch, Suite};
use testjig::{records, verdict::Verdict};

use crate::changed::Changed;
use crate::guest::engine::{self, Options};
use crate::guest::joined::Joined;
use crate::guest::select::Selected;
use crate::list::Selection;
use crate::reports::Reports;
use crate::{compare, fail};

/// What `--isolation` takes.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum How {
    /// A fork where that is sound and saves time, else a started machine; what fails in a fork is confirmed
    Auto,
    /// A fork wherever that is sound
    Fork,
    /// A started machine for each case
    Fresh,
    /// Both for each case; a case that ends differently fails
    Compare,
}

impl From<How> for Isolation {
    fn from(how: How) -> Self {
        match how {
            How::Auto => Self::Automatic,
            How::Fork => Self::Fork,
            How::Fresh => Self::Fresh,
            How::Compare => Self::Compare,
        }
    }
}

/// Exit status: 0 all good; 1 a test did not pass; 2 wrong usage; 4 nothing ran; 5 a set-up failed, for instance no QEMU could be had;
/// 130 interrupted.
#[derive(Args)]
#[command(after_help = "Exit status:
  0    every case that ran passed, or failed as expected
  1    a case failed, crashed, hung, leaked, or passed unexpectedly
  2    wrong usage
  4    nothing ran
  5    a set-up failed, for instance no QEMU could be had
  130  interrupted")]
pub(crate) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// The QEMU binary to use; nothing is fetched then
    #[arg(long, value_name = "PATH")]
    qemu: Option<PathBuf>,
    /// The Debian suite to fetch a QEMU from: sid, bookworm, bookworm-backports, …
    #[arg(long, value_name = "NAME", conflicts_with = "qemu")]
    suite: Option<Suite>,
    /// All architectures, not only the default one, and guest tests with every combination of their choices
    #[arg(long)]
    all: bool,
    /// Fetch nothing
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    changed: Changed,
    /// Only cases that did not end well when they last ran here
    #[arg(long)]
    last_failed: bool,
    /// Only part M of N, the same on every machine: 3/8
    #[arg(long, value_name = "M/N")]
    partition: Option<Partition>,
    /// The record of an earlier run (--json), the same on every machine: its times balance the partitions
    #[arg(long, value_name = "RECORD", requires = "partition")]
    timings: Option<PathBuf>,
    /// Run the cases in an order drawn from this number
    #[arg(long, value_name = "SEED")]
    shuffle: Option<u64>,
    /// What guest tests draw their choices from [default: another each time, told at the start]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Run each case this many times
    #[arg(long, value_name = "N", default_value_t = 1)]
    repeat: usize,
    /// Start no further case after one that did not end well
    #[arg(long)]
    fail_fast: bool,
    /// Run this case before the others (may be repeated)
    #[arg(long, value_name = "CASE", hide = true)]
    first: Vec<String>,
    /// Keep no record of how the cases ended for later runs
    #[arg(long, hide = true)]
    forget: bool,
    /// How many cases run at once [default: as many as there are cores]
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,
    /// Seconds that a test may take once its machine is there, unless it sets its own deadline [default: 30; for guest tests: 180]
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<u64>,
    /// How cases are kept apart: a machine forked for each, one started for each, what suits each, or both compared
    #[arg(long, value_name = "HOW", value_enum, default_value_t = How::Auto)]
    isolation: How,
    /// Keep what was recorded of cases that pass, too: operations, QEMU's standard error, its command line
    #[arg(long)]
    keep: bool,
    /// Write the session of each case that passes, as a .qtr file for `jig replay`
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Stop each QEMU before its test begins, and say how to attach to it; one case at a time, no deadlines
    #[arg(long)]
    stop: bool,
    /// Start gdb on each QEMU before its test begins; one case at a time, no deadlines
    #[arg(long, conflicts_with = "stop")]
    gdb: bool,
    /// Give passing cases a line too
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    reports: Reports,
    /// Keep the timelines of cases that pass, too, for the JSON and the HTML report
    #[arg(long, help_heading = "Reports")]
    timelines: bool,
    /// Let tests write to the terminal as they run
    #[arg(long)]
    show_output: bool,
    /// Accept only skips whose reason begins with this; any other skip is an error (may be repeated)
    #[arg(long, value_name = "REASON")]
    accept_skip: Vec<String>,
    /// What to run on [default: a QEMU, and the embedded machine where none can be had]
    #[arg(long, value_name = "VMM", conflicts_with_all = ["qemu", "suite"])]
    vmm: Option<Vmm>,
    /// Run the cases on both of two VMMs, qemu and embedded, and list where these differ
    #[arg(long, value_name = "VMM,VMM", value_delimiter = ',', conflicts_with_all = ["vmm", "plant"])]
    compare: Vec<Vmm>,
    /// A bug that the embedded machine is to have, to see what finds it: crash, assertion, hang, … (may be repeated)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["qemu", "suite"])]
    plant: Vec<String>,
    /// Fail unless at least this many cases were executed
    #[arg(long, value_name = "N", default_value_t = 1)]
    at_least: usize,
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        let wish = Wish {
            qemu: self.qemu.clone(),
            suite: self.suite.clone(),
            offline: self.offline,
            vmm: self.vmm(),
            plants: self.plant.clone(),
        };
        let Cases { cases, misfits } = Cases::collect();
        let all = cases.len();
        let selected = cases
            .into_iter()
            .filter(|case| self.selection.selects(case));
        let (cases, elsewhere) = self.of_one_arch(selected.collect(), &wish);
        let guests = self.guests(&wish);
        if cases.is_empty() && guests.is_empty() {
            return self.selection.nothing_selected(all);
        }
        let cases = match self.changed.select(cases) {
            Ok(cases) if cases.is_empty() && guests.is_empty() => {
                println!("no test is known to reach what changed");
                return ExitCode::from(4);
            }
            Ok(cases) => cases,
            Err(error) => return fail(error),
        };
        let history = History::open("jig");
        let cases = match self.arranged(cases, &history) {
            Ok(cases) => cases,
            Err(error) => return fail(error),
        };
        let guests = self.arranged_guests(guests, &history);
        if self.last_failed && cases.is_empty() && guests.is_empty() {
            println!("none of the selected cases failed when it last ran here");
            return ExitCode::SUCCESS;
        }
        let count = cases.len() + guests.len();
        if self.reports.of_one_case() && count != 1 {
            return fail(format_args!(
                "--vcd and --trace are of one case, and {count} are selected: name one with --exact"
            ));
        }
        match self.compare[..] {
            [] => {}
            [one, other] if one != other => {
                return compare::run([one, other], &cases, &wish, &|cases| self.plan(cases));
            }
            _ => return fail("--compare takes two VMMs: --compare qemu,embedded"),
        }
        let mut reporters = match self.reports.open(self.verbose) {
            Ok(reporters) => reporters,
            Err(error) => return fail(error),
        };
        let expected = self.shuffle.is_none().then(|| {
            let known = |case: &Case| Some((case.name.clone(), history.duration(&case.name)?));
            cases.iter().filter_map(known).collect()
        });
        if !self.forget {
            reporters.push(Box::new(history));
        }
        let to_stdout = self.reports.to_stdout();
        let plan = Plan {
            qemus: find::for_cases(&cases, &wish),
            misfits,
            expected,
            ..self.plan(cases)
        };
        let (guests, left_out) = self.affordable(guests, &plan.qemus);
        let mut reporters = All(reporters);
        let ran = if guests.is_empty() {
            runner::run(&plan, &mut reporters)
        } else {
            Joined::new(guests, self.guest_options(&plan), &plan.qemus, &wish)
                .run(&plan, &mut reporters)
        };
        match ran {
            Ok(summary) => {
                if let Some(log) = plan.log.filter(|log| self.keep && log.exists()) {
                    eprintln!("kept in {}", log.display());
                }
                if !to_stdout && !summary.interrupted {
                    tell_what_was_left_out(elsewhere, left_out);
                }
                self.status(&summary)
            }
            Err(error) => fail(format_args!("failed to run the tests: {error}")),
        }
    }

    fn status(&self, summary: &Summary) -> ExitCode {
        let executed = summary.executed();
        if executed < self.at_least && summary.exit_status() == 0 {
            let _ = writeln!(
                io::stderr(),
                "jig: only {executed} cases were executed, {} are required ({} skipped)",
                self.at_least,
                summary.count(Verdict::Skip),
            );
            return ExitCode::from(1);
        }
        ExitCode::from(summary.exit_status())
    }

    /// How these cases are run, as far as that does not depend on the VMM.
    fn plan(&self, cases: Vec<Case>) -> Plan {
        let debug = self.debug();
        Plan {
            qemus: Qemus::default(),
            cases,
            misfits: Vec::new(),
            jobs: match debug {
                Some(_) => 1,
                None => self.jobs.unwrap_or_else(runner::default_jobs).max(1),
            },
            deadline: self.deadline.map_or(runner::DEADLINE, Duration::from_secs),
            log: Some(records::directory()),
            show_output: self.show_output,
            rerun: self.rerun(),
            accepted_skips: self.accept_skip.clone(),
            fail_fast: self.fail_fast,
            first: self.first.clone(),
            isolation: self.isolation.into(),
            expected: None,
            debug,
            keep: self.keep,
            record: self.record.clone(),
            timelines: self.timelines || self.reports.of_one_case(),
        }
    }

    fn debug(&self) -> Option<Debug> {
        if self.gdb {
            Some(Debug::Gdb)
        } else {
            self.stop.then_some(Debug::Stop)
        }
    }

    /// The part of the cases that this run takes, in its order.
    fn arranged(&self, mut cases: Vec<Case>, history: &History) -> Result<Vec<Case>, String> {
        if let Some(partition) = self.partition {
            let mut lengths = HashMap::new();
            if let Some(path) = &self.timings {
                let record = File::open(path)
                    .map_err(|error| error.to_string())
                    .and_then(|file| {
                        Record::read(BufReader::new(file)).map_err(|error| error.to_string())
                    })
                    .map_err(|error| format!("failed to read {}: {error}", path.display()))?;
                let ran = record.cases.into_iter();
                lengths.extend(ran.map(|(name, _, outcome)| (name, outcome.duration)));
            }
            cases = partition.of(cases, |name| lengths.get(name).copied());
        }
        if self.last_failed {
            cases.retain(|case| history.failed(&case.name));
        }
        let once = cases.clone();
        for _ in 1..self.repeat {
            cases.extend(once.iter().cloned());
        }
        if let Some(seed) = self.shuffle {
            order::shuffle(&mut cases, seed);
        }
        Ok(cases)
    }

    /// The guest tests that are meant. They boot a Linux for x86_64 on a QEMU, and stand on no path.
    fn guests(&self, wish: &Wish) -> Vec<Selected> {
        let is_other = find::named_arch(wish).is_some_and(|arch| arch != Arch::X86_64);
        if is_other
            || self.vmm() == Some(Vmm::Embedded)
            || self.changed.is_asked()
            || self.debug().is_some()
            || !self.compare.is_empty()
        {
            return Vec::new();
        }
        self.selection.guests()
    }

    /// The part of the guest tests that this run takes.
    fn arranged_guests(&self, guests: Vec<Selected>, history: &History) -> Vec<Selected> {
        let guests = match self.partition {
            Some(partition) => partition.share(guests),
            None => guests,
        };
        if !self.last_failed {
            return guests;
        }
        let failures: Vec<&str> = history.failures().collect();
        guests
            .iter()
            .flat_map(|guest| guest.as_in(&failures))
            .collect()
    }

    /// Those of the guest tests that are run without being asked for, and how many are not. A bare run is the developer's every minute, and
    /// a kernel for guests is not everybody's: nothing is fetched for them, and no machine is booted that need not be.
    fn affordable(&self, guests: Vec<Selected>, qemus: &Qemus) -> (Vec<Selected>, usize) {
        if self.all || !self.selection.is_bare() {
            return (guests, 0);
        }
        let count = guests.len();
        let is_possible = Joined::suits(qemus);
        let mut taken = guests;
        taken.retain(|guest| is_possible && guest.test.is_warm);
        let left_out = count - taken.len();
        (taken, left_out)
    }

    fn guest_options(&self, plan: &Plan) -> Options {
        Options {
            seed: self.seed.unwrap_or_else(engine::new_seed),
            repeat: self.repeat as u64,
            exhaustive: self.all,
            pairwise: false,
            jobs: plan.jobs,
            deadline: Duration::from_secs(self.deadline.unwrap_or(engine::DEADLINE)),
            cold: false,
            bless: false,
            fail_fast: self.fail_fast,
            accept_skip: self.accept_skip.clone(),
        }
    }

    /// The cases of one architecture, unless several were asked for, and how many there are of the others: a bare run is the
    /// developer's every minute.
    fn of_one_arch(&self, cases: Vec<Case>, wish: &Wish) -> (Vec<Case>, BTreeMap<Arch, usize>) {
        let mut elsewhere = BTreeMap::new();
        if self.all || self.selection.names_an_arch() {
            return (cases, elsewhere);
        }
        let default = find::named_arch(wish).unwrap_or(Arch::X86_64);
        let (here, others): (Vec<_>, Vec<_>) =
            cases.into_iter().partition(|case| case.arch() == default);
        for case in others {
            *elsewhere.entry(case.arch()).or_default() += 1;
        }
        (here, elsewhere)
    }

    /// A bug can be planted in the embedded machine alone.
    fn vmm(&self) -> Option<Vmm> {
        let planted = (!self.plant.is_empty()).then_some(Vmm::Embedded);
        self.vmm.or(planted)
    }

    /// The command that runs one case again under the same conditions.
    fn rerun(&self) -> String {
        let mut command = format!("{} run --exact", crate::me());
        if let Some(qemu) = &self.qemu {
            let _ = write!(command, " --qemu {}", qemu.display());
        }
        if let Some(suite) = &self.suite {
            let _ = write!(command, " --suite {suite}");
        }
        match self.vmm() {
            Some(Vmm::Embedded) => command.push_str(" --vmm embedded"),
            Some(Vmm::Qemu) => command.push_str(" --vmm qemu"),
            None => {}
        }
        for name in &self.plant {
            let _ = write!(command, " --plant {name}");
        }
        command
    }
}

/// Says what else there is: cases of other architectures, and guest tests that take longer.
fn tell_what_was_left_out(elsewhere: BTreeMap<Arch, usize>, guests: usize) {
    let me = crate::me();
    for (arch, count) in elsewhere {
        println!("not run: {count} more on {arch}: {me} run --arch {arch}");
    }
    if guests > 0 {
        println!("not run: {guests} more that boot a Linux in the machine: {me} run guest-tests/");
    }
}
