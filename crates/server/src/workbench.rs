//! [`Workbench`]: single devices at ports and addresses, where there is no VMM yet.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::qmp::Manage;
use crate::vmm::{Clock, Interrupts, Lines, Memory, Ports, Vmm};

/// A device with registers of one byte.
pub trait ByteDevice {
    /// Reads the register at an offset.
    fn read(&mut self, offset: u8) -> u8;
    /// Writes the register at an offset.
    fn write(&mut self, offset: u8, value: u8);
}

/// The interrupt pin of a device, at first low. Clones are the same pin.
#[derive(Clone, Debug, Default)]
pub struct Pin(
    /// How often its level has changed: it is high if that is odd.
    Arc<AtomicU32>,
);

impl Pin {
    /// Pulses the pin, if it is low: an edge-triggered interrupt, as most of rust-vmm's devices raise them.
    pub fn pulse(&self) {
        self.set(true);
        self.set(false);
    }

    /// Sets its level: a level-triggered interrupt.
    pub fn set(&self, level: bool) {
        let change = |changes: u32| (is_high(changes) != level).then(|| changes.wrapping_add(1));
        // It has that level already: nothing changes.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }

    /// Whether it is high.
    pub fn level(&self) -> bool {
        is_high(self.0.load(Ordering::Relaxed))
    }
}

/// The level after so many changes.
fn is_high(changes: u32) -> bool {
    changes & 1 != 0
}

/// A pin wired to an interrupt line.
struct Wired {
    line: u32,
    pin: Pin,
    /// How many of its changes have been told.
    told: u32,
}

/// Devices on a bench, served as a machine: its interrupt controller is called `pic`.
///
/// ```
/// use testjig_server::{ByteDevice, InProcess, Workbench};
///
/// struct Latch(u8);
/// impl ByteDevice for Latch {
///     fn read(&mut self, _: u8) -> u8 {
///         self.0
///     }
///     fn write(&mut self, _: u8, value: u8) {
///         self.0 = value;
///     }
/// }
///
/// let mut machine = InProcess::session(Workbench::new().port(0x80..0x81, Latch(0)));
/// machine.outb(0x80, 7)?;
/// assert_eq!(machine.inb(0x80)?, 7);
/// # Ok::<(), testjig_qtest::Error>(())
/// ```
#[derive(Default)]
pub struct Workbench {
    ports: Vec<(Range<u16>, Box<dyn ByteDevice + Send>)>,
    devices: Vec<(Range<u64>, Box<dyn Memory + Send>)>,
    memory: Option<Box<dyn Memory + Send>>,
    fallback: Option<Box<dyn Ports + Send>>,
    lines: Vec<Wired>,
    watched: bool,
}

impl Workbench {
    /// An empty bench.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a device at I/O ports.
    #[must_use]
    pub fn port(mut self, ports: Range<u16>, device: impl ByteDevice + Send + 'static) -> Self {
        self.ports.push((ports, Box::new(device)));
        self
    }

    /// Puts a device with memory-mapped registers at addresses. It is asked by offset, from the first of them on.
    #[must_use]
    pub fn mmio(mut self, addresses: Range<u64>, device: impl Memory + Send + 'static) -> Self {
        self.devices.push((addresses, Box::new(device)));
        self
    }

    /// What answers at the addresses that no device of [`mmio`](Self::mmio) has: RAM, another bus.
    #[must_use]
    pub fn memory(mut self, memory: impl Memory + Send + 'static) -> Self {
        self.memory = Some(Box::new(memory));
        self
    }

    /// What answers at the ports that no device of [`port`](Self::port) has: another bus.
    #[must_use]
    pub fn bus(mut self, bus: impl Ports + Send + 'static) -> Self {
        self.fallback = Some(Box::new(bus));
        self
    }

    /// Wires a pin to an interrupt line.
    #[must_use]
    pub fn line(mut self, number: u32, pin: &Pin) -> Self {
        self.lines.push(Wired {
            line: number,
            pin: pin.clone(),
            told: 0,
        });
        self
    }

    fn at(&mut self, port: u16) -> Option<(&mut Box<dyn ByteDevice + Send>, u8)> {
        self.ports
            .iter_mut()
            .find(|(ports, _)| ports.contains(&port))
            .map(|(ports, device)| (device, (port - ports.start) as u8))
    }
}

impl Ports for Workbench {
    fn port_read(&mut self, port: u16, data: &mut [u8]) {
        if self.at(port).is_none() {
            match &mut self.fallback {
                Some(bus) => return bus.port_read(port, data),
                None => return data.fill(0xff),
            }
        }
        for (at, byte) in (0..).zip(data) {
            let register = self.at(port.wrapping_add(at));
            *byte = register.map_or(0xff, |(device, offset)| device.read(offset));
        }
    }

    fn port_write(&mut self, port: u16, data: &[u8]) {
        if self.at(port).is_none() {
            if let Some(bus) = &mut self.fallback {
                bus.port_write(port, data);
            }
            return;
        }
        for (at, byte) in (0..).zip(data) {
            if let Some((device, offset)) = self.at(port.wrapping_add(at)) {
                device.write(offset, *byte);
            }
        }
    }
}

impl Workbench {
    /// The device at an address and the offset there, and how many of `len` bytes it or the gap to the next device has.
    fn stretch(&mut self, addr: u64, len: usize) -> (Option<(usize, u64)>, usize) {
        let inside = |range: &Range<u64>| range.contains(&addr);
        let at = self.devices.iter().position(|(range, _)| inside(range));
        let starts = self.devices.iter().map(|(range, _)| range.start);
        let next = starts.filter(|start| *start > addr).min();
        let end = at.map_or(next, |at| Some(self.devices[at].0.end));
        let found = at.map(|at| (at, addr - self.devices[at].0.start));
        let most = end.map_or(u64::MAX, |end| end - addr);
        (found, most.min(len as u64) as usize)
    }
}

impl Memory for Workbench {
    fn memory_read(&mut self, mut addr: u64, mut data: &mut [u8]) {
        while !data.is_empty() {
            let (device, len) = self.stretch(addr, data.len());
            let (now, later) = data.split_at_mut(len);
            match (device, &mut self.memory) {
                (Some((at, offset)), _) => self.devices[at].1.memory_read(offset, now),
                (None, Some(memory)) => memory.memory_read(addr, now),
                (None, None) => now.fill(0),
            }
            addr = addr.wrapping_add(len as u64);
            data = later;
        }
    }

    fn memory_write(&mut self, mut addr: u64, mut data: &[u8]) {
        while !data.is_empty() {
            let (device, len) = self.stretch(addr, data.len());
            let (now, later) = data.split_at(len);
            match (device, &mut self.memory) {
                (Some((at, offset)), _) => self.devices[at].1.memory_write(offset, now),
                (None, Some(memory)) => memory.memory_write(addr, now),
                (None, None) => {}
            }
            addr = addr.wrapping_add(len as u64);
            data = later;
        }
    }
}

impl Interrupts for Workbench {
    fn device(&self, path: &str) -> Option<String> {
        (path == "pic").then(|| path.to_owned())
    }

    fn intercept(&mut self, _: &str, lines: Lines<'_>) -> bool {
        self.watched = lines == Lines::In;
        self.watched
    }

    fn edges(&mut self, report: &mut dyn FnMut(u32, bool)) {
        for Wired { line, pin, told } in &mut self.lines {
            let changes = pin.0.load(Ordering::Relaxed);
            while *told != changes {
                *told = told.wrapping_add(1);
                report(*line, is_high(*told));
            }
        }
    }
}

impl Clock for Workbench {}
impl Vmm for Workbench {}
impl Manage for Workbench {}
