//! `jig replay`.

mod selftest;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use clap::Args;
use testjig::find::{self, Vmm, Wish};
use testjig::qemus::Qemus;
use testjig::vm::{Arch, Suite};
use testjig_trace::{Outcome, Replay, ReplayError, Trace, Verdict};

use crate::fail;

/// On what sessions are replayed.
#[derive(Args, Clone, Default)]
pub(crate) struct On {
    /// The QEMU binary to use; nothing is fetched then
    #[arg(long, value_name = "PATH")]
    qemu: Option<PathBuf>,
    /// The Debian suite to fetch a QEMU from
    #[arg(long, value_name = "NAME", conflicts_with = "qemu")]
    suite: Option<Suite>,
    /// Fetch nothing
    #[arg(long)]
    offline: bool,
    /// What to replay on [default: a QEMU, and the embedded machine where none can be had]
    #[arg(long, value_name = "VMM", conflicts_with_all = ["qemu", "suite"])]
    vmm: Option<Vmm>,
    /// A bug that the embedded machine is to have (may be repeated)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["qemu", "suite"])]
    plant: Vec<String>,
    /// Allow the files to ask for things of the host: networks, files, devices; only for files that you wrote or have read
    #[arg(long)]
    trust: bool,
    /// Load nothing into QEMU; a crash without a message is then told by its signal alone
    #[arg(long)]
    no_frames: bool,
}

impl On {
    /// The embedded machine with these bugs.
    pub(crate) fn planted(names: &[&str]) -> Self {
        Self {
            vmm: Some(Vmm::Embedded),
            plant: names.iter().map(|&name| name.to_owned()).collect(),
            ..Self::default()
        }
    }

    pub(crate) fn qemus(&self, archs: BTreeSet<Arch>) -> Qemus {
        let planted = (!self.plant.is_empty()).then_some(Vmm::Embedded);
        let wish = Wish {
            qemu: self.qemu.clone(),
            suite: self.suite.clone(),
            offline: self.offline,
            vmm: self.vmm.or(planted),
            plants: self.plant.clone(),
        };
        // A named binary is of one architecture; a file of another is skipped.
        let archs = match archs.first().and_then(|_| find::named_arch(&wish)) {
            Some(arch) => BTreeSet::from([arch]),
            None => archs,
        };
        find::for_archs(archs, &wish)
    }

    pub(crate) fn how(&self) -> Replay {
        Replay {
            trust: self.trust,
            frames: !self.no_frames,
            ..Replay::default()
        }
    }
}

#[derive(Args)]
#[command(
    after_help = "A file says how its session should end; what ends otherwise is not as expected.

Exit status:
  0    every session ended as its file expects
  1    one did not
  2    wrong usage, or a file that can't be read or asks for things of the host
  4    nothing was replayed: this QEMU lacks what the files need
  5    no QEMU could be had"
)]
pub(crate) struct Arguments {
    /// The sessions; of a directory, the .qtr files in it
    #[arg(value_name = "FILE", required_unless_present = "selftest")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    on: On,
    /// How many sessions are replayed at once [default: as many as there are cores]
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,
    /// Show what QEMU said, too
    #[arg(short, long)]
    verbose: bool,
    /// Print a table instead: the sessions on the QEMUs of these Debian suites
    #[arg(long, value_name = "SUITE,SUITE", value_delimiter = ',', conflicts_with_all = ["qemu", "suite", "vmm", "plant"])]
    table: Vec<Suite>,
    /// See that each kind of bug is found where it is known to be, and say so in a line
    #[arg(long, conflicts_with = "files")]
    selftest: bool,
}

/// What became of a session, for the exit status.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Good,
    Bad,
    Skipped,
    Refused,
    Lacking,
}

/// How it went with all the files.
#[derive(Default)]
struct Tally {
    good: usize,
    bad: usize,
    skipped: usize,
    refused: usize,
    lacking: usize,
}

impl Tally {
    fn of(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Good => &mut self.good,
            Kind::Bad => &mut self.bad,
            Kind::Skipped => &mut self.skipped,
            Kind::Refused => &mut self.refused,
            Kind::Lacking => &mut self.lacking,
        }
    }

    fn status(&self) -> ExitCode {
        ExitCode::from(match self {
            Self { refused: 1.., .. } => 2,
            Self { bad: 1.., .. } => 1,
            Self { lacking: 1.., .. } => 5,
            Self { good: 0, .. } => 4,
            _ => 0,
        })
    }
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        if self.selftest {
            std::panic::set_hook(Box::new(|_| {}));
            return selftest::run(self.on.offline);
        }
        // Faults unwind; what became of the machine is said below.
        std::panic::set_hook(Box::new(|_| {}));
        let files = match all_files(&self.files) {
            Ok(files) => files,
            Err(error) => return fail(error),
        };
        let mut tally = Tally::default();
        let mut traces = Vec::new();
        for path in files {
            match Trace::read(&path) {
                Ok(trace) => traces.push((path, trace)),
                Err(error) => {
                    eprintln!("jig: {error}");
                    tally.refused += 1;
                }
            }
        }
        if !self.table.is_empty() {
            return table::run(&traces, &self.table, &self.on);
        }
        // For a file that is refused no QEMU is looked for, let alone started.
        let allowed = traces
            .iter()
            .filter(|(_, trace)| self.refused(trace).is_none());
        let archs = allowed.map(|(_, trace)| trace.header.arch).collect();
        let qemus = self.on.qemus(archs);
        for qemu in qemus.iter() {
            eprintln!("{}", qemu.summary());
        }
        let jobs = self
            .jobs
            .unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
        let next = AtomicUsize::new(0);
        let (done, results) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..jobs.clamp(1, traces.len().max(1)) {
                let (done, next) = (done.clone(), &next);
                let (traces, qemus, this) = (&traces, &qemus, &self);
                scope.spawn(move || {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some((path, trace)) = traces.get(at) else {
                            return;
                        };
                        if done.send((at, this.one(path, trace, qemus))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(done);
            // In the order of the files, whatever order they end in; a file may be named more than once.
            let mut waiting = BTreeMap::new();
            let mut expected = 0;
            for (at, result) in results {
                waiting.insert(at, result);
                while let Some((kind, text)) = waiting.remove(&expected) {
                    print!("{text}");
                    *tally.of(kind) += 1;
                    expected += 1;
                }
            }
        });
        tally.status()
    }

    /// Why a file is not replayed, if what it asks for needs trust.
    fn refused(&self, trace: &Trace) -> Option<ReplayError> {
        let refusals = if self.on.trust {
            Vec::new()
        } else {
            trace.refusals()
        };
        (!refusals.is_empty()).then_some(ReplayError::Refused(refusals))
    }

    /// Replays one session: what became of it, and what is to be said.
    fn one(&self, path: &Path, trace: &Trace, qemus: &Qemus) -> (Kind, String) {
        let name = path.display();
        if let Some(error) = self.refused(trace) {
            return (Kind::Refused, format!("REFUSED {name}: {error}\n"));
        }
        let arch = trace.header.arch;
        let qemu = match qemus.get(arch) {
            Ok(qemu) => qemu,
            Err(_) if qemus.iter().next().is_some() => {
                return (Kind::Skipped, format!("SKIP {name}: it is for {arch}\n"));
            }
            Err(error) => return (Kind::Lacking, format!("ERROR {name}: {error}\n")),
        };
        match self.on.how().run(trace, qemu) {
            Ok(outcome) => {
                let (kind, word) = if let Verdict::Skipped(_) = outcome.verdict {
                    (Kind::Skipped, "SKIP")
                } else if outcome.verdict.is_as(&trace.header.expect) {
                    (Kind::Good, "PASS")
                } else {
                    (Kind::Bad, "FAIL")
                };
                let mut text = format!("{word} {name}: {}\n", outcome.verdict);
                self.more(trace, &outcome, kind == Kind::Bad, &mut text);
                (kind, text)
            }
            Err(error) => (Kind::Bad, format!("ERROR {name}: {error}\n")),
        }
    }

    /// What helps to understand a verdict.
    fn more(&self, trace: &Trace, outcome: &Outcome, is_bad: bool, text: &mut String) {
        if is_bad {
            let of = trace.operations();
            let _ = writeln!(text, "  expected: {}", trace.header.expect);
            let _ = writeln!(text, "  answered: {} of {of} operations", outcome.answered);
            if let (Some(difference), false) = (
                &outcome.difference,
                matches!(outcome.verdict, Verdict::Differs(_)),
            ) {
                let _ = writeln!(text, "  before that it replied differently: {difference}");
            }
        }
        if self.verbose {
            let count = u32::try_from(outcome.replies.len()).unwrap_or(u32::MAX);
            let rate = f64::from(count) / outcome.took.as_secs_f64().max(1e-9);
            let _ = writeln!(
                text,
                "  {count} operations in {:.1} ms, {rate:.0} a second",
                outcome.took.as_secs_f64() * 1e3
            );
            for line in outcome.stderr.lines() {
                let _ = writeln!(text, "  | {line}");
            }
        }
    }
}

/// The files, with those of directories.
pub(crate) fn all_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let failed = |error| format!("failed to read {}: {error}", path.display());
        let mut found = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "qtr") {
                found.push(path);
            }
        }
        if found.is_empty() {
            return Err(format!("{} holds no .qtr files", path.display()));
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}
