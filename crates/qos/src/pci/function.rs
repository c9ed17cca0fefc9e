//! [`Function`]: the configuration space of one function.

use std::fmt;

use testjig_vm::Vm;

use super::value::sealed::Value;
use super::{Bdf, Command, ConfigValue, Pci, Status, header};

/// The configuration space of one function, whether it exists or not.
#[derive(Clone)]
pub struct Function {
    pci: Pci,
    at: Bdf,
}

impl Function {
    pub(super) fn new(pci: Pci, at: Bdf) -> Self {
        Self { pci, at }
    }

    /// Where it sits.
    pub fn bdf(&self) -> Bdf {
        self.at
    }

    /// The host bridge that leads to it.
    pub fn pci(&self) -> &Pci {
        &self.pci
    }

    /// The machine.
    pub fn vm(&self) -> &Vm {
        self.pci.vm()
    }

    /// Reads a byte, word or dword at `offset`; all ones where no function answers.
    ///
    /// One that is not aligned to its width is made of single bytes: no host bridge needs to take an access that straddles a dword.
    ///
    /// # Panics
    /// If it would end beyond the configuration space that the host bridge reaches: 256 bytes or 4 KiB.
    #[track_caller]
    pub fn read<T: ConfigValue>(&self, offset: u16) -> T {
        let bytes = self.check::<T>(offset);
        if offset % bytes == 0 {
            return T::from_u64(self.pci.read_config(self.at, offset, T::WIDTH).into());
        }
        let mut value = 0;
        for index in 0..bytes {
            value |= u64::from(self.read::<u8>(offset + index)) << (8 * index);
        }
        T::from_u64(value)
    }

    /// Writes a byte, word or dword at `offset`, as [`Function::read`] reads it.
    ///
    /// # Panics
    /// As [`Function::read`].
    #[track_caller]
    pub fn write<T: ConfigValue>(&self, offset: u16, value: T) {
        let bytes = self.check::<T>(offset);
        let value = value.into_u64();
        if offset % bytes == 0 {
            let value = value as u32;
            return self.pci.write_config(self.at, offset, T::WIDTH, value);
        }
        for index in 0..bytes {
            self.write(offset + index, (value >> (8 * index)) as u8);
        }
    }

    #[track_caller]
    fn check<T: Value>(&self, offset: u16) -> u16 {
        let bytes = T::WIDTH.bytes() as u16;
        let len = self.pci.config_len();
        assert!(
            offset <= len - bytes,
            "{bytes} bytes at {offset:#x} of {} end beyond its {len} bytes of configuration space",
            self.at
        );
        bytes
    }

    /// The first 256 bytes.
    #[track_caller]
    pub fn bytes(&self) -> [u8; 256] {
        let mut bytes = [0; 256];
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

    /// Class code, 24 bits: base class, sub-class, programming interface from the top.
    #[track_caller]
    pub fn class(&self) -> u32 {
        self.read::<u32>(header::REVISION_ID) >> 8
    }

    /// Whether the device says that it has functions besides 0.
    #[track_caller]
    pub fn is_multi_function(&self) -> bool {
        self.read::<u8>(header::HEADER_TYPE) & 0x80 != 0
    }

    /// Whether it has the header of a PCI-to-PCI bridge (type 1).
    #[track_caller]
    pub fn is_bridge(&self) -> bool {
        self.read::<u8>(header::HEADER_TYPE) & 0x7f == 1
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

    /// Changes some bits of the command register.
    #[track_caller]
    pub fn change_command(&self, change: impl FnOnce(Command) -> Command) {
        self.set_command(change(self.command()));
    }

    /// Lets it read and write memory, and send message-signaled interrupts.
    #[track_caller]
    pub fn enable_bus_master(&self) {
        self.change_command(|command| command.with_bus_master(true));
    }

    /// The status register.
    #[track_caller]
    pub fn status(&self) -> Status {
        self.read::<u16>(header::STATUS).into()
    }

    /// The interrupt pin: 0 none, 1 INTA# to 4 INTD#.
    #[track_caller]
    pub fn interrupt_pin(&self) -> u8 {
        self.read(header::INTERRUPT_PIN)
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

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Function({})", self.at)
    }
}
