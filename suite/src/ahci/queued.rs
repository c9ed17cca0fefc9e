//! Native command queueing: READ and WRITE FPDMA QUEUED (Serial ATA 3.0 §13.6, ATA8-ACS).

use super::*;
use testjig::qos::dev::ahci::received;

/// A queued command: the count is in Features, the tag in bits 7:3 of the count.
fn queued(command: Command, lba: u64, sectors: u16, tag: u8) -> Taskfile {
    Taskfile::new(command)
        .at(Address::Lba48(lba))
        .features(sectors)
        .count(u16::from(tag) << 3)
}

fn queued_read(lba: u64, sectors: u16, tag: u8) -> Taskfile {
    queued(Command::READ_FPDMA_QUEUED, lba, sectors, tag)
}

/// Issues prepared commands as queued ones: PxSACT first, then PxCI (§5.6.4.1).
fn issue(engine: &Engine, tags: u32) {
    engine.port().write(PortReg::Sact, tags);
    engine.issue(tags);
}

/// One queued read, by its tag; the set device bits FIS tells it done.
#[testjig::test(on = Ahci, launch = disk, vary(tag = [0_u8, 1, 31]))]
fn a_queued_read_fills_memory(hba: Ahci, vm: &Vm, tag: u8) {
    let data = pattern(7, 5 * SECTOR);
    vm.disk("hd0").write(0x1_0002 * SECTOR as u64, &data);
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, data.len());
    engine.prepare(
        tag,
        &Request::new(&queued_read(0x1_0002, 5, tag), &[whole(&buffer)]),
    );
    engine
        .port()
        .clear_interrupts(testjig::qos::dev::ahci::PortInterrupt::ALL);
    issue(&engine, 1 << tag);
    engine.wait(1 << tag);
    let outcome = engine.outcome(tag);
    assert!(
        outcome.is_good() && outcome.interrupts.device_bits(),
        "{outcome:?}"
    );
    assert_eq!(engine.port().read(PortReg::Sact), 0);
    assert_eq!(buffer.to_vec(), data);
    let fis = engine.received(received::DEVICE_BITS);
    assert_eq!(fis[..2], [0xa1, 0x40]);
    assert_eq!(fis[4..8], (1_u32 << tag).to_le_bytes());
}

/// One queued write.
#[testjig::test(on = Ahci, launch = disk)]
fn a_queued_write_reaches_the_medium(hba: Ahci, vm: &Vm) {
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, 3 * SECTOR);
    buffer.write(0, &pattern(8, 3 * SECTOR));
    let task = queued(Command::WRITE_FPDMA_QUEUED, 0x100, 3, 4);
    engine.prepare(4, &Request::new(&task, &[whole(&buffer)]).to_device());
    issue(&engine, 1 << 4);
    engine.wait(1 << 4);
    assert!(engine.outcome(4).is_good());
    let mut written = vec![0; 3 * SECTOR];
    vm.disk("hd0").read(0x100 * SECTOR as u64, &mut written);
    assert_eq!(written, buffer.to_vec());
}

/// 32 commands queued at once are all done, each with its own data.
#[testjig::test(on = Ahci, launch = disk)]
fn thirty_two_commands_are_queued(hba: Ahci, vm: &Vm) {
    let data = pattern(9, 32 * SECTOR);
    vm.disk("hd0").write(0, &data);
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, data.len());
    for tag in 0..32_u8 {
        // Backwards, so that no two tags could be mixed up unseen.
        let sector = u64::from(31 - tag);
        let part = Descriptor::new(buffer.addr() + sector * SECTOR as u64, SECTOR as u32);
        engine.prepare(tag, &Request::new(&queued_read(sector, 1, tag), &[part]));
    }
    issue(&engine, u32::MAX);
    engine.wait(u32::MAX);
    assert_eq!(engine.port().read(PortReg::Sact), 0);
    assert_eq!(buffer.to_vec(), data);
}

/// A disk of 2⁴¹ sectors, all of them holes.
fn huge(launch: Launch) -> Launch {
    launch
        .drive(Drive::new("hd0", Image::zeroed(SECTOR as u64 * (1 << 41))))
        .device(hd("hd0", 0))
}

/// All six bytes of the address count.
#[testjig::test(on = Ahci, launch = huge, vary(lba = [0xff_u64, 0xff00, 0xff_0000, 0xff00_0000, 0xff_0000_0000, 0x100_0000_0000]))]
fn all_bytes_of_the_address_count(hba: Ahci, vm: &Vm, lba: u64) {
    let data = pattern(10, SECTOR);
    vm.disk("hd0").write(lba * SECTOR as u64, &data);
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, SECTOR);
    engine.prepare(0, &Request::new(&queued_read(lba, 1, 0), &[whole(&buffer)]));
    issue(&engine, 1);
    engine.wait(1);
    assert_eq!(buffer.to_vec(), data);
}

/// [ATA8-ACS] A count of 0 is 65,536 sectors: 32 MiB, by descriptors of 4 MiB.
#[testjig::test(on = Ahci, launch = |launch| disk(launch.memory(256 * MIB)))]
fn count_0_is_65536_sectors(hba: Ahci, vm: &Vm) {
    let (first, last) = (pattern(11, SECTOR), pattern(12, SECTOR));
    vm.disk("hd0").write(SECTOR as u64, &first);
    vm.disk("hd0").write(0x1_0000 * SECTOR as u64, &last);
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, 0x1_0000 * SECTOR);
    let descriptors: Vec<Descriptor> = (0..8)
        .map(|part| Descriptor::new(buffer.addr() + part * (4 << 20), 4 << 20))
        .collect();
    engine.prepare(0, &Request::new(&queued_read(1, 0, 0), &descriptors));
    issue(&engine, 1);
    engine.wait(1);
    assert!(engine.outcome(0).is_good());
    assert_eq!(buffer.read_vec(0, SECTOR), first);
    assert_eq!(buffer.read_vec(0xffff * SECTOR as u64, SECTOR), last);
}

/// Forced unit access, priority, and descriptors with room for more are no error.
#[testjig::test(on = Ahci, launch = disk)]
fn hints_are_no_error(hba: Ahci) {
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, 2 * SECTOR);
    let mut request = Request::new(&queued_read(3, 1, 0), &[whole(&buffer)]);
    request.fis.0[7] |= 0x80;
    request.fis.0[13] |= 0x80;
    request.fis.0[14] = 1;
    request.fis.0[12] |= 1;
    request.fis.0[16] = 1;
    engine.prepare(0, &request);
    issue(&engine, 1);
    engine.wait(1);
    let outcome = engine.outcome(0);
    assert!(outcome.is_good(), "{outcome:?}");
}

/// [§6.1.5] Descriptors for less than the command moves: OFS.
#[testjig::test(on = Ahci, launch = disk)]
fn too_few_descriptors_overflow(hba: Ahci) {
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, SECTOR);
    engine.prepare(0, &Request::new(&queued_read(0, 2, 0), &[whole(&buffer)]));
    issue(&engine, 1);
    engine.port().hba().vm().sync();
    assert!(engine.port().interrupts().overflow());
}

/// Descriptors with room for more than the command moves are no error.
#[testjig::test(on = Ahci, launch = disk)]
fn more_room_than_data_is_no_error(hba: Ahci, vm: &Vm) {
    let data = pattern(14, SECTOR);
    vm.disk("hd0").write(0, &data);
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, 3 * SECTOR);
    buffer.fill(0x5a);
    let parts = [
        Descriptor::new(buffer.addr(), 100),
        Descriptor::new(buffer.addr() + 100, 1436),
    ];
    engine.prepare(0, &Request::new(&queued_read(0, 1, 0), &parts));
    issue(&engine, 1);
    engine.wait(1);
    assert!(engine.outcome(0).is_good());
    assert_eq!(buffer.read_vec(0, SECTOR), data);
    assert!(
        buffer
            .read_vec(SECTOR as u64, 2 * SECTOR)
            .iter()
            .all(|&byte| byte == 0x5a)
    );
}

/// [Serial ATA] Tags need not be those of slots for a device; what is done is told by the tag.
#[testjig::test(on = Ahci, launch = disk)]
fn a_tag_is_told_in_the_set_device_bits_fis(hba: Ahci) {
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, SECTOR);
    engine.prepare(5, &Request::new(&queued_read(0, 1, 9), &[whole(&buffer)]));
    engine.port().write(PortReg::Sact, 1 << 9);
    engine.issue(1 << 5);
    engine.wait(1 << 5 | 1 << 9);
    assert_eq!(
        engine.received(received::DEVICE_BITS)[4..8],
        (1_u32 << 9).to_le_bytes()
    );
}

/// Queued commands that move no data are not supported: an error.
#[testjig::test(on = Ahci, launch = disk, vary(command = [0x63, 0x64, 0x65]))]
fn other_queued_commands_are_not_done(hba: Ahci, vm: &Vm, command: u8) {
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, SECTOR);
    buffer.fill(0x5a);
    engine.prepare(
        0,
        &Request::new(&queued(Command(command), 0, 1, 0), &[whole(&buffer)]),
    );
    issue(&engine, 1);
    vm.sync();
    assert_eq!(buffer.to_vec(), [0x5a; SECTOR]);
    engine.recover();
    engine.port().reset();
    assert_reads(&engine, vm);
}
