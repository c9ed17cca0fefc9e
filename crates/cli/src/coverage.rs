//! `jig coverage`: which lines of a device do which tests reach?

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;
use testjig::case::{Case, Cases};
use testjig::vm::Arch;
use testjig::{records, runner};
use testjig_strength::{Coverage, Error, Tree};

use crate::fail;
use crate::list::Selection;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// QEMU's source tree
    #[arg(long, value_name = "DIR")]
    src: PathBuf,
    /// A directory in which that tree was built with --enable-gcov
    #[arg(long, value_name = "DIR")]
    build: PathBuf,
    /// The binary of that build to test
    #[arg(long, value_name = "NAME", default_value = "qemu-system-x86_64")]
    target: String,
    /// A directory with firmware, for a build that has none (may be repeated)
    #[arg(long, value_name = "DIR")]
    firmware: Vec<PathBuf>,
    /// Source files or directories to look at, relative to the source tree (may be repeated)
    #[arg(long = "of", value_name = "PATH", required = true)]
    of: Vec<String>,
    /// Where to write which test reached which line, for `jig run --changed-since` [default: in the build directory of testjig]
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// List the lines that no test reached
    #[arg(long)]
    unreached: bool,
    /// How many cases run at once [default: as many as there are cores]
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,
}

/// The map's usual place.
pub(crate) fn usual_map() -> PathBuf {
    records::build_directory().join("testjig/coverage.json")
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        match self.measure() {
            Ok(coverage) => {
                self.print(&coverage);
                ExitCode::SUCCESS
            }
            Err(error) => fail(error),
        }
    }

    fn measure(&self) -> Result<Coverage, String> {
        let tree =
            Tree::open(&self.src, &self.build, &self.target).map_err(|error| error.to_string())?;
        let files = tree
            .files_below(&self.of)
            .map_err(|error| error.to_string())?;
        let arch: Option<Arch> = self
            .target
            .strip_prefix("qemu-system-")
            .and_then(|name| name.parse().ok());
        let cases: Vec<Case> = Cases::collect()
            .cases
            .into_iter()
            .filter(|case| {
                self.selection.selects(case) && arch.is_none_or(|arch| case.arch() == arch)
            })
            .collect();
        if cases.is_empty() {
            return Err("no case of this architecture is selected".to_owned());
        }
        let place = tempfile::tempdir().map_err(|error| error.to_string())?;
        let binary = tree
            .binary(&self.firmware, place.path())
            .map_err(|error| error.to_string())?;
        let map = self.map.clone().unwrap_or_else(usual_map);
        // Tests that are not run now keep what they reached when they were.
        let coverage = Mutex::new(Coverage::read(&map).unwrap_or_default());
        let (next, done, failure) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(None));
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.unwrap_or_else(runner::default_jobs).max(1) {
                scope.spawn(|| {
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let measured = of_case(&tree, &files, &binary, case, &coverage);
                        if let Err(error) = measured {
                            next.store(cases.len(), Ordering::Relaxed);
                            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        }
                        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                        if std::io::stderr().is_terminal() {
                            eprint!("\r{done} of {} cases ", cases.len());
                        }
                    }
                });
            }
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let coverage = coverage
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = map.parent() {
            fs::create_dir_all(directory)
                .map_err(|error| format!("failed to create {}: {error}", directory.display()))?;
        }
        coverage.write(&map).map_err(|error| error.to_string())?;
        Ok(coverage)
    }

    fn print(&self, coverage: &Coverage) {
        let widest = coverage.files.keys().map(String::len).max().unwrap_or(0);
        println!("{:widest$}    lines  branches  tests", "file");
        for (file, reached) in &coverage.files {
            println!(
                "{file:widest$}  {:5.1} %   {:5.1} %  {:5}",
                reached.line_share().percent(),
                reached.branch_share().percent(),
                coverage.tests_of(file).count(),
            );
            if self.unreached {
                for (first, last) in reached.unreached() {
                    println!("  {file}:{first}–{last}");
                }
            }
        }
    }
}

/// Runs one case in a process of its own, whose machines leave their counters in a directory of its own.
fn of_case(
    tree: &Tree,
    files: &[String],
    binary: &Path,
    case: &Case,
    coverage: &Mutex<Coverage>,
) -> Result<(), String> {
    let prefix = tempfile::tempdir().map_err(|error| error.to_string())?;
    let status = run(case, binary, prefix.path())?;
    match status {
        Some(0 | 1) => {}
        // Skipped on this QEMU.
        Some(4) => return Ok(()),
        _ => return Err(format!("{} could not be run", case.name)),
    }
    let mut coverage = coverage.lock().unwrap_or_else(PoisonError::into_inner);
    match coverage.add(tree, files, &case.name, prefix.path()) {
        // A machine that the test killed, or never started, has nothing to tell.
        Err(Error::Tool(test, _)) if test == case.name && !coverage.files.is_empty() => Ok(()),
        added => added.map_err(|error| error.to_string()),
    }
}

fn run(case: &Case, binary: &Path, prefix: &Path) -> Result<Option<i32>, String> {
    let status = Command::new("/proc/self/exe")
        .args(["run", "--exact", "--jobs", "1", "--qemu"])
        .arg(binary)
        .arg(&case.name)
        .env("GCOV_PREFIX", prefix)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| format!("failed to run {}: {error}", case.name))?;
    Ok(status.code())
}
