//! Intel 8259A programmable interrupt controllers (data sheet 231468), two in cascade as the PC has them.

use crate::board::{Board, Device, Range};

/// The input of the first chip that the second one drives.
const CASCADE: u8 = 1 << 2;

/// How far the initialization sequence has come.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Init {
    #[default]
    Done,
    Icw2,
    Icw3,
    Icw4,
}

/// One chip.
#[derive(Default)]
struct Pic {
    requests: u8,
    in_service: u8,
    mask: u8,
    /// Levels of the inputs.
    inputs: u8,
    /// ELCR of the PIIX3: inputs that are level-triggered.
    level: u8,
    vector: u8,
    init: Init,
    needs_icw4: bool,
    single: bool,
    auto_eoi: bool,
    special_mask: bool,
    read_in_service: bool,
    poll: bool,
    rotate_on_auto_eoi: bool,
    /// The input of lowest priority.
    lowest: u8,
}

impl Pic {
    fn new() -> Self {
        Self {
            lowest: 7,
            ..Self::default()
        }
    }

    fn set(&mut self, input: u8, level: bool) {
        let bit = 1 << input;
        let was_high = self.inputs & bit != 0;
        if level {
            self.inputs |= bit;
            if !was_high || self.level & bit != 0 {
                self.requests |= bit;
            }
        } else {
            self.inputs &= !bit;
            // An edge-triggered request needs its input high until it is acknowledged.
            self.requests &= !bit;
        }
    }

    /// The input that interrupts now: the highest request that is not masked, above what is in service.
    fn pending(&self) -> Option<u8> {
        let requests = self.requests & !self.mask;
        let busy = if self.special_mask {
            self.in_service & !self.mask
        } else {
            self.in_service
        };
        for step in 1..=8 {
            let input = (self.lowest + step) & 7;
            if busy & 1 << input != 0 {
                return None;
            }
            if requests & 1 << input != 0 {
                return Some(input);
            }
        }
        None
    }

    /// The CPU's acknowledge cycle, or a poll.
    fn acknowledge(&mut self, input: u8) {
        let bit = 1 << input;
        if self.auto_eoi {
            if self.rotate_on_auto_eoi {
                self.lowest = input;
            }
        } else {
            self.in_service |= bit;
        }
        if self.level & bit == 0 {
            self.requests &= !bit;
        }
    }

    fn write_command(&mut self, value: u8) {
        if value & 0x10 != 0 {
            // ICW1 clears the mask and the edge sense, and makes input 7 the lowest.
            *self = Self {
                inputs: self.inputs,
                level: self.level,
                vector: self.vector,
                init: Init::Icw2,
                needs_icw4: value & 1 != 0,
                single: value & 2 != 0,
                ..Self::new()
            };
        } else if value & 0x08 != 0 {
            // OCW3.
            self.poll = value & 4 != 0;
            if value & 2 != 0 {
                self.read_in_service = value & 1 != 0;
            }
            if value & 0x40 != 0 {
                self.special_mask = value & 0x20 != 0;
            }
        } else {
            self.end_of_interrupt(value);
        }
    }

    /// OCW2: R, SL and EOI in bits 7 to 5, the level in bits 2 to 0.
    fn end_of_interrupt(&mut self, value: u8) {
        let level = value & 7;
        let highest = (1..=8)
            .map(|step| (self.lowest + step) & 7)
            .find(|input| self.in_service & 1 << input != 0);
        match value >> 5 {
            0b001 | 0b101 => {
                if let Some(input) = highest {
                    self.in_service &= !(1 << input);
                    if value & 0x80 != 0 {
                        self.lowest = input;
                    }
                }
            }
            0b011 => self.in_service &= !(1 << level),
            0b111 => {
                self.in_service &= !(1 << level);
                self.lowest = level;
            }
            0b110 => self.lowest = level,
            0b100 => self.rotate_on_auto_eoi = true,
            0b000 => self.rotate_on_auto_eoi = false,
            _ => {}
        }
    }

    fn write_data(&mut self, value: u8) {
        match self.init {
            Init::Done => self.mask = value,
            Init::Icw2 => {
                self.vector = value & 0xf8;
                self.init = match (self.single, self.needs_icw4) {
                    (false, _) => Init::Icw3,
                    (true, true) => Init::Icw4,
                    (true, false) => Init::Done,
                };
            }
            Init::Icw3 if self.needs_icw4 => self.init = Init::Icw4,
            Init::Icw3 => self.init = Init::Done,
            Init::Icw4 => {
                self.auto_eoi = value & 2 != 0;
                self.init = Init::Done;
            }
        }
    }

    fn read_command(&mut self) -> u8 {
        if std::mem::take(&mut self.poll) {
            return match self.pending() {
                Some(input) => {
                    self.acknowledge(input);
                    0x80 | input
                }
                None => 0,
            };
        }
        if self.read_in_service {
            self.in_service
        } else {
            self.requests
        }
    }
}

/// Both chips.
pub(crate) struct PicPair {
    first: Pic,
    second: Pic,
}

impl Default for PicPair {
    fn default() -> Self {
        Self {
            first: Pic::new(),
            second: Pic::new(),
        }
    }
}

impl PicPair {
    pub(crate) fn set(&mut self, line: usize, level: bool) {
        match line {
            0..=7 if 1 << line != CASCADE => self.first.set(line as u8, level),
            8..=15 => self.second.set(line as u8 - 8, level),
            _ => {}
        }
        self.cascade();
    }

    fn cascade(&mut self) {
        let pending = self.second.pending().is_some();
        self.first.set(CASCADE.trailing_zeros() as u8, pending);
    }

    fn chip(&mut self, region: u8) -> &mut Pic {
        if region & 1 == 0 {
            &mut self.first
        } else {
            &mut self.second
        }
    }
}

/// The ports: 0x20 and 0xa0, and the ELCRs of the PIIX3 at 0x4d0 and 0x4d1.
pub(crate) struct Registers;

const ELCR: u8 = 2;

impl Device for Registers {
    fn name(&self) -> &'static str {
        "isa-i8259"
    }

    fn ports(&self) -> Vec<Range> {
        vec![
            Range::new(0x20, 2, 0),
            Range::new(0xa0, 2, 1),
            Range::new(0x4d0, 1, ELCR),
            Range::new(0x4d1, 1, ELCR | 1),
        ]
    }

    fn read8(&mut self, board: &mut Board, region: u8, offset: u16) -> u8 {
        let pair = &mut board.lines.pic;
        let chip = pair.chip(region);
        let value = match (region & ELCR, offset) {
            (ELCR, _) => chip.level,
            (_, 0) => chip.read_command(),
            _ => chip.mask,
        };
        pair.cascade();
        value
    }

    fn write8(&mut self, board: &mut Board, region: u8, offset: u16, value: u8) {
        let pair = &mut board.lines.pic;
        let chip = pair.chip(region);
        match (region & ELCR, offset) {
            // [PIIX3 §2.5.4] Lines 0, 1, 2, 8 and 13 are edge-triggered for good.
            (ELCR, _) => chip.level = value & if region & 1 == 0 { 0xf8 } else { 0xde },
            (_, 0) => chip.write_command(value),
            _ => chip.write_data(value),
        }
        pair.cascade();
    }

    fn reset(&mut self, board: &mut Board) {
        let inputs = |pic: &Pic| pic.inputs;
        let pair = &mut board.lines.pic;
        let (first, second) = (inputs(&pair.first), inputs(&pair.second));
        *pair = PicPair::default();
        pair.first.inputs = first;
        pair.second.inputs = second;
    }
}
