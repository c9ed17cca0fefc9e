//! What the HBA reads from memory: command headers, command FISes and descriptors (AHCI 1.3.1 §4.2, Serial ATA 3.0 §10.3).

use bitfield_struct::bitfield;

use crate::dev::ata::Taskfile;
use crate::dev::atapi::Cdb;
use crate::mem::{FromBytes, Immutable, IntoBytes, KnownLayout, le};

/// Bytes of a command table before its descriptors.
pub const TABLE_HEAD: u64 = 0x80;
/// Where in a command table the packet is.
pub const PACKET: u64 = 0x40;

/// First dword of a command header (§4.2.2): bits 15:0 and, above, the number of descriptors.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct Options {
    /// CFL: length of the command FIS in dwords, 2 to 16.
    #[bits(5)]
    pub fis_dwords: u8,
    /// A: a packet is in the table.
    pub packet: bool,
    /// W: data goes to the device.
    pub write: bool,
    /// P: prefetchable.
    pub prefetch: bool,
    /// R: part of a software reset.
    pub reset: bool,
    /// B: built-in self test.
    pub self_test: bool,
    /// C: clears BSY once the device has taken the FIS.
    pub clear_busy: bool,
    __: bool,
    /// PMP: port of a port multiplier.
    #[bits(4)]
    pub multiplier_port: u8,
}

/// A command header, one of 32 in the command list (§4.2.2).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Header {
    /// [`Options`].
    pub options: le::U16,
    /// PRDTL: number of descriptors.
    pub descriptors: le::U16,
    /// PRDBC: bytes that the HBA has moved.
    pub moved: le::U32,
    /// CTBA: the command table, 128 bytes aligned.
    pub table: le::U64,
    /// Reserved.
    pub reserved: [le::U32; 4],
}

/// A descriptor: a part of the buffer (§4.2.3.3).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Descriptor {
    /// DBA: address, even.
    pub base: le::U64,
    /// Reserved.
    pub reserved: le::U32,
    /// DBC in bits 21:0: bytes less one, odd. Bit 31: interrupts once it is done.
    pub count: le::U32,
}

impl Descriptor {
    /// For `bytes` bytes at `base`, 2 to 4 MiB.
    pub fn new(base: u64, bytes: u32) -> Self {
        Self {
            base: base.into(),
            reserved: 0.into(),
            count: bytes.wrapping_sub(1).into(),
        }
    }
}

/// A register FIS to the device (Serial ATA, §10.3.4): 20 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterFis(pub [u8; 20]);

impl RegisterFis {
    /// Its type.
    pub const TYPE: u8 = 0x27;
    /// C: the command register is written, not the control register.
    pub const COMMAND: u8 = 0x80;

    /// The FIS that carries a command.
    pub fn command(task: &Taskfile) -> Self {
        let [low, mid, high] = task.lba();
        let [low_previous, mid_previous, high_previous] = task.previous_lba();
        let [features, features_previous] = task.features.to_le_bytes();
        let [count, count_previous] = task.count.to_le_bytes();
        let mut fis = [0; 20];
        fis[..4].copy_from_slice(&[Self::TYPE, Self::COMMAND, task.command.0, features]);
        fis[4..8].copy_from_slice(&[low, mid, high, task.device().into()]);
        fis[8..12].copy_from_slice(&[low_previous, mid_previous, high_previous, features_previous]);
        fis[12..14].copy_from_slice(&[count, count_previous]);
        Self(fis)
    }

    /// The FIS that carries Device Control.
    pub fn control(control: u8) -> Self {
        let mut fis = [0; 20];
        fis[0] = Self::TYPE;
        fis[15] = control;
        Self(fis)
    }
}

/// One command: what goes into a header and its table.
#[derive(Clone, Debug)]
pub struct Request {
    /// The command FIS.
    pub fis: RegisterFis,
    /// Bits of the header besides the FIS's length.
    pub options: Options,
    /// The buffer.
    pub descriptors: Vec<Descriptor>,
    /// The packet.
    pub packet: Option<Cdb>,
}

impl Request {
    /// A command whose data, if any, comes from the device.
    pub fn new(task: &Taskfile, descriptors: &[Descriptor]) -> Self {
        Self::of_fis(RegisterFis::command(task), descriptors)
    }

    /// Any FIS.
    pub fn of_fis(fis: RegisterFis, descriptors: &[Descriptor]) -> Self {
        Self {
            fis,
            options: Options::new().with_fis_dwords(5),
            descriptors: descriptors.to_vec(),
            packet: None,
        }
    }

    /// A command whose data goes to the device.
    #[must_use]
    pub fn to_device(mut self) -> Self {
        self.options.set_write(true);
        self
    }

    /// With a packet.
    #[must_use]
    pub fn packet(mut self, packet: Cdb) -> Self {
        self.options.set_packet(true);
        self.packet = Some(packet);
        self
    }

    /// With other bits in the header.
    #[must_use]
    pub fn options(mut self, change: impl FnOnce(Options) -> Options) -> Self {
        self.options = change(self.options);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::ata::{Address, Command, Unit};

    #[test]
    fn a_command_fis_has_both_halves_of_each_register() {
        let task = Taskfile::new(Command::READ_DMA_EXT)
            .to(Unit::Device0)
            .at(Address::Lba48(0x0605_0403_0201))
            .count(0x0807)
            .features(0x0a09);
        assert_eq!(
            RegisterFis::command(&task).0,
            [
                0x27, 0x80, 0x25, 9, 1, 2, 3, 0x40, 4, 5, 6, 10, 7, 8, 0, 0, 0, 0, 0, 0
            ]
        );
    }

    #[test]
    fn structures_have_their_sizes() {
        assert_eq!(size_of::<Header>(), 32);
        assert_eq!(size_of::<Descriptor>(), 16);
        assert_eq!(Options::new().with_clear_busy(true).into_bits(), 1 << 10);
        assert_eq!(Descriptor::new(0, 512).count.get(), 511);
    }
}
