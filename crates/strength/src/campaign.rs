//! [`Campaign`]: plant changes in devices, one at a time, and see which the tests notice.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::mutant::Mutant;
use crate::pick::{Picked, pick};
use crate::tree::Tree;

/// What the tests say to one binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// All is well.
    Green,
    /// Something is not: the first thing that they named.
    Red(String),
}

/// Runs the tests that reach a file's device on a binary, and gives up after this time.
pub type Judge<'a> = dyn Fn(&str, &Path, Duration) -> Result<Judgement, Error> + Sync + 'a;

/// What became of one change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The change.
    pub mutant: Mutant,
    /// What the tests noticed first; `None` if nothing.
    pub noticed: Option<String>,
    /// How long it took, in seconds.
    pub seconds: u64,
}

/// Which changes to plant, and where to keep what came of it.
pub struct Campaign {
    /// Source files, relative to the tree.
    pub files: Vec<String>,
    /// How many changes to plant in each.
    pub count: usize,
    /// From which they are drawn.
    pub seed: u64,
    /// How many are tried at once.
    pub jobs: usize,
    /// Directories with firmware, for a build without its own.
    pub firmware: Vec<PathBuf>,
    /// Where findings are written, a JSON object a line; those that are there already are not tried again.
    pub record: PathBuf,
    /// An empty directory for what is compiled and linked. Whoever made it removes it.
    pub work: PathBuf,
}

/// The longest that the tests may take on an unchanged device.
const PATIENCE: Duration = Duration::from_secs(600);
/// How much longer than on an unchanged device they may take at least.
const MARGIN: Duration = Duration::from_secs(15);

/// What a campaign tells of its progress.
pub enum Progress<'a> {
    /// So many changes of a file are drawn.
    Drawn(&'a str, usize),
    /// The tests are green on the unchanged device, and take so long.
    Green(&'a str, Duration),
    /// One change was tried.
    Tried(&'a Finding),
}

struct Job {
    picked: Picked,
    limit: Duration,
}

impl Campaign {
    /// Plants the changes and runs the tests; the findings in the order of files and lines. The tree is not written to.
    ///
    /// # Errors
    /// If the tests are not green on the unchanged device, before or after, or something can't be built.
    pub fn run(
        &self,
        tree: &Tree,
        judge: &Judge<'_>,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Vec<Finding>, Error> {
        let mut findings = self.known()?;
        let mut jobs = VecDeque::new();
        for (file, picked) in self.files.iter().zip(self.draw(tree)?) {
            let mut picked = picked;
            progress(Progress::Drawn(file, picked.len()));
            picked.retain(|picked| !findings.iter().any(|known| known.mutant == picked.mutant));
            if picked.is_empty() {
                continue;
            }
            let limit = self.clean(tree, file, &self.work, judge)?;
            progress(Progress::Green(file, limit));
            let limit = (limit * 3).max(limit + MARGIN);
            jobs.extend(picked.into_iter().map(|picked| Job { picked, limit }));
        }
        let tried = self.try_all(tree, jobs, &self.work, judge, progress)?;
        for file in &self.files {
            if tried.iter().any(|finding| finding.mutant.file == *file) {
                // Tests that broke on the way would have noticed everything since.
                self.clean(tree, file, &self.work, judge)?;
            }
        }
        findings.retain(|known| self.files.contains(&known.mutant.file));
        findings.extend(tried);
        findings.sort_by(|a, b| {
            let key = |finding: &Finding| (finding.mutant.file.clone(), finding.mutant.start);
            key(a).cmp(&key(b))
        });
        Ok(findings)
    }

    /// The changes of each file. One file's are drawn one after the other, since each depends on those before.
    fn draw(&self, tree: &Tree) -> Result<Vec<Vec<Picked>>, Error> {
        let files: Vec<(usize, &String)> = self.files.iter().enumerate().collect();
        let mut drawn = Vec::new();
        for some in files.chunks(self.jobs.max(1)) {
            let some: Result<Vec<_>, Error> = std::thread::scope(|scope| {
                let threads: Vec<_> = some
                    .iter()
                    .map(|(nr, file)| {
                        let directory = self.work.join(nr.to_string());
                        scope.spawn(move || pick(tree, file, self.count, self.seed, &directory))
                    })
                    .collect();
                let drawn = threads.into_iter().map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                });
                drawn.collect()
            });
            drawn.extend(some?);
        }
        Ok(drawn)
    }

    /// How long the tests of the unchanged device take.
    fn clean(
        &self,
        tree: &Tree,
        file: &str,
        work: &Path,
        judge: &Judge<'_>,
    ) -> Result<Duration, Error> {
        let place = work.join("clean");
        let not_green = |problem: String| Error::NotGreen {
            file: file.to_owned(),
            problem,
        };
        let object = tree
            .compile(file, &tree.text(file)?, &place)?
            .ok_or_else(|| not_green("it does not compile".to_owned()))?;
        let binary = self.binary(tree, file, &object, &place)?;
        let begin = Instant::now();
        match judge(file, &binary, PATIENCE)? {
            Judgement::Green => Ok(begin.elapsed()),
            Judgement::Red(problem) => Err(not_green(problem)),
        }
    }

    fn try_all(
        &self,
        tree: &Tree,
        jobs: VecDeque<Job>,
        work: &Path,
        judge: &Judge<'_>,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Vec<Finding>, Error> {
        let mut record = self.open_record()?;
        let queue = Mutex::new(jobs);
        let done = Mutex::new((&mut record, Vec::new(), None));
        std::thread::scope(|scope| {
            for worker in 0..self.jobs {
                let (queue, done) = (&queue, &done);
                let place = work.join(format!("worker-{worker}"));
                scope.spawn(move || {
                    loop {
                        let Some(job) = queue
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .pop_front()
                        else {
                            return;
                        };
                        let tried = self.try_one(tree, job, &place, judge);
                        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                        let written = tried.and_then(|finding| {
                            let line = serde_json::to_string(&finding)
                                .expect("a finding is text and numbers");
                            writeln!(done.0, "{line}")
                                .map_err(|error| Error::read(&self.record, error))?;
                            progress(Progress::Tried(&finding));
                            Ok(finding)
                        });
                        match written {
                            Ok(finding) => done.1.push(finding),
                            Err(error) => {
                                queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                                done.2 = Some(error);
                            }
                        }
                    }
                });
            }
        });
        match done.into_inner().unwrap_or_else(PoisonError::into_inner) {
            (_, _, Some(error)) => Err(error),
            (_, findings, None) => Ok(findings),
        }
    }

    /// The record, ready for the next line even if its last one was cut off.
    fn open_record(&self) -> Result<File, Error> {
        let open = || {
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .read(true)
                .open(&self.record)?;
            let mut last = [b'\n'];
            if file.seek(SeekFrom::End(-1)).is_ok() {
                file.read_exact(&mut last)?;
            }
            if last != [b'\n'] {
                file.write_all(b"\n")?;
            }
            Ok(file)
        };
        open().map_err(|error| Error::read(&self.record, error))
    }

    fn try_one(
        &self,
        tree: &Tree,
        job: Job,
        place: &Path,
        judge: &Judge<'_>,
    ) -> Result<Finding, Error> {
        let Picked { mutant, object } = job.picked;
        let begin = Instant::now();
        let binary = self.binary(tree, &mutant.file, &object, place)?;
        let noticed = match judge(&mutant.file, &binary, job.limit)? {
            Judgement::Green => None,
            Judgement::Red(what) => Some(what),
        };
        Ok(Finding {
            mutant,
            noticed,
            seconds: begin.elapsed().as_secs(),
        })
    }

    /// A binary that finds its firmware, in a directory of its own.
    fn binary(
        &self,
        tree: &Tree,
        file: &str,
        object: &Path,
        place: &Path,
    ) -> Result<PathBuf, Error> {
        tree.bundle(&self.firmware, place)?;
        let binary = place.join(tree.target());
        // Another file of the same name, not the same file: the old one may still be mapped.
        let _ = fs::remove_file(&binary);
        tree.link(file, object, &binary)?;
        Ok(binary)
    }

    /// What an earlier run of this campaign found; a last line that was cut off counts as never written.
    fn known(&self) -> Result<Vec<Finding>, Error> {
        let file = match File::open(&self.record) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::read(&self.record, error)),
        };
        Ok(BufReader::new(file)
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str(&line).ok())
            .collect())
    }
}
