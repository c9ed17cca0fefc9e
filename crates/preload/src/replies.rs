//! Replies that travel together: what a forked machine sends on its qtest socket before it has taken all that it was asked.
//!
//! QEMU sends a reply for each command, and each wakes whoever waits for them. A child that is asked for it ([`begin`]) keeps replies
//! until its main loop sleeps, wherever it does so: until then it has nothing else to do, or waits for a disk.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::mem::transmute;
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering};

use crate::sys::{self, MsgHdr, PollFd};
use crate::{is_main_thread, next};

type Send = unsafe extern "C" fn(c_int, *const MsgHdr, c_int) -> isize;

/// The socket; none if replies go one by one.
static SOCKET: AtomicI32 = AtomicI32::new(-1);
static LEN: AtomicUsize = AtomicUsize::new(0);
static KEPT: Kept = Kept(UnsafeCell::new([0; ROOM]));

const ROOM: usize = 16 << 10;

struct Kept(UnsafeCell<[u8; ROOM]>);

// SAFETY: only the main thread uses it.
unsafe impl Sync for Kept {}

/// From now on, replies on this socket are kept.
pub(crate) fn begin(socket: c_int) {
    SOCKET.store(socket, Ordering::Relaxed);
}

pub(crate) fn travel_together() -> bool {
    SOCKET.load(Ordering::Relaxed) >= 0
}

/// Keeps what goes to the socket, as long as there is room for it.
///
/// # Safety
/// As of `sendmsg`.
#[cfg_attr(testjig_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn sendmsg(fd: c_int, message: *const MsgHdr, flags: c_int) -> isize {
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
    if fd == SOCKET.load(Ordering::Relaxed) && is_main_thread() {
        // SAFETY: the caller's message.
        if let Some(len) = unsafe { keep(&*message) } {
            return len;
        }
        flush();
    }
    let real = next(&REAL, c"sendmsg", None);
    // SAFETY: null or the C library's function of this type; null is `None`.
    match unsafe { transmute::<*mut c_void, Option<Send>>(real) } {
        // SAFETY: the caller's own arguments.
        Some(send) => unsafe { send(fd, message, flags) },
        None => -1,
    }
}

/// How many bytes were kept; `None` if there is no room, or the message is more than bytes.
///
/// # Safety
/// The message is one for `sendmsg`.
unsafe fn keep(message: &MsgHdr) -> Option<isize> {
    if message.control_len != 0 || message.iov_len > 16 {
        return None;
    }
    // SAFETY: so many parts are there.
    let parts = unsafe { core::slice::from_raw_parts(message.iov, message.iov_len) };
    let mut len = LEN.load(Ordering::Relaxed);
    let more = parts.iter().map(|part| part.len).sum::<usize>();
    if more > ROOM - len {
        return None;
    }
    for part in parts {
        // SAFETY: of the main thread alone, and there is room for all parts.
        unsafe {
            let place = KEPT.0.get().cast::<u8>().add(len);
            place.copy_from_nonoverlapping(part.base.cast(), part.len);
        }
        len += part.len;
    }
    LEN.store(len, Ordering::Relaxed);
    Some(more as isize)
}

/// Sends what was kept, if that is this thread's.
pub(crate) fn flush() {
    let len = LEN.load(Ordering::Relaxed);
    if len == 0 || !is_main_thread() {
        return;
    }
    LEN.store(0, Ordering::Relaxed);
    let socket = SOCKET.load(Ordering::Relaxed);
    let mut sent = 0;
    while sent < len {
        // SAFETY: of the main thread alone, and within what was kept.
        let count = unsafe {
            let first = KEPT.0.get().cast::<u8>().add(sent);
            sys::send(socket, first.cast(), len - sent, sys::MSG_NOSIGNAL)
        };
        match usize::try_from(count) {
            Ok(count) => sent += count,
            _ if sys::errno() == sys::EINTR => {}
            _ if sys::errno() == sys::EAGAIN => wait_for_room(socket),
            // Whoever would read it is gone.
            _ => return,
        }
    }
}

fn wait_for_room(socket: c_int) {
    let mut fd = PollFd {
        fd: socket,
        events: sys::POLLOUT,
        revents: 0,
    };
    // SAFETY: one descriptor, without end.
    unsafe { sys::poll(&raw mut fd, 1, -1) };
}
