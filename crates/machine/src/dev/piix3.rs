//! Intel 82371SB PIIX3, function 0 (data sheet 290550): PCI to ISA bridge, interrupt routing, reset control.

use crate::board::{Board, Device, Range};
use crate::pci::{Config, Devfn, Id};

/// [PIRQRC] The ISA line of PIRQA# to PIRQD#, four bytes.
const PIRQRC: u8 = 0x60;
/// [RCR] Reset control register.
const RCR: u16 = 0xcf9;
/// [RCR] Bit 2: the transition from 0 to 1 resets; bit 1 chooses a hard reset.
const RCPU: u8 = 1 << 2;

pub(crate) struct Piix3 {
    config: Config,
    reset_control: u8,
    /// Ports 0x61 (NMI status and control) and 0x92 (fast A20 and reset).
    port_92: u8,
}

impl Piix3 {
    pub(crate) fn new() -> Self {
        let id = Id {
            vendor: 0x8086,
            device: 0x7000,
            revision: 0,
            class: 0x06_0100,
            subsystem: (0x1af4, 0x1100),
        };
        let mut config = Config::new(Devfn::new(1, 0), id).multifunction();
        config.fix(0x04, &[0x07]);
        config.fix(0x06, &[0x00, 0x02]);
        // [PIRQRC] After a reset the routing is disabled.
        config.fix(PIRQRC, &[0x80; 4]);
        config.allow(PIRQRC, &[0x8f; 4]);
        Self {
            config,
            reset_control: 0,
            port_92: 0,
        }
    }

    fn route(&self, board: &mut Board) {
        let routes = self.config.dword(PIRQRC).to_le_bytes();
        board.lines.route(routes);
    }
}

impl Device for Piix3 {
    fn name(&self) -> &'static str {
        "PIIX3"
    }

    fn config(&mut self) -> Option<&mut Config> {
        Some(&mut self.config)
    }

    fn configured(&mut self, board: &mut Board, _: u8, _: u8) {
        self.route(board);
    }

    fn ports(&self) -> Vec<Range> {
        vec![Range::new(RCR.into(), 1, 0), Range::new(0x92, 1, 1)]
    }

    fn read8(&mut self, _: &mut Board, region: u8, _: u16) -> u8 {
        if region == 0 {
            self.reset_control
        } else {
            self.port_92
        }
    }

    fn write8(&mut self, board: &mut Board, region: u8, _: u16, value: u8) {
        if region == 0 {
            if value & RCPU != 0 && self.reset_control & RCPU == 0 {
                board.reset = true;
            }
            self.reset_control = value & 0x02;
        } else {
            if value & 1 != 0 && self.port_92 & 1 == 0 {
                board.reset = true;
            }
            self.port_92 = value & 0x03;
        }
    }

    fn reset(&mut self, board: &mut Board) {
        self.config.reset();
        self.reset_control = 0;
        self.port_92 = 0;
        self.route(board);
    }
}
