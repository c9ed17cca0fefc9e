//! Going elsewhere.

use testjig::qos::pci::Pci;
use testjig::qos::virtio::{MmioSlots, PciTransport, Virtio};
use testjig::vm::{Condition, LaunchOptions};

use super::*;
use crate::virtio_serial::data::FLOOD;

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
    let gone = Condition::new("the machine has gone", || {
        from.qmp_raw("query-migrate", Value::Null)["status"] == "completed"
    });
    from.wait_until(gone, Duration::from_secs(30));
    to.wait_event("RESUME", SECOND);
    // The backends are told a moment later, by a timer.
    to.clock().step(Duration::from_millis(1));
    to
}

/// Whether the host finds the port open at the driver's end.
#[track_caller]
fn is_open(vm: &Vm) -> bool {
    let all = vm.qmp_raw("query-chardev", Value::Null);
    let found = all
        .as_array()
        .and_then(|all| all.iter().find(|one| one["label"] == "one"));
    found.unwrap_or_else(|| panic!("{all} has no \"one\""))["frontend-open"] == true
}

/// The device of a machine of [`in_pci`] or [`in_mmio`].
#[track_caller]
fn device_of(vm: &Vm) -> VirtioSerial {
    let device = if vm.launch().machine().name == "q35" {
        let function = Pci::q35(vm).device(VIRTIO_PCI_SLOT);
        Virtio::new(PciTransport::modern(&function))
    } else {
        Virtio::new(MmioSlots::arm_virt(vm).slot(0))
    };
    VirtioSerial::new(device)
}

/// A machine goes elsewhere with a port that is open and has room: it is open there, and what the new host says is in the room.
#[track_caller]
fn goes_with_room(vm: &Vm, qemu: &Qemu, launch: &Launch, layout: Layout) {
    let serial = device_of(vm).start(layout);
    serial.bring_up(&[1]);
    let room = GuestAlloc::of(vm).buf(64);
    let queue = serial.port(1).receive_queue();
    queue.add(&[room.writable()]);
    queue.kick();

    let target = migrate(vm, qemu, launch);
    assert!(is_open(&target));
    target.channel("one").send(b"from elsewhere");
    let filled = Condition::new("the room is filled where it went", || {
        let mut bytes = [0; 15];
        target.ram().read(room.addr(), &mut bytes);
        bytes == *b"from elsewhere\0"
    });
    target.wait_until(filled, SECOND);
    assert_eq!(room.to_vec(), [0; 64]);
    target.stop();
}

/// A machine goes elsewhere with a buffer that the host has read half of: together the two hosts have every byte once.
#[track_caller]
fn goes_half_read(vm: &Vm, qemu: &Qemu, launch: &Launch, layout: Layout) {
    let serial = device_of(vm).start(layout);
    serial.bring_up(&[1]);
    let bytes = pattern(FLOOD, 9);
    let memory = GuestAlloc::of(vm).copy_of(&bytes);
    let queue = serial.port(1).transmit_queue();
    queue.add(&[memory.readable()]);
    queue.kick();
    settle(vm);
    assert!(!queue.has_used());

    let target = migrate(vm, qemu, launch);
    let mut all = Vec::new();
    while let Some(bytes) = vm.channel("one").try_recv() {
        all.extend(bytes);
    }
    assert!(!all.is_empty() && all.len() < FLOOD, "{}", all.len());
    let rest = FLOOD - all.len();
    all.extend(recv(&target.channel("one"), rest));
    assert!(all == bytes);
    assert!(is_open(&target));
    target.stop();
}

/// A console device with one port.
fn with_port(launch: Launch, device: Device) -> Launch {
    let device = device
        .id(VIRTIO_SERIAL_ID)
        .prop("packed", "on")
        .prop("max_ports", 3);
    let port = Device::new("virtserialport")
        .id("port1")
        .prop("chardev", "one")
        .prop("nr", 1);
    launch
        .chardev(Chardev::socket("one"))
        .device(device)
        .device(port)
}

fn in_pci(launch: Launch) -> Launch {
    let addr = format!("{VIRTIO_PCI_SLOT:02x}.0");
    with_port(launch, Device::new("virtio-serial-pci").prop("addr", addr))
}

fn in_mmio(launch: Launch) -> Launch {
    let launch = launch.global("virtio-mmio", "force-legacy", false);
    with_port(
        launch,
        Device::new("virtio-serial-device").bus("virtio-mmio-bus.0"),
    )
}

/// A machine that goes elsewhere takes its ports along, and the room that they have.
#[testjig::test(on = ArmVirt, needs(clock), launch = in_mmio, vary(layout = LAYOUTS))]
fn a_port_with_room_travels(vm: &Vm, qemu: &Qemu, launch: &Launch, layout: Layout) {
    goes_with_room(vm, qemu, launch, layout);
}

/// So it is over PCI.
#[testjig::test(on = Q35, needs(clock), launch = in_pci, vary(layout = LAYOUTS))]
fn a_port_with_room_travels_over_pci(vm: &Vm, qemu: &Qemu, launch: &Launch, layout: Layout) {
    goes_with_room(vm, qemu, launch, layout);
}

/// A machine that goes elsewhere takes along what a slow host has half read.
#[testjig::test(on = ArmVirt, needs(clock), launch = in_mmio, vary(layout = LAYOUTS), xfail = "the target ends with \"virtio: error trying to map MMIO memory\", in 7.2, 10.0 and 11.1; no report known")]
fn a_half_read_buffer_travels(vm: &Vm, qemu: &Qemu, launch: &Launch, layout: Layout) {
    goes_half_read(vm, qemu, launch, layout);
}

/// So it does over PCI.
#[testjig::test(on = Q35, needs(clock), launch = in_pci, vary(layout = LAYOUTS), xfail = "the target ends with \"virtio: error trying to map MMIO memory\", in 7.2, 10.0 and 11.1; no report known")]
fn a_half_read_buffer_travels_over_pci(vm: &Vm, qemu: &Qemu, launch: &Launch, layout: Layout) {
    goes_half_read(vm, qemu, launch, layout);
}
