//! [`DeviceOptions`]: a device, as `-device`, `-drive` and the monitor's `device_add` ask for it.

use serde_json::{Map, Value};

use super::drives::Attached;
use super::{NOT_HERE, Options};

/// A device that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct DeviceOptions {
    pub(crate) driver: String,
    pub(crate) id: Option<String>,
    /// As it was given.
    pub(crate) text: String,
    options: Options,
}

impl DeviceOptions {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::of(Options::parse(text, "driver"), text)
    }

    /// The arguments of the monitor's `device_add`.
    pub(crate) fn from_json(arguments: &Map<String, Value>) -> Result<Self, String> {
        let mut options = Options::default();
        for (key, value) in arguments {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Bool(on) => if *on { "on" } else { "off" }.to_owned(),
                Value::Number(number) => number.to_string(),
                _ => return Err(format!("Parameter '{key}' expects a scalar")),
            };
            options.set_default(key, &value);
        }
        Self::of(options, "")
    }

    fn of(mut options: Options, text: &str) -> Result<Self, String> {
        let driver = options
            .take("driver")
            .ok_or("Parameter 'driver' is missing")?;
        if !crate::DEVICES.contains(&driver.as_str())
            && driver != "fw_cfg"
            && driver != "fw_cfg_mem"
        {
            return Err(format!(
                "'{driver}' is not a valid device model name: {NOT_HERE}"
            ));
        }
        Ok(Self {
            driver,
            id: options.take("id"),
            text: text.into(),
            options,
        })
    }

    /// The device that `-drive` attaches by itself.
    pub(crate) fn of_drive(drive: &Attached) -> Result<Self, String> {
        let Attached {
            interface,
            index,
            node,
        } = drive;
        let node = node.replace(',', ",,");
        let index = *index;
        match interface.as_str() {
            "ide" => {
                let place = index.map_or_else(String::new, |index| {
                    format!(",bus=ide.{},unit={}", index / 2, index % 2)
                });
                Self::parse(&format!("ide-hd,drive={node}{place}"))
            }
            "virtio" => Self::parse(&format!("virtio-blk-pci,drive={node}")),
            _ => {
                let unit = index.unwrap_or(0);
                Self::parse(&format!("floppy,drive={node},unit={unit}"))
            }
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.options.get(key)
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, String> {
        self.options.number(key)
    }

    pub(crate) fn size(&self, key: &str) -> Result<Option<u64>, String> {
        self.options.size(key, 1)
    }

    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, String> {
        self.options.flag(key)
    }

    /// Sets what was not given.
    pub(crate) fn set_default(&mut self, key: &str, value: &str) {
        self.options.set_default(key, value);
    }

    /// Declines properties that the device does not have; `bus` and `addr` every one has.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), String> {
        let unknown = self
            .options
            .iter()
            .find(|(key, _)| !known.contains(key) && !matches!(*key, "bus" | "addr" | "bootindex"));
        unknown.map_or(Ok(()), |(key, _)| {
            Err(format!(
                "Property '{}.{key}' not found: {NOT_HERE}",
                self.driver
            ))
        })
    }
}
