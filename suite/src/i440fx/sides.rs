//! Where accesses between 640 KiB and 1 MiB go, stretch by stretch.

use std::fmt;
use std::ops::RangeInclusive;

/// Where an access went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Dram,
    Pci,
    Both,
    Neither,
}

/// The side of each address from 0xa0000 to 0xfffff, exact to the byte.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Sides {
    /// Where each stretch begins, ascending; no two neighbours are on one side.
    stretches: Vec<(u64, Side)>,
}

impl Sides {
    pub(super) const FIRST: u64 = 0xa_0000;
    pub(super) const LAST: u64 = 0xf_ffff;
    pub(super) const LEN: usize = (Self::LAST - Self::FIRST + 1) as usize;

    /// Every address on one side.
    pub(super) fn all(side: Side) -> Self {
        Self {
            stretches: vec![(Self::FIRST, side)],
        }
    }

    /// The sides of the addresses from the first on, one by one.
    pub(super) fn collect(sides: impl IntoIterator<Item = Side>) -> Self {
        let mut stretches: Vec<_> = (Self::FIRST..).zip(sides).collect();
        stretches.dedup_by_key(|&mut (_, side)| side);
        Self { stretches }
    }

    /// The same, but for the addresses of `range`.
    pub(super) fn with(self, range: RangeInclusive<u64>, side: Side) -> Self {
        let edges = [*range.start(), *range.end() + 1];
        let mut starts: Vec<_> = self.stretches.iter().map(|&(start, _)| start).collect();
        starts.extend(edges.into_iter().filter(|&edge| edge <= Self::LAST));
        starts.sort_unstable();
        let mut stretches: Vec<_> = starts
            .into_iter()
            .map(|start| {
                (
                    start,
                    if range.contains(&start) {
                        side
                    } else {
                        self.at(start)
                    },
                )
            })
            .collect();
        stretches.dedup_by_key(|&mut (_, side)| side);
        Self { stretches }
    }

    fn at(&self, address: u64) -> Side {
        let after = self
            .stretches
            .partition_point(|&(start, _)| start <= address);
        self.stretches[after - 1].1
    }
}

impl fmt::Debug for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (start, side)) in self.stretches.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{side:?} from {start:#x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Side, Sides};

    fn painted() -> Sides {
        Sides::all(Side::Pci)
            .with(0xc_4000..=0xc_7fff, Side::Dram)
            .with(0xf_0000..=0xf_ffff, Side::Dram)
    }

    #[test]
    fn a_range_is_painted_to_its_last_byte() {
        assert_eq!(
            format!("{:?}", painted()),
            "Pci from 0xa0000, Dram from 0xc4000, Pci from 0xc8000, Dram from 0xf0000"
        );
    }

    #[test]
    fn painting_equals_collecting() {
        let bytes = (Sides::FIRST..=Sides::LAST).map(|address| match address {
            0xc_4000..=0xc_7fff | 0xf_0000.. => Side::Dram,
            _ => Side::Pci,
        });
        assert_eq!(Sides::collect(bytes), painted());
    }

    #[test]
    fn neighbours_of_one_side_become_one_stretch() {
        let rejoined = painted()
            .with(0xc_4000..=0xc_7fff, Side::Pci)
            .with(0xf_0000..=0xf_ffff, Side::Pci);
        assert_eq!(rejoined, Sides::all(Side::Pci));
        assert_eq!(
            Sides::all(Side::Pci).with(Sides::FIRST..=Sides::LAST, Side::Dram),
            Sides::all(Side::Dram)
        );
    }
}
