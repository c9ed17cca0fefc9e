//! What a monitor can ask of the machine.

use serde_json::{Map, Value, json};
use testjig_server::qmp::{About, Event, MachineInfo, Manage, PropertyInfo, QmpError, TypeInfo};

use super::{Machine, Slot};
use crate::cli::NOT_HERE;
use crate::dev::fw_cfg::{FwCfg, key};
use crate::dev::i82078::I82078;
use crate::dev::piix4_pm::Piix4Pm;

/// What `-device` takes and the machine is made of.
pub const DEVICES: &[&str] = &[
    "acpi-pci-hotplug",
    "floppy",
    "fw_cfg_io",
    "ide-hd",
    "i440FX",
    "i440FX-pcihost",
    "i8042",
    "ioapic",
    "isa-fdc",
    "isa-i8259",
    "isa-pit",
    "isa-serial",
    "ivshmem-plain",
    "i8257",
    "mc146818rtc",
    "pci-testdev",
    "PIIX3",
    "virtio-blk-pci",
    "virtio-blk-pci-non-transitional",
    "virtio-blk-pci-transitional",
    "piix3-ide",
    "PIIX4_PM",
];
/// What `-object` takes.
pub const OBJECTS: &[&str] = &["memory-backend-file", "memory-backend-ram"];
/// Machine types, the default one first.
pub const MACHINES: &[&str] = &["pc", "none"];
/// As if it were a QEMU of this version.
pub const VERSION: (u64, u64, u64) = (11, 1, 0);

impl Machine {
    /// A property of a floppy drive, which is a device of its own to QOM.
    fn floppy_property(&mut self, path: &str, name: &str) -> Option<Value> {
        let id = path.strip_prefix("/machine/peripheral/")?;
        let drive = self.find::<I82078>()?.unit(id)?;
        match name {
            "drive-type" => Some(json!(drive.kind.name())),
            "type" => Some(json!("floppy")),
            _ => None,
        }
    }

    /// A processor more. None runs; the firmware is told their number.
    fn plug_cpu(&mut self) -> Result<(), QmpError> {
        if self.cpus.0 >= self.cpus.1 {
            return Err(QmpError::generic("all processors are there already"));
        }
        self.cpus.0 += 1;
        let present = (self.cpus.0 as u16).to_le_bytes().to_vec();
        if let Some(fw_cfg) = self.find::<FwCfg>() {
            fw_cfg.put(key::NB_CPUS, present);
        }
        Ok(())
    }

    /// The device at a path, and what the rest of the path is if it is the machine itself.
    fn at_path(&mut self, path: &str) -> Option<usize> {
        let by_type = |name: &str| {
            self.slots
                .iter()
                .position(|slot: &Slot| slot.device.name() == name)
        };
        match path {
            "/machine/i440fx" => by_type("i440FX"),
            "/machine/unattached/rtc" | "/machine/rtc" => by_type("mc146818rtc"),
            "/machine/fw_cfg" => by_type("fw_cfg_io"),
            _ => {
                if let Some(id) = path.strip_prefix("/machine/peripheral/") {
                    return self
                        .slots
                        .iter()
                        .position(|slot| slot.id.as_deref() == Some(id));
                }
                let number = path
                    .strip_prefix("/machine/unattached/device[")?
                    .strip_suffix(']')?;
                number.parse().ok().filter(|at| *at < self.slots.len())
            }
        }
    }
}

impl Manage for Machine {
    fn about(&self) -> About {
        About {
            version: VERSION,
            package: concat!("testjig-machine ", env!("CARGO_PKG_VERSION")).into(),
            ..About::default()
        }
    }

    fn run_state(&self) -> &'static str {
        if self.paused { "paused" } else { "running" }
    }

    fn machines(&self) -> Vec<MachineInfo> {
        let infos = MACHINES.iter().map(|name| MachineInfo {
            name: (*name).to_owned(),
            alias: None,
            is_default: *name == "pc",
            cpu_max: 255,
            hotpluggable_cpus: false,
            numa_mem_supported: false,
            deprecated: false,
            default_ram_id: (*name == "pc").then(|| "pc.ram".to_owned()),
        });
        infos.collect()
    }

    fn types(&self, implementing: Option<&str>) -> Vec<TypeInfo> {
        let all = |names: &[&str], parent: &str| {
            let types = names.iter().map(|name| TypeInfo {
                name: (*name).to_owned(),
                parent: Some(parent.to_owned()),
            });
            types.collect::<Vec<_>>()
        };
        match implementing {
            Some("device") => all(DEVICES, "device"),
            Some("user-creatable") => all(OBJECTS, "memory-backend"),
            Some("machine") => all(MACHINES, "machine"),
            None => [all(DEVICES, "device"), all(OBJECTS, "memory-backend")].concat(),
            Some(_) => Vec::new(),
        }
    }

    fn type_properties(&self, kind: &str) -> Option<Vec<PropertyInfo>> {
        DEVICES.contains(&kind).then(Vec::new)
    }

    fn properties(&self, path: &str) -> Result<Vec<PropertyInfo>, QmpError> {
        let child = |name: String, kind: &str| PropertyInfo {
            name,
            kind: format!("child<{kind}>"),
            default_value: None,
        };
        match path {
            "/" => Ok(vec![child("machine".into(), "pc-machine")]),
            "/machine" => Ok(vec![
                child("i440fx".into(), "i440FX-pcihost"),
                child("peripheral".into(), "container"),
                child("unattached".into(), "container"),
            ]),
            "/machine/peripheral" | "/machine/unattached" => {
                let with_id = path.ends_with("peripheral");
                let slots = self.slots.iter().enumerate();
                let children = slots.filter_map(|(number, slot)| match (&slot.id, with_id) {
                    (Some(id), true) => Some(child(id.clone(), slot.device.name())),
                    (None, false) => Some(child(format!("device[{number}]"), slot.device.name())),
                    _ => None,
                });
                Ok(children.collect())
            }
            _ => Err(QmpError::device_not_found(path)),
        }
    }

    fn property(&mut self, path: &str, name: &str) -> Result<Value, QmpError> {
        let path = if (path, name) == ("/machine", "rtc-time") {
            "/machine/unattached/rtc"
        } else {
            path
        };
        if (path, name) == ("/machine", "type") {
            return Ok(json!("pc-machine"));
        }
        if let Some(value) = self.floppy_property(path, name) {
            return Ok(value);
        }
        let slot = self
            .at_path(path)
            .ok_or_else(|| QmpError::device_not_found(path))?;
        let device = &mut self.slots[slot].device;
        if name == "type" {
            return Ok(json!(device.name()));
        }
        let kind = device.name();
        device
            .property(&self.board, name)
            .ok_or_else(|| QmpError::property_not_found(kind, name))
    }

    fn set_property(&mut self, path: &str, name: &str, value: &Value) -> Result<(), QmpError> {
        let id = path.strip_prefix("/machine/peripheral/");
        let found = id.and_then(|id| {
            self.boot
                .iter_mut()
                .find(|entry| entry.id.as_deref() == Some(id))
        });
        match (found, name, value.as_i64()) {
            (Some(entry), "bootindex", Some(index)) => {
                entry.index = (index >= 0).then_some(index);
                Ok(())
            }
            (Some(entry), ..) => Err(QmpError::property_not_found(&entry.path, name)),
            (None, ..) => Err(QmpError::device_not_found(path)),
        }
    }

    fn device_add(&mut self, options: &Map<String, Value>) -> Result<(), QmpError> {
        let driver = options.get("driver").and_then(Value::as_str);
        if driver.is_some_and(|driver| driver.ends_with("-x86_64-cpu")) {
            return self.plug_cpu();
        }
        self.hot_plug(options).map_err(QmpError::generic)
    }

    fn device_del(&mut self, id: &str) -> Result<(), QmpError> {
        self.hot_unplug(id)
    }

    fn reset(&mut self) {
        self.reset_devices(false);
    }

    fn set_running(&mut self, running: bool) {
        if self.paused == running {
            self.paused = !running;
            let name = if running { "RESUME" } else { "STOP" };
            self.board.events.push(Event::new(name));
        }
    }

    fn quit(&mut self) {
        self.quit = true;
        self.board.events.push(Event::with(
            "SHUTDOWN",
            json!({"guest": false, "reason": "host-qmp-quit"}),
        ));
    }

    fn has_quit(&self) -> bool {
        self.quit
    }

    fn commands(&self) -> Vec<String> {
        [
            "block_resize",
            "blockdev-insert-medium",
            "blockdev-remove-medium",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn execute(&mut self, name: &str, arguments: &Map<String, Value>) -> Result<Value, QmpError> {
        let text = |key: &str| arguments.get(key).and_then(Value::as_str);
        match name {
            "block_resize" => {}
            "blockdev-insert-medium" | "blockdev-remove-medium" => {
                let id =
                    text("id").ok_or_else(|| QmpError::generic("Parameter 'id' is missing"))?;
                let node = match name {
                    "blockdev-remove-medium" => None,
                    _ => Some(text("node-name").unwrap_or_default()),
                };
                return self
                    .change_medium(id, node)
                    .map(|()| json!({}))
                    .map_err(QmpError::generic);
            }
            "query-blockstats" | "query-migrate" => {
                return Err(QmpError::generic(format!("{name}: {NOT_HERE}")));
            }
            _ => return Err(QmpError::command_not_found(name)),
        }
        let node = arguments
            .get("node-name")
            .or_else(|| arguments.get("device"));
        let node = node.and_then(Value::as_str).unwrap_or_default();
        let size = arguments
            .get("size")
            .and_then(Value::as_u64)
            .ok_or_else(|| QmpError::generic("Parameter 'size' is missing"))?;
        let disk = self.drives.get(node).ok_or_else(|| {
            QmpError::generic(format!(
                "Cannot find device='{node}' nor node-name='{node}'"
            ))
        })?;
        disk.resize(size)
            .map_err(|error| QmpError::generic(format!("Failed to resize '{node}': {error}")))?;
        self.resized(node);
        Ok(json!({}))
    }

    fn events(&mut self) -> Vec<Event> {
        let off = self.find::<Piix4Pm>().is_some_and(|power| power.off);
        self.quit |= off;
        std::mem::take(&mut self.board.events)
    }
}
