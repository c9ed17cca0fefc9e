//! The registers of the command block and the control block (ATA/ATAPI-6 clause 7, where each register has a part of its name).

use std::fmt;

use bitfield_struct::bitfield;

/// A register, by what it is when it is read; [`Reg::written_name`] is what a write to the same port reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reg {
    /// Data, 16 bits: the only register that is not a byte wide.
    Data,
    /// Error when read, Features when written.
    Error,
    /// Sector Count.
    SectorCount,
    /// LBA Low: LBA 7:0, or the sector number.
    LbaLow,
    /// LBA Mid: LBA 15:8, or the low byte of the cylinder.
    LbaMid,
    /// LBA High: LBA 23:16, or the high byte of the cylinder.
    LbaHigh,
    /// Device.
    Device,
    /// Status when read, Command when written.
    Status,
    /// Alternate Status when read, Device Control when written; in the control block.
    AlternateStatus,
}

impl Reg {
    /// The command block in the order of its ports.
    pub const COMMAND_BLOCK: [Self; 8] = [
        Self::Data,
        Self::Error,
        Self::SectorCount,
        Self::LbaLow,
        Self::LbaMid,
        Self::LbaHigh,
        Self::Device,
        Self::Status,
    ];

    /// What a read of the register is called in a report.
    pub fn read_name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Error => "error",
            Self::SectorCount => "count",
            Self::LbaLow => "lba_low",
            Self::LbaMid => "lba_mid",
            Self::LbaHigh => "lba_high",
            Self::Device => "device",
            Self::Status => "status",
            Self::AlternateStatus => "alternate_status",
        }
    }

    /// What a write of the register is called in a report.
    pub fn written_name(self) -> &'static str {
        match self {
            Self::Error => "features",
            Self::Status => "command",
            Self::AlternateStatus => "control",
            other => other.read_name(),
        }
    }
}

/// Status register.
#[bitfield(u8, debug = false)]
#[derive(PartialEq, Eq)]
pub struct Status {
    /// ERR: the error register says why the last command ended. CHK for a packet device.
    pub err: bool,
    /// Obsolete: index.
    pub idx: bool,
    /// Obsolete: corrected data.
    pub corr: bool,
    /// DRQ: the device is ready to transfer a word between it and the host.
    pub drq: bool,
    /// Bit 4, command dependent: seek complete (DSC) up to ATA-3, service (SERV) for overlapped commands.
    pub seek_complete: bool,
    /// DF: device fault.
    pub fault: bool,
    /// DRDY: the device takes commands.
    pub ready: bool,
    /// BSY: the device owns the command block; no other bit is valid.
    pub busy: bool,
}

impl Status {
    /// The names of the bits that are set.
    pub fn flags(self) -> Vec<&'static str> {
        named([
            (self.err(), "err"),
            (self.idx(), "idx"),
            (self.corr(), "corr"),
            (self.drq(), "drq"),
            (self.seek_complete(), "seek_complete"),
            (self.fault(), "fault"),
            (self.ready(), "ready"),
            (self.busy(), "busy"),
        ])
    }
}

/// Error register after a command that ended in an error; what a bit means is up to the command.
#[bitfield(u8, debug = false)]
#[derive(PartialEq, Eq)]
pub struct Error {
    /// Bit 0: address mark not found (obsolete); illegal length for a packet device.
    pub address_mark: bool,
    /// Bit 1: no medium; end of media for a packet device.
    pub no_medium: bool,
    /// ABRT: the command is not supported, or its parameters are not.
    pub aborted: bool,
    /// Media change requested.
    pub change_requested: bool,
    /// IDNF: no such address.
    pub id_not_found: bool,
    /// Media changed.
    pub media_changed: bool,
    /// UNC: data that could not be corrected; write protected for writes.
    pub uncorrectable: bool,
    /// ICRC: a CRC error of the interface.
    pub interface_crc: bool,
}

impl Error {
    /// After a reset or EXECUTE DEVICE DIAGNOSTIC: device 0 passed, device 1 passed or is not present.
    pub const DIAGNOSTIC_PASSED: Self = Self::from_bits(0x01);

    /// The sense key that a packet device puts into bits 7:4 (ATA/ATAPI-6, PACKET).
    pub const fn sense_key(self) -> u8 {
        self.into_bits() >> 4
    }

    /// The names of the bits that are set.
    pub fn flags(self) -> Vec<&'static str> {
        named([
            (self.address_mark(), "address_mark"),
            (self.no_medium(), "no_medium"),
            (self.aborted(), "aborted"),
            (self.change_requested(), "change_requested"),
            (self.id_not_found(), "id_not_found"),
            (self.media_changed(), "media_changed"),
            (self.uncorrectable(), "uncorrectable"),
            (self.interface_crc(), "interface_crc"),
        ])
    }
}

/// Device register.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct DeviceReg {
    /// Head, 0–15, or LBA 27:24.
    #[bits(4)]
    pub head: u8,
    /// DEV: which device is selected.
    pub device1: bool,
    /// Obsolete; ATA-1 to ATA-3 want it set.
    pub obsolete5: bool,
    /// LBA: the address is a logical block address.
    pub lba: bool,
    /// Obsolete; ATA-1 to ATA-3 want it set.
    pub obsolete7: bool,
}

impl DeviceReg {
    /// The device that it selects.
    pub fn unit(self) -> Unit {
        if self.device1() {
            Unit::Device1
        } else {
            Unit::Device0
        }
    }
}

/// Device Control register (write-only).
#[bitfield(u8, debug = false)]
#[derive(PartialEq, Eq)]
pub struct DeviceControl {
    /// Always zero.
    pub zero: bool,
    /// nIEN: the device's interrupt is *not* enabled.
    pub no_interrupt: bool,
    /// SRST: software reset, for as long as it is set.
    pub reset: bool,
    #[bits(4)]
    __: u8,
    /// HOB: reads show the previous content of the command block, for 48-bit commands.
    pub previous: bool,
}

impl DeviceControl {
    /// The names of the bits that are set.
    pub fn flags(self) -> Vec<&'static str> {
        named([
            (self.no_interrupt(), "no_interrupt"),
            (self.reset(), "reset"),
            (self.previous(), "previous"),
        ])
    }
}

/// One of the two devices of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Device 0, once called the master.
    #[default]
    Device0,
    /// Device 1, once called the slave.
    Device1,
}

/// What the command block shows after a reset, EXECUTE DEVICE DIAGNOSTIC and some other commands, so that the host learns what sits
/// there (ATA/ATAPI-6, Signature and persistence).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// Sector Count.
    pub count: u8,
    /// LBA Low.
    pub lba_low: u8,
    /// LBA Mid.
    pub lba_mid: u8,
    /// LBA High.
    pub lba_high: u8,
}

impl Signature {
    /// A device without the PACKET command: a disk.
    pub const ATA: Self = Self::new(1, 1, 0x00, 0x00);
    /// A device with the PACKET command: a CD-ROM drive.
    pub const ATAPI: Self = Self::new(1, 1, 0x14, 0xeb);

    const fn new(count: u8, lba_low: u8, lba_mid: u8, lba_high: u8) -> Self {
        Self {
            count,
            lba_low,
            lba_mid,
            lba_high,
        }
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "count {:#04x}, lba {:#04x} {:#04x} {:#04x}",
            self.count, self.lba_low, self.lba_mid, self.lba_high
        )
    }
}

/// `{err, ready}`: a byte of flags as the names of those that are set.
macro_rules! debug_as_flags {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{{{}}}", self.flags().join(", "))
            }
        }
    )*};
}

debug_as_flags!(Status, Error, DeviceControl);

fn named<const N: usize>(fields: [(bool, &'static str); N]) -> Vec<&'static str> {
    let set = fields.into_iter().filter(|&(set, _)| set);
    set.map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_where_the_standard_has_them() {
        assert_eq!(Status::new().with_busy(true).into_bits(), 0x80);
        assert_eq!(Status::new().with_ready(true).into_bits(), 0x40);
        assert_eq!(Status::new().with_fault(true).into_bits(), 0x20);
        assert_eq!(Status::new().with_drq(true).into_bits(), 0x08);
        assert_eq!(Status::new().with_err(true).into_bits(), 0x01);
        assert_eq!(Error::new().with_aborted(true).into_bits(), 0x04);
        assert_eq!(Error::new().with_id_not_found(true).into_bits(), 0x10);
        assert_eq!(Error::new().with_uncorrectable(true).into_bits(), 0x40);
        assert_eq!(DeviceReg::new().with_lba(true).into_bits(), 0x40);
        assert_eq!(DeviceReg::new().with_device1(true).into_bits(), 0x10);
        assert_eq!(DeviceControl::new().with_no_interrupt(true).into_bits(), 2);
        assert_eq!(DeviceControl::new().with_reset(true).into_bits(), 4);
        assert_eq!(DeviceControl::new().with_previous(true).into_bits(), 0x80);
    }
}
