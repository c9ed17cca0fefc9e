//! Intel 82371SB PIIX3, function 1 (data sheet 290550): two IDE channels and their bus master (SFF-8038i).

use crate::board::{Board, Device, Range};
use crate::dev::ata::{DEV, Drive, Twice};
use crate::lines::Source;
use crate::pci::{Bar, Config, Devfn, Id};

const SOURCE: Source = 2;
/// Bus master registers, 16 ports.
const BUS_MASTER: Bar = Bar::io(4, 16);
/// Command block, control block and line of each channel; compatibility mode has no other.
const CHANNELS: [(u64, u64, usize); 2] = [(0x1f0, 0x3f6, 14), (0x170, 0x376, 15)];

/// [Device Control]
const NIEN: u8 = 1 << 1;
const SRST: u8 = 1 << 2;
const HOB: u8 = 1 << 7;

/// [BMICX] Bus master command: start, and direction, 1 for "to memory".
const START: u8 = 1 << 0;
const TO_MEMORY: u8 = 1 << 3;
/// [BMISX] Bus master status.
const ACTIVE: u8 = 1 << 0;
const ERROR: u8 = 1 << 1;
const INTERRUPT: u8 = 1 << 2;

#[derive(Default)]
struct Channel {
    drives: [Option<Drive>; 2],
    selected: usize,
    control: u8,
    command: u8,
    status: u8,
    /// [BMIDTPX] Descriptor table pointer.
    table: u32,
}

pub(crate) struct Piix3Ide {
    config: Config,
    channels: [Channel; 2],
}

impl Piix3Ide {
    pub(crate) fn new() -> Self {
        let id = Id {
            vendor: 0x8086,
            device: 0x7010,
            revision: 0,
            class: 0x01_0180,
            subsystem: (0x1af4, 0x1100),
        };
        let mut config = Config::new(Devfn::new(1, 1), id).with_bar(BUS_MASTER);
        config.fix(0x06, &[0x80, 0x02]);
        // [IDETIM] Timing, with the decode enables in bit 15 of each word.
        config.allow(0x40, &[0xff; 4]);
        Self {
            config,
            channels: [Channel::default(), Channel::default()],
        }
    }

    /// Attaches a disk; `false` if there is one.
    pub(crate) fn attach(&mut self, channel: usize, unit: usize, drive: Drive) -> bool {
        let place = &mut self.channels[channel].drives[unit];
        let free = place.is_none();
        if free {
            *place = Some(drive);
        }
        free
    }

    /// The first place without a disk: channel and unit.
    pub(crate) fn free(&self, channel: Option<usize>) -> Option<(usize, usize)> {
        (0..4)
            .map(|number| (number / 2, number % 2))
            .find(|(bus, unit)| {
                channel.is_none_or(|channel| channel == *bus)
                    && self.channels[*bus].drives[*unit].is_none()
            })
    }
}

impl Channel {
    fn drive(&mut self) -> Option<&mut Drive> {
        self.drives[self.selected].as_mut()
    }

    fn is_empty(&self) -> bool {
        self.drives.iter().all(Option::is_none)
    }

    fn drive_line(&mut self, board: &mut Board, line: usize) {
        let enabled = self.control & NIEN == 0;
        let level = self.drive().is_some_and(|drive| drive.interrupt) && enabled;
        board.lines.set(line, SOURCE, level);
        if level {
            self.status |= INTERRUPT;
        }
    }

    fn read(&mut self, register: u16) -> u8 {
        if self.is_empty() {
            return 0;
        }
        let hob = self.control & HOB != 0;
        // [Device 1 is absent] Device 0 answers for it: parameters as written, Status and Error 0.
        let absent = self.drive().is_none();
        let answering = if absent {
            1 - self.selected
        } else {
            self.selected
        };
        let Some(drive) = &mut self.drives[answering] else {
            return 0;
        };
        let shown = |register: Twice| if hob { register.before } else { register.now };
        let registers = &drive.registers;
        match register {
            1 | 7 if absent => 0,
            1 if hob => registers.features.before,
            1 => registers.error,
            2 => shown(registers.count),
            3..=5 => shown(registers.lba[usize::from(register) - 3]),
            6 => registers.device | if self.selected == 1 { DEV } else { 0 },
            7 => {
                drive.interrupt = false;
                drive.registers.status
            }
            _ => 0,
        }
    }

    fn acknowledge(&mut self) {
        if let Some(drive) = self.drive() {
            drive.interrupt &= drive.is_transferring();
        }
    }

    fn write(&mut self, register: u16, value: u8) {
        self.control &= !HOB;
        if self.drive().is_some_and(|drive| drive.is_transferring()) {
            return;
        }
        if register == 7 {
            if value == 0x90 {
                // [EXECUTE DEVICE DIAGNOSTIC] Both devices carry it out, whichever is selected, and Device 0 tells of it.
                for drive in self.drives.iter_mut().flatten() {
                    drive.software_reset();
                }
                self.selected = 0;
            }
            if let Some(drive) = self.drive() {
                // [DEVICE RESET] is for packet devices; a disk aborts it as any other that it does not know.
                drive.command(value);
            }
            return;
        }
        // Both devices take what is written, whichever is selected.
        for drive in self.drives.iter_mut().flatten() {
            let registers = &mut drive.registers;
            match register {
                1 => registers.features.write(value),
                2 => registers.count.write(value),
                3..=5 => registers.lba[usize::from(register) - 3].write(value),
                6 => registers.device = value & !DEV | 0xa0,
                _ => {}
            }
        }
        if register == 6 {
            self.selected = usize::from(value & DEV != 0);
        }
    }

    fn write_control(&mut self, value: u8) {
        let before = std::mem::replace(&mut self.control, value);
        if value & SRST != 0 && before & SRST == 0 {
            self.selected = 0;
            for drive in self.drives.iter_mut().flatten() {
                drive.software_reset();
            }
        }
    }

    /// Runs the descriptor table (SFF-8038i §3): entries of address and length, the last with bit 31 of its second dword set.
    fn run_bus_master(&mut self, board: &mut Board, allowed: bool) {
        if self.command & START == 0 || !allowed {
            return;
        }
        let to_memory = self.command & TO_MEMORY != 0;
        let mut table = u64::from(self.table & !3);
        let mut larger = false;
        let mut failed = false;
        let Some(drive) = self.drives[self.selected].as_mut() else {
            return;
        };
        if drive.dma.is_none() {
            return;
        }
        let ran = drive.run_dma(to_memory, &mut |data| {
            let mut at = 0;
            loop {
                let Some(entry) = board.ram.load::<8>(table) else {
                    failed = true;
                    return false;
                };
                table += 8;
                let address = u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]) & !1;
                let length = u16::from_le_bytes([entry[4], entry[5]]) & !1;
                let length = if length == 0 {
                    0x1_0000
                } else {
                    usize::from(length)
                };
                let last = entry[7] & 0x80 != 0;
                let step = length.min(data.len() - at);
                let part = &mut data[at..at + step];
                let moved = if to_memory {
                    let written = board.ram.write(address.into(), part);
                    if board.plant.dma_off_by_one {
                        board.ram.write(u64::from(address) + step as u64, &[0]);
                    }
                    written
                } else {
                    board.ram.read(address.into(), part)
                };
                if !moved {
                    failed = true;
                    return false;
                }
                at += step;
                if at == data.len() {
                    larger = !last || step < length;
                    return true;
                }
                if last {
                    return false;
                }
            }
        });
        // SFF-8038i §3.1: interrupt without active if the sizes agree, with active if the table has more; neither if it has less.
        if !ran || !larger {
            self.status &= !ACTIVE;
        }
        if failed {
            self.status |= ERROR;
        }
    }

    fn read_bus_master(&self, offset: u16) -> u8 {
        match offset {
            0 => self.command,
            2 => self.status,
            4..=7 => self.table.to_le_bytes()[usize::from(offset) - 4],
            _ => 0,
        }
    }

    fn write_bus_master(&mut self, board: &mut Board, offset: u16, value: u8, allowed: bool) {
        match offset {
            0 => {
                let before = std::mem::replace(&mut self.command, value & (START | TO_MEMORY));
                if value & START != 0 && before & START == 0 {
                    self.status |= ACTIVE;
                    self.run_bus_master(board, allowed);
                } else if value & START == 0 {
                    self.status &= !ACTIVE;
                }
            }
            2 => {
                let cleared = value & (ERROR | INTERRUPT);
                self.status = self.status & !cleared & !0x60 | value & 0x60;
            }
            4..=7 => {
                let mut table = self.table.to_le_bytes();
                table[usize::from(offset) - 4] = value;
                self.table = u32::from_le_bytes(table) & !3;
            }
            _ => {}
        }
    }
}

/// Regions: command blocks, control blocks, bus master.
const COMMAND: u8 = 0x10;
const CONTROL: u8 = 0x20;

impl Device for Piix3Ide {
    fn name(&self) -> &'static str {
        "piix3-ide"
    }

    fn config(&mut self) -> Option<&mut Config> {
        Some(&mut self.config)
    }

    fn ports(&self) -> Vec<Range> {
        let mut ports = self.config.decoded(true);
        for (number, (command, control, _)) in (0..).zip(CHANNELS) {
            ports.push(Range::new(command, 8, COMMAND | number));
            ports.push(Range::new(control, 1, CONTROL | number));
        }
        ports
    }

    fn port_read(&mut self, board: &mut Board, region: u8, offset: u16, data: &mut [u8]) {
        let number = usize::from(region & 1);
        let line = CHANNELS[number].2;
        match region & !1 {
            COMMAND if offset == 0 => {
                let channel = &mut self.channels[number];
                data.fill(0);
                if let Some(drive) = channel.drive() {
                    drive.read_data(data);
                }
                channel.drive_line(board, line);
            }
            COMMAND => {
                for (at, byte) in (offset..).zip(data) {
                    *byte = self.channels[number].read(at);
                }
                self.channels[number].drive_line(board, line);
            }
            CONTROL => {
                let channel = &mut self.channels[number];
                let status = channel.drive().map_or(0, |drive| drive.registers.status);
                data.fill(status);
            }
            _ => {
                for (at, byte) in (offset..).zip(data) {
                    *byte = self.channels[usize::from((at / 8) & 1)].read_bus_master(at % 8);
                }
            }
        }
    }

    fn port_write(&mut self, board: &mut Board, region: u8, offset: u16, data: &[u8]) {
        let number = usize::from(region & 1);
        // PCI 2.1 §6.2.2: without the bus master bit the function starts no cycles.
        let allowed = self.config.is_bus_master();
        match region & !1 {
            COMMAND if offset == 0 => {
                if let Some(drive) = self.channels[number].drive() {
                    drive.write_data(data);
                }
            }
            COMMAND => {
                let channel = &mut self.channels[number];
                for (at, byte) in (offset..).zip(data) {
                    if at == 7 {
                        // [Command] Writing it takes a pending interrupt back.
                        channel.acknowledge();
                        channel.drive_line(board, CHANNELS[number].2);
                    }
                    channel.write(at, *byte);
                }
                channel.run_bus_master(board, allowed);
            }
            CONTROL => self.channels[number].write_control(data[0]),
            _ => {
                for (at, byte) in (offset..).zip(data) {
                    let channel = &mut self.channels[usize::from((at / 8) & 1)];
                    channel.write_bus_master(board, at % 8, *byte, allowed);
                }
            }
        }
        for (channel, (_, _, line)) in self.channels.iter_mut().zip(CHANNELS) {
            channel.drive_line(board, line);
        }
    }

    fn reset(&mut self, board: &mut Board) {
        self.config.reset();
        for (channel, (_, _, line)) in self.channels.iter_mut().zip(CHANNELS) {
            for drive in channel.drives.iter_mut().flatten() {
                drive.hardware_reset();
            }
            (channel.selected, channel.control) = (0, 0);
            (channel.command, channel.status, channel.table) = (0, 0, 0);
            channel.drive_line(board, line);
        }
    }
}
