//! Lists of capabilities: the standard one (PCI §6.7) and PCI Express's extended one (PCIe §7.9.2), each walked with a bound.

use std::collections::BTreeSet;
use std::fmt;

use testjig_vm::Fault;

use super::{Bdf, ConfigValue, Function, header};

/// IDs of standard capabilities.
pub mod id {
    /// Power management.
    pub const POWER_MANAGEMENT: u8 = 0x01;
    /// Accelerated graphics port.
    pub const AGP: u8 = 0x02;
    /// Vital product data.
    pub const VPD: u8 = 0x03;
    /// Slot numbering.
    pub const SLOT_ID: u8 = 0x04;
    /// Message-signaled interrupts.
    pub const MSI: u8 = 0x05;
    /// Vendor specific.
    pub const VENDOR: u8 = 0x09;
    /// Standard hot-plug controller.
    pub const SHPC: u8 = 0x0c;
    /// Subsystem IDs of a bridge.
    pub const BRIDGE_SUBSYSTEM: u8 = 0x0d;
    /// PCI Express.
    pub const EXPRESS: u8 = 0x10;
    /// MSI-X.
    pub const MSIX: u8 = 0x11;
    /// Serial ATA index and data.
    pub const SATA: u8 = 0x12;
    /// Advanced features.
    pub const ADVANCED_FEATURES: u8 = 0x13;
}

/// One entry of the standard list.
#[derive(Clone, Debug)]
pub struct Capability {
    function: Function,
    id: u8,
    offset: u16,
}

/// One entry of the extended list.
#[derive(Clone, Debug)]
pub struct ExtendedCapability {
    function: Function,
    id: u16,
    version: u8,
    offset: u16,
}

macro_rules! registers {
    ($type:ty) => {
        impl $type {
            /// The function that has it.
            pub fn function(&self) -> &Function {
                &self.function
            }

            /// Where it begins in configuration space.
            pub fn offset(&self) -> u16 {
                self.offset
            }

            /// Reads a register, `offset` bytes from the capability's first.
            #[track_caller]
            pub fn read<T: ConfigValue>(&self, offset: u16) -> T {
                self.function.read(self.offset + offset)
            }

            /// Writes a register, `offset` bytes from the capability's first.
            #[track_caller]
            pub fn write<T: ConfigValue>(&self, offset: u16, value: T) {
                self.function.write(self.offset + offset, value);
            }
        }
    };
}

registers!(Capability);
registers!(ExtendedCapability);

impl Capability {
    /// What it is: one of [`id`].
    pub fn id(&self) -> u8 {
        self.id
    }
}

impl ExtendedCapability {
    /// What it is.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Its version.
    pub fn version(&self) -> u8 {
        self.version
    }
}

/// A list of capabilities that no driver could walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenList {
    /// Whose list it is.
    pub at: Bdf,
    /// The offsets on the way, the last one where the list breaks.
    pub way: Vec<u16>,
    /// What is wrong with the last one.
    pub problem: &'static str,
}

impl fmt::Display for BrokenList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the capability list of {} is broken: ", self.at)?;
        for (index, offset) in self.way.iter().enumerate() {
            let arrow = if index == 0 { "" } else { " → " };
            write!(f, "{arrow}{offset:#04x}")?;
        }
        write!(f, " {}", self.problem)
    }
}

impl std::error::Error for BrokenList {}

impl Function {
    /// The standard list, in its order; empty if the status register says that there is none.
    ///
    /// Unwinds if it is broken, see [`Function::try_capabilities`].
    #[track_caller]
    pub fn capabilities(&self) -> Vec<Capability> {
        match self.try_capabilities() {
            Ok(list) => list,
            Err(broken) => Fault::usage(broken.to_string()).raise(),
        }
    }

    /// The standard list.
    ///
    /// # Errors
    /// If it loops, or leads into the header.
    #[track_caller]
    pub fn try_capabilities(&self) -> Result<Vec<Capability>, BrokenList> {
        let mut found = Vec::new();
        if !self.status().capabilities() {
            return Ok(found);
        }
        let mut way = Way::new(self.bdf());
        let first: u8 = self.read(header::CAPABILITIES);
        let mut offset = u16::from(first & !0x3);
        while offset != 0 {
            way.step(offset, header::DEVICE_SPECIFIC)?;
            let header: u16 = self.read(offset);
            found.push(Capability {
                function: self.clone(),
                id: header as u8,
                offset,
            });
            offset = (header >> 8) & 0xfc;
        }
        Ok(found)
    }

    /// The first capability of this ID.
    #[track_caller]
    pub fn capability(&self, id: u8) -> Option<Capability> {
        self.capabilities()
            .into_iter()
            .find(|capability| capability.id == id)
    }

    /// The extended list, in its order; empty where the host bridge reaches only 256 bytes, or where the function has no more.
    ///
    /// Unwinds if it is broken, see [`Function::try_extended_capabilities`].
    #[track_caller]
    pub fn extended_capabilities(&self) -> Vec<ExtendedCapability> {
        match self.try_extended_capabilities() {
            Ok(list) => list,
            Err(broken) => Fault::usage(broken.to_string()).raise(),
        }
    }

    /// The extended list.
    ///
    /// # Errors
    /// If it loops, or leads into the first 256 bytes.
    #[track_caller]
    pub fn try_extended_capabilities(&self) -> Result<Vec<ExtendedCapability>, BrokenList> {
        let mut found = Vec::new();
        if self.pci().config_len() <= EXTENDED {
            return Ok(found);
        }
        let mut way = Way::new(self.bdf());
        let mut offset = EXTENDED;
        while offset != 0 {
            way.step(offset, EXTENDED)?;
            let header: u32 = self.read(offset);
            // An absent list is a header of zeroes; a conventional device answers with all ones.
            if header == 0 || header == u32::MAX {
                break;
            }
            found.push(ExtendedCapability {
                function: self.clone(),
                id: header as u16,
                version: (header >> 16 & 0xf) as u8,
                offset,
            });
            offset = (header >> 20) as u16 & 0xffc;
        }
        Ok(found)
    }

    /// The first extended capability of this ID.
    #[track_caller]
    pub fn extended_capability(&self, id: u16) -> Option<ExtendedCapability> {
        self.extended_capabilities()
            .into_iter()
            .find(|capability| capability.id == id)
    }
}

/// Where the extended list begins.
const EXTENDED: u16 = 0x100;

/// The offsets of a walk, each of them new: that bounds it.
struct Way {
    at: Bdf,
    offsets: Vec<u16>,
    seen: BTreeSet<u16>,
}

impl Way {
    fn new(at: Bdf) -> Self {
        Self {
            at,
            offsets: Vec::new(),
            seen: BTreeSet::new(),
        }
    }

    fn step(&mut self, offset: u16, first: u16) -> Result<(), BrokenList> {
        self.offsets.push(offset);
        let problem = if offset < first {
            "is no place for a capability"
        } else if !self.seen.insert(offset) {
            "is there twice: the list loops"
        } else {
            return Ok(());
        };
        Err(BrokenList {
            at: self.at,
            way: self.offsets.clone(),
            problem,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_and_a_pointer_into_the_header_are_told_with_the_way_there() {
        let mut way = Way::new(Bdf::new(0, 4, 0));
        assert_eq!(way.step(0x40, 0x40), Ok(()));
        assert_eq!(way.step(0xdc, 0x40), Ok(()));
        let broken = way.step(0x40, 0x40).unwrap_err();
        assert_eq!(
            broken.to_string(),
            "the capability list of 00:04.0 is broken: 0x40 → 0xdc → 0x40 is there twice: the list loops"
        );
        let broken = Way::new(Bdf::new(0, 4, 0)).step(0x10, 0x40).unwrap_err();
        assert!(
            broken
                .to_string()
                .ends_with("0x10 is no place for a capability")
        );
    }
}
