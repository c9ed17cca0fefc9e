//! Which basic blocks of QEMU are reached: an illegal instruction at the beginning of each, taken away when it is met.
//!
//! The other side gives a file with the places, which is mapped by all processes of a machine and its forks ([`Header`]). When the main
//! loop sleeps for the first time, so when the machine is built, the byte `06` is put at each place: one byte, as an instruction may be
//! no longer, and no instruction in 64-bit mode (Intel SDM volume 2, appendix A, table A-2). Whoever comes there gets SIGILL, which
//! QEMU blocks in none of its threads (SIGTRAP it does). The handler puts the byte back, and notes the place; so a place costs some
//! 20 µs once, and nothing after.
//!
//! A forked machine inherits what is armed. Before a template forks it takes away what any of its forks has met since.

use core::ffi::{CStr, c_int, c_void};
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::{sys, text};

/// The environment variable with the number of the file's descriptor.
pub const BLOCKS: &CStr = c"TESTJIG_BLOCKS";

/// The beginning of the file. After it come the places, `count` words: an address relative to where the program is loaded in the upper
/// 56 bits, the byte there in the lower 8; then `count` bytes, 1 where a place was reached; then, aligned to 4, `count` 32-bit
/// numbers, of which the first `reached` are the places in the order in which they were reached first, counted from 1.
#[repr(C)]
struct Header {
    magic: u64,
    count: u64,
    /// 0: not armed yet. [`ARMED`], [`OTHER_PROGRAM`], [`READ_ONLY`].
    state: AtomicU64,
    reached: AtomicU64,
}

const MAGIC: u64 = 0x3173_6b63_6f6c_6274;
const ARMED: u64 = 1;
/// The bytes at the places are not those of this program.
const OTHER_PROGRAM: u64 = 2;
/// The system does not let code be written.
const READ_ONLY: u64 = 3;

/// No instruction.
const TRAP: u8 = 0x06;

static FILE: AtomicPtr<Header> = AtomicPtr::new(core::ptr::null_mut());
/// Where the program is loaded.
static BASE: AtomicUsize = AtomicUsize::new(0);
/// Whether [`arm`] was called.
static IS_DONE: AtomicU8 = AtomicU8::new(0);

/// Whether places are to be armed, and are not yet.
pub(crate) fn is_due() -> bool {
    IS_DONE.load(Ordering::Relaxed) == 0 && !FILE.load(Ordering::Relaxed).is_null()
}

/// Maps the file, if there is one.
pub(crate) fn begin() {
    // SAFETY: `getenv` takes a C string, and what it returns is one.
    let fd = unsafe { text::number(sys::getenv(BLOCKS.as_ptr())) };
    let Some(fd) = fd else { return };
    let Some(stat) = sys::stat(fd) else { return };
    let Ok(len) = usize::try_from(stat.size) else {
        return;
    };
    if !cfg!(target_arch = "x86_64") || len < size_of::<Header>() {
        return;
    }
    // SAFETY: maps a file at an address of the system's choice.
    let mapped = unsafe {
        sys::mmap(
            core::ptr::null_mut(),
            len,
            sys::PROT_READ_WRITE,
            sys::MAP_SHARED,
            fd,
            0,
        )
    };
    if mapped as isize == -1 {
        return;
    }
    let file = mapped.cast::<Header>();
    // SAFETY: the file is at least as long as a header, and mapped.
    let header = unsafe { &*file };
    if header.magic == MAGIC
        && header
            .count
            .checked_mul(13)
            .is_some_and(|size| size <= len as u64)
    {
        FILE.store(file, Ordering::Release);
    }
}

/// The file's parts.
#[derive(Clone, Copy)]
struct Places {
    header: &'static Header,
    places: &'static [u64],
    met: &'static [AtomicU8],
    order: &'static [AtomicU32],
}

fn places() -> Option<Places> {
    let file = FILE.load(Ordering::Acquire);
    if file.is_null() {
        return None;
    }
    // SAFETY: `begin` has seen that the file is long enough for all this; it stays mapped, and what changes in it is atomic.
    unsafe {
        let header = &*file;
        let count = header.count as usize;
        let first = file.add(1).cast::<u64>();
        let met = first.add(count).cast::<AtomicU8>();
        let order = met.add(count.next_multiple_of(4)).cast::<AtomicU32>();
        Some(Places {
            header,
            places: core::slice::from_raw_parts(first, count),
            met: core::slice::from_raw_parts(met, count),
            order: core::slice::from_raw_parts(order, count),
        })
    }
}

/// Where a place is, and what was there.
fn place(word: u64) -> (*mut u8, u8) {
    let address = BASE.load(Ordering::Relaxed) + (word >> 8) as usize;
    (address as *mut u8, word as u8)
}

/// Puts the byte at every place that was not reached yet. Called once, by the main thread, while the main loop sleeps.
pub(crate) fn arm() {
    IS_DONE.store(1, Ordering::Relaxed);
    let Some(all) = places() else { return };
    let mut base = 0_usize;
    // SAFETY: the callback has the type that the function wants, and the pointer is to a number.
    unsafe { sys::dl_iterate_phdr(note_base, (&raw mut base).cast()) };
    BASE.store(base, Ordering::Relaxed);
    let (Some(first), Some(last)) = (all.places.first(), all.places.last()) else {
        return;
    };
    let (first, last) = (place(*first).0 as usize, place(*last).0 as usize);
    // The bytes are looked at through the kernel, which does not mind what is not there.
    let is_this_program = all.places.iter().step_by(64).all(|word| {
        let (address, byte) = place(*word);
        let mut found = [0];
        sys::peek(address as usize, &mut found) && found[0] == byte
    });
    if !is_this_program {
        return all.header.state.store(OTHER_PROGRAM, Ordering::Release);
    }
    const PAGE: usize = 4096;
    let begin = first & !(PAGE - 1);
    // SAFETY: changes what may be done with pages of the program's code, to more.
    if unsafe { sys::mprotect(begin as *mut c_void, last + 1 - begin, sys::PROT_ALL) } != 0 {
        return all.header.state.store(READ_ONLY, Ordering::Release);
    }
    let mut action = sys::SigAction::new(on_illegal as *const () as usize);
    // SAFETY: the structure has the C library's layout, and the handler the type that its flags promise.
    unsafe { sys::sigaction(sys::SIGILL, &raw mut action, core::ptr::null_mut()) };
    for (word, met) in all.places.iter().zip(all.met) {
        let (address, byte) = place(*word);
        // What a process met before is not asked again.
        if met.load(Ordering::Relaxed) == 0 {
            // SAFETY: code of this program, writable since above; an instruction begins there, of which one byte changes.
            unsafe {
                if address.read_volatile() == byte {
                    address.write_volatile(TRAP);
                }
            }
        }
    }
    all.header.state.store(ARMED, Ordering::Release);
}

/// The program is the first object that the loader lists.
extern "C" fn note_base(info: *const sys::LoadedObject, _: usize, base: *mut c_void) -> c_int {
    // SAFETY: the loader's structure, and the number that `arm` gave.
    unsafe { *base.cast::<usize>() = (*info).address };
    1
}

/// In a template: takes away what any fork has met.
pub(crate) fn follow() {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    let Some(all) = places() else { return };
    if all.header.state.load(Ordering::Acquire) != ARMED || IS_DONE.load(Ordering::Relaxed) == 0 {
        return;
    }
    let reached = all.header.reached.load(Ordering::Acquire) as usize;
    let seen = SEEN.swap(reached, Ordering::Relaxed);
    for index in all.order.get(seen..reached).unwrap_or_default() {
        // 0 if whoever met it has not written it yet.
        let index = (index.load(Ordering::Acquire) as usize).checked_sub(1);
        if let Some(word) = index.and_then(|index| all.places.get(index)) {
            restore(*word);
        }
    }
}

fn restore(word: u64) {
    let (address, byte) = place(word);
    // SAFETY: a place that `arm` has made writable, and the byte that belongs there.
    unsafe { address.write_volatile(byte) };
}

/// A place was met, or an illegal instruction of the program's own.
extern "C" fn on_illegal(_: c_int, info: *const sys::SigInfo, _: *mut c_void) {
    // SAFETY: the kernel's structure, of which SIGILL fills the address (`si_addr`).
    let address = unsafe { (*info).address() };
    let offset = address.wrapping_sub(BASE.load(Ordering::Relaxed)) as u64;
    let found = places().and_then(|all| {
        let index = all.places.binary_search_by_key(&offset, |word| word >> 8);
        Some((all, index.ok()?))
    });
    let Some((all, index)) = found else {
        // The instruction is met again, and ends the process as it would have.
        let mut action = sys::SigAction::new(0);
        // SAFETY: sets the default.
        unsafe { sys::sigaction(sys::SIGILL, &raw mut action, core::ptr::null_mut()) };
        return;
    };
    // The byte is back at once for this process; the list is for the others. Two threads may come here for one place.
    if let Some(word) = all.places.get(index) {
        restore(*word);
    }
    let is_first = all
        .met
        .get(index)
        .is_some_and(|met| met.swap(1, Ordering::Relaxed) == 0);
    if is_first {
        // A process that is ended between these two leaves a 0.
        let at = all.header.reached.fetch_add(1, Ordering::AcqRel) as usize;
        if let Some(entry) = all.order.get(at) {
            entry.store(index as u32 + 1, Ordering::Release);
        }
    }
}
