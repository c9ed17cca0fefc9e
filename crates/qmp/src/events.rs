//! The data of the events that testjig uses, for [`Event::decode`](crate::Event::decode).
//!
//! Source: the QAPI schema (`query-qmp-schema`) and the events of QEMU 7.2, 10.0 and 11.1.

use serde::{Deserialize, Serialize};

/// Data of `SHUTDOWN` and `RESET`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Shutdown {
    /// Whether the guest asked for it.
    pub guest: bool,
    /// What asked for it, such as `host-qmp-system-reset`, `guest-reset`, `host-signal`.
    pub reason: String,
}

/// Data of `DEVICE_DELETED`: the guest let go of the device, and it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeviceDeleted {
    /// The device's id, if it had one.
    pub device: Option<String>,
    /// Its QOM path.
    pub path: String,
}

/// Data of `DEVICE_UNPLUG_GUEST_ERROR`: the guest refused to let go of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeviceUnplugGuestError {
    /// The device's id, if it has one.
    pub device: Option<String>,
    /// Its QOM path.
    pub path: String,
}
