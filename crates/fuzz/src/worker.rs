//! One worker: machines, and LibAFL's choice of what to try on them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use libafl::corpus::{Corpus, InMemoryCorpus, InMemoryOnDiskCorpus, Testcase};
use libafl::events::SimpleEventManager;
use libafl::executors::ExitKind;
use libafl::feedbacks::{ConstFeedback, Feedback, StateInitializer};
use libafl::fuzzer::{Evaluator, Fuzzer, StdFuzzer};
use libafl::inputs::Input as _;
use libafl::monitors::NopMonitor;
use libafl::stages::{StdMutationalStage, SyncFromDiskStage};
use libafl::state::{HasCorpus, StdState};
use libafl_bolts::Named;
use libafl_bolts::rands::{Rand, StdRand};
use libafl_bolts::tuples::tuple_list;
use testjig_trace::Ending;

use crate::choice::Choice;
use crate::draw::{Draw, Used};
use crate::exchange::directory_of_others;
use crate::findings::found;
use crate::fuzz::{FuzzError, Shared};
use crate::input::Input;
use crate::mutate::Mutations;
use crate::replies::Hints;
use crate::trial::{Last, Trial, survey};
use crate::virtio;

/// How often inputs of other workers are looked for.
const EXCHANGE: Duration = Duration::from_secs(5);
/// Random inputs to begin with, and their operations.
const BEGINNINGS: usize = 8;
const LENGTH: usize = 16;
/// How many inputs are made from one, at most, before the next is chosen.
const FROM_ONE: std::num::NonZeroUsize = std::num::NonZeroUsize::new(32).unwrap();

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

/// What can't be kept where.
pub(crate) fn keep(path: &Path) -> impl FnOnce(io::Error) -> FuzzError + use<> {
    let path = path.to_owned();
    move |source| FuzzError::Keep { path, source }
}

/// Works until it is told to stop.
pub(crate) fn work(shared: &Shared<'_>, number: usize, seeds: &[PathBuf]) -> Result<(), FuzzError> {
    let corpus_directory = shared.corpus_of(number);
    fs::create_dir_all(&corpus_directory).map_err(keep(&corpus_directory))?;
    let mut trial = Trial::new(shared, number)?;
    let machines = Rc::clone(&trial.machines);
    let replies = Rc::clone(&trial.replies);
    let last = Rc::clone(&trial.last);

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
    let choice = Choice::new(&last, &replies);
    let kept = Rc::clone(&choice.entries);
    let mut fuzzer = StdFuzzer::new(choice, news, objective);

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
    let mut chance = StdRand::with_seed(!shared.settings.seed.wrapping_add(number as u64));
    let drawn = (0..BEGINNINGS).map(|_| by_chance(&mut chance, shared, &replies.borrow().hints));
    let surveyed = survey(shared.target).chain(virtio::beginnings(shared.target));
    for input in beginnings.chain(earlier).chain(surveyed).chain(drawn) {
        if shared.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let result = fuzzer.evaluate_input(&mut state, &mut trial, &mut manager, &input);
        settle(result.map(drop))?;
    }
    if state.corpus().count() == 0 {
        let input = Input::default();
        let result = fuzzer.add_input(&mut state, &mut trial, &mut manager, input);
        settle(result.map(drop))?;
    }
    let mut others: Vec<PathBuf> = (0..shared.settings.workers)
        .filter(|other| *other != number)
        .map(|other| shared.corpus_of(other))
        .collect();
    if shared.settings.peers.is_some() {
        others.push(directory_of_others(&shared.settings.directory));
    }
    for other in &others {
        fs::create_dir_all(other).map_err(keep(other))?;
    }
    let mutations = Mutations {
        target: shared.target,
        dictionary: &shared.settings.dictionary,
        replies: Rc::clone(&replies),
        can_sweep: trial.blocks.is_none(),
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
    let mut short = 0;
    loop {
        // Without it, most of what is changed would be operations that lead nowhere.
        while short < state.corpus().count() && trial.blocks.is_none() {
            let read = kept.borrow()[short].read.clone();
            let id = state.corpus().nth(short);
            let input = state.corpus().cloned_input_for_id(id)?;
            let result = trial.shortened(input, &read).and_then(|input| {
                kept.borrow_mut()[short].len = input.ops.len() as u32;
                state.corpus_mut().replace(id, Testcase::new(input))
            });
            settle(result.map(drop))?;
            short += 1;
        }
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

fn by_chance<R: Rand>(rand: &mut R, shared: &Shared<'_>, hints: &Hints) -> Input {
    let mut draw = Draw {
        rand,
        target: shared.target,
        dictionary: &shared.settings.dictionary,
        used: Used::default(),
        hints,
    };
    Input {
        on: 0,
        ops: (0..LENGTH).map(|_| draw.op()).collect(),
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
