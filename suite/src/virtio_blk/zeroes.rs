//! Write zeroes and discard.

use super::*;

/// An image whose first sectors are full.
fn full(vm: &Vm) -> ScratchDisk {
    let image = image(vm);
    image.write(0, &vec![0xff; 1 << 20]);
    image
}

/// [5.2.6] Write zeroes has its sectors read as zeroes, and no others.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(layout = LAYOUTS))]
fn zeroed_sectors_read_as_zeroes(blk: Modern<VirtioBlk>, vm: &Vm, layout: Layout) {
    let image = full(vm);
    let disk = blk.start(layout);
    assert_eq!(disk.write_zeroes(Range::new(100, 3)), Status::OK);
    assert_eq!(disk.read(99, SECTOR), [0xff; BYTES]);
    assert_eq!(disk.read(100, 3 * SECTOR), [0; 3 * BYTES]);
    assert_eq!(image.sector(102), [0; BYTES]);
    assert_eq!(image.sector(103), [0xff; BYTES]);
}

/// [5.2.6] With the unmap flag zeroed sectors need no room any more, without it they keep it.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn unmapped_zeroes_take_no_room(blk: Modern<VirtioBlk>, vm: &Vm) {
    let image = full(vm);
    let disk = blk.start(Layout::Split);
    let before = image.allocated();
    assert_eq!(disk.write_zeroes(Range::new(0, 1024)), Status::OK);
    assert_eq!(image.allocated(), before);
    let unmapped = Range::new(0, 1024).flags(Range::UNMAP);
    assert_eq!(disk.write_zeroes(unmapped), Status::OK);
    assert_eq!(image.allocated(), before - 1024 * SECTOR);
    assert_eq!(image.sector(1023), [0; BYTES]);
    assert_eq!(image.sector(1024), [0xff; BYTES]);
}

/// [5.2.6] Discarded sectors are given back.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(layout = LAYOUTS))]
fn discarded_sectors_are_given_back(blk: Modern<VirtioBlk>, vm: &Vm, layout: Layout) {
    let image = full(vm);
    let disk = blk.start(layout);
    let before = image.allocated();
    assert_eq!(disk.discard(Range::new(512, 256)), Status::OK);
    assert_eq!(image.allocated(), before - 256 * SECTOR);
    assert_eq!(image.sector(511), [0xff; BYTES]);
    assert_eq!(image.sector(768), [0xff; BYTES]);
}

/// [5.2.6.2] More sectors than the device says it takes, or beyond its last, fail and change nothing.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), launch = |launch| launch
    .global("virtio-blk-device", "max-write-zeroes-sectors", 100)
    .global("virtio-blk-device", "max-discard-sectors", 200))]
fn limits_of_ranges_are_kept(blk: Modern<VirtioBlk>, vm: &Vm) {
    let image = full(vm);
    let disk = blk.start(Layout::Split);
    assert_eq!(disk.config().u32(field::MAX_WRITE_ZEROES_SECTORS), 100);
    assert_eq!(disk.config().u32(field::MAX_DISCARD_SECTORS), 200);
    assert_eq!(disk.write_zeroes(Range::new(0, 101)), Status::IOERR);
    assert_eq!(disk.discard(Range::new(0, 201)), Status::IOERR);
    assert_eq!(image.sector(0), [0xff; BYTES]);
    assert_eq!(disk.write_zeroes(Range::new(0, 100)), Status::OK);
    assert_eq!(disk.discard(Range::new(0, 200)), Status::OK);
    for range in [
        Range::new(CAPACITY - 1, 2),
        Range::new(CAPACITY, 1),
        Range::new(u64::MAX, 1),
    ] {
        assert_eq!(disk.write_zeroes(range), Status::IOERR, "{range:?}");
        assert_eq!(disk.discard(range), Status::IOERR, "{range:?}");
    }
    assert_eq!(disk.write_zeroes(Range::new(CAPACITY - 1, 1)), Status::OK);
}

/// [5.2.4, 5.2.6] A range as long as the device says it takes is taken, and one that is longer is not.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn the_longest_range_is_taken(blk: Modern<VirtioBlk>, vm: &Vm) {
    let image = full(vm);
    resize(vm, 4 << 30);
    let disk = blk.start(Layout::Split);
    let longest = disk.config().u32(field::MAX_DISCARD_SECTORS);
    assert!(u64::from(longest) < (4 << 30) / SECTOR);
    assert_eq!(disk.discard(Range::new(0, longest + 1)), Status::IOERR);
    assert_eq!(image.sector(0), [0xff; BYTES]);
    assert_eq!(disk.discard(Range::new(0, longest)), Status::OK);
    assert_eq!(image.allocated(), 0);
}

/// [5.2.6.2] "… set the status byte to VIRTIO_BLK_S_UNSUPP for discard and write zeroes commands if any unknown flag is set."
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn an_unknown_flag_is_unsupported(blk: Modern<VirtioBlk>, vm: &Vm) {
    let image = full(vm);
    let disk = blk.start(Layout::Split);
    for flags in [2, 3, 1 << 31, u32::MAX] {
        let range = Range::new(0, 8).flags(flags);
        assert_eq!(disk.write_zeroes(range), Status::UNSUPP, "{flags:#x}");
        assert_eq!(disk.discard(range), Status::UNSUPP, "{flags:#x}");
    }
    let unmapping = Range::new(0, 8).flags(Range::UNMAP);
    assert_eq!(disk.discard(unmapping), Status::UNSUPP);
    assert_eq!(image.sector(0), [0xff; BYTES]);
}

/// [5.2.4, 5.2.6.1] One range a request is what the device says it takes: more are unsupported.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn two_ranges_are_unsupported(blk: Modern<VirtioBlk>, vm: &Vm) {
    let image = full(vm);
    let disk = blk.start(Layout::Split);
    assert_eq!(disk.config().u32(field::MAX_WRITE_ZEROES_SEG), 1);
    assert_eq!(disk.config().u32(field::MAX_DISCARD_SEG), 1);
    let order = blk.device().order();
    let both = [Range::new(0, 8), Range::new(16, 8)].map(|range| range.bytes(order));
    for kind in [Kind::WRITE_ZEROES, Kind::DISCARD] {
        let request = disk.request(kind, 0).sending(&both.concat());
        assert_eq!(disk.run(&request), Status::UNSUPP, "{kind:?}");
    }
    assert_eq!(image.sector(0), [0xff; BYTES]);
}

/// [5.2.6] Both kinds are odd, as all that the device reads are: the even ones beside them are none.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn ranges_without_the_bit_of_writes_are_unsupported(blk: Modern<VirtioBlk>, vm: &Vm) {
    let image = full(vm);
    let disk = blk.start(Layout::Split);
    let range = Range::new(0, 8).bytes(blk.device().order());
    for kind in [Kind::WRITE_ZEROES, Kind::DISCARD] {
        let even = Kind(kind.0 & !1);
        let request = disk.request(even, 0).sending(&range);
        assert_eq!(disk.run(&request), Status::UNSUPP, "{even:?}");
    }
    assert_eq!(image.sector(0), [0xff; BYTES]);
}

/// [5.2.6] A range that is cut short makes the device need a reset.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(layout = LAYOUTS))]
fn half_a_range_breaks_the_device(blk: Modern<VirtioBlk>, vm: &Vm, layout: Layout) {
    let image = full(vm);
    for kind in [Kind::WRITE_ZEROES, Kind::DISCARD] {
        let disk = blk.start(layout);
        let range = Range::new(0, 8).bytes(blk.device().order());
        let request = disk.request(kind, 0).sending(&range[..15]);
        disk.queue().add(&request.segments());
        disk.queue().kick();
        disk.wait_needs_reset();
        assert_eq!(request.status(), Status::PENDING);
        recovers(&blk, layout);
    }
    assert_eq!(image.sector(0), [0xff; BYTES]);
}
