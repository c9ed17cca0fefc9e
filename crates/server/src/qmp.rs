//! The monitor's side: [`Monitor`] speaks QMP for a VMM that implements [`Manage`].
//!
//! Like the qtest server it moves no bytes itself. Messages and errors are QEMU's: class and description.

mod dispatch;
mod monitor;

use serde::Serialize;
use serde_json::{Map, Value, json};

pub use monitor::Monitor;

/// What a VMM says of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// Major, minor and micro number, as if it were a QEMU: clients decide by them what they may ask.
    pub version: (u64, u64, u64),
    /// What comes behind the numbers.
    pub package: String,
    /// QEMU's name of the guest's architecture.
    pub arch: String,
}

impl Default for About {
    fn default() -> Self {
        Self {
            version: (10, 0, 0),
            package: concat!("testjig-server ", env!("CARGO_PKG_VERSION")).into(),
            arch: "x86_64".into(),
        }
    }
}

/// A machine type, as `query-machines` lists it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MachineInfo {
    /// Its name.
    pub name: String,
    /// Another name of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Whether it is the one that nobody has to ask for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_default: bool,
    /// How many CPUs it can have.
    pub cpu_max: u32,
    /// Whether CPUs can be plugged in.
    pub hotpluggable_cpus: bool,
    /// Whether it can have NUMA nodes.
    pub numa_mem_supported: bool,
    /// Whether it is on its way out.
    pub deprecated: bool,
    /// The memory backend it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_ram_id: Option<String>,
}

/// A type of object, as `qom-list-types` lists it.
#[derive(Clone, Debug, Serialize)]
pub struct TypeInfo {
    /// Its name.
    pub name: String,
    /// The type that it extends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// A property of an object or of a type.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PropertyInfo {
    /// Its name.
    pub name: String,
    /// QEMU's name of its type: `uint32`, `bool`, `child<…>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its value, unless one is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_value: Option<Value>,
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {desc}")]
pub struct QmpError {
    /// `GenericError`, `CommandNotFound`, `DeviceNotFound`, `DeviceNotActive` or `KVMMissingCap`.
    pub class: &'static str,
    /// The reason, for people.
    pub desc: String,
}

impl QmpError {
    /// Any error without a class of its own.
    pub fn generic(desc: impl Into<String>) -> Self {
        Self {
            class: "GenericError",
            desc: desc.into(),
        }
    }

    /// There is no such object or device.
    pub fn device_not_found(what: &str) -> Self {
        Self {
            class: "DeviceNotFound",
            desc: format!("Device '{what}' not found"),
        }
    }

    /// There is no such command.
    pub fn command_not_found(name: &str) -> Self {
        Self {
            class: "CommandNotFound",
            desc: format!("The command {name} has not been found"),
        }
    }

    /// An object has no such property.
    pub fn property_not_found(kind: &str, name: &str) -> Self {
        Self::generic(format!("Property '{kind}.{name}' not found"))
    }
}

/// Something that the machine tells of its own accord.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its name: `RESET`, `RTC_CHANGE`.
    pub name: &'static str,
    /// What it says; `Value::Null` if nothing.
    pub data: Value,
}

impl Event {
    /// An event without data.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            data: Value::Null,
        }
    }

    /// An event with data, an object.
    pub fn with(name: &'static str, data: Value) -> Self {
        Self { name, data }
    }
}

/// What a VMM can be asked and told beside its hardware. Every method has a default: a VMM without management says so.
pub trait Manage {
    /// What it is.
    fn about(&self) -> About {
        About::default()
    }

    /// QEMU's name of its state: `running`, `paused`, `suspended`, `shutdown`, …
    fn run_state(&self) -> &'static str {
        "running"
    }

    /// The machine types there are.
    fn machines(&self) -> Vec<MachineInfo> {
        Vec::new()
    }

    /// The types that extend or implement `implementing`; all if `None`.
    fn types(&self, implementing: Option<&str>) -> Vec<TypeInfo> {
        let _ = implementing;
        Vec::new()
    }

    /// The properties that a device of a type can be given.
    fn type_properties(&self, kind: &str) -> Option<Vec<PropertyInfo>> {
        let _ = kind;
        None
    }

    /// The properties of an object, its children among them.
    ///
    /// # Errors
    ///
    /// If there is no such object.
    fn properties(&self, path: &str) -> Result<Vec<PropertyInfo>, QmpError> {
        Err(QmpError::device_not_found(path))
    }

    /// A property's value.
    ///
    /// # Errors
    ///
    /// If there is no such object, or it has no such property.
    fn property(&mut self, path: &str, name: &str) -> Result<Value, QmpError> {
        let _ = name;
        Err(QmpError::device_not_found(path))
    }

    /// Sets a property.
    ///
    /// # Errors
    ///
    /// If there is no such object, it has no such property, or that does not take the value.
    fn set_property(&mut self, path: &str, name: &str, value: &Value) -> Result<(), QmpError> {
        let _ = (name, value);
        Err(QmpError::device_not_found(path))
    }

    /// Plugs in a device: `driver`, `id`, `bus` and its properties.
    ///
    /// # Errors
    ///
    /// If it can't be had, or not now.
    fn device_add(&mut self, options: &Map<String, Value>) -> Result<(), QmpError> {
        let _ = options;
        Err(QmpError::generic(
            "this machine takes no devices while it runs",
        ))
    }

    /// Asks for a device to be taken out.
    ///
    /// # Errors
    ///
    /// If there is no such device, or it can't be taken out.
    fn device_del(&mut self, id: &str) -> Result<(), QmpError> {
        Err(QmpError::device_not_found(id))
    }

    /// Pulls the machine's reset.
    fn reset(&mut self) {}

    /// Stops or continues the machine.
    fn set_running(&mut self, running: bool) {
        let _ = running;
    }

    /// Ends the machine: whoever moves its bytes is to stop soon.
    fn quit(&mut self) {}

    /// Whether the machine has ended.
    fn has_quit(&self) -> bool {
        false
    }

    /// The commands that [`execute`](Self::execute) knows.
    fn commands(&self) -> Vec<String> {
        Vec::new()
    }

    /// Any other command.
    ///
    /// # Errors
    ///
    /// If there is no such command, or it is refused.
    fn execute(&mut self, name: &str, arguments: &Map<String, Value>) -> Result<Value, QmpError> {
        let _ = arguments;
        Err(QmpError::command_not_found(name))
    }

    /// Hands over what is to be told to every monitor.
    fn events(&mut self) -> Vec<Event> {
        Vec::new()
    }
}

pub(crate) fn empty() -> Value {
    json!({})
}
