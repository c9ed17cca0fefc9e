//! [`GuestAlloc`]: the machine's memory, handed out and taken back.

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::panic::Location;
use std::rc::Rc;

use testjig_vm::{Fault, Vm};

use super::heap::{Block, FENCE, FREED, GUARD, Heap, Wish};
use super::{FromBytes, GuestBox, GuestBuf, GuestSlice, Immutable, IntoBytes, MemoryFault, Side};

/// What `Vm::extension` keeps. It must not hold the machine.
struct Books(RefCell<Heap>);

/// The machine's allocator. All of a machine's are the same one.
///
/// Each block is zeroed when it is handed out.
#[derive(Clone)]
pub struct GuestAlloc {
    vm: Vm,
    books: Rc<Books>,
}

impl GuestAlloc {
    /// The allocator of this machine.
    pub fn of(vm: &Vm) -> Self {
        Self {
            vm: vm.clone(),
            books: vm.extension(|vm| Books(RefCell::new(Heap::new(vm.ram().regions())))),
        }
    }

    /// The machine.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// `len` bytes, aligned to 16.
    #[track_caller]
    pub fn buf(&self, len: u64) -> GuestBuf {
        self.request(len).buf()
    }

    /// These bytes in guest memory, aligned to 16.
    #[track_caller]
    pub fn copy_of(&self, bytes: &[u8]) -> GuestBuf {
        let buf = self.buf(bytes.len() as u64);
        buf.write(0, bytes);
        buf
    }

    /// A structure in guest memory, aligned to 16.
    #[track_caller]
    pub fn boxed<T: FromBytes + IntoBytes + Immutable>(&self, value: &T) -> GuestBox<T> {
        self.request(size_of::<T>() as u64).boxed(value)
    }

    /// A zeroed table of `count` structures in guest memory, aligned to 16.
    #[track_caller]
    pub fn slice<T: FromBytes + IntoBytes + Immutable>(&self, count: usize) -> GuestSlice<T> {
        self.request(count as u64 * size_of::<T>() as u64).slice()
    }

    /// A block of `len` bytes with further wishes.
    pub fn request(&self, len: u64) -> Request {
        Request {
            alloc: self.clone(),
            wish: Wish {
                len,
                align: 16,
                below: u64::MAX,
                within: None,
                lingers: false,
            },
        }
    }

    /// Frees a block by its address, as [`GuestBuf::into_addr`] gave it up.
    ///
    /// Unwinds with a [`Fault`] if the block was freed before, was written over its ends, or if there never was one.
    #[track_caller]
    pub fn free(&self, addr: u64) {
        self.settle();
        let ended = self.books.0.borrow_mut().end(addr);
        let Some(mut block) = ended else {
            let again = self.books.0.borrow().ended(addr).map(Block::double_free);
            let problem = again.map_or_else(
                || format!("failed to free {addr:#x}: no guest buffer begins there"),
                |fault| fault.to_string(),
            );
            Fault::usage(problem).raise();
        };
        block.freed = Some(Location::caller());
        let harm = self.damage(&block);
        self.lay_down(block);
        if let Some(fault) = harm {
            Fault::usage(fault.to_string()).raise();
        }
    }

    /// What was done wrong so far, and what is not freed yet; for the end of a test.
    ///
    /// Empty for a machine whose allocator was never used.
    #[track_caller]
    pub fn faults(vm: &Vm) -> Vec<MemoryFault> {
        let Some(books) = vm.find_extension::<Books>() else {
            return Vec::new();
        };
        let alloc = Self {
            vm: vm.clone(),
            books,
        };
        alloc.settle();
        let lingering = alloc.books.0.borrow().lingering();
        if let Some(addr) = lingering {
            alloc.vm.readb(addr);
            alloc.settle();
        }
        let resting = alloc.books.0.borrow_mut().wake();
        alloc.look_again(&resting);
        let used = alloc.books.0.borrow().used();
        let mut faults = alloc.books.0.borrow_mut().faults();
        faults.extend(used.iter().filter_map(|block| alloc.damage(block)));
        faults.extend(used.iter().map(|block| MemoryFault::Leak {
            addr: block.addr,
            len: block.len,
            allocated: block.allocated,
        }));
        faults
    }

    /// Spans that are free now: first address and first address behind, in ascending order. For tools.
    pub fn free_spans(&self) -> Vec<(u64, u64)> {
        self.books.0.borrow().free_spans().collect()
    }

    #[track_caller]
    fn take(&self, wish: &Wish) -> u64 {
        self.settle();
        let place = Location::caller();
        let mut taken = self.books.0.borrow_mut().take(wish, place);
        if taken.is_none() {
            let resting = self.books.0.borrow_mut().wake();
            self.look_again(&resting);
            taken = self.books.0.borrow_mut().take(wish, place);
        }
        let Some(block) = taken else {
            self.refuse(wish);
        };
        let ram = self.vm.ram();
        ram.fill(block.addr - GUARD, GUARD as usize, FENCE);
        ram.fill(block.addr, block.len as usize, 0);
        ram.fill(block.addr + block.len, GUARD as usize, FENCE);
        block.addr
    }

    #[track_caller]
    #[cold]
    fn refuse(&self, wish: &Wish) -> ! {
        let largest = self
            .free_spans()
            .into_iter()
            .map(|(start, end)| end - start)
            .max();
        let mut what = format!("{} bytes, aligned to {:#x}", wish.len, wish.align);
        if wish.below != u64::MAX {
            let _ = write!(what, ", below {:#x}", wish.below);
        }
        if let Some(window) = wish.within {
            let _ = write!(what, ", not across a multiple of {window:#x}");
        }
        let problem = format!(
            "failed to allocate guest memory of {what}: the largest free span of {} has {:#x} bytes; `Launch::memory` gives it more",
            self.vm.launch().machine(),
            largest.unwrap_or(0)
        );
        Fault::usage(problem).raise()
    }

    /// What a dropped owner does: never unwinds, and waits for nothing.
    pub(super) fn drop_block(&self, addr: u64) {
        let ended = self.books.0.borrow_mut().end(addr);
        let Some(block) = ended else {
            // Freed by its address while it was owned.
            let again = self.books.0.borrow().ended(addr).map(Block::double_free);
            self.books.0.borrow_mut().found(again);
            return;
        };
        if block.lingers
            || std::thread::panicking()
            || !self.vm.is_quiet()
            || !self.vm.ram().is_mapped()
        {
            // An operation that is queued may still use it: what it finds must be there.
            let round_trips = self.vm.round_trips();
            self.books.0.borrow_mut().defer(block, round_trips);
        } else {
            let harm = self.damage(&block);
            self.books.0.borrow_mut().found(harm);
            self.lay_down(block);
        }
    }

    /// Does what could not be done when owners were dropped.
    #[track_caller]
    fn settle(&self) {
        self.vm.sync();
        let round_trips = self.vm.round_trips();
        let deferred = self.books.0.borrow_mut().deferred(round_trips);
        for block in deferred {
            let harm = self.damage(&block);
            self.books.0.borrow_mut().found(harm);
            self.lay_down(block);
        }
    }

    /// Fills a block that has ended.
    #[track_caller]
    fn lay_down(&self, block: Block) {
        self.vm.ram().fill(block.addr, block.len as usize, FREED);
        let over = self.books.0.borrow_mut().rest(block);
        self.look_again(&over);
    }

    /// Whether blocks are as they were laid down; their places are free then.
    #[track_caller]
    fn look_again(&self, blocks: &[Block]) {
        for block in blocks {
            let bytes = self.vm.ram().read_vec(block.addr, block.len as usize);
            let changed = bytes.iter().position(|&byte| byte != FREED);
            let used = changed.map(|offset| MemoryFault::UseAfterFree {
                addr: block.addr,
                len: block.len,
                allocated: block.allocated,
                freed: block.freed,
                offset: offset as u64,
                value: bytes[offset],
            });
            let harm = self.damage(block);
            let mut heap = self.books.0.borrow_mut();
            heap.found(used.into_iter().chain(harm));
            heap.reclaim(block);
        }
    }

    /// What was written into the guards of a block; they are whole after that.
    #[track_caller]
    fn damage(&self, block: &Block) -> Option<MemoryFault> {
        let ram = self.vm.ram();
        let (before, after) = (block.addr - GUARD, block.addr + block.len);
        let left = ram.read_vec(before, GUARD as usize);
        let right = ram.read_vec(after, GUARD as usize);
        let changed = |&byte: &u8| byte != FENCE;
        let fault = |side, distance: usize, value| MemoryFault::Overrun {
            addr: block.addr,
            len: block.len,
            allocated: block.allocated,
            side,
            distance: distance as u64,
            value,
        };
        let behind = right
            .iter()
            .position(changed)
            .map(|at| fault(Side::After, at, right[at]));
        let found = behind.or_else(|| {
            let at = left.iter().rposition(changed)?;
            Some(fault(Side::Before, left.len() - at, left[at]))
        });
        if found.is_some() {
            // Told once.
            ram.fill(before, GUARD as usize, FENCE);
            ram.fill(after, GUARD as usize, FENCE);
        }
        found
    }
}

impl fmt::Debug for GuestAlloc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestAlloc")
            .field("free", &self.free_spans())
            .finish_non_exhaustive()
    }
}

/// A block to be allocated: [`GuestAlloc::request`]. Aligned to 16 bytes unless it says otherwise.
#[derive(Debug)]
#[must_use = "nothing is allocated until `buf`, `boxed` or `slice`"]
pub struct Request {
    alloc: GuestAlloc,
    wish: Wish,
}

impl Request {
    /// At a multiple of `align`, which need not be a power of two.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn align(mut self, align: u64) -> Self {
        assert!(align > 0, "an alignment of 0 is none");
        self.wish.align = align;
        self
    }

    /// Whole below this address: 16 MiB for the DMA controller of ISA, 4 GiB for 32-bit masters.
    pub fn below(mut self, limit: u64) -> Self {
        self.wish.below = limit;
        self
    }

    /// Not across a multiple of `window`, which must be as long as the block at least: 64 KiB for PRDs and the DMA controller of ISA.
    ///
    /// # Panics
    /// If the block is longer.
    #[track_caller]
    pub fn within(mut self, window: u64) -> Self {
        assert!(
            window >= self.wish.len.max(1),
            "a block of {} bytes does not fit between multiples of {window}",
            self.wish.len
        );
        self.wish.within = Some(window);
        self
    }

    /// Filled after its end only when the machine has answered once more. A ring is in the mapped memory, so the driver sees there that
    /// a buffer was used before the device has looked whether there is another.
    pub(crate) fn lingers(mut self) -> Self {
        self.wish.lingers = true;
        self
    }

    /// Allocates it as plain bytes.
    #[track_caller]
    pub fn buf(self) -> GuestBuf {
        let addr = self.alloc.take(&self.wish);
        GuestBuf::new(self.alloc, addr, self.wish.len)
    }

    /// Allocates it for a structure.
    ///
    /// # Panics
    /// If the block has another length than the structure.
    #[track_caller]
    pub fn boxed<T: FromBytes + IntoBytes + Immutable>(self, value: &T) -> GuestBox<T> {
        GuestBox::new(self.buf(), value)
    }

    /// Allocates it as a table of structures, as many as fit.
    #[track_caller]
    pub fn slice<T: FromBytes + IntoBytes + Immutable>(self) -> GuestSlice<T> {
        GuestSlice::new(self.buf())
    }
}
