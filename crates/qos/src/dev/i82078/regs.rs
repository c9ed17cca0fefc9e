//! The controller's registers, and the four status registers that results carry.

use std::fmt;

use bitfield_struct::bitfield;

/// A register's place: its offset from the controller's base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reg {
    /// Status register A, 8 bits, read only. PCs do not decode it.
    Sra = 0,
    /// Status register B, 8 bits, read only.
    Srb = 1,
    /// Digital output register, 8 bits.
    Dor = 2,
    /// Tape drive register, 8 bits.
    Tdr = 3,
    /// Main status register when read, datarate select register when written.
    MsrDsr = 4,
    /// The FIFO: commands, data and results, 8 bits.
    Fifo = 5,
    /// Digital input register when read, configuration control register when written.
    DirCcr = 7,
}

impl Reg {
    /// Bytes from the base.
    pub const fn offset(self) -> u16 {
        self as u16
    }
}

/// SRA, offset 0, as PS/2 machines see it. Read only.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Sra {
    /// DIR: the head steps inwards.
    pub inward: bool,
    /// WP#: low when the disk is write protected.
    pub not_write_protected: bool,
    /// INDX#: low at the index hole.
    pub not_index: bool,
    /// HDSEL: side 1.
    pub head: bool,
    /// TRK0#: low on track 0.
    pub not_track0: bool,
    /// STEP: a step pulse since this register was last read.
    pub step: bool,
    /// DRV2#: low when there is a second drive.
    pub not_second_drive: bool,
    /// INT PENDING: the state of the interrupt line.
    pub interrupt: bool,
}

/// SRB, offset 1, as PS/2 machines see it. Read only.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Srb {
    /// MOT EN0, from the DOR.
    pub motor0: bool,
    /// MOT EN1, from the DOR.
    pub motor1: bool,
    /// WE: write gate.
    pub write_enable: bool,
    /// RDDATA: toggles with the data read from the disk.
    pub read_data: bool,
    /// WRDATA: toggles with the data written to the disk.
    pub write_data: bool,
    /// DRIVE SEL0: bit 0 of the DOR.
    pub drive_select0: bool,
    /// Always ones.
    #[bits(2)]
    pub ones: u8,
}

/// DOR, offset 2: drive, motors, DMA gate and reset.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Dor {
    /// DRIVE SEL: which drive, 0 to 3.
    #[bits(2)]
    pub drive: u8,
    /// RESET#: low holds the controller in reset.
    pub not_reset: bool,
    /// DMAGATE#: gives INT and DRQ to the bus.
    pub dma_gate: bool,
    /// MOT EN0.
    pub motor0: bool,
    /// MOT EN1.
    pub motor1: bool,
    /// MOT EN2.
    pub motor2: bool,
    /// MOT EN3.
    pub motor3: bool,
}

/// TDR, offset 3: which drive is the boot drive, and which a tape.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Tdr {
    /// TAPESEL: the drive that is a tape, 1 to 3; 0 for none.
    #[bits(2)]
    pub tape: u8,
    /// BOOTSEL: the drive that changes places with drive 0.
    #[bits(2)]
    pub boot: u8,
    #[bits(4)]
    reserved: u8,
}

/// MSR, offset 4: what the FIFO is ready for. Read only.
#[bitfield(u8, debug = false)]
#[derive(PartialEq, Eq)]
pub struct Msr {
    /// DRV BUSY: a bit a drive, 0 to 3, set while it seeks.
    #[bits(4)]
    pub drives_busy: u8,
    /// CMD BSY: a command is in progress; set from its first byte to its last result byte.
    pub command_busy: bool,
    /// NON DMA: the execution phase of a command without DMA.
    pub non_dma: bool,
    /// DIO: the FIFO is to be read; else written. Valid with RQM.
    pub read: bool,
    /// RQM: the host can transfer a byte.
    pub request: bool,
}

impl Msr {
    /// Ready for the first byte of a command.
    pub const IDLE: Self = Self::new().with_request(true);
    /// Ready for a further byte of a command.
    pub const COMMAND: Self = Self::IDLE.with_command_busy(true);
    /// A result byte is to be read.
    pub const RESULT: Self = Self::COMMAND.with_read(true);
    /// A command executes, data going by DMA.
    pub const DMA: Self = Self::new().with_command_busy(true);
    /// A command executes, a data byte is to be read.
    pub const PIO_READ: Self = Self::RESULT.with_non_dma(true);
    /// A command executes, a data byte is to be written.
    pub const PIO_WRITE: Self = Self::COMMAND.with_non_dma(true);

    pub(super) fn flags(self) -> [(bool, &'static str); 8] {
        [
            (self.request(), "rqm"),
            (self.read(), "dio"),
            (self.non_dma(), "non_dma"),
            (self.command_busy(), "cmd_bsy"),
            (self.drives_busy() & 8 != 0, "drv3_busy"),
            (self.drives_busy() & 4 != 0, "drv2_busy"),
            (self.drives_busy() & 2 != 0, "drv1_busy"),
            (self.drives_busy() & 1 != 0, "drv0_busy"),
        ]
    }
}

impl fmt::Debug for Msr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Msr {{{}}}", set(self.flags()))
    }
}

/// The names of what is set.
pub(super) fn set<const N: usize>(flags: [(bool, &str); N]) -> String {
    let names = flags.iter().filter(|(set, _)| *set).map(|&(_, name)| name);
    names.collect::<Vec<_>>().join(", ")
}

/// How fast bits pass under the head [DSR, data rates].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataRate {
    /// 500 kb/s: 1.2 MB and 1.44 MB disks.
    Kbps500 = 0,
    /// 300 kb/s: 360 KB disks in a 1.2 MB drive.
    Kbps300 = 1,
    /// 250 kb/s: 720 KB disks. What a hardware reset selects.
    Kbps250 = 2,
    /// 1 Mb/s: 2.88 MB disks.
    Mbps1 = 3,
}

impl DataRate {
    const fn into_bits(self) -> u8 {
        self as u8
    }

    const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Kbps500,
            1 => Self::Kbps300,
            2 => Self::Kbps250,
            _ => Self::Mbps1,
        }
    }
}

/// DSR, offset 4: data rate, precompensation, power down and software reset. Write only.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Dsr {
    /// DRATESEL.
    #[bits(2, default = DataRate::Kbps500)]
    pub rate: DataRate,
    /// PRECOMP: write precompensation; 0 is the default of the data rate.
    #[bits(3)]
    pub precompensation: u8,
    /// PDOSC: the oscillator is off.
    pub oscillator_off: bool,
    /// POWERDOWN: off until the MSR or the FIFO is read or written, or a reset.
    pub power_down: bool,
    /// S/W RESET: as the DOR's reset, and clears itself.
    pub reset: bool,
}

/// DIR, offset 7, as PC/AT machines see it. Read only. The other bits belong to the hard disk controller.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Dir {
    #[bits(7)]
    others: u8,
    /// DSK CHG: the selected drive's disk change line.
    pub disk_changed: bool,
}

/// CCR, offset 7, as PC/AT machines see it. Write only.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Ccr {
    /// DRATESEL: as in the DSR.
    #[bits(2, default = DataRate::Kbps500)]
    pub rate: DataRate,
    #[bits(6)]
    reserved: u8,
}

/// IC, the interrupt code of ST0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptCode {
    /// Normal termination.
    Normal = 0,
    /// Abnormal termination: begun, and not completed.
    Abnormal = 1,
    /// Invalid command.
    Invalid = 2,
    /// Abnormal termination caused by polling: what a reset leaves for each drive.
    Polling = 3,
}

impl InterruptCode {
    const fn into_bits(self) -> u8 {
        self as u8
    }

    const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Normal,
            1 => Self::Abnormal,
            2 => Self::Invalid,
            _ => Self::Polling,
        }
    }
}

/// ST0, status register 0.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct St0 {
    /// DS: the drive.
    #[bits(2)]
    pub drive: u8,
    /// H: the head address.
    #[bits(1)]
    pub head: u8,
    unused: bool,
    /// EC: track 0 was not found by RECALIBRATE, or passed by RELATIVE SEEK.
    pub equipment_check: bool,
    /// SE: a seek ended, explicit or implied.
    pub seek_end: bool,
    /// IC.
    #[bits(2, default = InterruptCode::Normal)]
    pub code: InterruptCode,
}

/// ST1, status register 1.
#[bitfield(u8, debug = false)]
#[derive(PartialEq, Eq)]
pub struct St1 {
    /// MA: missing address mark.
    pub missing_address: bool,
    /// NW: not writable.
    pub not_writable: bool,
    /// ND: no data: the sector was not found.
    pub no_data: bool,
    unused3: bool,
    /// OR: the host was too slow.
    pub overrun: bool,
    /// DE: CRC error in the ID or the data field.
    pub data_error: bool,
    unused6: bool,
    /// EN: a sector beyond the end of the cylinder was asked for.
    pub end_of_cylinder: bool,
}

impl St1 {
    pub(super) fn flags(self) -> [(bool, &'static str); 6] {
        [
            (self.end_of_cylinder(), "end_of_cylinder"),
            (self.data_error(), "data_error"),
            (self.overrun(), "overrun"),
            (self.no_data(), "no_data"),
            (self.not_writable(), "not_writable"),
            (self.missing_address(), "missing_address"),
        ]
    }
}

impl fmt::Debug for St1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "St1 {{{}}}", set(self.flags()))
    }
}

/// ST2, status register 2; the two bits of the scan commands are the 8272A's, which the 82078 has given up.
#[bitfield(u8, debug = false)]
#[derive(PartialEq, Eq)]
pub struct St2 {
    /// MD: missing data address mark.
    pub missing_data: bool,
    /// BC: bad cylinder: the track's ID says FFH.
    pub bad_cylinder: bool,
    /// SN: no sector satisfied the scan.
    pub scan_not_satisfied: bool,
    /// SH: the scan found an equal sector.
    pub scan_equal: bool,
    /// WC: the track's ID names another cylinder.
    pub wrong_cylinder: bool,
    /// DD: CRC error in the data field.
    pub data_error: bool,
    /// CM: a deleted data mark where data were asked for, or the reverse.
    pub control_mark: bool,
    unused: bool,
}

impl St2 {
    pub(super) fn flags(self) -> [(bool, &'static str); 7] {
        [
            (self.control_mark(), "control_mark"),
            (self.data_error(), "data_error"),
            (self.wrong_cylinder(), "wrong_cylinder"),
            (self.scan_equal(), "scan_equal"),
            (self.scan_not_satisfied(), "scan_not_satisfied"),
            (self.bad_cylinder(), "bad_cylinder"),
            (self.missing_data(), "missing_data"),
        ]
    }
}

impl fmt::Debug for St2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "St2 {{{}}}", set(self.flags()))
    }
}

/// ST3, status register 3.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct St3 {
    /// DS: the drive.
    #[bits(2)]
    pub drive: u8,
    /// HD: the head address.
    #[bits(1)]
    pub head: u8,
    /// Always one.
    pub one3: bool,
    /// T0: on track 0.
    pub track0: bool,
    /// Always one.
    pub one5: bool,
    /// WP: write protected.
    pub write_protected: bool,
    unused: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bit tables of the registers.
    #[test]
    fn register_bits_are_where_the_data_sheet_has_them() {
        assert_eq!(Sra::new().with_interrupt(true).into_bits(), 0x80);
        assert_eq!(Sra::new().with_not_second_drive(true).into_bits(), 0x40);
        assert_eq!(Sra::new().with_not_track0(true).into_bits(), 0x10);
        assert_eq!(Srb::new().with_drive_select0(true).into_bits(), 0x20);
        assert_eq!(Srb::new().with_motor1(true).with_ones(3).into_bits(), 0xc2);
        assert_eq!(Dor::new().with_not_reset(true).into_bits(), 0x04);
        assert_eq!(Dor::new().with_dma_gate(true).into_bits(), 0x08);
        assert_eq!(Dor::new().with_motor3(true).with_drive(3).into_bits(), 0x83);
        assert_eq!(Tdr::new().with_boot(1).into_bits(), 0x04);
        assert_eq!(Dsr::new().with_reset(true).into_bits(), 0x80);
        assert_eq!(Dsr::new().with_power_down(true).into_bits(), 0x40);
        assert_eq!(Dsr::new().with_rate(DataRate::Kbps250).into_bits(), 0x02);
        assert_eq!(Ccr::new().with_rate(DataRate::Mbps1).into_bits(), 0x03);
        assert_eq!(Dir::new().with_disk_changed(true).into_bits(), 0x80);
    }

    /// [Main Status Register]
    #[test]
    fn phases_of_the_main_status_register() {
        assert_eq!(Msr::IDLE.into_bits(), 0x80);
        assert_eq!(Msr::COMMAND.into_bits(), 0x90);
        assert_eq!(Msr::RESULT.into_bits(), 0xd0);
        assert_eq!(Msr::DMA.into_bits(), 0x10);
        assert_eq!(Msr::PIO_READ.into_bits(), 0xf0);
        assert_eq!(Msr::PIO_WRITE.into_bits(), 0xb0);
    }

    /// The bit tables of the status registers.
    #[test]
    fn status_bits_are_where_the_data_sheet_has_them() {
        let seek = St0::new().with_seek_end(true).with_drive(1).with_head(1);
        assert_eq!(seek.into_bits(), 0x25);
        let invalid = St0::new().with_code(InterruptCode::Invalid);
        assert_eq!(invalid.into_bits(), 0x80);
        assert_eq!(St0::new().with_equipment_check(true).into_bits(), 0x10);
        let st1 = St1::new().with_end_of_cylinder(true);
        assert_eq!(st1.with_missing_address(true).into_bits(), 0x81);
        assert_eq!(St1::new().with_not_writable(true).into_bits(), 0x02);
        assert_eq!(St2::new().with_scan_equal(true).into_bits(), 0x08);
        assert_eq!(St2::new().with_control_mark(true).into_bits(), 0x40);
        let st3 = St3::new().with_one3(true).with_one5(true);
        assert_eq!(st3.with_track0(true).into_bits(), 0x38);
        assert_eq!(St3::new().with_write_protected(true).into_bits(), 0x40);
    }
}
