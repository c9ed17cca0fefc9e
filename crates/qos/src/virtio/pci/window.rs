//! [`Window`]: a device's registers through configuration space (§4.1.4.9).

use super::{CfgType, PciTransport, capability, find};
use crate::pci::{Capability, ConfigValue};

/// A device's window in configuration space onto its other structures, for who can't reach memory (§4.1.4.9): [`PciTransport::window`].
#[derive(Debug)]
pub struct Window<'a> {
    transport: &'a PciTransport,
    capability: Capability,
}

impl Window<'_> {
    /// Turns the window to `length` bytes from an offset in a base address register, whatever they are. Queued.
    #[track_caller]
    pub fn turn(&self, bar: u8, offset: u32, length: u32) {
        self.capability.write(capability::BAR, bar);
        self.capability.write(capability::OFFSET, offset);
        self.capability.write(capability::LENGTH, length);
    }

    /// Turns it to so many bytes of a structure, from an offset in it. Queued.
    ///
    /// # Panics
    /// If the structure is the window itself, or the device is driven by its legacy interface.
    #[track_caller]
    pub fn turn_to(&self, structure: CfgType, offset: u32, length: u32) {
        let modern = self.transport.interface();
        let part = match structure {
            CfgType::Common => &modern.common,
            CfgType::Notify => &modern.notify,
            CfgType::Isr => &modern.isr,
            CfgType::Device => &modern.device,
            CfgType::Pci => panic!("the window does not show itself"),
        };
        self.turn(part.bar.info().index, part.offset as u32 + offset, length);
    }

    /// Reads what it shows.
    #[track_caller]
    pub fn read<T: ConfigValue>(&self) -> T {
        self.capability.read(capability::PCI_DATA)
    }

    /// Writes what it shows. Queued.
    #[track_caller]
    pub fn write<T: ConfigValue>(&self, value: T) {
        self.capability.write(capability::PCI_DATA, value);
    }
}

impl PciTransport {
    /// The window in configuration space onto the other structures (§4.1.4.9).
    ///
    /// # Panics
    /// If the device has none.
    #[track_caller]
    pub fn window(&self) -> Window<'_> {
        let capabilities = self.function.capabilities();
        match find(&capabilities, CfgType::Pci) {
            Some(capability) => Window {
                transport: self,
                capability: capability.clone(),
            },
            None => panic!("{self:?} has no window in configuration space"),
        }
    }
}
