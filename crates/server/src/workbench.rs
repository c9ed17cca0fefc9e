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

/// A pin that a device pulses: an edge-triggered interrupt, as rust-vmm's devices raise them.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<AtomicU32>);

impl Pulse {
    /// Pulses the pin.
    pub fn pulse(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn take(&self) -> u32 {
        self.0.swap(0, Ordering::Relaxed)
    }
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
    memory: Option<Box<dyn Memory + Send>>,
    fallback: Option<Box<dyn Ports + Send>>,
    lines: Vec<(u32, Pulse)>,
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

    /// Gives the machine its memory: RAM, memory-mapped devices.
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
    pub fn line(mut self, number: u32, pulse: &Pulse) -> Self {
        self.lines.push((number, pulse.clone()));
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

impl Memory for Workbench {
    fn memory_read(&mut self, addr: u64, data: &mut [u8]) {
        match &mut self.memory {
            Some(memory) => memory.memory_read(addr, data),
            None => data.fill(0),
        }
    }

    fn memory_write(&mut self, addr: u64, data: &[u8]) {
        if let Some(memory) = &mut self.memory {
            memory.memory_write(addr, data);
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
        for (number, pulse) in &self.lines {
            for _ in 0..pulse.take() {
                report(*number, true);
                report(*number, false);
            }
        }
    }
}

impl Clock for Workbench {}
impl Vmm for Workbench {}
impl Manage for Workbench {}
