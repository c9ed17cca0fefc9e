//! The configuration of the device (§5.3.4), and the features that say which fields are there (§5.3.3).

use crate::virtio::{Features, Virtio};

/// Features of console devices (§5.3.3).
#[derive(Clone, Copy, Debug)]
pub struct SerialFeature;

impl SerialFeature {
    /// The size of the console is there.
    pub const SIZE: Features = Features::bit(0);
    /// There may be several ports, and messages about them.
    pub const MULTIPORT: Features = Features::bit(1);
    /// A byte can be written to the configuration, for the console to show.
    pub const EMERG_WRITE: Features = Features::bit(2);
}

/// Offsets of the fields in bytes (§5.3.4).
pub mod field {
    /// 16 bits: columns of the console.
    pub const COLS: u32 = 0;
    /// 16 bits: its rows.
    pub const ROWS: u32 = 2;
    /// 32 bits: most ports that there may be.
    pub const MAX_NR_PORTS: u32 = 4;
    /// 32 bits, only written: a byte for the console.
    pub const EMERG_WR: u32 = 8;
}

/// The configuration of a console device, an access each call.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a>(pub(super) &'a Virtio);

impl Config<'_> {
    /// Columns of the console; means something with [`SerialFeature::SIZE`].
    #[track_caller]
    pub fn cols(&self) -> u16 {
        self.0.config_u16(field::COLS)
    }

    /// Rows of the console; means something with [`SerialFeature::SIZE`].
    #[track_caller]
    pub fn rows(&self) -> u16 {
        self.0.config_u16(field::ROWS)
    }

    /// Most ports that there may be; means something with [`SerialFeature::MULTIPORT`].
    #[track_caller]
    pub fn max_nr_ports(&self) -> u32 {
        self.0.config_u32(field::MAX_NR_PORTS)
    }

    /// Has the console show a byte, which needs neither virtqueue nor negotiation; queued. The device looks at the low eight bits.
    #[track_caller]
    pub fn emergency_write(&self, value: u32) {
        self.0.set_config_u32(field::EMERG_WR, value);
    }
}
