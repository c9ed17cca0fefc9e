//! A function's 256 bytes of configuration space (PCI 2.1 §6.1): what can be read, what written, what a base address register decodes.

use super::Devfn;
use crate::board::Range;

/// Command register, §6.2.2.
pub(crate) const COMMAND: u8 = 0x04;
const STATUS: u8 = 0x06;
const BAR0: u8 = 0x10;
const INTERRUPT_LINE: u8 = 0x3c;
const INTERRUPT_PIN: u8 = 0x3d;

const IO_SPACE: u8 = 1 << 0;
const MEMORY_SPACE: u8 = 1 << 1;
const BUS_MASTER: u8 = 1 << 2;

/// What a function says it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Id {
    pub(crate) vendor: u16,
    pub(crate) device: u16,
    pub(crate) revision: u8,
    /// Base class, subclass and programming interface.
    pub(crate) class: u32,
    pub(crate) subsystem: (u16, u16),
}

/// A base address register, §6.2.5.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    /// Which of the six; a 64-bit one takes two.
    pub(crate) index: u8,
    /// A power of two.
    pub(crate) size: u64,
    pub(crate) is_io: bool,
    pub(crate) is_64_bit: bool,
    pub(crate) prefetchable: bool,
}

impl Bar {
    pub(crate) const fn io(index: u8, size: u64) -> Self {
        Self {
            index,
            size,
            is_io: true,
            is_64_bit: false,
            prefetchable: false,
        }
    }

    pub(crate) const fn memory(index: u8, size: u64) -> Self {
        Self {
            is_io: false,
            ..Self::io(index, size)
        }
    }

    pub(crate) const fn memory64(index: u8, size: u64) -> Self {
        Self {
            is_64_bit: true,
            prefetchable: true,
            ..Self::memory(index, size)
        }
    }

    fn offset(self) -> usize {
        usize::from(BAR0 + 4 * self.index)
    }

    /// The bits below the address.
    fn flags(self) -> u8 {
        u8::from(self.is_io) | u8::from(self.is_64_bit) << 2 | u8::from(self.prefetchable) << 3
    }
}

/// Configuration space of one function.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) devfn: Devfn,
    bytes: [u8; 256],
    /// Bits that software can set and clear.
    writable: [u8; 256],
    /// Bits that software clears by writing 1.
    write_1_to_clear: [u8; 256],
    /// What a reset sets the writable bits to.
    initial: [u8; 256],
    bars: Vec<Bar>,
}

impl Config {
    pub(crate) fn new(devfn: Devfn, id: Id) -> Self {
        let mut config = Self {
            devfn,
            bytes: [0; 256],
            writable: [0; 256],
            write_1_to_clear: [0; 256],
            initial: [0; 256],
            bars: Vec::new(),
        };
        config.fix(0x00, &id.vendor.to_le_bytes());
        config.fix(0x02, &id.device.to_le_bytes());
        config.fix(
            0x08,
            &(id.class << 8 | u32::from(id.revision)).to_le_bytes(),
        );
        config.fix(0x2c, &id.subsystem.0.to_le_bytes());
        config.fix(0x2e, &id.subsystem.1.to_le_bytes());
        config.allow(COMMAND, &[0x47, 0x05]);
        // The errors of §6.2.3, bits 15:11 and 8.
        config.write_1_to_clear[usize::from(STATUS) + 1] = 0xf9;
        config.allow(0x0c, &[0xff]);
        config.allow(INTERRUPT_LINE, &[0xff]);
        config
    }

    /// Sets bytes, which a reset will restore.
    pub(crate) fn fix(&mut self, offset: u8, bytes: &[u8]) {
        let at = usize::from(offset);
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.initial[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Makes bits writable.
    pub(crate) fn allow(&mut self, offset: u8, mask: &[u8]) {
        let at = usize::from(offset);
        self.writable[at..at + mask.len()].copy_from_slice(mask);
    }

    /// More than one function answers in this slot.
    pub(crate) fn multifunction(mut self) -> Self {
        self.fix(0x0e, &[0x80]);
        self
    }

    /// Interrupts by a pin, 1 for INTA#.
    pub(crate) fn with_pin(mut self, pin: u8) -> Self {
        self.fix(INTERRUPT_PIN, &[pin]);
        self
    }

    /// Decodes addresses.
    pub(crate) fn with_bar(mut self, bar: Bar) -> Self {
        let at = bar.offset();
        let mask = !(bar.size - 1);
        self.fix(at as u8, &[bar.flags()]);
        self.writable[at..at + 4].copy_from_slice(&(mask as u32).to_le_bytes());
        self.writable[at] &= if bar.is_io { 0xfc } else { 0xf0 };
        if bar.is_64_bit {
            self.writable[at + 4..at + 8].copy_from_slice(&((mask >> 32) as u32).to_le_bytes());
        }
        self.bars.push(bar);
        self
    }

    /// Adds capabilities (§6.7), each with its own bytes behind the two of its header; the list begins at `offset`.
    pub(crate) fn with_capabilities(mut self, offset: u8, capabilities: &[Vec<u8>]) -> Self {
        let mut link = 0x34;
        let mut at = offset;
        for capability in capabilities {
            self.fix(link, &[at]);
            self.fix(at, capability);
            link = at + 1;
            at += capability.len().next_multiple_of(4) as u8;
        }
        self.fix(link, &[0]);
        self.fix(STATUS, &[0x10]);
        self
    }

    pub(crate) fn byte(&self, offset: u8) -> u8 {
        self.bytes[usize::from(offset)]
    }

    pub(crate) fn word(&self, offset: u8) -> u16 {
        u16::from_le_bytes([self.byte(offset), self.byte(offset + 1)])
    }

    pub(crate) fn dword(&self, offset: u8) -> u32 {
        u32::from(self.word(offset)) | u32::from(self.word(offset + 2)) << 16
    }

    /// Sets a byte as the function itself does.
    pub(crate) fn put(&mut self, offset: u8, value: u8) {
        self.bytes[usize::from(offset)] = value;
    }

    pub(crate) fn read(&self, offset: u8, data: &mut [u8]) {
        let at = usize::from(offset);
        data.copy_from_slice(&self.bytes[at..at + data.len()]);
    }

    /// A write by software; whether what the function decodes may have changed.
    pub(crate) fn write(&mut self, offset: u8, data: &[u8]) -> bool {
        for (at, value) in (usize::from(offset)..).zip(data) {
            let mask = self.writable[at];
            let cleared = self.write_1_to_clear[at] & value;
            self.bytes[at] = (self.bytes[at] & !mask | value & mask) & !cleared;
        }
        let touched = usize::from(offset)..usize::from(offset) + data.len();
        touched.start < 0x28 && touched.end > usize::from(COMMAND)
    }

    pub(crate) fn reset(&mut self) {
        for at in 0..256 {
            let mask = self.writable[at] | self.write_1_to_clear[at];
            self.bytes[at] = self.bytes[at] & !mask | self.initial[at] & mask;
        }
    }

    pub(crate) fn is_bus_master(&self) -> bool {
        self.byte(COMMAND) & BUS_MASTER != 0
    }

    pub(crate) fn pin(&self) -> u8 {
        self.byte(INTERRUPT_PIN)
    }

    /// Where a register's range is.
    pub(crate) fn base(&self, bar: Bar) -> u64 {
        let at = bar.offset() as u8;
        let mut base = u64::from(self.dword(at));
        if bar.is_64_bit {
            base |= u64::from(self.dword(at + 4)) << 32;
        }
        base & !(bar.size - 1)
    }

    /// The ranges that are decoded now: of I/O ports or of memory. One that still holds the ones of a sizing write, or 0, is not.
    pub(crate) fn decoded(&self, io: bool) -> Vec<Range> {
        let enable = if io { IO_SPACE } else { MEMORY_SPACE };
        if self.byte(COMMAND) & enable == 0 {
            return Vec::new();
        }
        self.bars
            .iter()
            .filter(|bar| bar.is_io == io)
            .map(|bar| Range::new(self.base(*bar), bar.size, bar.index))
            .filter(|range| {
                let limit = if io { 1 << 16 } else { u64::MAX };
                range.start != 0
                    && range
                        .start
                        .checked_add(range.len)
                        .is_some_and(|end| end <= limit)
            })
            .collect()
    }

    /// The 64-bit memory ranges that are decoded above 4 GiB.
    pub(crate) fn decoded_above_4g(&self) -> Vec<Range> {
        let is_64_bit = |range: &Range| {
            self.bars
                .iter()
                .any(|bar| bar.index == range.region && bar.is_64_bit)
        };
        self.decoded(false)
            .into_iter()
            .filter(|range| range.start >= 1 << 32 && is_64_bit(range))
            .collect()
    }
}
