//! Where a sector is on a disk.

use std::fmt;

/// A sector by cylinder, head and record, as its ID field and the commands name it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chs {
    /// C: 0 and up.
    pub cylinder: u8,
    /// H: 0 or 1.
    pub head: u8,
    /// R: 1 and up.
    pub sector: u8,
}

impl Chs {
    /// The first sector of a disk.
    pub const FIRST: Self = Self::new(0, 0, 1);

    /// `cylinder/head/sector`.
    pub const fn new(cylinder: u8, head: u8, sector: u8) -> Self {
        Self {
            cylinder,
            head,
            sector,
        }
    }
}

impl fmt::Display for Chs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cylinder,
            head,
            sector,
        } = self;
        write!(f, "{cylinder}/{head}/{sector}")
    }
}

impl fmt::Debug for Chs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How a disk is laid out, in sectors of 512 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Cylinders.
    pub cylinders: u8,
    /// Sides: 1 or 2.
    pub heads: u8,
    /// Sectors of a track.
    pub sectors: u8,
}

impl Geometry {
    /// 3½", 1.44 MB: the usual disk.
    pub const MB_1_44: Self = Self::new(80, 2, 18);

    /// `cylinders × heads × sectors`.
    pub const fn new(cylinders: u8, heads: u8, sectors: u8) -> Self {
        Self {
            cylinders,
            heads,
            sectors,
        }
    }

    /// Sectors of the whole disk.
    pub const fn len(self) -> u64 {
        self.cylinders as u64 * self.heads as u64 * self.sectors as u64
    }

    /// Whether there is no sector.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The number of a sector in an image, counted from 0: side after side, cylinder after cylinder.
    pub const fn index(self, at: Chs) -> u64 {
        let track = at.cylinder as u64 * self.heads as u64 + at.head as u64;
        track * self.sectors as u64 + at.sector as u64 - 1
    }

    /// The last sector.
    pub const fn last(self) -> Chs {
        Chs::new(self.cylinders - 1, self.heads - 1, self.sectors)
    }
}

impl fmt::Debug for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cylinders,
            heads,
            sectors,
        } = self;
        write!(f, "{cylinders}x{heads}x{sectors}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_follow_side_after_side() {
        let disk = Geometry::MB_1_44;
        assert_eq!(disk.len(), 2880);
        assert_eq!(disk.index(Chs::FIRST), 0);
        assert_eq!(disk.index(Chs::new(0, 1, 1)), 18);
        assert_eq!(disk.index(Chs::new(1, 0, 1)), 36);
        assert_eq!(disk.index(disk.last()), 2879);
    }
}
