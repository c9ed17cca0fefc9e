//! `jig guest run`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use testjig::find::{self, Bar, Wish};
use testjig::records;
use testjig::report::{All, QemuFacts, Reporter, Start};
use testjig::runner::{Summary, default_jobs};
use testjig::verdict::{Evidence, Fact, Outcome, Verdict};
use testjig::vm::{Arch, Cache, Qemu, Suite};
use testjig_guest::choice::{self, Choice, Policy};
use testjig_guest::{Ending, Environment, Job, Report, Stopper, Test};

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
    /// Fetch nothing
    #[arg(long)]
    offline: bool,
    /// What choices are drawn from [default: another each time, told at the start]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Choose this value wherever a choice has this name (may be repeated)
    #[arg(long, value_name = "NAME=VALUE", value_parser = pin)]
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
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
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

fn pin(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it is written NAME=VALUE".to_owned()),
    }
}

/// A test with the values that its name pins.
struct Selected {
    test: Test,
    pinned: BTreeMap<String, String>,
}

/// One test to run, in all the ways that were asked for.
struct Unit<'a> {
    selected: &'a Selected,
    seed: u64,
}

/// What the threads of a run share.
struct Shared<'a> {
    arguments: &'a Arguments,
    qemu: &'a Qemu,
    kernel: PathBuf,
    initramfs: PathBuf,
    states: Option<PathBuf>,
    program: PathBuf,
    log: PathBuf,
    units: Mutex<VecDeque<Unit<'a>>>,
    stoppers: Mutex<Vec<Stopper>>,
    interrupted: AtomicBool,
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        let selected = match self.selected() {
            Ok(selected) => selected,
            Err(error) => return fail(error),
        };
        let mut reporters = match self.reports.open(self.verbose) {
            Ok(reporters) => All(reporters),
            Err(error) => return fail(error),
        };
        let seed = self.seed.unwrap_or_else(new_seed);
        let started = Instant::now();
        let prepared = self.prepare();
        let summary = match prepared {
            Ok((qemu, environment, initramfs)) => {
                let start = self.start(&qemu, &environment, selected.len(), seed);
                reporters.start(&start);
                match self.conduct(
                    &selected,
                    &qemu,
                    &environment,
                    initramfs,
                    seed,
                    &mut reporters,
                ) {
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
                let mut summary = Summary::default();
                for Selected { test, .. } in &selected {
                    let name = test.path.display().to_string();
                    let outcome = Outcome::without_run(Verdict::Error, error.clone());
                    reporters.finished(&name, &name, &outcome);
                    summary.outcomes.push((name, outcome));
                }
                summary
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

    fn selected(&self) -> Result<Vec<Selected>, String> {
        let mut selected = Vec::new();
        for place in &self.tests {
            let mut pinned: BTreeMap<_, _> = self.choose.iter().cloned().collect();
            let text = place.to_string_lossy().into_owned();
            let place = match text.split_once('@') {
                Some((file, values)) if !place.exists() => {
                    for value in values.split(',').filter(|value| !value.is_empty()) {
                        let (name, value) = pin(value)
                            .map_err(|error| format!("{text}: {value:?} is no choice: {error}"))?;
                        pinned.insert(name, value);
                    }
                    PathBuf::from(file)
                }
                _ => place.clone(),
            };
            let tests = testjig_guest::find(&[place])?;
            selected.extend(tests.into_iter().map(|test| Selected {
                test,
                pinned: pinned.clone(),
            }));
        }
        if selected.is_empty() {
            return Err("no file that ends in .sh is there".to_owned());
        }
        Ok(selected)
    }

    /// What every test needs: a QEMU, a kernel, an initial file system.
    fn prepare(&self) -> Result<(Qemu, Environment, PathBuf), String> {
        let wish = Wish {
            qemu: self.qemu.clone(),
            suite: self.suite.clone(),
            offline: self.offline,
            vmm: Some(find::Vmm::Qemu),
            plants: Vec::new(),
        };
        let qemus = find::for_archs(BTreeSet::from([Arch::X86_64]), &wish);
        let qemu = qemus.get(Arch::X86_64)?.clone();
        let cache = Cache::open().map_err(|error| error.to_string())?;
        let suite = Environment::default_suite();
        let environment = match Environment::find(&suite, &cache) {
            Some(found) => found,
            None if self.offline => {
                return Err(
                    "there is no kernel for guests, and nothing may be fetched; `jig guest fetch` fetches one"
                        .to_owned(),
                );
            }
            None => {
                eprintln!("there is no kernel for guests yet: fetching Debian's");
                Environment::fetch(&suite, &cache, &Bar::default())
                    .map_err(|error| error.to_string())?
            }
        };
        let initramfs = environment.initramfs().map_err(|error| error.to_string())?;
        Ok((qemu, environment, initramfs))
    }

    fn start(&self, qemu: &Qemu, environment: &Environment, cases: usize, seed: u64) -> Start {
        let mut rerun = format!("{} guest run --seed {seed}", crate::me());
        if let Some(qemu) = &self.qemu {
            let _ = write!(rerun, " --qemu {}", qemu.display());
        }
        if let Some(suite) = &self.suite {
            let _ = write!(rerun, " --suite {suite}");
        }
        Start {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            qemus: vec![QemuFacts {
                arch: qemu.arch,
                version: version(qemu),
                summary: format!("{}\n{}; seed {seed}", qemu.summary(), environment.summary()),
            }],
            missing: Vec::new(),
            cases,
            jobs: self.jobs(),
            rerun,
        }
    }

    fn jobs(&self) -> usize {
        self.jobs.unwrap_or_else(default_jobs).max(1)
    }

    fn conduct(
        &self,
        selected: &[Selected],
        qemu: &Qemu,
        environment: &Environment,
        initramfs: PathBuf,
        seed: u64,
        reporter: &mut dyn Reporter,
    ) -> std::io::Result<Summary> {
        let units = (0..self.repeat).flat_map(|round| {
            selected.iter().map(move |selected| Unit {
                selected,
                seed: seed.wrapping_add(round),
            })
        });
        let shared = Shared {
            arguments: self,
            qemu,
            kernel: environment.kernel(),
            initramfs,
            states: (!self.cold).then(|| environment.states()),
            program: env::current_exe()?,
            log: records::directory(),
            units: Mutex::new(units.collect()),
            stoppers: Mutex::default(),
            interrupted: AtomicBool::new(false),
        };
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let mut summary = Summary::default();
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in &mut signals {
                    shared.interrupt();
                }
            });
            let (sender, results) = mpsc::channel();
            for _ in 0..self.jobs() {
                let (sender, shared) = (sender.clone(), &shared);
                scope.spawn(move || shared.work(&sender));
            }
            drop(sender);
            for (name, place, mut outcome) in results {
                if outcome.verdict == Verdict::Skip && !self.accepts(&outcome.reason) {
                    let reason = format!(
                        "skipped for a reason that is not accepted: {}",
                        outcome.reason
                    );
                    outcome = Outcome::without_run(Verdict::Error, reason);
                }
                reporter.finished(&name, &place, &outcome);
                summary.outcomes.push((name, outcome));
            }
            handle.close();
        });
        summary.interrupted = shared.interrupted.load(Ordering::SeqCst);
        Ok(summary)
    }

    fn accepts(&self, reason: &str) -> bool {
        let accepted = &self.accept_skip;
        accepted.is_empty() || accepted.iter().any(|start| reason.starts_with(&**start))
    }
}

/// A test's name, its file, and how it ended.
type Ended = (String, String, Outcome);

impl Shared<'_> {
    fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        for stopper in self.stoppers().drain(..) {
            stopper.stop();
        }
    }

    fn stoppers(&self) -> std::sync::MutexGuard<'_, Vec<Stopper>> {
        self.stoppers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, results: &mpsc::Sender<Ended>) {
        loop {
            let unit = self
                .units
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            let Some(unit) = unit else {
                return;
            };
            self.unit(&unit, results);
            if self.interrupted.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    /// Runs a test in all the ways that were asked for.
    fn unit(&self, unit: &Unit<'_>, results: &mpsc::Sender<Ended>) {
        let mut policy = Policy {
            seed: unit.seed,
            pinned: unit.selected.pinned.clone(),
            in_order: self.arguments.exhaustive,
            tried: self.arguments.pairwise.then(BTreeSet::new),
            ..Policy::default()
        };
        // Draws that make no new pair so often in a row have met all that can be met.
        let mut vain = 0;
        loop {
            let Some((result, choices)) = self.once(unit, &policy) else {
                return;
            };
            if results.send(result).is_err() {
                return;
            }
            if self.arguments.exhaustive {
                match choice::successor(&choices, &policy.pinned) {
                    Some(script) => policy.script = script,
                    None => return,
                }
            } else if let Some(tried) = &mut policy.tried {
                let before = tried.len();
                tried.extend(choice::pairs(&choices));
                vain = if tried.len() == before { vain + 1 } else { 0 };
                if vain == 3 || choices.is_empty() {
                    return;
                }
                policy.seed = policy.seed.wrapping_add(1);
            } else {
                return;
            }
        }
    }

    /// Runs a test once; `None` if that was interrupted.
    fn once(&self, unit: &Unit<'_>, policy: &Policy) -> Option<(Ended, Vec<Choice>)> {
        let test = &unit.selected.test;
        let place = test.path.display().to_string();
        let started = Instant::now();
        let report = match self.supervised(test, policy) {
            Ok(report) => report,
            Err(error) => {
                let reason = format!("failed to start the test: {error}");
                let outcome = Outcome::without_run(Verdict::Error, reason);
                return Some(((place.clone(), place, outcome), Vec::new()));
            }
        };
        if self.interrupted.load(Ordering::SeqCst) {
            return None;
        }
        let name = name(&place, &report.choices);
        let outcome = self.outcome(&name, &place, &report, started.elapsed());
        Some(((name, place, outcome), report.choices))
    }

    fn supervised(&self, test: &Test, policy: &Policy) -> std::io::Result<Report> {
        let directory = tempfile::Builder::new()
            .prefix("testjig-guest-")
            .tempdir()?;
        let job = Job {
            name: test.name.clone(),
            script: test.path.clone(),
            qemu: self.qemu.clone(),
            kernel: self.kernel.clone(),
            initramfs: self.initramfs.clone(),
            program: self.program.clone(),
            policy: policy.clone(),
            deadline: Duration::from_secs(self.arguments.deadline),
            accel: "tcg".to_owned(),
            directory: directory.path().to_owned(),
            states: self.states.clone(),
            bless: self.arguments.bless,
        };
        let supervised = testjig_guest::supervise(&job)?;
        self.stoppers().push(supervised.stopper()?);
        if self.interrupted.load(Ordering::SeqCst) {
            self.interrupt();
        }
        Ok(supervised.wait())
    }

    fn outcome(&self, name: &str, place: &str, report: &Report, duration: Duration) -> Outcome {
        let (verdict, reason) = match &report.ending {
            Ending::Passed => (Verdict::Pass, ""),
            Ending::Skipped(reason) => (Verdict::Skip, reason.as_str()),
            Ending::Failed(reason) => (Verdict::Fail, reason.as_str()),
            Ending::Crashed(reason) => (Verdict::Crash, reason.as_str()),
            Ending::Hung(reason) => (Verdict::Hang, reason.as_str()),
            Ending::Error(reason) => (Verdict::Error, reason.as_str()),
        };
        let mut outcome = Outcome::without_run(verdict, reason);
        outcome.duration = duration;
        outcome.launch = report.boot;
        outcome.qemu = version(self.qemu);
        if !verdict.is_good() {
            let log = self.keep(name, report);
            outcome.evidence = Some(evidence(place, reason, report, log));
        }
        outcome
    }

    /// Writes down what a failure left; `None` if that is not possible.
    fn keep(&self, name: &str, report: &Report) -> Option<PathBuf> {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || ".=-".contains(c) {
                c
            } else {
                '_'
            }
        };
        let file: String = Path::new(name)
            .file_name()?
            .to_string_lossy()
            .chars()
            .map(plain)
            .collect();
        let directory = self.log.join(file);
        fs::create_dir_all(&directory).ok()?;
        for (file, text) in [
            ("host.log", &report.output),
            ("guest.log", &report.log),
            ("qemu.log", &report.stderr),
            ("command", &report.command_line),
        ] {
            fs::write(directory.join(file), text).ok()?;
        }
        Some(directory)
    }
}

fn evidence(place: &str, reason: &str, report: &Report, log: Option<PathBuf>) -> Evidence {
    let last = |text: &str, count: usize| -> Vec<String> {
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(count);
        lines[from..]
            .iter()
            .map(|line| line.trim_end().to_owned())
            .collect()
    };
    let mut facts = Vec::new();
    if !report.choices.is_empty() {
        facts.push(Fact {
            subject: "chose".to_owned(),
            lines: report
                .choices
                .iter()
                .map(|choice| {
                    format!(
                        "{}={} of {}",
                        choice.name,
                        choice.value,
                        choice.options.join(" ")
                    )
                })
                .collect(),
        });
    }
    if !report.log.trim().is_empty() {
        facts.push(Fact {
            subject: "guest".to_owned(),
            lines: last(&report.log, 20),
        });
    }
    Evidence {
        place: Some(place.to_owned()),
        message: reason.to_owned(),
        facts,
        stderr: report.stderr.clone(),
        output: last(&report.output, 40).join("\n"),
        log,
    }
}

/// The test's file and what was chosen, so that it can be given to `jig guest run` again.
fn name(place: &str, choices: &[Choice]) -> String {
    let values: Vec<String> = choices
        .iter()
        .map(|choice| format!("{}={}", choice.name, choice.value))
        .collect();
    if values.is_empty() {
        place.to_owned()
    } else {
        format!("{place}@{}", values.join(","))
    }
}

/// A QEMU's version without what its packager adds.
fn version(qemu: &Qemu) -> String {
    let version = qemu.version.to_string();
    version.split(' ').next().unwrap_or_default().to_owned()
}

/// A number that is another each time.
fn new_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.finish() % 1_000_000
}
