//! `pci-testdev`: a PCI function with base address registers and nothing behind them, for tests of address decoding.

use crate::board::{Board, Device, Range};
use crate::pci::{Bar, Config, Devfn, Id};

pub(crate) struct PciTestdev {
    config: Config,
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
        Self { config }
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

    fn reset(&mut self, _: &mut Board) {
        self.config.reset();
    }
}
