//! [`Mutations`]: changes of inputs that know what operations are.

use std::borrow::Cow;

use libafl::corpus::{Corpus, CorpusId};
use libafl::mutators::{MutationResult, Mutator};
use libafl::state::{HasCorpus, HasRand};
use libafl_bolts::Named;
use libafl_bolts::rands::Rand;

use crate::input::{Input, MOST, Op, Place, SCRATCH, Size, Value};
use crate::target::Target;

/// The most bytes of a block.
const BLOCK: usize = 512;

/// Several changes at once: operations added, left out, repeated, moved, taken from other inputs, and their parts changed within what
/// the target's regions and the widths allow.
pub(crate) struct Mutations<'target> {
    pub(crate) target: &'target Target,
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
        let rand = state.rand_mut();
        let mut draw = Draw {
            rand,
            target: self.target,
        };
        for _ in 0..=draw.below(6) {
            draw.change(&mut input.ops, &other);
        }
        input.ops.truncate(MOST);
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

/// Draws operations and their parts.
pub(crate) struct Draw<'a, R> {
    pub(crate) rand: &'a mut R,
    pub(crate) target: &'a Target,
}

/// Values that devices treat unlike their neighbours.
const INTERESTING: [u64; 14] = [
    0,
    1,
    2,
    3,
    4,
    8,
    0x10,
    0x20,
    0x40,
    0x80,
    0xff,
    0x7fff_ffff,
    0x8000_0000,
    u64::MAX,
];

impl<R: Rand> Draw<'_, R> {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        std::num::NonZero::new(bound).map_or(0, |bound| self.rand.below(bound))
    }

    fn is_one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn change(&mut self, ops: &mut Vec<Op>, other: &[Op]) {
        let at = self.below(ops.len() + 1);
        match self.below(14) {
            0..=2 => {
                for _ in 0..=self.below(4) {
                    let op = self.op();
                    ops.insert(at, op);
                }
            }
            // Commands are written byte after byte to one register.
            8 => {
                let (place, size) = (self.place(), self.size());
                for _ in 0..=self.below(9) {
                    let value = self.value(size);
                    ops.insert(at, Op::Write(place, size, value));
                }
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

    /// An operation from nothing.
    pub(crate) fn op(&mut self) -> Op {
        match self.below(20) {
            0..=8 => {
                let (place, size) = (self.place(), self.size());
                let value = self.value(size);
                Op::Write(place, size, value)
            }
            9..=12 => Op::Read(self.place(), self.size()),
            13..=16 => {
                let size = self.size();
                let value = self.value(size);
                Op::Store(self.offset(size), size, value)
            }
            17 => {
                let len = 1 + self.below(BLOCK);
                let byte = if self.is_one_in(2) {
                    0
                } else {
                    self.rand.next() as u8
                };
                let mut bytes = vec![byte; len];
                if self.is_one_in(2) {
                    bytes.fill_with(|| self.rand.next() as u8);
                }
                Op::Fill(self.offset(Size::Q), bytes)
            }
            _ => Op::Step(self.span()),
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
            Op::Store(offset, size, value) => match self.below(5) {
                0 => *size = self.size(),
                1 => *offset = self.offset(*size),
                _ => self.alter_value(value, *size),
            },
            Op::Fill(offset, bytes) => match self.below(4) {
                0 => *offset = self.offset(Size::Q),
                1 => bytes.truncate(1 + self.below(bytes.len())),
                _ => {
                    let at = self.below(bytes.len());
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = self.rand.next() as u8;
                    }
                }
            },
            Op::Step(span) => *span = self.span(),
        }
    }

    fn place(&mut self) -> Place {
        let count = self.target.regions.len();
        if count == 0 || self.target.function.is_some() && self.is_one_in(16) {
            return Place::Config(self.rand.next() as u8);
        }
        let index = self.below(count);
        let len = u32::try_from(self.target.regions[index].len).unwrap_or(u32::MAX);
        // Registers are at the beginning more often than at the end, and at multiples of their width.
        let bound = match self.below(4) {
            0 => len,
            1 => len.min(0x1000),
            _ => len.min(0x100),
        };
        let offset = self.below(bound as usize) as u32;
        let offset = if self.is_one_in(4) {
            offset
        } else {
            offset & !3
        };
        let offset = if len <= 16 {
            self.below(len as usize) as u32
        } else {
            offset
        };
        Place::Region(index as u16, offset)
    }

    fn move_place(&mut self, place: &mut Place) {
        let step = [1, 2, 4, 8, 0x10, 0x100][self.below(6)];
        match place {
            Place::Region(..) | Place::Config(_) if self.is_one_in(3) => *place = self.place(),
            Place::Region(_, offset) if self.is_one_in(2) => *offset = offset.wrapping_add(step),
            Place::Region(_, offset) => *offset = offset.wrapping_sub(step),
            Place::Config(offset) => *offset = offset.wrapping_add(step as u8),
            Place::Port(_) | Place::Memory(_) => {}
        }
    }

    fn size(&mut self) -> Size {
        Size::ALL[[0, 0, 1, 2, 2, 2, 3][self.below(7)]]
    }

    fn offset(&mut self, size: Size) -> u32 {
        let bound = if self.is_one_in(3) { SCRATCH } else { 0x400 };
        let offset = self.below(bound as usize) as u32;
        offset & !(size.bytes() - 1)
    }

    fn value(&mut self, size: Size) -> Value {
        match self.below(8) {
            0 if size.bytes() >= 4 => Value::Address(self.offset(Size::Q)),
            1 if size.bytes() >= 4 => Value::Page(self.offset(Size::Q)),
            2 => Value::Number(self.rand.next()),
            3 => Value::Number(1 << self.below(8 * size.bytes() as usize)),
            4 => Value::Number(self.rand.next() & 0xff),
            5 => Value::Number(self.rand.next() & 0xffff),
            _ => Value::Number(INTERESTING[self.below(INTERESTING.len())]),
        }
    }

    fn alter_value(&mut self, value: &mut Value, size: Size) {
        match value {
            Value::Number(number) => match self.below(6) {
                0 => *number ^= 1 << self.below(8 * size.bytes() as usize),
                1 => *number = number.wrapping_add(1),
                2 => *number = number.wrapping_sub(1),
                3 => *number = !*number,
                _ => *value = self.value(size),
            },
            _ => *value = self.value(size),
        }
    }

    /// From a microsecond to a few seconds.
    fn span(&mut self) -> u64 {
        1_000 << self.below(22)
    }
}
