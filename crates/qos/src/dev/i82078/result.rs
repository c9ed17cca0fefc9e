//! What commands leave to be read in their result phase [Command Set].

use std::fmt;

use super::chs::Chs;
use super::regs::{St0, St1, St2, St3};

/// A result: so many bytes of the FIFO, in this order.
pub trait Outcome: Sized {
    /// Number of bytes.
    const LEN: usize;

    /// Takes the bytes apart; there are [`LEN`](Self::LEN).
    fn from_bytes(bytes: &[u8]) -> Self;
}

/// Commands without a result phase.
impl Outcome for () {
    const LEN: usize = 0;

    fn from_bytes(_bytes: &[u8]) -> Self {}
}

/// One byte as it is.
impl Outcome for u8 {
    const LEN: usize = 1;

    fn from_bytes(bytes: &[u8]) -> Self {
        bytes[0]
    }
}

impl Outcome for St0 {
    const LEN: usize = 1;

    fn from_bytes(bytes: &[u8]) -> Self {
        bytes[0].into()
    }
}

impl Outcome for St3 {
    const LEN: usize = 1;

    fn from_bytes(bytes: &[u8]) -> Self {
        bytes[0].into()
    }
}

/// The seven bytes after a transfer of data or an ID.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TransferStatus {
    /// Status register 0.
    pub st0: St0,
    /// Status register 1.
    pub st1: St1,
    /// Status register 2.
    pub st2: St2,
    /// The sector after the last one transferred [Read Data, Result Phase Table], or the one that was asked for and not reached.
    pub at: Chs,
    /// N: the sector's size code.
    pub size: u8,
}

impl Outcome for TransferStatus {
    const LEN: usize = 7;

    fn from_bytes(bytes: &[u8]) -> Self {
        Self {
            st0: bytes[0].into(),
            st1: bytes[1].into(),
            st2: bytes[2].into(),
            at: Chs::new(bytes[3], bytes[4], bytes[5]),
            size: bytes[6],
        }
    }
}

impl fmt::Debug for TransferStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            st0,
            st1,
            st2,
            at,
            size,
        } = self;
        write!(f, "{st0:?} {st1:?} {st2:?} at {at} N={size}")
    }
}

/// The two bytes of SENSE INTERRUPT STATUS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sensed {
    /// Status register 0.
    pub st0: St0,
    /// PCN: the present cylinder number.
    pub cylinder: u8,
}

impl Outcome for Sensed {
    const LEN: usize = 2;

    fn from_bytes(bytes: &[u8]) -> Self {
        Self {
            st0: bytes[0].into(),
            cylinder: bytes[1],
        }
    }
}

/// The ten bytes of DUMPREG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dump {
    /// PCN of drives 0 to 3.
    pub cylinders: [u8; 4],
    /// SRT in bits 7:4, HUT in bits 3:0.
    pub step_and_unload: u8,
    /// HLT in bits 7:1, ND in bit 0.
    pub load_and_non_dma: u8,
    /// SC or EOT: sectors of a track.
    pub sectors: u8,
    /// LOCK in bit 7; D3 to D0, GAP and WGATE of PERPENDICULAR MODE in bits 5:0.
    pub lock_and_perpendicular: u8,
    /// EIS, EFIFO, POLL and FIFOTHR in bits 6, 5, 4 and 3:0: the second byte of CONFIGURE.
    pub configuration: u8,
    /// PRETRK: the first track with precompensation.
    pub precompensation_track: u8,
}

impl Outcome for Dump {
    const LEN: usize = 10;

    fn from_bytes(bytes: &[u8]) -> Self {
        Self {
            cylinders: [bytes[0], bytes[1], bytes[2], bytes[3]],
            step_and_unload: bytes[4],
            load_and_non_dma: bytes[5],
            sectors: bytes[6],
            lock_and_perpendicular: bytes[7],
            configuration: bytes[8],
            precompensation_track: bytes[9],
        }
    }
}

/// What SAVE hands out and RESTORE takes back. How many reserved bytes follow the named ones depends on the chip's revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved(pub Vec<u8>);

impl Saved {
    /// PCN of drives 0 to 3.
    pub fn cylinders(&self) -> &[u8] {
        &self.0[2..6]
    }

    /// SC or EOT: sectors of a track.
    pub fn sectors(&self) -> u8 {
        self.0[8]
    }

    /// LOCK in bit 7; D3 to D0, GAP and WGATE in bits 5:0.
    pub fn lock_and_perpendicular(&self) -> u8 {
        self.0[9]
    }

    /// The second byte of CONFIGURE.
    pub fn configuration(&self) -> u8 {
        self.0[10]
    }

    /// PRETRK.
    pub fn precompensation_track(&self) -> u8 {
        self.0[11]
    }
}

/// The four bytes of DRIVE SPECIFICATION, one a drive: PTS in bit 4, DRT in bits 3:2, DT in bits 1:0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriveSpecifications(pub [u8; 4]);

impl Outcome for DriveSpecifications {
    const LEN: usize = 4;

    fn from_bytes(bytes: &[u8]) -> Self {
        Self([bytes[0], bytes[1], bytes[2], bytes[3]])
    }
}
