//! The virtio balloon device: pages that the driver gives back to the host and takes again, and what it says of its memory.
//!
//! Source: *Virtio 1.2* §5.5, cited by section.
//!
//! [`VirtioBalloon`] is the device as it is found; [`Balloon`] is one that was negotiated with and started. A test chooses the pages that
//! it gives; the device may empty them.
//!
//! ```no_run
//! use testjig_qos::dev::virtio_balloon::VirtioBalloon;
//! use testjig_qos::virtio::Layout;
//! # fn example(balloon: VirtioBalloon) {
//! let balloon = balloon.start(Layout::Split);
//! let page = balloon.page();
//! balloon.inflate(&[page.pfn()]);
//! balloon.deflate(&[page.pfn()]);
//! # }
//! ```

mod balloon;
mod config;
mod stat;

pub use self::balloon::{Balloon, PAGE, Page};
pub use self::config::{BalloonFeature, Config, HintCommand, field};
pub use self::stat::{Stat, Tag, stats};

use crate::virtio::{Features, Layout, Virtio};

/// The device type (§5).
pub const DEVICE_ID: u32 = 5;

/// A virtio balloon device that nobody has negotiated with yet.
#[derive(Clone, Debug)]
pub struct VirtioBalloon(Virtio);

impl VirtioBalloon {
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
    pub fn start(&self, layout: Layout) -> Balloon {
        self.0.negotiate_layout(layout);
        self.start_negotiated()
    }

    /// As [`start`](Self::start), with exactly those of these features that it offers.
    #[track_caller]
    pub fn start_with(&self, features: Features) -> Balloon {
        self.0.negotiate(features);
        self.start_negotiated()
    }

    /// Starts it as it was negotiated with, with the virtqueues that there are then.
    #[track_caller]
    pub fn start_negotiated(&self) -> Balloon {
        let balloon = Balloon::new(self.clone());
        self.0.start();
        balloon
    }
}
