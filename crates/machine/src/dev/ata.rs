//! An ATA disk (ATA/ATAPI-6; sections in brackets are its commands and registers): one device of a channel.

pub(crate) mod geometry;
mod identify;
mod smart;
mod transfer;

use self::geometry::Chs;
use self::smart::{Answer, Smart};
pub(crate) use self::transfer::DmaRequest;
use self::transfer::{Task, Transfer};
use crate::disk::{Disk, SECTOR};

/// [Status]
pub(crate) const DRDY: u8 = 1 << 6;
const DSC: u8 = 1 << 4;
pub(crate) const DRQ: u8 = 1 << 3;
const ERR: u8 = 1 << 0;
/// [Error]
const IDNF: u8 = 1 << 4;
const ABRT: u8 = 1 << 2;
/// [Device]
const LBA: u8 = 1 << 6;
pub(crate) const DEV: u8 = 1 << 4;
/// [Device] Obsolete bits, which ATA-3 has set.
const OBSOLETE: u8 = 0xa0;

/// Sectors of the largest DRQ block.
const MOST_PER_BLOCK: usize = 16;

/// What the command line says of a disk.
#[derive(Clone, Debug)]
pub(crate) struct DriveOptions {
    pub(crate) serial: String,
    pub(crate) version: String,
    pub(crate) model: String,
    pub(crate) wwn: u64,
    pub(crate) rotation_rate: u16,
    pub(crate) physical_block: u32,
    pub(crate) trim: bool,
    pub(crate) write_cache: bool,
}

/// A parameter register: what is in it, and what was before the last write.
#[derive(Clone, Copy, Default)]
pub(crate) struct Twice {
    pub(crate) now: u8,
    pub(crate) before: u8,
}

impl Twice {
    pub(crate) fn write(&mut self, value: u8) {
        self.before = self.now;
        self.now = value;
    }

    fn set(&mut self, value: u16) {
        [self.now, self.before] = value.to_le_bytes();
    }

    fn both(self) -> u16 {
        u16::from_le_bytes([self.now, self.before])
    }
}

/// The command block of one device.
#[derive(Clone, Copy, Default)]
pub(crate) struct Registers {
    pub(crate) features: Twice,
    pub(crate) count: Twice,
    /// LBA Low, Mid and High.
    pub(crate) lba: [Twice; 3],
    pub(crate) device: u8,
    pub(crate) status: u8,
    pub(crate) error: u8,
}

/// A disk.
pub(crate) struct Drive {
    disk: Disk,
    options: DriveOptions,
    geometry: Chs,
    /// [INITIALIZE DEVICE PARAMETERS] The translation of CHS addresses.
    translation: Chs,
    pub(crate) registers: Registers,
    per_block: usize,
    write_cache: bool,
    /// [SET FEATURES, 66h] A software reset keeps what was set.
    keeps_settings: bool,
    single_word_dma: u16,
    multiword_dma: u16,
    ultra_dma: u16,
    smart: Smart,
    transfer: Option<Transfer>,
    pub(crate) dma: Option<DmaRequest>,
    /// INTRQ, before nIEN.
    pub(crate) interrupt: bool,
}

/// What a command needs next.
#[derive(Clone, Copy)]
enum Next {
    Done,
    Aborted,
    /// No sector at that address.
    NotFound,
    Transfer,
}

impl Drive {
    pub(crate) fn new(disk: Disk, geometry: Chs, options: DriveOptions) -> Self {
        let mut drive = Self {
            disk,
            write_cache: options.write_cache,
            options,
            geometry,
            translation: geometry,
            registers: Registers::default(),
            per_block: MOST_PER_BLOCK,
            keeps_settings: false,
            single_word_dma: 0,
            multiword_dma: 0,
            ultra_dma: 1 << 13,
            smart: Smart::default(),
            transfer: None,
            dma: None,
            interrupt: false,
        };
        drive.hardware_reset();
        drive
    }

    pub(crate) fn hardware_reset(&mut self) {
        self.keeps_settings = false;
        self.software_reset();
        (self.single_word_dma, self.multiword_dma) = (0, 0);
        self.ultra_dma = 1 << 13;
        self.write_cache = self.options.write_cache;
        self.smart = Smart::default();
    }

    /// [Software reset] Ends a transfer, leaves the signature and the diagnostic code 01h.
    pub(crate) fn software_reset(&mut self) {
        if !self.keeps_settings {
            self.translation = self.geometry;
            self.per_block = MOST_PER_BLOCK;
        }
        self.transfer = None;
        self.dma = None;
        self.interrupt = false;
        self.sign();
        self.registers.error = 1;
        self.registers.status = DRDY | DSC;
    }

    /// [Signature] of a disk.
    fn sign(&mut self) {
        let one = Twice { now: 1, before: 0 };
        self.registers.count = one;
        self.registers.lba = [one, Twice::default(), Twice::default()];
        self.registers.device = OBSOLETE;
    }

    pub(crate) fn is_transferring(&self) -> bool {
        self.registers.status & DRQ != 0
    }

    /// [Command] Begins to carry out a command.
    pub(crate) fn command(&mut self, command: u8) {
        self.interrupt = false;
        self.registers.error = 0;
        self.registers.status = DRDY | DSC;
        let next = self.execute(command);
        self.end_of(next);
    }

    fn end_of(&mut self, next: Next) {
        let error = match next {
            Next::Transfer => return,
            Next::Done => 0,
            Next::Aborted => ABRT,
            Next::NotFound => IDNF,
        };
        self.transfer = None;
        self.dma = None;
        self.registers.error |= error;
        self.registers.status = DRDY | DSC | u8::from(error != 0);
        debug_assert_eq!(ERR, 1);
        self.interrupt = true;
    }

    fn execute(&mut self, command: u8) -> Next {
        let per_block = self.per_block;
        match command {
            // [READ SECTOR(S)], with and without retry, EXT; [READ MULTIPLE], EXT.
            0x20 | 0x21 => self.read(Task::of28(), 1),
            0x24 => self.read(Task::of48(), 1),
            0xc4 if per_block > 0 => self.read(Task::of28(), per_block),
            0x29 if per_block > 0 => self.read(Task::of48(), per_block),
            // [WRITE SECTOR(S)], with and without retry, verify, EXT; [WRITE MULTIPLE], EXT.
            0x30 | 0x31 | 0x3c => self.write(Task::of28(), 1),
            0x34 => self.write(Task::of48(), 1),
            0xc5 if per_block > 0 => self.write(Task::of28(), per_block),
            0x39 if per_block > 0 => self.write(Task::of48(), per_block),
            // [READ DMA], [WRITE DMA], EXT, and [DATA SET MANAGEMENT].
            0xc8 | 0xc9 => self.dma(Task::of28(), false),
            0x25 => self.dma(Task::of48(), false),
            0xca | 0xcb => self.dma(Task::of28(), true),
            0x35 => self.dma(Task::of48(), true),
            0x06 if self.registers.features.now == 1 && self.options.trim => self.trim(),
            // [READ VERIFY SECTOR(S)], EXT; [SEEK].
            0x40 | 0x41 | 0x70 => self.verify(Task::of28()),
            0x42 => self.verify(Task::of48()),
            // [RECALIBRATE], [SECURITY FREEZE LOCK]; power management, and its commands of ATA-1.
            0x10 | 0xf5 | 0xe0..=0xe3 | 0xe6 | 0x94..=0x97 | 0x99 => Next::Done,
            0xe5 | 0x98 => {
                self.registers.count.now = 0xff;
                Next::Done
            }
            0xe7 | 0xea => match self.disk.flush() {
                Ok(()) => Next::Done,
                Err(_) => Next::Aborted,
            },
            0x90 => {
                self.sign();
                self.registers.error = 1;
                Next::Done
            }
            0x91 => self.set_translation(),
            0xc6 => self.set_multiple(),
            0xec => {
                let data = identify::identify(self, &self.disk);
                self.send(data)
            }
            0xef => self.set_features(),
            0xf8 => self.native_max(false),
            0x27 => self.native_max(true),
            0xb0 => self.execute_smart(),
            _ => Next::Aborted,
        }
    }

    /// [INITIALIZE DEVICE PARAMETERS] Sectors in Sector Count, the last head in Device.
    fn set_translation(&mut self) -> Next {
        let heads = u32::from(self.registers.device & 0xf) + 1;
        let sectors = u32::from(self.registers.count.now);
        if sectors == 0 {
            return Next::Aborted;
        }
        let all = self.geometry.cylinders * self.geometry.heads * self.geometry.sectors;
        self.translation = Chs {
            cylinders: (all / (heads * sectors)).min(0xffff),
            heads,
            sectors,
        };
        Next::Done
    }

    /// [SET MULTIPLE MODE]
    fn set_multiple(&mut self) -> Next {
        let count = usize::from(self.registers.count.now);
        if count > MOST_PER_BLOCK || count != 0 && !count.is_power_of_two() {
            return Next::Aborted;
        }
        self.per_block = count;
        Next::Done
    }

    fn set_features(&mut self) -> Next {
        match self.registers.features.now {
            0x02 | 0x82 => {
                self.write_cache = self.registers.features.now == 0x02;
                Next::Done
            }
            0x03 => self.set_transfer_mode(),
            0x66 | 0xcc => {
                self.keeps_settings = self.registers.features.now == 0x66;
                Next::Done
            }
            0xaa | 0x55 | 0x05 | 0x85 | 0x42 | 0xc2 | 0x67 | 0x69 | 0x96 | 0x9a => Next::Done,
            _ => Next::Aborted,
        }
    }

    /// [SET FEATURES, 03h] The kind of mode in bits 7:3 of Sector Count, its number in bits 2:0.
    fn set_transfer_mode(&mut self) -> Next {
        let mode = self.registers.count.now;
        let (number, selected) = (mode & 7, 1 << (8 + (mode & 7)));
        let modes = match mode >> 3 {
            0 | 1 => (0, 0, 0),
            2 if number <= 2 => (selected, 0, 0),
            4 if number <= 2 => (0, selected, 0),
            8 if number <= 5 => (0, 0, selected),
            _ => return Next::Aborted,
        };
        (self.single_word_dma, self.multiword_dma, self.ultra_dma) = modes;
        Next::Done
    }

    /// [READ NATIVE MAX ADDRESS], EXT.
    fn native_max(&mut self, extended: bool) -> Next {
        let last = self.disk.sectors().saturating_sub(1);
        if extended {
            self.put_lba(last, Task::of48());
            return Next::Done;
        }
        let current = self.translation;
        self.translation = self.geometry;
        self.put_lba(last.min(0x0fff_ffff), Task::of28());
        self.translation = current;
        Next::Done
    }

    /// [SMART] C2h and 4Fh in LBA High and Mid.
    fn execute_smart(&mut self) -> Next {
        let [low, mid, high] = self.registers.lba.map(|register| register.now);
        if (mid, high) != (0x4f, 0xc2) {
            return Next::Aborted;
        }
        match self.smart.execute(self.registers.features.now, low) {
            Answer::Done => Next::Done,
            Answer::Aborted => Next::Aborted,
            Answer::Data(data) => self.send(data),
        }
    }
}
