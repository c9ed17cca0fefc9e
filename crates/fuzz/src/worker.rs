//! One worker: machines, and LibAFL's choice of what to try on them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use libafl::corpus::{Corpus, InMemoryCorpus, InMemoryOnDiskCorpus, Testcase};
use libafl::events::SimpleEventManager;
use libafl::executors::{Executor, ExitKind, HasObservers};
use libafl::feedbacks::{ConstFeedback, Feedback, StateInitializer};
use libafl::fuzzer::{Evaluator, Fuzzer, StdFuzzer};
use libafl::inputs::Input as _;
use libafl::monitors::NopMonitor;
use libafl::schedulers::{ProbabilitySamplingScheduler, TestcaseScore};
use libafl::stages::{StdMutationalStage, SyncFromDiskStage};
use libafl::state::{HasCorpus, StdState};
use libafl_bolts::Named;
use libafl_bolts::rands::StdRand;
use libafl_bolts::tuples::{RefIndexable, tuple_list};
use testjig_qtest::Reply;
use testjig_trace::Ending;
use testjig_vm::{Blocks, BlocksState};

use crate::findings::found;
use crate::fuzz::{FuzzError, Notes, Shared, lock};
use crate::input::Input;
use crate::machines::Machines;
use crate::mutate::{Draw, Mutations, Used};

/// How often inputs of other workers are looked for.
const EXCHANGE: Duration = Duration::from_secs(5);
/// Random inputs to begin with, and their operations.
const BEGINNINGS: usize = 8;
const LENGTH: usize = 16;
/// How many values of an access are news, if replies are learned from.
const VALUES: usize = 16;
/// How many inputs are made from one, at most, before the next is chosen.
const FROM_ONE: std::num::NonZeroUsize = std::num::NonZeroUsize::new(32).unwrap();

/// What an input led to, for those who decide what becomes of it.
#[derive(Default)]
struct Last {
    /// Blocks of the device that were reached for the first time, or replies that were.
    new: usize,
    /// Inputs that ended badly, with how.
    bad: Vec<(Input, Ending)>,
    /// What went wrong here, not in the machine.
    failure: Option<FuzzError>,
}

struct Trial<'a> {
    machines: Rc<RefCell<Machines<'a>>>,
    shared: &'a Shared<'a>,
    blocks: Option<Blocks>,
    /// How many of the blocks' order were looked at.
    seen: usize,
    /// By the access.
    replies: HashMap<u64, HashSet<u64>>,
    last: Rc<RefCell<Last>>,
    /// What was seen is told by `last`.
    observers: (),
}

impl Trial<'_> {
    fn run(&self, input: &Input) -> Result<(Ending, Vec<Reply>), libafl::Error> {
        let result = self.machines.borrow_mut().run(input);
        self.shared.executions.fetch_add(1, Ordering::Relaxed);
        result.map_err(|error| {
            let text = error.to_string();
            self.last.borrow_mut().failure = Some(error.into());
            libafl::Error::unknown(text)
        })
    }

    /// How much of what the machine did is new.
    fn news(&mut self, input: &Input, replies: &[Reply]) -> usize {
        let Some((blocks, watched)) = self.blocks.as_ref().zip(self.shared.watched.as_ref()) else {
            // Values that were read, whatever was done before.
            let mut new = 0;
            for (action, reply) in input.actions(self.shared.target).iter().zip(replies) {
                let Reply::Value(value) = reply else { continue };
                let mut hasher = DefaultHasher::new();
                format!("{action:?}").hash(&mut hasher);
                let known = self.replies.entry(hasher.finish()).or_default();
                // A register that gives back whatever was written to it is no news for long.
                new += usize::from(known.len() < VALUES && known.insert(*value));
            }
            return new;
        };
        let order = blocks.order(self.seen);
        self.seen = blocks.reached();
        let new: Vec<usize> = order
            .into_iter()
            .filter(|index| watched.its.contains(index))
            .collect();
        if !new.is_empty() {
            lock(&self.shared.reached).extend(&new);
        }
        new.len()
    }
}

impl<EM, S, Z> Executor<EM, Input, S, Z> for Trial<'_> {
    fn run_target(
        &mut self,
        _: &mut Z,
        _: &mut S,
        _: &mut EM,
        input: &Input,
    ) -> Result<ExitKind, libafl::Error> {
        let (mut ending, replies) = self.run(input)?;
        let new = self.news(input, &replies);
        let longer = match ending {
            Ending::Fine => self.machines.borrow_mut().repeated(input),
            _ => None,
        };
        let mut tried = input;
        if let Some(longer) = &longer {
            let (worse, _) = self.run(longer)?;
            if matches!(worse, Ending::Grown(_)) {
                (ending, tried) = (worse, longer);
            }
        }
        let mut last = self.last.borrow_mut();
        last.new = new;
        let kind = match ending {
            Ending::Fine => return Ok(ExitKind::Ok),
            Ending::Gone(_) => ExitKind::Crash,
            Ending::Hung => ExitKind::Timeout,
            Ending::Grown(_) => ExitKind::Oom,
        };
        last.bad.push((tried.clone(), ending));
        Ok(kind)
    }
}

impl HasObservers for Trial<'_> {
    type Observers = ();

    fn observers(&self) -> RefIndexable<&(), ()> {
        RefIndexable::from(&self.observers)
    }

    fn observers_mut(&mut self) -> RefIndexable<&mut (), ()> {
        RefIndexable::from(&mut self.observers)
    }
}

/// An input is kept if it led to something new and the machine lived.
struct News(Rc<RefCell<Last>>);

impl Named for News {
    fn name(&self) -> &Cow<'static, str> {
        &Cow::Borrowed("news")
    }
}

impl<S> StateInitializer<S> for News {}

impl<EM, OT, S> Feedback<EM, Input, OT, S> for News {
    fn is_interesting(
        &mut self,
        _: &mut S,
        _: &mut EM,
        _: &Input,
        _: &OT,
        kind: &ExitKind,
    ) -> Result<bool, libafl::Error> {
        Ok(*kind == ExitKind::Ok && self.0.borrow().new > 0)
    }
}

/// Later inputs are tried more often than earlier ones, and short ones more often than long ones.
struct Favour;

impl<S: HasCorpus<Input>> TestcaseScore<Input, S> for Favour {
    fn compute(state: &S, testcase: &mut Testcase<Input>) -> Result<f64, libafl::Error> {
        let len = testcase.load_input(state.corpus())?.ops.len() as u32;
        let age = state.corpus().count() as u32;
        Ok((1.0 + f64::from(age)) / (4.0 + f64::from(len)))
    }
}

/// What can't be kept where.
pub(crate) fn keep(path: &Path) -> impl FnOnce(io::Error) -> FuzzError + use<> {
    let path = path.to_owned();
    move |source| FuzzError::Keep { path, source }
}

/// A worker's machines, and the blocks that they reach, if those are watched.
pub(crate) fn machines<'a>(
    shared: &'a Shared<'a>,
    number: usize,
) -> Result<(Machines<'a>, Option<Blocks>), FuzzError> {
    let blocks = match &shared.watched {
        Some(watched) if shared.qemu.unforkable().is_none() => {
            let path = shared.settings.directory.join(format!("blocks.{number}"));
            let _ = fs::remove_file(&path);
            let blocks = Blocks::create(&path, &watched.places).map_err(keep(&path))?;
            // Only this worker and its machines need it, and they have it open.
            fs::remove_file(&path).map_err(keep(&path))?;
            Some(blocks)
        }
        _ => None,
    };
    let machines = Machines::new(shared.qemu, shared.target, blocks.as_ref())?;
    let unwatched = match blocks.as_ref().map(Blocks::state) {
        _ if shared.watched.is_none() => Some("no description of its type is in the program"),
        Some(BlocksState::Armed) => None,
        Some(BlocksState::OtherProgram) => Some("the program is another than the file"),
        Some(BlocksState::ReadOnly) => Some("the system lets no code be written"),
        Some(BlocksState::Idle) | None => Some("this QEMU's blocks can't be watched"),
    };
    *lock(&shared.notes) = Notes {
        unforkable: machines.unforkable.clone(),
        unwatched: unwatched.map(ToOwned::to_owned),
    };
    Ok((machines, blocks.filter(|_| unwatched.is_none())))
}

/// Works until it is told to stop.
pub(crate) fn work(shared: &Shared<'_>, number: usize, seeds: &[PathBuf]) -> Result<(), FuzzError> {
    let corpus_directory = shared.corpus_of(number);
    fs::create_dir_all(&corpus_directory).map_err(keep(&corpus_directory))?;
    let (machines, blocks) = machines(shared, number)?;
    let machines = Rc::new(RefCell::new(machines));
    let last = Rc::new(RefCell::new(Last::default()));
    let mut trial = Trial {
        machines: Rc::clone(&machines),
        shared,
        blocks,
        seen: 0,
        replies: HashMap::new(),
        last: Rc::clone(&last),
        observers: (),
    };

    let mut news = News(Rc::clone(&last));
    let mut objective = ConstFeedback::False;
    let corpus =
        InMemoryOnDiskCorpus::with_meta_format_and_prefix(&corpus_directory, None, None, false)?;
    let rand = StdRand::with_seed(shared.settings.seed.wrapping_add(number as u64));
    let mut state = StdState::new(
        rand,
        corpus,
        InMemoryCorpus::new(),
        &mut news,
        &mut objective,
    )?;
    let mut manager = SimpleEventManager::new(NopMonitor::new());
    let scheduler: ProbabilitySamplingScheduler<Favour> = ProbabilitySamplingScheduler::new();
    let mut fuzzer = StdFuzzer::new(scheduler, news, objective);

    let settle = |result: Result<(), libafl::Error>| -> Result<(), FuzzError> {
        // What was found is kept even if what led there can't be.
        let bad: Vec<(Input, Ending)> = last.borrow_mut().bad.drain(..).collect();
        for (input, ending) in bad {
            found(shared, &machines, input, &ending)?;
        }
        result.map_err(|error| match last.borrow_mut().failure.take() {
            // What went wrong here is told as it is, not as the library passes it on.
            Some(failure) => failure,
            None => explained(error, &corpus_directory),
        })
    };

    // What earlier inputs reach, each worker learns for itself.
    let beginnings = shared.settings.beginnings.iter().cloned();
    let earlier = seeds.iter().filter_map(|seed| Input::from_file(seed).ok());
    for input in beginnings.chain(earlier) {
        if shared.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let result = fuzzer.evaluate_input(&mut state, &mut trial, &mut manager, &input);
        settle(result.map(drop))?;
    }
    for _ in 0..BEGINNINGS {
        let mut draw = Draw {
            rand: libafl::state::HasRand::rand_mut(&mut state),
            target: shared.target,
            dictionary: &shared.settings.dictionary,
            used: Used::default(),
        };
        let input = Input {
            ops: (0..LENGTH).map(|_| draw.op()).collect(),
        };
        let result = fuzzer.evaluate_input(&mut state, &mut trial, &mut manager, &input);
        settle(result.map(drop))?;
    }
    if state.corpus().count() == 0 {
        let input = Input::default();
        let result = fuzzer.add_input(&mut state, &mut trial, &mut manager, input);
        settle(result.map(drop))?;
    }
    let others: Vec<PathBuf> = (0..shared.settings.workers)
        .filter(|other| *other != number)
        .map(|other| shared.corpus_of(other))
        .collect();
    for other in &others {
        fs::create_dir_all(other).map_err(keep(other))?;
    }
    let mutations = Mutations {
        target: shared.target,
        dictionary: &shared.settings.dictionary,
    };
    let mut stages = tuple_list!(
        StdMutationalStage::with_max_iterations(mutations, FROM_ONE),
        // What is being written, or is none, counts as an input that does nothing.
        SyncFromDiskStage::new(
            others,
            |_: &mut _, _: &mut _, path: &Path| Ok(Input::from_file(path).unwrap_or_default()),
            EXCHANGE,
            "workers"
        )
    );
    let mut counted = 0;
    loop {
        let count = state.corpus().count() as u64;
        shared.corpus.fetch_add(count - counted, Ordering::Relaxed);
        counted = count;
        if shared.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let result = fuzzer.fuzz_one(&mut stages, &mut trial, &mut state, &mut manager);
        settle(result.map(drop))?;
    }
}

/// The library's error; or that nothing can be written any more, if that is what is behind it.
fn explained(error: libafl::Error, directory: &Path) -> FuzzError {
    let probe = directory.join("probe.part");
    let written = fs::write(&probe, vec![0; 1 << 16]);
    let _ = fs::remove_file(&probe);
    match written {
        Ok(()) => error.into(),
        Err(source) => keep(directory)(source),
    }
}
