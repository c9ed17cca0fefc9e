//! [`Mutations`]: changes of inputs that know what operations are.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use libafl::corpus::{Corpus, CorpusId};
use libafl::mutators::{MutationResult, Mutator};
use libafl::state::{HasCorpus, HasRand};
use libafl_bolts::Named;
use libafl_bolts::rands::Rand;

use crate::draw::{Draw, Used};
use crate::input::{Input, LONGEST, MOST, Op, Size, Value};
use crate::replies::Replies;
use crate::target::Target;

/// The most numbers that a run of writes grows to.
const LONGEST_COMMAND: usize = 64;

/// One mutation of so many tries many values at once.
const SWEEPS: usize = 4;

/// One input of so many is tried on any of the machines, and not on that of the one it was made from.
const ELSEWHERE: usize = 32;

/// Several changes at once: operations added, left out, repeated, moved, taken from other inputs, and their parts changed within what
/// the target's regions and the widths allow.
pub(crate) struct Mutations<'target> {
    pub(crate) target: &'target Target,
    /// Words that mean something to the device.
    pub(crate) dictionary: &'target [Vec<u8>],
    pub(crate) replies: Rc<RefCell<Replies>>,
    /// Whether an input that leads somewhere is made shorter: only then it may be many at once.
    pub(crate) can_sweep: bool,
}

impl Named for Mutations<'_> {
    fn name(&self) -> &Cow<'static, str> {
        &Cow::Borrowed("operations")
    }
}

impl<S: HasRand + HasCorpus<Input>> Mutator<Input, S> for Mutations<'_> {
    fn mutate(
        &mut self,
        state: &mut S,
        input: &mut Input,
    ) -> Result<MutationResult, libafl::Error> {
        let other = other(state)?;
        let replies = self.replies.borrow();
        let mut draw = Draw {
            rand: state.rand_mut(),
            target: self.target,
            dictionary: self.dictionary,
            used: Used::of(&input.ops),
            hints: &replies.hints,
        };
        if self.can_sweep && input.ops.len() < MOST / 8 && draw.is_one_in(SWEEPS) {
            input.ops = draw.sweep(&input.ops);
            return Ok(MutationResult::Mutated);
        }
        if draw.is_one_in(ELSEWHERE) {
            input.on = draw.below(1 + self.target.others.len());
        }
        // An input from a recording may be longer than one that was made up.
        let most = input.ops.len().max(MOST);
        for _ in 0..=draw.below(6) {
            draw.change(&mut input.ops, &other);
        }
        input.ops.truncate(most);
        Ok(MutationResult::Mutated)
    }

    fn post_exec(&mut self, _: &mut S, _: Option<CorpusId>) -> Result<(), libafl::Error> {
        Ok(())
    }
}

/// The operations of another input.
fn other<S: HasRand + HasCorpus<Input>>(state: &mut S) -> Result<Vec<Op>, libafl::Error> {
    let count = state.corpus().count();
    let Some(count) = std::num::NonZero::new(count) else {
        return Ok(Vec::new());
    };
    let nth = state.rand_mut().below(count);
    let id = state.corpus().nth(nth);
    let testcase = state.corpus().get(id)?;
    let mut testcase = testcase.borrow_mut();
    Ok(testcase.load_input(state.corpus())?.ops.clone())
}

impl<R: Rand> Draw<'_, R> {
    /// The operations over and over, each time with another value written to one register behind them, which is read then: many inputs in
    /// one machine, as far as the operations bring the device to the same state each time.
    fn sweep(&mut self, ops: &[Op]) -> Vec<Op> {
        let telling = self
            .hints
            .telling
            .get(self.below(2 * self.hints.telling.len()));
        let (place, size) = match telling {
            Some(register) => *register,
            None => (self.place(), self.size()),
        };
        let first = self.rand.next();
        let mut swept = Vec::new();
        for nth in 0.. {
            if swept.len() + ops.len() + 2 > MOST {
                break;
            }
            // Each byte once; wider values by chance.
            let value = match size {
                Size::B => Value::Number(first.wrapping_add(nth * 0x65) & 0xff),
                _ => self.value(size),
            };
            swept.extend_from_slice(ops);
            swept.extend([Op::Write(place, size, value), Op::Read(place, size)]);
        }
        swept
    }

    fn change(&mut self, ops: &mut Vec<Op>, other: &[Op]) {
        let at = self.below(ops.len() + 1);
        match self.below(15) {
            9 => {
                ops.splice(at..at, self.chain());
            }
            0..=2 => {
                for _ in 0..=self.below(4) {
                    let op = self.op();
                    ops.insert(at, op);
                }
            }
            8 => {
                let (place, size) = (self.place(), self.size());
                ops.insert(at, Op::Writes(place, size, self.numbers(size)));
            }
            3 if !ops.is_empty() => {
                let end = ops.len().min(at + 1 + self.below(4));
                ops.drain(at.min(end - 1)..end);
            }
            4 if !ops.is_empty() => {
                let at = at.min(ops.len() - 1);
                let end = ops.len().min(at + 1 + self.below(8));
                let part = ops[at..end].to_vec();
                for _ in 0..=self.below(3) {
                    ops.splice(end..end, part.iter().cloned());
                }
            }
            5 if ops.len() > 1 => {
                let [one, two] = [self.below(ops.len()), self.below(ops.len())];
                ops.swap(one, two);
            }
            6 if !other.is_empty() => {
                let from = self.below(other.len());
                let to = other.len().min(from + 1 + self.below(16));
                ops.splice(at..at, other[from..to].iter().cloned());
            }
            7 if !other.is_empty() => {
                ops.truncate(at);
                let from = self.below(other.len());
                ops.extend_from_slice(&other[from..]);
            }
            _ if ops.is_empty() => {
                let op = self.op();
                ops.push(op);
            }
            _ => {
                let at = at.min(ops.len() - 1);
                self.alter(&mut ops[at]);
            }
        }
    }

    fn alter(&mut self, op: &mut Op) {
        match op {
            Op::Read(place, size) => match self.below(2) {
                0 => *size = self.size(),
                _ => self.move_place(place),
            },
            Op::Write(place, size, value) => match self.below(5) {
                0 => *size = self.size(),
                1 => self.move_place(place),
                _ => self.alter_value(value, *size),
            },
            Op::Reads(place, size, count) => match self.below(4) {
                0 => *size = self.size(),
                1 => self.move_place(place),
                _ => *count = self.count(),
            },
            Op::Writes(place, size, numbers) => match self.below(8) {
                // What is half of a command becomes more of it.
                6 | 7 if numbers.len() < LONGEST_COMMAND => {
                    let number = self.numbers(*size)[0];
                    let at = if self.is_one_in(2) {
                        numbers.len()
                    } else {
                        self.below(numbers.len())
                    };
                    numbers.insert(at, number);
                }
                0 => *size = self.size(),
                1 => self.move_place(place),
                2 => numbers.truncate(1 + self.below(numbers.len())),
                3 => *numbers = self.numbers(*size),
                _ => {
                    let at = self.below(numbers.len());
                    if let Some(number) = numbers.get_mut(at) {
                        let mut value = Value::Number(*number);
                        self.alter_value(&mut value, *size);
                        if let Value::Number(altered) = value {
                            *number = altered;
                        }
                    }
                }
            },
            Op::Store(offset, size, value) => match self.below(5) {
                0 => *size = self.size(),
                1 => *offset = self.offset(*size),
                _ => self.alter_value(value, *size),
            },
            Op::Fill(offset, bytes) => match self.below(4) {
                0 => *offset = self.offset(Size::Q),
                1 => bytes.truncate(1 + self.below(bytes.len())),
                2 if !self.dictionary.is_empty() => {
                    let word = self.word().unwrap_or_default();
                    let at = self.below(bytes.len());
                    for (byte, new) in bytes[at..].iter_mut().zip(word) {
                        *byte = new;
                    }
                }
                _ => {
                    let at = self.below(bytes.len());
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = self.rand.next() as u8;
                    }
                }
            },
            Op::Set(offset, len, byte) => match self.below(3) {
                0 => *offset = self.offset(Size::Q),
                1 => *len = (*len ^ 1 << self.below(12)).clamp(1, LONGEST),
                _ => *byte = self.rand.next() as u8,
            },
            Op::Line(index, level) => match self.below(2) {
                0 => *index = self.line(),
                _ => *level = !*level,
            },
            Op::Step(span) => *span = self.span(),
            Op::Next => *op = Op::Step(self.span()),
            Op::Wait | Op::Reset | Op::Plug | Op::Unplug => *op = self.op(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use libafl_bolts::rands::StdRand;

    use super::*;
    use crate::input::Place;
    use crate::recording::tests::floppy;
    use crate::replies::Hints;

    /// Distances go round at both ends.
    #[test]
    fn whatever_is_drawn_is_an_input() {
        let target = floppy();
        let mut rand = StdRand::with_seed(1);
        let hints = Hints {
            holding: vec![Place::Region(0, u32::MAX)],
            telling: vec![(Place::Region(0, 3), Size::B)],
        };
        let mut ops = Vec::new();
        for _ in 0..20_000 {
            let mut draw = Draw {
                rand: &mut rand,
                target: &target,
                dictionary: &[b"word".to_vec()],
                used: Used::of(&ops),
                hints: &hints,
            };
            draw.change(&mut ops, &[Op::Reset, Op::Wait]);
            ops.truncate(40);
        }
        let input = Input { on: 0, ops };
        assert!(!input.actions(&target).is_empty());
    }

    #[test]
    fn many_bytes_are_tried_behind_the_same_operations() {
        let op = Op::Write(Place::Region(0, 1), Size::B, Value::Number(0x1c));
        let target = floppy();
        let mut rand = StdRand::with_seed(0);
        let mut draw = Draw {
            rand: &mut rand,
            target: &target,
            dictionary: &[],
            used: Used::of(std::slice::from_ref(&op)),
            hints: &Hints::default(),
        };
        let swept = loop {
            let swept = draw.sweep(std::slice::from_ref(&op));
            if let Op::Write(_, Size::B, _) = swept[1] {
                break swept;
            }
        };
        assert_eq!(swept.len(), MOST / 3 * 3);
        let mut values = BTreeSet::new();
        for part in swept.chunks(3) {
            let [first, Op::Write(place, size, value), read] = part else {
                panic!("{part:?}");
            };
            assert_eq!(*first, op);
            assert_eq!(*read, Op::Read(*place, *size));
            values.insert(format!("{value:?}"));
        }
        assert_eq!(values.len(), MOST / 3);
    }
}
