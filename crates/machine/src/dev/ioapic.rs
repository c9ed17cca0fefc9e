//! Intel 82093AA I/O APIC (data sheet 290566): 24 inputs, each with a redirection entry; an index and a data register.

use crate::board::{Board, Device, Range};

/// [3.1] Where the PC has it.
const BASE: u64 = 0xfec0_0000;

/// Redirection entry [3.2.4]: trigger mode, 1 for level.
const LEVEL: u64 = 1 << 15;
/// Redirection entry: remote IRR, read-only; a level-sensitive interrupt was accepted and not yet ended.
const REMOTE_IRR: u64 = 1 << 14;
/// Redirection entry: delivery status, read-only.
const DELIVERY_STATUS: u64 = 1 << 12;
/// Redirection entry: masked.
const MASKED: u64 = 1 << 16;

/// The chip's state; [`Window`] is how the CPU reaches it.
pub(crate) struct IoApic {
    select: u8,
    id: u32,
    entries: [u64; Self::LINES],
    high: u32,
}

impl Default for IoApic {
    /// [3.2.4] Every entry is masked after a reset.
    fn default() -> Self {
        Self {
            select: 0,
            id: 0,
            entries: [MASKED; Self::LINES],
            high: 0,
        }
    }
}

impl IoApic {
    pub(crate) const LINES: usize = 24;

    pub(crate) fn set(&mut self, line: usize, level: bool) {
        let bit = 1 << line;
        self.high = if level {
            self.high | bit
        } else {
            self.high & !bit
        };
        let entry = &mut self.entries[line];
        if level && *entry & MASKED == 0 && *entry & LEVEL != 0 {
            *entry |= REMOTE_IRR;
        }
    }

    fn read(&self) -> u32 {
        match self.select {
            // [3.2.1] IOAPICID, bits 27:24; [3.2.3] IOAPICARB shows the same after the ID was loaded.
            0 | 2 => self.id,
            // [3.2.2] IOAPICVER: version 11h, 23 is the number of the last entry.
            1 => 0x0017_0011,
            select => {
                Self::entry(select).map_or(0, |(line, shift)| (self.entries[line] >> shift) as u32)
            }
        }
    }

    fn write(&mut self, value: u32) {
        if self.select == 0 {
            self.id = value & 0x0f00_0000;
        } else if let Some((line, shift)) = Self::entry(self.select) {
            let kept = DELIVERY_STATUS | REMOTE_IRR;
            let mask = (0xffff_ffff_u64 << shift) & !kept;
            // [3.2.4] Bits 55:17 are reserved.
            let writable = mask & 0xff00_0000_0001_ffff;
            let entry = &mut self.entries[line];
            *entry = *entry & !mask | u64::from(value) << shift & writable;
            if *entry & LEVEL == 0 {
                *entry &= !REMOTE_IRR;
            }
        }
    }

    /// The entry of an index register from 10h on, and which half.
    fn entry(select: u8) -> Option<(usize, u32)> {
        let index = usize::from(select.checked_sub(0x10)?);
        (index < 2 * Self::LINES).then_some((index / 2, 32 * (index as u32 % 2)))
    }
}

/// The two memory-mapped registers.
pub(crate) struct Window;

impl Device for Window {
    fn name(&self) -> &'static str {
        "ioapic"
    }

    fn memory(&self) -> Vec<Range> {
        vec![Range::new(BASE, 0x1000, 0)]
    }

    fn memory_read(&mut self, board: &mut Board, _: u8, offset: u64, data: &mut [u8]) {
        let ioapic = &board.lines.ioapic;
        let value = match offset & 0xff {
            0x00 => ioapic.select.into(),
            0x10 if data.len() == 4 => ioapic.read(),
            _ => 0,
        };
        data.fill(0);
        let len = data.len().min(4);
        data[..len].copy_from_slice(&value.to_le_bytes()[..len]);
    }

    fn memory_write(&mut self, board: &mut Board, _: u8, offset: u64, data: &[u8]) {
        let mut value = [0; 4];
        let len = data.len().min(4);
        value[..len].copy_from_slice(&data[..len]);
        let value = u32::from_le_bytes(value);
        match offset & 0xff {
            0x00 => board.lines.ioapic.select = value as u8,
            0x10 if data.len() == 4 => board.lines.ioapic.write(value),
            _ => {}
        }
    }

    fn reset(&mut self, board: &mut Board) {
        let high = board.lines.ioapic.high;
        board.lines.ioapic = IoApic {
            high,
            ..IoApic::default()
        };
    }
}
