//! Tests of the virtio balloon device. Sections are of Virtio 1.2.
//!
//! A page that was given away is empty: the test sees that in guest memory. Tests on [`VirtioBalloon`] run on every machine, transport and
//! interface; those on `Modern` on one machine a transport.
//!
//! A defect of QEMU stays in as an expected failure: the number of the virtqueue of [`reports`] where there are no hints.

mod everywhere;
mod hints;
mod pages;
mod reports;
mod size;
mod statistics;

use std::time::Duration;

use serde_json::{Value, json};
use testjig::devices::*;
use testjig::prelude::*;
use testjig::qos::dev::virtio_balloon::*;
use testjig::qos::mem::GuestAlloc;
use testjig::qos::virtio::{Features, Layout, Segment};
use testjig::vm::{Condition, Object};

/// More of the host's time than any of this takes.
const SECOND: Duration = Duration::from_secs(5);
/// Both layouts of a virtqueue.
const LAYOUTS: [Layout; 2] = [Layout::Split, Layout::Packed];

/// A device with all that there is.
fn with_all(launch: Launch) -> Launch {
    launch
        .object(Object::new("iothread", "hints"))
        .global("virtio-balloon-device", "iothread", "hints")
        .global("virtio-balloon-device", "free-page-hint", "on")
        .global("virtio-balloon-device", "free-page-reporting", "on")
}

/// Has the monitor want the machine to have so many bytes.
#[track_caller]
fn want(vm: &Vm, bytes: u64) {
    vm.qmp_raw("balloon", json!({ "value": bytes }));
}

/// How many bytes the machine has, as the monitor says.
#[track_caller]
fn actual(vm: &Vm) -> u64 {
    let said = vm.qmp_raw("query-balloon", Value::Null);
    said["actual"]
        .as_u64()
        .unwrap_or_else(|| panic!("no number in {said}"))
}

/// A property of the device.
#[track_caller]
fn property(vm: &Vm, name: &str) -> Value {
    vm.qmp(testjig::qmp::commands::QomGet::new(path(vm), name))
}

/// Where the device is: for PCI, the one that the adapter holds.
#[track_caller]
fn path(vm: &Vm) -> String {
    let own = format!("/machine/peripheral/{VIRTIO_BALLOON_ID}");
    let held = vm.qmp(testjig::qmp::commands::QomList::of(own.clone()));
    let is_adapter = held
        .iter()
        .any(|property| property.name == "virtio-backend");
    if is_adapter {
        format!("{own}/virtio-backend")
    } else {
        own
    }
}

/// Pages come and go.
#[track_caller]
fn works(balloon: &Balloon) {
    let page = balloon.page();
    balloon.inflate(&[page.pfn()]);
    assert!(page.is_empty());
    balloon.deflate(&[page.pfn()]);
    page.memory().fill(0x3c);
    assert_eq!(page.memory().to_vec(), [0x3c; PAGE as usize]);
}

/// Lets the machine do what it has to do by itself: its monitor answers after that.
#[track_caller]
fn settle(vm: &Vm) {
    vm.qmp_raw("query-status", Value::Null);
}
