//! Where the processor sees what is behind a host bridge: [`AddressMap`], and the allocation of addresses in it.

use std::ops::Range;

use super::intx::Routing;

/// A stretch of PCI memory addresses that the processor reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First address on the PCI bus.
    pub base: u64,
    /// Length in bytes.
    pub len: u64,
    /// The guest-physical address at which the processor sees the first one.
    pub cpu: u64,
}

impl Window {
    /// A window whose addresses are the same on both sides.
    pub const fn identical(range: Range<u64>) -> Self {
        Self {
            base: range.start,
            len: range.end - range.start,
            cpu: range.start,
        }
    }

    /// The guest-physical address of a PCI address, if it is in the window.
    pub const fn cpu_address(&self, address: u64) -> Option<u64> {
        if address < self.base || address - self.base >= self.len {
            return None;
        }
        Some(self.cpu + (address - self.base))
    }
}

/// How a processor reaches I/O ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// By instructions of their own: x86.
    Native,
    /// As memory; port 0 is at this guest-physical address.
    Memory(u64),
}

/// The windows of a host bridge.
#[derive(Clone, Debug)]
pub struct AddressMap {
    /// How ports are reached.
    pub ports: Ports,
    /// Port numbers that can be given to devices.
    pub io: Range<u64>,
    /// Memory below 4 GiB on the bus, for 32-bit base addresses.
    pub memory: Window,
    /// Memory above, for 64-bit ones. May be empty.
    pub memory64: Window,
    /// Where INTx# goes.
    pub intx: Routing,
}

impl AddressMap {
    /// Where the processor sees a memory address of the bus; `None` if it is in no window.
    pub(super) fn cpu_address(&self, address: u64) -> Option<u64> {
        let windows = [self.memory, self.memory64];
        let known = windows
            .iter()
            .find_map(|window| window.cpu_address(address));
        // Windows that translate nothing are what is given out, not what is decoded.
        let same = windows.iter().all(|window| window.base == window.cpu);
        known.or_else(|| same.then_some(address))
    }
}

/// Addresses of one kind on one bus, given out and taken back.
#[derive(Debug, Default)]
pub(super) struct Pool {
    range: Range<u64>,
    /// What is given out, in ascending order.
    taken: Vec<Range<u64>>,
}

impl Pool {
    pub(super) fn new(range: Range<u64>) -> Self {
        Self {
            range,
            taken: Vec::new(),
        }
    }

    /// The lowest free addresses, aligned to a power of two.
    pub(super) fn allocate(&mut self, size: u64, align: u64) -> Option<u64> {
        let ends = self.taken.iter().map(|taken| taken.end);
        let begins = self.taken.iter().map(|taken| taken.start);
        let gaps = std::iter::once(self.range.start)
            .chain(ends)
            .zip(begins.chain([self.range.end]));
        let (place, base) = gaps.enumerate().find_map(|(place, (start, end))| {
            let base = start.checked_next_multiple_of(align)?;
            let fits = size > 0 && base.checked_add(size)? <= end;
            fits.then_some((place, base))
        })?;
        self.taken.insert(place, base..base + size);
        Some(base)
    }

    /// Takes back what [`Pool::allocate`] gave.
    pub(super) fn free(&mut self, base: u64) {
        self.taken.retain(|taken| taken.start != base);
    }

    pub(super) fn range(&self) -> Range<u64> {
        self.range.clone()
    }
}

/// The three kinds of addresses on one bus.
#[derive(Debug, Default)]
pub(super) struct Pools {
    pub(super) io: Pool,
    pub(super) memory: Pool,
    /// Of the root bus: above 4 GiB. Behind a bridge: its prefetchable window.
    pub(super) memory64: Pool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_aligned_disjoint_and_used_again() {
        let mut pool = Pool::new(0x1000..0x3000);
        assert_eq!(pool.allocate(0x10, 0x10), Some(0x1000));
        assert_eq!(pool.allocate(0x1000, 0x1000), Some(0x2000));
        assert_eq!(pool.allocate(0x100, 0x100), Some(0x1100));
        assert_eq!(pool.allocate(0x1000, 0x1000), None);
        pool.free(0x2000);
        assert_eq!(pool.allocate(0x800, 0x800), Some(0x1800));
        assert_eq!(pool.allocate(0x1000, 0x1000), Some(0x2000));
        assert_eq!(pool.allocate(0x10, 0x10), Some(0x1010));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut pool = Pool::new(0..0x100);
        assert_eq!(pool.allocate(0x200, 0x200), None);
        assert_eq!(pool.allocate(0, 1), None);
        assert_eq!(Pool::default().allocate(1, 1), None);
        let mut top = Pool::new(u64::MAX - 0xff..u64::MAX);
        assert_eq!(top.allocate(0x200, 0x200), None);
    }

    #[test]
    fn a_window_translates_what_is_in_it() {
        let window = Window {
            base: 0x8000_0000,
            len: 0x1000,
            cpu: 0x2000_8000_0000,
        };
        assert_eq!(window.cpu_address(0x8000_0fff), Some(0x2000_8000_0fff));
        assert_eq!(window.cpu_address(0x8000_1000), None);
        assert_eq!(window.cpu_address(0x7fff_ffff), None);
    }
}
