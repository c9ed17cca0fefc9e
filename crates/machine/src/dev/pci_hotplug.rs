//! PCI hot-plug through ACPI, as firmware finds it on this board: a general-purpose event and the registers that tell of slots.
//!
//! Source: QEMU, docs/specs/acpi_pci_hotplug; ACPI 6.5 §4.8.4.1 for the event's registers. What that leaves open is as QEMU 11.1 does it.

use crate::board::{Board, Device, Range};
use crate::lines::Source;

/// [GPE0_BLK] Two bytes of status, two of enable.
const EVENTS: Range = Range::new(0xafe0, 4, 0);
/// The registers of slots, 32 bits each.
const SLOTS: Range = Range::new(0xae00, 20, 1);

/// Slots that something was plugged into. Reading clears it.
const UP: u16 = 0x00;
/// Slots whose device is to go.
const DOWN: u16 = 0x04;
/// Writes eject the devices of slots.
const EJECT: u16 = 0x08;
/// Slots whose device can go.
const REMOVABLE: u16 = 0x0c;
/// Which bus the others are about; here 0 is the only one.
const SELECT: u16 = 0x10;
const BUSES: u32 = 256;

/// [GPE0_STS] Bit 1: look at the slots.
const SLOT_EVENT: u16 = 1 << 1;
/// ACPI's interrupt, SCI, and whose it is on that line.
const SCI: usize = 9;
const SOURCE: Source = 5;

/// The bridges' slots: what is in them stays.
pub(crate) const FIXED: u32 = 0b11;

#[derive(Default)]
pub(crate) struct PciHotplug {
    status: u16,
    enable: u16,
    up: u32,
    down: u32,
    bus: u32,
    /// Slots whose devices the machine is to take out now.
    pub(crate) ejected: u32,
}

impl PciHotplug {
    /// A device has come into a slot.
    pub(crate) fn plugged(&mut self, board: &mut Board, slot: u8) {
        self.up |= 1 << slot;
        self.tell(board);
    }

    /// A device is asked to go; `false` if it is already.
    pub(crate) fn unplug(&mut self, board: &mut Board, slot: u8) -> bool {
        let is_new = self.down & 1 << slot == 0;
        self.down |= 1 << slot;
        self.tell(board);
        is_new
    }

    fn tell(&mut self, board: &mut Board) {
        self.status |= SLOT_EVENT;
        self.drive(board);
    }

    fn drive(&self, board: &mut Board) {
        board.lines.set(SCI, SOURCE, self.status & self.enable != 0);
    }

    fn eject(&mut self, board: &mut Board, slots: u32) {
        self.ejected |= slots & !FIXED;
        self.down &= !slots;
        board.remap = true;
    }
}

impl Device for PciHotplug {
    fn name(&self) -> &'static str {
        "acpi-pci-hotplug"
    }

    fn ports(&self) -> Vec<Range> {
        vec![EVENTS, SLOTS]
    }

    fn port_read(&mut self, _: &mut Board, region: u8, offset: u16, data: &mut [u8]) {
        let value = match (region, offset & !3) {
            (0, _) => u32::from(self.status) | u32::from(self.enable) << 16,
            (_, SELECT) => self.bus,
            (_, UP) if self.bus == 0 => std::mem::take(&mut self.up),
            (_, DOWN) if self.bus == 0 => self.down,
            (_, REMOVABLE) if self.bus == 0 => !FIXED,
            (_, REMOVABLE) => u32::MAX,
            _ => 0,
        };
        for (at, byte) in (offset & 3..).zip(data) {
            *byte = value
                .to_le_bytes()
                .get(usize::from(at))
                .copied()
                .unwrap_or(0);
        }
    }

    fn port_write(&mut self, board: &mut Board, region: u8, offset: u16, data: &[u8]) {
        if region == EVENTS.region {
            for (at, byte) in (offset..).zip(data) {
                let (byte, shift) = (u16::from(*byte), 8 * (at & 1));
                match at {
                    // [GPE0_STS] A one clears its bit.
                    0 | 1 => self.status &= !(byte << shift),
                    _ => self.enable = self.enable & !(0xff << shift) | byte << shift,
                }
            }
            return self.drive(board);
        }
        let Ok(bytes) = <[u8; 4]>::try_from(data) else {
            return;
        };
        let value = u32::from_le_bytes(bytes);
        match offset {
            EJECT if self.bus == 0 => self.eject(board, value),
            SELECT => self.bus = if value < BUSES { value } else { 0 },
            _ => {}
        }
    }

    /// What was asked to go goes now at the latest.
    fn reset(&mut self, board: &mut Board) {
        self.eject(board, self.down);
        (self.status, self.enable, self.up, self.bus) = (0, 0, 0, 0);
        self.drive(board);
    }
}
