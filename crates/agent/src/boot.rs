//! From the kernel's hand-over to the hello.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use crate::channel;
use crate::modules::Modules;
use crate::resolve;
use crate::serve::{Server, Settled};
use crate::sys;
use crate::uevents::Uevents;
use crate::wire::{Reply, VERSION};

/// What the channel is found by.
const FIRST_MOUNTS: [(&str, &str, &str); 3] = [
    ("proc", "/proc", ""),
    ("sysfs", "/sys", ""),
    ("devtmpfs", "/dev", "mode=0755"),
];
/// What else programs expect to be mounted, in order.
const MOUNTS: [(&str, &str, &str); 3] = [
    ("devpts", "/dev/pts", "mode=0620,ptmxmode=0666"),
    ("tmpfs", "/tmp", "mode=1777"),
    ("tmpfs", "/run", "mode=0755"),
];
/// Those of the kernel's own file systems that a kernel may have been built without.
const OPTIONAL_MOUNTS: [(&str, &str); 2] = [
    ("configfs", "/sys/kernel/config"),
    ("debugfs", "/sys/kernel/debug"),
];
/// Modules that are wanted before the drivers of devices in general: those of the channel, and of the device that tells of panics.
const FIRST: [&str; 3] = ["virtio_pci", "virtio_console", "pvpanic_mmio"];
const CHANNEL: &str = "testjig.agent";

/// Boots and serves. It returns only what went wrong.
///
/// What a guest without KVM does for the first time takes it long, so what the hello does not need comes after it.
pub(crate) fn run() -> Result<(), String> {
    mount_all(&FIRST_MOUNTS)?;
    let words = fs::read_to_string("/proc/cmdline")
        .map_err(|error| format!("failed to read the kernel's command line: {error}"))?;
    let word = |name: &str| {
        words
            .split_ascii_whitespace()
            .find_map(|word| word.strip_prefix(name))
    };
    let release = sys::release()
        .map_err(|error| format!("failed to ask for the kernel's release: {error}"))?;
    let its_release = release.clone();
    let modules = LazyLock::new(move || Modules::of(&its_release));
    let listen =
        || Uevents::listen().map_err(|error| format!("failed to listen for uevents: {error}"));

    let name = word("testjig.channel=").unwrap_or(CHANNEL);
    // From before the first driver, so that nothing is missed. A kernel that has the drivers built in has the channel by now.
    let (mut channel, socket) = match channel::at_once(name)? {
        Some(channel) => (channel, None),
        None => {
            let socket = listen()?;
            for module in FIRST {
                modules.load(module);
            }
            (channel::open(name)?, Some(socket))
        }
    };
    let hello = Reply::Hello {
        version: VERSION,
        release: release.into_bytes(),
        uptime: uptime().unwrap_or_default().as_micros() as u64,
    };
    hello
        .write(0, &mut channel)
        .map_err(|error| format!("failed to say hello to the host: {error}"))?;

    let socket = socket.map_or_else(listen, Ok)?;
    mount_all(&MOUNTS)?;
    for (kind, target) in OPTIONAL_MOUNTS {
        let _ = sys::mount_at(kind, target, "");
    }
    for (link, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        let _ = symlink(target, link);
    }
    if let Some(address) = word("testjig.resolve=") {
        let address: Ipv4Addr = address
            .parse()
            .map_err(|_| format!("testjig.resolve={address} is not an IPv4 address"))?;
        // A kernel without a network has nobody to ask it.
        if let Err(error) = resolve::start(address) {
            eprintln!("testjig-agent: no names are resolved: {error}");
        }
    }
    let uevents = Arc::new(Uevents::default());
    let settled = Arc::new(Settled::default());
    let server = Server::new(&channel, Arc::clone(&uevents), Arc::clone(&settled))
        .map_err(|error| format!("failed to set up the channel: {error}"))?;
    // Some drivers wait for their devices. What the host wants of the guest waits for them, and nothing else does.
    thread::spawn(move || {
        modules.load_for_all_devices();
        settled.tell();
        uevents.follow(&socket, &modules);
    });
    let error = server.serve(channel);
    Err(format!("the channel to the host failed: {error}"))
}

fn mount_all(mounts: &[(&str, &str, &str)]) -> Result<(), String> {
    for (kind, target, data) in mounts {
        sys::mount_at(kind, target, data)
            .or_else(|_| {
                fs::create_dir_all(target).and_then(|()| sys::mount_at(kind, target, data))
            })
            .map_err(|error| format!("failed to mount {kind} on {target}: {error}"))?;
    }
    Ok(())
}

fn uptime() -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let seconds = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_secs_f64(seconds))
}
