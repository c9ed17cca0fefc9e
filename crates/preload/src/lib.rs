//! The library that testjig loads into a stock QEMU: a zygote, a fork server, a watch of which basic blocks are reached, and the place of
//! a crash.
//!
//! Without [`CONTROL`], [`BLOCKS`] and [`FRAMES`] in its environment it does nothing, in QEMU or in any other program. `blocks` says how
//! it watches, `crash` what it tells of a crash. With [`CONTROL`] and [`ZYGOTE`], a QEMU waits before its `main`: `zygote` says for what.
//! With [`CONTROL`] alone it becomes a *template*: on
//! a request over that socket, made while its main loop sleeps, it forks, and the child is a machine of its own. What a fork loses or
//! shares is brought in order by the child before it goes on:
//!
//! | lost or shared | answer |
//! |---|---|
//! | sockets, stderr, images of disks | the request brings a fresh descriptor for each; it takes the old one's number (`files`) |
//! | guest memory, a shared mapping | the request brings a copy of the file, mapped over the old address (`files`) |
//! | eventfds, the epoll instance | replaced by fresh ones (`files`) |
//! | io_uring | refused to a template; QEMU does without (`threads`) |
//! | signalfd | nothing to do: whoever reads one gets his own signals |
//! | threads of CPUs and `edu` devices | started again with the same start routine and argument (`threads`) |
//! | worker threads of the block layer | let go as soon as they are idle, so that none lives at a fork (`threads`) |
//! | the thread of RCU | QEMU's own fork handler starts it again; its queue is empty then (`server`) |
//! | other threads, descriptors and shared mappings | none: the template declines, and says why |
//! | condition variables that a lost thread waited on | made anew, or its ghost would be woken in place of others (`threads`) |
//! | the QMP monitor, which has a thread | made by the child, in the template there is none (`server`) |
//! | the parent-death signal | set again, and the parent checked (`server`) |
//! | the exit status, which only a parent gets | the template waits for it and passes it on (`server`) |

#![no_std]

mod blocks;
mod crash;
mod files;
mod replies;
mod server;
mod sys;
mod text;
mod threads;
mod zygote;

pub use blocks::BLOCKS;
pub use crash::FRAMES;
pub use replies::sendmsg;
pub use server::ppoll;
pub use threads::{
    io_uring_queue_init, io_uring_queue_init_params, malloc_trim, pthread_cond_timedwait,
    pthread_cond_wait, pthread_create,
};
pub use zygote::{__libc_start_main, ZYGOTE};

use core::ffi::{CStr, c_void};
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU8, AtomicUsize, Ordering};

/// The environment variable with the number of the descriptor over which a template is asked to fork.
pub const CONTROL: &CStr = c"TESTJIG_FORK_SERVER";

/// What this process is.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Role {
    Unknown,
    /// Not asked to be anything: every call goes through.
    Bystander,
    Template,
    /// Forked by a template.
    Child,
    /// Waits before its `main`.
    Zygote,
}

static ROLE: AtomicU8 = AtomicU8::new(Role::Unknown as u8);
/// The control socket of a template.
static SOCKET: AtomicI32 = AtomicI32::new(-1);
/// The main thread, as `pthread_self` names it.
static MAIN: AtomicUsize = AtomicUsize::new(0);

fn role() -> Role {
    match ROLE.load(Ordering::Relaxed) {
        0 => find_role(),
        1 => Role::Bystander,
        2 => Role::Template,
        3 => Role::Child,
        _ => Role::Zygote,
    }
}

/// The first call that arrives here is of the main thread: nobody else is there to make it.
#[cold]
fn find_role() -> Role {
    // SAFETY: `getenv` takes a C string, and what it returns is one.
    let value = unsafe { sys::getenv(CONTROL.as_ptr()) };
    // SAFETY: the value is null, which is looked at, or a C string.
    let socket = unsafe { text::number(value) };
    let is_main = sys::thread_id() == sys::process_id();
    if zygote::is_wanted() && is_main && server::is_qemu() {
        ROLE.store(Role::Zygote as u8, Ordering::Relaxed);
        return Role::Zygote;
    }
    if is_main {
        crash::begin();
    }
    let is_qemu = is_main && server::is_qemu();
    if is_qemu {
        MAIN.store(sys::this_thread(), Ordering::Relaxed);
        blocks::begin();
    }
    let role = match socket {
        Some(socket) if is_qemu => {
            files::note_strangers();
            server::greet(socket);
            SOCKET.store(socket, Ordering::Relaxed);
            Role::Template
        }
        _ => Role::Bystander,
    };
    ROLE.store(role as u8, Ordering::Relaxed);
    role
}

fn become_child() {
    ROLE.store(Role::Child as u8, Ordering::Relaxed);
    SOCKET.store(-1, Ordering::Relaxed);
}

/// Of a zygote's child, which is whatever its environment says.
fn become_unknown() {
    ROLE.store(Role::Unknown as u8, Ordering::Relaxed);
}

/// The function behind an interposed one, looked up once.
fn next(cache: &AtomicPtr<c_void>, name: &CStr, version: Option<&CStr>) -> *mut c_void {
    let known = cache.load(Ordering::Relaxed);
    if !known.is_null() {
        return known;
    }
    // SAFETY: names and versions are C strings.
    let found = unsafe {
        match version {
            Some(version) => sys::dlvsym(sys::RTLD_NEXT, name.as_ptr(), version.as_ptr()),
            None => sys::dlsym(sys::RTLD_NEXT, name.as_ptr()),
        }
    };
    cache.store(found, Ordering::Relaxed);
    found
}

fn is_main_thread() -> bool {
    MAIN.load(Ordering::Relaxed) == sys::this_thread()
}

/// Nothing here panics by design; if something does, the process it is in has no future.
#[cfg(testjig_preload)]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::write_all(2, b"testjig: the preload library panicked\n");
    // SAFETY: `abort` may be called at any time.
    unsafe { sys::abort() }
}
