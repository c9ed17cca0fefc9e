//! What a child does between the fork and the program, and instead of a program.

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use rustix::io::{Errno, FdFlags};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};

use super::Main;

/// What the child does before it becomes the program: between fork and exec, where only system calls are allowed.
pub(super) fn prepare(inherit: &[RawFd], parent: Pid, core: bool) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A parent that died before the line above sends nothing any more.
    if getppid() != Some(parent) {
        return Err(Errno::SRCH.into());
    }
    if !core {
        let limit = getrlimit(Resource::Core);
        setrlimit(
            Resource::Core,
            Rlimit {
                current: Some(0),
                maximum: limit.maximum,
            },
        )?;
    }
    for &fd in inherit {
        #[expect(unsafe_code, reason = "a raw number crosses the fork, an owner can't")]
        // SAFETY: the parent keeps the descriptor open until the child has become the program.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        rustix::io::fcntl_setfd(fd, FdFlags::empty())?;
    }
    Ok(())
}

/// In the child: is a function of this program instead of another program, with the descriptors that the other would have.
pub(super) fn become_main(main: Main, words: &[String]) -> io::Result<()> {
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open {
        #[expect(unsafe_code, reason = "nothing here owns what the parent had open")]
        // SAFETY: nothing that is still to run in this process uses a descriptor that is closed on exec; one that is closed already, as
        // the directory's is, has no flags.
        unsafe {
            let flags = rustix::io::fcntl_getfd(BorrowedFd::borrow_raw(fd));
            if flags.is_ok_and(|flags| flags.contains(FdFlags::CLOEXEC)) {
                rustix::io::close(fd);
            }
        }
    }
    // A panic aborts: the standard library sees to that between fork and exec.
    let status = main(words);
    #[expect(
        unsafe_code,
        reason = "what the parent would do at its exit is not to be done"
    )]
    // SAFETY: the C library's function of this type, which does not return.
    unsafe {
        unsafe extern "C" {
            fn _exit(status: i32) -> !;
        }
        _exit(status.into())
    }
}
