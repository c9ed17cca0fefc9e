//! Features, status and configuration.

use super::*;

/// [6] What every device of QEMU offers, and [5.2.3] what a plain disk does.
#[testjig::test(on = Modern<VirtioBlk>)]
fn a_plain_disk_offers_its_features(blk: Modern<VirtioBlk>) {
    let offered = blk.device().offered();
    for feature in [
        Features::VERSION_1,
        Features::RING_INDIRECT_DESC,
        Features::RING_EVENT_IDX,
        Features::RING_PACKED,
        BlkFeature::SEG_MAX,
        BlkFeature::GEOMETRY,
        BlkFeature::BLK_SIZE,
        BlkFeature::FLUSH,
        BlkFeature::TOPOLOGY,
        BlkFeature::CONFIG_WCE,
        BlkFeature::DISCARD,
        BlkFeature::WRITE_ZEROES,
    ] {
        assert!(offered.contains(feature), "{feature:?} of {offered:?}");
    }
    for feature in [
        BlkFeature::BARRIER,
        BlkFeature::SIZE_MAX,
        BlkFeature::RO,
        BlkFeature::SCSI,
        BlkFeature::MQ,
        BlkFeature::ZONED,
        Features::ACCESS_PLATFORM,
        Features::NOTIFY_ON_EMPTY,
    ] {
        assert!(!offered.contains(feature), "{feature:?} of {offered:?}");
    }
}

/// [5.2.3.1] SCSI commands are a legacy device's: QEMU's offers them still, and refuses each. A transitional one does not.
#[testjig::test(on = VirtioBlk)]
fn scsi_commands_are_a_legacy_devices(blk: VirtioBlk) {
    let offered = blk.device().offered();
    let transport = blk.device().transport();
    let legacy = transport.is_legacy() && transport.as_pci().is_none();
    assert_eq!(offered.contains(BlkFeature::SCSI), legacy, "{offered:?}");
}

/// [3.1.1] The status reads back as it is written, step by step.
#[testjig::test(on = Modern<VirtioBlk>)]
fn the_status_reads_back(blk: Modern<VirtioBlk>) {
    let device = blk.device();
    device.reset();
    for bits in [0x01, 0x03] {
        device.transport().set_status(bits.into());
        assert_eq!(u8::from(device.status()), bits);
    }
    device.transport().set_driver_features(Features::VERSION_1);
    for bits in [0x0b, 0x0f, 0x8f] {
        device.transport().set_status(bits.into());
        assert_eq!(u8::from(device.status()), bits);
    }
}

/// [2.2.2, 6.1] A device that must not be driven without a feature leaves FEATURES_OK clear.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), launch = |launch| launch
    .global("virtio-blk-pci", "disable-legacy", "on")
    .global("virtio-device", "iommu_platform", "on"))]
fn features_that_are_not_accepted_leave_features_ok_clear(blk: Modern<VirtioBlk>) {
    let device = blk.device();
    assert!(device.offered().contains(Features::ACCESS_PLATFORM));
    assert!(!device.try_negotiate(Features::VERSION_1));
    assert!(device.try_negotiate(Features::VERSION_1 | Features::ACCESS_PLATFORM));
}

/// [3.1.1] Features are fixed once they are agreed on.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn features_are_fixed_once_agreed_on(blk: Modern<VirtioBlk>) {
    let device = blk.device();
    assert!(device.try_negotiate(Features::VERSION_1));
    let queue = device.queue(0);
    device
        .transport()
        .set_driver_features(Features::VERSION_1 | Features::RING_PACKED);
    device.add_status(qos::virtio::Status::new().with_features_ok(true));
    device.start();
    // A split ring, still.
    let flush = Request::new(device, Kind::FLUSH, 0);
    queue.run(&flush.segments());
    assert_eq!(flush.status(), Status::OK);
}

/// [2.4.1] Features are negotiated anew after a reset: one layout after the other.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn another_layout_is_negotiated_after_a_reset(blk: Modern<VirtioBlk>) {
    for layout in [Layout::Split, Layout::Packed, Layout::Split] {
        let disk = blk.start(layout);
        disk.write(0, &pattern(BYTES, 0x10));
        assert_eq!(disk.read(0, SECTOR), pattern(BYTES, 0x10), "{layout:?}");
    }
}

/// [2.6] A virtqueue's addresses and its size do not outlive a reset.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_reset_disables_virtqueues(blk: Modern<VirtioBlk>) {
    blk.device().negotiate_layout(Layout::Split);
    let queue = blk.device().queue_sized(0, 8);
    assert!(blk.device().transport().is_queue_enabled(0));
    drop(queue);
    blk.device().reset();
    assert!(!blk.device().transport().is_queue_enabled(0));
    assert!(blk.device().queue_max(0) > 8);
}

/// [5.2.5.2] "If the FLUSH feature is not negotiated … writethrough"; with it the cache is written back.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn the_cache_is_written_through_for_a_driver_that_can_not_flush(blk: Modern<VirtioBlk>) {
    let disk = blk.start_with(Features::VERSION_1 | BlkFeature::FLUSH);
    assert_eq!(disk.config().writeback(), 1);
    let disk = blk.start_with(Features::VERSION_1);
    assert_eq!(disk.config().writeback(), 0);
    let disk = blk.start_with(Features::VERSION_1 | BlkFeature::CONFIG_WCE);
    assert_eq!(disk.config().writeback(), 1);
}

/// [5.2.5.2] "the driver can … use the writeback field to read … and write the cache mode"; a reset has the first one again.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn the_driver_switches_the_cache(blk: Modern<VirtioBlk>) {
    let disk = blk.start(Layout::Split);
    assert_eq!(disk.config().writeback(), 1);
    disk.config().set_writeback(0);
    assert_eq!(disk.config().writeback(), 0);
    disk.write(0, &pattern(BYTES, 1));
    disk.config().set_writeback(1);
    assert_eq!(disk.config().writeback(), 1);
    disk.config().set_writeback(0);
    let disk = blk.start(Layout::Split);
    assert_eq!(disk.config().writeback(), 1);
}

/// [5.2.4] The fields of a feature are there without those of the others.
#[testjig::test(on = Modern<VirtioBlk>, launch = |launch| launch.global("virtio-blk-device", off, "off"), vary(off = ["discard", "write-zeroes"]))]
fn fields_are_there_without_those_of_others(blk: Modern<VirtioBlk>, off: &str) {
    blk.device()
        .negotiate(Features::ALL - Features::RING_PACKED);
    let there = if off == "discard" {
        field::MAX_WRITE_ZEROES_SEG
    } else {
        field::MAX_DISCARD_SEG
    };
    assert_eq!(blk.config().u32(there), 1);
}

/// [5.2.3] What the machine's owner switches off is not offered, and its fields are not there.
#[testjig::test(on = Modern<VirtioBlk>, launch = |launch| launch
    .global("virtio-blk-device", "config-wce", "off")
    .global("virtio-blk-device", "write-cache", "off")
    .global("virtio-blk-device", "discard", "off")
    .global("virtio-blk-device", "write-zeroes", "off"))]
fn what_is_switched_off_is_not_offered(blk: Modern<VirtioBlk>) {
    let offered = blk.device().offered();
    for feature in [
        BlkFeature::CONFIG_WCE,
        BlkFeature::FLUSH,
        BlkFeature::DISCARD,
        BlkFeature::WRITE_ZEROES,
    ] {
        assert!(!offered.contains(feature), "{feature:?} of {offered:?}");
    }
}

/// [5.2.4] Geometry and topology are what the machine's owner says.
#[testjig::test(on = Modern<VirtioBlk>, launch = |launch| launch
    .global("virtio-blk-device", "cyls", 1234)
    .global("virtio-blk-device", "heads", 12)
    .global("virtio-blk-device", "secs", 34)
    .global("virtio-blk-device", "logical_block_size", 1024)
    .global("virtio-blk-device", "physical_block_size", 8192)
    .global("virtio-blk-device", "min_io_size", 16384)
    .global("virtio-blk-device", "opt_io_size", 262_144)
    .global("virtio-blk-device", "discard_granularity", 65536)
    .global("virtio-blk-device", "queue-size", 64)
    .global("virtio-blk-device", "num-queues", 3))]
fn the_configuration_is_what_was_asked_for(blk: Modern<VirtioBlk>) {
    blk.device()
        .negotiate(Features::ALL - Features::RING_PACKED);
    let config = blk.config();
    assert_eq!(config.capacity(), CAPACITY);
    // Sectors of the geometry count blocks of two sectors, so they are even.
    let geometry = config.geometry();
    assert_eq!((geometry.cylinders, geometry.heads), (1234, 12));
    assert_eq!(geometry.sectors, 34);
    assert_eq!(config.blk_size(), 1024);
    assert_eq!(
        config.topology(),
        Topology {
            physical_block_exp: 3,
            alignment_offset: 0,
            min_io_size: 16,
            opt_io_size: 256,
        }
    );
    // Header and status take two of a queue's 64.
    assert_eq!(config.seg_max(), 62);
    assert_eq!(config.num_queues(), 3);
    assert_eq!(config.u32(field::DISCARD_SECTOR_ALIGNMENT), 128);
    assert_eq!(config.u8(field::WRITE_ZEROES_MAY_UNMAP), 1);
    assert_eq!(config.size_max(), 0);
}

/// [5.2.4] A geometry that does not fit whole blocks has its odd sector left out.
#[testjig::test(on = Modern<VirtioBlk>, launch = |launch| launch
    .global("virtio-blk-device", "cyls", 100)
    .global("virtio-blk-device", "heads", 3)
    .global("virtio-blk-device", "secs", 33)
    .global("virtio-blk-device", "logical_block_size", 4096)
    .global("virtio-blk-device", "physical_block_size", 4096))]
fn an_odd_geometry_is_rounded_to_blocks(blk: Modern<VirtioBlk>) {
    blk.device().negotiate(Features::VERSION_1);
    assert_eq!(blk.config().geometry().sectors, 32);
}

/// [5.2.4] A geometry whose tracks hold whole blocks is as it was given: sectors are the blocks of a track.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), launch = |launch| launch
    .global("virtio-blk-device", "cyls", 100)
    .global("virtio-blk-device", "heads", 3)
    .global("virtio-blk-device", "secs", 33)
    .global("virtio-blk-device", "logical_block_size", 4096)
    .global("virtio-blk-device", "physical_block_size", 4096))]
fn a_geometry_of_whole_blocks_is_kept(blk: Modern<VirtioBlk>, vm: &Vm) {
    blk.device().negotiate(Features::VERSION_1);
    resize(vm, 100 * 3 * 33 * 4096);
    assert_eq!(blk.config().geometry().sectors, 33);
    resize(vm, 100 * 3 * 33 * 4096 + 3 * 33 * 2048);
    assert_eq!(blk.config().geometry().sectors, 32);
}

/// [2.5.1] "The device MUST present a changed config_generation after the driver has read a device-specific configuration field which
/// has changed".
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_change_has_another_generation(blk: Modern<VirtioBlk>, vm: &Vm) {
    blk.start(Layout::Split);
    assert_eq!(blk.config().capacity(), CAPACITY);
    let first = blk.device().config_generation();
    assert_eq!(blk.device().config_generation(), first);
    resize(vm, VIRTIO_BLK_SIZE + 4096);
    assert_ne!(blk.device().config_generation(), first);
    assert_eq!(blk.config().capacity(), CAPACITY + 8);
}

/// [5.2.5] What was added by a resize can be used at once, and what was removed no more.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_resize_moves_the_end(blk: Modern<VirtioBlk>, vm: &Vm) {
    let disk = blk.start(Layout::Split);
    assert_eq!(disk.try_write(CAPACITY, &[1; BYTES]), Status::IOERR);
    resize(vm, VIRTIO_BLK_SIZE + SECTOR);
    assert_eq!(disk.try_write(CAPACITY, &[1; BYTES]), Status::OK);
    resize(vm, VIRTIO_BLK_SIZE / 2);
    assert_eq!(disk.try_read(CAPACITY / 2, SECTOR), Status::IOERR);
    assert_eq!(disk.try_read(CAPACITY / 2 - 1, SECTOR), Status::OK);
}

/// [2.1.2] Before DRIVER_OK the device does not say that its configuration changed.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn no_change_is_told_before_the_driver_is_ready(blk: Modern<VirtioBlk>, vm: &Vm) {
    blk.device().negotiate(Features::VERSION_1);
    let irq = vm.intercept(blk.device().line());
    resize(vm, VIRTIO_BLK_SIZE + 4096);
    assert_eq!(irq.edges(), []);
    assert_eq!(blk.device().take_isr(), Isr::new());
}

/// [2.1] A reset of the machine resets the device.
#[testjig::test(on = VirtioBlk, needs(running))]
fn a_reset_of_the_machine_resets_the_device(blk: VirtioBlk, vm: &Vm) {
    blk.start(Layout::Split);
    vm.reset();
    // Base addresses are gone with the reset; MMIO stays.
    if blk.device().transport().as_pci().is_none() {
        assert_eq!(blk.device().status(), qos::virtio::Status::new());
        assert!(!blk.device().transport().is_queue_enabled(0));
    }
}
