//! `jig replay`.

mod selftest;
mod table;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

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
        let archs = match find::named_arch(&wish) {
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
        let archs = traces.iter().map(|(_, trace)| trace.header.arch).collect();
        let qemus = self.on.qemus(archs);
        for qemu in qemus.iter() {
            eprintln!("{}", qemu.summary());
        }
        for (path, trace) in &traces {
            self.one(path, trace, &qemus, &mut tally);
        }
        tally.status()
    }

    fn one(&self, path: &Path, trace: &Trace, qemus: &Qemus, tally: &mut Tally) {
        let name = path.display();
        let arch = trace.header.arch;
        let qemu = match qemus.get(arch) {
            Ok(qemu) => qemu,
            Err(_) if qemus.iter().next().is_some() => {
                tally.skipped += 1;
                println!("SKIP {name}: it is for {arch}");
                return;
            }
            Err(error) => {
                tally.lacking += 1;
                println!("ERROR {name}: {error}");
                return;
            }
        };
        match self.on.how().run(trace, qemu) {
            Ok(outcome) => {
                let word = if let Verdict::Skipped(_) = outcome.verdict {
                    tally.skipped += 1;
                    "SKIP"
                } else if outcome.verdict.is_as(&trace.header.expect) {
                    tally.good += 1;
                    "PASS"
                } else {
                    tally.bad += 1;
                    "FAIL"
                };
                println!("{word} {name}: {}", outcome.verdict);
                self.more(trace, &outcome, word == "FAIL");
            }
            Err(error @ ReplayError::Refused(_)) => {
                tally.refused += 1;
                println!("REFUSED {name}: {error}");
            }
            Err(error) => {
                tally.bad += 1;
                println!("ERROR {name}: {error}");
            }
        }
    }

    /// What helps to understand a verdict.
    fn more(&self, trace: &Trace, outcome: &Outcome, is_bad: bool) {
        if is_bad {
            let of = trace.operations();
            println!("  expected: {}", trace.header.expect);
            println!("  answered: {} of {of} operations", outcome.answered);
            if let (Some(difference), false) = (
                &outcome.difference,
                matches!(outcome.verdict, Verdict::Differs(_)),
            ) {
                println!("  before that it replied differently: {difference}");
            }
        }
        if self.verbose {
            let count = u32::try_from(outcome.replies.len()).unwrap_or(u32::MAX);
            let rate = f64::from(count) / outcome.took.as_secs_f64().max(1e-9);
            println!(
                "  {count} operations in {:.1} ms, {rate:.0} a second",
                outcome.took.as_secs_f64() * 1e3
            );
            for line in outcome.stderr.lines() {
                println!("  | {line}");
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
