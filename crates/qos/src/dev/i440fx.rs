//! Intel 440FX host bridge: the 82441FX PCI and memory controller (PMC).
//!
//! The PMC decides for each access below 1 MiB, and for all others by the size of memory, whether it goes to DRAM or to PCI. Its
//! registers are in the configuration space of bus 0, device 0, function 0. Source: Intel 82441FX/82442FX data sheet, order number
//! 290549, §3.2 (registers, named here as there) and §4.1 (address map).
//!
//! ```no_run
//! use testjig_qos::dev::i440fx::{Attribute, I440fx, Segment};
//! # fn example(vm: &testjig_vm::Vm) {
//! let host = I440fx::new(vm);
//! host.set_attribute(Segment::BIOS, Attribute::ReadWrite);
//! vm.writeb(Segment::BIOS.base(), 0x5a); // DRAM now, and no longer the ROM
//! # }
//! ```

mod decode;

use std::fmt;
use std::ops::RangeInclusive;

use bitfield_struct::bitfield;
use testjig_vm::Vm;

use crate::pci::{Bdf, ConfigSpace, Function, Pci};

pub use decode::Decoder;

/// Offsets of the PMC's own registers.
pub mod register {
    /// DRAMC, DRAM control, in the data sheet. QEMU keeps the size of memory here instead, in units of 8 MiB, at most 255, where old
    /// versions of coreboot look for it.
    pub const MEMORY_SIZE: u16 = 0x57;
    /// PAM0, the first of the seven programmable attribute map registers: [`Pam`](super::Pam).
    pub const PAM0: u16 = 0x59;
    /// PAM6, the last of them.
    pub const PAM6: u16 = 0x5f;
    /// SMRAM, system management RAM control: [`Smram`](super::Smram).
    pub const SMRAM: u16 = 0x72;
}

/// What a segment's two attribute bits (RE and WE) make of it (data sheet, "PAM", attribute bit assignment).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// RE = 0, WE = 0: reads and writes go to PCI. The state after power-on.
    Disabled,
    /// RE = 1, WE = 0: reads are from DRAM, writes go to PCI.
    ReadOnly,
    /// RE = 0, WE = 1: reads are from PCI, writes go to DRAM.
    WriteOnly,
    /// RE = 1, WE = 1: the segment is DRAM.
    ReadWrite,
}

impl Attribute {
    /// All four.
    pub const ALL: [Self; 4] = [
        Self::Disabled,
        Self::ReadOnly,
        Self::WriteOnly,
        Self::ReadWrite,
    ];

    const fn into_bits(self) -> u8 {
        self as u8
    }

    const fn from_bits(bits: u8) -> Self {
        Self::ALL[(bits & 3) as usize]
    }
}

/// One of PAM0–PAM6: the attributes of two segments.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Pam {
    /// The lower segment's; reserved in PAM0.
    #[bits(2)]
    pub low: Attribute,
    /// Reserved.
    #[bits(2)]
    pub low_reserved: u8,
    /// The upper segment's.
    #[bits(2)]
    pub high: Attribute,
    /// Reserved.
    #[bits(2)]
    pub high_reserved: u8,
}

/// One of the thirteen stretches of memory between 768 KiB and 1 MiB that have attributes of their own. Shown as its base.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Segment(u8);

impl Segment {
    /// 0xf0000–0xfffff, the 64 KiB of the system BIOS.
    pub const BIOS: Self = Self(0);
    /// 0xc0000–0xc3fff, the lowest 16 KiB.
    pub const FIRST: Self = Self(1);

    /// All thirteen, in the order of their attribute fields: the BIOS area, then upwards from 0xc0000 in steps of 16 KiB.
    pub const ALL: [Self; 13] = {
        let mut all = [Self(0); 13];
        let mut index = 0;
        while index < all.len() {
            all[index] = Self(index as u8);
            index += 1;
        }
        all
    };

    /// The segment that begins at `base`: 0xf0000, or a multiple of 16 KiB from 0xc0000 to 0xec000.
    ///
    /// # Panics
    /// If none does.
    pub const fn at(base: u64) -> Self {
        let mut index = 0;
        while index < Self::ALL.len() {
            if Self::ALL[index].base() == base {
                return Self::ALL[index];
            }
            index += 1;
        }
        panic!("no PAM segment begins there");
    }

    /// Its first guest-physical address.
    pub const fn base(self) -> u64 {
        match self.0 {
            0 => 0xf_0000,
            index => 0xc_0000 + 0x4000 * (index as u64 - 1),
        }
    }

    /// Its length in bytes: 64 KiB or 16 KiB.
    pub const fn size(self) -> u64 {
        if self.0 == 0 { 0x1_0000 } else { 0x4000 }
    }

    /// Its last guest-physical address.
    pub const fn last(self) -> u64 {
        self.base() + self.size() - 1
    }

    /// Its addresses, first to last.
    pub const fn range(self) -> RangeInclusive<u64> {
        self.base()..=self.last()
    }

    /// Number of the PAM register that has its attributes, 0–6.
    pub const fn pam(self) -> u16 {
        (self.0 as u16).div_ceil(2)
    }

    /// Whether its attributes are in the upper half of that register.
    pub const fn in_upper_half(self) -> bool {
        self.0 % 2 == 0
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.base())
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// SMRAM, the system management RAM control register. Power-on value 0x02.
#[bitfield(u8, debug = false)]
#[derive(PartialEq, Eq)]
pub struct Smram {
    /// `C_BASE_SEG`: which segment the SMM space is; hardwired to 2, 0xa0000–0xbffff.
    #[bits(3, default = 2)]
    pub base_segment: u8,
    /// `G_SMRAME`: there is SMM space at all.
    pub enable: bool,
    /// `D_LCK`: closes SMM space and makes this register read-only, until the next power-on.
    pub lock: bool,
    /// `D_CLS`: data references do not reach SMM space, not even in SMM.
    pub closed: bool,
    /// `D_OPEN`: SMM space is visible outside of SMM too.
    pub open: bool,
    /// Reserved.
    pub reserved: bool,
}

impl Smram {
    /// First address of the SMM space.
    pub const BASE: u64 = 0xa_0000;
    /// Its length in bytes, 128 KiB.
    pub const LEN: u64 = 0x2_0000;
    /// Its addresses, first to last.
    pub const RANGE: RangeInclusive<u64> = Self::BASE..=Self::BASE + Self::LEN - 1;
}

impl fmt::Debug for Smram {
    /// `0x4a {enable, open}`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x} {}", self.into_bits(), decode::smram_text(*self))
    }
}

/// The PMC of one machine.
#[derive(Clone)]
pub struct I440fx {
    ports: ConfigSpace,
    config: Function,
}

impl I440fx {
    /// Where the PMC is on the bus.
    pub const BDF: Bdf = Bdf::new(0, 0, 0);

    /// The PMC of `vm`, an i440FX machine.
    pub fn new(vm: &Vm) -> Self {
        Self {
            ports: ConfigSpace::new(vm),
            config: Pci::pc(vm).function(Self::BDF),
        }
    }

    /// Its configuration space.
    pub fn config(&self) -> &Function {
        &self.config
    }

    /// CONFADD and CONFDATA, the two ports through which all configuration space is reached.
    pub fn ports(&self) -> &ConfigSpace {
        &self.ports
    }

    /// The machine that it belongs to.
    pub fn vm(&self) -> &Vm {
        self.config.vm()
    }

    /// Reads PAM`number` (0–6).
    #[track_caller]
    pub fn pam(&self, number: u16) -> Pam {
        self.config.read::<u8>(pam_offset(number)).into()
    }

    /// Writes PAM`number` (0–6).
    #[track_caller]
    pub fn set_pam(&self, number: u16, pam: Pam) {
        self.config.write(pam_offset(number), pam.into_bits());
    }

    /// The attributes of a segment, as its PAM register has them.
    #[track_caller]
    pub fn attribute(&self, segment: Segment) -> Attribute {
        let pam = self.pam(segment.pam());
        if segment.in_upper_half() {
            pam.high()
        } else {
            pam.low()
        }
    }

    /// Changes the attributes of a segment, and nothing else of its PAM register.
    #[track_caller]
    pub fn set_attribute(&self, segment: Segment, attribute: Attribute) {
        let pam = self.pam(segment.pam());
        let pam = if segment.in_upper_half() {
            pam.with_high(attribute)
        } else {
            pam.with_low(attribute)
        };
        self.set_pam(segment.pam(), pam);
    }

    /// Gives all thirteen segments the same attributes.
    #[track_caller]
    pub fn set_all_attributes(&self, attribute: Attribute) {
        for number in 0..=6 {
            self.set_pam(number, Pam::new().with_low(attribute).with_high(attribute));
        }
    }

    /// Reads SMRAM.
    #[track_caller]
    pub fn smram(&self) -> Smram {
        self.config.read::<u8>(register::SMRAM).into()
    }

    /// Writes SMRAM.
    #[track_caller]
    pub fn set_smram(&self, smram: Smram) {
        self.config.write(register::SMRAM, smram.into_bits());
    }

    /// The memory size register that QEMU adds, in units of 8 MiB ([`register::MEMORY_SIZE`]).
    #[track_caller]
    pub fn memory_size(&self) -> u8 {
        self.config.read(register::MEMORY_SIZE)
    }

    /// A decoder of the PMC's registers, and of all other configuration accesses on the way.
    pub fn decoder() -> Decoder {
        Decoder::default()
    }
}

impl fmt::Debug for I440fx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "I440fx({})", Self::BDF)
    }
}

#[track_caller]
fn pam_offset(number: u16) -> u16 {
    assert!(number <= 6, "there are PAM0 to PAM6, and no PAM{number}");
    register::PAM0 + number
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data sheet, "PAM registers and associated memory segments".
    #[test]
    fn segments_are_those_of_the_data_sheet() {
        let table: Vec<_> = Segment::ALL
            .iter()
            .map(|s| (s.pam(), s.in_upper_half(), s.base(), s.last()))
            .collect();
        assert_eq!(
            table,
            [
                (0, true, 0xf0000, 0xfffff),
                (1, false, 0xc0000, 0xc3fff),
                (1, true, 0xc4000, 0xc7fff),
                (2, false, 0xc8000, 0xcbfff),
                (2, true, 0xcc000, 0xcffff),
                (3, false, 0xd0000, 0xd3fff),
                (3, true, 0xd4000, 0xd7fff),
                (4, false, 0xd8000, 0xdbfff),
                (4, true, 0xdc000, 0xdffff),
                (5, false, 0xe0000, 0xe3fff),
                (5, true, 0xe4000, 0xe7fff),
                (6, false, 0xe8000, 0xebfff),
                (6, true, 0xec000, 0xeffff),
            ]
        );
    }

    #[test]
    fn registers_have_the_layout_of_the_data_sheet() {
        let pam = Pam::new()
            .with_low(Attribute::ReadOnly)
            .with_high(Attribute::WriteOnly);
        assert_eq!(pam.into_bits(), 0x21);
        assert_eq!(Pam::from_bits(0x33).high(), Attribute::ReadWrite);
        assert_eq!(Smram::new().into_bits(), 0x02);
        assert_eq!(Smram::new().with_open(true).into_bits(), 0x42);
        assert_eq!(Smram::new().with_enable(true).into_bits(), 0x0a);
        assert_eq!(Smram::new().with_lock(true).into_bits(), 0x12);
        assert_eq!(Smram::new().with_closed(true).into_bits(), 0x22);
    }
}
