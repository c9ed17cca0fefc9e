//! How a machine reaches the array.

use testjig_vm::Vm;

use crate::bus::Mmio;

/// The array in memory, or behind ports.
#[derive(Clone, Debug)]
pub enum Window {
    /// Its bytes one after the other, as Sun's machines have it.
    Memory(Mmio),
    /// Behind the ports of the PowerPC Reference Platform, which are in memory: address low and high at 0 and 1, data at 3.
    Ports(Mmio),
}

/// Offsets of the ports.
const LOW: u64 = 0;
const HIGH: u64 = 1;
const DATA: u64 = 3;

impl Window {
    /// The array in memory, from the guest-physical address `base` on.
    pub fn memory(vm: &Vm, base: u64) -> Self {
        Self::Memory(Mmio::new(vm, base))
    }

    /// The array behind ports, the first of which is at the guest-physical address `base`.
    pub fn ports(vm: &Vm, base: u64) -> Self {
        Self::Ports(Mmio::new(vm, base))
    }

    /// The machine.
    pub fn vm(&self) -> &Vm {
        match self {
            Self::Memory(mmio) | Self::Ports(mmio) => mmio.vm(),
        }
    }

    /// Writes the address ports; does nothing in memory.
    #[track_caller]
    pub fn select(&self, address: u16) {
        if let Self::Ports(ports) = self {
            let [low, high] = address.to_le_bytes();
            ports.writeb(LOW, low);
            ports.writeb(HIGH, high);
        }
    }

    #[track_caller]
    pub(super) fn read(&self, address: u16) -> u8 {
        self.select(address);
        match self {
            Self::Memory(mmio) => mmio.readb(address.into()),
            Self::Ports(ports) => ports.readb(DATA),
        }
    }

    #[track_caller]
    pub(super) fn write(&self, address: u16, value: u8) {
        self.select(address);
        match self {
            Self::Memory(mmio) => mmio.writeb(address.into(), value),
            Self::Ports(ports) => ports.writeb(DATA, value),
        }
    }
}
