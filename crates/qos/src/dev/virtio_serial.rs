//! The virtio console device: ports, each a stream of bytes either way, and two virtqueues of messages about them.
//!
//! Source: *Virtio 1.2* §5.3, cited by section.
//!
//! [`VirtioSerial`] is the device as it is found; [`Serial`] is one that was negotiated with and started, and [`Port`] one of its ports.
//! Nothing is said to the device by itself: [`Serial::bring_up`] does what a driver does, and a test that wants to say something else
//! sends a [`Control`] of its own.
//!
//! ```no_run
//! use testjig_qos::dev::virtio_serial::VirtioSerial;
//! use testjig_qos::virtio::Layout;
//! # fn example(serial: VirtioSerial) {
//! let serial = serial.start(Layout::Split);
//! serial.bring_up(&[0, 1]);
//! serial.port(1).send(b"hello");
//! # }
//! ```

mod config;
mod control;
mod serial;

pub use self::config::{Config, SerialFeature, field};
pub use self::control::{Control, ControlEvent};
pub use self::serial::{CONTROL_ROOM, Port, Serial};

use self::serial::CONTROL_ROOMS;
use crate::virtio::{Features, Layout, Virtio};

/// The device type (§5).
pub const DEVICE_ID: u32 = 3;

/// A virtio console device that nobody has negotiated with yet.
#[derive(Clone, Debug)]
pub struct VirtioSerial(Virtio);

impl VirtioSerial {
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
    pub fn start(&self, layout: Layout) -> Serial {
        self.0.negotiate_layout(layout);
        self.start_negotiated()
    }

    /// As [`start`](Self::start), with exactly those of these features that it offers.
    #[track_caller]
    pub fn start_with(&self, features: Features) -> Serial {
        self.0.negotiate(features);
        self.start_negotiated()
    }

    /// Starts it as it was negotiated with: the virtqueues of all ports, and those of messages if there are any.
    ///
    /// The device has room for messages then, and no port has room for bytes.
    #[track_caller]
    pub fn start_negotiated(&self) -> Serial {
        self.start_with_rooms(&CONTROL_ROOMS)
    }

    /// As [`start_negotiated`](Self::start_negotiated), with rooms for messages of these many bytes each.
    #[track_caller]
    pub fn start_with_rooms(&self, rooms: &[u64]) -> Serial {
        let serial = Serial::new(self.clone(), rooms);
        self.0.start();
        serial.show_rooms();
        serial
    }
}
