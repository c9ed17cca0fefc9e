//! Tests of the virtio block device, on every transport, ring layout and machine.
//!
//! Sections are of Virtio 1.2. Tests on [`VirtioBlk`] run on every machine, transport and interface; those on `Modern` on one machine
//! a transport, most with both layouts.
//!
//! # Where QEMU departs from the specification
//!
//! No test asserts these.
//!
//! | section | specification | QEMU (7.2 to 11.1) |
//! |---|---|---|
//! | 2.4.3, 3.1.1 | the configuration of a modern device is little-endian, also while its features are not negotiated | on a big-endian machine it is big-endian until `VERSION_1` is negotiated |
//! | 2.8.1 | a used descriptor has the flag WRITE if the device wrote something | the flag is never set; the length is right |
//! | 4.1.4.5.1 | bit 1 of the interrupt status says that the configuration changed | bit 0 is set with it |
//! | 2.7.7.2, 2.8.10 | no interrupt where the driver asked for none | the first used buffer of a virtqueue with event indices interrupts whatever `used_event` says |
//!
//! # Defects of QEMU that these tests meet
//!
//! | version | what |
//! |---|---|
//! | 10.0.2 | a request that breaks the device while the virtqueue looks not empty (wrong order, no bytes, no memory, too long, endless) has QEMU loop for ever: the tests of [`malformed`] hang |
//! | 10.0.2 | a table of descriptors without any breaks the device and then ends QEMU: `address_space_cache_init: Assertion len > 0` |
//! | 10.0.2 | with `in_order` some buffers are never told of as used |
//!
//! 11.1.3 has none of these.

mod errors;
mod everywhere;
mod lifetime;
mod malformed;
mod messages;
mod negotiation;
mod registers;
mod requests;
mod rings;
mod zeroes;

use std::time::Duration;

use serde_json::{Value, json};
use testjig::devices::*;
use testjig::prelude::*;
use testjig::qmp::commands::{Cont, QueryStatus, RunState};
use testjig::qos;
use testjig::qos::dev::virtio_blk::*;
use testjig::qos::mem::GuestAlloc;
use testjig::qos::virtio::{Desc, DescFlags, Features, Isr, Layout, Segment};
use testjig::qos::virtio::{PciTransport, Virtio};
use testjig::vm::{Condition, Drive, Fault, Image, Irq, LaunchOptions, ScratchDisk};

/// Bytes of a sector, `usize` for slices.
const BYTES: usize = SECTOR as usize;
/// Sectors of the graph's disk.
const CAPACITY: u64 = VIRTIO_BLK_SIZE / SECTOR;
/// More of the host's time than any of this takes.
const SECOND: Duration = Duration::from_secs(5);
/// Both layouts of a virtqueue.
const LAYOUTS: [Layout; 2] = [Layout::Split, Layout::Packed];

/// The image behind the device.
fn image(vm: &Vm) -> ScratchDisk {
    vm.disk(VIRTIO_BLK_DRIVE)
}

/// Bytes that differ from sector to sector and within each.
fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|at| (at as u8) ^ (at / BYTES) as u8 ^ seed)
        .collect()
}

/// Has QEMU resize the image.
#[track_caller]
fn resize(vm: &Vm, bytes: u64) {
    let arguments = json!({ "node-name": VIRTIO_BLK_DRIVE, "size": bytes });
    vm.qmp_raw("block_resize", arguments);
}

/// What QEMU counted of the device's requests.
struct Statistics(Value);

impl Statistics {
    #[track_caller]
    fn of(vm: &Vm) -> Self {
        let all = vm.qmp_raw("query-blockstats", Value::Null);
        let of_disk = |entry: &&Value| entry["node-name"] == VIRTIO_BLK_DRIVE;
        let entry = all.as_array().and_then(|all| all.iter().find(of_disk));
        match entry {
            Some(entry) => Self(entry["stats"].clone()),
            None => panic!("no statistics of {VIRTIO_BLK_DRIVE} in {all}"),
        }
    }

    #[track_caller]
    fn number(&self, name: &str) -> u64 {
        match self.0[name].as_u64() {
            Some(number) => number,
            None => panic!("no {name} in {}", self.0),
        }
    }
}

/// A device that needed a reset works after it.
#[track_caller]
fn recovers(blk: &VirtioBlk, layout: Layout) {
    blk.device().reset();
    assert_eq!(blk.device().status(), qos::virtio::Status::new());
    let disk = blk.start(layout);
    disk.write(1000, &pattern(BYTES, 0x0f));
    assert_eq!(disk.read(1000, SECTOR), pattern(BYTES, 0x0f));
}

/// As [`start`], with the first request over: a device may notify of that one whatever was asked for, and looks for it unasked.
#[track_caller]
fn settled(blk: &VirtioBlk, vm: &Vm, layout: Layout, events: bool) -> (Disk, Irq) {
    let disk = start(blk, layout, events);
    let irq = vm.intercept(blk.device().line());
    assert_eq!(disk.flush(), Status::OK);
    vm.wait_until(irq.raised(), SECOND);
    blk.device().take_isr();
    vm.wait_until(irq.lowered(), SECOND);
    irq.clear();
    (disk, irq)
}

/// Negotiates with or without event indices.
#[track_caller]
fn start(blk: &VirtioBlk, layout: Layout, events: bool) -> Disk {
    let mut wanted = Features::VERSION_1 | BlkFeature::FLUSH;
    if layout == Layout::Packed {
        wanted = wanted | Features::RING_PACKED;
    }
    if events {
        wanted = wanted | Features::RING_EVENT_IDX;
    }
    let disk = blk.start_with(wanted);
    assert_eq!(disk.features(), wanted);
    disk
}

/// The graph's drive, and a device of this type in the graph's slot, on this node.
fn on_pci(launch: Launch, driver: &str, node: &str) -> Launch {
    let image = Image::zeroed(VIRTIO_BLK_SIZE);
    let device = Device::new(driver)
        .id(VIRTIO_BLK_ID)
        .prop("drive", node)
        .prop("addr", format!("{VIRTIO_PCI_SLOT:02x}.0"));
    launch
        .drive(Drive::new(VIRTIO_BLK_DRIVE, image).discard(true))
        .device(device)
}

/// The device in the graph's slot.
#[track_caller]
fn on_q35(q35: &Q35) -> Virtio {
    let pci = qos::pci::Pci::q35(q35.vm());
    Virtio::new(PciTransport::modern(&pci.device(VIRTIO_PCI_SLOT)))
}

/// Sends a machine to a new one, and returns that one.
#[track_caller]
fn migrate(from: &Vm, qemu: &Qemu, launch: &Launch) -> Vm {
    let incoming = launch.clone().arg("-incoming").arg("tcp:127.0.0.1:0");
    let to = match qemu.launch(&incoming, &LaunchOptions::default()) {
        Ok(vm) => vm,
        Err(error) => panic!("{error}"),
    };
    let status = to.hmp("info migrate");
    let address = status
        .split_whitespace()
        .find(|word| word.starts_with("tcp:"))
        .unwrap_or_else(|| panic!("the target does not say where it listens:\n{status}"));
    from.hmp(&format!("migrate -d {address}"));
    let moved = Condition::new("the machine has moved", || {
        from.qmp_raw("query-migrate", Value::Null)["status"] == "completed"
            && to.qmp(QueryStatus).status != RunState::Inmigrate
    });
    from.wait_until(moved, Duration::from_secs(30));
    to
}
