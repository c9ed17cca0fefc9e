//! Requests, one kind after the other, and what the device refuses.

use super::*;

/// Sixteen sectors of data, from the eighth on, in the image.
fn filled(vm: &Vm) {
    image(vm).write(8 * SECTOR, &pattern(16 * BYTES, 0x5a));
}

/// [5.2.6] A request has the length of its data: none is a request too.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_request_for_nothing_succeeds(blk: Modern<VirtioBlk>) {
    let disk = blk.start(Layout::Split);
    assert_eq!(disk.try_read(0, 0), Status::OK);
    assert_eq!(disk.try_write(CAPACITY, &[]), Status::OK);
}

/// [5.2.6.1] Data are whole sectors.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn parts_of_sectors_fail(blk: Modern<VirtioBlk>, vm: &Vm) {
    let disk = blk.start(Layout::Split);
    for len in [1, 511, 513, 1023] {
        assert_eq!(disk.try_read(0, len), Status::IOERR, "{len}");
        let bytes = vec![0xff; len as usize];
        assert_eq!(disk.try_write(0, &bytes), Status::IOERR, "{len}");
    }
    assert_eq!(image(vm).sector(0), [0; BYTES]);
}

/// [5.2.6.1] A request that begins or ends behind the last sector is not done, however far.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn nothing_is_beyond_the_last_sector(blk: Modern<VirtioBlk>) {
    let disk = blk.start(Layout::Split);
    assert_eq!(disk.try_read(CAPACITY - 1, SECTOR), Status::OK);
    assert_eq!(disk.try_write(CAPACITY - 2, &[1; 2 * BYTES]), Status::OK);
    let beyond = [CAPACITY, CAPACITY + 1, 1 << 55, u64::MAX / SECTOR, u64::MAX];
    for sector in beyond {
        assert_eq!(disk.try_read(sector, SECTOR), Status::IOERR, "{sector:#x}");
        let written = disk.try_write(sector, &[0xff; BYTES]);
        assert_eq!(written, Status::IOERR, "{sector:#x}");
    }
    assert_eq!(disk.try_read(CAPACITY - 1, 2 * SECTOR), Status::IOERR);
}

/// [5.2.6] With blocks of 4096 bytes a request begins and ends at a block.
#[testjig::test(
    on = Modern<VirtioBlk>,
    needs(running),
    launch = |launch| launch
        .global("virtio-blk-device", "logical_block_size", 4096)
        .global("virtio-blk-device", "physical_block_size", 4096)
)]
fn requests_keep_to_blocks(blk: Modern<VirtioBlk>) {
    let disk = blk.start(Layout::Split);
    assert_eq!(disk.config().blk_size(), 4096);
    assert_eq!(disk.try_read(8, 4096), Status::OK);
    assert_eq!(disk.try_read(1, 4096), Status::IOERR);
    assert_eq!(disk.try_read(4, 4096), Status::IOERR);
    assert_eq!(disk.try_read(8, 2048), Status::IOERR);
    assert_eq!(disk.try_write(8, &[0; 4096]), Status::OK);
    assert_eq!(disk.try_write(9, &[0; 4096]), Status::IOERR);
}

/// [5.2.6] Reads write what they read and the status, writes and flushes the status; the used length says so.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(layout = LAYOUTS))]
fn the_used_length_is_what_was_written(blk: Modern<VirtioBlk>, layout: Layout) {
    let disk = blk.start(layout);
    let length = |request: Request| disk.queue().run(&request.segments());
    assert_eq!(length(disk.request(Kind::IN, 0).receiving(1536)), 1537);
    assert_eq!(length(disk.request(Kind::OUT, 0).sending(&[0; BYTES])), 1);
    assert_eq!(length(disk.request(Kind::FLUSH, 0)), 1);
}

/// [5.2.6] Adjacent requests that arrive together reach their own places, in both directions.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(merging = [true, false]), launch = |launch| launch
    .global("virtio-blk-device", "request-merging", merging))]
fn adjacent_requests_reach_their_own_places(blk: Modern<VirtioBlk>, vm: &Vm, merging: bool) {
    let _ = merging;
    let disk = blk.start(Layout::Split);
    filled(vm);
    // Two runs that touch, a gap, one out of its order, and one of more than a sector.
    let reads = [(8, 1), (9, 1), (10, 2), (20, 1), (15, 1), (12, 1)];
    let reads = reads.map(|(sector, count)| {
        disk.request(Kind::IN, sector)
            .receiving(u64::from(count as u32) * SECTOR)
    });
    let writes = [(30, 0x01), (31, 0x02), (33, 0x03), (32, 0x04)];
    let writes = writes.map(|(sector, seed)| {
        disk.request(Kind::OUT, sector)
            .sending(&pattern(BYTES, seed))
    });
    for request in reads.iter().chain(&writes) {
        disk.queue().add(&request.segments());
    }
    disk.queue().kick();
    for request in reads.iter().chain(&writes) {
        disk.queue().wait();
        let _ = request;
    }
    for request in reads.iter().chain(&writes) {
        assert_eq!(request.status(), Status::OK);
    }
    let whole = pattern(16 * BYTES, 0x5a);
    let sectors = |first: usize, count: usize| &whole[(first - 8) * BYTES..][..count * BYTES];
    assert_eq!(reads[0].data().to_vec(), sectors(8, 1));
    assert_eq!(reads[1].data().to_vec(), sectors(9, 1));
    assert_eq!(reads[2].data().to_vec(), sectors(10, 2));
    assert_eq!(reads[3].data().to_vec(), sectors(20, 1));
    assert_eq!(reads[4].data().to_vec(), sectors(15, 1));
    assert_eq!(reads[5].data().to_vec(), sectors(12, 1));
    assert_eq!(image(vm).sector(30)[..], pattern(BYTES, 0x01));
    assert_eq!(image(vm).sector(31)[..], pattern(BYTES, 0x02));
    assert_eq!(image(vm).sector(33)[..], pattern(BYTES, 0x03));
    assert_eq!(image(vm).sector(32)[..], pattern(BYTES, 0x04));
    assert_eq!(image(vm).sector(34), [0; BYTES]);
}

/// [5.2.6] Adjacent requests that arrive together may be done as one: the block layer then sees fewer.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(merging = [true, false]), launch = |launch| launch
    .global("virtio-blk-device", "request-merging", merging))]
fn adjacent_requests_are_merged_if_they_may_be(blk: Modern<VirtioBlk>, vm: &Vm, merging: bool) {
    let disk = blk.start(Layout::Split);
    let requests: Vec<Request> = (0..40)
        .map(|sector| {
            disk.request(Kind::OUT, sector)
                .sending(&pattern(BYTES, sector as u8))
        })
        .collect();
    for request in &requests {
        disk.queue().add(&request.segments());
    }
    disk.queue().kick();
    for _ in &requests {
        disk.queue().wait();
    }
    for (sector, request) in requests.iter().enumerate() {
        assert_eq!(request.status(), Status::OK);
        assert_eq!(
            image(vm).sector(sector as u64)[..],
            pattern(BYTES, sector as u8)
        );
    }
    let stats = Statistics::of(vm);
    assert_eq!(stats.number("wr_operations"), 40);
    assert_eq!(stats.number("wr_bytes"), 40 * SECTOR);
    // At most 32 are held back for company.
    let merged = if merging { 38 } else { 0 };
    assert_eq!(stats.number("wr_merged"), merged);
}

/// [5.2.6] What is written before a flush is part of it, also when both arrive together.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_flush_comes_after_the_writes_before_it(blk: Modern<VirtioBlk>, vm: &Vm) {
    let disk = blk.start(Layout::Split);
    let write = disk.request(Kind::OUT, 1).sending(&pattern(BYTES, 0x77));
    let flush = disk.request(Kind::FLUSH, 0);
    disk.queue().add(&write.segments());
    disk.queue().add(&flush.segments());
    disk.queue().kick();
    disk.queue().wait();
    disk.queue().wait();
    assert_eq!((write.status(), flush.status()), (Status::OK, Status::OK));
    assert_eq!(image(vm).sector(1)[..], pattern(BYTES, 0x77));
    assert_eq!(Statistics::of(vm).number("flush_operations"), 1);
}

/// [5.2.6] Counted are operations and bytes of each direction, and apart from them what was not valid.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn requests_are_counted(blk: Modern<VirtioBlk>, vm: &Vm) {
    let disk = blk.start(Layout::Split);
    disk.read(0, 3 * SECTOR);
    disk.write(0, &[0; BYTES]);
    disk.write(1, &[0; 4 * BYTES]);
    assert_eq!(disk.flush(), Status::OK);
    assert_eq!(disk.try_read(CAPACITY, SECTOR), Status::IOERR);
    assert_eq!(disk.try_write(CAPACITY, &[0; BYTES]), Status::IOERR);
    assert_eq!(disk.try_write(CAPACITY, &[0; BYTES]), Status::IOERR);
    assert_eq!(disk.write_zeroes(Range::new(16, 8)), Status::OK);
    assert_eq!(disk.write_zeroes(Range::new(CAPACITY, 8)), Status::IOERR);
    let stats = Statistics::of(vm);
    assert_eq!(stats.number("rd_operations"), 1);
    assert_eq!(stats.number("rd_bytes"), 3 * SECTOR);
    assert_eq!(stats.number("wr_operations"), 3);
    assert_eq!(stats.number("wr_bytes"), (5 + 8) * SECTOR);
    assert_eq!(stats.number("flush_operations"), 1);
    assert_eq!(stats.number("invalid_rd_operations"), 1);
    assert_eq!(stats.number("invalid_wr_operations"), 3);
    assert_eq!(stats.number("failed_rd_operations"), 0);
    assert_eq!(stats.number("failed_wr_operations"), 0);
}

/// [5.2.6] A kind of request that the device does not know is unsupported.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn an_unknown_kind_is_unsupported(blk: Modern<VirtioBlk>) {
    let disk = blk.start(Layout::Split);
    for kind in [6, 14, 40, 0x1234_0000, 0x7fff_ffff].map(Kind) {
        let request = disk.request(kind, 0).receiving(SECTOR);
        assert_eq!(disk.run(&request), Status::UNSUPP, "{kind:?}");
    }
}

/// [5.2.6.3] The barrier flag of old drivers changes nothing.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn the_barrier_flag_is_ignored(blk: Modern<VirtioBlk>, vm: &Vm) {
    let disk = blk.start(Layout::Split);
    let write = disk
        .request(Kind::OUT.with_barrier(), 6)
        .sending(&pattern(BYTES, 0x31));
    assert_eq!(disk.run(&write), Status::OK);
    let read = disk.request(Kind::IN.with_barrier(), 6).receiving(SECTOR);
    assert_eq!(disk.run(&read), Status::OK);
    assert_eq!(read.data().to_vec(), pattern(BYTES, 0x31));
    assert_eq!(
        disk.run(&disk.request(Kind::FLUSH.with_barrier(), 0)),
        Status::OK
    );
    // A discard would not know the flag.
    let zeroes = Range::new(6, 1)
        .flags(Range::UNMAP)
        .bytes(blk.device().order());
    let zeroes = disk
        .request(Kind::WRITE_ZEROES.with_barrier(), 0)
        .sending(&zeroes);
    assert_eq!(disk.run(&zeroes), Status::OK);
    assert_eq!(image(vm).sector(6), [0; BYTES]);
}

/// [5.2.6.3] A SCSI command is refused, in the place where its errors would stand as well.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_scsi_command_is_unsupported(blk: Modern<VirtioBlk>, vm: &Vm) {
    let disk = blk.start(Layout::Split);
    let alloc = GuestAlloc::of(vm);
    let request = disk.request(Kind::SCSI_CMD, 0);
    let [command, sense, result] = [16, 96, 16].map(|len| alloc.buf(len));
    let whole = [
        request.header().readable(),
        command.readable(),
        sense.writable(),
        result.writable(),
        request.status_byte().writable(),
    ];
    disk.queue().run(&whole);
    assert_eq!(request.status(), Status::UNSUPP);
    assert_eq!(result.read_le::<u32>(0), 255);

    // Without room for the command, or for its results.
    for missing in [1, 2] {
        let mut short = whole.to_vec();
        short.remove(missing);
        disk.queue().run(&short);
        assert_eq!(request.status(), Status::IOERR, "without segment {missing}");
    }
}

/// [5.2.6] A name of 20 bytes has no zero at its end; less room takes less of it.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), launch = |launch| launch
    .global("virtio-blk-device", "serial", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))]
fn a_long_name_is_cut(blk: Modern<VirtioBlk>) {
    let disk = blk.start(Layout::Split);
    assert_eq!(disk.id(), b"ABCDEFGHIJKLMNOPQRST");
    let short = disk.request(Kind::GET_ID, 0).receiving(5);
    assert_eq!(disk.run(&short), Status::OK);
    assert_eq!(short.data().to_vec(), b"ABCDE");
    let long = disk.request(Kind::GET_ID, 0).receiving(32);
    assert_eq!(disk.run(&long), Status::OK);
    assert_eq!(&long.data().to_vec()[..21], b"ABCDEFGHIJKLMNOPQRST\0");
}

/// [5.2.6] A disk without a name has an empty one.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn no_name_is_an_empty_one(blk: Modern<VirtioBlk>) {
    let disk = blk.start(Layout::Split);
    let request = disk.request(Kind::GET_ID, 0).receiving(20);
    request.data().fill(0xff);
    assert_eq!(disk.run(&request), Status::OK);
    assert_eq!(request.data().read_le::<u8>(0), 0);
    assert_eq!(request.data().read_le::<u8>(1), 0xff);
}

/// [5.2.6.2] A read-only device says so, and fails all that would change it.
#[testjig::test(
    on = ReadOnly,
    needs(running)
)]
fn a_read_only_disk_is_not_changed(blk: ReadOnly, vm: &Vm) {
    assert!(blk.0.device().offered().contains(BlkFeature::RO));
    image(vm).set_sector(2, &pattern(BYTES, 0x99));
    let disk = blk.0.start(Layout::Split);
    assert_eq!(disk.read(2, SECTOR), pattern(BYTES, 0x99));
    assert_eq!(disk.try_write(2, &[0; BYTES]), Status::IOERR);
    assert_eq!(disk.write_zeroes(Range::new(2, 1)), Status::IOERR);
    assert_eq!(disk.discard(Range::new(2, 1)), Status::IOERR);
    assert_eq!(image(vm).sector(2)[..], pattern(BYTES, 0x99));
}

/// [5.2.6] Zones are for zoned disks: elsewhere their requests are unsupported, and touch nothing.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn zones_are_unsupported_on_a_disk_without(blk: Modern<VirtioBlk>, vm: &Vm) {
    assert!(!blk.device().offered().contains(BlkFeature::ZONED));
    filled(vm);
    let disk = blk.start(Layout::Split);
    let report = disk.request(Kind::ZONE_REPORT, 0).receiving(256);
    assert_eq!(disk.run(&report), Status::UNSUPP);
    for kind in [
        Kind::ZONE_OPEN,
        Kind::ZONE_CLOSE,
        Kind::ZONE_FINISH,
        Kind::ZONE_RESET,
        Kind::ZONE_RESET_ALL,
    ] {
        assert_eq!(disk.run(&disk.request(kind, 0)), Status::UNSUPP, "{kind:?}");
    }
    let append = disk.request(Kind::ZONE_APPEND, 8).sending(&[0; BYTES]);
    let sector = GuestAlloc::of(vm).buf(8);
    let mut segments = append.segments();
    segments.insert(2, sector.writable());
    disk.queue().run(&segments);
    assert_eq!(append.status(), Status::UNSUPP);
    assert_eq!(image(vm).sector(8)[..], pattern(BYTES, 0x5a));
}

/// [5.2.6] Header, data and status may share descriptors as they like: nothing but the direction divides them.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(layout = LAYOUTS))]
fn descriptors_need_not_follow_the_request(blk: Modern<VirtioBlk>, vm: &Vm, layout: Layout) {
    let disk = blk.start(layout);
    let order = blk.device().order();
    let header = |kind, sector| Header {
        kind,
        reserved: 0,
        sector,
    };

    // Header and data in one, status in one.
    let alloc = GuestAlloc::of(vm);
    let mut whole = header(Kind::OUT, 40).bytes(order).to_vec();
    whole.extend(pattern(BYTES, 0x41));
    let out = alloc.copy_of(&whole);
    let status = alloc.copy_of(&[0xee]);
    disk.queue().run(&[out.readable(), status.writable()]);
    assert_eq!(status.read_le::<u8>(0), Status::OK.0);
    assert_eq!(image(vm).sector(40)[..], pattern(BYTES, 0x41));

    // Header in three pieces; data and status in one.
    let head = alloc.copy_of(&header(Kind::IN, 40).bytes(order));
    let into = alloc.buf(SECTOR + 1);
    disk.queue().run(&[
        Segment::readable(head.addr(), 3),
        Segment::readable(head.addr() + 3, 12),
        Segment::readable(head.addr() + 15, 1),
        into.writable(),
    ]);
    assert_eq!(into.read_le::<u8>(SECTOR), Status::OK.0);
    assert_eq!(into.read_vec(0, BYTES), pattern(BYTES, 0x41));
}

/// A disk that the guest may only read.
struct ReadOnly(VirtioBlk);

testjig::graph!(|graph| {
    graph
        .edge("virtio-blk-pci-readonly", |q35: &Q35| {
            ReadOnly(VirtioBlk::new(on_q35(q35)))
        })
        .launch(|launch| {
            launch
                .drive(
                    Drive::new(VIRTIO_BLK_DRIVE, Image::zeroed(VIRTIO_BLK_SIZE))
                        .read_only(true)
                        .discard(true),
                )
                .device(
                    Device::new("virtio-blk-pci")
                        .id(VIRTIO_BLK_ID)
                        .prop("drive", VIRTIO_BLK_DRIVE)
                        .prop("addr", format!("{VIRTIO_PCI_SLOT:02x}.0")),
                )
        });
});
