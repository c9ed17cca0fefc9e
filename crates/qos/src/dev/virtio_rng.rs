//! The virtio entropy device: random bytes for whoever gives it room.
//!
//! Source: *Virtio 1.2* §5.4.

use crate::virtio::{Layout, Virtio, Virtqueue};

/// The device type (§5).
pub const DEVICE_ID: u32 = 4;

/// A virtio entropy device.
#[derive(Clone, Debug)]
pub struct VirtioRng(Virtio);

impl VirtioRng {
    /// The driver of a device of this type.
    pub fn new(device: Virtio) -> Self {
        Self(device)
    }

    /// The device.
    pub fn device(&self) -> &Virtio {
        &self.0
    }

    /// Negotiates with it and starts it; its one virtqueue (§5.4.2), for rooms that it fills.
    ///
    /// Skips the test if it has no packed virtqueues and they are asked for.
    #[track_caller]
    pub fn start(&self, layout: Layout) -> Virtqueue {
        self.0.negotiate_layout(layout);
        let queue = self.0.queue(0);
        self.0.start();
        queue
    }
}
