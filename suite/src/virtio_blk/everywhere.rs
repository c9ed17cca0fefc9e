//! What holds on every machine, transport and interface.

use super::*;

/// [5.2.6] A written sector reads back, and reaches the image.
#[testjig::test(on = VirtioBlk, needs(running))]
fn a_written_sector_reads_back_and_reaches_the_image(blk: VirtioBlk, vm: &Vm) {
    let disk = blk.start(Layout::Split);
    let bytes = pattern(BYTES, 0x11);
    disk.write(3, &bytes);
    assert_eq!(disk.read(3, SECTOR), bytes);
    assert_eq!(image(vm).sector(3)[..], bytes[..]);
    assert_eq!(image(vm).sector(2), [0; BYTES]);
    assert_eq!(image(vm).sector(4), [0; BYTES]);
}

/// [5.2.6] What the image holds is read, to its last sector.
#[testjig::test(on = VirtioBlk, needs(running))]
fn the_last_sectors_of_the_image_are_read(blk: VirtioBlk, vm: &Vm) {
    let bytes = pattern(8 * BYTES, 0x22);
    image(vm).write(VIRTIO_BLK_SIZE - 8 * SECTOR, &bytes);
    let disk = blk.start(Layout::Split);
    assert_eq!(disk.read(CAPACITY - 8, 8 * SECTOR), bytes);
}

/// [5.2.4] "The capacity of the device (expressed in 512-byte sectors)" is always there.
#[testjig::test(on = VirtioBlk)]
fn the_capacity_is_in_sectors(blk: VirtioBlk) {
    blk.device().negotiate(Features::VERSION_1);
    assert_eq!(blk.config().capacity(), CAPACITY);
}

/// [5] A block device is of type 2.
#[testjig::test(on = VirtioBlk)]
fn the_device_is_of_type_2(blk: VirtioBlk) {
    assert_eq!(blk.device().transport().device_id(), DEVICE_ID);
}

/// [2.4.1] A reset device reads zero as its status, and starts anew.
#[testjig::test(on = VirtioBlk, needs(running))]
fn a_reset_device_has_no_status_and_starts_anew(blk: VirtioBlk) {
    let disk = blk.start(Layout::Split);
    disk.write(1, &pattern(BYTES, 0x33));
    assert!(blk.device().status().driver_ok());
    blk.device().reset();
    assert_eq!(blk.device().status(), qos::virtio::Status::new());
    assert!(!blk.device().transport().is_queue_enabled(0));
    let disk = blk.start(Layout::Split);
    assert_eq!(disk.read(1, SECTOR), pattern(BYTES, 0x33));
}

/// [2.2] A driver that takes no feature at all can read and write.
#[testjig::test(on = VirtioBlk, needs(running))]
fn a_disk_works_with_the_least_of_features(blk: VirtioBlk) {
    let disk = blk.start_with(Features::VERSION_1);
    disk.write(9, &pattern(BYTES, 0x44));
    assert_eq!(disk.read(9, SECTOR), pattern(BYTES, 0x44));
}

/// [4.1.4.5, 4.2.2.2] Used buffers raise the line until the interrupt is acknowledged.
#[testjig::test(on = VirtioBlk, needs(running))]
fn a_used_buffer_raises_the_line_until_it_is_acknowledged(blk: VirtioBlk, vm: &Vm) {
    let disk = blk.start(Layout::Split);
    let irq = vm.intercept(blk.device().line());
    assert_eq!(disk.flush(), Status::OK);
    vm.wait_until(irq.raised(), SECOND);
    assert_eq!(blk.device().take_isr(), Isr::new().with_used_buffer(true));
    vm.wait_until(irq.lowered(), SECOND);
    assert_eq!(blk.device().take_isr(), Isr::new());
}

/// [5.2.5.1, 4.1.4.5] When the capacity changes the device says so: an interrupt, and the new value.
#[testjig::test(on = VirtioBlk, needs(running))]
fn a_resized_image_interrupts_with_its_new_capacity(blk: VirtioBlk, vm: &Vm) {
    blk.start(Layout::Split);
    let irq = vm.intercept(blk.device().line());
    resize(vm, VIRTIO_BLK_SIZE * 2);
    vm.wait_until(irq.raised(), SECOND);
    assert!(blk.device().take_isr().configuration());
    assert_eq!(blk.config().capacity(), CAPACITY * 2);
}

/// [2.7.13] Descriptors that came back are used again, and the ring's indices wrap.
#[testjig::test(on = VirtioBlk, needs(running))]
fn many_more_requests_than_descriptors_are_served(blk: VirtioBlk) {
    let disk = blk.start(Layout::Split);
    let request = disk.request(Kind::IN, 0).receiving(SECTOR);
    let laps = 2 * usize::from(disk.queue().size()) / 3 + 1;
    for _ in 0..laps {
        request.status_byte().fill(Status::PENDING.0);
        assert_eq!(disk.run(&request), Status::OK);
    }
    assert_eq!(
        disk.queue().free_descriptors(),
        usize::from(disk.queue().size())
    );
}

/// [2.7.5.3] A request may be in a table of descriptors that one descriptor names.
#[testjig::test(on = VirtioBlk, needs(running))]
fn an_indirect_request_is_served(blk: VirtioBlk, vm: &Vm) {
    image(vm).set_sector(5, &pattern(BYTES, 0x55));
    let disk = blk.start(Layout::Split);
    let request = disk.request(Kind::IN, 5).receiving(SECTOR);
    let id = disk.queue().add_indirect(&request.segments_of(64));
    assert_eq!(disk.queue().finish(id), SECTOR as u32 + 1);
    assert_eq!(request.status(), Status::OK);
    assert_eq!(request.data().to_vec(), pattern(BYTES, 0x55));
}

/// [5.2.6.1] A request beyond the capacity is not done.
#[testjig::test(on = VirtioBlk, needs(running))]
fn a_request_beyond_the_end_fails(blk: VirtioBlk) {
    let disk = blk.start(Layout::Split);
    assert_eq!(disk.try_read(CAPACITY, SECTOR), Status::IOERR);
    assert_eq!(disk.try_write(CAPACITY - 1, &[0; 2 * BYTES]), Status::IOERR);
}

/// [5.2.6] The device's name is 20 bytes, zeroes after its end.
#[testjig::test(on = VirtioBlk, needs(running), launch = |launch| launch.global("virtio-blk-device", "serial", "a name"))]
fn the_name_is_the_serial_number(blk: VirtioBlk) {
    let mut name = [0; 20];
    name[..6].copy_from_slice(b"a name");
    assert_eq!(blk.start(Layout::Split).id(), name);
}
