//! What a VMM implements: four small traits, every method with a default, and [`Vmm`] for all of them.

use std::fmt;

use testjig_qtest::Endianness;

/// The I/O ports of the machine.
pub trait Ports {
    /// Reads one, two or four bytes at `port`, least significant first.
    ///
    /// Unless it is implemented, nothing answers and the bus floats: all ones.
    fn port_read(&mut self, port: u16, data: &mut [u8]) {
        let _ = port;
        data.fill(0xff);
    }

    /// Writes one, two or four bytes at `port`, least significant first.
    fn port_write(&mut self, port: u16, data: &[u8]) {
        let _ = (port, data);
    }
}

/// Guest-physical memory, as the CPU reaches it: RAM, ROM and memory-mapped registers.
///
/// A scalar access of the client (`readl`, `writeq`) comes as one call of its size; a block comes as one call too, which an
/// implementation with memory-mapped devices splits as its bus would.
pub trait Memory {
    /// Reads bytes from guest-physical `addr` on. What nothing decodes reads as 0, as in QEMU.
    fn memory_read(&mut self, addr: u64, data: &mut [u8]) {
        let _ = addr;
        data.fill(0);
    }

    /// Writes bytes to guest-physical `addr` and on. What nothing decodes is lost.
    fn memory_write(&mut self, addr: u64, data: &[u8]) {
        let _ = (addr, data);
    }
}

/// The virtual clock, in nanoseconds since the machine's start, and the timers that wait for it.
///
/// Without an implementation the machine has no clock that a test can move: `clock_step` and `clock_set` are unknown commands, as in a
/// QEMU without the qtest accelerator.
pub trait Clock {
    /// The time, or `None` if tests can't move it.
    fn now(&self) -> Option<u64> {
        None
    }

    /// When the next timer expires; not before [`now`](Self::now).
    fn deadline(&self) -> Option<u64> {
        None
    }

    /// Sets the time to `to` and lets what is due expire. Is never asked to skip a deadline.
    fn advance(&mut self, to: u64) {
        let _ = to;
    }
}

/// Which lines of a device are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines<'a> {
    /// The input pins: their levels are reported *in place of* reaching the device.
    In,
    /// The output pins of the list of this name, or of the unnamed one.
    Out(Option<&'a str>),
}

/// Named interrupt lines, which can be watched and driven.
pub trait Interrupts {
    /// The device that `path` names, by its canonical path: two paths to one device give equal names.
    fn device(&self, path: &str) -> Option<String> {
        let _ = path;
        None
    }

    /// Begins to watch pins of a device that [`device`](Self::device) found; `false` if it has no such pins.
    fn intercept(&mut self, device: &str, lines: Lines<'_>) -> bool {
        let _ = (device, lines);
        false
    }

    /// Drives an input pin of a device that [`device`](Self::device) found; `false` if it has no such pin.
    fn drive(&mut self, device: &str, list: Option<&str>, pin: u16, level: i32) -> bool {
        let _ = (device, list, pin, level);
        false
    }

    /// Hands over what happened on watched pins since the last call: number of the pin in its list, level.
    ///
    /// A level that is reported twice in a row is told to clients once.
    fn edges(&mut self, report: &mut dyn FnMut(u32, bool)) {
        let _ = report;
    }
}

/// A machine that can be served to tests.
pub trait Vmm: Ports + Memory + Clock + Interrupts {
    /// Byte order of the guest's CPU: that of `readw`, `writeq` and the like.
    fn endianness(&self) -> Endianness {
        Endianness::Little
    }

    /// `module_load PREFIX NAME`; `true` if it has been loaded now.
    fn load_module(&mut self, prefix: &str, name: &str) -> bool {
        let _ = (prefix, name);
        false
    }
}

/// Why a request can't be met: the rest of a `FAIL` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

impl<T: fmt::Display> From<T> for Refusal {
    fn from(reason: T) -> Self {
        Self(reason.to_string())
    }
}
