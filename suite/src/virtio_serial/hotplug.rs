//! Ports that come and go while the driver works, and hosts that do.

use super::*;

/// A backend that no port has yet.
fn spare(launch: Launch) -> Launch {
    launch.chardev(Chardev::socket("spare"))
}

/// A port of this number for the spare backend.
fn port(number: u32) -> DeviceAdd {
    DeviceAdd::new("virtserialport")
        .id("late")
        .bus(format!("{VIRTIO_SERIAL_ID}.0"))
        .prop("chardev", "spare")
        .prop("nr", number)
}

/// What the machine says when it refuses to plug this in.
#[track_caller]
fn refusal(vm: &Vm, device: &DeviceAdd) -> String {
    match vm.try_qmp(device) {
        Err(refusal) => refusal.to_string(),
        Ok(_) => panic!("{device:?} is plugged in"),
    }
}

/// Waits until the driver is told of a port.
#[track_caller]
fn announced(serial: &Serial, port: u32) {
    let mut told = serial.hear();
    if told == message(port, ControlEvent::PORT_OPEN, 1) {
        told = serial.hear();
    }
    assert_eq!(told, message(port, ControlEvent::PORT_ADD, 1));
}

/// [5.3.6.2] A port that is plugged in is announced, and works; one that is plugged out is, and works no more.
#[testjig::test(on = Modern<VirtioSerial>, needs(running), launch = spare, vary(layout = LAYOUTS))]
fn a_port_comes_and_goes(serial: Modern<VirtioSerial>, vm: &Vm, layout: Layout) {
    let serial = up(&serial, layout);
    for round in 0..2 {
        vm.qmp(port(4));
        announced(&serial, 4);
        serial.port_ready(4, true);
        assert_eq!(serial.hear(), message(4, ControlEvent::PORT_OPEN, 1));
        serial.open(4, true);
        let late = serial.port(4);
        late.send(&pattern(33, round));
        assert_eq!(recv(&vm.channel("spare"), 33), pattern(33, round));
        late.give(64);
        vm.channel("spare").send(b"into");
        assert_eq!(late.receive(), b"into");

        vm.qmp(DeviceDel::new("late"));
        vm.wait_event("DEVICE_DELETED", SECOND);
        assert_eq!(serial.hear(), message(4, ControlEvent::PORT_REMOVE, 1));
        late.send(b"gone");
        settle(vm);
        assert_eq!(vm.channel("spare").try_recv(), None);
    }
    works(&serial, &PORTS);
}

/// [5.3.6.2] A port that was there before the driver was ready is announced with the others.
#[testjig::test(on = Modern<VirtioSerial>, launch = spare)]
fn a_port_that_came_early_is_announced(serial: Modern<VirtioSerial>, vm: &Vm) {
    vm.qmp(port(3));
    let serial = serial.start(Layout::Split);
    let told = serial.bring_up(&[]);
    let ports: Vec<u32> = told.iter().map(|told| told.id).collect();
    assert_eq!(ports, [0, 1, 2, 3]);
    assert!(told.iter().all(|told| told.event == ControlEvent::PORT_ADD));
}

/// [5.3.6.2.1] "The device MUST NOT specify a port which exists … nor a port which is equal or greater than max_nr_ports".
#[testjig::test(on = Modern<VirtioSerial>, needs(running), launch = spare)]
fn ports_of_bad_numbers_are_refused(serial: Modern<VirtioSerial>, vm: &Vm) {
    let serial = up(&serial, Layout::Split);
    for number in [VIRTIO_SERIAL_MAX_PORTS, 1 << 16, u32::MAX - 1] {
        let said = refusal(vm, &port(number));
        assert!(said.contains("Out-of-range port id"), "{said}");
    }
    let said = refusal(vm, &port(2));
    assert!(said.contains("A port already exists at id 2"), "{said}");
    let said = refusal(vm, &port(4).prop("name", VIRTIO_SERIAL_NAME));
    assert!(said.contains("A port already exists by name"), "{said}");
    assert_eq!(serial.overheard(), []);
    works(&serial, &PORTS);
}

/// [5.3.6] Port 0 is for consoles.
#[testjig::test(on = Modern<VirtioSerial>, launch = spare)]
fn port_0_is_for_consoles(serial: Modern<VirtioSerial>, vm: &Vm) {
    vm.qmp(DeviceDel::new("port0"));
    vm.wait_event("DEVICE_DELETED", SECOND);
    let said = refusal(vm, &port(0));
    assert!(said.contains("Port number 0"), "{said}");
    let console = DeviceAdd::new("virtconsole").prop("chardev", "spare");
    vm.qmp(console.prop("nr", 0));
    let serial = serial.start(Layout::Split);
    serial.bring_up(&[0]);
    serial.port(0).send(b"a console");
    assert_eq!(recv(&vm.channel("spare"), 9), b"a console");
}

/// [5.3.6.2] A port without a number gets the lowest that is free; when none is, there is no more room.
#[testjig::test(on = Modern<VirtioSerial>)]
fn ports_without_a_number_take_the_lowest(serial: Modern<VirtioSerial>, vm: &Vm) {
    let serial = up(&serial, Layout::Split);
    let another = DeviceAdd::new("virtserialport").bus(format!("{VIRTIO_SERIAL_ID}.0"));
    for number in 3..VIRTIO_SERIAL_MAX_PORTS {
        vm.qmp(another.clone());
        announced(&serial, number);
    }
    let said = refusal(vm, &another);
    assert!(said.contains("max. allowed: 4"), "{said}");
    vm.qmp(DeviceDel::new("port1"));
    vm.wait_event("DEVICE_DELETED", SECOND);
    assert_eq!(serial.hear(), message(1, ControlEvent::PORT_REMOVE, 1));
    vm.qmp(another);
    announced(&serial, 1);
}

/// [5.3.6] A port without a backend takes what is sent, and is open.
#[testjig::test(on = Modern<VirtioSerial>, needs(running))]
fn a_port_without_a_backend_swallows(serial: Modern<VirtioSerial>, vm: &Vm) {
    let serial = up(&serial, Layout::Split);
    let another = DeviceAdd::new("virtserialport").prop("nr", 3);
    vm.qmp(another);
    announced(&serial, 3);
    serial.port_ready(3, true);
    serial.open(3, true);
    serial.port(3).send(&pattern(5000, 1));
    works(&serial, &PORTS);
}

/// [5.3.6.2] Another host takes the place of one that hung up: the driver is told, and its bytes go there.
#[testjig::test(on = Modern<VirtioSerial>, needs(running), vary(layout = LAYOUTS))]
fn another_host_takes_over(serial: Modern<VirtioSerial>, vm: &Vm, layout: Layout) {
    let serial = up(&serial, layout);
    host(vm, 1).hang_up();
    assert_eq!(serial.hear(), message(1, ControlEvent::PORT_OPEN, 0));
    let ring = json!({ "type": "ringbuf", "data": { "size": 4096 } });
    vm.qmp_raw(
        "chardev-change",
        json!({ "id": VIRTIO_SERIAL_CHARDEVS[1], "backend": ring }),
    );
    assert_eq!(serial.hear(), message(1, ControlEvent::PORT_OPEN, 1));
    serial.port(1).send(b"to the ring");
    let read = vm.qmp_raw(
        "ringbuf-read",
        json!({ "device": VIRTIO_SERIAL_CHARDEVS[1], "size": 100 }),
    );
    assert_eq!(read, "to the ring");
    works(&serial, &[0, 2]);
}

/// [5.3.6] A port that is plugged out while its host does not read makes room for another of its number, with the same virtqueues.
#[testjig::test(on = Modern<VirtioSerial>, needs(running), launch = spare, vary(layout = LAYOUTS))]
fn a_port_that_is_held_up_is_plugged_out(serial: Modern<VirtioSerial>, vm: &Vm, layout: Layout) {
    let serial = up(&serial, layout);
    let memory = GuestAlloc::of(vm).buf(4 << 20);
    let queue = serial.port(1).transmit_queue();
    queue.add(&[memory.readable()]);
    queue.kick();
    settle(vm);
    assert!(!queue.has_used());
    vm.qmp(DeviceDel::new("port1"));
    vm.wait_event("DEVICE_DELETED", SECOND);
    assert_eq!(serial.hear(), message(1, ControlEvent::PORT_REMOVE, 1));
    works(&serial, &[0, 2]);
    vm.qmp(port(1));
    announced(&serial, 1);
    // The buffer that was half read may be forgotten, as when a host hangs up.
    queue.pop();
    serial.port(1).send(b"anew");
    assert_eq!(recv(&vm.channel("spare"), 4), b"anew");
}
