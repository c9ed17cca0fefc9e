//! Intel 8254 programmable interval timer (data sheet 231164), three counters at 1.193182 MHz, and port 0x61 of the PC that gates the
//! third.

use crate::board::{Board, Device, Range};
use crate::lines::Source;

/// 14.31818 MHz divided by 12.
const HZ: u128 = 1_193_182;
const SECOND: u128 = 1_000_000_000;
/// Counter 0 interrupts on line 0.
const IRQ: usize = 0;
const SOURCE: Source = 0;

/// Which byte of the counter comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Byte {
    Low,
    High,
}

struct Counter {
    mode: u8,
    bcd: bool,
    /// [Control word, RW] 1 low byte only, 2 high byte only, 3 low then high.
    access: u8,
    /// The initial count; 0 stands for the largest.
    reload: u16,
    /// When it was loaded, in nanoseconds.
    loaded: u64,
    /// A count has been written since the mode was set.
    running: bool,
    gate: bool,
    latched: Option<u16>,
    latched_status: Option<u8>,
    next_read: Byte,
    write_low: Option<u8>,
}

impl Counter {
    fn new(gate: bool) -> Self {
        Self {
            mode: 3,
            bcd: false,
            access: 3,
            reload: 0,
            loaded: 0,
            running: gate,
            gate,
            latched: None,
            latched_status: None,
            next_read: Byte::Low,
            write_low: None,
        }
    }

    /// The initial count in input clocks.
    fn period(&self) -> u64 {
        match (self.reload, self.bcd) {
            (0, false) => 0x1_0000,
            (0, true) => 10_000,
            (count, false) => count.into(),
            (count, true) => from_bcd(count),
        }
    }

    /// Input clocks since the count was loaded.
    fn clocks(&self, now: u64) -> u64 {
        (u128::from(now - self.loaded) * HZ / SECOND) as u64
    }

    fn count(&self, now: u64) -> u16 {
        let (clocks, period) = (self.clocks(now), self.period());
        let count = match self.mode {
            2 => period - clocks % period,
            // [Mode 3] The count goes down by two.
            3 => period - 2 * clocks % period,
            _ => (period.wrapping_sub(clocks)) & 0xffff,
        };
        if self.bcd {
            to_bcd(count)
        } else {
            count as u16
        }
    }

    fn output(&self, now: u64) -> bool {
        let (clocks, period) = (self.clocks(now), self.period());
        match self.mode {
            0 => self.running && clocks >= period,
            // [Mode 1] Waits for its gate, which is high for good on counters 0 and 1.
            1 => clocks > period,
            2 => !self.running || clocks % period != period - 1,
            3 => !self.running || clocks % period < period.div_ceil(2),
            _ => !self.running || clocks != period,
        }
    }

    /// When the output changes next.
    fn next_change(&self, now: u64) -> Option<u64> {
        if !self.running {
            return None;
        }
        let (clocks, period) = (self.clocks(now), self.period());
        let within = clocks % period;
        let start = clocks - within;
        let at = match self.mode {
            2 if within < period - 1 => start + period - 1,
            3 if within < period.div_ceil(2) => start + period.div_ceil(2),
            2 | 3 => start + period,
            0 | 1 | 4 | 5 if clocks < period => period,
            4 | 5 if clocks == period => period + 1,
            _ => return None,
        };
        let nanoseconds = (u128::from(at) * SECOND).div_ceil(HZ);
        Some(self.loaded + nanoseconds as u64)
    }

    fn control(&mut self, value: u8, now: u64) {
        let access = value >> 4 & 3;
        if access == 0 {
            // Counter latch command.
            self.latched.get_or_insert(self.count(now));
            return;
        }
        self.access = access;
        self.mode = match value >> 1 & 7 {
            mode @ 6..=7 => mode - 4,
            mode => mode,
        };
        self.bcd = value & 1 != 0;
        self.running = false;
        self.latched = None;
        self.next_read = Byte::Low;
        self.write_low = None;
    }

    fn write(&mut self, value: u8, now: u64) {
        let count = match (self.access, self.write_low.take()) {
            (1, _) => value.into(),
            (2, _) => u16::from(value) << 8,
            (_, None) => {
                self.write_low = Some(value);
                return;
            }
            (_, Some(low)) => u16::from_le_bytes([low, value]),
        };
        self.reload = count;
        self.loaded = now;
        self.running = true;
    }

    fn read(&mut self, now: u64) -> u8 {
        if let Some(status) = self.latched_status.take() {
            return status;
        }
        let count = self.latched.unwrap_or_else(|| self.count(now));
        let [low, high] = count.to_le_bytes();
        let (byte, last) = match (self.access, self.next_read) {
            (1, _) => (low, true),
            (3, Byte::Low) => (low, false),
            _ => (high, true),
        };
        if self.access == 3 {
            self.next_read = if last { Byte::Low } else { Byte::High };
        }
        if last {
            self.latched = None;
        }
        byte
    }

    fn status(&self, now: u64) -> u8 {
        u8::from(self.output(now)) << 7
            | u8::from(!self.running) << 6
            | self.access << 4
            | self.mode << 1
            | u8::from(self.bcd)
    }
}

fn from_bcd(value: u16) -> u64 {
    (0..4).rev().fold(0, |sum, digit| {
        sum * 10 + u64::from(value >> (4 * digit) & 0xf)
    })
}

fn to_bcd(value: u64) -> u16 {
    (0..4).fold(0, |sum, digit| {
        sum | ((value / 10_u64.pow(digit) % 10) as u16) << (4 * digit)
    })
}

pub(crate) struct Pit {
    counters: [Counter; 3],
    /// [PC/AT, port 61H] Bit 1: the speaker's data.
    speaker: bool,
    /// When the output of counter 0 changes.
    next: Option<u64>,
}

impl Pit {
    pub(crate) fn new() -> Self {
        Self {
            counters: [Counter::new(true), Counter::new(true), Counter::new(false)],
            speaker: false,
            next: None,
        }
    }

    fn drive(&mut self, board: &mut Board) {
        self.next = self.counters[0].next_change(board.now);
        let level = self.counters[0].output(board.now);
        board.lines.set(IRQ, SOURCE, level);
    }
}

impl Device for Pit {
    fn name(&self) -> &'static str {
        "isa-pit"
    }

    fn ports(&self) -> Vec<Range> {
        vec![Range::new(0x40, 4, 0), Range::new(0x61, 1, 1)]
    }

    fn read8(&mut self, board: &mut Board, region: u8, offset: u16) -> u8 {
        let now = board.now;
        if region == 1 {
            // Bit 4 toggles with each refresh request, every 15.085 us.
            let refresh = ((now / 15_085) & 1) as u8;
            let third = &self.counters[2];
            return u8::from(third.gate)
                | u8::from(self.speaker) << 1
                | refresh << 4
                | u8::from(third.output(now)) << 5;
        }
        match offset {
            3 => 0xff,
            counter => self.counters[usize::from(counter)].read(now),
        }
    }

    fn write8(&mut self, board: &mut Board, region: u8, offset: u16, value: u8) {
        let now = board.now;
        match (region, offset) {
            (1, _) => {
                self.speaker = value & 2 != 0;
                let third = &mut self.counters[2];
                let gate = value & 1 != 0;
                if gate && !third.gate && matches!(third.mode, 1 | 2 | 3 | 5) {
                    // A rising gate starts these modes anew.
                    third.loaded = now;
                }
                third.gate = gate;
            }
            (_, 3) if value >> 6 == 3 => {
                // Read-back command: the bits that are 0 latch.
                for (counter, bit) in self.counters.iter_mut().zip([2, 4, 8]) {
                    if value & bit != 0 && value & 0x20 == 0 {
                        counter.latched.get_or_insert(counter.count(now));
                    }
                    if value & bit != 0 && value & 0x10 == 0 {
                        counter.latched_status.get_or_insert(counter.status(now));
                    }
                }
            }
            (_, 3) => self.counters[usize::from(value >> 6)].control(value, now),
            (_, counter) => self.counters[usize::from(counter)].write(value, now),
        }
        self.drive(board);
    }

    fn deadline(&self) -> Option<u64> {
        self.next
    }

    fn expire(&mut self, board: &mut Board) {
        self.drive(board);
    }

    fn reset(&mut self, board: &mut Board) {
        let now = board.now;
        *self = Self::new();
        for counter in &mut self.counters {
            counter.loaded = now;
        }
        self.drive(board);
    }
}
