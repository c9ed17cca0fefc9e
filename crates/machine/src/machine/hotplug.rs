//! PCI devices that come and go while the machine runs.

use serde_json::{Map, Value, json};
use testjig_server::qmp::{Event, QmpError};

use super::Machine;
use crate::cli::DeviceOptions;
use crate::dev::pci_hotplug::{FIXED, PciHotplug};
use crate::dev::testdev::PciTestdev;

/// What a slot takes while the machine runs.
pub(super) const DEVICES: &[&str] = &[
    "pci-testdev",
    "virtio-blk-pci",
    "virtio-blk-pci-non-transitional",
    "virtio-blk-pci-transitional",
];
const NO_HOTPLUG: &str = "Bus 'pci.0' does not support hotplugging";

impl Machine {
    /// One of [`DEVICES`].
    pub(super) fn plug_pci(&mut self, device: &DeviceOptions) -> Result<(), String> {
        if device.driver != "pci-testdev" {
            return self.plug_virtio_blk(device);
        }
        device.only(&["membar"])?;
        let membar = device.size("membar")?.unwrap_or(0);
        let devfn = self.slot_for(device)?;
        self.add(PciTestdev::new(devfn, membar), device.id.clone());
        Ok(())
    }

    /// `device_add`: it is there at once, and an event tells the firmware.
    pub(super) fn hot_plug(&mut self, options: &Map<String, Value>) -> Result<(), String> {
        let device = DeviceOptions::from_json(options)?;
        if !DEVICES.contains(&device.driver.as_str()) {
            return Err(format!(
                "Device '{}' does not support hotplugging",
                device.driver
            ));
        }
        match device.get("bus") {
            None | Some("pci.0" | "pci") => {}
            Some(bus) => return Err(format!("Bus '{bus}' not found")),
        }
        if let Some(id) = &device.id {
            if self.slots.iter().any(|slot| slot.id.as_ref() == Some(id)) {
                return Err(format!("Duplicate device ID '{id}'"));
            }
        }
        if self.find::<PciHotplug>().is_none() {
            return Err(NO_HOTPLUG.into());
        }
        self.plug_pci(&device)?;
        let at = self.slots.len() - 1;
        let place = self.place(at);
        self.slots[at].device.reset(&mut self.board);
        self.tell(|hotplug, board| hotplug.plugged(board, place));
        self.remap();
        Ok(())
    }

    /// `device_del`: an event asks the guest to let it go, which ejects it then.
    pub(super) fn hot_unplug(&mut self, id: &str) -> Result<(), QmpError> {
        let mut slots = self.slots.iter();
        let at = slots.position(|slot| slot.id.as_deref() == Some(id));
        let at = at.ok_or_else(|| QmpError::device_not_found(id))?;
        let place = self.place(at);
        if FIXED & 1 << place != 0 || self.find::<PciHotplug>().is_none() {
            return Err(QmpError::generic(NO_HOTPLUG));
        }
        if self.tell(|hotplug, board| hotplug.unplug(board, place)) == Some(false) {
            return Err(QmpError::generic(format!(
                "Device {id} is already in the process of unplug"
            )));
        }
        Ok(())
    }

    /// Takes out what the guest has let go.
    pub(super) fn eject(&mut self) {
        let hotplug = self.find::<PciHotplug>();
        let ejected = hotplug.map_or(0, |hotplug| std::mem::take(&mut hotplug.ejected));
        for at in (0..self.slots.len()).rev() {
            if ejected & 1 << self.place(at) == 0 {
                continue;
            }
            let mut slot = self.slots.remove(at);
            slot.device.reset(&mut self.board);
            for port in &mut self.serial_ports {
                *port -= usize::from(*port > at);
            }
            let Some(id) = slot.id else {
                continue;
            };
            self.boot.retain(|entry| entry.id.as_ref() != Some(&id));
            let path = format!("/machine/peripheral/{id}");
            let data = json!({"device": id, "path": path});
            self.board.events.push(Event::with("DEVICE_DELETED", data));
        }
    }

    /// The PCI slot of a device, or that of a bridge if it has none.
    fn place(&mut self, at: usize) -> u8 {
        let config = self.slots[at].device.config();
        config.map_or(0, |config| config.devfn.slot())
    }

    fn tell<T>(
        &mut self,
        what: impl FnOnce(&mut PciHotplug, &mut crate::board::Board) -> T,
    ) -> Option<T> {
        let Self { slots, board, .. } = self;
        let mut devices = slots.iter_mut().map(|slot| slot.device.as_mut());
        let hotplug = devices.find_map(|device| device.as_any_mut().downcast_mut())?;
        Some(what(hotplug, board))
    }
}
