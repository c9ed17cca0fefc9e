//! Intel 82093AA I/O APIC: 24 interrupt lines, each redirected to a vector of a local APIC.
//!
//! Source: *82093AA I/O Advanced Programmable Interrupt Controller*, Intel, data sheet; its sections are cited in brackets. The PC
//! has it at 0xfec00000.

use bitfield_struct::bitfield;
use testjig_vm::Vm;

use crate::bus::Mmio;

/// Where the PC's I/O APIC lives [3.1].
const PC_BASE: u64 = 0xfec0_0000;

/// IOREGSEL: which register the window shows [3.1.1].
const SELECT: u64 = 0x00;
/// IOWIN: the selected register [3.1.2].
const WINDOW: u64 = 0x10;
/// IOREDTBL: 64 bits a line from this register on [3.2.4].
const REDIRECTIONS: u32 = 0x10;

/// The I/O APIC behind its two memory-mapped registers.
#[derive(Clone, Debug)]
pub struct IoApic {
    io: Mmio,
}

impl IoApic {
    /// Number of interrupt lines.
    pub const LINES: u8 = 24;

    /// The PC's own, at 0xfec00000. Touches nothing.
    pub fn new(vm: &Vm) -> Self {
        Self {
            io: Mmio::new(vm, PC_BASE),
        }
    }

    /// Reads a 32-bit register by its index, 0x00 to 0x3f.
    #[track_caller]
    pub fn read(&self, index: u32) -> u32 {
        self.io.writel(SELECT, index);
        self.io.readl(WINDOW)
    }

    /// Writes a 32-bit register by its index, 0x00 to 0x3f.
    #[track_caller]
    pub fn write(&self, index: u32, value: u32) {
        self.io.writel(SELECT, index);
        self.io.writel(WINDOW, value);
    }

    /// The redirection of a line, 0 to 23.
    #[track_caller]
    pub fn redirection(&self, line: u8) -> Redirection {
        let index = Self::index(line);
        let low = self.read(index);
        let high = self.read(index + 1);
        ((u64::from(high) << 32) | u64::from(low)).into()
    }

    /// Redirects a line, 0 to 23: the high half first, so that it takes effect as a whole.
    #[track_caller]
    pub fn set_redirection(&self, line: u8, to: Redirection) {
        let index = Self::index(line);
        let bits = u64::from(to);
        self.write(index + 1, (bits >> 32) as u32);
        self.write(index, bits as u32);
    }

    #[track_caller]
    fn index(line: u8) -> u32 {
        assert!(
            line < Self::LINES,
            "the I/O APIC has lines 0 to 23, not {line}"
        );
        REDIRECTIONS + 2 * u32::from(line)
    }
}

/// An entry of the redirection table [3.2.4]. All lines start masked.
#[bitfield(u64)]
#[derive(PartialEq, Eq)]
pub struct Redirection {
    /// INTVEC: 0x10 to 0xfe.
    pub vector: u8,
    /// DELMOD: 0 is fixed.
    #[bits(3)]
    pub delivery_mode: u8,
    /// DESTMOD: the destination is a set of processors, not an APIC's number.
    pub logical: bool,
    /// DELIVS: on its way. Can't be written.
    pub pending: bool,
    /// INTPOL: active low.
    pub active_low: bool,
    /// Remote IRR: a local APIC has taken a level-triggered interrupt. Can't be written.
    pub remote_irr: bool,
    /// Level-triggered; else edge-triggered.
    pub level: bool,
    /// Interrupt mask: the line goes nowhere.
    pub masked: bool,
    #[bits(39)]
    reserved: u64,
    /// DEST: the local APIC.
    pub destination: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_where_the_data_sheet_has_them() {
        let all = Redirection::new()
            .with_vector(0x40)
            .with_level(true)
            .with_masked(true)
            .with_destination(3);
        assert_eq!(u64::from(all), 0x0300_0000_0001_8040);
    }
}
