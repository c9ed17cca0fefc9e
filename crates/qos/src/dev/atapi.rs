//! Packet devices on an ATA channel: CD-ROM and DVD drives, by the PACKET command.
//!
//! Sources: *AT Attachment with Packet Interface – 6* (T13/1410D), PACKET command and protocol; *SCSI Multimedia Commands* (MMC-5) and
//! *SCSI Primary Commands* (SPC-3) for what is in the packets.
//!
//! ```no_run
//! use testjig_qos::dev::ata::{Channel, Unit};
//! use testjig_qos::dev::atapi::{Cdb, Drive};
//! # fn example(vm: &testjig_vm::Vm) {
//! let cd = Drive::new(&Channel::primary(vm), Unit::Device0);
//! let block = cd.pio(&Cdb::read_10(16, 1), 2048);
//! assert!(block.is_good() && block.data.len() == 2048);
//! # }
//! ```

use bitfield_struct::bitfield;

use super::ata::{Address, Channel, Command, Ending, Error, Reg, Status, Taskfile, Unit};
use super::piix_ide::{BmStatus, BusMaster, Direction, Prd};
use crate::mem::GuestSlice;

/// Bytes of a block of a CD-ROM in mode 1 or of a DVD.
pub const BLOCK: usize = 2048;

/// More DRQ blocks than any command of a test has.
const MOST_BLOCKS: usize = 1000;

/// A command packet: twelve bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cdb(pub [u8; 12]);

impl Cdb {
    /// Only an operation code.
    pub const fn new(operation: u8) -> Self {
        Self([operation, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    }

    /// With these bytes from `at` on.
    #[must_use]
    pub fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// TEST UNIT READY (SPC-3).
    pub const fn test_unit_ready() -> Self {
        Self::new(0x00)
    }

    /// REQUEST SENSE (SPC-3) of at most `length` bytes.
    pub fn request_sense(length: u8) -> Self {
        Self::new(0x03).with(4, &[length])
    }

    /// INQUIRY (SPC-3) of at most `length` bytes.
    pub fn inquiry(length: u8) -> Self {
        Self::new(0x12).with(4, &[length])
    }

    /// INQUIRY (SPC-3) of a page of vital product data.
    pub fn inquiry_page(page: u8, length: u8) -> Self {
        Self::inquiry(length).with(1, &[1, page])
    }

    /// START STOP UNIT (MMC-5).
    pub fn start_stop_unit(start: bool, load_eject: bool) -> Self {
        Self::new(0x1b).with(4, &[u8::from(start) | u8::from(load_eject) << 1])
    }

    /// PREVENT ALLOW MEDIUM REMOVAL (SPC-3).
    pub fn prevent_removal(prevent: bool) -> Self {
        Self::new(0x1e).with(4, &[prevent.into()])
    }

    /// READ CAPACITY (MMC-5).
    pub const fn read_capacity() -> Self {
        Self::new(0x25)
    }

    /// READ (10) (MMC-5).
    pub fn read_10(lba: u32, blocks: u16) -> Self {
        Self::new(0x28)
            .with(2, &lba.to_be_bytes())
            .with(7, &blocks.to_be_bytes())
    }

    /// READ (12) (MMC-5).
    pub fn read_12(lba: u32, blocks: u32) -> Self {
        Self::new(0xa8)
            .with(2, &lba.to_be_bytes())
            .with(6, &blocks.to_be_bytes())
    }

    /// SEEK (10) (MMC-5).
    pub fn seek_10(lba: u32) -> Self {
        Self::new(0x2b).with(2, &lba.to_be_bytes())
    }

    /// READ TOC/PMA/ATIP (MMC-5): `format` 0–5 from `track` on.
    pub fn read_toc(format: u8, msf: bool, track: u8, length: u16) -> Self {
        // The format has been in byte 9, bits 7:6, too, since SFF-8020i.
        Self::new(0x43)
            .with(1, &[u8::from(msf) << 1, format])
            .with(6, &[track])
            .with(7, &length.to_be_bytes())
            .with(9, &[format << 6])
    }

    /// GET CONFIGURATION (MMC-5): all features from `first` on.
    pub fn get_configuration(first: u16, length: u16) -> Self {
        Self::new(0x46)
            .with(2, &first.to_be_bytes())
            .with(7, &length.to_be_bytes())
    }

    /// GET EVENT STATUS NOTIFICATION (MMC-5) of the classes in the mask.
    pub fn get_event_status(polled: bool, classes: u8, length: u16) -> Self {
        Self::new(0x4a)
            .with(1, &[polled.into()])
            .with(4, &[classes])
            .with(7, &length.to_be_bytes())
    }

    /// READ DISC INFORMATION (MMC-5).
    pub fn read_disc_information(kind: u8, length: u16) -> Self {
        Self::new(0x51)
            .with(1, &[kind])
            .with(7, &length.to_be_bytes())
    }

    /// MODE SENSE (10) (SPC-3): `control` 0 current, 1 changeable, 2 default, 3 saved values.
    pub fn mode_sense(control: u8, page: u8, length: u16) -> Self {
        Self::new(0x5a)
            .with(2, &[control << 6 | page])
            .with(7, &length.to_be_bytes())
    }

    /// READ DISC STRUCTURE (MMC-5; before, READ DVD STRUCTURE).
    pub fn read_disc_structure(media: u8, layer: u8, format: u8, length: u16) -> Self {
        Self::new(0xad)
            .with(1, &[media])
            .with(6, &[layer, format])
            .with(8, &length.to_be_bytes())
    }

    /// SET CD SPEED (MMC-5).
    pub const fn set_cd_speed() -> Self {
        Self::new(0xbb)
    }

    /// MECHANISM STATUS (MMC-5).
    pub fn mechanism_status(length: u16) -> Self {
        Self::new(0xbd).with(8, &length.to_be_bytes())
    }

    /// READ CD (MMC-5): `fields` is byte 9, what of a sector is transferred: 10h user data, F8h all of it.
    pub fn read_cd(lba: u32, blocks: u32, fields: u8) -> Self {
        Self::new(0xbe)
            .with(2, &lba.to_be_bytes())
            .with(6, &blocks.to_be_bytes()[1..])
            .with(9, &[fields])
    }
}

/// Interrupt reason: what Sector Count is while a packet command is executed.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct InterruptReason {
    /// C/D: a command packet, or the status; not data.
    pub command: bool,
    /// I/O: to the host.
    pub to_host: bool,
    /// REL: the bus was released.
    pub released: bool,
    /// Tag of an overlapped command.
    #[bits(5)]
    pub tag: u8,
}

/// What a packet command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The data.
    pub data: Vec<u8>,
    /// The length of each DRQ block in bytes, as the byte count registers told it.
    pub blocks: Vec<u16>,
    /// The command block at the end.
    pub ending: Ending,
}

impl Reply {
    /// Whether it ended without a check condition, and with the interrupt reason of a status.
    pub fn is_good(&self) -> bool {
        let reason = InterruptReason::from(self.ending.count);
        self.ending.is_good() && reason.command() && reason.to_host()
    }

    /// The sense key of the check condition that it ended with.
    pub fn sense_key(&self) -> Option<u8> {
        let ending = &self.ending;
        (ending.status.err() && !ending.status.drq()).then(|| ending.error.sense_key())
    }
}

/// Sense data in fixed format (SPC-3, sense key and additional sense code).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sense {
    /// Sense key.
    pub key: u8,
    /// Additional sense code.
    pub code: u8,
    /// Additional sense code qualifier.
    pub qualifier: u8,
}

impl Sense {
    /// Nothing to tell.
    pub const NONE: Self = Self::new(0, 0);
    /// Not ready: medium not present.
    pub const NO_MEDIUM: Self = Self::new(2, 0x3a);
    /// Illegal request: invalid command operation code.
    pub const BAD_OPERATION: Self = Self::new(5, 0x20);
    /// Illegal request: logical block address out of range.
    pub const OUT_OF_RANGE: Self = Self::new(5, 0x21);
    /// Illegal request: invalid field in the packet.
    pub const BAD_FIELD: Self = Self::new(5, 0x24);
    /// Illegal request: saving parameters not supported.
    pub const NO_SAVING: Self = Self::new(5, 0x39);
    /// Unit attention: the medium may have changed.
    pub const MEDIUM_CHANGED: Self = Self::new(6, 0x28);

    /// A key and a code, the qualifier 0.
    pub const fn new(key: u8, code: u8) -> Self {
        Self {
            key,
            code,
            qualifier: 0,
        }
    }
}

/// A packet device.
#[derive(Clone, Debug)]
pub struct Drive {
    ata: Channel,
    unit: Unit,
}

impl Drive {
    /// The device `unit` of a channel. Touches nothing.
    pub fn new(ata: &Channel, unit: Unit) -> Self {
        Self {
            ata: ata.clone(),
            unit,
        }
    }

    /// Its channel.
    pub fn ata(&self) -> &Channel {
        &self.ata
    }

    /// Interrupt reason now.
    #[track_caller]
    pub fn reason(&self) -> InterruptReason {
        self.ata.read(Reg::SectorCount).into()
    }

    /// Byte count now: what the DRQ block has, or the limit that was set.
    #[track_caller]
    pub fn byte_count(&self) -> u16 {
        u16::from_le_bytes([self.ata.read(Reg::LbaMid), self.ata.read(Reg::LbaHigh)])
    }

    /// The PACKET command with these features (bit 0: DMA) and this byte count limit.
    pub fn task(&self, features: u16, limit: u16) -> Taskfile {
        Taskfile::new(Command::PACKET)
            .to(self.unit)
            .features(features)
            .at(Address::Lba28(u32::from(limit) << 8))
    }

    /// Issues PACKET and writes the packet, once the device asks for it.
    #[track_caller]
    pub fn send(&self, cdb: &Cdb, features: u16, limit: u16) {
        self.ata.issue(&self.task(features, limit));
        self.ata.wait_data("PACKET");
        self.ata.write_block(&cdb.0);
    }

    /// A packet command whose data goes through the data register, in DRQ blocks of at most `limit` bytes.
    #[track_caller]
    pub fn pio(&self, cdb: &Cdb, limit: u16) -> Reply {
        self.send(cdb, 0, limit);
        let (mut data, mut blocks) = (Vec::new(), Vec::new());
        loop {
            let status = self.ata.wait_idle();
            if !status.drq() || status.err() {
                break;
            }
            self.ata.status();
            let count = self.byte_count();
            assert!(
                blocks.len() < MOST_BLOCKS,
                "{cdb:?}: still DRQ after {MOST_BLOCKS} blocks, the last of {count} bytes: the transfer does not end"
            );
            blocks.push(count);
            data.extend(self.ata.read_block(usize::from(count).next_multiple_of(2)));
            data.truncate(blocks.iter().map(|&count| usize::from(count)).sum());
        }
        let ending = self.ata.ending();
        self.ata.status();
        Reply {
            data,
            blocks,
            ending,
        }
    }

    /// A packet command whose data goes by the bus master. Answers its status before it was stopped, and the command block.
    #[track_caller]
    pub fn dma(
        &self,
        bus_master: &BusMaster,
        cdb: &Cdb,
        table: &GuestSlice<Prd>,
    ) -> (BmStatus, Ending) {
        bus_master.prepare(table, Direction::ToMemory);
        self.send(cdb, 1, 0);
        bus_master.start();
        let status = bus_master.wait();
        bus_master.stop();
        (status, self.ata.ending())
    }

    /// REQUEST SENSE.
    #[track_caller]
    pub fn sense(&self) -> Sense {
        let reply = self.pio(&Cdb::request_sense(18), 18);
        assert!(reply.is_good(), "REQUEST SENSE: {reply:?}");
        Sense {
            key: reply.data[2] & 0xf,
            code: reply.data[12],
            qualifier: reply.data[13],
        }
    }

    /// Status and error now; leaves the interrupt alone.
    #[track_caller]
    pub fn status(&self) -> (Status, Error) {
        (self.ata.alternate_status(), self.ata.error())
    }
}
