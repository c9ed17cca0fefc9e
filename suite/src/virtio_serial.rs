//! Tests of the virtio console device. The test holds the other end of each port. Sections are of Virtio 1.2.
//!
//! Tests on [`VirtioSerial`] run on every machine, transport and interface; those on `Modern` on one machine a transport.
//!
//! # Where QEMU departs from the specification
//!
//! No test asserts these.
//!
//! | section | specification | QEMU (7.2 to 11.1) |
//! |---|---|---|
//! | 5.3.6.2 | PORT_ADD creates a port, of which other messages come after | a port that is plugged in with a host at its other end is said to be open first |
//! | 5.3.6.2 | a name is followed by nothing | by a zero byte |
//!
//! Four defects stay in as expected failures: a message longer than its room ([`control`]), what becomes of a half-read buffer when a
//! host hangs up ([`data`]) or the port is plugged out ([`hotplug`]) or the machine goes elsewhere ([`lifetime`]), and the byte order
//! of an emergency ([`everywhere`]).

mod control;
mod data;
mod everywhere;
mod hotplug;
mod lifetime;

use std::time::Duration;

use serde_json::{Value, json};
use testjig::devices::*;
use testjig::machines::{ArmVirt, Pseries};
use testjig::prelude::*;
use testjig::qmp::commands::{DeviceAdd, DeviceDel};
use testjig::qos::dev::virtio_serial::*;
use testjig::qos::mem::GuestAlloc;
use testjig::qos::virtio::{Features, Layout, Segment};
use testjig::vm::{Channel, Chardev};

/// More of the host's time than any of this takes.
const SECOND: Duration = Duration::from_secs(5);
/// Both layouts of a virtqueue.
const LAYOUTS: [Layout; 2] = [Layout::Split, Layout::Packed];
/// The ports of the graph's device.
const PORTS: [u32; 3] = [0, 1, 2];

/// The other end of a port.
#[track_caller]
fn host(vm: &Vm, port: u32) -> Channel {
    vm.channel(VIRTIO_SERIAL_CHARDEVS[port as usize])
}

/// Bytes that differ from seed to seed, and from place to place.
fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|at| at as u8 ^ (at >> 8) as u8 ^ (at >> 16) as u8 ^ seed)
        .collect()
}

/// So many bytes from the machine.
#[track_caller]
fn recv(host: &Channel, len: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < len {
        all.extend(host.recv(SECOND));
    }
    assert_eq!(all.len(), len, "more bytes than were sent");
    all
}

/// A message that nothing follows.
fn message(id: u32, event: ControlEvent, value: u16) -> Control {
    Control::new(id, event, value)
}

/// The message that a port has the name of the graph's port 1.
fn name_of_port_1() -> Control {
    Control {
        rest: VIRTIO_SERIAL_NAME.as_bytes().to_vec(),
        ..message(1, ControlEvent::PORT_NAME, 1)
    }
}

/// The message without the zero byte that QEMU puts after a name.
fn without_zero(mut message: Control) -> Control {
    if message.event == ControlEvent::PORT_NAME && message.rest.last() == Some(&0) {
        message.rest.pop();
    }
    message
}

/// Negotiates, starts, and opens the ports of the graph.
#[track_caller]
fn up(serial: &VirtioSerial, layout: Layout) -> Serial {
    let serial = serial.start(layout);
    serial.bring_up(&PORTS);
    serial
}

/// Bytes go both ways through each of these ports.
#[track_caller]
fn works(serial: &Serial, ports: &[u32]) {
    let vm = serial.device().vm();
    for &number in ports {
        let port = serial.port(number);
        let out = pattern(90, number as u8);
        port.send(&out);
        assert_eq!(recv(&host(vm, number), 90), out, "port {number}");
        let into = pattern(70, 0x80 | number as u8);
        port.give(70);
        host(vm, number).send(&into);
        assert_eq!(port.receive(), into, "port {number}");
    }
}

/// Lets the machine do what it has to do by itself: its monitor answers after that.
#[track_caller]
fn settle(vm: &Vm) {
    vm.qmp_raw("query-status", Value::Null);
}
