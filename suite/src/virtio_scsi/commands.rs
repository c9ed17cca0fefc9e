//! Commands, and what is wrong with them.

use super::*;

/// [SPC-4 §6.6] INQUIRY tells of a disk, by its vendor and product.
#[testjig::test(on = VirtioScsi, needs(running))]
fn inquiry_tells_of_a_disk(scsi: VirtioScsi) {
    let hba = scsi.start(Layout::Split);
    let (response, data) = hba.receive(DISK, &[0x12, 0, 0, 0, 36, 0], 36);
    assert!(response.is_good(), "{response:?}");
    assert_eq!(response.residual, 0);
    assert_eq!(data[0], 0x00, "a direct access block device, connected");
    assert_eq!(&data[8..16], b"QEMU    ");
    assert_eq!(&data[16..32], b"QEMU HARDDISK   ");
}

/// [SPC-4 §5.14] A logical unit that was just switched on says so once, before it does anything else.
#[testjig::test(on = VirtioScsi, needs(running))]
fn the_first_command_meets_a_unit_attention(scsi: VirtioScsi) {
    let hba = scsi.start(Layout::Split);
    let first = hba.run(&hba.command(DISK, &[0; 6]));
    assert_eq!(
        (first.response, first.status),
        (response::OK, status::CHECK_CONDITION)
    );
    assert_eq!(
        first.sense_code().map(|code| (code.0, code.1)),
        Some((0x6, 0x29))
    );
    hba.ready(DISK);
}

/// [SBC-3 §5.15] READ CAPACITY says the last sector, and the bytes of each.
#[testjig::test(on = VirtioScsi, needs(running))]
fn read_capacity_says_the_last_sector(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    let (response, data) = hba.receive(DISK, &[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8);
    assert!(response.is_good(), "{response:?}");
    assert_eq!(data[..4], (SECTORS as u32 - 1).to_be_bytes());
    assert_eq!(data[4..], 512_u32.to_be_bytes());
}

/// [SBC-3 §5.11, §5.32] What is written is read, and reaches the image.
#[testjig::test(on = VirtioScsi, needs(running))]
fn written_sectors_read_back_and_reach_the_image(scsi: VirtioScsi, vm: &Vm) {
    let hba = ready(&scsi);
    let bytes = pattern(1024, 0x31);
    let write = hba.command(DISK, &transfer(WRITE_10, 7, 2)).sending(&bytes);
    assert!(hba.run(&write).is_good());
    assert_eq!(vm.disk(VIRTIO_SCSI_DRIVE).sector(8)[..], bytes[512..]);
    let (response, data) = hba.receive(DISK, &transfer(READ_10, 7, 2), 1024);
    assert!(response.is_good());
    assert_eq!(response.residual, 0);
    assert_eq!(data, bytes);
}

/// [5.6.6.1] Both layouts carry commands, with data in pieces and out of a table.
#[testjig::test(on = VirtioScsi, needs(running))]
fn a_table_of_descriptors_carries_a_command(scsi: VirtioScsi, vm: &Vm) {
    let hba = ready(&scsi);
    vm.disk(VIRTIO_SCSI_DRIVE)
        .set_sector(3, &pattern(512, 0x41));
    let read = hba.command(DISK, &transfer(READ_10, 3, 1)).receiving(512);
    let id = hba.requests().add_indirect(&read.segments());
    hba.requests().finish(id);
    assert!(read.response().is_good());
    assert_eq!(read.data(), pattern(512, 0x41));
}

/// [5.6.6.1] "residual: the number of bytes … not transferred": less data than room.
#[testjig::test(on = VirtioScsi, needs(running))]
fn room_that_was_not_needed_is_the_residual(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    let (response, data) = hba.receive(DISK, &[0x12, 0, 0, 0, 36, 0], 100);
    assert!(response.is_good(), "{response:?}");
    assert_eq!(response.residual, 64);
    assert_eq!(data[36..], [0; 64]);
}

/// [5.6.6.1] OVERRUN "if the content of the CDB … requires more data than is available in the data buffers".
#[testjig::test(on = VirtioScsi, needs(running))]
fn more_data_than_room_is_an_overrun(scsi: VirtioScsi, vm: &Vm) {
    let hba = ready(&scsi);
    let (read, _) = hba.receive(DISK, &transfer(READ_10, 0, 2), 512);
    assert_eq!(read.response, response::OVERRUN);
    let write = hba
        .command(DISK, &transfer(WRITE_10, 0, 2))
        .sending(&[0xff; 512]);
    assert_eq!(hba.run(&write).response, response::OVERRUN);
    assert_eq!(vm.disk(VIRTIO_SCSI_DRIVE).sector(0), [0; 512]);
}

/// [SPC-4 §4.5] A command that the disk does not know, and a sector that it has not: illegal requests, each with its code.
#[testjig::test(on = VirtioScsi, needs(running))]
fn an_illegal_request_has_its_sense(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    let unknown = hba.run(&hba.command(DISK, &[0xff, 0, 0, 0, 0, 0]));
    assert_eq!(
        (unknown.response, unknown.status),
        (response::OK, status::CHECK_CONDITION)
    );
    assert_eq!(
        unknown.sense_code(),
        Some((0x5, 0x20, 0x00)),
        "invalid operation code"
    );
    let (beyond, _) = hba.receive(DISK, &transfer(READ_10, SECTORS as u32, 1), 512);
    assert_eq!(beyond.status, status::CHECK_CONDITION);
    assert_eq!(beyond.sense_code(), Some((0x5, 0x21, 0x00)), "out of range");
}

/// [5.6.6.1] BAD_TARGET "if the request was never processed because the target … does not exist".
#[testjig::test(on = VirtioScsi, needs(running))]
fn a_target_that_is_not_there_is_bad(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    for lun in [
        Lun::new(1, 0),
        Lun::new(255, 0),
        Lun([2, 0, 0x40, 0, 0, 0, 0, 0]),
    ] {
        let response = hba.run(&hba.command(lun, &[0; 6]));
        assert_eq!(response.response, response::BAD_TARGET, "{lun:?}");
    }
}

/// [SPC-4 §6.33] REPORT LUNS lists the logical units of a target.
#[testjig::test(on = VirtioScsi, needs(running), launch = second_unit)]
fn report_luns_lists_the_units(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    let (response, data) = hba.receive(DISK, &[0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0], 64);
    assert!(response.is_good(), "{response:?}");
    assert_eq!(data[..4], 16_u32.to_be_bytes());
    assert_eq!((data[8 + 1], data[16 + 1]), (0, 5));
}

/// [5.6.6.1] Each logical unit answers for itself.
#[testjig::test(on = VirtioScsi, needs(running), launch = second_unit)]
fn each_unit_has_its_own_sectors(scsi: VirtioScsi, vm: &Vm) {
    let hba = ready(&scsi);
    let other = Lun::new(0, 5);
    hba.ready(other);
    let write = hba
        .command(other, &transfer(WRITE_10, 1, 1))
        .sending(&pattern(512, 9));
    assert!(hba.run(&write).is_good());
    assert_eq!(vm.disk("second").sector(1)[..], pattern(512, 9));
    assert_eq!(vm.disk(VIRTIO_SCSI_DRIVE).sector(1), [0; 512]);
}

/// [5.6.4] The configuration says what the adapter takes, and has the sizes of the specification.
#[testjig::test(on = VirtioScsi, launch = |launch| launch
    .global("virtio-scsi-device", "num_queues", 3)
    .global("virtio-scsi-device", "max_sectors", 1000)
    .global("virtio-scsi-device", "cmd_per_lun", 77))]
fn the_configuration_is_what_was_asked_for(scsi: VirtioScsi) {
    let device = scsi.device();
    device.negotiate(Features::VERSION_1);
    let expected = [
        (field::NUM_QUEUES, 3),
        (field::MAX_SECTORS, 1000),
        (field::CMD_PER_LUN, 77),
        (field::EVENT_INFO_SIZE, 16),
        (field::SENSE_SIZE, SENSE_SIZE),
        (field::CDB_SIZE, CDB_SIZE),
        (field::MAX_LUN, 16383),
    ];
    for (field, value) in expected {
        assert_eq!(device.config_u32(field), value, "field at {field}");
    }
    assert_eq!(device.config_u16(field::MAX_TARGET), 255);
    assert_eq!(device.config_u16(field::MAX_CHANNEL), 0);
}

/// [5.6.6.1] A command whose request or response is cut short breaks the device until it is reset.
#[testjig::test(on = Broken, needs(running))]
fn a_short_command_breaks_the_device(scsi: Broken) {
    for (request, response) in [(50, 108), (51, 11)] {
        let hba = scsi.0.start(Layout::Split);
        let command = hba.command(DISK, &[0; 6]);
        hba.requests().add(&[
            Segment::readable(command.request().addr(), request),
            Segment::writable(command.response_bytes().addr(), response),
        ]);
        hba.requests().kick();
        let broken = testjig::vm::Condition::new("the adapter needs a reset", || {
            scsi.0.device().status().needs_reset()
        });
        scsi.0.device().vm().wait_until(broken, SECOND);
        scsi.0.device().reset();
    }
    ready(&scsi.0);
}

/// An adapter by the modern interface: a legacy one can't say that it is broken.
struct Broken(VirtioScsi);

testjig::graph!(|graph| {
    graph
        .edge("virtio-scsi-pci", |q35: &Q35| {
            let pci = testjig::qos::pci::Pci::q35(q35.vm());
            let transport = testjig::qos::virtio::PciTransport::modern(&pci.device(4));
            Broken(VirtioScsi::new(testjig::qos::virtio::Virtio::new(
                transport,
            )))
        })
        .launch(|launch| {
            launch
                .drive(testjig::vm::Drive::new(
                    VIRTIO_SCSI_DRIVE,
                    testjig::vm::Image::zeroed(8 << 20),
                ))
                .device(
                    Device::new("virtio-scsi-pci")
                        .id("scsi")
                        .prop("addr", "04.0"),
                )
                .device(
                    Device::new("scsi-hd")
                        .bus("scsi.0")
                        .prop("drive", VIRTIO_SCSI_DRIVE),
                )
        });
});

/// Another logical unit of the same target.
fn second_unit(launch: Launch) -> Launch {
    launch
        .drive(testjig::vm::Drive::new(
            "second",
            testjig::vm::Image::zeroed(1 << 20),
        ))
        .device(
            Device::new("scsi-hd")
                .bus("scsi.0")
                .prop("scsi-id", 0)
                .prop("lun", 5)
                .prop("drive", "second"),
        )
}
