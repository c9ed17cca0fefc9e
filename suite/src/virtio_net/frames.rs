//! Frames: in pieces, in batches, without room, without a link.

use super::*;

/// [5.1.6.2] Header and frame may be in as many pieces as the driver likes, or in one.
#[testjig::test(on = Modern<VirtioNet>, needs(running), vary(layout = LAYOUTS))]
fn a_frame_is_sent_from_any_pieces(net: Modern<VirtioNet>, vm: &Vm, layout: Layout) {
    let nic = net.start(layout);
    let frame = frame(BROADCAST, 600, 0x31);
    let bytes = [vec![0; nic.header_len()], frame.clone()].concat();
    let memory = GuestAlloc::of(vm).copy_of(&bytes);
    for piece in [1000, 100, 13, 5] {
        let segments: Vec<Segment> = (0..memory.len())
            .step_by(piece)
            .map(|at| {
                let len = (memory.len() - at).min(piece as u64);
                Segment::readable(memory.addr() + at, len as u32)
            })
            .collect();
        nic.send_segments(&segments);
        assert_eq!(wire(vm).recv(SECOND), frame, "pieces of {piece}");
    }
}

/// [2.7.10, 2.8.10] A device that waits for more frames (`tx=timer`: 150 µs) wants no notifications until it has sent them.
#[testjig::test(
    on = Modern<VirtioNet>,
    needs(running, clock),
    launch = |launch| launch.global("virtio-net-device", "tx", "timer"),
    vary(layout = LAYOUTS, events = [false, true])
)]
fn no_notification_is_wanted_while_frames_are_awaited(
    net: Modern<VirtioNet>,
    vm: &Vm,
    layout: Layout,
    events: bool,
) {
    let mut wanted = Features::VERSION_1;
    if layout == Layout::Packed {
        wanted = wanted | Features::RING_PACKED;
    }
    if events {
        wanted = wanted | Features::RING_EVENT_IDX;
    }
    let nic = net.start_with(wanted);
    let frames = [0x35, 0x36, 0x37, 0x38].map(|seed| frame(BROADCAST, 70, seed));
    let bytes = frames.each_ref().map(|frame| {
        GuestAlloc::of(vm).copy_of(&[&vec![0; nic.header_len()], &frame[..]].concat())
    });
    let queue = nic.transmit_queue();
    // A device that is started looks for frames that were there before.
    assert!(vm.settle(SECOND));
    vm.clock().step(Duration::from_micros(150));
    for (round, frames) in bytes.chunks(2).zip(frames.chunks(2)) {
        queue.add(&[round[0].readable()]);
        assert!(queue.kick(), "the device waits for the first");
        assert!(vm.settle(SECOND));
        queue.add(&[round[1].readable()]);
        assert!(!queue.expose(), "the device does not wait for the second");
        vm.clock().step(Duration::from_micros(149));
        assert_eq!(wire(vm).try_recv(), None);
        vm.clock().step(Duration::from_micros(1));
        for frame in frames {
            queue.wait();
            assert_eq!(wire(vm).recv(SECOND), *frame);
        }
    }
}

/// [2.7.5.3, 2.8.7] Or in a table of descriptors.
#[testjig::test(on = Modern<VirtioNet>, needs(running), vary(layout = LAYOUTS))]
fn frames_go_and_come_by_tables(net: Modern<VirtioNet>, vm: &Vm, layout: Layout) {
    let nic = net.start(layout);
    let bytes = frame(BROADCAST, 300, 0x32);
    let [header, body] = [
        nic.header(Header::default()),
        GuestAlloc::of(vm).copy_of(&bytes),
    ];
    let queue = nic.transmit_queue();
    let id = queue.add_indirect(&[header.readable(), body.readable()]);
    assert_eq!(queue.finish(id), 0);
    assert_eq!(wire(vm).recv(SECOND), bytes);

    let rooms = [40, 400].map(|len| GuestAlloc::of(vm).buf(len));
    let queue = nic.receive_queue();
    let id = queue.add_indirect(&[rooms[0].writable(), rooms[1].writable()]);
    queue.kick();
    wire(vm).send(&bytes);
    let used = queue.wait();
    assert_eq!((used.id, used.len), (id, nic.header_len() as u32 + 300));
    let all = [rooms[0].to_vec(), rooms[1].to_vec()].concat();
    assert_eq!(all[nic.header_len()..][..300], bytes);
}

/// [5.1.6.2] Frames that are shown together are sent in their order.
#[testjig::test(on = Modern<VirtioNet>, needs(running), vary(layout = LAYOUTS))]
fn a_batch_is_sent_in_order(net: Modern<VirtioNet>, vm: &Vm, layout: Layout) {
    let nic = net.start(layout);
    let frames: Vec<_> = (0..20)
        .map(|index| frame(BROADCAST, 60 + index, index as u8))
        .collect();
    let memory: Vec<_> = frames
        .iter()
        .map(|frame| {
            (
                nic.header(Header::default()),
                GuestAlloc::of(vm).copy_of(frame),
            )
        })
        .collect();
    for (header, body) in &memory {
        nic.transmit_queue()
            .add(&[header.readable(), body.readable()]);
    }
    nic.transmit_queue().kick();
    for frame in &frames {
        assert_eq!(wire(vm).recv(SECOND), *frame);
        nic.transmit_queue().wait();
    }
}

/// [5.1.6.2] A device that takes few frames at a time takes the others after them.
#[testjig::test(
    on = Modern<VirtioNet>,
    needs(running),
    launch = |launch| launch.global("virtio-net-device", "x-txburst", 2)
)]
fn a_batch_longer_than_a_burst_is_sent_whole(net: Modern<VirtioNet>, vm: &Vm) {
    a_batch_is_sent_in_order_by(&net, vm);
}

#[track_caller]
fn a_batch_is_sent_in_order_by(net: &VirtioNet, vm: &Vm) {
    let nic = net.start(Layout::Split);
    let header = nic.header(Header::default());
    let bodies =
        [1, 2, 3, 4, 5].map(|seed| GuestAlloc::of(vm).copy_of(&frame(BROADCAST, 60, seed)));
    for body in &bodies {
        nic.transmit_queue()
            .add(&[header.readable(), body.readable()]);
    }
    nic.transmit_queue().kick();
    for body in &bodies {
        assert_eq!(wire(vm).recv(SECOND), body.to_vec());
        nic.transmit_queue().wait();
    }
}

/// [5.1.6.3] Frames that find no room wait on the wire until there is some.
#[testjig::test(on = Modern<VirtioNet>, needs(running), vary(layout = LAYOUTS))]
fn frames_wait_for_room(net: Modern<VirtioNet>, vm: &Vm, layout: Layout) {
    let nic = net.start(layout);
    let frames = [1, 2, 3].map(|seed| frame(VIRTIO_NET_MAC, 100, seed));
    for frame in &frames {
        wire(vm).send(frame);
    }
    vm.qmp_raw("query-status", Value::Null);
    assert!(!nic.receive_queue().has_used());
    for frame in &frames {
        nic.give(100);
        assert_eq!(nic.receive().bytes, *frame);
    }
}

/// [5.1.6.4] With `MRG_RXBUF` a frame waits until the rooms together are large enough.
#[testjig::test(on = Modern<VirtioNet>, needs(running), vary(layout = LAYOUTS))]
fn a_frame_waits_for_enough_rooms(net: Modern<VirtioNet>, vm: &Vm, layout: Layout) {
    let nic = net.start(layout);
    nic.give(100);
    wire(vm).send(&frame(VIRTIO_NET_MAC, 300, 4));
    vm.qmp_raw("query-status", Value::Null);
    assert!(!nic.receive_queue().has_used());
    nic.give(300);
    let received = nic.receive();
    assert_eq!(received.header.num_buffers, 2);
    assert_eq!(received.bytes, frame(VIRTIO_NET_MAC, 300, 4));
}

/// [5.1.6.3.1] Without `MRG_RXBUF` a frame that is larger than the next room is lost, and the room is there for another.
#[testjig::test(on = Modern<VirtioNet>, needs(running), vary(layout = LAYOUTS))]
fn a_frame_larger_than_its_room_is_lost(net: Modern<VirtioNet>, vm: &Vm, layout: Layout) {
    let packed = if layout == Layout::Packed {
        Features::RING_PACKED
    } else {
        Features::NONE
    };
    let nic = net.start_with(Features::VERSION_1 | packed);
    let room = nic.give(100);
    wire(vm).send(&frame(VIRTIO_NET_MAC, 101, 5));
    wire(vm).send(&frame(VIRTIO_NET_MAC, 100, 6));
    let received = nic.receive();
    assert_eq!(received.bytes, frame(VIRTIO_NET_MAC, 100, 6));
    assert_eq!(received.rooms, [(room, nic.header_len() as u32 + 100)]);
}

/// [5.1.6.3] A room may be in pieces, also within the header.
#[testjig::test(on = Modern<VirtioNet>, needs(running), vary(layout = LAYOUTS))]
fn a_room_in_pieces_is_filled_across_them(net: Modern<VirtioNet>, vm: &Vm, layout: Layout) {
    let nic = net.start(layout);
    let memory = GuestAlloc::of(vm).buf(240);
    let pieces: Vec<Segment> = [0, 5, 11, 50, 51]
        .into_iter()
        .zip([5, 11, 50, 51, 240])
        .map(|(from, to)| Segment::writable(memory.addr() + from, (to - from) as u32))
        .collect();
    nic.receive_queue().add(&pieces);
    nic.receive_queue().kick();
    let bytes = frame(VIRTIO_NET_MAC, 200, 7);
    wire(vm).send(&bytes);
    assert_eq!(
        nic.receive_queue().wait().len as usize,
        nic.header_len() + 200
    );
    let all = memory.to_vec();
    assert_eq!(all[nic.header_len()..][..200], bytes);
    let order = nic.device().order();
    assert_eq!(Header::from_bytes(&all, order).num_buffers, 1);
}

/// [5.1.6.2] A frame is as long as its pieces together: one that no wire takes, of more than 64 KiB or of 4 GiB, is done with, and does
/// not keep others from being sent.
#[testjig::test(on = Modern<VirtioNet>, needs(running), vary(pieces = [(70_000, 1), (1 << 20, 2), (1 << 25, 128)]))]
fn a_frame_too_long_for_any_wire_is_done_with(
    net: Modern<VirtioNet>,
    vm: &Vm,
    pieces: (u32, usize),
) {
    let nic = net.start(Layout::Split);
    let (len, count) = pieces;
    let header = nic.header(Header::default());
    let room = GuestAlloc::of(vm).buf(100);
    // The pieces are the same memory over and over; what they hold is not looked at.
    let mut segments = vec![header.readable()];
    segments.extend(vec![Segment::readable(room.addr(), len); count]);
    nic.transmit_queue().add(&segments);
    nic.transmit_queue().kick();
    vm.wait_until(nic.transmit_queue().used(), SECOND);
    nic.transmit_queue().pop();
    works(&nic);
}

/// [5.1.4.2] What is sent while the link is down is done with, and nowhere.
#[testjig::test(on = Modern<VirtioNet>, needs(running))]
fn what_is_sent_without_a_link_is_lost(net: Modern<VirtioNet>, vm: &Vm) {
    is_lost_without_a_link(&net, vm, Layout::Split);
}

/// [5.1.4.2] So it is with packed virtqueues.
#[testjig::test(on = Modern<VirtioNet>, needs(running), xfail = "only the first buffer is returned: the count of those in use goes below zero (hw/virtio/virtio.c, virtqueue_packed_drop_all); no report known")]
fn what_is_sent_packed_without_a_link_is_lost(net: Modern<VirtioNet>, vm: &Vm) {
    is_lost_without_a_link(&net, vm, Layout::Packed);
}

#[track_caller]
fn is_lost_without_a_link(net: &VirtioNet, vm: &Vm, layout: Layout) {
    let nic = net.start(layout);
    let header = nic.header(Header::default());
    let send = |seed| {
        let body = GuestAlloc::of(vm).copy_of(&frame(BROADCAST, 60, seed));
        nic.transmit_queue()
            .add(&[header.readable(), body.readable()]);
        nic.transmit_queue().kick();
        vm.wait_until(nic.transmit_queue().used(), Duration::from_secs(2));
        nic.transmit_queue().pop();
    };
    set_link(vm, false);
    send(8);
    send(9);
    set_link(vm, true);
    send(10);
    assert_eq!(wire(vm).recv(SECOND), frame(BROADCAST, 60, 10));
}

/// [2.7.13] Rooms and frames go round the rings more than once.
#[testjig::test(on = Modern<VirtioNet>, needs(running), vary(layout = LAYOUTS))]
fn the_rings_go_round(net: Modern<VirtioNet>, vm: &Vm, layout: Layout) {
    let nic = net.start(layout);
    let laps = usize::from(nic.receive_queue().size()) + 3;
    for lap in 0..laps {
        let bytes = frame(VIRTIO_NET_MAC, 60, lap as u8);
        nic.give(60);
        wire(vm).send(&bytes);
        assert_eq!(nic.receive().bytes, bytes);
        if lap % 2 == 0 {
            nic.send(&bytes);
            assert_eq!(wire(vm).recv(SECOND), bytes);
        }
    }
}

/// [3.1.1] A machine that is stopped sends nothing; what it had to send goes out when it runs.
#[testjig::test(on = Modern<VirtioNet>, needs(running))]
fn a_stopped_machine_sends_when_it_runs(net: Modern<VirtioNet>, vm: &Vm) {
    let nic = net.start(Layout::Split);
    vm.qmp_raw("stop", Value::Null);
    let [header, body] = [
        nic.header(Header::default()),
        GuestAlloc::of(vm).copy_of(&frame(BROADCAST, 60, 11)),
    ];
    nic.transmit_queue()
        .add(&[header.readable(), body.readable()]);
    nic.transmit_queue().kick();
    nic.give(60);
    wire(vm).send(&frame(VIRTIO_NET_MAC, 60, 12));
    vm.qmp_raw("query-status", Value::Null);
    assert!(!nic.transmit_queue().has_used());
    assert!(!nic.receive_queue().has_used());
    assert_eq!(wire(vm).try_recv(), None);
    vm.qmp_raw("cont", Value::Null);
    assert_eq!(wire(vm).recv(SECOND), body.to_vec());
    nic.transmit_queue().wait();
    assert_eq!(nic.receive().bytes, frame(VIRTIO_NET_MAC, 60, 12));
}
