//! The bus master's registers: starting, stopping, status.

use serde_json::json;

use super::*;
use testjig::qos::dev::ata::{Signature, Unit};
use testjig::qos::dev::piix_ide::BmCommand;
use testjig::qos::pci::{Pci, header};
use testjig::vm::EdgeKind::Raise;
use testjig::vm::{Fault, LaunchOptions, Object};

/// [Configuration space] Intel's IDE function: IDE in compatibility mode, able to be a bus master.
#[testjig::test(on = PiixIde)]
fn the_function_is_an_ide_bus_master(ide: PiixIde) {
    assert_eq!(ide.function().id(), (0x8086, 0x7010));
    assert_eq!(ide.function().read::<u8>(header::CLASS_CODE), 0x80);
    assert_eq!(ide.bar().size(), 16);
}

/// The same by the PIIX4.
#[testjig::test(on = PiixIde)]
fn the_piix4_has_the_same_function(qemu: &Qemu, launch: Launch) {
    if qemu.version.major < 9 {
        Fault::skip("the choice of a PIIX4 came with QEMU 8.2").raise();
    }
    let launch = disk(launch.machine_option("x-south-bridge", "piix4-isa"));
    let vm = qemu
        .launch(&launch, &LaunchOptions::default())
        .unwrap_or_else(|error| panic!("{error}"));
    let ide = PiixIde::find(&Pci::pc(&vm));
    let Port { ata, bus_master } = ide.primary();
    assert_eq!(ide.function().id(), (0x8086, 0x7111));
    vm.disk("hd0").set_sector(1, &sector(4));
    let buffer = buffer(&ide, SECTOR);
    let table = ide.table(&[whole(&buffer)]);
    assert_done(bus_master.transfer(&ata, &read(1, 1), &table, Direction::ToMemory));
    assert_eq!(buffer.to_vec(), sector(4));
}

/// [BMICOM, BMISTA, BMIDTP] All are zero after power-on.
#[testjig::test(on = PiixIde, launch = disk)]
fn registers_begin_at_zero(ide: PiixIde) {
    for Port { bus_master, .. } in [ide.primary(), ide.secondary()] {
        assert_eq!(bus_master.command(), BmCommand::new());
        assert_eq!(bus_master.status(), BmStatus::new());
        assert_eq!(bus_master.table(), 0);
    }
}

/// [BMICOM] Bits 7:4 and 2:1 are reserved and read as zero.
#[testjig::test(on = PiixIde, launch = disk)]
fn reserved_command_bits_are_zero(ide: PiixIde) {
    let Port { bus_master, .. } = ide.primary();
    bus_master.set_command(0xfe.into());
    assert_eq!(bus_master.command(), BmCommand::new().with_to_memory(true));
}

/// [BMISTA] Bits 6:5 are kept for the driver; 7, 4 and 3 are zero; bit 0 can't be written.
#[testjig::test(on = PiixIde, launch = disk)]
fn the_capable_bits_are_kept(ide: PiixIde) {
    let Port { bus_master, .. } = ide.primary();
    let capable = BmStatus::new()
        .with_device0_capable(true)
        .with_device1_capable(true);
    bus_master.set_status(0xf9.into());
    assert_eq!(bus_master.status(), capable);
    assert_eq!(ide.secondary().bus_master.status(), BmStatus::new());
    bus_master.set_status(BmStatus::new());
    assert_eq!(bus_master.status(), BmStatus::new());
}

/// [BMIDTP] Dword, word and byte accesses reach its parts.
#[testjig::test(on = PiixIde, launch = disk)]
fn the_table_pointer_has_parts(ide: PiixIde) {
    let Port { bus_master, .. } = ide.primary();
    let (bar, _) = bus_master.registers();
    bus_master.set_table(0x1234_5678);
    assert_eq!(bar.read::<u16>(BusMaster::TABLE + 2), 0x1234);
    assert_eq!(bar.read::<u8>(BusMaster::TABLE + 1), 0x56);
    bar.write::<u16>(BusMaster::TABLE + 2, 0xabcd);
    bar.write::<u8>(BusMaster::TABLE + 1, 0xef);
    bar.write::<u8>(BusMaster::TABLE, 0x7b);
    assert_eq!(bus_master.table(), 0xabcd_ef78);
    assert_eq!(ide.secondary().bus_master.table(), 0);
}

/// [BMISTA bit 2] The interrupt stays until 1 is written to it; writing 0 does not clear it.
#[testjig::test(on = PiixIde, launch = disk)]
fn the_interrupt_bit_is_cleared_by_1(ide: PiixIde) {
    let Port { ata, bus_master } = ide.primary();
    let buffer = buffer(&ide, SECTOR);
    let table = ide.table(&[whole(&buffer)]);
    assert_done(bus_master.transfer(&ata, &read(0, 1), &table, Direction::ToMemory));
    ata.status();
    assert!(bus_master.status().interrupt(), "not by reading Status");
    bus_master.set_status(BmStatus::new());
    assert!(bus_master.status().interrupt(), "not by 0");
    bus_master.set_status(BmStatus::new().with_interrupt(true));
    assert_eq!(bus_master.status(), BmStatus::new());
}

/// [BMISTA bit 2] It tells of every interrupt of the channel, not of those of transfers only.
#[testjig::test(on = PiixIde, launch = disk)]
fn the_interrupt_bit_tells_of_any_interrupt(ide: PiixIde) {
    let Port { ata, bus_master } = ide.primary();
    ata.execute(&Taskfile::new(Command::SEEK));
    assert_eq!(bus_master.status(), DONE);
    assert_eq!(ide.secondary().bus_master.status(), BmStatus::new());
}

/// [§3.1] The bus master may be started before the command is written, or after.
#[testjig::test(on = PiixIde, launch = disk)]
fn it_may_be_started_before_the_command(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.primary();
    vm.disk("hd0").set_sector(0, &sector(3));
    let buffer = buffer(&ide, SECTOR);
    let table = ide.table(&[whole(&buffer)]);
    bus_master.prepare(&table, Direction::ToMemory);
    bus_master.start();
    assert_eq!(bus_master.status(), BmStatus::new().with_active(true));
    ata.issue(&read(0, 1));
    assert_eq!(bus_master.wait(), DONE);
    assert_eq!(buffer.to_vec(), sector(3));
}

/// [DMA command protocol] Without the bus master's start the device waits for it.
#[testjig::test(on = PiixIde, launch = disk)]
fn without_a_start_nothing_moves(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.primary();
    let irq = vm.intercept(ata.irq());
    let buffer = buffer(&ide, SECTOR);
    buffer.fill(0x5a);
    let table = ide.table(&[whole(&buffer)]);
    bus_master.prepare(&table, Direction::ToMemory);
    ata.issue(&read(0, 1));
    let status = ata.alternate_status();
    assert!(status.busy() || status.drq(), "{status:?}");
    assert_eq!(bus_master.status(), BmStatus::new());
    assert_eq!(irq.edges(), []);
    assert_eq!(buffer.to_vec(), [0x5a; SECTOR]);
    bus_master.start();
    assert_eq!(bus_master.wait(), DONE);
    assert_eq!(irq.edges(), [Raise]);
}

/// [BMICOM bit 0] Clearing it ends an idle bus master's activity; setting it twice starts once.
#[testjig::test(on = PiixIde, launch = disk)]
fn stop_ends_activity(ide: PiixIde) {
    let Port { bus_master, .. } = ide.primary();
    bus_master.start();
    bus_master.start();
    assert!(bus_master.status().active());
    bus_master.stop();
    assert_eq!(bus_master.status(), BmStatus::new());
}

/// [PCI command, bit 2] A function that may not be a bus master moves nothing.
#[testjig::test(on = PiixIde, launch = disk)]
fn without_bus_mastering_memory_is_untouched(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.primary();
    vm.disk("hd0").set_sector(0, &sector(3));
    let buffer = buffer(&ide, SECTOR);
    buffer.fill(0x5a);
    let table = ide.table(&[whole(&buffer)]);
    ide.function()
        .change_command(|command| command.with_bus_master(false));
    bus_master.prepare(&table, Direction::ToMemory);
    ata.issue(&read(0, 1));
    bus_master.start();
    vm.sync();
    ata.software_reset();
    assert_eq!(buffer.to_vec(), [0x5a; SECTOR]);
    assert!(!bus_master.status().error(), "nobody aborted");
}

/// A disk that moves a byte a second: a transfer stays in flight until somebody ends it. The host's block
/// layer lets it go when it is told to finish what is pending.
fn slow(launch: Launch) -> Launch {
    launch
        .object(Object::new("throttle-group", "slowly").prop("x-bps-total", 1))
        .drive(Drive::new("hd0", Image::zeroed(SECTORS * SECTOR as u64)))
        .arg("-blockdev")
        .arg("driver=throttle,node-name=slow,throttle-group=slowly,file=hd0")
        .device(
            Device::new("ide-hd")
                .bus("ide.0")
                .prop("unit", 0)
                .prop("drive", "slow"),
        )
}

/// From now on the disk is as fast as any.
#[track_caller]
fn hasten(vm: &Vm) {
    vm.qmp_raw(
        "qom-set",
        json!({"path": "/objects/slowly", "property": "limits", "value": {"bps-total": 0}}),
    );
}

/// Has a transfer of one sector in flight: QEMU's own look at the partition table has used up the disk's budget.
#[track_caller]
fn in_flight(ide: &PiixIde, task: &Taskfile, direction: Direction) -> GuestBuf {
    let Port { ata, bus_master } = ide.primary();
    let buffer = buffer(ide, SECTOR);
    let table = ide.table(&[whole(&buffer)]);
    bus_master.prepare(&table, direction);
    ata.issue(task);
    bus_master.start();
    assert_eq!(bus_master.status(), BmStatus::new().with_active(true));
    buffer
}

/// The device is busy and the bus master active until the medium has answered.
#[testjig::test(on = PiixIde, launch = held_back)]
fn a_transfer_takes_its_time(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.primary();
    let irq = vm.intercept(ata.irq());
    vm.disk("hd0").set_sector(0, &sector(3));
    let buffer = buffer(&ide, SECTOR);
    buffer.fill(0x5a);
    let table = ide.table(&[whole(&buffer)]);
    vm.hmp("qemu-io -d disk0 \"break read_aio here\"");
    bus_master.prepare(&table, Direction::ToMemory);
    ata.issue(&read(0, 1));
    bus_master.start();
    assert_eq!(bus_master.status(), BmStatus::new().with_active(true));
    assert_eq!(buffer.to_vec(), [0x5a; SECTOR]);
    assert_eq!(irq.edges(), []);
    vm.hmp("qemu-io -d disk0 \"resume here\"");
    assert_eq!(bus_master.wait(), DONE);
    assert_eq!(buffer.to_vec(), sector(3));
}

/// A disk whose requests can be held back, by the host's monitor.
fn held_back(launch: Launch) -> Launch {
    launch
        .drive(Drive::new("hd0", Image::zeroed(SECTORS * SECTOR as u64)))
        .arg("-blockdev")
        .arg("driver=blkdebug,node-name=debug,image=hd0")
        .arg("-blockdev")
        .arg("driver=raw,node-name=held,file=debug")
        .device(
            Device::new("ide-hd")
                .id("disk0")
                .bus("ide.0")
                .prop("unit", 0)
                .prop("drive", "held"),
        )
}

/// [BMICOM bit 0] Stopping a transfer in flight: the bus master is no longer active, and the next transfer is as any other.
#[testjig::test(on = PiixIde, launch = slow)]
fn a_transfer_in_flight_can_be_stopped(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.primary();
    let _held = in_flight(&ide, &read(0, 1), Direction::ToMemory);
    bus_master.stop();
    assert!(!bus_master.status().active());
    ata.software_reset();
    hasten(vm);
    vm.disk("hd0").set_sector(8, &sector(6));
    let buffer = buffer(&ide, SECTOR);
    let table = ide.table(&[whole(&buffer)]);
    assert_done(bus_master.transfer(&ata, &read(8, 1), &table, Direction::ToMemory));
    assert_eq!(buffer.to_vec(), sector(6));
}

/// [Software reset] ends a transfer in flight, with the signature.
#[testjig::test(on = PiixIde, launch = slow)]
fn a_software_reset_ends_a_transfer_in_flight(ide: PiixIde) {
    let Port { ata, .. } = ide.primary();
    let _held = in_flight(&ide, &write(0, 1), Direction::FromMemory);
    ata.software_reset();
    assert_eq!(ata.signature(), Signature::ATA);
    assert!(!ata.status().drq());
    assert!(ata.execute(&Taskfile::new(Command::SEEK)).is_good());
}

/// [Software reset] ends a PIO transfer whose data the medium has not given yet.
#[testjig::test(on = PiixIde, launch = slow)]
fn a_software_reset_ends_a_read_by_pio(ide: PiixIde) {
    let Port { ata, .. } = ide.primary();
    let task = Taskfile::new(Command::READ_SECTORS)
        .at(Address::Lba28(0))
        .count(1);
    ata.issue(&task);
    assert!(ata.alternate_status().busy());
    ata.software_reset();
    assert_eq!(ata.signature(), Signature::ATA);
    assert_eq!(ata.identify(Unit::Device0).lba48_sectors(), SECTORS);
}

/// A reset of the machine ends a transfer that has not begun to move; the bus master's registers are zero, and the function is no bus
/// master and decodes no ports.
#[testjig::test(on = PiixIde, launch = disk)]
fn a_hardware_reset_ends_a_transfer(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.primary();
    let table = ide.table(&[whole(&buffer(&ide, SECTOR))]);
    bus_master.prepare(&table, Direction::ToMemory);
    ata.issue(&read(0, 1));
    bus_master.set_status(BmStatus::new().with_device0_capable(true));
    vm.reset();
    assert_eq!(ata.signature(), Signature::ATA);
    assert!(!ata.status().drq());
    let command = ide.function().command();
    assert!(!command.bus_master() && !command.io(), "{command:?}");
    assert_eq!(ide.function().read::<u32>(header::BAR0 + 16), 1);
    drop((ide, bus_master));
    let bus_master = PiixIde::find(&Pci::pc(vm)).primary().bus_master;
    assert_eq!(bus_master.status(), BmStatus::new());
    assert_eq!(bus_master.command(), BmCommand::new());
    assert_eq!(bus_master.table(), 0);
}
