//! Virtqueues of both layouts: notifications, interrupts, batches, chains.

use super::*;

/// A read of one sector, filled with `byte` before.
fn read_of(disk: &Disk, sector: u64) -> Request {
    disk.request(Kind::IN, sector).receiving(SECTOR)
}

/// [2.7.5, 2.8.5] Data may be in as many pieces as the driver likes.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(layout = LAYOUTS))]
fn data_in_pieces_is_one_request(blk: Modern<VirtioBlk>, vm: &Vm, layout: Layout) {
    let disk = blk.start(layout);
    let bytes = pattern(4 * BYTES, 0x61);
    let write = disk.request(Kind::OUT, 8).sending(&bytes);
    disk.queue().run(&write.segments_of(100));
    assert_eq!(write.status(), Status::OK);
    assert_eq!(image(vm).sector(11)[..], bytes[3 * BYTES..]);
    let read = disk.request(Kind::IN, 8).receiving(4 * SECTOR);
    let written = disk.queue().run(&read.segments_of(77));
    assert_eq!(written, 4 * SECTOR as u32 + 1);
    assert_eq!(read.data().to_vec(), bytes);
}

/// [2.7.5.3, 2.8.7] A table of descriptors holds a request that the ring has no room for otherwise.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(layout = LAYOUTS))]
fn an_indirect_table_takes_one_descriptor(blk: Modern<VirtioBlk>, vm: &Vm, layout: Layout) {
    let disk = blk.start(layout);
    let bytes = pattern(8 * BYTES, 0x62);
    let write = disk.request(Kind::OUT, 2).sending(&bytes);
    let id = disk.queue().add_indirect(&write.segments_of(64));
    assert_eq!(
        disk.queue().free_descriptors(),
        usize::from(disk.queue().size()) - 1
    );
    disk.queue().finish(id);
    assert_eq!(write.status(), Status::OK);
    assert_eq!(image(vm).sector(9)[..], bytes[7 * BYTES..]);
}

/// [2.8.6] "Buffer ID is included in the last descriptor in the list": what stands in the others is nothing.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_packed_chain_has_the_id_of_its_last_descriptor(blk: Modern<VirtioBlk>) {
    let disk = blk.start(Layout::Packed);
    let request = read_of(&disk, 3);
    let id = disk.queue().add(&request.segments());
    let raw = disk.queue().raw();
    for slot in [0, 1] {
        let other = Desc {
            next: id ^ 0x55,
            ..raw.desc(slot)
        };
        raw.set_desc(slot, other);
    }
    disk.queue().finish(id);
    assert_eq!(request.status(), Status::OK);
}

/// [2.8.7] In a table of a packed ring ids are nothing: the buffer's is in the ring.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_packed_table_has_the_id_of_its_descriptor(blk: Modern<VirtioBlk>, vm: &Vm) {
    let disk = blk.start(Layout::Packed);
    let request = read_of(&disk, 3);
    let id = disk.queue().add_indirect(&request.segments());
    let table = disk.queue().raw().desc(0).addr;
    for entry in 0..3 {
        vm.ram().write_le(table + 16 * entry + 12, id ^ 0x55);
    }
    disk.queue().finish(id);
    assert_eq!(request.status(), Status::OK);
}

/// [2.7.13.1] Requests that are shown together are all served, whichever comes first.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(layout = LAYOUTS))]
fn a_batch_is_served_whole(blk: Modern<VirtioBlk>, vm: &Vm, layout: Layout) {
    let disk = blk.start(layout);
    for sector in 0..40 {
        image(vm).set_sector(sector, &pattern(BYTES, sector as u8));
    }
    let requests: Vec<(u16, Request, u64)> = (0..40)
        .map(|index| {
            // Up, down and apart, reads only.
            let sector = (index * 7) % 40;
            let request = read_of(&disk, sector);
            (disk.queue().add(&request.segments()), request, sector)
        })
        .collect();
    disk.queue().kick();
    let mut ids: Vec<u16> = requests.iter().map(|_| disk.queue().wait().id).collect();
    ids.sort_unstable();
    let mut expected: Vec<u16> = requests.iter().map(|(id, ..)| *id).collect();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    for (_, request, sector) in &requests {
        assert_eq!(request.status(), Status::OK);
        assert_eq!(request.data().to_vec(), pattern(BYTES, *sector as u8));
    }
}

/// [5.2.6.2] Flushes among writes of one batch are requests of their own, and end as such.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(layout = LAYOUTS))]
fn flushes_in_a_batch_of_writes_end_well(blk: Modern<VirtioBlk>, vm: &Vm, layout: Layout) {
    let disk = blk.start(layout);
    let bytes = pattern(BYTES, 0x3c);
    let writes = |sector| disk.request(Kind::OUT, sector).sending(&bytes);
    let flush = || disk.request(Kind::FLUSH, 0);
    let requests = [
        flush(),
        writes(1),
        flush(),
        flush(),
        writes(2),
        writes(3),
        flush(),
        writes(9),
        flush(),
        flush(),
    ];
    let mut ids = requests
        .each_ref()
        .map(|request| disk.queue().add(&request.segments()));
    disk.queue().kick();
    let mut used = requests.each_ref().map(|_| disk.queue().wait().id);
    ids.sort_unstable();
    used.sort_unstable();
    assert_eq!(used, ids);
    for request in &requests {
        assert_eq!(request.status(), Status::OK);
    }
    for sector in [1, 2, 3, 9] {
        assert_eq!(image(vm).sector(sector)[..], bytes);
    }
    assert!(!disk.queue().has_used());
}

/// [2.7.9, 2.8.9] With IN_ORDER buffers are used in the order in which they were made available.
#[testjig::test(
    on = Modern<VirtioBlk>,
    needs(running),
    launch = |launch| launch.global("virtio-device", "in_order", "on"),
    vary(layout = LAYOUTS)
)]
fn in_order_buffers_come_back_in_order(blk: Modern<VirtioBlk>, layout: Layout) {
    if blk.device().vm().qemu().version.major < 11 {
        Fault::skip("QEMU before 11 keeps buffers that end out of order").raise();
    }
    let disk = blk.start(layout);
    assert!(disk.features().contains(Features::IN_ORDER));
    for _ in 0..40 {
        let requests: Vec<Request> = (0..10)
            .map(|index| read_of(&disk, (index * 3) % 10))
            .collect();
        let ids: Vec<u16> = requests
            .iter()
            .map(|request| disk.queue().add(&request.segments()))
            .collect();
        disk.queue().kick();
        let used: Vec<u16> = ids.iter().map(|_| disk.queue().wait().id).collect();
        assert_eq!(used, ids);
        for request in &requests {
            assert_eq!(request.status(), Status::OK);
        }
    }
}

/// [2.7.9, 2.8.9] So they are in every round of the ring, if the device has done with each at once, in one piece or several.
#[testjig::test(
    on = Modern<VirtioBlk>,
    needs(running),
    launch = |launch| launch.global("virtio-device", "in_order", "on"),
    vary(layout = LAYOUTS, batch = [1, 7])
)]
fn in_order_identifiers_come_back_in_order(blk: Modern<VirtioBlk>, layout: Layout, batch: usize) {
    let disk = blk.start(layout);
    assert!(disk.features().contains(Features::IN_ORDER));
    let descriptors = 3 * usize::from(disk.queue().size());
    for _ in 0..descriptors / (3 * batch) {
        let requests: Vec<Request> = (0..batch)
            .map(|_| disk.request(Kind::GET_ID, 0).receiving(20))
            .collect();
        let ids: Vec<u16> = requests
            .iter()
            .map(|request| disk.queue().add(&request.segments()))
            .collect();
        disk.queue().kick();
        for (id, request) in ids.iter().zip(&requests) {
            let used = disk.queue().wait();
            assert_eq!(used.id, *id);
            assert!(matches!(used.len, 0 | 21), "{used:?}");
            assert_eq!(request.status(), Status::OK);
        }
    }
    assert_eq!(
        disk.queue().free_descriptors(),
        usize::from(disk.queue().size())
    );
}

/// [2.7.6, 2.8.10] A driver that does not want interrupts gets none.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(layout = LAYOUTS, events = [false, true]))]
fn no_interrupt_comes_where_none_is_wanted(
    blk: Modern<VirtioBlk>,
    vm: &Vm,
    layout: Layout,
    events: bool,
) {
    let (disk, irq) = settled(&blk, vm, layout, events);
    disk.queue().set_interrupts(false);
    assert_eq!(disk.flush(), Status::OK);
    assert_eq!(irq.edges(), []);
    assert_eq!(blk.device().take_isr(), Isr::new());
    disk.queue().set_interrupts(true);
    assert_eq!(disk.flush(), Status::OK);
    vm.wait_until(irq.raised(), SECOND);
}

/// [2.7.7, 2.8.10] With EVENT_IDX the device interrupts at the entry that the driver names, and not before.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(layout = LAYOUTS))]
fn an_interrupt_comes_at_the_event_and_not_before(blk: Modern<VirtioBlk>, vm: &Vm, layout: Layout) {
    let (disk, irq) = settled(&blk, vm, layout, true);
    // Entries of a packed ring are descriptors: a flush has two.
    let entries = match layout {
        Layout::Split => 1,
        Layout::Packed => 2,
    };
    disk.queue().interrupt_after(2 * entries);
    assert_eq!(disk.flush(), Status::OK);
    assert_eq!(disk.flush(), Status::OK);
    assert_eq!(irq.edges(), []);
    assert_eq!(disk.flush(), Status::OK);
    vm.wait_until(irq.raised(), SECOND);
}

/// [2.7.10, 2.8.10] A device that was notified asks to be notified of the next buffer, and of that one only.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(layout = LAYOUTS, events = [false, true]))]
fn an_idle_device_wants_to_be_notified(
    blk: Modern<VirtioBlk>,
    vm: &Vm,
    layout: Layout,
    events: bool,
) {
    let disk = start(&blk, layout, events);
    for _ in 0..3 {
        // A device that has just begun, or just used a buffer, still looks for the next one. What was due at the first of two answers
        // is done at the second.
        vm.endianness();
        vm.endianness();
        let flush = disk.request(Kind::FLUSH, 0);
        disk.queue().add(&flush.segments());
        assert!(disk.queue().kick());
        disk.queue().wait();
        assert_eq!(flush.status(), Status::OK);
    }
}

/// [2.7.10] A buffer that is shown and not notified of is not looked at.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(layout = LAYOUTS))]
fn nothing_happens_without_a_notification(blk: Modern<VirtioBlk>, vm: &Vm, layout: Layout) {
    let (disk, _irq) = settled(&blk, vm, layout, true);
    let flush = disk.request(Kind::FLUSH, 0);
    disk.queue().add(&flush.segments());
    disk.queue().expose();
    for _ in 0..20 {
        vm.endianness();
    }
    assert!(!disk.queue().has_used());
    disk.queue().notify();
    disk.queue().wait();
    assert_eq!(flush.status(), Status::OK);
}

/// [2.7.13.4] A notification without a buffer does nothing.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(layout = LAYOUTS))]
fn an_empty_notification_is_harmless(blk: Modern<VirtioBlk>, layout: Layout) {
    let disk = blk.start(layout);
    disk.queue().notify();
    disk.queue().notify();
    assert_eq!(disk.flush(), Status::OK);
    assert!(!disk.queue().has_used());
}

/// [2.7, 2.8] A virtqueue may have fewer descriptors than the device could take; a packed one need not have a power of two.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(layout = LAYOUTS))]
fn a_virtqueue_of_another_size_works(blk: Modern<VirtioBlk>, layout: Layout) {
    let sizes: &[u16] = match layout {
        Layout::Split => &[4, 8, 64],
        Layout::Packed => &[3, 5, 64, 100],
    };
    for &size in sizes {
        blk.device().negotiate_layout(layout);
        let queue = blk.device().queue_sized(0, size);
        blk.device().start();
        for lap in 0..3 * u64::from(size) {
            let request = Request::new(blk.device(), Kind::IN, lap).receiving(SECTOR);
            let written = queue.run(&request.segments());
            assert_eq!(written, SECTOR as u32 + 1, "size {size}, request {lap}");
            assert_eq!(request.status(), Status::OK, "size {size}, request {lap}");
        }
    }
}

/// QEMU's largest virtqueue has 1024 descriptors, and a driver can use them all.
#[testjig::test(
    on = Modern<VirtioBlk>,
    needs(running),
    launch = |launch| launch.global("virtio-blk-device", "queue-size", 1024),
    vary(layout = LAYOUTS)
)]
fn the_largest_virtqueue_works(blk: Modern<VirtioBlk>, layout: Layout) {
    blk.device().negotiate_layout(layout);
    assert_eq!(blk.device().queue_max(0), 1024);
    let queue = blk.device().queue_sized(0, 1024);
    blk.device().start();
    let read = |sector| Request::new(blk.device(), Kind::IN, sector).receiving(SECTOR);
    // Each has a header, a sector and a status.
    let requests: Vec<Request> = (0..1024 / 3).map(read).collect();
    for request in &requests {
        queue.add(&request.segments());
    }
    queue.kick();
    for _ in &requests {
        assert_eq!(queue.wait().len, SECTOR as u32 + 1);
    }
    for request in &requests {
        assert_eq!(request.status(), Status::OK);
    }
}

/// [2.7.4.1] A chain may have as many descriptors as the virtqueue.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(layout = LAYOUTS))]
fn a_chain_may_take_every_descriptor(blk: Modern<VirtioBlk>, layout: Layout) {
    let disk = blk.start(layout);
    let pieces = u64::from(disk.queue().size()) - 2;
    let request = disk.request(Kind::IN, 0).receiving(pieces * SECTOR);
    let segments = request.segments_of(SECTOR as u32);
    assert_eq!(segments.len(), usize::from(disk.queue().size()));
    disk.queue().run(&segments);
    assert_eq!(request.status(), Status::OK);
}

/// [5.2.3] Virtqueues work beside each other, each with its own buffers.
#[testjig::test(
    on = Modern<VirtioBlk>,
    needs(running),
    launch = |launch| launch.global("virtio-blk-device", "num-queues", 4),
    vary(layout = LAYOUTS)
)]
fn each_of_many_virtqueues_serves_its_own(blk: Modern<VirtioBlk>, vm: &Vm, layout: Layout) {
    blk.device().negotiate_layout(layout);
    assert_eq!(blk.config().num_queues(), 4);
    assert!(blk.device().negotiated().contains(BlkFeature::MQ));
    let disk = blk.start_negotiated(4);
    for sector in 0..4 {
        image(vm).set_sector(sector, &pattern(BYTES, sector as u8));
    }
    let requests: Vec<Request> = (0..4).map(|sector| read_of(&disk, sector)).collect();
    for (queue, request) in disk.queues().iter().zip(&requests) {
        queue.add(&request.segments());
    }
    for queue in disk.queues().iter().rev() {
        queue.kick();
    }
    for (index, (queue, request)) in disk.queues().iter().zip(&requests).enumerate() {
        assert_eq!(queue.wait().len, SECTOR as u32 + 1);
        assert!(!queue.has_used());
        assert_eq!(request.data().to_vec(), pattern(BYTES, index as u8));
    }
}

/// [4.1.4.3.2, 4.2.2.2] A virtqueue that the device has not has size 0.
#[testjig::test(on = Modern<VirtioBlk>)]
fn there_is_one_virtqueue_unless_more_are_wanted(blk: Modern<VirtioBlk>) {
    assert!(blk.device().transport().queue_max(0) >= 128);
    assert_eq!(blk.device().transport().queue_max(1), 0);
    assert_eq!(blk.device().transport().queue_max(1023), 0);
}

/// [2.6, 4.1.4.3.2, 4.2.2] A virtqueue that the device has not can be laid out, enabled and notified of: nothing comes of it.
#[testjig::test(on = VirtioBlk, needs(running))]
fn a_virtqueue_that_is_not_there_does_nothing(blk: VirtioBlk, vm: &Vm) {
    let device = blk.device();
    let disk = blk.start(Layout::Split);
    for index in [1, 7, 1023] {
        assert_eq!(device.transport().queue_max(index), 0);
        let request = disk.request(Kind::FLUSH, 0);
        let queue = device.lay_out(index, 8);
        device.transport().enable_queue(index, &queue.rings());
        queue.add(&request.segments());
        queue.kick();
        assert_eq!(disk.flush(), Status::OK);
        assert!(!queue.has_used(), "virtqueue {index}");
    }
    disk.write(3, &pattern(BYTES, 0x3c));
    assert_eq!(
        vm.disk(VIRTIO_BLK_DRIVE).sector(3)[..],
        pattern(BYTES, 0x3c)[..]
    );
}
