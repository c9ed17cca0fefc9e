//! [`Trial`]: an input is tried, and it is seen what was new.

use std::cell::RefCell;
use std::fs;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use libafl::executors::{Executor, ExitKind, HasObservers};
use libafl_bolts::tuples::RefIndexable;
use testjig_qtest::Reply;
use testjig_trace::Ending;
use testjig_vm::{Blocks, BlocksState};

use crate::fuzz::{FuzzError, Notes, Shared, lock};
use crate::input::{Input, Op, Place, Size, Value};
use crate::machines::Machines;
use crate::minimise::leave_out;
use crate::replies::{Replies, Seen, told};
use crate::target::Target;
use crate::worker::keep;

/// How many inputs are tried at most to have one that is kept shorter.
const TRIALS: usize = 64;
/// How many registers of a region are looked at by themselves.
const SURVEYED: usize = 64;
/// How many are read after each input.
const LOOKS: usize = 32;

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

/// What an input led to, for those who decide what becomes of it.
#[derive(Default)]
pub(crate) struct Last {
    /// Blocks of the device that were reached for the first time, or replies that were.
    pub(crate) new: usize,
    /// What was read for the first time, if replies are learned from.
    pub(crate) read: Vec<Seen>,
    /// Inputs that ended badly, with how.
    pub(crate) bad: Vec<(Input, Ending)>,
    /// What went wrong here, not in the machine.
    pub(crate) failure: Option<FuzzError>,
}

pub(crate) struct Trial<'a> {
    pub(crate) machines: Rc<RefCell<Machines<'a>>>,
    shared: &'a Shared<'a>,
    pub(crate) blocks: Option<Blocks>,
    /// How many of the blocks' order were looked at.
    seen: usize,
    pub(crate) replies: Rc<RefCell<Replies>>,
    pub(crate) last: Rc<RefCell<Last>>,
    /// What was seen is told by `last`.
    observers: (),
}

impl<'a> Trial<'a> {
    pub(crate) fn new(shared: &'a Shared<'a>, number: usize) -> Result<Self, FuzzError> {
        let (machines, blocks) = machines(shared, number)?;
        Ok(Self {
            machines: Rc::new(RefCell::new(machines)),
            shared,
            blocks,
            seen: 0,
            replies: Rc::default(),
            last: Rc::default(),
            observers: (),
        })
    }

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
    fn news(&mut self, input: &Input, replies: &[Reply]) -> (usize, Vec<Seen>) {
        let target = self.shared.target;
        let actions = input.actions(target);
        let read = self
            .replies
            .borrow_mut()
            .learn(target.of(input), &actions, replies);
        let Some((blocks, watched)) = self.blocks.as_ref().zip(self.shared.watched.as_ref()) else {
            return (read.len(), read);
        };
        let order = blocks.order(self.seen);
        self.seen = blocks.reached();
        let new: Vec<usize> = order
            .into_iter()
            .filter_map(|place| watched.its.get(place).copied())
            .collect();
        if !new.is_empty() {
            lock(&self.shared.reached).extend(&new);
        }
        (new.len(), Vec::new())
    }

    /// The input, and what its device tells afterwards if replies are learned from.
    fn looked_at(&self, input: &Input) -> Input {
        let mut input = input.clone();
        if self.blocks.is_none() {
            let replies = self.replies.borrow();
            let telling = replies.hints.telling.iter().copied();
            let others = places(self.shared.target, 1).map(|place| (place, Size::B));
            let looks = telling.chain(others).take(LOOKS);
            input
                .ops
                .extend(looks.map(|(place, size)| Op::Read(place, size)));
        }
        input
    }

    /// The input without what it does not need to read this. As far as that is seen within [`TRIALS`].
    pub(crate) fn shortened(&self, input: Input, read: &[Seen]) -> Result<Input, libafl::Error> {
        let mut trials = 0;
        leave_out(input, |candidate| {
            trials += 1;
            if trials > TRIALS || self.shared.stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let candidate = self.looked_at(candidate);
            let (ending, replies) = self.run(&candidate)?;
            if !matches!(ending, Ending::Fine) {
                self.last.borrow_mut().bad.push((candidate, ending));
                return Ok(false);
            }
            let actions = candidate.actions(self.shared.target);
            let told = told(&actions, &replies, |_, _| {});
            Ok(read.iter().all(|seen| told.contains_key(seen)))
        })
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
        let input = &self.looked_at(input);
        let (mut ending, replies) = self.run(input)?;
        let (new, read) = self.news(input, &replies);
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
        last.read = read;
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

/// Each of a device's registers is read, given an address, and read again: so it is known which of them hold what they are given.
pub(crate) fn survey(target: &Target) -> impl Iterator<Item = Input> {
    places(target, 4).map(|place| Input {
        on: 0,
        ops: vec![
            Op::Read(place, Size::L),
            Op::Write(place, Size::L, Value::Address(0)),
            Op::Read(place, Size::L),
        ],
    })
}

/// The first registers of each region, so far from each other, if it has many.
fn places(target: &Target, step: usize) -> impl Iterator<Item = Place> {
    target
        .regions
        .iter()
        .enumerate()
        .flat_map(move |(index, region)| {
            let step = if region.len <= 16 { 1 } else { step };
            let offsets = (0..region.len).step_by(step).take(SURVEYED);
            offsets.map(move |offset| Place::Region(index as u16, offset as u32))
        })
}
