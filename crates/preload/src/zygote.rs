//! A *zygote*: a QEMU that is loaded and linked and has run its constructors, and waits where its `main` would begin. Asked over the
//! control socket it forks, and the child goes on into `main` with the arguments, environment, directory and descriptors of the request:
//! it is what it would be had it been executed, without the half of a start that all starts have in common.
//!
//! A request is one packet: a [`Request`], the numbers that the descriptors with it get, and text: the directory, the arguments, the
//! environment, each ended by a null byte.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::transmute;
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use crate::server::{self, MOST, NOT_READY, WAIT};
use crate::text::Text;
use crate::{Role, become_unknown, crash, role, sys, text, threads};

/// The environment variable of a program that is to be one: the descriptor of this library, which nobody needs once it is loaded.
pub const ZYGOTE: &CStr = c"TESTJIG_ZYGOTE";
/// The last argument but one, before a word of spaces, where the children's arguments are shown to the host. Arguments in front of it are
/// its children's, too.
const ARGUMENT: &CStr = c"--version";

/// Start; the answer has the child's number.
const START: u64 = 3;
/// The largest request.
const SIZE: usize = 192 << 10;

type Main = extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) -> c_int;
type StartMain = unsafe extern "C" fn(
    Main,
    c_int,
    *mut *mut c_char,
    *mut c_void,
    *mut c_void,
    *mut c_void,
    *mut c_void,
) -> c_int;

static MAIN: AtomicUsize = AtomicUsize::new(0);
static SOCKET: AtomicI32 = AtomicI32::new(-1);
static LIBRARY: AtomicI32 = AtomicI32::new(-1);

/// What is asked, before the numbers of the descriptors.
#[repr(C)]
#[derive(Clone, Copy)]
struct Request {
    /// [`START`] or [`WAIT`].
    what: u64,
    /// Of a start: 1 if the kernel may write a core. Of a wait: the child.
    argument: u64,
    /// How many numbers of descriptors follow.
    numbers: u64,
    /// How many of the texts are arguments, and how many then the environment.
    arguments: u64,
    variables: u64,
}

const HEAD: usize = size_of::<Request>();

/// One request as it arrived. Of a child it is where its arguments and its environment are, as long as it lives.
struct Packet(UnsafeCell<[u8; SIZE]>);

// SAFETY: only the main thread uses it, in `wait_and_begin`.
unsafe impl Sync for Packet {}

static PACKET: Packet = Packet(UnsafeCell::new([0; SIZE]));

/// Whether the environment asks for a zygote.
pub(crate) fn is_wanted() -> bool {
    // SAFETY: `getenv` takes a C string.
    !unsafe { sys::getenv(ZYGOTE.as_ptr()) }.is_null()
}

/// Where every program begins. A zygote gets another `main`.
///
/// # Safety
/// As of `__libc_start_main`.
#[cfg_attr(testjig_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn __libc_start_main(
    main: Main,
    argc: c_int,
    argv: *mut *mut c_char,
    init: *mut c_void,
    fini: *mut c_void,
    end: *mut c_void,
    stack: *mut c_void,
) -> c_int {
    // SAFETY: the name is a C string; null or the C library's function of this type; null is `None`.
    let real = unsafe {
        let real = sys::dlsym(sys::RTLD_NEXT, c"__libc_start_main".as_ptr());
        transmute::<*mut c_void, Option<StartMain>>(real)
    };
    let Some(real) = real else {
        // SAFETY: `abort` may be called at any time.
        unsafe { sys::abort() }
    };
    let mut begin = main;
    if role() == Role::Zygote {
        // SAFETY: variables and arguments are C strings, and of the arguments there are as many as is said.
        unsafe {
            let socket = text::number(sys::getenv(crate::CONTROL.as_ptr()));
            let library = text::number(sys::getenv(ZYGOTE.as_ptr()));
            let is_right = argc >= 3 && CStr::from_ptr(*argv.add(argc as usize - 2)) == ARGUMENT;
            if let (Some(socket), Some(library), true) = (socket, library, is_right) {
                MAIN.store(main as usize, Ordering::Relaxed);
                SOCKET.store(socket, Ordering::Relaxed);
                LIBRARY.store(library, Ordering::Relaxed);
                begin = wait_and_begin;
            }
        }
    }
    // SAFETY: the caller's own arguments, and a function like its `main`.
    unsafe { real(begin, argc, argv, init, fini, end, stack) }
}

/// The `main` of a zygote: returns only in its children, when theirs has returned.
extern "C" fn wait_and_begin(argc: c_int, argv: *mut *mut c_char, _: *mut *mut c_char) -> c_int {
    let socket = SOCKET.load(Ordering::Relaxed);
    crash::prepare();
    server::greet(socket);
    let parent = sys::process_id();
    let common = argc as usize - 2;
    loop {
        let mut fds = [-1; MOST];
        // SAFETY: nothing else uses the packet, on this thread or another.
        let packet = unsafe { &mut *PACKET.0.get() };
        let mut whole = [sys::IoVec {
            base: packet.as_mut_ptr().cast(),
            len: SIZE,
        }];
        // SAFETY: the part is the packet.
        let (len, fds_len) = match unsafe { server::receive(socket, &mut whole, &mut fds, 0) } {
            Some((len, fds_len)) if len > 0 => (len, fds_len),
            None if sys::errno() == sys::EINTR => continue,
            _ => {
                // SAFETY: ends this process, which was nothing yet and is asked for nothing more.
                unsafe { sys::_exit(0) }
            }
        };
        let fds = fds.get(..fds_len).unwrap_or_default();
        let child = match Asked::of(packet, len, fds) {
            Ok(asked) if asked.request.what == WAIT => {
                server::wait(socket, asked.request.argument);
                continue;
            }
            Ok(asked) => {
                let known = threads::known();
                // SAFETY: the C library's function. What must be brought in order for it, the handlers of the program's libraries do.
                match unsafe { sys::fork() } {
                    0 => {
                        threads::forget(known);
                        enter(&asked, parent, socket);
                        // SAFETY: so many arguments there are, and two more.
                        return unsafe { begin(&asked, argv, common) };
                    }
                    child if child > 0 => Ok(child),
                    _ => Err(Text::of(format_args!(
                        "the system declines to fork it (error {})",
                        sys::errno()
                    ))),
                }
            }
            Err(why) => Err(why),
        };
        for &fd in fds {
            // SAFETY: it came with this request, and nobody else has its number.
            unsafe { sys::close(fd) };
        }
        match child {
            Ok(child) => server::answer(socket, i64::from(child), 0, None),
            Err(why) => server::refuse(socket, &why),
        }
    }
}

/// A request that makes sense.
struct Asked<'a> {
    request: Request,
    numbers: &'a [u8],
    texts: &'a mut [u8],
    fds: &'a [c_int],
}

impl<'a> Asked<'a> {
    fn of(packet: &'a mut [u8], len: usize, fds: &'a [c_int]) -> Result<Self, Text> {
        let wrong = || Text::of(format_args!("the request makes no sense"));
        let packet = packet.get_mut(..len).ok_or_else(wrong)?;
        let (head, rest) = packet.split_at_mut_checked(HEAD).ok_or_else(wrong)?;
        // SAFETY: as many bytes as the structure has, and any will do.
        let request: Request = unsafe { head.as_ptr().cast::<Request>().read_unaligned() };
        if request.numbers != fds.len() as u64 || ![START, WAIT].contains(&request.what) {
            return Err(wrong());
        }
        let (numbers, texts) = rest
            .split_at_mut_checked(size_of_val(fds))
            .ok_or_else(wrong)?;
        let asked = Self {
            request,
            numbers,
            texts,
            fds,
        };
        let wanted = match request.what {
            START => request
                .arguments
                .saturating_add(request.variables)
                .saturating_add(1),
            _ => 0,
        };
        let ends = asked.texts.iter().filter(|byte| **byte == 0).count() as u64;
        if ends != wanted || asked.texts.last().is_some_and(|byte| *byte != 0) {
            return Err(wrong());
        }
        // Others may be what the program's libraries have opened and keep.
        let own = [
            SOCKET.load(Ordering::Relaxed),
            LIBRARY.load(Ordering::Relaxed),
        ];
        let is_free = |number: c_int| {
            // SAFETY: only asks.
            (1..=2).contains(&number)
                || own.contains(&number)
                || fds.contains(&number)
                || unsafe { sys::fcntl(number, sys::F_GETFD) } < 0
        };
        let taken = asked.places().find(|(_, number)| !is_free(*number));
        match taken {
            Some((_, number)) => Err(Text::of(format_args!("descriptor {number} is in use"))),
            None => Ok(asked),
        }
    }

    /// The descriptors, each with the number that it gets.
    fn places(&self) -> impl Iterator<Item = (c_int, c_int)> + '_ {
        let numbers = self.numbers.chunks_exact(size_of::<c_int>()).map(|bytes| {
            let mut number = [0; size_of::<c_int>()];
            number.copy_from_slice(bytes);
            c_int::from_ne_bytes(number)
        });
        self.fds.iter().copied().zip(numbers)
    }
}

/// In the child: gets process group, descriptors and directory.
fn enter(asked: &Asked<'_>, parent: c_int, socket: c_int) {
    server::leave(parent, socket);
    // SAFETY: the library is loaded, and its descriptor used by nobody.
    unsafe { sys::close(LIBRARY.load(Ordering::Relaxed)) };
    if asked.request.argument == 0 {
        sys::forbid_cores();
    }
    if !place(asked) {
        fail("can't have its descriptors");
    }
    // SAFETY: the texts are C strings, and the first is the directory.
    if unsafe { sys::chdir(asked.texts.as_ptr().cast()) } != 0 {
        fail("can't enter its directory");
    }
}

/// In the child: is the program with the arguments that are asked for, behind the `common` first ones. Returns what its `main` returns.
///
/// # Safety
/// `argv` has so many arguments, and two more.
unsafe fn begin(asked: &Asked<'_>, argv: *mut *mut c_char, common: usize) -> c_int {
    let own = asked.request.arguments as usize;
    let variables = asked.request.variables as usize;
    let count = common + own;
    // SAFETY: there is room for both lists and the null at the end of each; texts there are as many as were counted, each a C string, and
    // they stay where they are.
    unsafe {
        let room = (count + variables + 2) * size_of::<usize>();
        let list = sys::malloc(room).cast::<*mut c_char>();
        if list.is_null() {
            fail("has no memory");
        }
        let environment = list.add(count + 1);
        list.copy_from_nonoverlapping(argv, common);
        let mut text = asked.texts.as_ptr().cast_mut().cast::<c_char>();
        let arguments = (common..count).map(|index| list.add(index));
        for place in arguments.chain((0..variables).map(|index| environment.add(index))) {
            text = text.add(CStr::from_ptr(text).count_bytes() + 1);
            place.write(text);
        }
        list.add(count).write(core::ptr::null_mut());
        environment.add(variables).write(core::ptr::null_mut());
        show(argv.add(common), list.add(common), own);
        sys::environ = environment;
        become_unknown();
        // Here, on the main thread, it is found out what this process is.
        role();
        let main = transmute::<usize, Main>(MAIN.load(Ordering::Relaxed));
        main(count as c_int, list, environment)
    }
}

fn fail(why: &str) -> ! {
    sys::write_all(2, b"testjig: a machine ");
    sys::write_all(2, why.as_bytes());
    sys::write_all(2, b"\n");
    // SAFETY: ends this process, without what QEMU would do.
    unsafe { sys::_exit(NOT_READY) }
}

/// Gives each descriptor its number.
fn place(asked: &Asked<'_>) -> bool {
    // First out of each other's way.
    let highest = asked.places().map(|(fd, number)| fd.max(number)).max();
    let above = highest.unwrap_or(0) + 1;
    let mut high = [-1; MOST];
    for ((fd, _), high) in asked.places().zip(&mut high) {
        // SAFETY: descriptors of this process, which nothing uses yet; a number that is in use is what was there before.
        unsafe {
            *high = sys::fcntl(fd, sys::F_DUPFD_CLOEXEC, above);
            sys::close(fd);
        }
    }
    asked.places().zip(high).all(|((_, number), high)| {
        // SAFETY: as above.
        unsafe {
            let result = sys::dup3(high, number, 0);
            sys::close(high);
            result >= 0
        }
    })
}

/// Puts the arguments where the host looks for them: over the last two of the zygote, as far as there is room.
///
/// # Safety
/// Both are lists of C strings, of two and of so many; the zygote's are no longer used.
unsafe fn show(last: *mut *mut c_char, list: *mut *mut c_char, count: usize) {
    // SAFETY: by the caller's promise. The two strings follow each other, which is looked at.
    unsafe {
        let (first, second) = (*last, *last.add(1));
        if second != first.add(ARGUMENT.count_bytes() + 1) {
            return;
        }
        let end = second.add(CStr::from_ptr(second).count_bytes());
        let mut place = first;
        for index in 0..count {
            for byte in CStr::from_ptr(*list.add(index)).to_bytes_with_nul() {
                if place < end {
                    place.write(*byte as c_char);
                    place = place.add(1);
                }
            }
        }
        while place < end {
            place.write(0);
            place = place.add(1);
        }
    }
}
