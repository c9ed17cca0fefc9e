//! The QEMU Object Model: types, objects, properties.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Empty;
use crate::command::Command;

/// The object types of the binary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct QomListTypes {
    /// Only those that implement this type or interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub implements: Option<String>,
    /// Whether to list abstract types too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#abstract: Option<bool>,
}

impl QomListTypes {
    /// Asks for all types that objects can have.
    pub fn all() -> Self {
        Self::default()
    }

    /// Asks for those that implement a type or interface: `device` for all devices.
    pub fn implementing(name: impl Into<String>) -> Self {
        Self {
            implements: Some(name.into()),
            r#abstract: None,
        }
    }

    /// Asks for abstract types too.
    #[must_use]
    pub fn with_abstract(mut self) -> Self {
        self.r#abstract = Some(true);
        self
    }
}

impl Command for QomListTypes {
    const NAME: &'static str = "qom-list-types";
    type Reply = Vec<ObjectType>;
}

/// An object type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ObjectType {
    /// Its name.
    pub name: String,
    /// Whether no object can be of exactly this type.
    #[serde(default)]
    pub r#abstract: bool,
    /// The type that it extends.
    pub parent: Option<String>,
}

/// The properties of a device type, as `-device` takes them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct DeviceListProperties {
    /// The type of the device: `virtio-blk-pci`.
    pub typename: String,
}

impl DeviceListProperties {
    /// Asks for the properties of a device type. Refused, as [`DeviceNotFound`](crate::ErrorClass::DeviceNotFound), if there
    /// is none.
    pub fn of(typename: impl Into<String>) -> Self {
        Self {
            typename: typename.into(),
        }
    }
}

impl Command for DeviceListProperties {
    const NAME: &'static str = "device-list-properties";
    type Reply = Vec<ObjectProperty>;
}

/// A property of an object or a device type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ObjectProperty {
    /// Its name.
    pub name: String,
    /// Its type: one of JSON's or the schema's, `link<TYPE>`, or `child<TYPE>` for an object below this one.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What QEMU says of it.
    pub description: Option<String>,
    /// Its value if it is not given, where that is known.
    pub default_value: Option<Value>,
}

/// The properties of an object, children included.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct QomList {
    /// Its path: absolute from `/`, or partial if only one object's path ends so.
    pub path: String,
}

impl QomList {
    /// Asks for the properties of the object at a path.
    pub fn of(path: impl Into<String>) -> Self {
        Self { path: path.into() }
    }
}

impl Command for QomList {
    const NAME: &'static str = "qom-list";
    type Reply = Vec<ObjectProperty>;
}

/// The value of a property.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct QomGet {
    /// The object's path.
    pub path: String,
    /// The property's name.
    pub property: String,
}

impl QomGet {
    /// Asks for a property of the object at a path.
    pub fn new(path: impl Into<String>, property: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            property: property.into(),
        }
    }
}

impl Command for QomGet {
    const NAME: &'static str = "qom-get";
    type Reply = Value;
}

/// Changes a property.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct QomSet {
    /// The object's path.
    pub path: String,
    /// The property's name.
    pub property: String,
    /// Its new value.
    pub value: Value,
}

impl QomSet {
    /// Gives a property of the object at a path a new value.
    pub fn new(
        path: impl Into<String>,
        property: impl Into<String>,
        value: impl Into<Value>,
    ) -> Self {
        Self {
            path: path.into(),
            property: property.into(),
            value: value.into(),
        }
    }
}

impl Command for QomSet {
    const NAME: &'static str = "qom-set";
    type Reply = Empty;
}
