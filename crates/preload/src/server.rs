//! The fork server: requests over the control socket, taken while QEMU's main loop sleeps in `ppoll`.
//!
//! A request is one packet, a [`Request`] with its entries and descriptors; so is its [`Answer`], with text where something failed.

use core::ffi::{CStr, c_int, c_void};
use core::mem::{MaybeUninit, transmute};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use crate::files::{self, Entry, SHARED};
use crate::sys::{self, PollFd, SignalSet, Timespec};
use crate::text::{self, Text};
use crate::threads::{self, Readiness};
use crate::{SOCKET, become_child, blocks, is_main_thread, replies};

/// The most files that a request names.
pub(crate) const MOST: usize = 64;

/// What is asked, before the entries.
#[repr(C)]
#[derive(Clone, Copy)]
struct Request {
    /// [`FORK`] or [`WAIT`].
    what: u64,
    /// Of a fork: how the child gets its monitor, [`MONITOR_OBJECT`] or [`MONITOR_CALL`] or neither, and perhaps [`TOGETHER`]. Of a
    /// wait: the child.
    argument: u64,
    /// How many entries follow.
    entries: u64,
}

/// Fork; the answer has the child's number.
const FORK: u64 = 1;
/// Wait for a child, which has ended or is about to; the answer has its status as `waitid` gives it.
pub(crate) const WAIT: u64 = 2;

/// Of the argument of a fork: the bits that are the monitor.
const MONITOR: u64 = 0xff;
/// Replies of the child travel together.
const TOGETHER: u64 = 0x100;

/// By `-object monitor-qmp`.
const MONITOR_OBJECT: u64 = 1;
/// By QEMU's function, where there is no such object.
const MONITOR_CALL: u64 = 2;
/// What the machine's launcher calls the monitor and its character device.
const MONITOR_OPTIONS: &CStr = c"monitor-qmp,id=testjig-monitor,chardev=testjig-qmp";
const MONITOR_DEVICE: &CStr = c"testjig-qmp";

/// The answer, before the text.
#[repr(C)]
struct Answer {
    /// 0, or 1 if what follows says why not.
    failed: u64,
    /// The child, or how it ended: `si_code`.
    first: i64,
    /// How it ended: `si_status`.
    second: i64,
}

/// The status of a child that could not become a machine of its own; the reason is on its stderr.
pub(crate) const NOT_READY: c_int = 86;

/// A thread that is about to end gets that many turns of a millisecond.
const PATIENCE: u32 = 3000;

type Ppoll = unsafe extern "C" fn(*mut PollFd, u64, *const Timespec, *const SignalSet) -> c_int;
type Lock = unsafe extern "C" fn(*const core::ffi::c_char, c_int);
type Ask = unsafe extern "C" fn() -> bool;
type Act = unsafe extern "C" fn();
type AddObject = unsafe extern "C" fn(*const core::ffi::c_char, *mut *mut c_void) -> bool;
type FindChardev = unsafe extern "C" fn(*const core::ffi::c_char) -> *mut c_void;
type InitMonitor = unsafe extern "C" fn(*mut c_void, bool, *mut *mut c_void) -> bool;
type ErrorText = unsafe extern "C" fn(*const c_void) -> *const core::ffi::c_char;

/// A symbol of the program.
fn symbol(name: &CStr) -> *mut c_void {
    // SAFETY: the name is a C string.
    unsafe { sys::dlsym(sys::RTLD_DEFAULT, name.as_ptr()) }
}

/// A function of the program by the first of its names that there is.
///
/// # Safety
/// `F` is the type of that function.
unsafe fn function<F: Copy>(names: &[&CStr]) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    let found = names
        .iter()
        .map(|name| symbol(name))
        .find(|found| !found.is_null())?;
    // SAFETY: not null, and of that type by the caller's promise.
    Some(unsafe { core::mem::transmute_copy::<*mut c_void, F>(&found) })
}

/// What is needed of QEMU. The names changed in QEMU 9.0.
#[derive(Clone, Copy)]
struct Qemu {
    lock: Lock,
    unlock: Act,
    is_locked: Ask,
    drain_rcu: Act,
    enable_rcu_fork: Act,
    disable_rcu_fork: Act,
}

impl Qemu {
    fn find() -> Option<Self> {
        // SAFETY: these are QEMU's functions of these types.
        unsafe {
            Some(Self {
                lock: function(&[c"bql_lock_impl", c"qemu_mutex_lock_iothread_impl"])?,
                unlock: function(&[c"bql_unlock", c"qemu_mutex_unlock_iothread"])?,
                is_locked: function(&[c"bql_locked", c"qemu_mutex_iothread_locked"])?,
                drain_rcu: function(&[c"drain_call_rcu"])?,
                enable_rcu_fork: function(&[c"rcu_enable_atfork"])?,
                disable_rcu_fork: function(&[c"rcu_disable_atfork"])?,
            })
        }
    }
}

/// Whether the program exports what is needed. A QEMU built without modules does not.
pub(crate) fn is_qemu() -> bool {
    Qemu::find().is_some()
}

/// Says that requests will be taken.
pub(crate) fn greet(socket: c_int) {
    answer(socket, 0, 0, None);
}

/// QEMU's main loop sleeps here; where it does so in a template, requests are taken.
///
/// # Safety
/// As of `ppoll`.
#[cfg_attr(testjig_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn ppoll(
    fds: *mut PollFd,
    count: u64,
    timeout: *const Timespec,
    mask: *const SignalSet,
) -> c_int {
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
    let mut real = REAL.load(Ordering::Relaxed);
    if real.is_null() {
        // SAFETY: the name is a C string.
        real = unsafe { sys::dlsym(sys::RTLD_NEXT, c"ppoll".as_ptr()) };
        REAL.store(real, Ordering::Relaxed);
    }
    // SAFETY: null or the C library's function of this type; null is `None`.
    let Some(poll) = (unsafe { transmute::<*mut c_void, Option<Ppoll>>(real) }) else {
        return -1;
    };
    let timeout = if replies::travel_together() {
        replies::flush();
        // SAFETY: null or the caller's.
        match unsafe { timeout.as_ref() } {
            Some(span) if span.is_brief() => &raw const BRIEFLY,
            _ => timeout,
        }
    } else {
        timeout
    };
    let socket = SOCKET.load(Ordering::Relaxed);
    let is_wanted = socket >= 0 || blocks::is_due();
    let qemu = if is_wanted && is_main_thread() && (count as usize) < MOST_POLLED {
        Qemu::find()
    } else {
        None
    };
    let Some(qemu) = qemu else {
        // SAFETY: the caller's own arguments.
        return unsafe { poll(fds, count, timeout, mask) };
    };
    // With the big lock held this is no sleep of the main loop, but some function's that waits for a disk.
    // SAFETY: QEMU's own function, which looks at a variable of this thread.
    if unsafe { (qemu.is_locked)() } {
        // SAFETY: the caller's own arguments.
        return unsafe { poll(fds, count, timeout, mask) };
    }
    if blocks::is_due() {
        blocks::arm();
    }
    if socket < 0 {
        // SAFETY: the caller's own arguments.
        return unsafe { poll(fds, count, timeout, mask) };
    }
    // SAFETY: the caller's own arguments, of which there are fewer than `MOST_POLLED`.
    unsafe { sleep(qemu, socket, poll, fds, count as usize, timeout, mask) }
}

/// A timer of the virtual clock that is nanoseconds away has the main loop ask again and again, since that clock stands still. Such a
/// machine is put to sleep for so long, from which whatever arrives wakes it; or it would never rest.
const BRIEF: i64 = 1_000_000;
static BRIEFLY: Timespec = Timespec {
    seconds: 0,
    nanoseconds: BRIEF,
};

impl Timespec {
    fn is_brief(&self) -> bool {
        self.seconds == 0 && (1..BRIEF).contains(&self.nanoseconds)
    }
}

/// More descriptors than that the main loop does not wait for.
const MOST_POLLED: usize = 128;

/// `ppoll` on one descriptor more.
///
/// # Safety
/// As of `ppoll`; `count` is below [`MOST_POLLED`].
unsafe fn sleep(
    qemu: Qemu,
    socket: c_int,
    poll: Ppoll,
    fds: *mut PollFd,
    count: usize,
    timeout: *const Timespec,
    mask: *const SignalSet,
) -> c_int {
    let mut all = [const {
        PollFd {
            fd: -1,
            events: 0,
            revents: 0,
        }
    }; MOST_POLLED];
    // SAFETY: the caller's array, which is shorter than this one.
    unsafe { all.as_mut_ptr().copy_from_nonoverlapping(fds, count) };
    all[count] = PollFd {
        fd: socket,
        events: sys::POLLIN,
        revents: 0,
    };
    // SAFETY: the array is longer than that; timeout and mask are the caller's.
    let mut result = unsafe { poll(all.as_mut_ptr(), count as u64 + 1, timeout, mask) };
    // SAFETY: as above, the other way round.
    unsafe { fds.copy_from_nonoverlapping(all.as_ptr(), count) };
    if result <= 0 || all[count].revents == 0 {
        return result;
    }
    result -= 1;
    // What is to be done comes first: a template that forks has nothing to do.
    if result == 0 {
        serve(qemu, socket);
    }
    result
}

/// Takes one request. The main loop then goes round once.
fn serve(qemu: Qemu, socket: c_int) {
    static WAITED: AtomicU32 = AtomicU32::new(0);
    match threads::readiness() {
        Readiness::Soon if WAITED.fetch_add(1, Ordering::Relaxed) < PATIENCE => {
            // Called again at once: the request is still there.
            let turn = Timespec {
                seconds: 0,
                nanoseconds: 1_000_000,
            };
            pause(&turn);
            return;
        }
        _ => WAITED.store(0, Ordering::Relaxed),
    }
    let mut packet = Packet::EMPTY;
    match packet.receive(socket) {
        Received::Request => {}
        Received::Nothing => return,
        Received::End => {
            SOCKET.store(-1, Ordering::Relaxed);
            return;
        }
    }
    match packet.request.what {
        FORK => fork(qemu, socket, &packet),
        WAIT => wait(socket, packet.request.argument),
        _ => refuse(
            socket,
            &Text::of(format_args!("it does not know the request")),
        ),
    }
}

fn pause(turn: &Timespec) {
    unsafe extern "C" {
        fn nanosleep(span: *const Timespec, rest: *mut Timespec) -> c_int;
    }
    // SAFETY: the span is a reference.
    unsafe { nanosleep(turn, core::ptr::null_mut()) };
}

fn fork(qemu: Qemu, socket: c_int, packet: &Packet) {
    static READY: AtomicBool = AtomicBool::new(false);
    if let Readiness::Never(why) = threads::readiness() {
        packet.close();
        return refuse(socket, &why);
    }
    if let Readiness::Soon = threads::readiness() {
        packet.close();
        return refuse(
            socket,
            &Text::of(format_args!("it has a thread that does not end")),
        );
    }
    let entries = packet.entries();
    if !READY.load(Ordering::Relaxed) {
        let fresh = packet.fds();
        // What came with this request is not the template's.
        let taken = files::with_inventory(|inventory| {
            inventory.take(entries, |fd| fd == socket || fresh.contains(&fd))
        });
        if let Err(why) = taken {
            packet.close();
            return refuse(socket, &why);
        }
    }
    blocks::follow();
    let parent = sys::process_id();
    // SAFETY: QEMU's own functions, in the order in which QEMU would call them: the main loop holds no lock here. RCU's queue is
    // emptied once, since a template makes no new entries; the fork handler then finds its thread idle. The child's other threads
    // are gone, none of which held a lock that the child takes: the big lock is this thread's.
    let child = unsafe {
        (qemu.lock)(c"testjig".as_ptr(), 0);
        if !READY.load(Ordering::Relaxed) {
            (qemu.drain_rcu)();
            threads::trim();
            READY.store(true, Ordering::Relaxed);
        }
        sort_free_blocks();
        (qemu.enable_rcu_fork)();
        let child = sys::fork();
        (qemu.disable_rcu_fork)();
        child
    };
    if child == 0 {
        become_machine(parent, socket, packet);
    }
    // SAFETY: locked above.
    unsafe { (qemu.unlock)() };
    if child == 0 {
        return;
    }
    packet.close();
    if child < 0 {
        let error = sys::errno();
        return refuse(
            socket,
            &Text::of(format_args!(
                "the system declines to fork it (error {error})"
            )),
        );
    }
    answer(socket, i64::from(child), 0, None);
}

/// What was freed waits in one list until the C library is asked for something larger than all of it, and is then linked into lists by
/// size: a write to each block, so in a child a copy of each page. Here it is done once for all of them.
fn sort_free_blocks() {
    /// Below what is mapped instead, 128 KiB (mallopt(3)).
    const LARGE: usize = 120 << 10;
    // SAFETY: without conditions; the block is freed once, or null.
    unsafe { sys::free(sys::malloc(LARGE)) };
}

/// In a child: dies with its parent, leads a group of its own, and has no part in what its parent is asked.
pub(crate) fn leave(parent: c_int, socket: c_int) {
    // SAFETY: these concern this process alone, which does not use the socket.
    unsafe {
        sys::prctl(sys::PR_SET_PDEATHSIG, sys::SIGKILL);
        if sys::parent_id() != parent {
            sys::_exit(NOT_READY);
        }
        sys::setpgid(0, 0);
        sys::close(socket);
    }
}

/// In the child, which holds the big lock: becomes a machine of its own, or ends.
fn become_machine(parent: c_int, socket: c_int, packet: &Packet) {
    become_child();
    leave(parent, socket);
    let renewed =
        files::with_inventory(|inventory| inventory.renew(packet.entries(), packet.fds()));
    let made = renewed
        .and_then(|()| threads::restart())
        .and_then(|()| make_monitor(packet.request.argument & MONITOR));
    if packet.request.argument & TOGETHER != 0 {
        files::with_inventory(|inventory| inventory.first().map(replies::begin));
    }
    if let Err(why) = made {
        sys::write_all(2, b"testjig: a forked machine ");
        sys::write_all(2, why.bytes());
        sys::write_all(2, b"\n");
        // SAFETY: ends this process, without what QEMU would do.
        unsafe { sys::_exit(NOT_READY) };
    }
}

fn make_monitor(how: u64) -> Result<(), Text> {
    let mut error: *mut c_void = core::ptr::null_mut();
    // SAFETY: QEMU's functions of these types, called with the big lock held on the main thread, as a monitor command would; the
    // strings are C strings.
    unsafe {
        match how {
            MONITOR_OBJECT => {
                let add: AddObject = function(&[c"user_creatable_add_from_str"])
                    .ok_or_else(|| Text::of(format_args!("can't make objects")))?;
                add(MONITOR_OPTIONS.as_ptr(), &raw mut error);
            }
            MONITOR_CALL => {
                let find: Option<FindChardev> = function(&[c"qemu_chr_find"]);
                let init: Option<InitMonitor> = function(&[c"monitor_init_qmp"]);
                let (Some(find), Some(init)) = (find, init) else {
                    return Err(Text::of(format_args!("can't make a monitor")));
                };
                let device = find(MONITOR_DEVICE.as_ptr());
                if device.is_null() {
                    return Err(Text::of(format_args!("has no device for its monitor")));
                }
                init(device, false, &raw mut error);
            }
            _ => {}
        }
        if error.is_null() {
            return Ok(());
        }
        let text: Option<ErrorText> = function(&[c"error_get_pretty"]);
        let shown = text.map_or("?", |text| text::shown(text(error)));
        Err(Text::of(format_args!(
            "failed to make its monitor: {shown}"
        )))
    }
}

/// Waits for a child, and says how it ended.
pub(crate) fn wait(socket: c_int, child: u64) {
    let child = child as u32;
    let mut info = sys::SigInfo::new();
    loop {
        // SAFETY: the structure is as large as the kernel's.
        let result = unsafe { sys::waitid(sys::P_PID, child, &raw mut info, sys::WEXITED) };
        if result == 0 {
            return answer(socket, i64::from(info.code), i64::from(info.status), None);
        }
        let error = sys::errno();
        if error != sys::EINTR {
            return refuse(
                socket,
                &Text::of(format_args!("it has no child {child} (error {error})")),
            );
        }
    }
}

pub(crate) fn refuse(socket: c_int, why: &Text) {
    answer(socket, 0, 0, Some(why));
}

pub(crate) fn answer(socket: c_int, first: i64, second: i64, why: Option<&Text>) {
    #[repr(C)]
    struct Whole {
        answer: Answer,
        text: [u8; 256],
    }
    let mut whole = Whole {
        answer: Answer {
            failed: u64::from(why.is_some()),
            first,
            second,
        },
        text: [0; 256],
    };
    let text = why.map_or(&[][..], Text::bytes);
    for (place, byte) in whole.text.iter_mut().zip(text) {
        *place = *byte;
    }
    let len = size_of::<Answer>() + text.len();
    // SAFETY: the length is within the structure. Whoever does not read it is gone.
    unsafe { sys::send(socket, (&raw const whole).cast(), len, sys::MSG_NOSIGNAL) };
}

/// A request as it arrived.
#[repr(C)]
struct Packet {
    request: Request,
    entries: [Entry; MOST],
    fds: [c_int; MOST],
    fds_len: usize,
}

enum Received {
    Request,
    Nothing,
    End,
}

impl Packet {
    const EMPTY: Self = Self {
        request: Request {
            what: 0,
            argument: 0,
            entries: 0,
        },
        entries: [Entry::NONE; MOST],
        fds: [-1; MOST],
        fds_len: 0,
    };

    fn entries(&self) -> &[Entry] {
        let len = usize::try_from(self.request.entries).unwrap_or(0);
        self.entries.get(..len).unwrap_or_default()
    }

    fn fds(&self) -> &[c_int] {
        self.fds.get(..self.fds_len).unwrap_or_default()
    }

    fn close(&self) {
        for &fd in self.fds() {
            // SAFETY: it came with this request and nobody else has its number.
            unsafe { sys::close(fd) };
        }
    }

    fn receive(&mut self, socket: c_int) -> Received {
        let mut parts = [
            sys::IoVec {
                base: (&raw mut self.request).cast(),
                len: size_of::<Request>(),
            },
            sys::IoVec {
                base: (&raw mut self.entries).cast(),
                len: size_of::<[Entry; MOST]>(),
            },
        ];
        // SAFETY: all parts are this packet's, with their sizes, and any bytes are valid in them.
        let received = unsafe { receive(socket, &mut parts, &mut self.fds, sys::MSG_DONTWAIT) };
        let Some((count, fds_len)) = received else {
            return Received::Nothing;
        };
        if count == 0 {
            return Received::End;
        }
        self.fds_len = fds_len;
        if count < size_of::<Request>() {
            self.close();
            return Received::Nothing;
        }
        let replaced = self.entries().iter().filter(|entry| entry.what != SHARED);
        if replaced.count() == self.fds_len {
            Received::Request
        } else {
            self.close();
            refuse(
                socket,
                &Text::of(format_args!(
                    "the request's descriptors are not its entries'"
                )),
            );
            Received::Nothing
        }
    }
}

/// Receives a packet: how many bytes it has, 0 at the end of the socket, and how many descriptors. `None` if the system declines.
///
/// # Safety
/// The parts may be written, with any bytes.
pub(crate) unsafe fn receive(
    socket: c_int,
    parts: &mut [sys::IoVec],
    fds: &mut [c_int; MOST],
    flags: c_int,
) -> Option<(usize, usize)> {
    #[repr(C, align(8))]
    struct Control([u8; size_of::<sys::CmsgHdr>() + MOST * size_of::<c_int>()]);

    let mut control = MaybeUninit::<Control>::zeroed();
    let mut message = sys::MsgHdr {
        name: core::ptr::null_mut(),
        name_len: 0,
        iov: parts.as_mut_ptr(),
        iov_len: parts.len(),
        control: control.as_mut_ptr().cast(),
        control_len: size_of::<Control>(),
        flags: 0,
    };
    // SAFETY: the parts are the caller's, the rest is this function's.
    let count = unsafe { sys::recvmsg(socket, &raw mut message, flags | sys::MSG_CMSG_CLOEXEC) };
    let count = usize::try_from(count).ok()?;
    let header = control.as_ptr().cast::<sys::CmsgHdr>();
    let head = size_of::<sys::CmsgHdr>();
    if message.control_len < head {
        return Some((count, 0));
    }
    // SAFETY: the kernel wrote a header there, and zeroes were there before; the block is aligned for it.
    let header = unsafe { &*header };
    if header.level != sys::SOL_SOCKET || header.kind != sys::SCM_RIGHTS {
        return Some((count, 0));
    }
    let len = (header.len.saturating_sub(head) / size_of::<c_int>()).min(MOST);
    // SAFETY: so many numbers follow the header, in a block that has room for `MOST`.
    unsafe {
        let first = control.as_ptr().cast::<u8>().add(head).cast::<c_int>();
        fds.as_mut_ptr().copy_from_nonoverlapping(first, len);
    }
    Some((count, len))
}
