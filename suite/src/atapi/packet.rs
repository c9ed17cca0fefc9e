//! [PACKET command protocol]: how packet and data cross the command block, or the bus master.

use super::*;
use testjig::qos::dev::ata::{Command, DeviceControl, Taskfile};
use testjig::qos::dev::piix_ide::{BmStatus, Prd};
use testjig::qos::mem::{GuestAlloc, GuestBuf};
use testjig::vm::EdgeKind::Raise;

/// [Interrupt reason] C/D without I/O asks for the packet; I/O alone has data for the host; both tell the end.
#[testjig::test(on = PiixIde, launch = loaded)]
fn the_interrupt_reason_tells_the_phase(ide: PiixIde) {
    let cd = drive(&ide);
    cd.ata().issue(&cd.task(0, 8));
    cd.ata().wait_data("PACKET");
    assert!(cd.reason().command() && !cd.reason().to_host());
    cd.ata().write_block(&Cdb::read_capacity().0);
    cd.ata().wait_data("READ CAPACITY");
    assert!(!cd.reason().command() && cd.reason().to_host());
    assert_eq!(cd.byte_count(), 8);
    cd.ata().read_block(8);
    assert!(!cd.ata().wait_idle().drq());
    assert!(cd.reason().command() && cd.reason().to_host());
}

/// [PACKET command protocol] No interrupt for the packet (word 0 of IDENTIFY, bits 6:5: 10b, DRQ within 50 µs), one for each DRQ block
/// of data and one for the end.
#[testjig::test(on = PiixIde, launch = loaded)]
fn data_and_end_have_an_interrupt_each(ide: PiixIde, vm: &Vm) {
    let cd = drive(&ide);
    assert_eq!(cd.ata().identify_packet(Unit::Device0).word(0) >> 5 & 3, 2);
    let irq = vm.intercept(cd.ata().irq());
    cd.ata().issue(&cd.task(0, 8));
    cd.ata().wait_data("PACKET");
    assert!(!irq.level());
    irq.clear();
    cd.ata().write_block(&Cdb::read_capacity().0);
    cd.ata().wait_data("READ CAPACITY");
    assert!(irq.level());
    cd.ata().status();
    assert!(!irq.level());
    cd.ata().read_block(8);
    assert!(irq.level());
    cd.ata().status();
    assert!(!irq.level());
}

/// A packet without data has one interrupt, of its end.
#[testjig::test(on = PiixIde, launch = loaded)]
fn a_packet_without_data_has_one_interrupt(ide: PiixIde, vm: &Vm) {
    let cd = drive(&ide);
    let irq = vm.intercept(cd.ata().irq());
    cd.send(&Cdb::test_unit_ready(), 0, 0);
    cd.ata().wait_idle();
    assert_eq!(irq.edges(), [Raise]);
    assert!(cd.ata().ending().is_good());
}

/// [Byte count limit] DRQ blocks have at most so many bytes: an even number of them, but for the last.
#[testjig::test(on = PiixIde, launch = loaded, vary(limit = [2, 512, 2048, 2050, 3000, 4096, 65534]))]
fn blocks_keep_to_the_limit(ide: PiixIde, limit: u16) {
    let cd = drive(&ide);
    let cdb = if limit == 2 {
        Cdb::read_capacity()
    } else {
        Cdb::read_10(5, 3)
    };
    let reply = cd.pio(&cdb, limit);
    assert!(reply.is_good(), "{reply:?}");
    let (last, full) = reply.blocks.split_last().expect("there is data");
    assert!(
        full.iter().all(|&block| block == limit),
        "{:?}",
        reply.blocks
    );
    assert!(*last <= limit);
    if limit > 2 {
        assert_eq!(reply.data, [5, 6, 7].map(block_of).concat());
    }
}

/// [Byte count limit] An odd one that is too small for all data is rounded down.
#[testjig::test(on = PiixIde, launch = loaded, vary(limit = [515, 4095, 65535]))]
fn an_odd_limit_is_rounded_down(ide: PiixIde, limit: u16) {
    let cd = drive(&ide);
    let reply = cd.pio(&Cdb::read_10(0, 40), limit);
    assert!(reply.is_good(), "{reply:?}");
    assert_eq!(reply.blocks[0], limit - 1);
    assert_eq!(reply.data, (0..40).flat_map(block_of).collect::<Vec<_>>());
}

/// [Byte count limit] 0 of a packet with data is aborted: not a check condition, ABRT.
#[testjig::test(on = PiixIde, launch = loaded)]
fn a_limit_of_0_is_aborted(ide: PiixIde) {
    let cd = drive(&ide);
    for cdb in [
        Cdb::inquiry(36),
        Cdb::read_10(0, 1),
        Cdb::read_cd(0, 1, 0x10),
    ] {
        let reply = cd.pio(&cdb, 0);
        assert!(reply.ending.is_aborted(), "{cdb:?}: {reply:?}");
    }
}

/// [Byte count limit] 0 is good for a packet without data.
#[testjig::test(on = PiixIde, launch = loaded)]
fn a_limit_of_0_is_good_without_data(ide: PiixIde) {
    let cd = drive(&ide);
    for cdb in [
        Cdb::test_unit_ready(),
        Cdb::seek_10(3),
        Cdb::set_cd_speed(),
        Cdb::read_cd(0, 0, 0x10),
        Cdb::read_cd(0, 1, 0),
    ] {
        let reply = cd.pio(&cdb, 0);
        assert!(reply.is_good(), "{cdb:?}: {reply:?}");
    }
}

/// [PACKET, Features bit 1] Overlap is not supported: aborted before the packet.
#[testjig::test(on = PiixIde, launch = loaded)]
fn overlap_is_aborted(ide: PiixIde) {
    let cd = drive(&ide);
    let ending = cd.ata().execute(&cd.task(2, 8));
    assert!(ending.is_aborted(), "{ending:?}");
}

/// An operation code that the drive does not know is an illegal request.
#[testjig::test(on = PiixIde, launch = loaded, vary(operation = [0x01, 0x2a, 0xff]))]
fn an_unknown_operation_is_refused(ide: PiixIde, operation: u8) {
    let cd = drive(&ide);
    let reply = cd.pio(&Cdb::new(operation), 0xfffe);
    assert_sense(&cd, &reply, Sense::BAD_OPERATION);
}

/// An error ends with the interrupt reason of a status.
#[testjig::test(on = PiixIde, launch = loaded)]
fn an_error_has_the_reason_of_a_status(ide: PiixIde, vm: &Vm) {
    let cd = drive(&ide);
    let irq = vm.intercept(cd.ata().irq());
    let reply = cd.pio(&Cdb::new(0xff), 8);
    assert!(cd.reason().command() && cd.reason().to_host(), "{reply:?}");
    assert!(irq.edges().contains(&Raise));
}

/// [IDENTIFY PACKET DEVICE] An ATAPI CD-ROM drive (15:14 = 10b, type 5), removable, packets of 12 bytes; its names.
#[testjig::test(on = PiixIde, launch = loaded)]
fn identify_tells_a_cd_drive(ide: PiixIde) {
    let identify = drive(&ide).ata().identify_packet(Unit::Device0);
    assert_eq!(identify.word(0), 2 << 14 | 5 << 8 | 1 << 7 | 2 << 5);
    assert_eq!(identify.serial(), format!("{:20}", "CD-42"));
    assert_eq!(identify.model(), format!("{:40}", "QEMU DVD-ROM"));
    assert_eq!(identify.word(49) & 0x300, 0x300, "LBA and DMA");
    assert_eq!(
        [62, 63, 64, 88].map(|word| identify.word(word)),
        [7, 7, 3, 0x203f]
    );
    assert_eq!(
        [65, 66, 67, 68].map(|word| identify.word(word)),
        [180, 180, 300, 180]
    );
    assert_eq!([71, 72].map(|word| identify.word(word)), [30, 30]);
    assert_eq!(
        [20, 21, 22, 48, 53].map(|word| identify.word(word)),
        [3, 512, 4, 1, 7]
    );
    assert_eq!(identify.word(80), 0b1_1110);
    assert_eq!(identify.word(125), 0);
    assert_eq!(drive(&ide).ata().identify_packet(Unit::Device0), identify);
}

fn named(launch: Launch) -> Launch {
    launch.device(
        device()
            .prop("wwn", "0x5000cca012345678")
            .prop("model", "A drive")
            .prop("ver", "9.9"),
    )
}

/// [IDENTIFY PACKET DEVICE, words 84, 87, 108–111] The world wide name; model and revision as given.
#[testjig::test(on = PiixIde, launch = named)]
fn identify_tells_a_world_wide_name(ide: PiixIde) {
    let identify = drive(&ide).ata().identify_packet(Unit::Device0);
    assert_eq!(identify.world_wide_name(), 0x5000_cca0_1234_5678);
    assert!(identify.set3().0.world_wide_name() && identify.set3().1.world_wide_name());
    assert_eq!(identify.model(), format!("{:40}", "A drive"));
    assert_eq!(identify.firmware(), format!("{:8}", "9.9"));
}

/// nIEN holds for packets as well.
#[testjig::test(on = PiixIde, launch = loaded)]
fn interrupts_can_be_disabled(ide: PiixIde, vm: &Vm) {
    let cd = drive(&ide);
    let irq = vm.intercept(cd.ata().irq());
    cd.ata()
        .set_control(DeviceControl::new().with_no_interrupt(true));
    good(&cd, &Cdb::read_10(1, 1));
    assert_eq!(irq.edges(), []);
}

/// [DEVICE RESET] ends a packet command that wants its packet, and one whose data is due.
#[testjig::test(on = PiixIde, launch = loaded, vary(sent = [false, true]))]
fn device_reset_ends_a_packet(ide: PiixIde, sent: bool) {
    let cd = drive(&ide);
    cd.ata().issue(&cd.task(0, 2048));
    cd.ata().wait_data("PACKET");
    if sent {
        cd.ata().write_block(&Cdb::read_10(0, 2).0);
        cd.ata().wait_data("READ");
    }
    cd.ata().issue(&Taskfile::new(Command::DEVICE_RESET));
    assert!(!cd.ata().wait_idle().drq());
    assert_eq!(good(&cd, &Cdb::read_10(9, 1)), block_of(9));
}

/// A buffer for so many bytes, in one region.
#[track_caller]
fn buffer(ide: &PiixIde, bytes: usize) -> GuestBuf {
    let request = GuestAlloc::of(ide.vm()).request(bytes as u64);
    request.align(0x1_0000).below(1 << 32).buf()
}

/// [PACKET, Features bit 0] Data goes by the bus master; one interrupt at the end.
#[testjig::test(on = PiixIde, launch = loaded, vary(blocks = [1_u16, 3, 31]))]
fn data_may_go_by_the_bus_master(ide: PiixIde, vm: &Vm, blocks: u16) {
    let cd = drive(&ide);
    let irq = vm.intercept(cd.ata().irq());
    let bytes = usize::from(blocks) * BLOCK;
    let buffer = buffer(&ide, bytes);
    let table = ide.table(&[Prd::last(buffer.addr() as u32, bytes as u16)]);
    let (status, ending) = cd.dma(&ide.primary().bus_master, &Cdb::read_10(7, blocks), &table);
    assert_eq!(status, BmStatus::new().with_interrupt(true), "{ending:?}");
    assert!(ending.is_good(), "{ending:?}");
    assert!(cd.reason().command() && cd.reason().to_host());
    let expected: Vec<u8> = (7..).take(blocks.into()).flat_map(block_of).collect();
    assert_eq!(buffer.to_vec(), expected);
    assert_eq!(irq.edges(), [Raise]);
}

/// More than 128 KiB, in several regions.
#[testjig::test(on = PiixIde, launch = loaded)]
fn a_long_read_goes_by_the_bus_master(ide: PiixIde) {
    let cd = drive(&ide);
    let buffer = buffer(&ide, 100 * BLOCK);
    let base = buffer.addr() as u32;
    let table = ide.table(&[
        Prd::new(base, 0),
        Prd::new(base + 0x1_0000, 0),
        Prd::new(base + 0x2_0000, 0),
        Prd::last(base + 0x3_0000, (100 * BLOCK - 0x3_0000) as u16),
    ]);
    let (_, ending) = cd.dma(&ide.primary().bus_master, &Cdb::read_12(100, 100), &table);
    assert!(ending.is_good(), "{ending:?}");
    assert_eq!(
        buffer.to_vec(),
        (100..200).flat_map(block_of).collect::<Vec<_>>()
    );
}

/// Whole sectors of 2,352 bytes, too: twelve of synchronization, the address and mode before each block.
#[testjig::test(on = PiixIde, launch = loaded)]
fn raw_sectors_go_by_the_bus_master(ide: PiixIde) {
    let cd = drive(&ide);
    let buffer = buffer(&ide, 2 * 2352);
    let table = ide.table(&[Prd::last(buffer.addr() as u32, 2 * 2352)]);
    let (_, ending) = cd.dma(
        &ide.primary().bus_master,
        &Cdb::read_cd(10, 2, 0xf8),
        &table,
    );
    assert!(ending.is_good(), "{ending:?}");
    let data = buffer.to_vec();
    assert_eq!(data[16..16 + BLOCK], block_of(10));
    assert_eq!(data[2352 + 16..2352 + 16 + BLOCK], block_of(11));
    assert_eq!(data[2352 + 12..2352 + 16], [0, 2, 11, 1]);
}

/// What is no read goes by the bus master as well, without a byte count limit.
#[testjig::test(on = PiixIde, launch = loaded)]
fn other_data_goes_by_the_bus_master(ide: PiixIde) {
    let cd = drive(&ide);
    let buffer = buffer(&ide, 36);
    let table = ide.table(&[Prd::last(buffer.addr() as u32, 36)]);
    let (_, ending) = cd.dma(&ide.primary().bus_master, &Cdb::inquiry(36), &table);
    assert!(ending.is_good(), "{ending:?}");
    assert_eq!(buffer.to_vec(), good(&cd, &Cdb::inquiry(36)));
}

/// A table that is too short ends the transfer: nothing is moved beyond it.
#[testjig::test(on = PiixIde, launch = loaded)]
fn a_short_table_ends_the_transfer(ide: PiixIde) {
    let cd = drive(&ide);
    let buffer = buffer(&ide, 2 * BLOCK);
    buffer.fill(0x5a);
    let table = ide.table(&[Prd::last(buffer.addr() as u32, 1000)]);
    let (status, _) = cd.dma(&ide.primary().bus_master, &Cdb::read_10(1, 2), &table);
    assert!(!status.active(), "{status:?}");
    assert!(
        buffer
            .read_vec(1000, 2 * BLOCK - 1000)
            .iter()
            .all(|&byte| byte == 0x5a)
    );
}
