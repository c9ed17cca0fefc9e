//! The configuration of the device (§5.2.4), and the features that say which fields are there (§5.2.3).

use crate::virtio::{Features, Virtio};

/// Features of block devices (§5.2.3).
#[derive(Clone, Copy, Debug)]
pub struct BlkFeature;

impl BlkFeature {
    /// Write barriers. Legacy.
    pub const BARRIER: Features = Features::bit(0);
    /// `size_max` is there.
    pub const SIZE_MAX: Features = Features::bit(1);
    /// `seg_max` is there.
    pub const SEG_MAX: Features = Features::bit(2);
    /// The geometry is there.
    pub const GEOMETRY: Features = Features::bit(4);
    /// The disk can't be written.
    pub const RO: Features = Features::bit(5);
    /// The block size is there.
    pub const BLK_SIZE: Features = Features::bit(6);
    /// SCSI commands are passed on. Legacy.
    pub const SCSI: Features = Features::bit(7);
    /// Flush is a command.
    pub const FLUSH: Features = Features::bit(9);
    /// The topology is there.
    pub const TOPOLOGY: Features = Features::bit(10);
    /// The driver may switch the write cache.
    pub const CONFIG_WCE: Features = Features::bit(11);
    /// More than one virtqueue.
    pub const MQ: Features = Features::bit(12);
    /// Discard is a command.
    pub const DISCARD: Features = Features::bit(13);
    /// Write zeroes is a command.
    pub const WRITE_ZEROES: Features = Features::bit(14);
    /// Lifetime information is a command.
    pub const LIFETIME: Features = Features::bit(15);
    /// Secure erase is a command.
    pub const SECURE_ERASE: Features = Features::bit(16);
    /// The disk has zones.
    pub const ZONED: Features = Features::bit(17);
}

/// Offsets of the fields in bytes (§5.2.4).
pub mod field {
    /// 64 bits: sectors of 512 bytes.
    pub const CAPACITY: u32 = 0;
    /// 32 bits: most bytes of a segment.
    pub const SIZE_MAX: u32 = 8;
    /// 32 bits: most segments of a request.
    pub const SEG_MAX: u32 = 12;
    /// 16 bits.
    pub const CYLINDERS: u32 = 16;
    /// 8 bits.
    pub const HEADS: u32 = 18;
    /// 8 bits.
    pub const SECTORS: u32 = 19;
    /// 32 bits: bytes of a block.
    pub const BLK_SIZE: u32 = 20;
    /// 8 bits: blocks in a physical block, as an exponent of two.
    pub const PHYSICAL_BLOCK_EXP: u32 = 24;
    /// 8 bits: blocks before the first aligned one.
    pub const ALIGNMENT_OFFSET: u32 = 25;
    /// 16 bits: blocks.
    pub const MIN_IO_SIZE: u32 = 26;
    /// 32 bits: blocks.
    pub const OPT_IO_SIZE: u32 = 28;
    /// 8 bits: 0 writethrough, 1 writeback.
    pub const WRITEBACK: u32 = 32;
    /// 16 bits.
    pub const NUM_QUEUES: u32 = 34;
    /// 32 bits: sectors.
    pub const MAX_DISCARD_SECTORS: u32 = 36;
    /// 32 bits.
    pub const MAX_DISCARD_SEG: u32 = 40;
    /// 32 bits: sectors.
    pub const DISCARD_SECTOR_ALIGNMENT: u32 = 44;
    /// 32 bits: sectors.
    pub const MAX_WRITE_ZEROES_SECTORS: u32 = 48;
    /// 32 bits.
    pub const MAX_WRITE_ZEROES_SEG: u32 = 52;
    /// 8 bits.
    pub const WRITE_ZEROES_MAY_UNMAP: u32 = 56;
    /// 32 bits: sectors.
    pub const MAX_SECURE_ERASE_SECTORS: u32 = 60;
    /// 32 bits: sectors of a zone.
    pub const ZONE_SECTORS: u32 = 72;
    /// 8 bits: 0 not zoned, 1 host-managed, 2 host-aware.
    pub const ZONED_MODEL: u32 = 92;
}

/// A disk's geometry, of no meaning to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Cylinders.
    pub cylinders: u16,
    /// Heads.
    pub heads: u8,
    /// Sectors of a track.
    pub sectors: u8,
}

/// How requests are best placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Blocks in a physical block, as an exponent of two.
    pub physical_block_exp: u8,
    /// Blocks before the first aligned one.
    pub alignment_offset: u8,
    /// The smallest good request, in blocks; 0 is not known.
    pub min_io_size: u16,
    /// The best request, in blocks; 0 is not known.
    pub opt_io_size: u32,
}

/// The configuration of a block device, a read each call.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a>(pub(super) &'a Virtio);

impl Config<'_> {
    /// Sectors of 512 bytes.
    #[track_caller]
    pub fn capacity(&self) -> u64 {
        self.0.config_u64(field::CAPACITY)
    }

    /// Most bytes of a segment, with `SIZE_MAX`.
    #[track_caller]
    pub fn size_max(&self) -> u32 {
        self.0.config_u32(field::SIZE_MAX)
    }

    /// Most segments of a request, with `SEG_MAX`.
    #[track_caller]
    pub fn seg_max(&self) -> u32 {
        self.0.config_u32(field::SEG_MAX)
    }

    /// The geometry, with `GEOMETRY`.
    #[track_caller]
    pub fn geometry(&self) -> Geometry {
        Geometry {
            cylinders: self.0.config_u16(field::CYLINDERS),
            heads: self.0.config_u8(field::HEADS),
            sectors: self.0.config_u8(field::SECTORS),
        }
    }

    /// Bytes of a block, with `BLK_SIZE`.
    #[track_caller]
    pub fn blk_size(&self) -> u32 {
        self.0.config_u32(field::BLK_SIZE)
    }

    /// The topology, with `TOPOLOGY`.
    #[track_caller]
    pub fn topology(&self) -> Topology {
        Topology {
            physical_block_exp: self.0.config_u8(field::PHYSICAL_BLOCK_EXP),
            alignment_offset: self.0.config_u8(field::ALIGNMENT_OFFSET),
            min_io_size: self.0.config_u16(field::MIN_IO_SIZE),
            opt_io_size: self.0.config_u32(field::OPT_IO_SIZE),
        }
    }

    /// Whether the write cache is on, with `CONFIG_WCE`: 1 if it is.
    #[track_caller]
    pub fn writeback(&self) -> u8 {
        self.0.config_u8(field::WRITEBACK)
    }

    /// Switches the write cache, with `CONFIG_WCE`. Queued.
    #[track_caller]
    pub fn set_writeback(&self, writeback: u8) {
        self.0.set_config_u8(field::WRITEBACK, writeback);
    }

    /// Virtqueues, with `MQ`.
    #[track_caller]
    pub fn num_queues(&self) -> u16 {
        self.0.config_u16(field::NUM_QUEUES)
    }

    /// A field of 32 bits.
    #[track_caller]
    pub fn u32(&self, field: u32) -> u32 {
        self.0.config_u32(field)
    }

    /// A field of 8 bits.
    #[track_caller]
    pub fn u8(&self, field: u32) -> u8 {
        self.0.config_u8(field)
    }
}
