//! The books of a machine's memory: what is free, what is taken, what rests. Knows no machine, so that it can live in one.

use std::collections::{BTreeMap, VecDeque};
use std::panic::Location;

use testjig_vm::RamRegion;

use super::MemoryFault;

/// Bytes on either side of each block that nothing may write.
pub const GUARD: u64 = 64;
/// What a block is filled with once it is freed.
pub const FREED: u8 = 0xdd;
/// What guards are filled with.
pub(super) const FENCE: u8 = 0xfd;

/// Bytes of freed blocks that rest before the oldest are used again.
const RESTING: u64 = 4 << 20;
/// Number of freed blocks that rest before the oldest are used again.
const RESTING_BLOCKS: usize = 512;

/// Left out at the beginning of the machine's RAM: RISC-V's firmware takes 512 KiB, Arm's device tree 1 MiB, POWER's firmware 1.5 MiB.
const AT_START: u64 = 2 << 20;
/// Left out at the end of each region: device trees of RISC-V and POWER take its last 2 MiB, the boot loader of s390 the last but one.
const AT_END: u64 = 4 << 20;

/// A piece of memory that was handed out.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) addr: u64,
    pub(super) len: u64,
    /// With the guards and what alignment cost.
    start: u64,
    end: u64,
    pub(super) allocated: &'static Location<'static>,
    pub(super) freed: Option<&'static Location<'static>>,
    /// See [`Wish::lingers`].
    pub(super) lingers: bool,
}

impl Block {
    pub(super) fn double_free(&self) -> MemoryFault {
        MemoryFault::DoubleFree {
            addr: self.addr,
            len: self.len,
            allocated: self.allocated,
            freed: self.freed,
        }
    }
}

/// What a block must be like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) len: u64,
    pub(super) align: u64,
    pub(super) below: u64,
    /// The block crosses no multiple of this.
    pub(super) within: Option<u64>,
    /// A device may look at it once more after its owner has dropped it.
    pub(super) lingers: bool,
}

impl Wish {
    /// The lowest block of this kind in a free span.
    fn place(&self, start: u64, end: u64) -> Option<u64> {
        let mut addr = align_up(start.checked_add(GUARD)?, self.align)?;
        if let Some(window) = self.within {
            let last = addr.checked_add(self.len.max(1) - 1)?;
            if addr / window != last / window {
                addr = align_up(align_up(addr, window)?, self.align)?;
            }
        }
        let last = addr.checked_add(self.len)?;
        (last <= self.below && last.checked_add(GUARD)? <= end).then_some(addr)
    }
}

fn align_up(value: u64, align: u64) -> Option<u64> {
    value.checked_next_multiple_of(align)
}

/// Free spans, blocks in use, and blocks that were freed.
#[derive(Debug)]
pub(super) struct Heap {
    free: BTreeMap<u64, u64>,
    used: BTreeMap<u64, Block>,
    /// Dropped while the machine could not be asked, or while a device may still look: guards not checked, not filled. With the
    /// number of round trips at that time.
    dropped: Vec<(Block, u64)>,
    /// Filled, in the order of their ends.
    resting: VecDeque<Block>,
    resting_bytes: u64,
    /// Found where nobody could be told.
    faults: Vec<MemoryFault>,
}

impl Heap {
    pub(super) fn new(regions: &[RamRegion]) -> Self {
        let largest = regions.iter().map(|region| region.len).max().unwrap_or(0);
        let mut free = BTreeMap::new();
        // A PC's conventional memory is the BIOS's, unless there is no other.
        for region in regions
            .iter()
            .filter(|region| region.len >= largest.min(8 << 20))
        {
            let start = region.base + AT_START.min(region.len / 8);
            let end = region.end() - AT_END.min(region.len / 8);
            if let (Some(start), true) = (align_up(start, 4096), start < end) {
                free.insert(start, end & !4095);
            }
        }
        Self {
            free,
            used: BTreeMap::new(),
            dropped: Vec::new(),
            resting: VecDeque::new(),
            resting_bytes: 0,
            faults: Vec::new(),
        }
    }

    /// The spans that are free.
    pub(super) fn free_spans(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.free.iter().map(|(&start, &end)| (start, end))
    }

    /// Takes the lowest block of this kind.
    pub(super) fn take(
        &mut self,
        wish: &Wish,
        allocated: &'static Location<'static>,
    ) -> Option<Block> {
        let (start, end, addr) = self
            .free_spans()
            .find_map(|(start, end)| Some((start, end, wish.place(start, end)?)))?;
        // Guards of neighbours are never shared, and what alignment leaves over stays free.
        let block = Block {
            addr,
            len: wish.len,
            start: addr - GUARD,
            end: addr + wish.len + GUARD,
            allocated,
            freed: None,
            lingers: wish.lingers,
        };
        self.free.remove(&start);
        if start < block.start {
            self.free.insert(start, block.start);
        }
        if block.end < end {
            self.free.insert(block.end, end);
        }
        self.used.insert(addr, block.clone());
        Some(block)
    }

    /// Takes the block at this address out of those in use.
    pub(super) fn end(&mut self, addr: u64) -> Option<Block> {
        self.used.remove(&addr)
    }

    /// The block at this address that has been freed already.
    pub(super) fn ended(&self, addr: u64) -> Option<&Block> {
        self.dropped
            .iter()
            .map(|(block, _)| block)
            .chain(&self.resting)
            .find(|block| block.addr == addr)
    }

    /// Lays down a block that was checked and filled; hands out those whose rest is over, for a last look.
    pub(super) fn rest(&mut self, block: Block) -> Vec<Block> {
        self.resting_bytes += block.len;
        self.resting.push_back(block);
        let mut over = Vec::new();
        while self.resting_bytes > RESTING || self.resting.len() > RESTING_BLOCKS {
            let Some(block) = self.resting.pop_front() else {
                break;
            };
            self.resting_bytes -= block.len;
            over.push(block);
        }
        over
    }

    /// Ends all rest, for a request that finds no place.
    pub(super) fn wake(&mut self) -> Vec<Block> {
        self.resting_bytes = 0;
        self.resting.drain(..).collect()
    }

    /// Makes a block's place free again.
    pub(super) fn reclaim(&mut self, block: &Block) {
        let (mut start, mut end) = (block.start, block.end);
        if let Some((&before, &until)) = self.free.range(..start).next_back() {
            if until == start {
                self.free.remove(&before);
                start = before;
            }
        }
        if let Some(after) = self.free.remove(&end) {
            end = after;
        }
        self.free.insert(start, end);
    }

    pub(super) fn defer(&mut self, block: Block, round_trips: u64) {
        self.dropped.push((block, round_trips));
    }

    /// Takes those that can be filled, of a machine that has been waited for this often.
    pub(super) fn deferred(&mut self, round_trips: u64) -> Vec<Block> {
        let (wait, over) = std::mem::take(&mut self.dropped)
            .into_iter()
            .partition(|(block, since)| block.lingers && *since == round_trips);
        self.dropped = wait;
        over.into_iter().map(|(block, _)| block).collect()
    }

    /// Where a block is that a device may still look at.
    pub(super) fn lingering(&self) -> Option<u64> {
        let mut dropped = self.dropped.iter().map(|(block, _)| block);
        Some(dropped.find(|block| block.lingers)?.addr)
    }

    pub(super) fn found(&mut self, faults: impl IntoIterator<Item = MemoryFault>) {
        self.faults.extend(faults);
    }

    pub(super) fn faults(&mut self) -> Vec<MemoryFault> {
        std::mem::take(&mut self.faults)
    }

    /// Blocks in use, in the order of their addresses.
    pub(super) fn used(&self) -> Vec<Block> {
        self.used.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn heap() -> Heap {
        Heap::new(&[
            RamRegion {
                base: 0,
                offset: 0,
                len: 640 << 10,
            },
            RamRegion {
                base: MIB,
                offset: MIB,
                len: 127 * MIB,
            },
        ])
    }

    fn wish(len: u64, align: u64) -> Wish {
        Wish {
            len,
            align,
            below: u64::MAX,
            within: None,
            lingers: false,
        }
    }

    fn take(heap: &mut Heap, wish: Wish) -> Block {
        heap.take(&wish, Location::caller()).expect("there is room")
    }

    #[test]
    fn a_pc_keeps_its_first_mebibyte_and_both_ends_of_the_rest() {
        let spans: Vec<_> = heap().free_spans().collect();
        assert_eq!(spans, [(3 * MIB, 124 * MIB)]);
    }

    #[test]
    fn a_small_machine_still_has_memory() {
        let spans: Vec<_> = Heap::new(&[RamRegion {
            base: 0,
            offset: 0,
            len: 640 << 10,
        }])
        .free_spans()
        .collect();
        assert_eq!(spans, [(80 << 10, 560 << 10)]);
    }

    #[test]
    fn blocks_and_guards_never_overlap_and_are_aligned() {
        let mut heap = heap();
        let blocks: Vec<Block> = [(1, 1), (512, 512), (3, 4096), (4096, 16), (0, 1), (7, 2)]
            .into_iter()
            .map(|(len, align)| {
                let block = take(&mut heap, wish(len, align));
                assert_eq!(block.addr % align, 0);
                block
            })
            .collect();
        for (index, one) in blocks.iter().enumerate() {
            assert!(one.start + GUARD <= one.addr && one.addr + one.len + GUARD <= one.end);
            for other in &blocks[index + 1..] {
                assert!(one.end <= other.start || other.end <= one.start);
            }
        }
    }

    #[test]
    fn what_all_blocks_took_comes_back_as_one_span() {
        let mut heap = heap();
        let before: Vec<_> = heap.free_spans().collect();
        let blocks: Vec<Block> = (1..50)
            .map(|n| take(&mut heap, wish(n * 100, 1 << (n % 13))))
            .collect();
        for block in blocks
            .iter()
            .step_by(2)
            .chain(blocks.iter().skip(1).step_by(2))
        {
            let ended = heap.end(block.addr).expect("it is in use");
            heap.reclaim(&ended);
        }
        assert_eq!(heap.free_spans().collect::<Vec<_>>(), before);
    }

    #[test]
    fn a_limit_and_a_window_are_kept() {
        let mut heap = heap();
        let limited = Wish {
            below: 16 * MIB,
            within: Some(64 << 10),
            ..wish(40 << 10, 1)
        };
        let mut count = 0;
        while let Some(block) = heap.take(&limited, Location::caller()) {
            let last = block.addr + block.len - 1;
            assert!(last < 16 * MIB);
            assert_eq!(block.addr >> 16, last >> 16);
            count += 1;
        }
        assert!(count > 200, "one in nearly each of 208 windows: {count}");
        assert!(take(&mut heap, wish(1 << 20, 1)).addr >= 15 * MIB);
    }

    #[test]
    fn the_oldest_blocks_wake_first_when_too_much_rests() {
        let mut heap = heap();
        let blocks: Vec<Block> = (0..3).map(|_| take(&mut heap, wish(2 * MIB, 1))).collect();
        let mut over = Vec::new();
        for block in &blocks {
            let block = heap.end(block.addr).expect("it is in use");
            over.extend(heap.rest(block));
        }
        let over: Vec<u64> = over.iter().map(|block| block.addr).collect();
        assert_eq!(over, [blocks[0].addr]);
    }
}
