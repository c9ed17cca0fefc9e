//! What is used of the C library that is already there: no version of a symbol is asked for, so any of the last ten years' will do.

use core::ffi::{c_char, c_int, c_long, c_uint, c_void};
use core::mem::MaybeUninit;

pub(crate) const EINTR: c_int = 4;
pub(crate) const EAGAIN: c_int = 11;
pub(crate) const ENOSYS: c_int = 38;
pub(crate) const O_ACCMODE: c_int = 3;
pub(crate) const O_RDONLY: c_int = 0;
pub(crate) const O_CLOEXEC: c_int = 0o2_000_000;
pub(crate) const O_NONBLOCK: c_int = 0o4000;
pub(crate) const F_GETFD: c_int = 1;
pub(crate) const F_DUPFD_CLOEXEC: c_int = 1030;
pub(crate) const F_GETFL: c_int = 3;
pub(crate) const F_SETFL: c_int = 4;
pub(crate) const FD_CLOEXEC: c_int = 1;
pub(crate) const POLLIN: i16 = 1;
pub(crate) const POLLOUT: i16 = 4;
pub(crate) const EFD_SEMAPHORE: c_int = 1;
pub(crate) const PR_SET_PDEATHSIG: c_int = 1;
pub(crate) const SIGKILL: c_int = 9;
pub(crate) const SIG_SETMASK: c_int = 2;
pub(crate) const PROT_READ_WRITE: c_int = 3;
pub(crate) const PROT_ALL: c_int = 7;
pub(crate) const SIGILL: c_int = 4;
pub(crate) const MAP_SHARED: c_int = 1;
pub(crate) const MAP_SHARED_FIXED_NORESERVE: c_int = 0x1 | 0x10 | 0x4000;
pub(crate) const CLOCK_MONOTONIC: c_int = 1;
pub(crate) const P_PID: c_int = 1;
pub(crate) const WEXITED: c_int = 4;
pub(crate) const MSG_DONTWAIT: c_int = 0x40;
pub(crate) const MSG_NOSIGNAL: c_int = 0x4000;
pub(crate) const MSG_CMSG_CLOEXEC: c_int = 0x4000_0000;
pub(crate) const SOL_SOCKET: c_int = 1;
pub(crate) const SCM_RIGHTS: c_int = 1;
pub(crate) const RTLD_DEFAULT: *mut c_void = core::ptr::null_mut();
pub(crate) const RTLD_NEXT: *mut c_void = usize::MAX as *mut c_void;
const AT_EMPTY_PATH: c_int = 0x1000;
const STATX_BASIC_STATS: c_uint = 0x7ff;

#[cfg(target_arch = "x86_64")]
mod number {
    pub(super) const GETTID: core::ffi::c_long = 186;
    pub(super) const PROCESS_VM_READV: core::ffi::c_long = 310;
}
#[cfg(target_arch = "aarch64")]
mod number {
    pub(super) const GETTID: core::ffi::c_long = 178;
    pub(super) const PROCESS_VM_READV: core::ffi::c_long = 270;
}

/// The version of `pthread_cond_*` that programs of today mean; asked without one, `dlsym` may answer with that of 1999.
#[cfg(target_arch = "x86_64")]
pub(crate) const COND_VERSION: &core::ffi::CStr = c"GLIBC_2.3.2";
#[cfg(target_arch = "aarch64")]
pub(crate) const COND_VERSION: &core::ffi::CStr = c"GLIBC_2.17";

#[repr(C)]
pub struct PollFd {
    pub(crate) fd: c_int,
    pub(crate) events: i16,
    pub(crate) revents: i16,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Timespec {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: i64,
}

/// `sigset_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SignalSet(pub(crate) [u64; 16]);

/// `pthread_attr_t` and `pthread_condattr_t`, of which only the library knows the content; as large as the largest.
#[repr(C, align(8))]
pub struct Attributes([u8; 64]);

impl Attributes {
    pub(crate) const fn new() -> Self {
        Self([0; 64])
    }
}

#[repr(C)]
pub(crate) struct IoVec {
    pub(crate) base: *mut c_void,
    pub(crate) len: usize,
}

#[repr(C)]
pub struct MsgHdr {
    pub(crate) name: *mut c_void,
    pub(crate) name_len: u32,
    pub(crate) iov: *mut IoVec,
    pub(crate) iov_len: usize,
    pub(crate) control: *mut c_void,
    pub(crate) control_len: usize,
    pub(crate) flags: c_int,
}

#[repr(C)]
pub(crate) struct CmsgHdr {
    pub(crate) len: usize,
    pub(crate) level: c_int,
    pub(crate) kind: c_int,
}

/// `struct statx`, as far as it is looked at; the kernel's layout is the same everywhere.
#[repr(C)]
pub(crate) struct Statx {
    mask: u32,
    block_size: u32,
    attributes: u64,
    pub(crate) nlink: u32,
    uid: u32,
    gid: u32,
    pub(crate) mode: u16,
    pad: u16,
    pub(crate) ino: u64,
    pub(crate) size: u64,
    blocks: u64,
    attributes_mask: u64,
    times: [u64; 8],
    pub(crate) rdev_major: u32,
    rdev_minor: u32,
    pub(crate) dev_major: u32,
    pub(crate) dev_minor: u32,
    rest: [u64; 14],
}

/// `siginfo_t`, as `waitid` fills it.
#[repr(C)]
pub(crate) struct SigInfo {
    signal: c_int,
    errno: c_int,
    pub(crate) code: c_int,
    pad: c_int,
    pid: c_int,
    uid: c_uint,
    pub(crate) status: c_int,
    rest: [c_int; 25],
}

impl SigInfo {
    pub(crate) const fn new() -> Self {
        Self {
            signal: 0,
            errno: 0,
            code: 0,
            pad: 0,
            pid: 0,
            uid: 0,
            status: 0,
            rest: [0; 25],
        }
    }

    /// Of a fault: `si_addr`, which has the place of `si_pid` and `si_uid`.
    pub(crate) fn address(&self) -> usize {
        (self.uid as usize) << 32 | self.pid as u32 as usize
    }
}

/// `struct sigaction` of the C library.
#[repr(C)]
pub(crate) struct SigAction {
    handler: usize,
    mask: SignalSet,
    flags: c_int,
    restorer: usize,
}

impl SigAction {
    /// With a handler that takes three arguments and may be interrupted by its own signal; 0 for the default.
    pub(crate) const fn new(handler: usize) -> Self {
        const SA_SIGINFO: c_int = 4;
        const SA_NODEFER: c_int = 0x4000_0000;
        const SA_RESTART: c_int = 0x1000_0000;
        Self {
            handler,
            mask: SignalSet([0; 16]),
            flags: SA_SIGINFO | SA_NODEFER | SA_RESTART,
            restorer: 0,
        }
    }

    /// The same, on the stack that `sigaltstack` names.
    pub(crate) const fn on_own_stack(handler: usize) -> Self {
        const SA_ONSTACK: c_int = 0x0800_0000;
        let mut action = Self::new(handler);
        action.flags |= SA_ONSTACK;
        action
    }
}

/// The beginning of `struct dl_phdr_info`.
#[repr(C)]
pub(crate) struct LoadedObject {
    pub(crate) address: usize,
    pub(crate) name: *const c_char,
    pub(crate) headers: *const ProgramHeader,
    pub(crate) count: u16,
}

/// `Elf64_Phdr`.
#[repr(C)]
pub(crate) struct ProgramHeader {
    pub(crate) kind: u32,
    flags: u32,
    offset: usize,
    pub(crate) address: usize,
    physical: usize,
    file_size: usize,
    pub(crate) size: usize,
    align: usize,
}

/// `Dl_info`.
#[repr(C)]
pub(crate) struct DlInfo {
    file: *const c_char,
    base: *const c_void,
    pub(crate) symbol: *const c_char,
    pub(crate) address: *const c_void,
}

impl DlInfo {
    pub(crate) const fn new() -> Self {
        Self {
            file: core::ptr::null(),
            base: core::ptr::null(),
            symbol: core::ptr::null(),
            address: core::ptr::null(),
        }
    }
}

/// `stack_t`.
#[repr(C)]
pub(crate) struct AlternateStack {
    pub(crate) base: *mut c_void,
    pub(crate) flags: c_int,
    pub(crate) size: usize,
}

unsafe extern "C" {
    pub(crate) fn getenv(name: *const c_char) -> *const c_char;
    pub(crate) fn abort() -> !;
    pub(crate) fn _exit(status: c_int) -> !;
    pub(crate) fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    pub(crate) fn dlvsym(
        handle: *mut c_void,
        name: *const c_char,
        version: *const c_char,
    ) -> *mut c_void;
    pub(crate) fn malloc(size: usize) -> *mut c_void;
    pub(crate) fn free(block: *mut c_void);
    pub(crate) fn fork() -> c_int;
    pub(crate) fn prctl(option: c_int, ...) -> c_int;
    pub(crate) fn setpgid(pid: c_int, group: c_int) -> c_int;
    pub(crate) fn poll(fds: *mut PollFd, count: u64, timeout: c_int) -> c_int;
    pub(crate) fn waitid(kind: c_int, id: c_uint, info: *mut SigInfo, options: c_int) -> c_int;
    pub(crate) fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int;
    pub(crate) fn chdir(path: *const c_char) -> c_int;
    pub(crate) fn close(fd: c_int) -> c_int;
    pub(crate) fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    pub(crate) fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    pub(crate) fn read(fd: c_int, buffer: *mut c_void, len: usize) -> isize;
    pub(crate) fn readlink(path: *const c_char, buffer: *mut c_char, len: usize) -> isize;
    pub(crate) fn mmap(
        addr: *mut c_void,
        len: usize,
        protection: c_int,
        flags: c_int,
        fd: c_int,
        offset: i64,
    ) -> *mut c_void;
    pub(crate) fn mprotect(addr: *mut c_void, len: usize, protection: c_int) -> c_int;
    pub(crate) fn sigaction(signal: c_int, action: *const SigAction, old: *mut SigAction) -> c_int;
    pub(crate) fn dl_iterate_phdr(
        callback: extern "C" fn(*const LoadedObject, usize, *mut c_void) -> c_int,
        data: *mut c_void,
    ) -> c_int;
    pub(crate) fn sigaltstack(stack: *const AlternateStack, old: *mut AlternateStack) -> c_int;
    pub(crate) fn raise(signal: c_int) -> c_int;
    pub(crate) fn backtrace(frames: *mut *mut c_void, count: c_int) -> c_int;
    pub(crate) fn dladdr(address: *const c_void, info: *mut DlInfo) -> c_int;
    pub(crate) fn eventfd(initial: c_uint, flags: c_int) -> c_int;
    pub(crate) fn epoll_create1(flags: c_int) -> c_int;
    pub(crate) fn recvmsg(fd: c_int, message: *mut MsgHdr, flags: c_int) -> isize;
    pub(crate) fn send(fd: c_int, buffer: *const c_void, len: usize, flags: c_int) -> isize;
    pub(crate) fn pthread_sigmask(how: c_int, set: *const SignalSet, old: *mut SignalSet) -> c_int;
    pub(crate) fn pthread_condattr_init(attributes: *mut Attributes) -> c_int;
    pub(crate) fn pthread_condattr_setclock(attributes: *mut Attributes, clock: c_int) -> c_int;
    pub(crate) fn pthread_mutex_trylock(mutex: *mut c_void) -> c_int;
    pub(crate) fn pthread_mutex_unlock(mutex: *mut c_void) -> c_int;
    pub(crate) static mut environ: *mut *mut c_char;
    fn getrlimit(resource: c_int, limit: *mut [u64; 2]) -> c_int;
    fn setrlimit(resource: c_int, limit: *const [u64; 2]) -> c_int;
    fn pthread_self() -> usize;
    fn getpid() -> c_int;
    fn getppid() -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn write(fd: c_int, buffer: *const c_void, len: usize) -> isize;
    fn statx(
        directory: c_int,
        path: *const c_char,
        flags: c_int,
        mask: c_uint,
        buffer: *mut Statx,
    ) -> c_int;
    fn __errno_location() -> *mut c_int;
}

pub(crate) fn errno() -> c_int {
    // SAFETY: the location is this thread's and always there.
    unsafe { *__errno_location() }
}

/// Has the kernel write no core of this process.
pub(crate) fn forbid_cores() {
    const RLIMIT_CORE: c_int = 4;
    let mut limit = [0; 2];
    // SAFETY: `struct rlimit` is two words: the limit, and up to where it may be raised.
    unsafe {
        getrlimit(RLIMIT_CORE, &raw mut limit);
        limit[0] = 0;
        setrlimit(RLIMIT_CORE, &raw const limit);
    }
}

pub(crate) fn this_thread() -> usize {
    // SAFETY: has no conditions.
    unsafe { pthread_self() }
}

pub(crate) fn process_id() -> c_int {
    // SAFETY: has no conditions.
    unsafe { getpid() }
}

pub(crate) fn parent_id() -> c_int {
    // SAFETY: has no conditions.
    unsafe { getppid() }
}

pub(crate) fn thread_id() -> c_int {
    // SAFETY: a system call without arguments.
    unsafe { syscall(number::GETTID) as c_int }
}

/// The return address of a function that was entered and has done nothing yet, from what the kernel gives a signal's handler.
#[cfg(target_arch = "x86_64")]
pub(crate) fn caller(context: *const c_void) -> Option<usize> {
    /// `ucontext_t` of x86_64: flags, link and stack are 40 bytes, then come the registers, of which RSP is number 15.
    const RSP: usize = 40 + 15 * 8;
    let mut word = [0; 8];
    let stack = peek(context as usize + RSP, &mut word).then(|| usize::from_ne_bytes(word))?;
    peek(stack, &mut word).then(|| usize::from_ne_bytes(word))
}

/// Elsewhere it is not looked for.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn caller(_: *const c_void) -> Option<usize> {
    None
}

/// Copies memory of this process that may not be there; whether all of it was.
pub(crate) fn peek(address: usize, buffer: &mut [u8]) -> bool {
    let local = IoVec {
        base: buffer.as_mut_ptr().cast(),
        len: buffer.len(),
    };
    let remote = IoVec {
        base: address as *mut c_void,
        len: buffer.len(),
    };
    // SAFETY: both vectors are one element, the first a slice to be written, the second checked by the kernel.
    let count = unsafe {
        syscall(
            number::PROCESS_VM_READV,
            c_long::from(getpid()),
            &raw const local,
            1_usize,
            &raw const remote,
            1_usize,
            0_usize,
        )
    };
    usize::try_from(count) == Ok(buffer.len())
}

/// What the kernel knows of a descriptor; `None` if there is none of this number.
pub(crate) fn stat(fd: c_int) -> Option<Statx> {
    stat_at(fd, c"", AT_EMPTY_PATH)
}

/// What the kernel knows of a path.
pub(crate) fn stat_path(path: &core::ffi::CStr) -> Option<Statx> {
    const AT_FDCWD: c_int = -100;
    stat_at(AT_FDCWD, path, 0)
}

fn stat_at(fd: c_int, path: &core::ffi::CStr, flags: c_int) -> Option<Statx> {
    let mut buffer = MaybeUninit::<Statx>::zeroed();
    // SAFETY: the path is a C string, and the buffer is as large as the kernel's structure, which is 256 bytes.
    let result = unsafe {
        statx(
            fd,
            path.as_ptr(),
            flags,
            STATX_BASIC_STATS,
            buffer.as_mut_ptr(),
        )
    };
    // SAFETY: integers only, and all of them written above.
    (result == 0).then(|| unsafe { buffer.assume_init() })
}

const _: () = assert!(size_of::<Statx>() == 256);
const _: () = assert!(size_of::<SigInfo>() == 128);
const _: () = assert!(size_of::<SigAction>() == 152);
const _: () = assert!(size_of::<MsgHdr>() == 56);

/// Writes as much as can be written; for messages to people.
pub(crate) fn write_all(fd: c_int, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: the pointer and the length are a slice's.
        let count = unsafe { write(fd, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(count) {
            Ok(count) if count > 0 => bytes = bytes.get(count..).unwrap_or_default(),
            _ if errno() == EINTR => {}
            _ => return,
        }
    }
}
