//! `jig mutate`: how strong are my tests?

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tempfile::TempDir;
use testjig::case::Cases;
use testjig::records;
use testjig::report::Record;
use testjig::runner;
use testjig_strength::{Campaign, Error, Finding, Judgement, Progress, Tree};

use crate::fail;

/// How long a run that is asked to end may take.
const GRACE: Duration = Duration::from_secs(20);

#[derive(Args)]
pub(crate) struct Arguments {
    /// Source files of devices, relative to the source tree: hw/rtc/mc146818rtc.c
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// QEMU's source tree; nothing is written to it
    #[arg(long, value_name = "DIR")]
    src: PathBuf,
    /// A directory in which that tree was built; nothing is written to it
    #[arg(long, value_name = "DIR")]
    build: PathBuf,
    /// The binary to build
    #[arg(long, value_name = "NAME", default_value = "qemu-system-x86_64")]
    target: String,
    /// Tests to run on each change, as for `jig run` [default: those whose name or path has the name of the changed file]
    #[arg(long, value_name = "PATTERN")]
    tests: Vec<String>,
    /// How many changes to plant in each file
    #[arg(long, value_name = "N", default_value_t = 20)]
    count: usize,
    /// The number that the changes are drawn from: the same number, the same changes
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// How many changes are tried at once [default: as many as there are cores]
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,
    /// A directory with firmware, for a build that has none (may be repeated)
    #[arg(long, value_name = "DIR")]
    firmware: Vec<PathBuf>,
    /// Where to keep what was found; a run that was interrupted goes on from there [default: in the build directory of testjig]
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        match self.campaign() {
            Ok(findings) => {
                summarize(&findings);
                ExitCode::SUCCESS
            }
            Err(error) => fail(error),
        }
    }

    fn campaign(&self) -> Result<Vec<Finding>, String> {
        let tree =
            Tree::open(&self.src, &self.build, &self.target).map_err(|error| error.to_string())?;
        let mut tests = BTreeMap::new();
        for file in &self.files {
            tests.insert(file.as_str(), self.tests_of(file)?);
        }
        let record = self.record.clone().unwrap_or_else(|| {
            let name = format!("mutate-{}-{}.jsonl", self.target, self.seed);
            records::build_directory().join("testjig").join(name)
        });
        if let Some(directory) = record.parent() {
            fs::create_dir_all(directory)
                .map_err(|error| format!("failed to create {}: {error}", directory.display()))?;
        }
        let work = scratch().map_err(|error| format!("failed to make a directory: {error}"))?;
        let campaign = Campaign {
            work: work.path().to_owned(),
            files: self.files.clone(),
            count: self.count,
            seed: self.seed,
            jobs: self.jobs.unwrap_or_else(runner::default_jobs).max(1),
            firmware: self.firmware.clone(),
            record,
        };
        let keen = Keen::default();
        let findings = campaign.run(
            &tree,
            &|file, binary, limit| judge(&tests[file], &keen.of(file), binary, limit),
            &|progress| match progress {
                Progress::Drawn(file, count) => eprintln!("{file}: {count} changes drawn"),
                Progress::Green(file, time) => eprintln!(
                    "{file}: the tests are green on the unchanged device, {:.1} s",
                    time.as_secs_f64()
                ),
                Progress::Tried(finding) => {
                    keen.learn(finding);
                    eprintln!("{}", line(finding));
                }
            },
        );
        findings.map_err(|error| error.to_string())
    }

    /// The patterns that select the tests of a file's device.
    fn tests_of(&self, file: &str) -> Result<Vec<String>, String> {
        if !self.tests.is_empty() {
            return Ok(self.tests.clone());
        }
        let stem = Path::new(file)
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let known = Cases::collect().cases;
        let spellings = [stem.replace('_', "-"), stem];
        spellings
            .into_iter()
            .find(|stem| known.iter().any(|case| case.name.contains(stem.as_str())))
            .map(|stem| vec![stem])
            .ok_or_else(|| {
                format!("no test has the name of {file} in its own: name some with --tests")
            })
    }
}

/// What a scratch directory's name begins with; the process follows.
const SCRATCH: &str = "testjig-mutate-";

/// A directory that goes with this process, also when a signal asks it to end. What one left that was killed goes now.
fn scratch() -> std::io::Result<TempDir> {
    for entry in fs::read_dir(std::env::temp_dir())?.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(SCRATCH));
        let owner = owner.and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        let is_there = |owner: u32| Path::new("/proc").join(owner.to_string()).exists();
        if owner.is_some_and(|owner| !is_there(owner)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let prefix = format!("{SCRATCH}{}-", std::process::id());
    let work = tempfile::Builder::new().prefix(&prefix).tempdir()?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let path = work.path().to_owned();
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            for &run in &*RUNS.lock().unwrap_or_else(PoisonError::into_inner) {
                // Each ends its machines before it ends.
                let _ = kill_process(run, Signal::INT);
            }
            // What is being written just now may come back once.
            while path.exists() && fs::remove_dir_all(&path).is_err() {}
            std::process::exit(130);
        }
    });
    Ok(work)
}

/// The runs that are under way.
static RUNS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// The cases that noticed changes of each file: what noticed one is likely to notice the next, and is run first.
#[derive(Default)]
struct Keen(Mutex<BTreeMap<String, Vec<(String, usize)>>>);

impl Keen {
    /// The most that are worth starting with.
    const MOST: usize = 30;

    fn learn(&self, finding: &Finding) {
        // `FAIL name of the case: reason`
        let told = finding.noticed.as_deref().unwrap_or_default();
        let Some(case) = told
            .split(' ')
            .nth(1)
            .map(|case| case.trim_end_matches(':'))
        else {
            return;
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cases = known.entry(finding.mutant.file.clone()).or_default();
        match cases.iter_mut().find(|(known, _)| known == case) {
            Some((_, count)) => *count += 1,
            None => cases.push((case.to_owned(), 1)),
        }
        cases.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    }

    /// The keenest cases for a file, keenest first.
    fn of(&self, file: &str) -> Vec<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cases = known.get(file).into_iter().flatten();
        cases
            .take(Self::MOST)
            .map(|(case, _)| case.clone())
            .collect()
    }
}

/// Seconds that one test may take: a change that makes a device silent is noticed in that time.
const DEADLINE: &str = "5";

/// Has another process of this program run the tests on a binary.
fn judge(
    tests: &[String],
    first: &[String],
    binary: &Path,
    limit: Duration,
) -> Result<Judgement, Error> {
    let tool = |error: std::io::Error| Error::Tool("jig run".to_owned(), error.to_string());
    let record = tempfile::NamedTempFile::new().map_err(tool)?;
    let mut run = Command::new("/proc/self/exe")
        .args(["run", "--fail-fast", "--forget", "--jobs", "1"])
        // The tests are green like this on the unchanged device: what is not is the change's doing, and need not be confirmed.
        .args(["--isolation", "fork", "--deadline", DEADLINE, "--qemu"])
        .arg(binary)
        .arg("--json")
        .arg(record.path())
        .args(first.iter().flat_map(|case| ["--first", case.as_str()]))
        .args(tests)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(tool)?;
    let Some(status) = wait(&mut run, limit).map_err(tool)? else {
        return Ok(Judgement::Red(format!(
            "no end within {} s",
            limit.as_secs()
        )));
    };
    match status.code() {
        Some(0) => Ok(Judgement::Green),
        // Nothing ran at all: that is no judgement.
        Some(2 | 4) => Err(Error::Tool(
            format!("jig run {}", tests.join(" ")),
            "no test ran".to_owned(),
        )),
        Some(130) => Err(Error::Tool("jig run".to_owned(), "interrupted".to_owned())),
        _ => {
            let first = File::open(record.path())
                .ok()
                .and_then(|file| Record::read(BufReader::new(file)).ok())
                .and_then(|record| {
                    let mut cases = record.cases.into_iter();
                    cases.find(|(_, _, outcome)| !outcome.verdict.is_good())
                });
            Ok(Judgement::Red(match first {
                Some((name, _, outcome)) => {
                    format!("{} {name}: {}", outcome.verdict, outcome.reason)
                }
                None => format!("jig run ended with {status}"),
            }))
        }
    }
}

/// Waits for a run's end; `None` if it had to be ended.
fn wait(run: &mut Child, limit: Duration) -> std::io::Result<Option<std::process::ExitStatus>> {
    let pid = i32::try_from(run.id())
        .ok()
        .and_then(Pid::from_raw)
        .expect("a child has a positive id");
    let runs = || RUNS.lock().unwrap_or_else(PoisonError::into_inner);
    runs().push(pid);
    let ended = wait_for(run, pid, limit);
    runs().retain(|other| *other != pid);
    ended
}

fn wait_for(
    run: &mut Child,
    pid: Pid,
    limit: Duration,
) -> std::io::Result<Option<std::process::ExitStatus>> {
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let ends_within = |time: Duration| -> std::io::Result<bool> {
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        Ok(poll(&mut fds, Timespec::try_from(time).ok().as_ref())? > 0)
    };
    if ends_within(limit)? {
        return run.wait().map(Some);
    }
    // The runner ends its machines itself when it is asked to.
    kill_process(pid, Signal::INT)?;
    if !ends_within(GRACE)? {
        run.kill()?;
    }
    run.wait()?;
    Ok(None)
}

fn line(finding: &Finding) -> String {
    let mutant = &finding.mutant;
    let change = format!(
        "{}:{} {}: {:?} → {:?}",
        mutant.file, mutant.line, mutant.function, mutant.original, mutant.replacement
    );
    match &finding.noticed {
        Some(what) => format!("noticed   {change}   {what}"),
        None => format!("SURVIVED  {change}"),
    }
}

fn summarize(findings: &[Finding]) {
    let mut files: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for finding in findings {
        let (noticed, all) = files.entry(&finding.mutant.file).or_default();
        *all += 1;
        *noticed += usize::from(finding.noticed.is_some());
    }
    let survivors: Vec<&Finding> = findings
        .iter()
        .filter(|finding| finding.noticed.is_none())
        .collect();
    if !survivors.is_empty() {
        println!("No test noticed:");
        for finding in survivors {
            println!("  {}", line(finding).trim_start_matches("SURVIVED  "));
        }
    }
    for (file, (noticed, all)) in files {
        let share = 100 * noticed / all;
        println!("{file}: {noticed} of {all} changes noticed, {share} %");
    }
}
