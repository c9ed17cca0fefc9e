//! Commands by name.

use serde_json::{Map, Value, json};

use super::{Manage, QmpError, empty};

/// What every monitor knows.
const COMMANDS: &[&str] = &[
    "qmp_capabilities",
    "query-version",
    "query-status",
    "query-commands",
    "query-machines",
    "query-target",
    "query-name",
    "query-kvm",
    "qom-list-types",
    "qom-list",
    "qom-get",
    "qom-set",
    "device-list-properties",
    "device_add",
    "device_del",
    "system_reset",
    "stop",
    "cont",
    "quit",
];

/// The arguments of a command, each of which must be taken.
pub(super) struct Arguments<'a> {
    all: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(all: &'a Map<String, Value>) -> Self {
        Self {
            all,
            known: Vec::new(),
        }
    }

    fn optional(&mut self, name: &'static str) -> Result<Option<&'a str>, QmpError> {
        self.known.push(name);
        match self.all.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(QmpError::generic(format!(
                "Invalid parameter type for '{name}', expected: string"
            ))),
        }
    }

    fn required(&mut self, name: &'static str) -> Result<&'a str, QmpError> {
        self.optional(name)?.ok_or_else(|| missing(name))
    }

    fn value(&mut self, name: &'static str) -> Result<&'a Value, QmpError> {
        self.known.push(name);
        self.all.get(name).ok_or_else(|| missing(name))
    }

    fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.known.push(name);
        self.all.get(name).and_then(Value::as_bool)
    }

    fn end(&self) -> Result<(), QmpError> {
        let unknown = self
            .all
            .keys()
            .find(|name| !self.known.contains(&name.as_str()));
        unknown.map_or(Ok(()), |name| {
            Err(QmpError::generic(format!(
                "Parameter '{name}' is unexpected"
            )))
        })
    }
}

fn missing(name: &str) -> QmpError {
    QmpError::generic(format!("Parameter '{name}' is missing"))
}

/// Carries out a command.
pub(super) fn execute(
    vmm: &mut dyn Manage,
    name: &str,
    all: &Map<String, Value>,
) -> Result<Value, QmpError> {
    let mut arguments = Arguments::new(all);
    match name {
        "query-version" => {
            arguments.end()?;
            Ok(version(vmm))
        }
        "query-status" => {
            arguments.end()?;
            let status = vmm.run_state();
            Ok(json!({"running": status == "running", "status": status}))
        }
        "query-commands" => {
            arguments.end()?;
            let own = COMMANDS.iter().map(|name| (*name).to_owned());
            let names = own.chain(vmm.commands());
            Ok(names.map(|name| json!({"name": name})).collect())
        }
        "query-machines" => {
            arguments.flag("compat-props");
            arguments.end()?;
            Ok(to_value(&vmm.machines()))
        }
        "query-target" => Ok(json!({"arch": vmm.about().arch})),
        "query-name" => Ok(empty()),
        "query-kvm" => Ok(json!({"enabled": false, "present": false})),
        "qom-list-types" => {
            let implementing = arguments.optional("implements")?;
            arguments.flag("abstract");
            arguments.end()?;
            Ok(to_value(&vmm.types(implementing)))
        }
        "qom-list" => {
            let path = arguments.required("path")?;
            arguments.end()?;
            Ok(to_value(&vmm.properties(path)?))
        }
        "qom-get" => {
            let (path, property) = (arguments.required("path")?, arguments.required("property")?);
            arguments.end()?;
            vmm.property(path, property)
        }
        "qom-set" => {
            let (path, property) = (arguments.required("path")?, arguments.required("property")?);
            let value = arguments.value("value")?;
            arguments.end()?;
            vmm.set_property(path, property, value)?;
            Ok(empty())
        }
        "device-list-properties" => {
            let kind = arguments.required("typename")?;
            arguments.end()?;
            let properties = vmm.type_properties(kind).ok_or_else(|| QmpError {
                class: "DeviceNotFound",
                desc: format!("Device '{kind}' not found"),
            })?;
            Ok(to_value(&properties))
        }
        "device_add" => {
            arguments.required("driver")?;
            vmm.device_add(all)?;
            Ok(empty())
        }
        "device_del" => {
            let id = arguments.required("id")?;
            arguments.end()?;
            vmm.device_del(id)?;
            Ok(empty())
        }
        "system_reset" => {
            arguments.end()?;
            vmm.reset();
            Ok(empty())
        }
        "stop" | "cont" => {
            arguments.end()?;
            vmm.set_running(name == "cont");
            Ok(empty())
        }
        "quit" => {
            arguments.end()?;
            vmm.quit();
            Ok(empty())
        }
        _ => vmm.execute(name, all),
    }
}

/// The version, as greeting and `query-version` have it.
pub(super) fn version(vmm: &dyn Manage) -> Value {
    let about = vmm.about();
    let (major, minor, micro) = about.version;
    json!({
        "qemu": {"micro": micro, "minor": minor, "major": major},
        "package": about.package,
    })
}

fn to_value(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}
