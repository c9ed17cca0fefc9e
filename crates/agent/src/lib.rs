//! PID 1 of testjig's guests, and the [protocol](wire) that it speaks with the host.
//!
//! The kernel starts it from the initramfs. It mounts what programs expect, loads the drivers of the devices that are there, opens the
//! channel to the host and says hello; from then on it does what it is told: runs programs, reads and writes files, waits for files and
//! uevents. Drivers of devices that are plugged in later are loaded when the kernel announces them.
//!
//! The kernel's command line tells it what it can't find out:
//!
//! | word | what |
//! |---|---|
//! | `testjig.channel=NAME` | the channel: the name of a virtio-serial port, or a tty such as `ttyS1`; `testjig.agent` if missing |
//! | `testjig.resolve=A.B.C.D` | every name that a program looks up is told to be there |
//!
//! Called as `wait_for` it waits for a file and ends, for guest halves of tests.
//!
//! It depends on nothing but the standard library and is linked statically, so that an initramfs needs no libraries.

#![cfg_attr(testjig_init, no_main)]

mod boot;
mod channel;
mod exec;
mod modules;
mod resolve;
mod serve;
mod shell;
mod sys;
mod uevents;
mod wait_for;
pub mod wire;

/// What a process other than a guest's first is told.
const NOT_INIT: &str =
    "testjig-agent runs as PID 1 of a guest; on a host there is nothing for it to do";

/// Where the program begins. The standard library's own beginning looks for the ends of the stack and makes another one for signals, of
/// which a guest without KVM has nothing but the wait.
#[cfg(testjig_init)]
// SAFETY: the C library calls the one function of this name, and nothing else does.
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    sys::ignore_broken_pipes();
    run();
    0
}

/// Boots the guest's user space and serves the host until the guest ends.
pub fn run() {
    let name = std::env::args_os().next().unwrap_or_default();
    if std::path::Path::new(&name).ends_with("wait_for") {
        std::process::exit(wait_for::run(std::env::args_os().skip(1)));
    }
    if std::process::id() != 1 {
        eprintln!("{NOT_INIT}");
        std::process::exit(2);
    }
    if let Err(problem) = boot::run() {
        // The console is all there is. The kernel panics when this returns, which ends the guest.
        eprintln!("testjig-agent: {problem}");
    }
}
