//! Statistics of the driver's memory (§5.5.6.3, §5.5.6.4).

use crate::virtio::Order;

/// What a [`Stat`] counts (§5.5.6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag(pub u16);

impl Tag {
    /// Bytes swapped in.
    pub const SWAP_IN: Self = Self(0);
    /// Bytes swapped out.
    pub const SWAP_OUT: Self = Self(1);
    /// Page faults that needed a disk.
    pub const MAJFLT: Self = Self(2);
    /// Page faults that did not.
    pub const MINFLT: Self = Self(3);
    /// Bytes that nothing uses.
    pub const MEMFREE: Self = Self(4);
    /// Bytes that there are.
    pub const MEMTOT: Self = Self(5);
    /// Bytes that can be had without swapping.
    pub const AVAIL: Self = Self(6);
    /// Bytes that can be had back from caches at once.
    pub const CACHES: Self = Self(7);
    /// Huge pages that were allocated.
    pub const HTLB_PGALLOC: Self = Self(8);
    /// Huge pages that could not be.
    pub const HTLB_PGFAIL: Self = Self(9);
}

/// One count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Of what.
    pub tag: Tag,
    /// How many.
    pub value: u64,
}

impl Stat {
    /// Bytes of one in memory.
    pub const LEN: usize = 10;

    /// So many of these.
    pub fn new(tag: Tag, value: u64) -> Self {
        Self { tag, value }
    }
}

/// Counts as they stand in memory, one after the other.
pub fn stats(order: Order, all: &[Stat]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(all.len() * Stat::LEN);
    for stat in all {
        bytes.extend(order.bytes16(stat.tag.0));
        bytes.extend(order.bytes64(stat.value));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_packed() {
        let all = [Stat::new(Tag::MEMFREE, 0x0102), Stat::new(Tag::MEMTOT, 3)];
        let little = [4, 0, 2, 1, 0, 0, 0, 0, 0, 0, 5, 0, 3, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(stats(Order::Little, &all), little);
        let big = [0, 4, 0, 0, 0, 0, 0, 0, 1, 2, 0, 5, 0, 0, 0, 0, 0, 0, 0, 3];
        assert_eq!(stats(Order::Big, &all), big);
    }
}
