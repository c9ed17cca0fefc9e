//! Packet devices on a port: the packet is in the command table.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use testjig::qos::dev::ahci::PortInterrupt;
use testjig::qos::dev::atapi::{BLOCK, Cdb};

/// A CD-ROM drive on port 1 with a medium of 40 blocks.
fn cd(launch: Launch) -> Launch {
    launch
        .drive(Drive::new("cd0", Image::bytes(pattern(20, 40 * BLOCK))).read_only(true))
        .device(
            Device::new("ide-cd")
                .id("cd")
                .bus("ide.1")
                .prop("drive", "cd0"),
        )
}

/// PACKET, by DMA or with a byte count limit by PIO.
fn packet(cdb: Cdb, limit: Option<u16>, descriptors: &[Descriptor]) -> Request {
    let task = match limit {
        None => Taskfile::new(Command::PACKET).features(1),
        Some(limit) => Taskfile::new(Command::PACKET).at(Address::Lba28(u32::from(limit) << 8)),
    };
    Request::new(&task, descriptors).packet(cdb)
}

/// Starts the port of the drive, and takes what it has to say of its start.
fn start(hba: &Ahci) -> Engine {
    let engine = hba.port(1).start();
    engine.port().change_cmd(|cmd| cmd.with_atapi(true));
    engine
}

/// [§3.3.9] EB140101h: a packet device.
#[testjig::test(on = Ahci, launch = cd)]
fn the_signature_is_a_packet_devices(hba: Ahci) {
    assert_eq!(start(&hba).port().read(PortReg::Sig), 0xeb14_0101);
}

/// Blocks are read by DMA, and by PIO in pieces of the byte count limit.
#[testjig::test(on = Ahci, launch = cd, vary(limit = [None, Some(BLOCK as u16), Some(3000), Some(0xfffe)]))]
fn blocks_are_read(hba: Ahci, limit: Option<u16>) {
    let engine = start(&hba);
    let buffer = buffer(&hba, 3 * BLOCK);
    let outcome = engine.execute(&packet(Cdb::read_10(5, 3), limit, &[whole(&buffer)]));
    assert!(outcome.is_good(), "{outcome:?}");
    assert_eq!(outcome.interrupts.pio_setup(), limit.is_some());
    assert_eq!(outcome.moved as usize, 3 * BLOCK);
    assert_eq!(
        buffer.to_vec(),
        pattern(20, 40 * BLOCK)[5 * BLOCK..8 * BLOCK]
    );
}

/// Many blocks by DMA, in parts.
#[testjig::test(on = Ahci, launch = cd)]
fn a_long_read_is_in_parts(hba: Ahci) {
    let engine = start(&hba);
    let buffer = buffer(&hba, 40 * BLOCK);
    let parts: Vec<Descriptor> = (0..20)
        .map(|part| Descriptor::new(buffer.addr() + part * 2 * BLOCK as u64, 2 * BLOCK as u32))
        .collect();
    let outcome = engine.execute(&packet(Cdb::read_12(0, 40), None, &parts));
    assert!(outcome.is_good(), "{outcome:?}");
    assert_eq!(buffer.to_vec(), pattern(20, 40 * BLOCK));
}

/// [IDENTIFY PACKET DEVICE] Queueing is told as by a disk.
#[testjig::test(on = Ahci, launch = cd)]
fn identify_packet_is_answered(hba: Ahci) {
    let engine = start(&hba);
    let buffer = buffer(&hba, SECTOR);
    let task = Taskfile::new(Command::IDENTIFY_PACKET_DEVICE);
    let outcome = engine.execute(&Request::new(&task, &[whole(&buffer)]));
    assert!(outcome.is_good(), "{outcome:?}");
    assert_eq!(buffer.read_le::<u16>(0) >> 14, 2);
}

/// Data that is no block, by DMA.
#[testjig::test(on = Ahci, launch = cd)]
fn capacity_is_told(hba: Ahci) {
    let engine = start(&hba);
    let buffer = buffer(&hba, 8);
    let outcome = engine.execute(&packet(Cdb::read_capacity(), None, &[whole(&buffer)]));
    assert!(outcome.is_good(), "{outcome:?}");
    assert_eq!(buffer.to_vec(), [0, 0, 0, 39, 0, 0, 8, 0]);
}

/// A packet without data, or with none to transfer.
#[testjig::test(on = Ahci, launch = cd)]
fn a_packet_without_data_is_done(hba: Ahci) {
    let engine = start(&hba);
    for cdb in [Cdb::test_unit_ready(), Cdb::read_cd(0, 0, 0x10)] {
        let outcome = engine.execute(&packet(cdb, Some(0), &[]));
        assert!(
            outcome.is_good() && outcome.interrupts.register(),
            "{cdb:?}: {outcome:?}"
        );
    }
}

/// A check condition is a task file error; sense data tells it.
#[testjig::test(on = Ahci, launch = cd)]
fn a_check_condition_is_a_task_file_error(hba: Ahci) {
    let engine = start(&hba);
    let buffer = buffer(&hba, BLOCK);
    let outcome = engine.execute(&packet(Cdb::read_10(40, 1), None, &[whole(&buffer)]));
    assert_failed(&outcome);
    assert_eq!(outcome.error.sense_key(), 5);
    engine.recover();
    let sense = engine.execute(&packet(Cdb::request_sense(18), None, &[whole(&buffer)]));
    assert!(sense.is_good(), "{sense:?}");
    assert_eq!(
        (buffer.read_vec(2, 1)[0], buffer.read_vec(12, 1)[0]),
        (5, 0x21)
    );
}

/// [START STOP UNIT, LOEJ] The guest opens the tray, finds no medium, and closes it again; the monitor is told.
#[testjig::test(on = Ahci, launch = cd)]
fn the_guest_opens_and_closes_the_tray(hba: Ahci, vm: &Vm) {
    let engine = start(&hba);
    // Events from before the monitor is first used may be lost.
    vm.qmp_raw("query-status", Value::Null);
    let execute = |cdb| engine.execute(&packet(cdb, Some(0), &[]));
    let moved = |open: bool| {
        let event = vm.wait_event("DEVICE_TRAY_MOVED", Duration::from_secs(10));
        assert_eq!(event.data()["tray-open"], json!(open));
        assert_eq!(event.data()["id"], json!("cd"));
    };
    assert!(execute(Cdb::start_stop_unit(false, true)).is_good());
    moved(true);
    let absent = execute(Cdb::test_unit_ready());
    assert_failed(&absent);
    assert_eq!(absent.error.sense_key(), 2);
    engine.recover();
    assert!(execute(Cdb::start_stop_unit(true, true)).is_good());
    moved(false);
    let buffer = buffer(&hba, BLOCK);
    let read = engine.execute(&packet(Cdb::read_10(7, 1), None, &[whole(&buffer)]));
    assert!(read.is_good(), "{read:?}");
    assert_eq!(
        buffer.to_vec(),
        pattern(20, 40 * BLOCK)[7 * BLOCK..8 * BLOCK]
    );
}

/// Too few descriptors for a packet's data: nothing beyond them is touched.
#[testjig::test(on = Ahci, launch = cd)]
fn too_few_descriptors_move_nothing_beyond(hba: Ahci) {
    let engine = start(&hba);
    let buffer = buffer(&hba, 2 * BLOCK);
    buffer.fill(0x5a);
    engine.port().clear_interrupts(PortInterrupt::ALL);
    engine.prepare(
        0,
        &packet(
            Cdb::read_10(0, 2),
            None,
            &[Descriptor::new(buffer.addr(), 100)],
        ),
    );
    engine.issue(1);
    engine.wait(1);
    let rest = buffer.read_vec(100, 2 * BLOCK - 100);
    assert!(rest.iter().all(|&byte| byte == 0x5a));
}
