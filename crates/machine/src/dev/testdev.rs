//! `pci-testdev`: a PCI function with base address registers and nothing behind them, for tests of address decoding.

use crate::board::{Board, Device, Range};
use crate::pci::{Bar, Config, Devfn, Id};

pub(crate) struct PciTestdev {
    config: Config,
    /// The number of the test that was chosen, for each of BAR 0 and BAR 1.
    test: [u8; 2],
}

impl PciTestdev {
    /// `membar` bytes of 64-bit memory at BAR 2, if not 0.
    pub(crate) fn new(devfn: Devfn, membar: u64) -> Self {
        let id = Id {
            vendor: 0x1b36,
            device: 0x0005,
            revision: 0,
            class: 0x00_ff00,
            subsystem: (0x1af4, 0x1100),
        };
        let mut config = Config::new(devfn, id)
            .with_bar(Bar::memory(0, 4096))
            .with_bar(Bar::io(1, 256));
        if membar != 0 {
            config = config.with_bar(Bar::memory64(2, membar.next_power_of_two()));
        }
        Self {
            config,
            test: [0; 2],
        }
    }
}

impl Device for PciTestdev {
    fn name(&self) -> &'static str {
        "pci-testdev"
    }

    fn config(&mut self) -> Option<&mut Config> {
        Some(&mut self.config)
    }

    fn memory(&self) -> Vec<Range> {
        self.config.decoded(false)
    }

    fn ports(&self) -> Vec<Range> {
        self.config.decoded(true)
    }

    /// Register 0 is the test's number, register 1 the width of its accesses in bytes: 1 for the first.
    fn read8(&mut self, _: &mut Board, region: u8, offset: u16) -> u8 {
        match (region, offset) {
            (0 | 1, 0) => self.test[usize::from(region)],
            (0 | 1, 1) => 1,
            _ => 0,
        }
    }

    fn write8(&mut self, _: &mut Board, region: u8, offset: u16, value: u8) {
        if let (0 | 1, 0) = (region, offset) {
            self.test[usize::from(region)] = value;
        }
    }

    fn memory_read(&mut self, board: &mut Board, region: u8, offset: u64, data: &mut [u8]) {
        for (at, byte) in (offset..).zip(data) {
            *byte = self.read8(board, region, at.min(0xff) as u16);
        }
    }

    fn memory_write(&mut self, board: &mut Board, region: u8, offset: u64, data: &[u8]) {
        for (at, byte) in (offset..).zip(data) {
            self.write8(board, region, at.min(0xff) as u16, *byte);
        }
    }

    fn reset(&mut self, _: &mut Board) {
        self.config.reset();
        self.test = [0; 2];
    }
}
