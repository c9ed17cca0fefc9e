//! The virtio block device: a disk behind virtqueues of requests.
//!
//! Source: *Virtio 1.2* §5.2, cited by section.
//!
//! [`VirtioBlk`] is the device as it is found; [`Disk`] is one that was negotiated with and started. A [`Request`] is a header, data and
//! a status byte in guest memory; [`Disk::read`] and its relatives make one, and a test that wants another makes it itself.
//!
//! ```no_run
//! use testjig_qos::dev::virtio_blk::VirtioBlk;
//! use testjig_qos::virtio::Layout;
//! # fn example(blk: VirtioBlk) {
//! let disk = blk.start(Layout::Packed);
//! disk.write(7, &[0x5a; 512]);
//! assert_eq!(disk.read(7, 512), [0x5a; 512]);
//! # }
//! ```

mod config;
mod disk;
mod request;

pub use self::config::{BlkFeature, Config, Geometry, Topology, field};
pub use self::disk::Disk;
pub use self::request::{Header, Kind, Range, Request, Status};

use crate::virtio::{Features, Layout, Virtio};

/// The device type (§5).
pub const DEVICE_ID: u32 = 2;
/// The unit of positions and of the capacity, in bytes (§5.2.4), whatever the block size.
pub const SECTOR: u64 = 512;

/// A virtio block device that nobody has negotiated with yet.
#[derive(Clone, Debug)]
pub struct VirtioBlk(Virtio);

impl VirtioBlk {
    /// The driver of a device of this type.
    pub fn new(device: Virtio) -> Self {
        Self(device.parallel())
    }

    /// The device.
    pub fn device(&self) -> &Virtio {
        &self.0
    }

    /// Its configuration, which may be read before anything is negotiated.
    pub fn config(&self) -> Config<'_> {
        Config(&self.0)
    }

    /// Negotiates all that it offers and this driver knows, and starts it with its first virtqueue.
    ///
    /// Skips the test if it has no packed virtqueues and they are asked for.
    #[track_caller]
    pub fn start(&self, layout: Layout) -> Disk {
        self.0.negotiate_layout(layout);
        self.start_negotiated(1)
    }

    /// As [`start`](Self::start), with exactly those of these features that it offers.
    #[track_caller]
    pub fn start_with(&self, features: Features) -> Disk {
        self.0.negotiate(features);
        self.start_negotiated(1)
    }

    /// Starts it as it was negotiated with, with its first so many virtqueues.
    #[track_caller]
    pub fn start_negotiated(&self, queues: u16) -> Disk {
        let queues = (0..queues).map(|index| self.0.queue(index)).collect();
        self.0.start();
        Disk::new(self.clone(), queues)
    }
}
