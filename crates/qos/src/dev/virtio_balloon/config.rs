//! The configuration of the device (§5.5.4), and the features that say which fields are there (§5.5.3).

use crate::virtio::{ConfigWidth, Features, Order, Virtio};

/// Features of balloon devices (§5.5.3).
#[derive(Clone, Copy, Debug)]
pub struct BalloonFeature;

impl BalloonFeature {
    /// The device is told of pages before they are taken again.
    pub const MUST_TELL_HOST: Features = Features::bit(0);
    /// There is a virtqueue of statistics.
    pub const STATS_VQ: Features = Features::bit(1);
    /// The driver may take pages again when it runs out of memory.
    pub const DEFLATE_ON_OOM: Features = Features::bit(2);
    /// The device asks for hints which pages are free.
    pub const FREE_PAGE_HINT: Features = Features::bit(3);
    /// The driver says what it fills free pages with.
    pub const PAGE_POISON: Features = Features::bit(4);
    /// The driver reports free pages by itself.
    pub const PAGE_REPORTING: Features = Features::bit(5);
}

/// Offsets of the fields in bytes (§5.5.4). All have 32 bits.
pub mod field {
    /// Pages that the device wants.
    pub const NUM_PAGES: u32 = 0;
    /// Pages that the driver has given; the driver writes it.
    pub const ACTUAL: u32 = 4;
    /// Which hints the device wants: [`HintCommand`](super::HintCommand).
    pub const FREE_PAGE_HINT_CMD_ID: u32 = 8;
    /// What free pages are filled with; the driver writes it.
    pub const POISON_VAL: u32 = 12;
}

/// Which hints the device wants (§5.5.6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HintCommand(pub u32);

impl HintCommand {
    /// None any more. Also what the driver says after its last.
    pub const STOP: Self = Self(0);
    /// None any more, and the driver may use the pages that it gave.
    pub const DONE: Self = Self(1);
}

/// The configuration of a balloon device, an access each call.
///
/// §5.5.4.1: its fields are little-endian also in the legacy interface.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a>(pub(super) &'a Virtio);

impl Config<'_> {
    #[track_caller]
    fn read(self, offset: u32) -> u32 {
        Order::Little.value(&self.0.order().bytes32(self.0.config_u32(offset))) as u32
    }

    #[track_caller]
    fn write(self, offset: u32, value: u32) {
        let value = self.0.order().value(&Order::Little.bytes32(value)) as u32;
        self.0.set_config_u32(offset, value);
    }

    /// Pages of 4,096 bytes that the device wants.
    #[track_caller]
    pub fn num_pages(&self) -> u32 {
        self.read(field::NUM_PAGES)
    }

    /// Pages that the driver says it has given.
    #[track_caller]
    pub fn actual(&self) -> u32 {
        self.read(field::ACTUAL)
    }

    /// Says how many pages the driver has given. Queued.
    #[track_caller]
    pub fn set_actual(&self, pages: u32) {
        self.write(field::ACTUAL, pages);
    }

    /// Writes the least significant byte of `actual`, and no more. Queued.
    #[track_caller]
    pub fn set_actual_low_byte(&self, value: u8) {
        self.0
            .transport()
            .config_write(field::ACTUAL, ConfigWidth::B, value.into());
    }

    /// Which hints the device wants; with [`BalloonFeature::FREE_PAGE_HINT`].
    #[track_caller]
    pub fn hint_command(&self) -> HintCommand {
        HintCommand(self.read(field::FREE_PAGE_HINT_CMD_ID))
    }

    /// What free pages are filled with; with [`BalloonFeature::PAGE_POISON`].
    #[track_caller]
    pub fn poison(&self) -> u32 {
        self.read(field::POISON_VAL)
    }

    /// Says what free pages are filled with. Queued.
    #[track_caller]
    pub fn set_poison(&self, value: u32) {
        self.write(field::POISON_VAL, value);
    }

    /// Writes the pages that the device wants, which is not the driver's to write. Queued.
    #[track_caller]
    pub fn set_num_pages(&self, pages: u32) {
        self.write(field::NUM_PAGES, pages);
    }
}
