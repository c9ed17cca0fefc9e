//! The registers that all transports share: device status and interrupt status.

use bitfield_struct::bitfield;

/// Device status (Virtio 1.2 §2.1). Reset value 0.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Status {
    /// The driver has noticed the device.
    pub acknowledge: bool,
    /// The driver knows how to drive it.
    pub driver: bool,
    /// The driver is set up: the device may work.
    pub driver_ok: bool,
    /// The driver has chosen its features, and the device accepts them.
    pub features_ok: bool,
    #[bits(2)]
    __: u8,
    /// The device has met an error from which only a reset recovers.
    pub needs_reset: bool,
    /// The driver has given up.
    pub failed: bool,
}

impl Status {
    /// What is set of `other` and of this.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self::from_bits(self.into_bits() | other.into_bits())
    }
}

/// Interrupt status (Virtio 1.2 §4.1.4.5, §4.2.2). Reset value 0.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Isr {
    /// The device has used a buffer of some virtqueue.
    pub used_buffer: bool,
    /// The configuration or the status has changed.
    pub configuration: bool,
    #[bits(6)]
    __: u8,
}
