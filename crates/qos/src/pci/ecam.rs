//! [`Ecam`]: the enhanced configuration access mechanism (PCIe §7.2.2), 4 KiB of memory for each function.

use testjig_qtest::Width;
use testjig_vm::Vm;

use super::{Bdf, value};
use crate::bus::Mmio;

/// A memory window with the configuration space of every function: bus, device, function and offset are its address bits.
#[derive(Clone, Debug)]
pub struct Ecam {
    window: Mmio,
    swap: bool,
}

impl Ecam {
    /// Bytes of configuration space that a function has here.
    pub const LEN: u16 = 4096;
    /// Bytes of the window for each bus.
    pub const BUS: u64 = 1 << 20;

    /// The window of `vm` that begins at this guest-physical address with bus 0.
    pub fn new(vm: &Vm, base: u64) -> Self {
        Self {
            window: Mmio::new(vm, base),
            swap: value::is_big_endian(vm),
        }
    }

    /// The window itself.
    pub fn window(&self) -> &Mmio {
        &self.window
    }

    /// Where in the window `offset` of a function is.
    pub const fn offset(at: Bdf, offset: u16) -> u64 {
        (at.requester_id() as u64) << 12 | offset as u64
    }

    #[track_caller]
    pub(super) fn read(&self, at: Bdf, offset: u16, width: Width) -> u32 {
        value::read_memory(self.window.vm(), self.swap, self.address(at, offset), width) as u32
    }

    #[track_caller]
    pub(super) fn write(&self, at: Bdf, offset: u16, width: Width, value: u32) {
        let address = self.address(at, offset);
        value::write_memory(self.window.vm(), self.swap, address, width, value.into());
    }

    fn address(&self, at: Bdf, offset: u16) -> u64 {
        self.window.base() + Self::offset(at, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PCIe §7.2.2, table 7-1: A\[27:20\] bus, A\[19:15\] device, A\[14:12\] function, A\[11:0\] register.
    #[test]
    fn the_address_is_made_of_bus_device_function_and_register() {
        assert_eq!(Ecam::offset(Bdf::new(0x12, 0x1f, 7), 0xabc), 0x12f_fabc);
        assert_eq!(Ecam::offset(Bdf::new(1, 0, 0), 0), Ecam::BUS);
    }
}
