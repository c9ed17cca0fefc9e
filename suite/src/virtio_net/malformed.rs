//! Buffers that no driver makes: each breaks the device until it is reset, and nothing else.
//!
//! §2.1.2: a device that finds an error from which only a reset recovers should say so by DEVICE_NEEDS_RESET.

use super::*;

/// Has a test's buffer break the device, and resets it to find it well; for both layouts.
#[track_caller]
fn breaks(net: &VirtioNet, publish: impl Fn(&Nic)) {
    for layout in LAYOUTS {
        let nic = net.start(layout);
        publish(&nic);
        let device = net.device();
        let broken = Condition::new("the device needs a reset", || device.status().needs_reset());
        device.vm().wait_until(broken, SECOND);
        recovers(net, layout);
    }
}

/// [5.1.6.2] A frame has a header before it.
#[testjig::test(on = Modern<VirtioNet>, needs(running))]
fn a_frame_without_a_whole_header_breaks(net: Modern<VirtioNet>, vm: &Vm) {
    let short = GuestAlloc::of(vm).copy_of(&[0; 11]);
    breaks(&net, |nic| {
        nic.transmit_queue().add(&[short.readable()]);
        nic.transmit_queue().kick();
    });
}

/// [5.1.6.2] A frame to send is for the device to read.
#[testjig::test(on = Modern<VirtioNet>, needs(running))]
fn a_frame_that_the_device_may_not_read_breaks(net: Modern<VirtioNet>, vm: &Vm) {
    let room = GuestAlloc::of(vm).buf(100);
    breaks(&net, |nic| {
        nic.transmit_queue().add(&[room.writable()]);
        nic.transmit_queue().kick();
    });
    assert_eq!(room.to_vec(), [0; 100]);
}

/// [5.1.6.3] A room is for the device to write.
#[testjig::test(on = Modern<VirtioNet>, needs(running))]
fn a_room_that_the_device_may_not_write_breaks(net: Modern<VirtioNet>, vm: &Vm) {
    let room = GuestAlloc::of(vm).buf(200);
    // Without `MRG_RXBUF`, since the device counts with it whether the rooms are enough, and these are none.
    for packed in [Features::NONE, Features::RING_PACKED] {
        let nic = net.start_with(Features::VERSION_1 | packed);
        nic.receive_queue().add(&[room.readable()]);
        nic.receive_queue().kick();
        wire(vm).send(&frame(VIRTIO_NET_MAC, 60, 1));
        let broken = Condition::new("the device needs a reset", || {
            net.device().status().needs_reset()
        });
        vm.wait_until(broken, SECOND);
        assert_eq!(room.to_vec(), [0; 200]);
        net.device().reset();
    }
    // The frame that found no room is still on its way.
    let nic = net.start(Layout::Split);
    nic.give(100);
    wire(vm).send(&frame(VIRTIO_NET_MAC, 60, 2));
    let seeds: Vec<_> = (0..1).map(|_| nic.receive().bytes).collect();
    assert!(seeds[0].len() == 60);
}

/// [5.1.6.5] A command has a class, a number, and room for the device's word.
#[testjig::test(on = Modern<VirtioNet>, needs(running))]
fn a_command_without_head_or_ack_breaks(net: Modern<VirtioNet>, vm: &Vm) {
    let alloc = GuestAlloc::of(vm);
    let [head, ack] = [alloc.copy_of(&[0, 0, 1]), alloc.copy_of(&[0xee])];
    let cut = Segment::readable(head.addr(), 1);
    let chains: [&[Segment]; 3] = [
        &[head.readable()],
        &[ack.writable()],
        &[cut, ack.writable()],
    ];
    for chain in chains {
        breaks(&net, |nic| {
            nic.control_queue().add(chain);
            nic.control_queue().kick();
        });
    }
    assert_eq!(ack.to_vec(), [0xee]);
}
