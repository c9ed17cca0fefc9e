//! [`Board`]: what every device of the machine is wired to: time, interrupt lines, memory, DMA, the host that is told of events.

use std::any::Any;
use std::time::Instant;

use testjig_server::qmp::Event;

use crate::dev::dma::Dma8237;
use crate::lines::Wiring;
use crate::plant::Plant;
use crate::ram::Ram;

/// The wires between the devices.
pub(crate) struct Board {
    /// Virtual time in nanoseconds.
    pub(crate) now: u64,
    pub(crate) lines: Wiring,
    pub(crate) ram: Ram,
    /// The ISA bus's DMA controllers, which devices ask for transfers.
    pub(crate) dma: Dma8237,
    /// What monitors are to be told.
    pub(crate) events: Vec<Event>,
    /// Whether something has pulled the machine's reset.
    pub(crate) reset: bool,
    /// Whether the machine has just fallen asleep.
    pub(crate) asleep: bool,
    /// Where the power management registers are; 0 for nowhere.
    pub(crate) pm_base: u16,
    /// Whether a device's addresses have changed.
    pub(crate) remap: bool,
    pub(crate) started: Instant,
    pub(crate) plant: Plant,
}

impl Board {
    pub(crate) fn new(ram: Ram, plant: Plant) -> Self {
        Self {
            now: 0,
            lines: Wiring::default(),
            ram,
            dma: Dma8237::default(),
            events: Vec::new(),
            reset: false,
            asleep: false,
            pm_base: 0,
            remap: true,
            started: Instant::now(),
            plant,
        }
    }
}

/// A range of addresses that a device decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) len: u64,
    /// Which of the device's ranges it is.
    pub(crate) region: u8,
}

impl Range {
    pub(crate) const fn new(start: u64, len: u64, region: u8) -> Self {
        Self { start, len, region }
    }
}

/// A device as its own type again. (A trait object of a subtrait turns into `dyn Any` by itself since Rust 1.86 only.)
pub(crate) trait AsAny {
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<T: Any> AsAny for T {
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// A device. Whatever it does not decode reads as an undriven bus.
pub(crate) trait Device: AsAny + Send + 'static {
    /// What QEMU calls it.
    fn name(&self) -> &'static str;

    /// The I/O ports that it decodes now.
    fn ports(&self) -> Vec<Range> {
        Vec::new()
    }

    /// The memory addresses that it decodes now.
    fn memory(&self) -> Vec<Range> {
        Vec::new()
    }

    /// Reads one byte of a port, for devices on an 8-bit bus.
    fn read8(&mut self, board: &mut Board, region: u8, offset: u16) -> u8 {
        let _ = (board, region, offset);
        0xff
    }

    /// Writes one byte of a port.
    fn write8(&mut self, board: &mut Board, region: u8, offset: u16, value: u8) {
        let _ = (board, region, offset, value);
    }

    /// Reads a port with the access's own width. An 8-bit device sees so many bytes, the lowest first.
    fn port_read(&mut self, board: &mut Board, region: u8, offset: u16, data: &mut [u8]) {
        for (at, byte) in (offset..).zip(data) {
            *byte = self.read8(board, region, at);
        }
    }

    /// Writes a port with the access's own width.
    fn port_write(&mut self, board: &mut Board, region: u8, offset: u16, data: &[u8]) {
        for (at, byte) in (offset..).zip(data) {
            self.write8(board, region, at, *byte);
        }
    }

    /// Reads memory-mapped registers.
    fn memory_read(&mut self, board: &mut Board, region: u8, offset: u64, data: &mut [u8]) {
        let _ = (board, region, offset);
        data.fill(0);
    }

    /// Writes memory-mapped registers.
    fn memory_write(&mut self, board: &mut Board, region: u8, offset: u64, data: &[u8]) {
        let _ = (board, region, offset, data);
    }

    /// When it next has something to do.
    fn deadline(&self) -> Option<u64> {
        None
    }

    /// Does what is due.
    fn expire(&mut self, board: &mut Board) {
        let _ = board;
    }

    /// The DMA controllers' registers have been written.
    fn dma_changed(&mut self, board: &mut Board) {
        let _ = board;
    }

    /// The machine's reset.
    fn reset(&mut self, board: &mut Board) {
        let _ = board;
    }

    /// Its configuration space, if it is on the PCI bus.
    fn config(&mut self) -> Option<&mut crate::pci::Config> {
        None
    }

    /// Its configuration space is about to be read.
    fn configuration_read(&mut self, board: &mut Board, offset: u8, len: u8) {
        let _ = (board, offset, len);
    }

    /// Its configuration space has been written.
    fn configured(&mut self, board: &mut Board, offset: u8, len: u8) {
        let _ = (board, offset, len);
    }

    /// A property for the monitor.
    fn property(&mut self, board: &Board, name: &str) -> Option<serde_json::Value> {
        let _ = (board, name);
        None
    }
}
