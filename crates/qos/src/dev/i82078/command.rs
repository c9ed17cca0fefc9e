//! The commands, as the bytes of their command phase [Command Set].

use std::fmt;

use super::chs::Chs;
use super::regs::{St0, St3};
use super::result::{DriveSpecifications, Dump, Outcome, Sensed, TransferStatus};

/// A command: what is written in its command phase, and what is read in its result phase.
pub trait Command {
    /// Its result.
    type Outcome: Outcome;

    /// The bytes, command byte first.
    fn bytes(&self) -> Vec<u8>;
}

/// Drive and head, as the second byte of most commands has them.
const fn select(drive: u8, head: u8) -> u8 {
    (drive & 3) | (head & 1) << 2
}

/// What a [`Transfer`] does with the sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// READ DATA.
    Read = 0x06,
    /// READ DELETED DATA.
    ReadDeleted = 0x0c,
    /// WRITE DATA.
    Write = 0x05,
    /// WRITE DELETED DATA.
    WriteDeleted = 0x09,
    /// READ TRACK: from the index hole on, whatever the sectors' numbers.
    ReadTrack = 0x02,
    /// VERIFY: reads, and hands out nothing.
    Verify = 0x16,
    /// SCAN EQUAL, of the 8272A.
    ScanEqual = 0x11,
    /// SCAN LOW OR EQUAL, of the 8272A.
    ScanLow = 0x19,
    /// SCAN HIGH OR EQUAL, of the 8272A.
    ScanHigh = 0x1d,
}

/// A command that transfers sectors: nine bytes, then the data, then [`TransferStatus`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// What it does.
    pub operation: Operation,
    /// MT: goes on with side 1 after the last sector of side 0.
    pub multi_track: bool,
    /// MFM: double density.
    pub mfm: bool,
    /// SK: passes over sectors with the other kind of data mark.
    pub skip: bool,
    /// The drive, 0 to 3.
    pub drive: u8,
    /// HDS: the head that is selected; it should be that of [`at`](Self::at).
    pub head_select: u8,
    /// C, H and R: the first sector.
    pub at: Chs,
    /// N: a sector has 128 << N bytes.
    pub size: u8,
    /// EOT: the last sector of a track, or of the transfer.
    pub end: u8,
    /// GPL: the gap between sectors.
    pub gap: u8,
    /// DTL: bytes of a sector if N is 0; else FFH.
    pub length: u8,
}

impl Transfer {
    /// One sector of 512 bytes on drive 0, in double density.
    pub const fn new(operation: Operation, at: Chs) -> Self {
        Self {
            operation,
            multi_track: false,
            mfm: true,
            skip: false,
            drive: 0,
            head_select: at.head,
            at,
            size: 2,
            end: at.sector,
            gap: 0x1b,
            length: 0xff,
        }
    }

    /// READ DATA of one sector.
    pub const fn read(at: Chs) -> Self {
        Self::new(Operation::Read, at)
    }

    /// WRITE DATA of one sector.
    pub const fn write(at: Chs) -> Self {
        Self::new(Operation::Write, at)
    }

    /// VERIFY of one sector.
    pub const fn verify(at: Chs) -> Self {
        Self::new(Operation::Verify, at)
    }

    /// With another last sector, EOT.
    #[must_use]
    pub const fn to(self, end: u8) -> Self {
        Self { end, ..self }
    }

    /// With MT.
    #[must_use]
    pub const fn multi_track(self) -> Self {
        Self {
            multi_track: true,
            ..self
        }
    }

    /// On another drive.
    #[must_use]
    pub const fn on(self, drive: u8) -> Self {
        Self { drive, ..self }
    }

    /// With another size code, N.
    #[must_use]
    pub const fn sized(self, size: u8) -> Self {
        Self { size, ..self }
    }
}

impl Command for Transfer {
    type Outcome = TransferStatus;

    fn bytes(&self) -> Vec<u8> {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        vec![
            self.operation as u8
                | flag(self.multi_track, 0x80)
                | flag(self.mfm, 0x40)
                | flag(self.skip, 0x20),
            select(self.drive, self.head_select),
            self.at.cylinder,
            self.at.head,
            self.at.sector,
            self.size,
            self.end,
            self.gap,
            self.length,
        ]
    }
}

/// READ ID: the first ID field that passes the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadId {
    /// The drive, 0 to 3.
    pub drive: u8,
    /// The head.
    pub head: u8,
}

impl Command for ReadId {
    type Outcome = TransferStatus;

    fn bytes(&self) -> Vec<u8> {
        vec![0x4a, select(self.drive, self.head)]
    }
}

/// FORMAT TRACK: writes ID fields, four bytes each from the host, and fills the sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatTrack {
    /// The drive, 0 to 3.
    pub drive: u8,
    /// The head.
    pub head: u8,
    /// N: a sector has 128 << N bytes.
    pub size: u8,
    /// SC: sectors of the track.
    pub sectors: u8,
    /// GPL: the gap between them.
    pub gap: u8,
    /// D: what they are filled with.
    pub filler: u8,
}

impl Command for FormatTrack {
    type Outcome = TransferStatus;

    fn bytes(&self) -> Vec<u8> {
        vec![
            0x4d,
            select(self.drive, self.head),
            self.size,
            self.sectors,
            self.gap,
            self.filler,
        ]
    }
}

/// RECALIBRATE: steps outwards to track 0. Ends with an interrupt and no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recalibrate {
    /// The drive, 0 to 3.
    pub drive: u8,
}

impl Command for Recalibrate {
    type Outcome = ();

    fn bytes(&self) -> Vec<u8> {
        vec![0x07, select(self.drive, 0)]
    }
}

/// SEEK: steps to a cylinder. Ends with an interrupt and no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seek {
    /// The drive, 0 to 3.
    pub drive: u8,
    /// The head.
    pub head: u8,
    /// NCN: the new cylinder number.
    pub cylinder: u8,
}

impl Seek {
    /// To a cylinder of drive 0.
    pub const fn to(cylinder: u8) -> Self {
        Self {
            drive: 0,
            head: 0,
            cylinder,
        }
    }

    /// On another drive.
    #[must_use]
    pub const fn on(self, drive: u8) -> Self {
        Self { drive, ..self }
    }
}

impl Command for Seek {
    type Outcome = ();

    fn bytes(&self) -> Vec<u8> {
        vec![0x0f, select(self.drive, self.head), self.cylinder]
    }
}

/// RELATIVE SEEK: so many steps. Ends with an interrupt and no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelativeSeek {
    /// DIR: towards the spindle, to higher cylinders.
    pub inward: bool,
    /// The drive, 0 to 3.
    pub drive: u8,
    /// RCN: the number of steps.
    pub steps: u8,
}

impl RelativeSeek {
    /// Steps of drive 0 to higher cylinders.
    pub const fn inward(steps: u8) -> Self {
        Self {
            inward: true,
            drive: 0,
            steps,
        }
    }

    /// Steps of drive 0 to lower cylinders.
    pub const fn outward(steps: u8) -> Self {
        Self {
            inward: false,
            drive: 0,
            steps,
        }
    }

    /// On another drive.
    #[must_use]
    pub const fn on(self, drive: u8) -> Self {
        Self { drive, ..self }
    }
}

impl Command for RelativeSeek {
    type Outcome = ();

    fn bytes(&self) -> Vec<u8> {
        let code = if self.inward { 0xcf } else { 0x8f };
        vec![code, select(self.drive, 0), self.steps]
    }
}

/// SENSE DRIVE STATUS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenseDrive {
    /// The drive, 0 to 3.
    pub drive: u8,
    /// The head.
    pub head: u8,
}

impl Command for SenseDrive {
    type Outcome = St3;

    fn bytes(&self) -> Vec<u8> {
        vec![0x04, select(self.drive, self.head)]
    }
}

/// SPECIFY: the drive's times, and whether DMA is used. No result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Specify {
    /// SRT: step rate time, 0 to 15: (16 - SRT) ms at 500 kb/s.
    pub step_rate: u8,
    /// HUT: head unload time, 0 to 15: 16 ms each at 500 kb/s.
    pub head_unload: u8,
    /// HLT: head load time, 0 to 127: 2 ms each at 500 kb/s.
    pub head_load: u8,
    /// ND: data go through the FIFO, byte by byte; else by DMA.
    pub non_dma: bool,
}

impl Specify {
    /// Common times, and DMA.
    pub const DMA: Self = Self {
        step_rate: 0xd,
        head_unload: 0xf,
        head_load: 1,
        non_dma: false,
    };
    /// Common times, and no DMA.
    pub const PIO: Self = Self {
        non_dma: true,
        ..Self::DMA
    };
}

impl fmt::Debug for Specify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.non_dma { "pio" } else { "dma" };
        write!(
            f,
            "srt{:x}-hut{:x}-hlt{:x}-{way}",
            self.step_rate, self.head_unload, self.head_load
        )
    }
}

impl Command for Specify {
    type Outcome = ();

    fn bytes(&self) -> Vec<u8> {
        vec![
            0x03,
            self.step_rate << 4 | self.head_unload & 0xf,
            self.head_load << 1 | u8::from(self.non_dma),
        ]
    }
}

/// CONFIGURE: FIFO, polling, implied seeks, precompensation. No result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configure {
    /// EIS: transfers seek by themselves.
    pub implied_seek: bool,
    /// EFIFO: the FIFO is off, as a reset leaves it; the controller then is like an 8272A.
    pub no_fifo: bool,
    /// POLL: drive polling is off.
    pub no_polling: bool,
    /// FIFOTHR: bytes in the FIFO at which it asks for service, less one, 0 to 15.
    pub threshold: u8,
    /// PRETRK: the first track with write precompensation.
    pub precompensation_track: u8,
}

impl Command for Configure {
    type Outcome = ();

    fn bytes(&self) -> Vec<u8> {
        vec![
            0x13,
            0x00,
            u8::from(self.implied_seek) << 6
                | u8::from(self.no_fifo) << 5
                | u8::from(self.no_polling) << 4
                | self.threshold & 0xf,
            self.precompensation_track,
        ]
    }
}

/// PERPENDICULAR MODE: which drives record perpendicularly. No result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Perpendicular(pub u8);

impl Command for Perpendicular {
    type Outcome = ();

    fn bytes(&self) -> Vec<u8> {
        vec![0x12, self.0]
    }
}

/// LOCK, or UNLOCK: whether a software reset keeps what CONFIGURE set. The result has LOCK in bit 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock(pub bool);

impl Command for Lock {
    type Outcome = u8;

    fn bytes(&self) -> Vec<u8> {
        vec![0x14 | u8::from(self.0) << 7]
    }
}

/// OPTION: the ISO format, whose tracks have no index address field. No result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iso(pub bool);

impl Command for Iso {
    type Outcome = ();

    fn bytes(&self) -> Vec<u8> {
        vec![0x33, u8::from(self.0)]
    }
}

/// DRIVE SPECIFICATION: a byte for each drive that changes, and what the drives are as the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveSpecification(pub Vec<u8>);

impl DriveSpecification {
    /// DN: the byte that ends the command.
    pub const DONE: u8 = 0x80;
    /// NRP: in the last byte: no result phase.
    pub const NO_RESULT: u8 = 0x40;
}

impl Command for DriveSpecification {
    type Outcome = DriveSpecifications;

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0x8e];
        bytes.extend_from_slice(&self.0);
        bytes.push(Self::DONE);
        bytes
    }
}

macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident($code:literal) -> $outcome:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl Command for $name {
            type Outcome = $outcome;

            fn bytes(&self) -> Vec<u8> {
                vec![$code]
            }
        }
    )*};
}

plain! {
    /// SENSE INTERRUPT STATUS: says why the interrupt came, and takes it back.
    SenseInterrupt(0x08) -> Sensed;
    /// DUMPREG.
    DumpRegisters(0x0e) -> Dump;
    /// VERSION: 90H for the 82077AA and the 82078.
    Version(0x10) -> u8;
    /// PART ID: which member of the family, and its stepping.
    PartId(0x18) -> u8;
}

/// Any byte that is no command: one byte, which leaves [`St0`] with the code "invalid command".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid(pub u8);

impl Command for Invalid {
    type Outcome = St0;

    fn bytes(&self) -> Vec<u8> {
        vec![self.0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [Command Set] The codes and the order of the parameters.
    #[test]
    fn bytes_are_those_of_the_data_sheet() {
        let read = Transfer::read(Chs::new(0x12, 1, 3)).to(0x0a).on(1);
        assert_eq!(
            read.bytes(),
            [0x46, 0x05, 0x12, 0x01, 0x03, 0x02, 0x0a, 0x1b, 0xff]
        );
        let write = Transfer::write(Chs::FIRST).multi_track();
        assert_eq!(write.bytes()[0], 0xc5);
        assert_eq!(Seek::to(9).on(1).bytes(), [0x0f, 0x01, 0x09]);
        assert_eq!(Recalibrate { drive: 1 }.bytes(), [0x07, 0x01]);
        assert_eq!(Specify::PIO.bytes(), [0x03, 0xdf, 0x03]);
        assert_eq!(RelativeSeek::inward(4).bytes(), [0xcf, 0x00, 0x04]);
        assert_eq!(RelativeSeek::outward(4).bytes(), [0x8f, 0x00, 0x04]);
        assert_eq!(SenseDrive { drive: 1, head: 1 }.bytes(), [0x04, 0x05]);
        assert_eq!(Lock(true).bytes(), [0x94]);
        assert_eq!(Lock(false).bytes(), [0x14]);
        let configure = Configure {
            implied_seek: true,
            no_fifo: false,
            no_polling: true,
            threshold: 7,
            precompensation_track: 0x20,
        };
        assert_eq!(configure.bytes(), [0x13, 0x00, 0x57, 0x20]);
        assert_eq!(DriveSpecification(vec![0x21]).bytes(), [0x8e, 0x21, 0x80]);
    }
}
