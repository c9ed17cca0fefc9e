//! The virtio network device: frames out, frames in, and a virtqueue of commands that say which.
//!
//! Source: *Virtio 1.2* §5.1, cited by section.
//!
//! [`VirtioNet`] is the device as it is found; [`Nic`] is one that was negotiated with and started. A frame has a [`Header`] before it;
//! [`Nic::send`] and [`Nic::receive`] make and take it, and a test that wants another makes it itself.
//!
//! ```no_run
//! use testjig_qos::dev::virtio_net::VirtioNet;
//! use testjig_qos::virtio::Layout;
//! # fn example(net: VirtioNet) {
//! let nic = net.start(Layout::Packed);
//! nic.send(&[0x5a; 60]);
//! nic.give(1514);
//! let frame = nic.receive().bytes;
//! # let _ = frame;
//! # }
//! ```

mod config;
mod control;
mod header;
mod nic;

pub use self::config::{Config, NetFeature, NetStatus, RssLimits, duplex, field};
pub use self::control::{Ack, ControlCommand, RssConfig, hash, mac_tables};
pub use self::header::{Gso, Header, HeaderFlags};
pub use self::nic::{Nic, Received};

use crate::virtio::{Features, Layout, Virtio};

/// The device type (§5).
pub const DEVICE_ID: u32 = 1;

/// A virtio network device that nobody has negotiated with yet.
#[derive(Clone, Debug)]
pub struct VirtioNet(Virtio);

impl VirtioNet {
    /// The driver of a device of this type.
    pub fn new(device: Virtio) -> Self {
        Self(device)
    }

    /// The device.
    pub fn device(&self) -> &Virtio {
        &self.0
    }

    /// Its configuration, which may be read before anything is negotiated.
    pub fn config(&self) -> Config<'_> {
        Config(&self.0)
    }

    /// Negotiates all that it offers and this driver knows, and starts it.
    ///
    /// Skips the test if it has no packed virtqueues and they are asked for.
    #[track_caller]
    pub fn start(&self, layout: Layout) -> Nic {
        self.0.negotiate_layout(layout);
        self.start_negotiated()
    }

    /// As [`start`](Self::start), with exactly those of these features that it offers.
    #[track_caller]
    pub fn start_with(&self, features: Features) -> Nic {
        self.0.negotiate(features);
        self.start_negotiated()
    }

    /// Starts it as it was negotiated with: all pairs of virtqueues, and that of commands if it was agreed on.
    #[track_caller]
    pub fn start_negotiated(&self) -> Nic {
        let nic = Nic::new(self.clone());
        self.0.start();
        nic
    }
}
