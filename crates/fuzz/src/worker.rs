//! One worker: machines, and LibAFL's choice of what to try on them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

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
use testjig_trace::{Ending, Header, Step, Trace};
use testjig_vm::{Blocks, BlocksState};

use crate::fuzz::{Finding, FuzzError, Notes, Shared, lock};
use crate::input::Input;
use crate::machines::Machines;
use crate::minimise::minimise;
use crate::mutate::{Draw, Mutations};

/// How often inputs of other workers are looked for.
const EXCHANGE: Duration = Duration::from_secs(5);
/// What a finding may take to be made short.
const SHORTENING: Duration = Duration::from_secs(30);
/// Random inputs to begin with, and their operations.
const BEGINNINGS: usize = 8;
const LENGTH: usize = 16;
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
    replies: HashSet<u64>,
    last: Rc<RefCell<Last>>,
    /// What was seen is told by `last`.
    observers: (),
}

impl Trial<'_> {
    /// How much of what the machine did is new.
    fn news(&mut self, input: &Input, replies: &[Reply]) -> usize {
        let Some((blocks, watched)) = self.blocks.as_ref().zip(self.shared.watched.as_ref()) else {
            // Replies to the operations, whatever was done before each.
            let mut new = 0;
            for (op, reply) in input.ops.iter().zip(replies) {
                let mut hasher = DefaultHasher::new();
                (op, format!("{reply:?}")).hash(&mut hasher);
                new += usize::from(self.replies.insert(hasher.finish()));
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
        let (ending, replies) = match self.machines.borrow_mut().run(input) {
            Ok(result) => result,
            Err(error) => {
                let text = error.to_string();
                self.last.borrow_mut().failure = Some(error.into());
                return Err(libafl::Error::unknown(text));
            }
        };
        self.shared.executions.fetch_add(1, Ordering::Relaxed);
        let new = self.news(input, &replies);
        let mut last = self.last.borrow_mut();
        last.new = new;
        let kind = match ending {
            Ending::Fine => return Ok(ExitKind::Ok),
            Ending::Gone(_) => ExitKind::Crash,
            Ending::Hung => ExitKind::Timeout,
            Ending::Grown(_) => ExitKind::Oom,
        };
        last.bad.push((input.clone(), ending));
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
fn keep(path: &Path) -> impl FnOnce(io::Error) -> FuzzError + use<> {
    let path = path.to_owned();
    move |source| FuzzError::Keep { path, source }
}

/// A worker's machines, and the blocks that they reach, if those are watched.
fn machines<'a>(
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
        replies: HashSet::new(),
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

    // What earlier inputs reach, each worker learns for itself.
    let beginnings = shared.settings.beginnings.iter().cloned();
    let earlier = seeds.iter().filter_map(|seed| Input::from_file(seed).ok());
    for input in beginnings.chain(earlier) {
        if shared.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        check(
            fuzzer.evaluate_input(&mut state, &mut trial, &mut manager, &input),
            &last,
        )?;
    }
    for _ in 0..BEGINNINGS {
        let mut draw = Draw {
            rand: libafl::state::HasRand::rand_mut(&mut state),
            target: shared.target,
        };
        let input = Input {
            ops: (0..LENGTH).map(|_| draw.op()).collect(),
        };
        check(
            fuzzer.evaluate_input(&mut state, &mut trial, &mut manager, &input),
            &last,
        )?;
    }
    if state.corpus().count() == 0 {
        let input = Input::default();
        check(
            fuzzer.add_input(&mut state, &mut trial, &mut manager, input),
            &last,
        )?;
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
        let bad: Vec<(Input, Ending)> = last.borrow_mut().bad.drain(..).collect();
        for (input, ending) in bad {
            found(shared, &machines, input, &ending)?;
        }
        let count = state.corpus().count() as u64;
        shared.corpus.fetch_add(count - counted, Ordering::Relaxed);
        counted = count;
        if shared.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        check(
            fuzzer.fuzz_one(&mut stages, &mut trial, &mut state, &mut manager),
            &last,
        )?;
    }
}

/// Tries each of these inputs once, in order.
pub(crate) fn replay(shared: &Shared<'_>, files: &[PathBuf]) -> Result<(), FuzzError> {
    let (machines, blocks) = machines(shared, 0)?;
    let machines = RefCell::new(machines);
    let mut seen = 0;
    for file in files {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        // What was written only in part is no input.
        let Ok(input) = Input::from_file(file) else {
            continue;
        };
        let (ending, _) = machines.borrow_mut().run(&input)?;
        shared.executions.fetch_add(1, Ordering::Relaxed);
        shared.corpus.fetch_add(1, Ordering::Relaxed);
        if let Some((blocks, watched)) = blocks.as_ref().zip(shared.watched.as_ref()) {
            let order = blocks.order(seen);
            seen = blocks.reached();
            lock(&shared.reached).extend(
                order
                    .into_iter()
                    .filter(|index| watched.its.contains(index)),
            );
        }
        found(shared, &machines, input, &ending)?;
    }
    Ok(())
}

/// What went wrong here is told as it is, not as the library passes it on.
fn check<T>(result: Result<T, libafl::Error>, last: &RefCell<Last>) -> Result<T, FuzzError> {
    result.map_err(|error| {
        last.borrow_mut()
            .failure
            .take()
            .unwrap_or_else(|| error.into())
    })
}

/// Keeps a finding: as it is at once, then confirmed and as short as it can be made.
fn found(
    shared: &Shared<'_>,
    machines: &RefCell<Machines<'_>>,
    input: Input,
    ending: &Ending,
) -> Result<(), FuzzError> {
    let Some(signature) = ending.signature() else {
        return Ok(());
    };
    let mut hasher = DefaultHasher::new();
    signature.hash(&mut hasher);
    let path = shared
        .findings_directory()
        .join(format!("{:016x}.qtr", hasher.finish()));
    let index = {
        let mut findings = lock(&shared.findings);
        if findings.iter().any(|known| known.signature == signature) {
            return Ok(());
        }
        findings.push(Finding {
            signature: signature.clone(),
            input: input.clone(),
            path: path.clone(),
            is_confirmed: false,
        });
        findings.len() - 1
    };
    let write = |input: &Input, is_confirmed: bool| {
        write_finding(shared, &path, &signature, input, is_confirmed).map_err(keep(&path))
    };
    write(&input, false)?;
    let end = Instant::now() + SHORTENING;
    let mut short = minimise(&mut machines.borrow_mut(), input.clone(), &signature, end)?;
    let ends_so = |input: &Input| -> Result<bool, FuzzError> {
        let ending = machines.borrow().run_fresh(input)?;
        Ok(ending.signature().as_deref() == Some(&*signature))
    };
    let mut is_confirmed = ends_so(&short)?;
    if !is_confirmed && ends_so(&input)? {
        short = input;
        is_confirmed = true;
    }
    write(&short, is_confirmed)?;
    let finding = &mut lock(&shared.findings)[index];
    finding.input = short;
    finding.is_confirmed = is_confirmed;
    Ok(())
}

fn write_finding(
    shared: &Shared<'_>,
    path: &Path,
    signature: &str,
    input: &Input,
    is_confirmed: bool,
) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(&serde_json::json!({
        "target": shared.target.name,
        "signature": signature,
        "confirmed": is_confirmed,
        "input": input,
    }))?;
    let part = path.with_extension("part");
    fs::write(&part, text)?;
    fs::rename(&part, path.with_extension("json"))?;
    session(shared, signature, input, is_confirmed)
        .map_err(io::Error::other)?
        .write(path)
        .map_err(io::Error::other)
}

/// The finding as a session that anybody can replay: it is to survive.
fn session(
    shared: &Shared<'_>,
    signature: &str,
    input: &Input,
    is_confirmed: bool,
) -> Result<Trace, String> {
    let target = shared.target;
    let title = format!("{}: {signature}", target.name);
    let mut header = Header::of_launch(&target.launch, &title)?;
    header
        .notes
        .push(format!("found on {}", shared.qemu.version));
    if !is_confirmed {
        header
            .notes
            .push("not met on a started machine yet".to_owned());
    }
    let commands = target.prelude.iter().cloned();
    Ok(Trace {
        header,
        steps: commands
            .chain(input.commands(target))
            .map(Step::plain)
            .collect(),
    })
}
