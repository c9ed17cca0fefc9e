//! [`Machine`]: the devices, and which of them an access reaches.

mod disks;
mod hotplug;
mod manage;
mod pc;
mod virtio;

pub use manage::{DEVICES, MACHINES, OBJECTS, VERSION};

use std::os::fd::OwnedFd;

use testjig_server::{Clock, Interrupts, Lines, Memory, Ports, Vmm};

use crate::board::{Board, Device, Range};
use crate::cli::Drives;
use crate::dev::i440fx::{I440fx, Side};
use crate::dev::mc146818::{self, Mc146818};
use crate::dev::pc16550d::Pc16550d;
use crate::lines::Watched;
use crate::plant::TRIGGER;

/// [CONFADD] Configuration address register of the 82441FX, four ports, dword accesses only.
const CONFADD: u16 = 0xcf8;
/// [CONFDATA] Configuration data register, four ports.
const CONFDATA: u16 = 0xcfc;
/// [CONFADD] Bit 31: configuration cycles are enabled.
const CONE: u32 = 1 << 31;

/// Below are DRAM and holes that never move.
const SEGMENTS: std::ops::Range<u64> = 0xa_0000..0x10_0000;

/// A device of the machine, and what the command line called it.
struct Slot {
    device: Box<dyn Device>,
    id: Option<String>,
}

/// The PC.
pub(crate) struct Machine {
    board: Board,
    slots: Vec<Slot>,
    /// For each port the number of its range plus one.
    port_map: Box<[u16]>,
    port_ranges: Vec<(Range, usize)>,
    memory_ranges: Vec<(Range, usize)>,
    config_address: u32,
    quit: bool,
    paused: bool,
    /// Processors that are there, and that there may be.
    cpus: (u32, u32),
    boot: Vec<disks::Bootable>,
    strict_boot: bool,
    /// The images by name.
    drives: Drives,
    /// Properties of all virtio devices, by the type that they are of.
    virtio_globals: Vec<(String, String, String)>,
    disk_number: u32,
    /// The slots of the serial ports.
    serial_ports: Vec<usize>,
    /// What the planted memory growth keeps.
    kept: Vec<Vec<u8>>,
}

impl Machine {
    fn empty(board: Board) -> Self {
        Self {
            board,
            slots: Vec::new(),
            port_map: vec![0; 1 << 16].into(),
            port_ranges: Vec::new(),
            memory_ranges: Vec::new(),
            config_address: 0,
            quit: false,
            paused: false,
            cpus: (1, 1),
            boot: Vec::new(),
            strict_boot: false,
            drives: Drives::default(),
            virtio_globals: Vec::new(),
            disk_number: 0,
            serial_ports: Vec::new(),
            kept: Vec::new(),
        }
    }

    fn add(&mut self, device: impl Device, id: Option<String>) {
        self.slots.push(Slot {
            device: Box::new(device),
            id,
        });
        self.board.remap = true;
    }

    /// The device of a type, if there is one.
    fn find<T: Device>(&mut self) -> Option<&mut T> {
        self.slots
            .iter_mut()
            .find_map(|slot| slot.device.as_mut().as_any_mut().downcast_mut())
    }

    /// The serial ports whose lines have another end: what is readable when that sends, and which of the serial ports it is.
    pub(crate) fn serial_lines(&mut self) -> std::io::Result<Vec<(OwnedFd, usize)>> {
        let mut lines = Vec::new();
        for (port, &slot) in self.serial_ports.iter().enumerate() {
            let device = self.slots[slot].device.as_mut().as_any_mut();
            let uart = device.downcast_mut::<Pc16550d>();
            if let Some(line) = uart.and_then(|uart| uart.line.as_ref()) {
                lines.push((line.input().try_clone_to_owned()?, port));
            }
        }
        Ok(lines)
    }

    /// Has a serial port take what its line brings; `false` if that is over.
    pub(crate) fn listen(&mut self, port: usize) -> bool {
        let slot = self.serial_ports[port];
        let Self { slots, board, .. } = self;
        let device = slots[slot].device.as_mut().as_any_mut();
        device
            .downcast_mut::<Pc16550d>()
            .is_some_and(|uart| uart.listen(board))
    }

    /// Works out anew which device decodes what.
    fn remap(&mut self) {
        self.board.remap = false;
        self.port_map.fill(0);
        self.port_ranges.clear();
        self.memory_ranges.clear();
        for (slot, Slot { device, .. }) in self.slots.iter().enumerate() {
            for range in device.ports() {
                self.port_ranges.push((range, slot));
                let number = self.port_ranges.len() as u16;
                let from = range.start as usize;
                let to = (range.start + range.len).min(1 << 16) as usize;
                self.port_map[from..to].fill(number);
            }
            let memory = device.memory().into_iter();
            self.memory_ranges.extend(memory.map(|range| (range, slot)));
        }
        let mut resources = Vec::new();
        for slot in &mut self.slots {
            if let Some(config) = slot.device.config() {
                let ranges = config.decoded_above_4g().into_iter();
                resources.extend(ranges.map(|range| (range.start, range.start + range.len)));
            }
        }
        if let Some(host) = self.find::<I440fx>() {
            host.resources = resources;
        }
    }

    /// What an access may have set off.
    #[inline]
    fn settle(&mut self) {
        if self.board.dma.changed {
            self.board.dma.changed = false;
            for slot in &mut self.slots {
                slot.device.dma_changed(&mut self.board);
            }
        }
        if std::mem::take(&mut self.board.asleep) {
            if let Some(clock) = self.find::<Mc146818>() {
                clock.put(mc146818::index::SHUTDOWN, mc146818::RESUME);
            }
        }
        if self.board.reset {
            self.reset_devices(true);
        }
        if self.board.remap {
            self.eject();
            self.remap();
        }
    }

    /// [Reset] of every device. CONFADD has its default value after it.
    fn reset_devices(&mut self, by_guest: bool) {
        self.board.reset = false;
        self.config_address = 0;
        for slot in &mut self.slots {
            slot.device.reset(&mut self.board);
        }
        self.eject();
        self.make_boot_order();
        self.board.events.push(pc::reset_event(by_guest));
        self.remap();
    }

    /// The range of a port, and whether it holds all of the access.
    #[inline]
    fn decode(&self, port: u16, len: usize) -> Option<(Range, usize, bool)> {
        let number = self.port_map[usize::from(port)];
        let (range, slot) = *self.port_ranges.get(usize::from(number).checked_sub(1)?)?;
        let whole = u64::from(port) + len as u64 <= range.start + range.len;
        Some((range, slot, whole))
    }

    fn config_read(&mut self, port: u16, data: &mut [u8]) {
        data.fill(0xff);
        let address = self.config_address;
        let offset = (address & 0xfc) as u8 + (port - CONFDATA) as u8;
        let Some(slot) = self.function(address) else {
            return;
        };
        let Self { slots, board, .. } = self;
        let device = &mut slots[slot].device;
        device.configuration_read(board, offset, data.len() as u8);
        if let Some(config) = device.config() {
            config.read(offset, data);
        }
    }

    fn config_write(&mut self, port: u16, data: &[u8]) {
        let address = self.config_address;
        let offset = (address & 0xfc) as u8 + (port - CONFDATA) as u8;
        let Some(slot) = self.function(address) else {
            return;
        };
        let Self { slots, board, .. } = self;
        let device = &mut slots[slot].device;
        if let Some(config) = device.config() {
            board.remap |= config.write(offset, data);
        }
        device.configured(board, offset, data.len() as u8);
    }

    /// Where the function is that CONFADD names, if configuration cycles are enabled and it is there.
    fn function(&mut self, address: u32) -> Option<usize> {
        let bus = address >> 16 & 0xff;
        if address & CONE == 0 || bus != 0 {
            return None;
        }
        let devfn = crate::pci::Devfn((address >> 8) as u8);
        self.slots.iter_mut().position(|slot| {
            let config = slot.device.config();
            config.is_some_and(|config| config.devfn == devfn)
        })
    }

    /// The stretch that begins at an address and goes one way: where to, and how long it is.
    fn stretch(&mut self, addr: u64, write: bool) -> (Way, u64) {
        if SEGMENTS.contains(&addr) {
            let (side, end) = match self.find::<I440fx>() {
                Some(host) => host.side(addr, write),
                None => (Side::Dram, SEGMENTS.end),
            };
            if side == Side::Dram {
                return (Way::Dram, end - addr);
            }
            let (way, len) = self.device_at(addr);
            return (way, len.min(end - addr));
        }
        if let Some(dram) = self.board.ram.stretch(addr) {
            let end = if addr < SEGMENTS.start {
                dram.end.min(SEGMENTS.start)
            } else {
                dram.end
            };
            return (Way::Dram, end - addr);
        }
        self.device_at(addr)
    }

    /// The device that decodes an address, and how far; or nothing, up to the next that decodes anything.
    fn device_at(&self, addr: u64) -> (Way, u64) {
        let inside = self
            .memory_ranges
            .iter()
            .find(|(range, _)| addr.wrapping_sub(range.start) < range.len);
        if let Some((range, slot)) = inside {
            return (Way::Device(*slot, *range), range.len - (addr - range.start));
        }
        let starts = self.memory_ranges.iter().map(|(range, _)| range.start);
        let dram = [SEGMENTS.start, SEGMENTS.end, 1 << 32];
        let next = starts
            .chain(dram)
            .filter(|start| *start > addr)
            .min()
            .unwrap_or(u64::MAX);
        // The last byte of the address space is a stretch as well.
        (Way::Nowhere, (next - addr).max(1))
    }
}

/// Where an access goes.
#[derive(Clone, Copy)]
enum Way {
    Dram,
    Device(usize, Range),
    Nowhere,
}

/// The widths in which a block reaches a device's registers: the widest that its address and length allow, as a bus does.
fn bus_width(addr: u64, len: usize) -> usize {
    let aligned = 1 << addr.trailing_zeros().min(3);
    let mut width = aligned.min(8);
    while width > len {
        width /= 2;
    }
    width
}

impl Ports for Machine {
    fn port_read(&mut self, port: u16, data: &mut [u8]) {
        let len = data.len();
        if port == CONFADD && len == 4 {
            data.copy_from_slice(&self.config_address.to_le_bytes());
            return;
        }
        if (CONFDATA..CONFDATA + 4).contains(&port) && usize::from(port - CONFDATA) + len <= 4 {
            return self.config_read(port, data);
        }
        match self.decode(port, len) {
            Some((range, slot, true)) => {
                let offset = port - range.start as u16;
                let device = &mut self.slots[slot].device;
                device.port_read(&mut self.board, range.region, offset, data);
            }
            _ if len == 1 => data.fill(0xff),
            // It crosses from one device to the next, or nothing is there: byte by byte.
            _ => {
                for (at, byte) in data.chunks_mut(1).enumerate() {
                    self.port_read(port.wrapping_add(at as u16), byte);
                }
            }
        }
        self.settle();
    }

    fn port_write(&mut self, port: u16, data: &[u8]) {
        let len = data.len();
        if port == CONFADD && len == 4 {
            // [CONFADD] Bits 30:24 and 1:0 are reserved; they read as they were written, as in QEMU.
            self.config_address = u32::from_le_bytes([data[0], data[1], data[2], data[3]]);
            return;
        }
        if (CONFDATA..CONFDATA + 4).contains(&port) && usize::from(port - CONFDATA) + len <= 4 {
            self.config_write(port, data);
            return self.settle();
        }
        if port == TRIGGER {
            self.board.plant.at_trigger.set_off(&mut self.kept);
        }
        match self.decode(port, len) {
            Some((range, slot, true)) => {
                let offset = port - range.start as u16;
                let device = &mut self.slots[slot].device;
                device.port_write(&mut self.board, range.region, offset, data);
            }
            _ if len == 1 => {}
            _ => {
                for (at, byte) in data.chunks(1).enumerate() {
                    self.port_write(port.wrapping_add(at as u16), byte);
                }
            }
        }
        self.settle();
    }
}

impl Memory for Machine {
    fn memory_read(&mut self, mut addr: u64, mut data: &mut [u8]) {
        while !data.is_empty() {
            let (way, len) = self.stretch(addr, false);
            let step = len.min(data.len() as u64) as usize;
            let (now, later) = data.split_at_mut(step);
            match way {
                Way::Dram => {
                    if !self.board.ram.read(addr, now) {
                        now.fill(0);
                    }
                }
                Way::Device(slot, range) => {
                    let device = &mut self.slots[slot].device;
                    let mut at = 0;
                    while at < step {
                        let offset = addr + at as u64 - range.start;
                        let width = bus_width(offset, step - at);
                        let part = &mut now[at..at + width];
                        device.memory_read(&mut self.board, range.region, offset, part);
                        at += width;
                    }
                    self.settle();
                }
                Way::Nowhere => now.fill(0),
            }
            let Some(next) = addr.checked_add(step as u64) else {
                return later.fill(0);
            };
            addr = next;
            data = later;
        }
    }

    fn memory_write(&mut self, mut addr: u64, mut data: &[u8]) {
        while !data.is_empty() {
            let (way, len) = self.stretch(addr, true);
            let step = len.min(data.len() as u64) as usize;
            let (now, later) = data.split_at(step);
            match way {
                Way::Dram => {
                    self.board.ram.write(addr, now);
                }
                Way::Device(slot, range) => {
                    let mut at = 0;
                    while at < step {
                        let offset = addr + at as u64 - range.start;
                        let width = bus_width(offset, step - at);
                        let part = &now[at..at + width];
                        let device = &mut self.slots[slot].device;
                        device.memory_write(&mut self.board, range.region, offset, part);
                        at += width;
                    }
                    self.settle();
                }
                Way::Nowhere => {}
            }
            let Some(next) = addr.checked_add(step as u64) else {
                return;
            };
            addr = next;
            data = later;
        }
    }
}

impl Clock for Machine {
    fn now(&self) -> Option<u64> {
        Some(self.board.now)
    }

    fn deadline(&self) -> Option<u64> {
        self.slots
            .iter()
            .filter_map(|slot| slot.device.deadline())
            .min()
    }

    fn advance(&mut self, to: u64) {
        self.board.now = to;
        let Self { slots, board, .. } = self;
        for slot in slots {
            if slot
                .device
                .deadline()
                .is_some_and(|deadline| deadline <= to)
            {
                slot.device.expire(board);
            }
        }
        self.settle();
    }
}

/// The devices with input pins, by the paths that clients use.
fn pins(path: &str) -> Option<Watched> {
    match path {
        "ioapic" | "/machine/unattached/ioapic" => Some(Watched::IoApic),
        "isa-i8259" | "/machine/unattached/isa-i8259" => Some(Watched::Pic),
        _ => None,
    }
}

impl Interrupts for Machine {
    fn device(&self, path: &str) -> Option<String> {
        pins(path).map(|watched| {
            match watched {
                Watched::IoApic => "/machine/unattached/ioapic",
                Watched::Pic => "/machine/unattached/isa-i8259",
            }
            .to_owned()
        })
    }

    fn intercept(&mut self, device: &str, lines: Lines<'_>) -> bool {
        match (pins(device), lines) {
            (Some(watched), Lines::In) => {
                self.board.lines.watch(watched);
                true
            }
            _ => false,
        }
    }

    fn drive(&mut self, device: &str, list: Option<&str>, pin: u16, level: i32) -> bool {
        let count = match pins(device) {
            Some(Watched::IoApic) => 24,
            Some(Watched::Pic) => 16,
            None => return false,
        };
        let there = list.is_none() && pin < count;
        if there {
            self.board.lines.drive(pin.into(), level != 0);
        }
        there
    }

    fn edges(&mut self, report: &mut dyn FnMut(u32, bool)) {
        for (line, level) in self.board.lines.edges() {
            report(line, level);
        }
    }
}

impl Vmm for Machine {}
