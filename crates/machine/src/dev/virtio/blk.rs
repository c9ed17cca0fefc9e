//! The block device (§5.2).

use super::{Broken, Chain, VirtioDevice, number};
use crate::dev::ata::geometry::Chs;
use crate::disk::{Disk, SECTOR};
use crate::ram::Ram;

/// [5.2.3] Feature bits.
mod feature {
    pub(super) const SEG_MAX: u64 = 1 << 2;
    pub(super) const GEOMETRY: u64 = 1 << 4;
    pub(super) const RO: u64 = 1 << 5;
    pub(super) const BLK_SIZE: u64 = 1 << 6;
    pub(super) const FLUSH: u64 = 1 << 9;
    pub(super) const TOPOLOGY: u64 = 1 << 10;
    pub(super) const CONFIG_WCE: u64 = 1 << 11;
    pub(super) const MQ: u64 = 1 << 12;
    pub(super) const DISCARD: u64 = 1 << 13;
    pub(super) const WRITE_ZEROES: u64 = 1 << 14;
}

/// [5.2.6] Types of requests.
mod kind {
    pub(super) const IN: u32 = 0;
    pub(super) const OUT: u32 = 1;
    pub(super) const SCSI_CMD: u32 = 2;
    pub(super) const FLUSH: u32 = 4;
    pub(super) const GET_ID: u32 = 8;
    pub(super) const DISCARD: u32 = 11;
    pub(super) const WRITE_ZEROES: u32 = 13;
    /// [5.2.6.3] A flag of old drivers.
    pub(super) const BARRIER: u32 = 1 << 31;
}

/// [5.2.6] The last byte of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Ok = 0,
    IoErr = 1,
    Unsupp = 2,
}

/// [5.2.4] Where `writeback` is.
const WRITEBACK: usize = 32;
/// [5.2.6] A range may be unmapped.
const UNMAP: u32 = 1 << 0;
/// [5.2.6] Bytes of a device's name.
const NAME_LEN: usize = 20;
/// What is copied at a time.
const PIECE: usize = 64 << 10;

/// What the machine's owner chose.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) geometry: Chs,
    pub(crate) logical_block: u32,
    pub(crate) physical_block: u32,
    pub(crate) min_io: u32,
    pub(crate) opt_io: u32,
    pub(crate) discard_granularity: u32,
    pub(crate) queues: u16,
    pub(crate) queue_size: u16,
    pub(crate) write_cache: bool,
    pub(crate) config_wce: bool,
    pub(crate) discard: bool,
    pub(crate) write_zeroes: bool,
    pub(crate) max_discard: u32,
    pub(crate) max_write_zeroes: u32,
    pub(crate) serial: String,
}

/// A disk.
pub(crate) struct Blk {
    disk: Disk,
    /// The name of its image.
    pub(crate) node: String,
    options: Options,
    /// Whether what is written may wait for a flush.
    writeback: bool,
    features: u64,
}

impl Blk {
    pub(crate) fn new(disk: Disk, node: String, options: Options) -> Self {
        Self {
            disk,
            node,
            writeback: options.write_cache,
            options,
            features: 0,
        }
    }

    /// So many sectors from one on, if they are on the disk, whole blocks, and begin at one.
    fn is_valid(&self, sector: u64, bytes: u64) -> bool {
        let block = u64::from(self.options.logical_block);
        let unit = block / SECTOR as u64;
        bytes % block == 0
            && (bytes == 0 || sector % unit == 0)
            && self.disk.holds(sector, bytes / SECTOR as u64)
    }

    /// Copies from the disk; the status, and how many bytes were written.
    fn read(&self, ram: &Ram, chain: &Chain, sector: u64, bytes: u64) -> (Status, u64) {
        if !self.is_valid(sector, bytes) {
            return (Status::IoErr, 0);
        }
        let mut piece = vec![0; PIECE.min(bytes as usize)];
        let mut done = 0;
        while done < bytes {
            let len = (bytes - done).min(PIECE as u64) as usize;
            let piece = &mut piece[..len];
            if self
                .disk
                .read(sector + done / SECTOR as u64, piece)
                .is_err()
            {
                return (Status::IoErr, done);
            }
            chain.write(ram, done, piece);
            done += len as u64;
        }
        (Status::Ok, done)
    }

    fn write(&self, ram: &Ram, chain: &Chain, sector: u64, bytes: u64) -> Status {
        if !self.is_valid(sector, bytes) {
            return Status::IoErr;
        }
        let mut piece = vec![0; PIECE.min(bytes as usize)];
        let mut done = 0;
        while done < bytes {
            let len = (bytes - done).min(PIECE as u64) as usize;
            let piece = &mut piece[..len];
            chain.read(ram, HEADER + done, piece);
            if self
                .disk
                .write(sector + done / SECTOR as u64, piece)
                .is_err()
            {
                return Status::IoErr;
            }
            done += len as u64;
        }
        if self.writeback {
            Status::Ok
        } else {
            self.flush()
        }
    }

    fn flush(&self) -> Status {
        match self.disk.flush() {
            Ok(()) => Status::Ok,
            Err(_) => Status::IoErr,
        }
    }

    /// [5.2.6.2] One range: its sectors read as zeroes, or need no room any more.
    fn clear(&self, ram: &Ram, chain: &Chain, discard: bool) -> Result<Status, Broken> {
        let mut range = [0; 16];
        if chain.read(ram, HEADER, &mut range) < range.len() {
            return Err(Broken);
        }
        let sector = number(&range[..8]);
        let count = number(&range[8..12]) as u32;
        let flags = number(&range[12..]) as u32;
        let (known, most) = if discard {
            (0, self.options.max_discard)
        } else {
            (UNMAP, self.options.max_write_zeroes)
        };
        if chain.readable() > HEADER + 16 || flags & !known != 0 {
            return Ok(Status::Unsupp);
        }
        let bytes = u64::from(count) * SECTOR as u64;
        if count > most || !self.is_valid(sector, bytes) {
            return Ok(Status::IoErr);
        }
        let done = if discard || flags & UNMAP != 0 {
            self.disk.discard(sector, count.into())
        } else {
            self.disk.write_zeroes(sector, count.into())
        };
        Ok(if done.is_ok() {
            Status::Ok
        } else {
            Status::IoErr
        })
    }
}

/// [5.2.6] Bytes of a request's header.
const HEADER: u64 = 16;

impl VirtioDevice for Blk {
    const NAME: &str = "virtio-blk-pci";
    const TYPE: u16 = 2;
    const TRANSITIONAL_ID: u16 = 0x1001;
    const CLASS: u32 = 0x01_0000;

    fn features(&self) -> u64 {
        let options = &self.options;
        let mut features =
            feature::SEG_MAX | feature::GEOMETRY | feature::BLK_SIZE | feature::TOPOLOGY;
        let choices = [
            (self.disk.is_read_only(), feature::RO),
            (options.write_cache, feature::FLUSH),
            (options.config_wce, feature::CONFIG_WCE),
            (options.queues > 1, feature::MQ),
            (options.discard, feature::DISCARD),
            (options.write_zeroes, feature::WRITE_ZEROES),
        ];
        for (chosen, feature) in choices {
            if chosen {
                features |= feature;
            }
        }
        features
    }

    /// [5.2.5.2] A driver that can't flush has its writes done at once.
    fn negotiated(&mut self, features: u64) {
        self.features = features;
        let can_flush = features & (feature::FLUSH | feature::CONFIG_WCE) != 0;
        self.writeback = self.options.write_cache && can_flush;
    }

    fn queues(&self) -> u16 {
        self.options.queues
    }

    fn queue_size(&self) -> u16 {
        self.options.queue_size
    }

    /// [5.2.4]
    fn config(&self) -> Vec<u8> {
        let Options {
            geometry,
            logical_block,
            physical_block,
            ..
        } = self.options;
        let options = &self.options;
        // A geometry is in sectors, and says nothing of parts of blocks.
        let unit = logical_block / SECTOR as u32;
        let mut bytes = vec![0; 60];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &self.disk.sectors().to_le_bytes());
        // Header and status take two descriptors.
        put(12, &(u32::from(options.queue_size) - 2).to_le_bytes());
        put(16, &(geometry.cylinders as u16).to_le_bytes());
        put(18, &[geometry.heads as u8]);
        put(19, &[(geometry.sectors / unit * unit) as u8]);
        put(20, &logical_block.to_le_bytes());
        put(
            24,
            &[(physical_block / logical_block).trailing_zeros() as u8],
        );
        put(26, &((options.min_io / logical_block) as u16).to_le_bytes());
        put(28, &(options.opt_io / logical_block).to_le_bytes());
        put(WRITEBACK, &[u8::from(self.writeback)]);
        put(34, &options.queues.to_le_bytes());
        if options.discard {
            put(36, &options.max_discard.to_le_bytes());
            put(40, &1_u32.to_le_bytes());
            let alignment = options.discard_granularity / SECTOR as u32;
            put(44, &alignment.to_le_bytes());
        }
        if options.write_zeroes {
            put(48, &options.max_write_zeroes.to_le_bytes());
            put(52, &1_u32.to_le_bytes());
            put(56, &[1]);
        }
        bytes
    }

    fn write_config(&mut self, offset: usize, data: &[u8]) {
        if self.features & feature::CONFIG_WCE != 0 && offset <= WRITEBACK {
            if let Some(value) = data.get(WRITEBACK - offset) {
                self.writeback = *value != 0;
            }
        }
    }

    fn serve(&mut self, ram: &Ram, chain: &Chain) -> Result<u32, Broken> {
        let mut header = [0; HEADER as usize];
        let is_whole = chain.read(ram, 0, &mut header) == header.len();
        let room = chain.writable().checked_sub(1);
        let (Some(room), true) = (room, is_whole) else {
            return Err(Broken);
        };
        let kind = number(&header[..4]) as u32 & !kind::BARRIER;
        let sector = number(&header[8..]);
        let (status, written) = match kind {
            kind::IN => self.read(ram, chain, sector, room),
            kind::OUT => {
                let status = self.write(ram, chain, sector, chain.readable() - HEADER);
                (status, 0)
            }
            kind::FLUSH => (self.flush(), 0),
            kind::GET_ID => {
                // A shorter name ends with a zero.
                let mut name = self.options.serial.clone().into_bytes();
                name.push(0);
                name.truncate(NAME_LEN.min(room as usize));
                (Status::Ok, chain.write(ram, 0, &name) as u64)
            }
            kind::DISCARD => (self.clear(ram, chain, true)?, 0),
            kind::WRITE_ZEROES => (self.clear(ram, chain, false)?, 0),
            // The legacy interface's: a command, and results of 16 bytes whose first four are its errors [5.2.6.3].
            kind::SCSI_CMD if chain.readable() == HEADER || room <= 16 => (Status::IoErr, 0),
            kind::SCSI_CMD => {
                chain.write(ram, room - 16, &255_u32.to_le_bytes());
                (Status::Unsupp, 0)
            }
            _ => (Status::Unsupp, 0),
        };
        chain.write(ram, room, &[status as u8]);
        Ok((written + u64::from(written == room)) as u32)
    }

    fn reset(&mut self) {
        self.features = 0;
        self.writeback = self.options.write_cache;
    }
}
