//! Intel 82078 floppy disk controller (data sheet 290475; names in brackets are its registers and commands), as a PC has it: ports 0x3f0
//! to 0x3f7, line 6, DMA channel 2, up to two drives.

mod command;
mod media;

pub(crate) use self::media::{FloppyDrive, Kind};

use self::command::{Command, parameters};
use crate::board::{Board, Device, Range};
use crate::lines::Source;

const SOURCE: Source = 3;
const IRQ: usize = 6;
const DMA: usize = 2;

/// [MSR]
const RQM: u8 = 0x80;
const DIO: u8 = 0x40;
const NON_DMA: u8 = 0x20;
const CMD_BSY: u8 = 0x10;

/// [DOR]
const NOT_RESET: u8 = 0x04;
const DMA_GATE: u8 = 0x08;

/// Where a command is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing, or some of a command's bytes.
    Command,
    /// Data of a sector go through the FIFO: to the host, or from there.
    ToHost,
    FromHost,
    /// The DMA controller is waited for.
    Dma,
    /// An ID is waited for.
    Turning,
    Result,
}

/// What is set by commands and kept over a reset if it is locked.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// [Specify] SRT and HUT; HLT and ND.
    specify: [u8; 2],
    /// [Configure] EIS, EFIFO, POLL, FIFOTHR; PRETRK.
    configuration: u8,
    precompensation: u8,
    perpendicular: u8,
    locked: bool,
}

pub(crate) struct I82078 {
    drives: [Option<FloppyDrive>; 2],
    dor: u8,
    tdr: u8,
    rate: u8,
    settings: Settings,
    phase: Phase,
    bytes: Vec<u8>,
    /// What the host reads next, the first byte last.
    result: Vec<u8>,
    /// The sector at hand.
    data: Vec<u8>,
    at: usize,
    transfer: command::Transfer,
    interrupt: bool,
    /// ST0 of interrupts that wait to be sensed.
    sensed: Vec<u8>,
    /// [Dumpreg] Sectors of a track that FORMAT TRACK or RESTORE has set; 0 for those of the disk.
    formatted: u8,
    cylinders: [u8; 4],
    /// When the ID comes by that READ ID waits for.
    turning_until: Option<u64>,
    /// Whether the reset that makes the machine is over. Firmware would have run after it, and tests begin there.
    is_made: bool,
}

impl I82078 {
    pub(crate) fn new() -> Self {
        let settings = Settings {
            // [Configure, default values] No FIFO.
            configuration: 0x20,
            ..Settings::default()
        };
        Self {
            drives: [None, None],
            // As firmware leaves it.
            dor: NOT_RESET | DMA_GATE,
            tdr: 0,
            rate: 0,
            settings,
            phase: Phase::Command,
            bytes: Vec::new(),
            result: Vec::new(),
            data: Vec::new(),
            at: 0,
            transfer: command::Transfer::default(),
            interrupt: false,
            sensed: Vec::new(),
            formatted: 0,
            cylinders: [0; 4],
            turning_until: None,
            is_made: false,
        }
    }

    /// Puts a drive in; `false` if there is one.
    pub(crate) fn attach(&mut self, unit: usize, drive: FloppyDrive) -> bool {
        let free = self.drives[unit].is_none();
        if free {
            self.drives[unit] = Some(drive);
        }
        free
    }

    /// The unit of a drive that the command line gave a name.
    pub(crate) fn unit(&mut self, id: &str) -> Option<&mut FloppyDrive> {
        self.drives
            .iter_mut()
            .flatten()
            .find(|drive| drive.id.as_deref() == Some(id))
    }

    pub(crate) fn free_unit(&self) -> Option<usize> {
        self.drives.iter().position(Option::is_none)
    }

    /// What the firmware finds in CMOS: the types of both drives.
    pub(crate) fn kinds(&self) -> [Option<Kind>; 2] {
        [0, 1].map(|unit: usize| self.drives[unit].as_ref().map(|drive| drive.kind))
    }

    /// [TDR, BOOTSEL] With 1 there, drives 0 and 1 change places.
    fn drive(&mut self, number: u8) -> Option<&mut FloppyDrive> {
        let unit = usize::from(number & 3);
        let unit = if unit < 2 && self.tdr & 4 != 0 {
            1 - unit
        } else {
            unit
        };
        self.drives.get_mut(unit)?.as_mut()
    }

    fn msr(&self) -> u8 {
        if self.dor & NOT_RESET == 0 {
            return 0;
        }
        match self.phase {
            Phase::Command if self.bytes.is_empty() => RQM,
            Phase::Command => RQM | CMD_BSY,
            Phase::ToHost => RQM | DIO | NON_DMA | CMD_BSY,
            Phase::FromHost => RQM | NON_DMA | CMD_BSY,
            Phase::Dma | Phase::Turning => CMD_BSY,
            Phase::Result => RQM | DIO | CMD_BSY,
        }
    }

    fn set_interrupt(&mut self, board: &mut Board, level: bool) {
        self.interrupt = level;
        board.lines.set(IRQ, SOURCE, level);
    }

    /// [Reset] by software: polling begins, an interrupt that is sensed four times.
    fn software_reset(&mut self, board: &mut Board) {
        self.stop(board);
        if !self.settings.locked {
            self.settings.configuration = 0x20;
            self.settings.precompensation = 0;
        }
        self.sensed = (0..4).rev().map(|drive| 0xc0 | drive).collect();
        self.set_interrupt(board, true);
    }

    /// Leaves whatever was going on.
    fn stop(&mut self, board: &mut Board) {
        self.phase = Phase::Command;
        self.turning_until = None;
        self.bytes.clear();
        self.result.clear();
        self.sensed.clear();
        self.cylinders = [0; 4];
        board.dma.request(DMA, false);
        self.set_interrupt(board, false);
    }

    fn write_dor(&mut self, board: &mut Board, value: u8) {
        let before = std::mem::replace(&mut self.dor, value);
        match (before & NOT_RESET != 0, value & NOT_RESET != 0) {
            (true, false) => self.stop(board),
            (false, true) => self.software_reset(board),
            _ => {}
        }
    }

    /// [DSR]
    fn write_dsr(&mut self, board: &mut Board, value: u8) {
        self.rate = value & 3;
        if value & 0x80 != 0 {
            self.software_reset(board);
        }
    }

    fn read_fifo(&mut self, board: &mut Board) -> u8 {
        match self.phase {
            Phase::Result => {
                let byte = self.result.pop().unwrap_or(0);
                // [Result Phase] The first byte that is read takes the interrupt back.
                if self.interrupt {
                    self.set_interrupt(board, false);
                }
                if self.result.is_empty() {
                    self.phase = Phase::Command;
                }
                byte
            }
            Phase::ToHost => {
                let byte = self.data[self.at];
                self.at += 1;
                if self.interrupt {
                    self.set_interrupt(board, false);
                }
                if self.at == self.data.len() {
                    self.sector_is_over(board);
                }
                byte
            }
            _ => 0,
        }
    }

    fn write_fifo(&mut self, board: &mut Board, value: u8) {
        if self.dor & NOT_RESET == 0 {
            return;
        }
        match self.phase {
            Phase::Command => {
                self.bytes.push(value);
                let complete = parameters(&self.bytes).is_none_or(|count| self.bytes.len() > count);
                if complete {
                    let bytes = std::mem::take(&mut self.bytes);
                    self.execute(board, &Command::new(bytes));
                }
            }
            Phase::FromHost => {
                self.data[self.at] = value;
                self.at += 1;
                if self.interrupt {
                    self.set_interrupt(board, false);
                }
                if self.at == self.data.len() {
                    self.sector_is_over(board);
                }
            }
            _ => {}
        }
    }

    /// Goes to the result phase with these bytes.
    fn answer(&mut self, bytes: &[u8]) {
        self.result = bytes.iter().rev().copied().collect();
        self.phase = Phase::Result;
    }
}

impl Device for I82078 {
    fn name(&self) -> &'static str {
        "isa-fdc"
    }

    fn ports(&self) -> Vec<Range> {
        vec![Range::new(0x3f0, 6, 0), Range::new(0x3f7, 1, 1)]
    }

    fn read8(&mut self, board: &mut Board, region: u8, offset: u16) -> u8 {
        match (region, offset) {
            (1, _) => {
                // [DIR] The selected drive's change line.
                let selected = self.dor & 3;
                let changed = self.drive(selected).is_none_or(|drive| drive.changed);
                u8::from(changed) << 7
            }
            // [SRA] and [SRB]: the interrupt, drives, motors.
            (_, 0) => u8::from(self.interrupt) << 7,
            (_, 1) => 0xc0 | (self.dor & 1) << 5 | self.dor >> 4 & 3,
            (_, 2) => self.dor,
            (_, 3) => self.tdr,
            (_, 4) => self.msr(),
            _ => self.read_fifo(board),
        }
    }

    fn write8(&mut self, board: &mut Board, region: u8, offset: u16, value: u8) {
        // [DOR, RESET#] In reset nothing else takes anything.
        let awake = self.dor & NOT_RESET != 0;
        match (region, offset) {
            (0, 2) => self.write_dor(board, value),
            _ if !awake => {}
            (1, _) => self.rate = value & 3,
            (_, 3) => self.tdr = value & 4,
            (_, 4) => self.write_dsr(board, value),
            (_, 5) => self.write_fifo(board, value),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<u64> {
        self.turning_until
    }

    fn expire(&mut self, board: &mut Board) {
        self.id_has_come(board);
    }

    fn dma_changed(&mut self, board: &mut Board) {
        if self.phase == Phase::Dma {
            self.run_dma(board);
        }
    }

    fn reset(&mut self, board: &mut Board) {
        self.stop(board);
        let drives = std::mem::take(&mut self.drives);
        let is_made = std::mem::replace(&mut self.is_made, true);
        *self = Self {
            drives,
            is_made: true,
            ..Self::new()
        };
        if is_made {
            // [DOR] Cleared by a hardware reset.
            self.dor = 0;
        }
    }
}
