//! Tests of the virtio 9P device, on the file system that QEMU makes up. Sections are of the *9P2000.L protocol* of the diod project, and
//! names in brackets messages of it.
//!
//! With the qtest accelerator that file system has, for tests: directories WALK0 in WALK0's like down to WALK15, the files LOPEN, WRITE
//! and FLUSH, and a directory ReadDirDir of a hundred files. Nothing can be made or removed in it, and no directory of the host's has a
//! part in it: a file system that can be written would leave files behind when a test is killed.
//!
//! # Where QEMU departs from the protocol
//!
//! No test asserts these.
//!
//! | message | protocol | QEMU (7.2 to 11.1) |
//! |---|---|---|
//! | walk | does not begin at an open file | may begin at an open directory |
//!
//! A reset waits for requests under way, also for one that never ends, as only the file FLUSH makes them.
//!
//! Tests on [`Virtio9p`] run on every machine, transport and interface; those on `Modern` on one machine a transport.

mod directories;
mod everywhere;
mod fids;
mod files;
mod flush;
mod malformed;
mod refused;
mod session;

use std::time::Duration;

use testjig::devices::*;
use testjig::prelude::*;
use testjig::qos::dev::virtio_9p::*;
use testjig::qos::mem::GuestAlloc;
use testjig::qos::virtio::{Features, Layout, Segment};
use testjig::vm::Condition;

/// More of the host's time than any of this takes.
const SECOND: Duration = Duration::from_secs(5);
/// Both layouts of a virtqueue.
const LAYOUTS: [Layout; 2] = [Layout::Split, Layout::Packed];
/// Bytes of a message that client and server agree to.
const MSIZE: u32 = 8192;
/// The number of the root, once it is named.
const ROOT: u32 = 0;
/// The protocol.
const L: &str = "9P2000.L";
/// Entries of ReadDirDir without the two that every directory has.
const FILES: usize = 100;

/// Starts a device, agrees on a version, and names the root.
#[track_caller]
fn up(device: &Virtio9p, layout: Layout) -> Client {
    let client = device.start(layout);
    assert_eq!(client.version(MSIZE, L), Ok((MSIZE, L.to_owned())));
    let root = client.attach(ROOT, "root", "").expect("there is a root");
    assert!(root.is_directory());
    client
}

/// The device answers.
#[track_caller]
fn works(client: &Client) {
    let met = client.walk(ROOT, 99, &[]).expect("the root is there");
    assert_eq!(met, []);
    client.clunk(99).expect("it was named");
}

/// What is read as a directory is none that is open: QEMU has had two errors for it.
#[track_caller]
fn is_no_directory(read: &Result<Vec<Entry>, Errno>) {
    assert!(
        matches!(read, Err(Errno::ENOTDIR | Errno::EINVAL)),
        "{read:?}"
    );
}
