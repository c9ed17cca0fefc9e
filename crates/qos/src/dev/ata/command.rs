//! Commands, and the [`Taskfile`] that carries one to a device.

use std::fmt;

use super::regs::{DeviceReg, Unit};

/// A command code (ATA/ATAPI-6, command codes; those that it no longer has are from ATA-3, CFA's from the CompactFlash specification).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Command(pub u8);

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        impl Command {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// The standard's name of it.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

commands! {
    /// NOP: always aborted.
    NOP = 0x00;
    /// CFA REQUEST EXTENDED ERROR CODE.
    CFA_REQUEST_EXTENDED_ERROR = 0x03;
    /// DATA SET MANAGEMENT, DMA (ATA8-ACS).
    DATA_SET_MANAGEMENT = 0x06;
    /// DEVICE RESET, of packet devices.
    DEVICE_RESET = 0x08;
    /// RECALIBRATE (ATA-3).
    RECALIBRATE = 0x10;
    /// READ SECTOR(S), PIO.
    READ_SECTORS = 0x20;
    /// READ SECTOR(S) without retry (ATA-3).
    READ_SECTORS_NO_RETRY = 0x21;
    /// READ SECTOR(S) EXT, PIO, 48-bit.
    READ_SECTORS_EXT = 0x24;
    /// READ DMA EXT, 48-bit.
    READ_DMA_EXT = 0x25;
    /// READ NATIVE MAX ADDRESS EXT, 48-bit.
    READ_NATIVE_MAX_EXT = 0x27;
    /// READ MULTIPLE EXT, PIO, 48-bit.
    READ_MULTIPLE_EXT = 0x29;
    /// WRITE SECTOR(S), PIO.
    WRITE_SECTORS = 0x30;
    /// WRITE SECTOR(S) without retry (ATA-3).
    WRITE_SECTORS_NO_RETRY = 0x31;
    /// WRITE SECTOR(S) EXT, PIO, 48-bit.
    WRITE_SECTORS_EXT = 0x34;
    /// WRITE DMA EXT, 48-bit.
    WRITE_DMA_EXT = 0x35;
    /// CFA WRITE SECTORS WITHOUT ERASE, PIO.
    CFA_WRITE_SECTORS_WITHOUT_ERASE = 0x38;
    /// WRITE MULTIPLE EXT, PIO, 48-bit.
    WRITE_MULTIPLE_EXT = 0x39;
    /// WRITE VERIFY (ATA-3), PIO.
    WRITE_VERIFY = 0x3c;
    /// READ VERIFY SECTOR(S).
    READ_VERIFY = 0x40;
    /// READ VERIFY SECTOR(S) without retry (ATA-3).
    READ_VERIFY_NO_RETRY = 0x41;
    /// READ VERIFY SECTOR(S) EXT, 48-bit.
    READ_VERIFY_EXT = 0x42;
    /// READ FPDMA QUEUED (ATA8-ACS), NCQ.
    READ_FPDMA_QUEUED = 0x60;
    /// WRITE FPDMA QUEUED (ATA8-ACS), NCQ.
    WRITE_FPDMA_QUEUED = 0x61;
    /// SEEK (ATA-6).
    SEEK = 0x70;
    /// CFA TRANSLATE SECTOR, PIO in.
    CFA_TRANSLATE_SECTOR = 0x87;
    /// EXECUTE DEVICE DIAGNOSTIC, of both devices.
    EXECUTE_DEVICE_DIAGNOSTIC = 0x90;
    /// INITIALIZE DEVICE PARAMETERS (ATA-5).
    INITIALIZE_DEVICE_PARAMETERS = 0x91;
    /// STANDBY IMMEDIATE, the code of ATA-1.
    STANDBY_IMMEDIATE_OLD = 0x94;
    /// IDLE IMMEDIATE, the code of ATA-1.
    IDLE_IMMEDIATE_OLD = 0x95;
    /// STANDBY, the code of ATA-1.
    STANDBY_OLD = 0x96;
    /// IDLE, the code of ATA-1.
    IDLE_OLD = 0x97;
    /// CHECK POWER MODE, the code of ATA-1.
    CHECK_POWER_MODE_OLD = 0x98;
    /// SLEEP, the code of ATA-1.
    SLEEP_OLD = 0x99;
    /// PACKET.
    PACKET = 0xa0;
    /// IDENTIFY PACKET DEVICE, PIO in.
    IDENTIFY_PACKET_DEVICE = 0xa1;
    /// SMART, with a subcommand in the features register.
    SMART = 0xb0;
    /// CFA ACCESS METADATA STORAGE.
    CFA_ACCESS_METADATA = 0xb8;
    /// CFA ERASE SECTORS.
    CFA_ERASE_SECTORS = 0xc0;
    /// READ MULTIPLE, PIO.
    READ_MULTIPLE = 0xc4;
    /// WRITE MULTIPLE, PIO.
    WRITE_MULTIPLE = 0xc5;
    /// SET MULTIPLE MODE.
    SET_MULTIPLE_MODE = 0xc6;
    /// READ DMA.
    READ_DMA = 0xc8;
    /// READ DMA without retry (ATA-3).
    READ_DMA_NO_RETRY = 0xc9;
    /// WRITE DMA.
    WRITE_DMA = 0xca;
    /// WRITE DMA without retry (ATA-3).
    WRITE_DMA_NO_RETRY = 0xcb;
    /// CFA WRITE MULTIPLE WITHOUT ERASE, PIO.
    CFA_WRITE_MULTIPLE_WITHOUT_ERASE = 0xcd;
    /// STANDBY IMMEDIATE.
    STANDBY_IMMEDIATE = 0xe0;
    /// IDLE IMMEDIATE.
    IDLE_IMMEDIATE = 0xe1;
    /// STANDBY.
    STANDBY = 0xe2;
    /// IDLE.
    IDLE = 0xe3;
    /// READ BUFFER, PIO.
    READ_BUFFER = 0xe4;
    /// CHECK POWER MODE.
    CHECK_POWER_MODE = 0xe5;
    /// SLEEP.
    SLEEP = 0xe6;
    /// FLUSH CACHE.
    FLUSH_CACHE = 0xe7;
    /// FLUSH CACHE EXT, 48-bit.
    FLUSH_CACHE_EXT = 0xea;
    /// IDENTIFY DEVICE, PIO in.
    IDENTIFY_DEVICE = 0xec;
    /// SET FEATURES, with a subcommand in the features register.
    SET_FEATURES = 0xef;
    /// SENSE CONDITION, of IBM's Microdrive.
    SENSE_CONDITION = 0xf0;
    /// SECURITY FREEZE LOCK; CFA WEAR LEVEL has the same code.
    SECURITY_FREEZE_LOCK = 0xf5;
    /// READ NATIVE MAX ADDRESS.
    READ_NATIVE_MAX = 0xf8;
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "command {:#04x}", self.0),
        }
    }
}

/// Where on a disk a command begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// Cylinder 0–65535, head 0–15, sector from 1 on, in the current translation.
    Chs(u16, u8, u8),
    /// A logical block address of 28 bits.
    Lba28(u32),
    /// A logical block address of 48 bits, for commands whose name ends in EXT.
    Lba48(u64),
}

/// All that a command needs, as it is written to the command block. Features and count are one byte wide, two for a 48-bit command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taskfile {
    /// The device that executes it.
    pub unit: Unit,
    /// The command.
    pub command: Command,
    /// Where it begins.
    pub address: Address,
    /// Sector Count; 0 stands for 256 sectors, or for 65,536 in a 48-bit command.
    pub count: u16,
    /// Features.
    pub features: u16,
}

impl Taskfile {
    /// The command for device 0, everything else zero.
    pub const fn new(command: Command) -> Self {
        Self {
            unit: Unit::Device0,
            command,
            address: Address::Lba28(0),
            count: 0,
            features: 0,
        }
    }

    /// To this device.
    #[must_use]
    pub const fn to(self, unit: Unit) -> Self {
        Self { unit, ..self }
    }

    /// From this address on.
    #[must_use]
    pub const fn at(self, address: Address) -> Self {
        Self { address, ..self }
    }

    /// So many sectors, or whatever the command has in the Sector Count register.
    #[must_use]
    pub const fn count(self, count: u16) -> Self {
        Self { count, ..self }
    }

    /// With this in the Features register.
    #[must_use]
    pub const fn features(self, features: u16) -> Self {
        Self { features, ..self }
    }

    /// Whether it is written in two rounds, the higher half of each register first (ATA/ATAPI-6, 48-bit Address feature set).
    pub const fn is_48_bit(&self) -> bool {
        matches!(self.address, Address::Lba48(_))
    }

    /// The Device register of it.
    pub fn device(&self) -> DeviceReg {
        let device = DeviceReg::new().with_device1(self.unit == Unit::Device1);
        match self.address {
            Address::Chs(_, head, _) => device.with_head(head & 0xf),
            Address::Lba28(lba) => device.with_lba(true).with_head((lba >> 24) as u8 & 0xf),
            Address::Lba48(_) => device.with_lba(true),
        }
    }

    /// LBA Low, Mid and High, as they are written last.
    pub fn lba(&self) -> [u8; 3] {
        match self.address {
            Address::Chs(cylinder, _, sector) => {
                let [low, high] = cylinder.to_le_bytes();
                [sector, low, high]
            }
            Address::Lba28(lba) => [lba as u8, (lba >> 8) as u8, (lba >> 16) as u8],
            Address::Lba48(lba) => [lba as u8, (lba >> 8) as u8, (lba >> 16) as u8],
        }
    }

    /// LBA Low, Mid and High, as a 48-bit command writes them first.
    pub fn previous_lba(&self) -> [u8; 3] {
        match self.address {
            Address::Lba48(lba) => [(lba >> 24) as u8, (lba >> 32) as u8, (lba >> 40) as u8],
            _ => [0; 3],
        }
    }
}
