//! [`fuzz`]: workers, what they share, and what they find.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use testjig_blocks::{Device, Program};
use testjig_trace::Trace;
use testjig_vm::{LaunchError, Qemu};

use crate::exchange::{Exchange, Exchanged, Peers};
use crate::findings::{release, reserve};
use crate::input::Input;
use crate::replay;
use crate::target::Target;
use crate::worker;

/// What to do, and for how long.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long; without end if absent.
    pub time: Option<Duration>,
    /// How many machines run at once, at least 1.
    pub workers: usize,
    /// Where inputs and findings are kept. What is there from an earlier time is used.
    pub directory: PathBuf,
    /// What is tried first: [`seeds`](crate::seeds) of recordings, for instance.
    pub beginnings: Vec<Input>,
    /// What is carried out as it was recorded, each session on the machine that it names, before inputs of earlier times are tried once
    /// each: only with `replay_corpus`.
    pub sessions: Vec<Trace>,
    /// Words that mean something to the device: values of registers and of memory; [`dictionary`](crate::dictionary) reads some.
    pub dictionary: Vec<Vec<u8>>,
    /// What chance is drawn from.
    pub seed: u64,
    /// Whether one finding is enough.
    pub stop_at_finding: bool,
    /// Whether inputs of earlier times are tried once each, and none is made.
    pub replay_corpus: bool,
    /// With whom inputs and findings are exchanged; none while the corpus is replayed.
    pub peers: Option<Peers>,
}

/// From what is learned which inputs lead somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// Basic blocks of the device's files that are reached for the first time.
    Blocks,
    /// Replies that were not seen before; and why not blocks.
    Replies(String),
}

/// Something that a guest can do to the device and should not be able to.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What the same bug has in common wherever it is met.
    pub signature: String,
    /// The shortest input that was found for it.
    pub input: Input,
    /// Where that is kept.
    pub path: PathBuf,
    /// Whether it ends so on a machine that was started for it; otherwise it may be a bug of forking.
    pub is_confirmed: bool,
}

/// What became of [`Settings::sessions`], while blocks were watched.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    /// How many ended as they say, with the replies that they have.
    pub same: u64,
    /// How many this QEMU can't carry out.
    pub skipped: u64,
    /// The others: which, and what became of them.
    pub other: Vec<String>,
}

/// How far it is.
#[derive(Clone, Debug)]
pub struct Status {
    /// Since the start.
    pub elapsed: Duration,
    /// Inputs tried.
    pub executions: u64,
    /// Blocks of the device's files that were reached by now.
    pub reached: BTreeSet<usize>,
    /// How many there are; 0 if that is not known.
    pub blocks: usize,
    /// Inputs that led somewhere.
    pub corpus: u64,
    /// What became of recorded sessions.
    pub sessions: Sessions,
    /// What was found.
    pub findings: Vec<Finding>,
    /// What became of the exchange with others, if that was asked for.
    pub exchanged: Option<Exchanged>,
    /// What is learned from.
    pub feedback: Feedback,
    /// Why machines are not forked; `None` if they are.
    pub unforkable: Option<String>,
}

/// Why it stopped before its time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FuzzError {
    /// The machine did not start.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// Inputs can't be kept.
    #[error("failed to keep inputs in {}: {source}; what was found before is there", path.display())]
    Keep {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Inputs can't be exchanged with others.
    #[error("failed to exchange inputs with others: {0}")]
    Exchange(io::Error),
    /// The library that chooses inputs failed.
    #[error("the fuzzer failed: {0}")]
    Library(String),
}

impl From<libafl::Error> for FuzzError {
    fn from(error: libafl::Error) -> Self {
        Self::Library(error.to_string())
    }
}

/// What workers share.
pub(crate) struct Shared<'a> {
    pub(crate) qemu: &'a Qemu,
    pub(crate) target: &'a Target,
    pub(crate) settings: &'a Settings,
    /// The places of the device's blocks; without them, replies are learned from.
    pub(crate) watched: Option<Watched>,
    pub(crate) executions: AtomicU64,
    pub(crate) corpus: AtomicU64,
    pub(crate) reached: Mutex<BTreeSet<usize>>,
    pub(crate) findings: Mutex<Vec<Finding>>,
    pub(crate) sessions: Mutex<Sessions>,
    pub(crate) notes: Mutex<Notes>,
    pub(crate) exchanged: Mutex<Option<Exchanged>>,
    pub(crate) stop: AtomicBool,
}

/// What workers say of themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    pub(crate) unforkable: Option<String>,
    pub(crate) unwatched: Option<String>,
}

pub(crate) struct Watched {
    pub(crate) places: Vec<(u64, u8)>,
    /// Which blocks of the program these are.
    pub(crate) its: Vec<usize>,
}

impl Shared<'_> {
    pub(crate) fn corpus_of(&self, worker: usize) -> PathBuf {
        self.settings
            .directory
            .join("corpus")
            .join(worker.to_string())
    }

    pub(crate) fn findings_directory(&self) -> PathBuf {
        self.settings.directory.join("findings")
    }

    fn status(&self, begin: Instant) -> Status {
        let notes = lock(&self.notes).clone();
        let feedback = match (&self.watched, notes.unwatched) {
            (_, Some(why)) => Feedback::Replies(why),
            (None, None) => Feedback::Replies("no blocks of its files are known".to_owned()),
            (Some(_), None) => Feedback::Blocks,
        };
        Status {
            elapsed: begin.elapsed(),
            executions: self.executions.load(Ordering::Relaxed),
            reached: lock(&self.reached).clone(),
            blocks: self.watched.as_ref().map_or(0, |watched| watched.its.len()),
            corpus: self.corpus.load(Ordering::Relaxed),
            sessions: lock(&self.sessions).clone(),
            findings: lock(&self.findings).clone(),
            exchanged: lock(&self.exchanged).clone(),
            feedback,
            unforkable: notes.unforkable,
        }
    }
}

/// The lock, whether or not a worker panicked with it: what it guards is whole at any time.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Tries inputs until the time is over, `stop` is set, or a worker fails. `watch` is told every half second.
///
/// `program` is what is known of the QEMU's program and its functions of the device; without it, replies are learned from.
///
/// # Errors
/// If no machine starts, or inputs can't be kept.
pub fn fuzz(
    qemu: &Qemu,
    target: &Target,
    program: Option<(&Program, &Device)>,
    settings: &Settings,
    stop: &AtomicBool,
    mut watch: impl FnMut(&Status),
) -> Result<Status, FuzzError> {
    let begin = Instant::now();
    let shared = Shared {
        qemu,
        target,
        settings,
        watched: program.map(|(program, device)| watched(program, device)),
        executions: AtomicU64::new(0),
        corpus: AtomicU64::new(0),
        reached: Mutex::default(),
        findings: Mutex::default(),
        sessions: Mutex::default(),
        notes: Mutex::default(),
        exchanged: Mutex::default(),
        stop: AtomicBool::new(false),
    };
    let kept = |path: &Path| {
        let path = path.to_owned();
        move |source| FuzzError::Keep { path, source }
    };
    let findings = shared.findings_directory();
    fs::create_dir_all(&findings)
        .and_then(|()| reserve(&findings))
        .map_err(kept(&findings))?;
    let seeds = if settings.replay_corpus {
        inputs_in(&settings.directory.join("corpus"))
    } else {
        earlier_inputs(settings)
    }
    .map_err(kept(&settings.directory))?;
    let mut exchange = match settings.peers.filter(|_| !settings.replay_corpus) {
        Some(peers) => {
            let exchange = Exchange::new(peers, target, &settings.directory);
            Some(exchange.map_err(FuzzError::Exchange)?)
        }
        None => None,
    };
    let end = settings.time.map(|time| begin + time);
    let result = thread::scope(|scope| {
        let count = if settings.replay_corpus {
            1
        } else {
            settings.workers.max(1)
        };
        let workers: Vec<_> = (0..count)
            .map(|number| {
                let (shared, seeds) = (&shared, &seeds);
                scope.spawn(move || {
                    let result = if settings.replay_corpus {
                        replay::replay(shared, seeds)
                    } else {
                        worker::work(shared, number, seeds)
                    };
                    if result.is_err() {
                        shared.stop.store(true, Ordering::Relaxed);
                    }
                    result
                })
            })
            .collect();
        let mut told = Instant::now();
        let mut failure = None;
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(20));
            if let Some(exchange) = &mut exchange {
                if let Err(error) = exchange.turn() {
                    shared.stop.store(true, Ordering::Relaxed);
                    failure.get_or_insert(FuzzError::Exchange(error));
                }
                *lock(&shared.exchanged) = Some(exchange.exchanged.clone());
            }
            let is_over = end.is_some_and(|end| Instant::now() >= end)
                || stop.load(Ordering::Relaxed)
                || settings.stop_at_finding && !lock(&shared.findings).is_empty();
            if is_over {
                shared.stop.store(true, Ordering::Relaxed);
            }
            if told.elapsed() > Duration::from_millis(500) {
                told = Instant::now();
                watch(&shared.status(begin));
            }
        }
        for worker in workers {
            match worker.join() {
                Ok(result) => result?,
                Err(_) => return Err(FuzzError::Library("a worker panicked".to_owned())),
            }
        }
        failure.map_or(Ok(()), Err)
    });
    release(&findings);
    result?;
    let old = settings.directory.join("corpus.old");
    if old.exists() && !settings.replay_corpus {
        fs::remove_dir_all(&old).map_err(kept(&old))?;
    }
    Ok(shared.status(begin))
}

/// Only what is the device's: places elsewhere would have every fork copy the pages that they are in.
fn watched(program: &Program, device: &Device) -> Watched {
    let its: Vec<usize> = device
        .functions
        .iter()
        .flat_map(|index| program.functions()[*index].blocks.clone())
        .collect();
    Watched {
        places: its
            .iter()
            .map(|index| &program.blocks()[*index])
            .map(|block| (block.address, block.byte))
            .collect(),
        its,
    }
}

/// The inputs of earlier times, which are put aside until they have been tried again.
fn earlier_inputs(settings: &Settings) -> io::Result<Vec<PathBuf>> {
    let old = settings.directory.join("corpus.old");
    let corpus = settings.directory.join("corpus");
    if corpus.exists() {
        let mut number = 0;
        while old.join(number.to_string()).exists() {
            number += 1;
        }
        fs::create_dir_all(&old)?;
        fs::rename(&corpus, old.join(number.to_string()))?;
    }
    fs::create_dir_all(&corpus)?;
    inputs_in(&old)
}

/// The inputs in a directory and those below it.
fn inputs_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                directories.push(entry.path());
            } else if !entry.file_name().to_string_lossy().contains('.') {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}
