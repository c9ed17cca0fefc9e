//! The library that is loaded into a stock QEMU (`crates/preload`), and what it is given.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::process::Command;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::SocketType;

use crate::launch::LaunchOptions;
use crate::launch::resources::{Made, Own};

/// The library; empty where there is none for this host.
const PRELOAD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/preload.so"));
/// Where the library looks for its socket.
const CONTROL: &str = "TESTJIG_FORK_SERVER";
/// Where the library looks whether to say where the program crashes.
const FRAMES: &str = "TESTJIG_FRAMES";
/// Where the library looks for the file of blocks.
const BLOCKS: &str = "TESTJIG_BLOCKS";

/// Whether there is a library for this host.
pub(crate) fn is_there() -> bool {
    !PRELOAD.is_empty()
}

/// Has QEMU load the library, and take forks; ours is the socket over which it is asked.
pub(crate) fn load_for_forks(
    command: &mut Command,
    made: &mut Made,
    options: &LaunchOptions,
) -> io::Result<OwnedFd> {
    load(command, made, options)?;
    let (control, number) = made.socket(SocketType::SEQPACKET)?;
    // The library knows its own socket.
    if let Some(own) = made.own.last_mut() {
        *own = Own::Nothing;
    }
    command.env(CONTROL, number.to_string());
    Ok(control)
}

/// Has QEMU load the library, and watch the blocks of the options, and say where it crashes if they ask for that.
pub(crate) fn load(
    command: &mut Command,
    made: &mut Made,
    options: &LaunchOptions,
) -> io::Result<()> {
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
    if options.frames {
        command.env(FRAMES, "1");
    }
    if let Some(blocks) = &options.blocks {
        let number = made.hand_over(blocks.file()?, Own::Nothing);
        command.env(BLOCKS, number.to_string());
    }
    Ok(())
}
