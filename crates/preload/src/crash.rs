//! Where QEMU crashed: at a signal that ends it, the frames of the stack are written to standard error, each as module, build id and
//! place in the module. So the same bug is the same text, whatever addresses the process had, and the binary needs no symbols.
//!
//! The stack is unwound by the C library (`backtrace`), which is asked once beforehand, so that it loads what it needs while that can
//! be done. The handler has a stack of its own on the main thread, for the case that a recursion used up the other.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::MaybeUninit;

use crate::text::Text;
use crate::{sys, text};

/// The environment variable that asks for it.
pub const FRAMES: &CStr = c"TESTJIG_FRAMES";

/// `SIGABRT`, `SIGFPE`, `SIGSEGV`. SIGBUS is QEMU's own.
const SIGNALS: [c_int; 3] = [6, 8, 11];
/// Frames that are written at most: a recursion is told from three rounds.
const MOST: usize = 48;
/// Digits of a build id that are written.
const DIGITS: usize = 20;
const STACK: usize = 128 << 10;

/// Memory that only the kernel and one handler use.
struct Stack(UnsafeCell<MaybeUninit<[u8; STACK]>>);

// SAFETY: nothing here reads or writes it; the kernel makes it the stack of the main thread's handler.
unsafe impl Sync for Stack {}

static HANDLERS_STACK: Stack = Stack(UnsafeCell::new(MaybeUninit::uninit()));

/// Installs the handlers, if the environment asks for them. Called once, by the main thread.
pub(crate) fn begin() {
    // SAFETY: `getenv` takes a C string, and what it returns is one.
    if unsafe { text::number(sys::getenv(FRAMES.as_ptr())) }.is_none() {
        return;
    }
    prepare();
    let stack = sys::AlternateStack {
        base: HANDLERS_STACK.0.get().cast(),
        flags: 0,
        size: STACK,
    };
    // SAFETY: a stack that stays; structures of the C library's layout, and a handler of the type that its flags
    // promise.
    unsafe {
        sys::sigaltstack(&raw const stack, core::ptr::null_mut());
        let action = sys::SigAction::on_own_stack(on_crash as *const () as usize);
        for signal in SIGNALS {
            sys::sigaction(signal, &raw const action, core::ptr::null_mut());
        }
    }
}

/// Has the C library load what it unwinds with.
pub(crate) fn prepare() {
    let mut frame = core::ptr::null_mut();
    // SAFETY: room for one address.
    unsafe { sys::backtrace(&raw mut frame, 1) };
}

extern "C" fn on_crash(signal: c_int, _: *const sys::SigInfo, context: *mut c_void) {
    let mut frames = [core::ptr::null_mut::<c_void>(); MOST];
    // SAFETY: room for as many addresses as is said.
    let count = unsafe { sys::backtrace(frames.as_mut_ptr(), MOST as c_int) };
    let mut is_told = false;
    // The first two are this handler and where the kernel returns to.
    for frame in frames
        .iter()
        .take(usize::try_from(count).unwrap_or(0))
        .skip(2)
    {
        is_told |= write(*frame as usize);
    }
    if !is_told {
        // A call of what is no function can't be unwound; where it came from lies on top of the stack.
        let caller = sys::caller(context);
        caller.map(write);
    }
    let action = sys::SigAction::new(0);
    // SAFETY: sets the default, and ends this process as it would have ended.
    unsafe {
        sys::sigaction(signal, &raw const action, core::ptr::null_mut());
        sys::raise(signal);
    }
}

/// An address, and the object that it is in.
struct Place {
    address: usize,
    /// How many objects were looked at.
    seen: usize,
    base: Option<usize>,
    is_program: bool,
    /// Whether it is this library, whose path is that of whatever descriptor it was handed over by.
    is_own: bool,
    name: *const c_char,
    id: [u8; DIGITS / 2],
}

/// Writes one frame; whether there was anything to write.
fn write(address: usize) -> bool {
    let mut place = Place {
        address,
        seen: 0,
        base: None,
        is_program: false,
        is_own: false,
        name: core::ptr::null(),
        id: [0; DIGITS / 2],
    };
    // SAFETY: the callback has the type that the function wants, and the pointer is to the structure that it expects.
    unsafe { sys::dl_iterate_phdr(look, (&raw mut place).cast()) };
    let Some(base) = place.base else {
        return false;
    };
    let mut found = sys::DlInfo::new();
    // SAFETY: the structure has the C library's layout.
    let is_found = unsafe { sys::dladdr(address as *const c_void, &raw mut found) } != 0;
    let is_named = is_found && !found.symbol.is_null();
    // Between a program's `main` and the C library is `zygote`, or it is not; of what this library does only its functions with names of
    // the C library's concern anybody.
    if place.is_own && !is_named {
        return false;
    }
    // SAFETY: the name is the loader's, and the object is loaded.
    let path = unsafe { text::shown(place.name) };
    let name = match &place {
        place if place.is_program => "program",
        place if place.is_own => "testjig",
        _ => path.rsplit('/').next().unwrap_or(path),
    };
    let mut line = Text::new();
    // It can't fail: what does not fit is left out.
    let _ = core::fmt::write(&mut line, format_args!("testjig: frame {name:.32} "));
    for byte in place.id {
        let _ = core::fmt::write(&mut line, format_args!("{byte:02x}"));
    }
    let _ = core::fmt::write(&mut line, format_args!(" {:#x}", address - base));
    if is_named {
        // SAFETY: what the loader calls the symbol, which is loaded.
        let symbol = unsafe { text::shown(found.symbol) };
        let within = address.wrapping_sub(found.address as usize);
        let _ = core::fmt::write(&mut line, format_args!(" {symbol:.40}+{within:#x}"));
    }
    sys::write_all(2, line.bytes());
    sys::write_all(2, b"\n");
    true
}

/// Looks whether the address is in this object.
extern "C" fn look(object: *const sys::LoadedObject, _: usize, place: *mut c_void) -> c_int {
    const PT_LOAD: u32 = 1;
    const PT_NOTE: u32 = 4;
    // SAFETY: the loader's structure, and the one that `write` gave.
    let (object, place) = unsafe { (&*object, &mut *place.cast::<Place>()) };
    let is_first = place.seen == 0;
    place.seen += 1;
    // SAFETY: the loader's table of the object, with as many entries.
    let headers = unsafe { core::slice::from_raw_parts(object.headers, object.count.into()) };
    let has = |address: usize| {
        headers.iter().any(|header| {
            let begin = object.address.wrapping_add(header.address);
            header.kind == PT_LOAD && (begin..begin + header.size).contains(&address)
        })
    };
    if !has(place.address) {
        return 0;
    }
    place.base = Some(object.address);
    place.is_program = is_first;
    place.is_own = has(look as *const () as usize);
    place.name = object.name;
    for header in headers.iter().filter(|header| header.kind == PT_NOTE) {
        if let Some(id) = build_id(object.address.wrapping_add(header.address), header.size) {
            place.id = id;
        }
    }
    1
}

/// The first bytes of the note that has the build id (`NT_GNU_BUILD_ID`), if it is among these notes.
fn build_id(begin: usize, size: usize) -> Option<[u8; DIGITS / 2]> {
    const HEADER: usize = 12;
    const BUILD_ID: u32 = 3;
    let mut at = 0;
    while at + HEADER <= size {
        let mut header = [0_u8; HEADER];
        if !sys::peek(begin + at, &mut header) {
            return None;
        }
        let word = |index: usize| {
            let bytes = header.get(4 * index..4 * index + 4)?;
            Some(u32::from_ne_bytes(bytes.try_into().ok()?))
        };
        let (name, length) = (word(0)? as usize, word(1)? as usize);
        let content = at + HEADER + name.next_multiple_of(4);
        if word(2)? == BUILD_ID && name == 4 && length >= DIGITS / 2 {
            let mut id = [0; DIGITS / 2];
            return sys::peek(begin + content, &mut id).then_some(id);
        }
        at = content + length.next_multiple_of(4);
    }
    None
}
