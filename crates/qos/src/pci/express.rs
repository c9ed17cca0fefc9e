//! [`Express`]: the PCI Express capability (PCIe §7.8), and resets of a single function.

use testjig_vm::Fault;

use super::{Capability, Function, capability};

/// The PCI Express capability.
#[derive(Clone, Debug)]
pub struct Express {
    capability: Capability,
}

/// Offset of the device capabilities register.
const DEVICE_CAPABILITIES: u16 = 0x04;
/// Device capabilities, bit 28: function level reset.
const CAN_RESET: u32 = 1 << 28;
/// Offset of the device control register.
const DEVICE_CONTROL: u16 = 0x08;
/// Device control, bit 15: initiate function level reset.
const RESET: u16 = 1 << 15;
/// Advanced features: offset of the capabilities, the control, and in both the bit of function level reset.
const AF_CAPABILITIES: u16 = 0x03;
const AF_CONTROL: u16 = 0x04;
const AF_CAN_RESET: u8 = 1 << 1;
const AF_RESET: u8 = 1 << 0;

impl Express {
    /// Its place in configuration space.
    pub fn capability(&self) -> &Capability {
        &self.capability
    }

    /// What kind of device or port: 0 endpoint, 1 legacy endpoint, 4 root port, 5 and 6 switch ports, 7 bridge to PCI, 9 integrated
    /// endpoint (PCIe §7.8.2).
    #[track_caller]
    pub fn port_type(&self) -> u8 {
        (self.capability.read::<u16>(0x02) >> 4 & 0xf) as u8
    }

    /// Device capabilities.
    #[track_caller]
    pub fn device_capabilities(&self) -> u32 {
        self.capability.read(DEVICE_CAPABILITIES)
    }

    /// Device control.
    #[track_caller]
    pub fn device_control(&self) -> u16 {
        self.capability.read(DEVICE_CONTROL)
    }

    /// Writes device control.
    #[track_caller]
    pub fn set_device_control(&self, control: u16) {
        self.capability.write(DEVICE_CONTROL, control);
    }

    /// Whether it can be reset alone.
    #[track_caller]
    pub fn can_reset(&self) -> bool {
        self.device_capabilities() & CAN_RESET != 0
    }
}

impl Function {
    /// Its PCI Express capability.
    #[track_caller]
    pub fn express(&self) -> Option<Express> {
        self.capability(capability::id::EXPRESS)
            .map(|capability| Express { capability })
    }

    /// Whether it can be reset alone, by PCI Express or by advanced features.
    #[track_caller]
    pub fn can_reset(&self) -> bool {
        self.resetter().is_some()
    }

    /// Resets it alone (PCIe §6.6.2). It has neither addresses nor an enabled command afterwards: mapped [`Bar`](super::Bar)s are to be
    /// mapped again.
    ///
    /// Unwinds if it can't be.
    #[track_caller]
    pub fn reset(&self) {
        match self.resetter() {
            Some(Resetter::Express(express)) => {
                express.set_device_control(express.device_control() | RESET);
            }
            Some(Resetter::Advanced(capability)) => capability.write(AF_CONTROL, AF_RESET),
            None => Fault::usage(format!(
                "failed to reset {}: it has no function level reset",
                self.bdf()
            ))
            .raise(),
        }
    }

    #[track_caller]
    fn resetter(&self) -> Option<Resetter> {
        let express = self.express().filter(Express::can_reset);
        let advanced = || {
            self.capability(capability::id::ADVANCED_FEATURES)
                .filter(|capability| capability.read::<u8>(AF_CAPABILITIES) & AF_CAN_RESET != 0)
        };
        express
            .map(Resetter::Express)
            .or_else(|| advanced().map(Resetter::Advanced))
    }
}

enum Resetter {
    Express(Express),
    Advanced(Capability),
}
