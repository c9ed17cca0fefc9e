//! Runs guest tests, for `jig guest run` and `jig run`: [`Engine`].

use std::collections::{BTreeSet, VecDeque};
use std::env;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use testjig::find::{self, Bar, Wish};
use testjig::records;
use testjig::report::{QemuFacts, Reporter};
use testjig::runner::Summary;
use testjig::verdict::{Outcome, Verdict};
use testjig::vm::{Arch, Cache, Qemu};
use testjig_guest::choice::{self, Choice, Policy};
use testjig_guest::{Environment, Job, Lane, Report, Stopper, Test};

use super::outcome;
use super::select::Selected;

/// Seconds that a test may take, unless its file says so.
pub(crate) const DEADLINE: u64 = 180;

/// How tests are run.
pub(crate) struct Options {
    pub(crate) seed: u64,
    pub(crate) repeat: u64,
    /// Once for every combination of choices.
    pub(crate) exhaustive: bool,
    /// Until every pair of values has been chosen together.
    pub(crate) pairwise: bool,
    pub(crate) jobs: usize,
    pub(crate) deadline: Duration,
    /// Boot every machine.
    pub(crate) cold: bool,
    pub(crate) bless: bool,
    pub(crate) fail_fast: bool,
    pub(crate) accept_skip: Vec<String>,
}

/// What every test needs: a QEMU, a kernel, an initial file system.
pub(crate) struct Engine {
    qemu: Qemu,
    environment: Environment,
    initramfs: PathBuf,
}

/// One test to run, in all the ways that were asked for.
struct Unit<'a> {
    selected: &'a Selected,
    seed: u64,
}

/// What the threads of a run share.
struct Shared<'a> {
    engine: &'a Engine,
    options: &'a Options,
    kernel: PathBuf,
    program: PathBuf,
    log: PathBuf,
    units: Mutex<VecDeque<Unit<'a>>>,
    stoppers: Mutex<Vec<Stopper>>,
    interrupted: AtomicBool,
    /// No further test is to be started.
    over: AtomicBool,
}

impl Engine {
    /// Finds what is needed, and fetches what is not there unless nothing may be.
    pub(crate) fn prepare(wish: &Wish, lane: Option<Lane>) -> Result<Self, String> {
        let qemus = find::for_archs(BTreeSet::from([Arch::X86_64]), wish);
        Self::on(qemus.get(Arch::X86_64)?, wish, lane)
    }

    /// As [`prepare`](Self::prepare), on a QEMU that is there.
    pub(crate) fn on(qemu: &Qemu, wish: &Wish, lane: Option<Lane>) -> Result<Self, String> {
        let cache = Cache::open().map_err(|error| error.to_string())?;
        let suite = Environment::default_suite();
        let found = match lane {
            Some(lane) => Environment::find_lane(lane, &suite, &cache),
            None => Environment::find(&suite, &cache),
        };
        let environment = match found {
            Some(found) => found,
            None if lane == Some(Lane::Built) => {
                return Err(
                    "no kernel for guests was built here; `jig guest build` builds one".to_owned(),
                );
            }
            None if wish.offline => {
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
        environment.check().map_err(|error| error.to_string())?;
        let initramfs = environment.initramfs().map_err(|error| error.to_string())?;
        Ok(Self {
            qemu: qemu.clone(),
            environment,
            initramfs,
        })
    }

    /// Whether there is a kernel for guests.
    pub(crate) fn has_kernel() -> bool {
        Cache::open()
            .is_ok_and(|cache| Environment::find(&Environment::default_suite(), &cache).is_some())
    }

    /// What reports say of the QEMU.
    pub(crate) fn facts(&self, seed: u64) -> QemuFacts {
        QemuFacts {
            arch: self.qemu.arch,
            version: outcome::version(&self.qemu),
            summary: format!("{}\n{}", self.qemu.summary(), self.summary(seed)),
        }
    }

    /// What reports say of the guests.
    pub(crate) fn summary(&self, seed: u64) -> String {
        format!("{}; seed {seed}", self.environment.summary())
    }

    /// Runs the tests and tells of each. What becomes of the summary is the caller's.
    pub(crate) fn conduct(
        &self,
        selected: &[Selected],
        options: &Options,
        reporter: &mut dyn Reporter,
    ) -> io::Result<Summary> {
        let units = (0..options.repeat).flat_map(|round| {
            selected.iter().map(move |selected| Unit {
                selected,
                seed: options.seed.wrapping_add(round),
            })
        });
        let shared = Shared {
            engine: self,
            options,
            kernel: self.environment.kernel(),
            program: env::current_exe()?,
            log: records::directory(),
            units: Mutex::new(units.collect()),
            stoppers: Mutex::default(),
            interrupted: AtomicBool::new(false),
            over: AtomicBool::new(false),
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
            for _ in 0..options.jobs {
                let (sender, shared) = (sender.clone(), &shared);
                scope.spawn(move || shared.work(&sender));
            }
            drop(sender);
            for (name, place, mut outcome) in results {
                if outcome.verdict == Verdict::Skip && !options.accepts(&outcome.reason) {
                    let reason = format!(
                        "skipped for a reason that is not accepted: {}",
                        outcome.reason
                    );
                    outcome = Outcome::without_run(Verdict::Error, reason);
                }
                if options.fail_fast && !outcome.verdict.is_good() {
                    shared.over.store(true, Ordering::SeqCst);
                }
                reporter.finished(&name, &place, &outcome);
                summary.outcomes.push((name, outcome));
            }
            handle.close();
        });
        summary.interrupted = shared.interrupted.load(Ordering::SeqCst);
        Ok(summary)
    }
}

impl Options {
    fn accepts(&self, reason: &str) -> bool {
        let accepted = &self.accept_skip;
        accepted.is_empty() || accepted.iter().any(|start| reason.starts_with(&**start))
    }
}

/// What becomes of tests for which there is no QEMU or no kernel.
pub(crate) fn without(
    selected: &[Selected],
    error: &str,
    reporter: &mut dyn Reporter,
) -> Vec<(String, Outcome)> {
    let mut outcomes = Vec::new();
    for Selected { title, .. } in selected {
        let name = title.clone();
        let outcome = Outcome::without_run(Verdict::Error, error);
        reporter.finished(&name, &name, &outcome);
        outcomes.push((name, outcome));
    }
    outcomes
}

/// A number that is another each time.
pub(crate) fn new_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.finish() % 1_000_000
}

/// A test's name, its file, and how it ended.
type Ended = (String, String, Outcome);

impl Shared<'_> {
    fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        self.over.store(true, Ordering::SeqCst);
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
            if self.over.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    /// Runs a test in all the ways that were asked for.
    fn unit(&self, unit: &Unit<'_>, results: &mpsc::Sender<Ended>) {
        let mut policy = Policy {
            seed: unit.seed,
            pinned: unit.selected.pinned.clone(),
            in_order: self.options.exhaustive,
            tried: self.options.pairwise.then(BTreeSet::new),
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
            if self.options.exhaustive {
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
        let place = unit.selected.title.clone();
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
        let name = outcome::name(&place, &report.choices);
        let mut outcome = outcome::of(&self.engine.qemu, &report, started.elapsed());
        if !outcome.verdict.is_good() {
            let log = outcome::keep(&self.log, &name, &report);
            outcome.evidence = Some(outcome::evidence(&place, &report, &outcome.reason, log));
        }
        Some(((name, place, outcome), report.choices))
    }

    fn supervised(&self, test: &Test, policy: &Policy) -> io::Result<Report> {
        let directory = tempfile::Builder::new()
            .prefix("testjig-guest-")
            .tempdir()?;
        let job = Job {
            name: test.name.clone(),
            script: test.path.clone(),
            function: test.function.clone(),
            qemu: self.engine.qemu.clone(),
            kernel: self.kernel.clone(),
            initramfs: self.engine.initramfs.clone(),
            program: self.program.clone(),
            policy: policy.clone(),
            deadline: self.options.deadline,
            accel: "tcg".to_owned(),
            directory: directory.path().to_owned(),
            schemas: self.engine.environment.schemas(),
            states: (!self.options.cold).then(|| self.engine.environment.states()),
            bless: self.options.bless,
        };
        let supervised = testjig_guest::supervise(&job)?;
        self.stoppers().push(supervised.stopper()?);
        if self.interrupted.load(Ordering::SeqCst) {
            self.interrupt();
        }
        Ok(supervised.wait())
    }
}
