//! What holds on every machine, transport and interface.

use super::*;

/// [5.1.6.2] A frame that is sent reaches the wire as it is, and no header with it.
#[testjig::test(on = VirtioNet, needs(running))]
fn a_sent_frame_is_on_the_wire(net: VirtioNet, vm: &Vm) {
    let nic = net.start(Layout::Split);
    let frames = [60, 1514].map(|len| frame(BROADCAST, len, len as u8));
    for frame in &frames {
        nic.send(frame);
        assert_eq!(wire(vm).recv(SECOND), *frame);
    }
    assert_eq!(wire(vm).try_recv(), None);
}

/// [5.1.6.4] A frame from the wire is in the room after its header, which says that there is nothing to it.
#[testjig::test(on = VirtioNet, needs(running))]
fn a_frame_from_the_wire_is_in_its_room(net: VirtioNet, vm: &Vm) {
    let nic = net.start(Layout::Split);
    for len in [60, 1514] {
        let frame = frame(VIRTIO_NET_MAC, len, len as u8);
        let room = nic.give(1514);
        wire(vm).send(&frame);
        let received = nic.receive();
        assert_eq!(received.bytes, frame);
        assert_eq!(received.rooms, [(room, (nic.header_len() + len) as u32)]);
        assert_eq!(received.header.flags, HeaderFlags::new());
        assert_eq!(received.header.gso, Gso::NONE);
    }
}

/// [5.1.4] The configuration begins with the device's address.
#[testjig::test(on = VirtioNet)]
fn the_address_is_in_the_configuration(net: VirtioNet) {
    assert!(net.device().offered().contains(NetFeature::MAC));
    net.device()
        .negotiate(Features::VERSION_1 | NetFeature::MAC);
    assert_eq!(net.config().mac(), VIRTIO_NET_MAC);
    assert_eq!(net.device().transport().device_id(), DEVICE_ID);
}

/// [5.1.4] A link that goes down or comes up is told of: by an interrupt, and by the status.
#[testjig::test(on = VirtioNet, needs(running))]
fn a_link_that_goes_and_comes_interrupts(net: VirtioNet, vm: &Vm) {
    let nic = net.start(Layout::Split);
    assert!(nic.config().status().link_up());
    let irq = vm.intercept(net.device().line());
    for up in [false, true] {
        set_link(vm, up);
        vm.wait_until(irq.raised(), SECOND);
        assert!(net.device().take_isr().configuration());
        assert_eq!(nic.config().status().link_up(), up);
        vm.wait_until(irq.lowered(), SECOND);
        irq.clear();
    }
    works(&nic);
}

/// [5.1.6.5.2] The device takes another address, and frames to that one and no longer to the old.
#[testjig::test(on = VirtioNet, needs(running))]
fn another_address_is_taken(net: VirtioNet, vm: &Vm) {
    let nic = net.start(Layout::Split);
    let other = [0x52, 0x54, 0, 0xab, 0xcd, 0xef];
    assert_eq!(nic.command(ControlCommand::PROMISC, &[0]), Ack::OK);
    assert_eq!(nic.command(ControlCommand::MAC_ADDR_SET, &other), Ack::OK);
    assert_eq!(nic.config().mac(), other);
    nic.give(100);
    wire(vm).send(&frame(VIRTIO_NET_MAC, 60, 1));
    wire(vm).send(&frame(other, 60, 2));
    assert_eq!(nic.receive().bytes, frame(other, 60, 2));
}

/// [5.1.6.4] A frame that fits no room alone is spread over as many as it needs, and the first header says how many.
#[testjig::test(on = VirtioNet, needs(running))]
fn a_frame_is_spread_over_rooms(net: VirtioNet, vm: &Vm) {
    let nic = net.start(Layout::Split);
    assert!(nic.features().contains(NetFeature::MRG_RXBUF));
    let header = nic.header_len() as u32;
    let rooms = [100, 200 - u64::from(header), 300].map(|len| nic.give(len));
    let frame = frame(VIRTIO_NET_MAC, 310, 0x77);
    wire(vm).send(&frame);
    let received = nic.receive();
    assert_eq!(received.bytes, frame);
    assert_eq!(received.header.num_buffers, 3);
    let filled = [100 + header, 200, 10];
    assert_eq!(
        received.rooms,
        rooms.into_iter().zip(filled).collect::<Vec<_>>()
    );
}
