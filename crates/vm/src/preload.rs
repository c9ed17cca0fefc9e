//! The library that is loaded into a stock QEMU (`crates/preload`), and what it is given.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::process::Command;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::SocketType;

use crate::launch::LaunchOptions;
use crate::launch::resources::{Made, Own};

/// The library; empty where there is none for this host.
const PRELOAD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/preload.so"));
/// Where the library looks for its socket.
const CONTROL: &str = "TESTJIG_FORK_SERVER";
/// Where the library looks whether to wait before `main`, and for its own descriptor.
const ZYGOTE: &str = "TESTJIG_ZYGOTE";
/// Where the library looks whether to say where the program crashes.
const FRAMES: &str = "TESTJIG_FRAMES";
/// Where the library looks for the file of blocks.
const BLOCKS: &str = "TESTJIG_BLOCKS";

/// Whether there is a library for this host.
pub(crate) fn is_there() -> bool {
    !PRELOAD.is_empty()
}

/// Has a QEMU that loads the library take forks; ours is the socket over which it is asked.
pub(crate) fn ask_for_forks(
    command: &mut Command,
    made: &mut Made,
    options: &LaunchOptions,
) -> io::Result<OwnedFd> {
    ask(command, made, options)?;
    let (control, number) = made.socket(SocketType::SEQPACKET)?;
    // The library knows its own socket.
    if let Some(own) = made.own.last_mut() {
        *own = Own::Nothing;
    }
    command.env(CONTROL, number.to_string());
    Ok(control)
}

/// Has a QEMU that loads the library watch the blocks of the options, and say where it crashes, if they ask for that.
pub(crate) fn ask(
    command: &mut Command,
    made: &mut Made,
    options: &LaunchOptions,
) -> io::Result<()> {
    if options.frames {
        command.env(FRAMES, "1");
    }
    if let Some(blocks) = &options.blocks {
        let number = made.hand_over(blocks.file()?, Own::Nothing);
        command.env(BLOCKS, number.to_string());
    }
    Ok(())
}

/// Has QEMU load the library and wait before its `main`; ours is the socket over which it is asked.
pub(crate) fn insert_zygote(command: &mut Command, made: &mut Made) -> io::Result<OwnedFd> {
    let library = insert(command, made)?;
    let (control, number) = made.socket(SocketType::SEQPACKET)?;
    command.env(CONTROL, number.to_string());
    command.env(ZYGOTE, library.to_string());
    Ok(control)
}

/// Has QEMU load the library, and says which descriptor of QEMU's that is.
pub(crate) fn insert(command: &mut Command, made: &mut Made) -> io::Result<RawFd> {
    let library = memfd_create("testjig-preload", MemfdFlags::CLOEXEC)?;
    let mut library = File::from(library);
    library.write_all(PRELOAD)?;
    let library = made.hand_over(library.into(), Own::Nothing);
    let mut libraries = OsString::from(format!("/proc/self/fd/{library}"));
    let named = command
        .get_envs()
        .find_map(|(name, value)| (name == "LD_PRELOAD").then(|| value.map(ToOwned::to_owned)))
        .unwrap_or_else(|| std::env::var_os("LD_PRELOAD"));
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        libraries.push(":");
        libraries.push(named);
    }
    command.env("LD_PRELOAD", libraries);
    Ok(library)
}

/// Requests to the library, the words for their entries, and its answers.
pub(crate) mod wire {
    use std::os::fd::AsFd;

    use rustix::io::Errno;
    use rustix::net::{RecvFlags, recv};

    use crate::process::ExitStatus;

    pub(crate) const FORK: u64 = 1;
    pub(crate) const WAIT: u64 = 2;
    pub(crate) const START: u64 = 3;
    pub(crate) const MONITOR_NONE: u64 = 0;
    pub(crate) const MONITOR_OBJECT: u64 = 1;
    pub(crate) const MONITOR_CALL: u64 = 2;
    pub(crate) const TOGETHER: u64 = 0x100;
    pub(crate) const REPLACED: u64 = 0;
    pub(crate) const MAPPED: u64 = 1;
    pub(crate) const SHARED: u64 = 2;
    /// The most descriptors that one request brings.
    pub(crate) const MOST: usize = 64;

    /// The answer that has arrived: two numbers, or why not.
    pub(crate) fn answer(control: impl AsFd) -> Result<Result<(i64, i64), String>, Errno> {
        let mut answer = [0; 512];
        let (len, _) = recv(control, &mut answer, RecvFlags::empty())?;
        let word = |index: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&answer[index * 8..index * 8 + 8]);
            i64::from_ne_bytes(bytes)
        };
        if len < 24 {
            return Err(Errno::PIPE);
        }
        Ok(match word(0) {
            0 => Ok((word(1), word(2))),
            _ => Err(String::from_utf8_lossy(&answer[24..len]).into_owned()),
        })
    }

    /// How a child ended, from the answer to [`WAIT`]: `si_code` and `si_status`.
    pub(crate) fn ended((code, status): (i64, i64)) -> ExitStatus {
        const EXITED: i64 = 1;
        const KILLED: i64 = 2;
        const DUMPED: i64 = 3;
        match code {
            EXITED => ExitStatus::Exited(status as i32),
            KILLED | DUMPED => ExitStatus::Signal {
                signal: status as i32,
                core: code == DUMPED,
            },
            _ => ExitStatus::Unknown,
        }
    }
}
