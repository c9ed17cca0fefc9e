//! System calls that the standard library has no words for. All unsafe code of the agent is here, but for the name of its beginning.

use std::ffi::{CString, c_char, c_int, c_long, c_ulong, c_void};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

// The C library, which the standard library is linked with anyway. Numbers below are those of Linux on every architecture with the
// generic system call table and on x86_64.
unsafe extern "C" {
    fn mount(
        source: *const c_char,
        target: *const c_char,
        kind: *const c_char,
        flags: c_ulong,
        data: *const c_void,
    ) -> c_int;
    #[link_name = "reboot"]
    fn reboot_(how: c_int) -> c_int;
    #[link_name = "sync"]
    fn sync_();
    fn syscall(number: c_long, ...) -> c_long;
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn bind(socket: c_int, address: *const c_void, length: u32) -> c_int;
    fn setsockopt(s: c_int, level: c_int, name: c_int, value: *const c_void, length: u32) -> c_int;
    fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
    fn waitid(kind: c_int, id: u32, info: *mut c_void, options: c_int) -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    #[link_name = "kill"]
    fn kill_(pid: c_int, signal: c_int) -> c_int;
    fn poll(fds: *mut PollFd, count: c_ulong, milliseconds: c_int) -> c_int;
    fn pipe2(ends: *mut c_int, flags: c_int) -> c_int;
    fn tcgetattr(fd: c_int, settings: *mut c_void) -> c_int;
    fn tcsetattr(fd: c_int, when: c_int, settings: *const c_void) -> c_int;
    fn cfmakeraw(settings: *mut c_void);
    #[cfg(testjig_init)]
    fn signal(number: c_int, how: usize) -> usize;
    fn uname(names: *mut c_void) -> c_int;
    fn mkfifo(path: *const c_char, mode: u32) -> c_int;
}

#[cfg(target_arch = "x86_64")]
const SYS_FINIT_MODULE: c_long = 313;
#[cfg(not(target_arch = "x86_64"))]
const SYS_FINIT_MODULE: c_long = 273;

fn checked(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn text(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(io::Error::from)
}

/// Mounts a file system of this kind.
pub(crate) fn mount_at(kind: &str, target: &str, data: &str) -> io::Result<()> {
    let (kind, target, data) = (text(kind)?, text(target)?, text(data)?);
    // SAFETY: all are strings that live through the call.
    checked(unsafe {
        mount(
            kind.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            0,
            data.as_ptr().cast(),
        )
    })
    .map(drop)
}

/// Writes everything to disks.
pub(crate) fn sync() {
    // SAFETY: it takes nothing and always succeeds.
    unsafe { sync_() }
}

/// Switches the machine off.
pub(crate) fn power_off() -> io::Error {
    end_machine(0x4321_fedc)
}

/// Resets the machine.
pub(crate) fn reboot() -> io::Error {
    end_machine(0x0123_4567)
}

fn end_machine(how: c_int) -> io::Error {
    // SAFETY: it takes a number. If it returns, it failed.
    unsafe { reboot_(how) };
    io::Error::last_os_error()
}

/// Loads a module into the kernel, with these parameters; one that is loaded is well.
pub(crate) fn load_module(file: &File, parameters: &str) -> io::Result<()> {
    const EEXIST: i32 = 17;
    let parameters = text(parameters)?;
    // SAFETY: a descriptor that is open, a string that lives through the call, and a number.
    let result = unsafe {
        syscall(
            SYS_FINIT_MODULE,
            file.as_raw_fd(),
            parameters.as_ptr(),
            0 as c_int,
        )
    };
    match checked(result as c_int) {
        Err(error) if error.raw_os_error() == Some(EEXIST) => Ok(()),
        result => result.map(drop),
    }
}

/// A socket that the kernel's uevents come from.
pub(crate) fn uevent_socket() -> io::Result<File> {
    const AF_NETLINK: c_int = 16;
    const SOCK_DGRAM_CLOEXEC: c_int = 2 | 0o2_000_000;
    const NETLINK_KOBJECT_UEVENT: c_int = 15;
    const SOL_SOCKET: c_int = 1;
    const SO_RCVBUFFORCE: c_int = 33;
    #[repr(C)]
    struct Address {
        family: u16,
        pad: u16,
        pid: u32,
        groups: u32,
    }
    let address = Address {
        family: AF_NETLINK as u16,
        pad: 0,
        pid: 0,
        groups: 1,
    };
    let room: c_int = 16 << 20;
    // SAFETY: numbers only.
    let fd = checked(unsafe { socket(AF_NETLINK, SOCK_DGRAM_CLOEXEC, NETLINK_KOBJECT_UEVENT) })?;
    // SAFETY: the descriptor was just made and has no other owner.
    let socket = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    // SAFETY: a number that lives through the call, with its size. Failing is no harm: the usual buffer serves most.
    let _ = unsafe {
        setsockopt(
            fd,
            SOL_SOCKET,
            SO_RCVBUFFORCE,
            (&raw const room).cast(),
            size_of::<c_int>() as u32,
        )
    };
    // SAFETY: an address that lives through the call, with its size.
    checked(unsafe { bind(fd, (&raw const address).cast(), size_of::<Address>() as u32) })?;
    Ok(socket)
}

/// What `poll` is told of a descriptor, and tells.
#[repr(C)]
struct PollFd {
    fd: c_int,
    events: i16,
    revents: i16,
}

/// Waits until there is something to read, and takes it; at most so long.
pub(crate) fn wait_readable(file: &File, longest: Duration) {
    const POLLIN: i16 = 1;
    let mut fds = PollFd {
        fd: file.as_raw_fd(),
        events: POLLIN,
        revents: 0,
    };
    let milliseconds = longest.as_millis().clamp(1, 60_000) as c_int;
    // SAFETY: one structure that lives through the call.
    if unsafe { poll(&raw mut fds, 1, milliseconds) } > 0 {
        let mut buffer = [0; 4096];
        let mut file = file;
        let _ = file.read(&mut buffer);
    }
}

/// Has a write to a pipe that nobody reads fail, instead of ending the writer. Programs that are started are not told so.
#[cfg(testjig_init)]
pub(crate) fn ignore_broken_pipes() {
    const SIGPIPE: c_int = 13;
    const SIG_IGN: usize = 1;
    // SAFETY: numbers only.
    unsafe { signal(SIGPIPE, SIG_IGN) };
}

/// The kernel's release.
pub(crate) fn release() -> io::Result<String> {
    // `struct utsname` is six strings of so many bytes with their zeros; the third is the release.
    const LENGTH: usize = 65;
    let mut names = [0_u8; 6 * LENGTH];
    // SAFETY: room for the structure.
    checked(unsafe { uname(names.as_mut_ptr().cast()) })?;
    let release = names[2 * LENGTH..].split(|&byte| byte == 0).next();
    Ok(String::from_utf8_lossy(release.unwrap_or_default()).into_owned())
}

/// Has the kernel seed its random numbers anew now. It does so every second or so in the first minute.
pub(crate) fn reseed_random() -> io::Result<()> {
    const RNDRESEEDCRNG: c_ulong = 0x5207;
    let device = File::open("/dev/urandom")?;
    // SAFETY: a descriptor that is open, and a number.
    checked(unsafe { ioctl(device.as_raw_fd(), RNDRESEEDCRNG) }).map(drop)
}

/// Makes a pipe that has a name.
pub(crate) fn make_fifo(path: &str) -> io::Result<()> {
    let path = text(path)?;
    // SAFETY: a string that lives through the call, and a number.
    checked(unsafe { mkfifo(path.as_ptr(), 0o600) }).map(drop)
}

/// Switches the loopback interface on.
pub(crate) fn loopback_up() -> io::Result<()> {
    const AF_INET: c_int = 2;
    const SOCK_DGRAM_CLOEXEC: c_int = 2 | 0o2_000_000;
    const SIOCSIFFLAGS: c_ulong = 0x8914;
    const IFF_UP: u16 = 1;
    // struct ifreq: the interface's name, and a union of which the flags are the first two bytes.
    let mut request = [0_u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16..18].copy_from_slice(&IFF_UP.to_ne_bytes());
    // SAFETY: numbers only.
    let fd = checked(unsafe { socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0) })?;
    // SAFETY: the descriptor was just made and has no other owner.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: a structure of the size that the call expects.
    checked(unsafe { ioctl(socket.as_raw_fd(), SIOCSIFFLAGS, request.as_mut_ptr()) }).map(drop)
}

/// Has a terminal pass bytes as they are.
pub(crate) fn make_raw(terminal: &File) -> io::Result<()> {
    // Larger than `struct termios` of any C library.
    let mut settings = [0_u64; 32];
    let fd = terminal.as_raw_fd();
    // SAFETY: room for the structure, which is filled by the first call and only then used.
    unsafe {
        checked(tcgetattr(fd, settings.as_mut_ptr().cast()))?;
        cfmakeraw(settings.as_mut_ptr().cast());
        checked(tcsetattr(fd, 0, settings.as_ptr().cast())).map(drop)
    }
}

/// A pipe: the end to read from and the end to write to, closed when a program is started.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    const O_CLOEXEC: c_int = 0o2_000_000;
    let mut ends = [-1; 2];
    // SAFETY: room for two numbers.
    checked(unsafe { pipe2(ends.as_mut_ptr(), O_CLOEXEC) })?;
    // SAFETY: both descriptors were just made and have no other owner.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Waits until some child has ended, without taking its status.
pub(crate) fn wait_for_any() -> io::Result<i32> {
    const P_ALL: c_int = 0;
    const WEXITED_NOWAIT: c_int = 4 | 0x0100_0000;
    // `siginfo_t` has 128 bytes everywhere; the process's number is behind three numbers and a gap.
    let mut info = [0_u64; 16];
    // SAFETY: room for the structure.
    checked(unsafe { waitid(P_ALL, 0, info.as_mut_ptr().cast(), WEXITED_NOWAIT) })?;
    Ok((info[2] & 0xffff_ffff) as i32)
}

/// Takes the status of a child that has ended: the low bits are those of `waitpid`.
pub(crate) fn take_status(pid: i32) -> io::Result<i32> {
    const WNOHANG: c_int = 1;
    let mut status = 0;
    // SAFETY: a number that lives through the call.
    let found = checked(unsafe { waitpid(pid, &raw mut status, WNOHANG) })?;
    if found == pid {
        Ok(status)
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Sends a signal to a process, or to a group if the number is negative.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: numbers only.
    checked(unsafe { kill_(pid, signal) }).map(drop)
}
