//! Which cylinders, heads and sectors a disk has, and how a PC's firmware reaches them (Hale Landis, *How It Works: CHS Translation*).

use crate::disk::{Disk, SECTOR};

/// Cylinders, heads, sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chs {
    pub(crate) cylinders: u32,
    pub(crate) heads: u32,
    pub(crate) sectors: u32,
}

/// How the firmware reaches cylinders above 1,024; the two bits of CMOS address 39h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Translation {
    None = 0,
    Lba = 1,
    Large = 2,
    Rechs = 3,
}

impl Translation {
    /// The value of `bios-chs-trans`; `None` for `auto`.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, String> {
        Ok(Some(match text {
            "auto" => return Ok(None),
            "none" => Self::None,
            "lba" => Self::Lba,
            "large" => Self::Large,
            "rechs" => Self::Rechs,
            _ => {
                return Err(format!(
                    "Property 'ide-hd.bios-chs-trans' doesn't take value '{text}'"
                ));
            }
        }))
    }

    /// What a geometry needs: none in the reach of the firmware's interface.
    pub(crate) fn for_geometry(chs: Chs) -> Self {
        if chs.cylinders <= 1024 && chs.heads <= 16 && chs.sectors <= 63 {
            Self::None
        } else {
            Self::Lba
        }
    }
}

/// 16 heads of 63 sectors, and as many cylinders as there are, up to what ATA can say.
fn physical(sectors: u64) -> Chs {
    Chs {
        cylinders: (sectors / (16 * 63)).clamp(2, 16_383) as u32,
        heads: 16,
        sectors: 63,
    }
}

/// What the partition table says that the disk was used with.
fn of_partitions(disk: &Disk) -> Option<Chs> {
    let mut table = [0; SECTOR];
    disk.read(0, &mut table).ok()?;
    if table[0x1fe..] != [0x55, 0xaa] {
        return None;
    }
    table[0x1be..0x1fe].chunks_exact(16).find_map(|entry| {
        let length = u32::from_le_bytes([entry[12], entry[13], entry[14], entry[15]]);
        let (heads, sectors) = (u32::from(entry[5]) + 1, u32::from(entry[6] & 0x3f));
        if length == 0 || heads == 1 || sectors == 0 {
            return None;
        }
        let cylinders = disk.sectors() / u64::from(heads * sectors);
        (1..=16_383).contains(&cylinders).then_some(Chs {
            cylinders: cylinders as u32,
            heads,
            sectors,
        })
    })
}

/// The geometry of a disk and its translation.
pub(crate) fn of_disk(disk: &Disk) -> (Chs, Translation) {
    let physical = physical(disk.sectors());
    match of_partitions(disk) {
        None => (physical, Translation::for_geometry(physical)),
        // A head above the sixteenth was reached by a translation.
        Some(logical) if logical.heads > 16 => {
            let large = physical.cylinders * physical.heads <= 131_072;
            let translation = if large {
                Translation::Large
            } else {
                Translation::Lba
            };
            (physical, translation)
        }
        Some(logical) => (logical, Translation::None),
    }
}
