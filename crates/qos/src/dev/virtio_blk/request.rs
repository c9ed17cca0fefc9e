//! Requests (§5.2.6): a header that the device reads, data either way, a status byte that it writes.

use std::fmt;

use crate::mem::{GuestAlloc, GuestBuf};
use crate::virtio::{Order, Segment, Virtio};

/// What a request asks for (§5.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind(pub u32);

impl Kind {
    /// Read.
    pub const IN: Self = Self(0);
    /// Write.
    pub const OUT: Self = Self(1);
    /// A SCSI command. Legacy.
    pub const SCSI_CMD: Self = Self(2);
    /// Write what is cached to the medium.
    pub const FLUSH: Self = Self(4);
    /// Say the disk's name, 20 bytes.
    pub const GET_ID: Self = Self(8);
    /// Say how worn it is.
    pub const GET_LIFETIME: Self = Self(10);
    /// Sectors that are not needed any more.
    pub const DISCARD: Self = Self(11);
    /// Sectors that are to read as zeroes.
    pub const WRITE_ZEROES: Self = Self(13);
    /// Sectors that nobody shall read any more.
    pub const SECURE_ERASE: Self = Self(14);
    /// Write at the end of a zone.
    pub const ZONE_APPEND: Self = Self(15);
    /// Say what zones there are.
    pub const ZONE_REPORT: Self = Self(16);
    /// Open a zone.
    pub const ZONE_OPEN: Self = Self(18);
    /// Close a zone.
    pub const ZONE_CLOSE: Self = Self(20);
    /// Fill a zone up.
    pub const ZONE_FINISH: Self = Self(22);
    /// Empty a zone.
    pub const ZONE_RESET: Self = Self(24);
    /// Empty all zones.
    pub const ZONE_RESET_ALL: Self = Self(26);
    /// A barrier before the request. Legacy, with [`BlkFeature::BARRIER`](super::BlkFeature::BARRIER).
    pub const BARRIER: Self = Self(1 << 31);

    /// The same with the barrier flag of old.
    #[must_use]
    pub const fn with_barrier(self) -> Self {
        Self(self.0 | Self::BARRIER.0)
    }
}

/// What became of a request (§5.2.6).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub u8);

impl Status {
    /// It was done.
    pub const OK: Self = Self(0);
    /// It failed.
    pub const IOERR: Self = Self(1);
    /// The device can't do that.
    pub const UNSUPP: Self = Self(2);
    /// The device can't do that with zones.
    pub const ZONE_INVALID_CMD: Self = Self(3);
    /// No status of the specification: what stands there before the device has written one.
    pub const PENDING: Self = Self(0xee);
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OK => f.write_str("OK"),
            Self::IOERR => f.write_str("IOERR"),
            Self::UNSUPP => f.write_str("UNSUPP"),
            Self::ZONE_INVALID_CMD => f.write_str("ZONE_INVALID_CMD"),
            Self::PENDING => f.write_str("PENDING"),
            Self(other) => write!(f, "Status({other:#04x})"),
        }
    }
}

/// The 16 bytes at the beginning of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What is asked for.
    pub kind: Kind,
    /// Reserved; with the legacy interface a priority.
    pub reserved: u32,
    /// The first sector of 512 bytes.
    pub sector: u64,
}

impl Header {
    /// Bytes of it.
    pub const LEN: u64 = 16;

    /// As the device reads it.
    pub fn bytes(&self, order: Order) -> [u8; Self::LEN as usize] {
        let mut bytes = [0; Self::LEN as usize];
        bytes[..4].copy_from_slice(&order.bytes32(self.kind.0));
        bytes[4..8].copy_from_slice(&order.bytes32(self.reserved));
        bytes[8..].copy_from_slice(&order.bytes64(self.sector));
        bytes
    }
}

/// The data of a discard or write zeroes request: which sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub sector: u64,
    /// How many.
    pub count: u32,
    /// Bit 0: the sectors may be given back, with write zeroes.
    pub flags: u32,
}

impl Range {
    /// The device may give the sectors back.
    pub const UNMAP: u32 = 1;

    /// So many sectors from this one on.
    pub const fn new(sector: u64, count: u32) -> Self {
        Self {
            sector,
            count,
            flags: 0,
        }
    }

    /// With these flags.
    #[must_use]
    pub const fn flags(self, flags: u32) -> Self {
        Self { flags, ..self }
    }

    /// As the device reads it.
    pub fn bytes(&self, order: Order) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&order.bytes64(self.sector));
        bytes[8..12].copy_from_slice(&order.bytes32(self.count));
        bytes[12..].copy_from_slice(&order.bytes32(self.flags));
        bytes
    }
}

/// A request in guest memory.
#[derive(Debug)]
pub struct Request {
    header: GuestBuf,
    data: Option<(GuestBuf, bool)>,
    status: GuestBuf,
}

impl Request {
    /// A request without data.
    #[track_caller]
    pub fn new(device: &Virtio, kind: Kind, sector: u64) -> Self {
        let alloc = GuestAlloc::of(device.vm());
        let header = Header {
            kind,
            reserved: 0,
            sector,
        };
        let status = alloc.buf(1);
        status.fill(Status::PENDING.0);
        Self {
            header: alloc.copy_of(&header.bytes(device.order())),
            data: None,
            status,
        }
    }

    /// With these bytes for the device to read.
    #[must_use]
    #[track_caller]
    pub fn sending(self, bytes: &[u8]) -> Self {
        let data = GuestAlloc::of(self.header.vm()).copy_of(bytes);
        Self {
            data: Some((data, false)),
            ..self
        }
    }

    /// With room for so many bytes that the device writes; zeroes until then.
    #[must_use]
    #[track_caller]
    pub fn receiving(self, len: u64) -> Self {
        let data = GuestAlloc::of(self.header.vm()).buf(len);
        Self {
            data: Some((data, true)),
            ..self
        }
    }

    /// Writes another header.
    #[track_caller]
    pub fn set_header(&self, device: &Virtio, header: Header) {
        self.header.write(0, &header.bytes(device.order()));
        self.status.fill(Status::PENDING.0);
    }

    /// The header's memory.
    pub fn header(&self) -> &GuestBuf {
        &self.header
    }

    /// The data's memory.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn data(&self) -> &GuestBuf {
        match &self.data {
            Some((data, _)) => data,
            None => panic!("this request has no data"),
        }
    }

    /// The status byte's memory.
    pub fn status_byte(&self) -> &GuestBuf {
        &self.status
    }

    /// What became of it; [`Status::PENDING`] before the device has said.
    #[track_caller]
    pub fn status(&self) -> Status {
        Status(self.status.read_le(0))
    }

    /// Header, data and status, a segment each. A piece without bytes has none.
    pub fn segments(&self) -> Vec<Segment> {
        let mut segments = vec![self.header.readable()];
        match &self.data {
            Some((data, _)) if data.is_empty() => {}
            Some((data, true)) => segments.push(data.writable()),
            Some((data, false)) => segments.push(data.readable()),
            None => {}
        }
        segments.push(self.status.writable());
        segments
    }

    /// As [`segments`](Self::segments), the data in pieces of `len` bytes.
    pub fn segments_of(&self, len: u32) -> Vec<Segment> {
        let mut pieces = Vec::new();
        for segment in self.segments() {
            let mut rest = segment;
            while rest.len > len && self.is_data(&segment) {
                pieces.push(Segment { len, ..rest });
                rest.addr += u64::from(len);
                rest.len -= len;
            }
            pieces.push(rest);
        }
        pieces
    }

    fn is_data(&self, segment: &Segment) -> bool {
        self.data
            .as_ref()
            .is_some_and(|(data, _)| data.addr() == segment.addr)
    }
}
