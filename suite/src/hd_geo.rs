//! Disk geometry: which cylinders, heads and sectors a disk says that it has, and by which translation the firmware is to reach what
//! they do not.
//!
//! A drive tells its geometry in IDENTIFY DEVICE; the PC's firmware finds it, with the translation, in its CMOS RAM (IBM PC/AT
//! Technical Reference, CMOS RAM addresses 12h, 19h to 2Ch; Bochs BIOS, address 39h). Both must agree, or an operating system that uses
//! one destroys what another one wrote by the other.
//!
//! The rules are those of Hale Landis' *How It Works: CHS Translation*: a disk of at most 1,024 cylinders needs none; a partition table
//! whose last sector is on a head above the sixteenth was made through a translating firmware.

mod blank;
mod cmos;
mod firmware;
mod overrides;
mod paths;
mod refused;
mod table;
mod virtio;

use testjig::prelude::*;
use testjig::qos::dev::ata::{Channel, Chs, SECTOR, Unit};
use testjig::qos::dev::mc146818::{Mc146818, Reg};
use testjig::vm::{Drive, Image};

/// Sectors of a cylinder of 16 heads and 63 sectors, the most that ATA addresses and the firmware's interface have in common.
const CYLINDER: u64 = 16 * 63;

/// How the firmware reaches cylinders above 1,024: two bits a disk at CMOS address 39h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Translation {
    /// Not at all: addresses are the drive's.
    None,
    /// By a block address, as if the disk had up to 255 heads of 63 sectors.
    Lba,
    /// By doubling heads and halving cylinders.
    Large,
    /// As `Large`, beginning with 15 heads.
    Rechs,
}

impl Translation {
    /// What `bios-chs-trans` calls it.
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lba => "lba",
            Self::Large => "large",
            Self::Rechs => "rechs",
        }
    }

    fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::None,
            1 => Self::Lba,
            2 => Self::Large,
            _ => Self::Rechs,
        }
    }
}

/// The disk `hd0` with this image on bus `ide.0`, unit 0.
fn disk(launch: Launch, image: Image) -> Launch {
    disk_with(launch, image, |device| device)
}

/// As [`disk`], its device changed.
fn disk_with(launch: Launch, image: Image, change: impl FnOnce(Device) -> Device) -> Launch {
    let device = Device::new("ide-hd")
        .bus("ide.0")
        .prop("unit", 0)
        .prop("drive", "hd0");
    launch
        .drive(Drive::new("hd0", image))
        .device(change(device))
}

/// An image without anything on it.
fn blank(sectors: u64) -> Image {
    Image::zeroed(sectors * SECTOR as u64)
}

/// A partition as the table in the first sector has it: where it ends, and how long it is. A length of 0 is no partition.
#[derive(Clone, Copy, Debug)]
struct Partition {
    end_head: u8,
    /// Sector in bits 5:0, the cylinder's bits 9:8 in bits 7:6.
    end_sector: u8,
    sectors: u32,
}

impl Partition {
    /// One that ends on this head and sector.
    const fn ending_at(end_head: u8, end_sector: u8) -> Self {
        Self {
            end_head,
            end_sector,
            sectors: 1,
        }
    }

    const NONE: Self = Self {
        end_head: 0,
        end_sector: 0,
        sectors: 0,
    };
}

/// The first sector of a disk with these partitions, its last two bytes 55h AAh.
fn table(partitions: [Partition; 4]) -> Vec<u8> {
    let mut sector = vec![0; SECTOR];
    for (entry, partition) in sector[0x1be..0x1fe].chunks_exact_mut(16).zip(partitions) {
        entry[5] = partition.end_head;
        entry[6] = partition.end_sector;
        entry[12..16].copy_from_slice(&partition.sectors.to_le_bytes());
    }
    sector[0x1fe..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

/// An image with one partition, the first.
fn partitioned(sectors: u64, partition: Partition) -> Image {
    let [none, _, _] = [Partition::NONE; 3];
    blank(sectors).with(0, table([partition, none, none, none]))
}

/// IDENTIFY DEVICE of device 0 and the CMOS RAM both tell this geometry, and the CMOS RAM this translation.
#[track_caller]
fn assert_geometry(vm: &Vm, chs: Chs, translation: Translation) {
    let identify = Channel::primary(vm).identify(Unit::Device0);
    assert_eq!(identify.chs(), chs, "IDENTIFY DEVICE");
    assert_eq!(
        identify.current_chs(),
        chs,
        "IDENTIFY DEVICE, current translation"
    );
    assert_eq!(cmos::Parameters::of_disk_0(vm).chs(), chs, "CMOS RAM");
    assert_eq!(cmos_translation(vm, 0), translation);
}

/// The translation of one of the four disks that the firmware knows.
#[track_caller]
fn cmos_translation(vm: &Vm, disk: u8) -> Translation {
    let all = Mc146818::new(vm).read(Reg::at(0x39));
    Translation::from_bits(all >> (2 * disk))
}
