//! The virtio 9P transport: a file system of the host's, by messages of 9P2000.L.
//!
//! Sources: *Virtio 1.2* §5 has the device's number and no more; the configuration is that of Linux's `include/uapi/linux/virtio_9p.h`.
//! Messages are of *9P2000.L protocol* (`protocol.md` of the diod project), which extends the *Plan 9 Programmer's Manual*, section 5.
//!
//! [`Virtio9p`] is the device as it is found; [`Client`] speaks to one that was started. Every request can be made by hand, with
//! [`Body`] and [`Client::request`], and so can those that no client makes.
//!
//! ```no_run
//! use testjig_qos::dev::virtio_9p::Virtio9p;
//! use testjig_qos::virtio::Layout;
//! # fn example(device: Virtio9p) -> Result<(), testjig_qos::dev::virtio_9p::Errno> {
//! let client = device.start(Layout::Split);
//! client.version(8192, "9P2000.L")?;
//! client.attach(0, "root", "")?;
//! client.walk(0, 1, &["file"])?;
//! # Ok(())
//! # }
//! ```

mod client;
mod message;

pub use self::client::{Attributes, Client, Entry, Pending, ROOM, lopen};
pub use self::message::{Body, Errno, HEADER, Kind, Parser, Qid};

use crate::virtio::{Features, Layout, Virtio};

/// The device type (§5).
pub const DEVICE_ID: u32 = 9;
/// The configuration has the tag.
pub const MOUNT_TAG: Features = Features::bit(0);

/// Offsets of the configuration's fields in bytes (Linux, `virtio_9p.h`).
pub mod field {
    /// 16 bits: bytes of the tag.
    pub const TAG_LEN: u32 = 0;
    /// The tag, which ends with its length.
    pub const TAG: u32 = 2;
}

/// A virtio 9P device that nobody has negotiated with yet.
#[derive(Clone, Debug)]
pub struct Virtio9p(Virtio);

impl Virtio9p {
    /// The driver of a device of this type.
    pub fn new(device: Virtio) -> Self {
        Self(device.parallel())
    }

    /// The device.
    pub fn device(&self) -> &Virtio {
        &self.0
    }

    /// What the file system is called, for the driver to choose; with [`MOUNT_TAG`].
    #[track_caller]
    pub fn tag(&self) -> Vec<u8> {
        let len = u32::from(self.0.config_u16(field::TAG_LEN));
        (0..len)
            .map(|at| self.0.config_u8(field::TAG + at))
            .collect()
    }

    /// Negotiates all that it offers and this driver knows, and starts it.
    ///
    /// Skips the test if it has no packed virtqueues and they are asked for.
    #[track_caller]
    pub fn start(&self, layout: Layout) -> Client {
        self.0.negotiate_layout(layout);
        let queue = self.0.queue(0);
        self.0.start();
        Client::new(self.clone(), queue)
    }
}
