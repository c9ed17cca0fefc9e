//! Intel 82371AB PIIX4, function 3 (data sheet 290562): power management. Registers, sleep and the note for the firmware; no SMBus.

use testjig_server::qmp::Event;

use crate::board::{Board, Device, Range};
use crate::pci::{Config, Devfn, Id};

/// [PMBA] Base of the power management registers, 64 bytes of I/O.
const PMBA: u8 = 0x40;
/// [PMREGMISC] Bit 0 enables them.
const PMREGMISC: u8 = 0x80;

/// [PMSTS], [PMEN], [PMCNTRL]: ACPI's PM1 status, enable and control.
const PM1_STATUS: u16 = 0x00;
const PM1_ENABLE: u16 = 0x02;
const PM1_CONTROL: u16 = 0x04;
/// [PMTMR] 24 bits at 3.579545 MHz.
const PM_TIMER: u16 = 0x08;

const SLP_EN: u16 = 1 << 13;
const SLP_TYP: u16 = 7 << 10;
const SUSPEND: u16 = 1 << 10;

pub(crate) struct Piix4Pm {
    config: Config,
    status: u16,
    enable: u16,
    control: u16,
    /// Whether the machine is off.
    pub(crate) off: bool,
}

impl Piix4Pm {
    pub(crate) fn new() -> Self {
        let id = Id {
            vendor: 0x8086,
            device: 0x7113,
            revision: 3,
            class: 0x06_8000,
            subsystem: (0x1af4, 0x1100),
        };
        let mut config = Config::new(Devfn::new(1, 3), id).with_pin(1);
        config.fix(0x06, &[0x80, 0x02]);
        config.fix(PMBA, &[0x01]);
        config.allow(PMBA, &[0xc0, 0xff]);
        config.allow(PMREGMISC, &[0x01]);
        config.fix(0x90, &[0x01]);
        config.allow(0x90, &[0xf0, 0xff]);
        config.allow(0x5b, &[0xff]);
        Self {
            config,
            status: 0,
            enable: 0,
            control: 0,
            off: false,
        }
    }

    /// Where the registers are, if they are enabled.
    fn base(&self) -> Option<u16> {
        let enabled = self.config.byte(PMREGMISC) & 1 != 0;
        let base = self.config.word(PMBA) & 0xffc0;
        (enabled && base != 0).then_some(base)
    }
}

impl Device for Piix4Pm {
    fn name(&self) -> &'static str {
        "PIIX4_PM"
    }

    fn config(&mut self) -> Option<&mut Config> {
        Some(&mut self.config)
    }

    fn configured(&mut self, board: &mut Board, _: u8, _: u8) {
        board.pm_base = self.base().unwrap_or(0);
        board.remap = true;
    }

    fn ports(&self) -> Vec<Range> {
        self.base()
            .map(|base| Range::new(base.into(), 64, 0))
            .into_iter()
            .collect()
    }

    fn port_read(&mut self, board: &mut Board, _: u8, offset: u16, data: &mut [u8]) {
        let ticks = u128::from(board.now) * 3_579_545 / 1_000_000_000;
        let value = match offset {
            PM1_STATUS => u32::from(self.status) | u32::from(self.enable) << 16,
            PM1_ENABLE => self.enable.into(),
            PM1_CONTROL => self.control.into(),
            PM_TIMER => ticks as u32 & 0x00ff_ffff,
            _ => 0,
        };
        data.copy_from_slice(&value.to_le_bytes()[..data.len()]);
    }

    fn port_write(&mut self, board: &mut Board, _: u8, offset: u16, data: &[u8]) {
        let value = u16::from(data[0]) | data.get(1).map_or(0, |high| u16::from(*high) << 8);
        match offset {
            PM1_STATUS => self.status &= !value,
            PM1_ENABLE => self.enable = value,
            PM1_CONTROL => {
                self.control = value & !SLP_EN;
                // [ACPI 6.5 §4.8.3.2.1] On this board SLP_TYP 0 is soft-off and 1 suspends to memory. No clock runs that could wake it.
                if value & (SLP_EN | SLP_TYP) == SLP_EN | SUSPEND {
                    board.asleep = true;
                    board.events.push(Event::new("SUSPEND"));
                }
                if value & (SLP_EN | SLP_TYP) == SLP_EN {
                    board.events.push(Event::with(
                        "SHUTDOWN",
                        serde_json::json!({"guest": true, "reason": "guest-shutdown"}),
                    ));
                    self.off = true;
                }
            }
            _ => {}
        }
    }

    fn reset(&mut self, board: &mut Board) {
        self.config.reset();
        (self.status, self.enable, self.control) = (0, 0, 0);
        board.pm_base = 0;
        board.remap = true;
    }
}
