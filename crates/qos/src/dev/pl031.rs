//! Arm PrimeCell PL031: a counter of seconds with a match register, Arm's clock.
//!
//! Source: *ARM PrimeCell Real Time Clock (PL031) Technical Reference Manual*, ARM DDI 0224; its sections are named in brackets.
//!
//! | offset | register | access |
//! |---|---|---|
//! | 0x000 | RTCDR, the counter | read |
//! | 0x004 | RTCMR, the match | read, write |
//! | 0x008 | RTCLR, what the counter goes on from | read, write |
//! | 0x00c | RTCCR, bit 0: enabled | read, write |
//! | 0x010 | RTCIMSC, bit 0: the interrupt is let through | read, write |
//! | 0x014 | RTCRIS, bit 0: the counter has met the match | read |
//! | 0x018 | RTCMIS, RTCRIS as RTCIMSC lets it through: the interrupt line | read |
//! | 0x01c | RTCICR, writing bit 0 clears RTCRIS | write |
//! | 0xfe0, +4, … | RTCPeriphID0 to 3, a byte each | read |
//! | 0xff0, +4, … | RTCPCellID0 to 3, a byte each | read |
//!
//! All are 32 bits wide. What seconds are counted from is the board's matter; 1970 is usual.

use testjig_qtest::Entry;
use testjig_vm::{Pin, Vm};

use crate::bus::Mmio;
use crate::describe::{Access, Describe, Seen, Space, Transfer};

/// Offsets of the registers [§3.2].
pub mod reg {
    /// RTCDR.
    pub const DATA: u64 = 0x000;
    /// RTCMR.
    pub const MATCH: u64 = 0x004;
    /// RTCLR.
    pub const LOAD: u64 = 0x008;
    /// RTCCR.
    pub const CONTROL: u64 = 0x00c;
    /// RTCIMSC.
    pub const MASK: u64 = 0x010;
    /// RTCRIS.
    pub const RAW: u64 = 0x014;
    /// RTCMIS.
    pub const MASKED: u64 = 0x018;
    /// RTCICR.
    pub const CLEAR: u64 = 0x01c;
    /// RTCPeriphID0, then three more and RTCPCellID0 to 3, four bytes apart.
    pub const IDENTIFICATION: u64 = 0xfe0;
}

/// Bytes that the registers take.
const SIZE: u64 = 0x1000;

/// The clock.
#[derive(Clone, Debug)]
pub struct Pl031 {
    io: Mmio,
    irq: fn(&Vm) -> Pin,
}

impl Pl031 {
    /// The clock whose registers begin at a guest-physical address; `irq` is its interrupt line. Touches nothing.
    pub fn new(vm: &Vm, base: u64, irq: fn(&Vm) -> Pin) -> Self {
        Self {
            io: Mmio::new(vm, base),
            irq,
        }
    }

    /// What decodes its operations for the failure report.
    pub fn decoder(base: u64) -> Decoder {
        Decoder {
            base,
            seen: Seen::default(),
        }
    }

    /// RTCINTR, its interrupt line, high while RTCMIS is set.
    pub fn irq(&self) -> Pin {
        (self.irq)(self.io.vm())
    }

    /// Reads a register by its offset, undecoded.
    #[track_caller]
    pub fn read(&self, offset: u64) -> u32 {
        self.io.readl(offset)
    }

    /// Writes a register by its offset.
    #[track_caller]
    pub fn write(&self, offset: u64, value: u32) {
        self.io.writel(offset, value);
    }

    /// The counter, in seconds.
    #[track_caller]
    pub fn seconds(&self) -> u32 {
        self.read(reg::DATA)
    }

    /// Has the counter go on from here.
    #[track_caller]
    pub fn set_seconds(&self, seconds: u32) {
        self.write(reg::LOAD, seconds);
    }

    /// Has RTCRIS set when the counter meets this.
    #[track_caller]
    pub fn set_match(&self, seconds: u32) {
        self.write(reg::MATCH, seconds);
    }

    /// Lets the interrupt through, or not.
    #[track_caller]
    pub fn set_interrupt(&self, enabled: bool) {
        self.write(reg::MASK, enabled.into());
    }

    /// RTCRIS: whether the counter has met the match.
    #[track_caller]
    pub fn has_matched(&self) -> bool {
        self.read(reg::RAW) & 1 != 0
    }

    /// RTCMIS: whether the interrupt line is high.
    #[track_caller]
    pub fn interrupts(&self) -> bool {
        self.read(reg::MASKED) & 1 != 0
    }

    /// Clears RTCRIS, and with it the line.
    #[track_caller]
    pub fn clear_interrupt(&self) {
        self.write(reg::CLEAR, 1);
    }

    /// RTCPeriphID0 to 3, then RTCPCellID0 to 3.
    #[track_caller]
    pub fn identification(&self) -> [u8; 8] {
        std::array::from_fn(|index| self.read(reg::IDENTIFICATION + 4 * index as u64) as u8)
    }
}

/// Decodes the operations of a [`Pl031`].
#[derive(Debug)]
pub struct Decoder {
    base: u64,
    seen: Seen,
}

impl Describe for Decoder {
    fn name(&self) -> &'static str {
        "pl031"
    }

    fn observe(&mut self, entry: &Entry) -> Option<String> {
        let access = Access::of(entry).filter(|access| access.space == Space::Memory)?;
        let offset = access.address.checked_sub(self.base)?;
        let name = match offset {
            reg::DATA => "data",
            reg::MATCH => "match",
            reg::LOAD => "load",
            reg::CONTROL => "control",
            reg::MASK => "mask",
            reg::RAW => "raw",
            reg::MASKED => "masked",
            reg::CLEAR => "clear",
            reg::IDENTIFICATION..SIZE => "identification",
            _ => return None,
        };
        let (arrow, value) = match access.transfer {
            Transfer::Write(value) => ('←', value),
            Transfer::Read(Some(value)) => ('→', value),
            Transfer::Read(None) => return Some(format!("pl031.{name}→no answer")),
        };
        Some(self.seen.note("pl031", name, arrow, value.to_string()))
    }

    fn state(&self) -> Vec<String> {
        self.seen.state()
    }
}
