//! [`Draw`]: operations and their parts, drawn by chance.

use libafl_bolts::rands::Rand;

use crate::input::{Op, Place, SCRATCH, Size, Value};
use crate::replies::Hints;
use crate::target::Target;

/// The most bytes of a block.
const BLOCK: usize = 512;

/// Draws operations and their parts.
pub(crate) struct Draw<'a, R> {
    pub(crate) rand: &'a mut R,
    pub(crate) target: &'a Target,
    pub(crate) dictionary: &'a [Vec<u8>],
    pub(crate) used: Used,
    pub(crate) hints: &'a Hints,
}

/// What an input uses already: registers and memory that belong together are met more often so.
#[derive(Default)]
pub(crate) struct Used {
    places: Vec<Place>,
    offsets: Vec<u32>,
}

impl Used {
    pub(crate) fn of(ops: &[Op]) -> Self {
        let mut used = Self::default();
        for op in ops {
            match op {
                Op::Read(place, _)
                | Op::Reads(place, ..)
                | Op::Write(place, _, Value::Number(_))
                | Op::Writes(place, ..) => used.places.push(*place),
                Op::Write(place, _, Value::Address(offset) | Value::Page(offset)) => {
                    used.places.push(*place);
                    used.offsets.push(*offset);
                }
                Op::Store(offset, ..) | Op::Fill(offset, _) => used.offsets.push(*offset),
                Op::Set(..)
                | Op::Step(_)
                | Op::Next
                | Op::Wait
                | Op::Line(..)
                | Op::Reset
                | Op::Plug
                | Op::Unplug => {}
            }
        }
        used
    }
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

    pub(crate) fn is_one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// An operation from nothing.
    pub(crate) fn op(&mut self) -> Op {
        // The whole machine is rarely the point, and takes long.
        if self.is_one_in(1000) {
            return Op::Reset;
        }
        if self.target.plug.is_some() && self.is_one_in(200) {
            return [Op::Unplug, Op::Plug][self.below(2)].clone();
        }
        match self.below(22) {
            20 if !self.target.lines.is_empty() => Op::Line(self.line(), self.is_one_in(2)),
            20 if self.is_one_in(4) => Op::Wait,
            20 => Op::Reads(self.place(), self.size(), self.count()),
            21 => {
                let (offset, len) = (self.offset(Size::Q), 1 + self.below(BLOCK) as u32);
                Op::Set(offset, len, self.rand.next() as u8)
            }
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
            17 if self.is_one_in(2) => {
                let bytes = self.descriptors();
                Op::Fill(self.offset(Size::Q), bytes)
            }
            17 => {
                let bytes = self.bytes();
                Op::Fill(self.offset(Size::Q), bytes)
            }
            18 => Op::Next,
            _ => Op::Step(self.span()),
        }
    }

    /// Descriptors, and what has a device follow them as far as that can be guessed: a register that holds what it is given is given
    /// their address, and something is written to another.
    pub(crate) fn chain(&mut self) -> Vec<Op> {
        let offset = self.offset(Size::Q) & !0xf;
        let nth = self.below(self.hints.holding.len());
        let place = match self.hints.holding.get(nth) {
            Some(place) => *place,
            None => self.place(),
        };
        let size = if self.is_one_in(4) { Size::Q } else { Size::L };
        let address = if self.is_one_in(8) {
            Value::Page(offset)
        } else {
            Value::Address(offset)
        };
        let (bell, width) = (self.near(place), self.size());
        let value = self.value(width);
        vec![
            Op::Fill(offset, self.descriptors()),
            Op::Write(place, size, address),
            Op::Write(bell, width, value),
        ]
    }

    /// A register of the same region, more often than not.
    fn near(&mut self, place: Place) -> Place {
        let step = 4 * self.below(8) as u32;
        match place {
            Place::Region(index, offset) if self.is_one_in(2) => {
                Place::Region(index, offset.wrapping_add(step))
            }
            _ => self.place(),
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        if self.is_one_in(3)
            && let Some(word) = self.word()
        {
            return word;
        }
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
        bytes
    }

    /// A chain of buffers as most devices have them described: address and length, and where the next is or that there is none.
    fn descriptors(&mut self) -> Vec<u8> {
        const LENGTHS: [u32; 8] = [0, 1, 8, 16, 512, 1514, 4096, 0x1_0000];
        let count = 1 + self.below(4);
        let is_prd = self.is_one_in(4);
        let mut bytes = Vec::new();
        for index in 1..=count {
            let address = self.target.address(self.offset(Size::Q));
            let len = LENGTHS[self.below(LENGTHS.len())];
            let is_last = index == count;
            if is_prd {
                // [Programming Interface for Bus Master IDE Controller, 1.2] Address, count, end of table.
                let last = u32::from(is_last) << 31;
                bytes.extend((address as u32).to_le_bytes());
                bytes.extend((len & 0xfffe | last).to_le_bytes());
            } else {
                // [Virtio 1.2, 2.7.5] Flags: there is a next one; the device writes.
                let flags = u16::from(!is_last) | u16::from(self.is_one_in(2)) << 1;
                bytes.extend(address.to_le_bytes());
                bytes.extend(len.to_le_bytes());
                bytes.extend(flags.to_le_bytes());
                bytes.extend((index as u16).to_le_bytes());
            }
        }
        bytes
    }

    /// A word of the dictionary, if there is one.
    pub(crate) fn word(&mut self) -> Option<Vec<u8>> {
        let nth = self.below(self.dictionary.len());
        self.dictionary.get(nth).cloned()
    }

    /// Commands are written byte after byte to one register.
    pub(crate) fn numbers(&mut self, size: Size) -> Vec<u64> {
        let count = 1 + self.below(9);
        (0..count)
            .map(|_| match self.value(size) {
                Value::Number(number) => number,
                Value::Address(offset) => self.target.address(offset),
                Value::Page(offset) => self.target.address(offset) >> 12,
            })
            .collect()
    }

    /// Most runs are short; a sector is 256 words.
    pub(crate) fn count(&mut self) -> u16 {
        1 << self.below(10)
    }

    pub(crate) fn line(&mut self) -> u16 {
        self.below(self.target.lines.len()) as u16
    }

    pub(crate) fn place(&mut self) -> Place {
        if self.is_one_in(2) && !self.used.places.is_empty() {
            let nth = self.below(self.used.places.len());
            return self.used.places[nth];
        }
        if self.is_one_in(4) && !self.hints.telling.is_empty() {
            let nth = self.below(self.hints.telling.len());
            return self.hints.telling[nth].0;
        }
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

    pub(crate) fn move_place(&mut self, place: &mut Place) {
        let step = [1, 2, 4, 8, 0x10, 0x100][self.below(6)];
        match place {
            Place::Region(..) | Place::Config(_) if self.is_one_in(3) => *place = self.place(),
            Place::Region(_, offset) if self.is_one_in(2) => *offset = offset.wrapping_add(step),
            Place::Region(_, offset) => *offset = offset.wrapping_sub(step),
            Place::Config(offset) => *offset = offset.wrapping_add(step as u8),
            Place::Port(_) | Place::Memory(_) => {}
        }
    }

    pub(crate) fn size(&mut self) -> Size {
        Size::ALL[[0, 0, 1, 2, 2, 2, 3][self.below(7)]]
    }

    pub(crate) fn offset(&mut self, size: Size) -> u32 {
        if self.is_one_in(2) && !self.used.offsets.is_empty() {
            let near = [0, 0, 0, 4, 8, 12, 14, 16][self.below(8)];
            let nth = self.below(self.used.offsets.len());
            return self.used.offsets[nth].wrapping_add(near);
        }
        let bound = if self.is_one_in(3) { SCRATCH } else { 0x400 };
        let offset = self.below(bound as usize) as u32;
        offset & !(size.bytes() - 1)
    }

    pub(crate) fn value(&mut self, size: Size) -> Value {
        if self.is_one_in(4)
            && let Some(word) = self.word()
        {
            return Value::Number(number(&word));
        }
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

    pub(crate) fn alter_value(&mut self, value: &mut Value, size: Size) {
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
    pub(crate) fn span(&mut self) -> u64 {
        1_000 << self.below(22)
    }
}

/// A word's first bytes as they lie in a little-endian guest's memory.
fn number(word: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = word.len().min(8);
    bytes[..len].copy_from_slice(&word[..len]);
    u64::from_le_bytes(bytes)
}
