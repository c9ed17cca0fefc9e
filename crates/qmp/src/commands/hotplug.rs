//! Plugging devices and their back ends in and out.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Empty;
use crate::command::Command;

/// Defines a command that takes named members and any number of properties besides.
macro_rules! open_command {
    (
        $(#[$doc:meta])+
        $command:ident = $name:literal {
            $($(#[$member_doc:meta])+ $member:ident: $spelt:literal,)+
        }
    ) => {
        $(#[$doc])+
        ///
        /// Properties are JSON of the property's own type: a number is a number, not a string.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[non_exhaustive]
        pub struct $command {
            $($(#[$member_doc])+ #[serde(rename = $spelt)] pub $member: String,)+
            /// All others.
            #[serde(flatten)]
            pub properties: Map<String, Value>,
        }

        impl $command {
            /// The command without any further property.
            pub fn new($($member: impl Into<String>),+) -> Self {
                Self { $($member: $member.into(),)+ properties: Map::new() }
            }

            /// Sets a property.
            #[must_use]
            pub fn prop(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
                self.properties.insert(name.into(), value.into());
                self
            }
        }

        impl Command for $command {
            const NAME: &'static str = $name;
            type Reply = Empty;
        }
    };
}

/// Defines a command whose only argument names what is to go.
macro_rules! remove_command {
    ($($(#[$doc:meta])+ $command:ident = $name:literal, $member:ident: $spelt:literal;)+) => {$(
        $(#[$doc])+
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
        #[non_exhaustive]
        pub struct $command {
            /// What is to go.
            #[serde(rename = $spelt)]
            pub $member: String,
        }

        impl $command {
            /// Names what is to go.
            pub fn new($member: impl Into<String>) -> Self {
                Self { $member: $member.into() }
            }
        }

        impl Command for $command {
            const NAME: &'static str = $name;
            type Reply = Empty;
        }
    )+};
}

open_command! {
    /// Plugs a device in: `DeviceAdd::new("virtio-net-pci").id("net0").prop("netdev", "n0")`.
    DeviceAdd = "device_add" {
        /// The device's type.
        driver: "driver",
    }
}

impl DeviceAdd {
    /// Sets the device's id, by which [`DeviceDel`] and the event `DEVICE_DELETED` name it.
    #[must_use]
    pub fn id(self, id: impl Into<String>) -> Self {
        self.prop("id", id.into())
    }

    /// Sets the bus that it goes to.
    #[must_use]
    pub fn bus(self, bus: impl Into<String>) -> Self {
        self.prop("bus", bus.into())
    }
}

open_command! {
    /// Adds a block node: `BlockdevAdd::new("null-co", "disk0").prop("size", 1 << 20)`.
    BlockdevAdd = "blockdev-add" {
        /// The block driver.
        driver: "driver",
        /// The node's name, which a device's `drive` property names.
        node_name: "node-name",
    }
}

open_command! {
    /// Adds a network back end: `NetdevAdd::new("user", "n0")`.
    NetdevAdd = "netdev_add" {
        /// The kind of back end.
        kind: "type",
        /// Its id, which a device's `netdev` property names.
        id: "id",
    }
}

open_command! {
    /// Creates an object: `ObjectAdd::new("memory-backend-ram", "m1").prop("size", 1 << 20)`.
    ObjectAdd = "object-add" {
        /// The object's type.
        qom_type: "qom-type",
        /// Its id.
        id: "id",
    }
}

remove_command! {
    /// Asks for a device to be unplugged, by id or QOM path. Many need the guest to agree: the device is gone when
    /// `DEVICE_DELETED` comes.
    DeviceDel = "device_del", id: "id";

    /// Removes a block node that nothing uses.
    BlockdevDel = "blockdev-del", node_name: "node-name";

    /// Removes a network back end.
    NetdevDel = "netdev_del", id: "id";

    /// Deletes an object that nothing uses.
    ObjectDel = "object-del", id: "id";
}

/// Adds a descriptor to a set, which opens as `/dev/fdset/ID` wherever QEMU takes a file name. For
/// [`Qmp::execute_with_fd`](crate::Qmp::execute_with_fd).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct AddFd {
    /// The set that it goes to, which is created if there is none; a new one if not named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fdset_id: Option<i64>,
}

impl AddFd {
    /// Adds it to a new set.
    pub fn to_new_set() -> Self {
        Self::default()
    }

    /// Adds it to this set.
    pub fn to_set(id: i64) -> Self {
        Self { fdset_id: Some(id) }
    }
}

impl Command for AddFd {
    const NAME: &'static str = "add-fd";
    type Reply = AddedFd;
}

/// The reply to [`AddFd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct AddedFd {
    /// The set's id.
    pub fdset_id: i64,
    /// The number of the descriptor in the peer.
    pub fd: i64,
}

/// Removes a set of descriptors. They are closed when nothing uses them any more; 7.2 keeps them while the machine is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RemoveFd {
    /// The set's id.
    pub fdset_id: i64,
}

impl RemoveFd {
    /// Names the set.
    pub fn set(id: i64) -> Self {
        Self { fdset_id: id }
    }
}

impl Command for RemoveFd {
    const NAME: &'static str = "remove-fd";
    type Reply = Empty;
}
