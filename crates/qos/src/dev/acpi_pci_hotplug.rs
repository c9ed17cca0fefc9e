//! PCI hot-plug of the PC through ACPI: what firmware and the guest's ACPI code see of devices that come and go.
//!
//! Sources: QEMU, docs/specs/acpi_pci_hotplug; ACPI 6.5 §4.8.4.1, general-purpose event register blocks.

use bitfield_struct::bitfield;
use testjig_qtest::Entry;
use testjig_vm::{Pin, Vm};

use crate::bus::Pio;
use crate::describe::{Access, Describe, Seen, Space, Transfer};

const EVENTS: u16 = 0xafe0;
const SLOTS: u16 = 0xae00;

/// [GPE0_STS, GPE0_EN] General-purpose events.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct Events {
    __: bool,
    /// Something is to be read of the slots' registers.
    pub pci: bool,
    #[bits(14)]
    __: u16,
}

/// A register about slots: 32 bits wide, and accessed only so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Register {
    /// Reads, for each slot, whether a device was plugged in since it was read last.
    Up = 0x00,
    /// Reads, for each slot, whether its device is asked to go.
    Down = 0x04,
    /// Writes which slots' devices are let go.
    Eject = 0x08,
    /// Reads, for each slot, whether its device can go.
    Removable = 0x0c,
    /// Reads and writes which bus the others are about, 0 to 255.
    Bus = 0x10,
}

/// The registers of the `pc`.
#[derive(Clone, Debug)]
pub struct AcpiPciHotplug {
    events: Pio,
    slots: Pio,
}

impl AcpiPciHotplug {
    /// The PC's own. Touches nothing.
    pub fn new(vm: &Vm) -> Self {
        Self {
            events: Pio::new(vm, EVENTS),
            slots: Pio::new(vm, SLOTS),
        }
    }

    /// A decoder for the failure report.
    pub fn decoder() -> Decoder {
        Decoder::default()
    }

    /// ACPI's interrupt, SCI, which enabled events drive.
    pub fn irq(&self) -> Pin {
        Pin::input("ioapic", 9)
    }

    /// Events that are pending.
    #[track_caller]
    pub fn events(&self) -> Events {
        self.events.inw(0).into()
    }

    /// Clears events. Queued.
    #[track_caller]
    pub fn clear(&self, events: Events) {
        self.events.outw(0, events.into());
    }

    /// Which events interrupt.
    #[track_caller]
    pub fn enabled(&self) -> Events {
        self.events.inw(2).into()
    }

    /// Chooses which events interrupt. Queued.
    #[track_caller]
    pub fn enable(&self, events: Events) {
        self.events.outw(2, events.into());
    }

    /// Reads a register of the slots, bit N for slot N.
    #[track_caller]
    pub fn read(&self, register: Register) -> u32 {
        self.slots.inl(register as u16)
    }

    /// Writes a register of the slots. Queued.
    #[track_caller]
    pub fn write(&self, register: Register, value: u32) {
        self.slots.outl(register as u16, value);
    }

    /// Lets the device of a slot go. Queued.
    #[track_caller]
    pub fn eject(&self, slot: u8) {
        self.write(Register::Eject, 1 << slot);
    }
}

/// Names the ports.
#[derive(Debug, Default)]
pub struct Decoder {
    seen: Seen,
}

impl Describe for Decoder {
    fn name(&self) -> &'static str {
        "acpi-pci-hotplug"
    }

    fn observe(&mut self, entry: &Entry) -> Option<String> {
        let access = Access::of(entry)?;
        if access.space != Space::Port {
            return None;
        }
        let (arrow, value) = match access.transfer {
            Transfer::Write(value) => ('←', value),
            Transfer::Read(value) => ('→', value?),
        };
        let name = match access.address {
            0xafe0 | 0xafe1 => "events",
            0xafe2 | 0xafe3 => "enabled",
            0xae00 => "up",
            0xae04 => "down",
            0xae08 => "eject",
            0xae0c => "removable",
            0xae10 => "bus",
            _ => return None,
        };
        let text = format!("{value:#x}");
        Some(self.seen.note("acpi-pci-hotplug", name, arrow, text))
    }

    fn state(&self) -> Vec<String> {
        self.seen.state()
    }
}
