//! The threads of a template: which there are, what they wait on, and how to start them again in a child.

use core::ffi::{CStr, c_int, c_uint, c_void};
use core::mem::transmute;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};

use crate::sys::{self, Attributes, SignalSet, Timespec};
use crate::text::Text;
use crate::{Role, next, role};

type Start = extern "C" fn(*mut c_void) -> *mut c_void;
type Create = unsafe extern "C" fn(*mut usize, *const Attributes, Start, *mut c_void) -> c_int;
type CondWait = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;
type CondTimedWait = unsafe extern "C" fn(*mut c_void, *mut c_void, *const Timespec) -> c_int;
type CondInit = unsafe extern "C" fn(*mut c_void, *const Attributes) -> c_int;
type Trim = unsafe extern "C" fn(usize) -> c_int;
type QueueInit = unsafe extern "C" fn(c_uint, *mut c_void, c_uint) -> c_int;
type QueueInitParams = unsafe extern "C" fn(c_uint, *mut c_void, *mut c_void) -> c_int;

/// More threads than that a template has not; those beyond are seen by their number alone, and end all forking.
const MOST: usize = 64;
const NAME: usize = 24;

const FREE: u8 = 0;
const TAKEN: u8 = 1;

/// One thread, from its creation to its end.
struct Slot {
    state: AtomicU8,
    /// What `pthread_self` is in it.
    thread: AtomicUsize,
    /// The condition variable that it waits on.
    waits_on: AtomicUsize,
    /// The mutex that it lets go while it waits.
    waits_with: AtomicUsize,
    /// Where its creator keeps its handle.
    handle: AtomicUsize,
    start: AtomicUsize,
    argument: AtomicUsize,
    /// If QEMU's own wrapper made it: routine and argument that the wrapper was given.
    routine: AtomicUsize,
    routine_argument: AtomicUsize,
    name: [AtomicU8; NAME],
    mask: [AtomicUsize; 16],
}

impl Slot {
    const fn new() -> Self {
        Self {
            state: AtomicU8::new(FREE),
            thread: AtomicUsize::new(0),
            waits_on: AtomicUsize::new(0),
            waits_with: AtomicUsize::new(0),
            handle: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            argument: AtomicUsize::new(0),
            routine: AtomicUsize::new(0),
            routine_argument: AtomicUsize::new(0),
            name: [const { AtomicU8::new(0) }; NAME],
            mask: [const { AtomicUsize::new(0) }; 16],
        }
    }

    fn is_taken(&self) -> bool {
        self.state.load(Ordering::Acquire) == TAKEN
    }

    fn name(&self) -> [u8; NAME] {
        let mut name = [0; NAME];
        for (byte, known) in name.iter_mut().zip(&self.name) {
            *byte = known.load(Ordering::Relaxed);
        }
        name
    }

    /// Whether it waits and has let its mutex go, and does nothing until somebody wakes it.
    fn is_idle(&self) -> bool {
        let mutex = self.waits_with.load(Ordering::Relaxed) as *mut c_void;
        if self.waits_on.load(Ordering::Acquire) == 0 || mutex.is_null() {
            return false;
        }
        // SAFETY: the mutex is one that a living thread has waited with, and is given back at once.
        unsafe { sys::pthread_mutex_trylock(mutex) == 0 && sys::pthread_mutex_unlock(mutex) == 0 }
    }

    fn is_named(&self, start: &[u8]) -> bool {
        self.name().starts_with(start)
    }
}

static SLOTS: [Slot; MOST] = [const { Slot::new() }; MOST];
/// The wrapper in which QEMU starts its threads.
static WRAPPER: AtomicUsize = AtomicUsize::new(0);

/// The library's own `pthread_create`.
fn create() -> Option<Create> {
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
    let real = next(&REAL, c"pthread_create", None);
    // SAFETY: null or the C library's function of this type; null is `None`.
    unsafe { transmute::<*mut c_void, Option<Create>>(real) }
}

/// Records each thread of a template.
///
/// # Safety
/// As of `pthread_create`.
#[cfg_attr(testjig_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_create(
    handle: *mut usize,
    attributes: *const Attributes,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    let Some(create) = create() else {
        return sys::EAGAIN;
    };
    let slot = if matches!(role(), Role::Template | Role::Zygote) {
        take_slot()
    } else {
        None
    };
    let Some(slot) = slot else {
        // SAFETY: the caller's own arguments.
        return unsafe { create(handle, attributes, start, argument) };
    };
    record(slot, handle, start, argument);
    // SAFETY: as the caller's, but for routine and argument, which are a pair of ours.
    let result = unsafe {
        create(
            handle,
            attributes,
            run,
            core::ptr::from_ref(slot).cast_mut().cast(),
        )
    };
    if result != 0 {
        slot.state.store(FREE, Ordering::Release);
    }
    result
}

fn take_slot() -> Option<&'static Slot> {
    SLOTS.iter().find(|slot| {
        slot.state
            .compare_exchange(FREE, TAKEN, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    })
}

fn record(slot: &Slot, handle: *mut usize, start: Start, argument: *mut c_void) {
    slot.thread.store(0, Ordering::Relaxed);
    slot.waits_on.store(0, Ordering::Relaxed);
    slot.handle.store(handle as usize, Ordering::Relaxed);
    slot.start.store(start as usize, Ordering::Relaxed);
    slot.argument.store(argument as usize, Ordering::Relaxed);
    slot.routine.store(0, Ordering::Relaxed);
    let mut mask = SignalSet([0; 16]);
    // SAFETY: asks for the mask, changes nothing.
    unsafe { sys::pthread_sigmask(sys::SIG_SETMASK, core::ptr::null(), &raw mut mask) };
    for (known, word) in slot.mask.iter().zip(mask.0) {
        known.store(word as usize, Ordering::Relaxed);
    }

    // QEMU's wrapper gets a record of routine, argument and name. The first thread of all is RCU's: that one shows which start routine
    // is the wrapper.
    let wrapper = WRAPPER.load(Ordering::Relaxed);
    let mut name = [0; NAME];
    if wrapper == 0 || wrapper == start as usize {
        let mut words = [0; 24];
        if sys::peek(argument as usize, &mut words) {
            let word = |index: usize| {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(&words[index * 8..index * 8 + 8]);
                usize::from_ne_bytes(bytes)
            };
            if sys::peek(word(2), &mut name[..NAME - 1]) {
                let end = name.iter().position(|byte| *byte == 0).unwrap_or(NAME);
                name[end..].fill(0);
                if wrapper == 0 && name.starts_with(b"call_rcu\0") {
                    WRAPPER.store(start as usize, Ordering::Relaxed);
                }
                if WRAPPER.load(Ordering::Relaxed) == start as usize {
                    slot.routine.store(word(0), Ordering::Relaxed);
                    slot.routine_argument.store(word(1), Ordering::Relaxed);
                }
            }
        }
    }
    for (known, byte) in slot.name.iter().zip(name) {
        known.store(byte, Ordering::Relaxed);
    }
}

/// Where a recorded thread begins.
extern "C" fn run(slot: *mut c_void) -> *mut c_void {
    // SAFETY: `pthread_create` gives a slot, which is static.
    let slot = unsafe { &*slot.cast::<Slot>() };
    slot.thread.store(sys::this_thread(), Ordering::Relaxed);
    // SAFETY: recorded from a function of this type.
    let start = unsafe { transmute::<usize, Start>(slot.start.load(Ordering::Relaxed)) };
    let result = start(slot.argument.load(Ordering::Relaxed) as *mut c_void);
    slot.state.store(FREE, Ordering::Release);
    result
}

/// The threads that there are now, a bit for each.
pub(crate) fn known() -> u64 {
    let bits = SLOTS.iter().enumerate();
    bits.fold(0, |known, (index, slot)| {
        known | u64::from(slot.is_taken()) << index
    })
}

/// In a child: these threads it has not.
pub(crate) fn forget(known: u64) {
    for (index, slot) in SLOTS.iter().enumerate() {
        if known >> index & 1 != 0 {
            slot.state.store(FREE, Ordering::Release);
        }
    }
}

const _: () = assert!(MOST == 64);

fn own_slot() -> Option<&'static Slot> {
    let me = sys::this_thread();
    SLOTS
        .iter()
        .find(|slot| slot.is_taken() && slot.thread.load(Ordering::Relaxed) == me)
}

/// Records what a thread of a template waits on.
///
/// # Safety
/// As of `pthread_cond_wait`.
#[cfg_attr(testjig_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_cond_wait(cond: *mut c_void, mutex: *mut c_void) -> c_int {
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
    let real = next(&REAL, c"pthread_cond_wait", Some(sys::COND_VERSION));
    // SAFETY: null or the C library's function of this type; null is `None`.
    let Some(wait) = (unsafe { transmute::<*mut c_void, Option<CondWait>>(real) }) else {
        return sys::ENOSYS;
    };
    let slot = if role() == Role::Template {
        own_slot()
    } else {
        None
    };
    if let Some(slot) = slot {
        slot.waits_with.store(mutex as usize, Ordering::Relaxed);
        slot.waits_on.store(cond as usize, Ordering::Release);
    }
    // SAFETY: the caller's own arguments.
    let result = unsafe { wait(cond, mutex) };
    if let Some(slot) = slot {
        slot.waits_on.store(0, Ordering::Relaxed);
    }
    result
}

/// As above; and a worker that waits for work in a template waits no longer than there is none, so that it ends.
///
/// # Safety
/// As of `pthread_cond_timedwait`.
#[cfg_attr(testjig_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_cond_timedwait(
    cond: *mut c_void,
    mutex: *mut c_void,
    until: *const Timespec,
) -> c_int {
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
    let real = next(&REAL, c"pthread_cond_timedwait", Some(sys::COND_VERSION));
    // SAFETY: null or the C library's function of this type; null is `None`.
    let Some(wait) = (unsafe { transmute::<*mut c_void, Option<CondTimedWait>>(real) }) else {
        return sys::ENOSYS;
    };
    let slot = if role() == Role::Template {
        own_slot()
    } else {
        None
    };
    let Some(slot) = slot else {
        // SAFETY: the caller's own arguments.
        return unsafe { wait(cond, mutex, until) };
    };
    let past = Timespec {
        seconds: 0,
        nanoseconds: 0,
    };
    let until = if slot.is_named(b"worker\0") {
        &raw const past
    } else {
        until
    };
    slot.waits_on.store(cond as usize, Ordering::Relaxed);
    // SAFETY: the caller's own arguments but for the time, which lives until the call returns.
    let result = unsafe { wait(cond, mutex, until) };
    slot.waits_on.store(0, Ordering::Relaxed);
    result
}

/// A template has no ring: siblings would share it.
///
/// # Safety
/// As of `io_uring_queue_init`.
#[cfg_attr(testjig_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn io_uring_queue_init(
    entries: c_uint,
    ring: *mut c_void,
    flags: c_uint,
) -> c_int {
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
    if role() == Role::Template {
        return -sys::ENOSYS;
    }
    let real = next(&REAL, c"io_uring_queue_init", None);
    // SAFETY: null or liburing's function of this type; null is `None`.
    match unsafe { transmute::<*mut c_void, Option<QueueInit>>(real) } {
        // SAFETY: the caller's own arguments.
        Some(init) => unsafe { init(entries, ring, flags) },
        None => -sys::ENOSYS,
    }
}

/// As [`io_uring_queue_init`].
///
/// # Safety
/// As of `io_uring_queue_init_params`.
#[cfg_attr(testjig_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn io_uring_queue_init_params(
    entries: c_uint,
    ring: *mut c_void,
    parameters: *mut c_void,
) -> c_int {
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
    if role() == Role::Template {
        return -sys::ENOSYS;
    }
    let real = next(&REAL, c"io_uring_queue_init_params", None);
    // SAFETY: null or liburing's function of this type; null is `None`.
    match unsafe { transmute::<*mut c_void, Option<QueueInitParams>>(real) } {
        // SAFETY: the caller's own arguments.
        Some(init) => unsafe { init(entries, ring, parameters) },
        None => -sys::ENOSYS,
    }
}

/// QEMU's thread of RCU gives memory back whenever it has nothing to do, which looks at every block there is. In a child, which lives
/// briefly, that is much of what it costs: it has a copy of each page so looked at, and its main thread waits meanwhile. And a template
/// would sort its blocks anew for the next. It gives memory back once, by `trim`.
///
/// # Safety
/// As of `malloc_trim`.
#[cfg_attr(testjig_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn malloc_trim(pad: usize) -> c_int {
    match role() {
        Role::Child | Role::Template => 0,
        _ => give_back(pad),
    }
}

/// In a template, before its first fork.
pub(crate) fn trim() {
    give_back(0);
}

fn give_back(pad: usize) -> c_int {
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
    let real = next(&REAL, c"malloc_trim", None);
    // SAFETY: null or the C library's function of this type, which has no conditions; null is `None`.
    unsafe { transmute::<*mut c_void, Option<Trim>>(real).map_or(0, |trim| trim(pad)) }
}

/// Whether the threads are such that a child can do without them.
pub(crate) enum Readiness {
    Ready,
    /// Some are about to end.
    Soon,
    /// Never, and why.
    Never(Text),
}

pub(crate) fn readiness() -> Readiness {
    let mut known = 1;
    let mut soon = false;
    for slot in &SLOTS {
        if !slot.is_taken() {
            continue;
        }
        known += 1;
        let is_restartable = slot.routine.load(Ordering::Relaxed) != 0;
        if slot.is_named(b"worker\0") && is_restartable {
            soon = true;
        } else if is_restartable && slot.is_named(EDU) {
            // At work it has what it works on in its registers, and on its way to sleep its mutex; both are over soon.
            soon |= !slot.is_idle();
        } else if !(is_restartable && (slot.is_named(b"CPU ") || slot.is_named(b"call_rcu\0"))) {
            let name = slot.name();
            let name = CStr::from_bytes_until_nul(&name)
                .ok()
                .and_then(|name| name.to_str().ok())
                .filter(|name| !name.is_empty())
                .unwrap_or("of a library");
            return Readiness::Never(Text::of(format_args!(
                "it has a thread that a forked machine can't have ({name})"
            )));
        }
    }
    // Two of the links are the directory's own.
    let threads = sys::stat_path(c"/proc/self/task").map_or(0, |stat| stat.nlink.saturating_sub(2));
    if soon || threads != known {
        Readiness::Soon
    } else {
        Readiness::Ready
    }
}

/// The thread of the `edu` device: between computations it waits on a condition variable, with nothing locked, as CPUs do.
const EDU: &[u8] = b"edu\0";

/// In a child, while the big lock is held: brings back the threads of CPUs and `edu` devices.
pub(crate) fn restart() -> Result<(), Text> {
    for slot in &SLOTS {
        if !slot.is_taken() {
            continue;
        }
        let cond = slot.waits_on.load(Ordering::Relaxed);
        if cond != 0 {
            renew(cond as *mut c_void);
        }
        if slot.is_named(b"CPU ") || slot.is_named(EDU) {
            start_again(slot)?;
        }
    }
    Ok(())
}

/// A condition variable that nobody waits on, where one waited who is not there any more. QEMU's go by the monotonic clock.
fn renew(cond: *mut c_void) {
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
    // The one of 1999 leaves those who waited in it.
    let real = next(&REAL, c"pthread_cond_init", Some(sys::COND_VERSION));
    let mut attributes = Attributes::new();
    // SAFETY: null or the C library's function of this type; null is `None`. The thread that waited is not in this process, and no other
    // has run yet; the attributes are initialised first.
    unsafe {
        sys::pthread_condattr_init(&raw mut attributes);
        sys::pthread_condattr_setclock(&raw mut attributes, sys::CLOCK_MONOTONIC);
        if let Some(init) = transmute::<*mut c_void, Option<CondInit>>(real) {
            init(cond, &raw const attributes);
        }
    }
}

fn start_again(slot: &Slot) -> Result<(), Text> {
    let failed = |what| Text::of(format_args!("failed to start a thread again: {what}"));
    let name = slot.name();
    // SAFETY: `malloc` has no conditions; both blocks are written within their size, and QEMU's wrapper frees them.
    let argument = unsafe {
        let argument = sys::malloc(24).cast::<usize>();
        let text = sys::malloc(NAME).cast::<u8>();
        if argument.is_null() || text.is_null() {
            return Err(failed("no memory"));
        }
        text.copy_from_nonoverlapping(name.as_ptr(), NAME);
        argument.write(slot.routine.load(Ordering::Relaxed));
        argument
            .add(1)
            .write(slot.routine_argument.load(Ordering::Relaxed));
        argument.add(2).write(text as usize);
        argument
    };
    let mut mask = SignalSet([0; 16]);
    for (word, known) in mask.0.iter_mut().zip(&slot.mask) {
        *word = known.load(Ordering::Relaxed) as u64;
    }
    let mut before = SignalSet([0; 16]);
    let Some(create) = create() else {
        return Err(failed("no pthread_create"));
    };
    // SAFETY: the handle is in QEMU's structure of that CPU, which lives as long as the CPU; start routine and argument are what they
    // were when QEMU started it; the masks are this function's.
    let result = unsafe {
        sys::pthread_sigmask(sys::SIG_SETMASK, &raw const mask, &raw mut before);
        let result = create(
            slot.handle.load(Ordering::Relaxed) as *mut usize,
            core::ptr::null(),
            transmute::<usize, Start>(slot.start.load(Ordering::Relaxed)),
            argument.cast(),
        );
        sys::pthread_sigmask(sys::SIG_SETMASK, &raw const before, core::ptr::null_mut());
        result
    };
    if result == 0 {
        Ok(())
    } else {
        Err(failed("the system declines"))
    }
}
