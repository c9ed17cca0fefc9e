//! Drives and disks: formats by the size of the image.

use crate::disk::{Disk, SECTOR};

/// What kind of drive it is, as the PC's CMOS RAM numbers them (address 10h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Mb1_2 = 2,
    Mb1_44 = 4,
    Mb2_88 = 5,
}

impl Kind {
    /// The value of `drive-type`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mb1_2 => "120",
            Self::Mb1_44 => "144",
            Self::Mb2_88 => "288",
        }
    }

    /// Sectors on a track of the disk that such a drive is made for, which has 80 cylinders and two heads.
    fn usual_sectors(self) -> u8 {
        match self {
            Self::Mb1_2 => 15,
            Self::Mb1_44 => 18,
            Self::Mb2_88 => 36,
        }
    }

    /// The value of `drive-type`; `None` for `auto` and `none`.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, String> {
        Ok(Some(match text {
            "auto" | "none" => return Ok(None),
            "120" => Self::Mb1_2,
            "144" => Self::Mb1_44,
            "288" => Self::Mb2_88,
            _ => {
                return Err(format!(
                    "Property 'floppy.drive-type' doesn't take value '{text}'"
                ));
            }
        }))
    }
}

/// Cylinders, heads, sectors, [DSR]'s code of the data rate, and the drive that such a disk belongs in.
pub(super) struct Format {
    pub(super) cylinders: u8,
    pub(super) heads: u8,
    pub(super) sectors: u8,
    pub(super) rate: u8,
    kind: Kind,
}

const fn format(cylinders: u8, heads: u8, sectors: u8, rate: u8, kind: Kind) -> Format {
    Format {
        cylinders,
        heads,
        sectors,
        rate,
        kind,
    }
}

const KBPS_500: u8 = 0;
const KBPS_300: u8 = 1;
const KBPS_250: u8 = 2;
const MBPS_1: u8 = 3;

/// By drive, then by capacity.
const FORMATS: &[Format] = &[
    format(80, 1, 9, KBPS_250, Kind::Mb1_44),
    format(80, 2, 9, KBPS_250, Kind::Mb1_44),
    format(80, 2, 10, KBPS_250, Kind::Mb1_44),
    format(82, 2, 10, KBPS_250, Kind::Mb1_44),
    format(83, 2, 10, KBPS_250, Kind::Mb1_44),
    format(80, 2, 13, KBPS_250, Kind::Mb1_44),
    format(80, 2, 14, KBPS_250, Kind::Mb1_44),
    format(80, 2, 18, KBPS_500, Kind::Mb1_44),
    format(82, 2, 18, KBPS_500, Kind::Mb1_44),
    format(83, 2, 18, KBPS_500, Kind::Mb1_44),
    format(80, 2, 20, KBPS_500, Kind::Mb1_44),
    format(80, 2, 21, KBPS_500, Kind::Mb1_44),
    format(82, 2, 21, KBPS_500, Kind::Mb1_44),
    format(83, 2, 21, KBPS_500, Kind::Mb1_44),
    format(80, 2, 22, KBPS_500, Kind::Mb1_44),
    format(80, 2, 23, KBPS_500, Kind::Mb1_44),
    format(80, 2, 24, KBPS_500, Kind::Mb1_44),
    format(80, 2, 36, MBPS_1, Kind::Mb2_88),
    format(80, 2, 39, MBPS_1, Kind::Mb2_88),
    format(80, 2, 40, MBPS_1, Kind::Mb2_88),
    format(80, 2, 44, MBPS_1, Kind::Mb2_88),
    format(80, 2, 48, MBPS_1, Kind::Mb2_88),
    format(40, 1, 8, KBPS_250, Kind::Mb1_2),
    format(40, 1, 9, KBPS_300, Kind::Mb1_2),
    format(40, 2, 8, KBPS_250, Kind::Mb1_2),
    format(40, 2, 9, KBPS_300, Kind::Mb1_2),
    format(41, 2, 10, KBPS_300, Kind::Mb1_2),
    format(42, 2, 10, KBPS_300, Kind::Mb1_2),
    format(80, 2, 11, KBPS_250, Kind::Mb1_2),
    format(80, 2, 15, KBPS_500, Kind::Mb1_2),
];

pub(crate) struct FloppyDrive {
    pub(crate) id: Option<String>,
    pub(crate) kind: Kind,
    disk: Option<Disk>,
    /// The disk change line.
    pub(super) changed: bool,
    pub(super) cylinder: u8,
}

impl FloppyDrive {
    pub(crate) fn new(id: Option<String>, kind: Option<Kind>, disk: Option<Disk>) -> Self {
        let found = disk
            .as_ref()
            .and_then(|disk| format_of(disk, None))
            .map(|format| format.kind);
        Self {
            id,
            kind: kind.or(found).unwrap_or(Kind::Mb2_88),
            disk,
            changed: true,
            cylinder: 0,
        }
    }

    pub(crate) fn insert(&mut self, disk: Disk) {
        self.disk = Some(disk);
        self.changed = true;
    }

    pub(crate) fn remove(&mut self) {
        self.disk = None;
        self.changed = true;
    }

    pub(crate) fn has_disk(&self) -> bool {
        self.disk.is_some()
    }

    pub(super) fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    /// A step with a disk in the drive clears the change line.
    pub(super) fn step_to(&mut self, cylinder: u8) {
        if cylinder != self.cylinder && self.disk.is_some() {
            self.changed = false;
        }
        self.cylinder = cylinder;
    }

    pub(super) fn format(&self) -> Option<&'static Format> {
        format_of(self.disk.as_ref()?, Some(self.kind))
    }

    /// Sectors of a track, 0 without a disk.
    pub(super) fn sectors(&self) -> u8 {
        self.format().map_or(0, |format| format.sectors)
    }

    pub(super) fn is_protected(&self) -> bool {
        self.disk.as_ref().is_some_and(Disk::is_read_only)
    }
}

/// The format of an image in a drive: by its size, and where two formats have one, by the diameter of the drive's disks.
fn format_of(disk: &Disk, kind: Option<Kind>) -> Option<&'static Format> {
    let sectors = disk.sectors();
    let size = |format: &Format| {
        u64::from(format.cylinders) * u64::from(format.heads) * u64::from(format.sectors)
    };
    let of_size = || FORMATS.iter().filter(|format| size(format) == sectors);
    let fits = |format: &&Format| {
        kind.is_none_or(|kind| (kind == Kind::Mb1_2) == (format.kind == Kind::Mb1_2))
    };
    let known = of_size().find(fits).or_else(|| of_size().next());
    // An image of no known size is a disk of the drive's usual format.
    known.or_else(|| {
        let sectors = kind?.usual_sectors();
        FORMATS.iter().find(|format| {
            Some(format.kind) == kind && format.cylinders == 80 && format.sectors == sectors
        })
    })
}

const _: () = assert!(SECTOR == 512);
