//! PCI configuration space, by the PC's configuration mechanism #1 (PCI Local Bus Specification 2.1, §3.7.4.1).
//!
//! Two dword ports of the host bridge give access to 256 bytes of each function: the address goes to CONFADD (0xcf8), the data through
//! CONFDATA (0xcfc). [`ConfigSpace`] is that pair of ports, [`Function`] the registers of one function behind it.
//!
//! ```no_run
//! use testjig_qos::pci::{Bdf, ConfigSpace, header};
//! # fn example(vm: &testjig_vm::Vm) {
//! let bridge = ConfigSpace::new(vm).function(Bdf::new(0, 0, 0));
//! assert_eq!(bridge.read::<u16>(header::VENDOR_ID), 0x8086);
//! # }
//! ```

pub(crate) mod decode;

use std::fmt;

use bitfield_struct::bitfield;
use testjig_vm::Vm;

use crate::bus::Pio;

pub use decode::{ConfigAccess, ConfigTrace, Decoder};

/// Offsets of the registers that every function has (PCI 2.1, §6.1).
pub mod header {
    /// Vendor ID, 16 bits, read-only; 0xffff where no function answers.
    pub const VENDOR_ID: u16 = 0x00;
    /// Device ID, 16 bits, read-only.
    pub const DEVICE_ID: u16 = 0x02;
    /// Command, 16 bits: [`Command`](super::Command).
    pub const COMMAND: u16 = 0x04;
    /// Status, 16 bits; the error bits are cleared by writing 1 to them.
    pub const STATUS: u16 = 0x06;
    /// Revision ID, 8 bits, read-only.
    pub const REVISION_ID: u16 = 0x08;
    /// Class code, 24 bits, read-only: programming interface, sub-class, base class.
    pub const CLASS_CODE: u16 = 0x09;
    /// Cache line size, 8 bits, in dwords.
    pub const CACHE_LINE_SIZE: u16 = 0x0c;
    /// Master latency timer, 8 bits, in PCI clocks.
    pub const LATENCY_TIMER: u16 = 0x0d;
    /// Header type, 8 bits, read-only; bit 7 is set for a device of several functions.
    pub const HEADER_TYPE: u16 = 0x0e;
    /// Built-in self test, 8 bits.
    pub const BIST: u16 = 0x0f;
    /// The first of the six base address registers, 32 bits each.
    pub const BAR0: u16 = 0x10;
    /// Interrupt line, 8 bits: a note of the firmware for the driver.
    pub const INTERRUPT_LINE: u16 = 0x3c;
    /// Interrupt pin, 8 bits, read-only; 0 is none, 1 INTA#.
    pub const INTERRUPT_PIN: u16 = 0x3d;
    /// The first byte that the header leaves to the device.
    pub const DEVICE_SPECIFIC: u16 = 0x40;
}

/// Command register (PCI 2.1, §6.2.2; bit 10 PCI 2.3).
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct Command {
    /// Answers to I/O space accesses.
    pub io: bool,
    /// Answers to memory space accesses.
    pub memory: bool,
    /// May act as a bus master.
    pub bus_master: bool,
    /// Monitors special cycles.
    pub special_cycles: bool,
    /// May use Memory Write and Invalidate.
    pub write_and_invalidate: bool,
    /// Snoops palette writes.
    pub palette_snoop: bool,
    /// Responds to parity errors.
    pub parity_response: bool,
    /// Address stepping.
    pub stepping: bool,
    /// May drive SERR#.
    pub serr: bool,
    /// May do fast back-to-back transactions.
    pub fast_back_to_back: bool,
    /// Must not assert INTx#.
    pub interrupt_disable: bool,
    #[bits(5)]
    __: u8,
}

/// Where a function sits: bus 0–255, device 0–31, function 0–7. Shown as `00:01.3`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bdf {
    bus: u8,
    device: u8,
    function: u8,
}

impl Bdf {
    /// The function `function` (0–7) of the device `device` (0–31) on `bus`.
    ///
    /// # Panics
    /// If a number is out of its range.
    pub const fn new(bus: u8, device: u8, function: u8) -> Self {
        assert!(device < 32, "a PCI bus has devices 0 to 31");
        assert!(function < 8, "a PCI device has functions 0 to 7");
        Self {
            bus,
            device,
            function,
        }
    }

    /// Bus number, 0–255.
    pub const fn bus(self) -> u8 {
        self.bus
    }

    /// Device number on its bus, 0–31.
    pub const fn device(self) -> u8 {
        self.device
    }

    /// Function number in its device, 0–7.
    pub const fn function(self) -> u8 {
        self.function
    }
}

impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:02x}:{:02x}.{:x}",
            self.bus, self.device, self.function
        )
    }
}

impl fmt::Debug for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

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
            .with_bus(bdf.bus)
            .with_device(bdf.device)
            .with_function(bdf.function)
            .with_dword((offset >> 2) as u8)
    }

    /// The function that it names.
    pub fn bdf(self) -> Bdf {
        Bdf::new(self.bus(), self.device(), self.function())
    }
}

/// A value that one configuration access carries: `u8`, `u16` or `u32`, little-endian.
pub trait ConfigValue: sealed::Value {}

impl<T: sealed::Value> ConfigValue for T {}

mod sealed {
    use crate::bus::Pio;

    pub trait Value: Copy {
        const BYTES: u16;
        fn input(ports: &Pio, offset: u16) -> Self;
        fn output(self, ports: &Pio, offset: u16);
        fn from_bytes(byte: impl Fn(u16) -> u8) -> Self;
        fn byte(self, index: u16) -> u8;
    }

    macro_rules! value {
        ($type:ty, $input:ident, $output:ident) => {
            impl Value for $type {
                const BYTES: u16 = size_of::<$type>() as u16;

                #[track_caller]
                fn input(ports: &Pio, offset: u16) -> Self {
                    ports.$input(offset)
                }

                #[track_caller]
                fn output(self, ports: &Pio, offset: u16) {
                    ports.$output(offset, self);
                }

                fn from_bytes(byte: impl Fn(u16) -> u8) -> Self {
                    Self::from_le_bytes(std::array::from_fn(|index| byte(index as u16)))
                }

                fn byte(self, index: u16) -> u8 {
                    self.to_le_bytes()[usize::from(index)]
                }
            }
        };
    }

    value!(u8, inb, outb);
    value!(u16, inw, outw);
    value!(u32, inl, outl);
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

    /// The registers of one function, whether it exists or not.
    pub fn function(&self, at: Bdf) -> Function {
        Function {
            space: self.clone(),
            at,
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

    /// Reads a byte, word or dword at `offset` of `at`; all ones where no function answers.
    ///
    /// One that is not aligned to its width is made of single bytes: CONFDATA is four ports, and not every host bridge takes an access
    /// that straddles them.
    ///
    /// # Panics
    /// If it would end beyond byte 255.
    #[track_caller]
    pub fn read<T: ConfigValue>(&self, at: Bdf, offset: u16) -> T {
        check::<T>(at, offset);
        if offset % T::BYTES == 0 {
            self.select(ConfigAddress::of(at, offset));
            T::input(&self.ports, Self::DATA + offset % 4)
        } else {
            T::from_bytes(|index| self.read(at, offset + index))
        }
    }

    /// Writes a byte, word or dword at `offset` of `at`, as [`ConfigSpace::read`] reads it.
    ///
    /// # Panics
    /// If it would end beyond byte 255.
    #[track_caller]
    pub fn write<T: ConfigValue>(&self, at: Bdf, offset: u16, value: T) {
        check::<T>(at, offset);
        if offset % T::BYTES == 0 {
            self.select(ConfigAddress::of(at, offset));
            value.output(&self.ports, Self::DATA + offset % 4);
        } else {
            for index in 0..T::BYTES {
                self.write(at, offset + index, value.byte(index));
            }
        }
    }
}

#[track_caller]
fn check<T: ConfigValue>(at: Bdf, offset: u16) {
    assert!(
        offset <= ConfigSpace::LEN - T::BYTES,
        "{} bytes at {offset:#x} of {at} end beyond its {} bytes of configuration space",
        T::BYTES,
        ConfigSpace::LEN,
    );
}

/// The configuration space of one function.
#[derive(Clone, Debug)]
pub struct Function {
    space: ConfigSpace,
    at: Bdf,
}

impl Function {
    /// Where it sits.
    pub fn bdf(&self) -> Bdf {
        self.at
    }

    /// The way to it.
    pub fn space(&self) -> &ConfigSpace {
        &self.space
    }

    /// Reads a byte, word or dword at `offset`, 0–255.
    ///
    /// # Panics
    /// If it would end beyond byte 255.
    #[track_caller]
    pub fn read<T: ConfigValue>(&self, offset: u16) -> T {
        self.space.read(self.at, offset)
    }

    /// Writes a byte, word or dword at `offset`, 0–255.
    ///
    /// # Panics
    /// If it would end beyond byte 255.
    #[track_caller]
    pub fn write<T: ConfigValue>(&self, offset: u16, value: T) {
        self.space.write(self.at, offset, value);
    }

    /// All 256 bytes.
    #[track_caller]
    pub fn bytes(&self) -> [u8; ConfigSpace::LEN as usize] {
        let mut bytes = [0; ConfigSpace::LEN as usize];
        for (offset, dword) in (0..).step_by(4).zip(bytes.chunks_exact_mut(4)) {
            dword.copy_from_slice(&self.read::<u32>(offset).to_le_bytes());
        }
        bytes
    }

    /// Whether a function answers here: its vendor ID is not 0xffff.
    #[track_caller]
    pub fn is_present(&self) -> bool {
        self.read::<u16>(header::VENDOR_ID) != 0xffff
    }

    /// Vendor ID and device ID.
    #[track_caller]
    pub fn id(&self) -> (u16, u16) {
        let id = self.read::<u32>(header::VENDOR_ID);
        (id as u16, (id >> 16) as u16)
    }

    /// The command register.
    #[track_caller]
    pub fn command(&self) -> Command {
        self.read::<u16>(header::COMMAND).into()
    }

    /// Writes the command register.
    #[track_caller]
    pub fn set_command(&self, command: Command) {
        self.write(header::COMMAND, command.into_bits());
    }

    /// Writes base address registers `index` (0–4) and `index + 1`, the two halves of a 64-bit address.
    ///
    /// # Panics
    /// If there is no such pair.
    #[track_caller]
    pub fn set_bar64(&self, index: u16, address: u64) {
        assert!(index < 5, "base address register {index} has no upper half");
        let offset = header::BAR0 + 4 * index;
        self.write(offset, address as u32);
        self.write(offset + 4, (address >> 32) as u32);
    }
}
