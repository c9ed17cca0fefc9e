//! [`ConfigSpace`]: the PC's configuration mechanism #1 (PCI 2.1 §3.7.4.1).
//!
//! Two dword ports of the host bridge give access to 256 bytes of each function: the address goes to CONFADD (0xcf8), the data through
//! CONFDATA (0xcfc).

use bitfield_struct::bitfield;
use testjig_qtest::Width;
use testjig_vm::Vm;

use super::Bdf;
use crate::bus::Pio;

/// CONFADD, the address register at port 0xcf8: which dword of which function CONFDATA shows. Dword access only.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct ConfigAddress {
    /// Always zero on the bus: CONFDATA selects the bytes of the dword.
    #[bits(2)]
    pub zero: u8,
    /// Number of the dword, 0–63.
    #[bits(6)]
    pub dword: u8,
    /// Function number, 0–7.
    #[bits(3)]
    pub function: u8,
    /// Device number, 0–31.
    #[bits(5)]
    pub device: u8,
    /// Bus number.
    pub bus: u8,
    /// Reserved.
    #[bits(7)]
    pub reserved: u8,
    /// Turns accesses to CONFDATA into configuration cycles.
    pub enable: bool,
}

impl ConfigAddress {
    /// The enabled address of the dword that holds `offset` (0–255) of `bdf`.
    pub fn of(bdf: Bdf, offset: u16) -> Self {
        Self::new()
            .with_enable(true)
            .with_bus(bdf.bus())
            .with_device(bdf.device())
            .with_function(bdf.function())
            .with_dword((offset >> 2) as u8)
    }

    /// The function that it names.
    pub fn bdf(self) -> Bdf {
        Bdf::new(self.bus(), self.device(), self.function())
    }
}

/// Configuration mechanism #1 of one machine.
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    ports: Pio,
}

impl ConfigSpace {
    /// The port of CONFADD.
    pub const ADDRESS_PORT: u16 = 0xcf8;
    /// The first of CONFDATA's four ports.
    pub const DATA_PORT: u16 = 0xcfc;
    /// Bytes of configuration space that a function has here.
    pub const LEN: u16 = 256;

    const DATA: u16 = Self::DATA_PORT - Self::ADDRESS_PORT;

    /// The ports 0xcf8 to 0xcff of `vm`.
    pub fn new(vm: &Vm) -> Self {
        Self {
            ports: Pio::new(vm, Self::ADDRESS_PORT),
        }
    }

    /// Writes CONFADD.
    #[track_caller]
    pub fn select(&self, address: ConfigAddress) {
        self.ports.outl(0, address.into_bits());
    }

    /// Reads CONFADD.
    #[track_caller]
    pub fn selected(&self) -> ConfigAddress {
        self.ports.inl(0).into()
    }

    /// The ports themselves, for accesses that no driver makes: CONFADD at offset 0, CONFDATA at 4.
    pub fn ports(&self) -> &Pio {
        &self.ports
    }

    #[track_caller]
    pub(super) fn read(&self, at: Bdf, offset: u16, width: Width) -> u32 {
        self.select(ConfigAddress::of(at, offset));
        let port = Self::DATA + offset % 4;
        match width {
            Width::B => self.ports.inb(port).into(),
            Width::W => self.ports.inw(port).into(),
            Width::L | Width::Q => self.ports.inl(port),
        }
    }

    #[track_caller]
    pub(super) fn write(&self, at: Bdf, offset: u16, width: Width, value: u32) {
        self.select(ConfigAddress::of(at, offset));
        let port = Self::DATA + offset % 4;
        match width {
            Width::B => self.ports.outb(port, value as u8),
            Width::W => self.ports.outw(port, value as u16),
            Width::L | Width::Q => self.ports.outl(port, value),
        }
    }
}
