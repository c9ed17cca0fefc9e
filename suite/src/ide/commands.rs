//! Commands without data.

use super::*;
use testjig::qos::dev::ata::{Address, Channel, Command, Taskfile, Unit};
use testjig::vm::EdgeKind::Raise;
use testjig::vm::Fault;

/// Commands without data that a disk has end ready, without an error, and with an interrupt.
#[testjig::test(
    on = Channel,
    launch = disk,
    vary(command = [
        Command::RECALIBRATE, Command::READ_VERIFY, Command::READ_VERIFY_NO_RETRY, Command::READ_VERIFY_EXT, Command::SEEK,
        Command::FLUSH_CACHE, Command::FLUSH_CACHE_EXT, Command::SECURITY_FREEZE_LOCK
    ])
)]
fn a_command_without_data_ends_ready(ide: Channel, vm: &Vm, command: Command) {
    let irq = vm.intercept(ide.irq());
    let address = match command {
        Command::READ_VERIFY_EXT => Address::Lba48(100),
        _ => Address::Lba28(100),
    };
    let ending = ide.execute(&Taskfile::new(command).at(address).count(1));
    assert!(ending.is_good(), "{ending:?}");
    assert_eq!(irq.edges(), [Raise]);
}

/// [ATA-3, Status bit 4] Seek complete after a command that moves the heads.
#[testjig::test(on = Channel, launch = disk, vary(command = [Command::RECALIBRATE, Command::SEEK, Command::READ_VERIFY]))]
fn a_seek_completes(ide: Channel, command: Command) {
    let ending = ide.execute(&Taskfile::new(command).at(Address::Lba28(7)).count(1));
    assert!(ending.status.seek_complete(), "{ending:?}");
}

/// [Command] What the device does not support is aborted, with an interrupt.
#[testjig::test(
    on = Channel,
    launch = disk,
    vary(command = [
        Command::NOP, Command::PACKET, Command::IDENTIFY_PACKET_DEVICE, Command::READ_BUFFER, Command::CFA_REQUEST_EXTENDED_ERROR,
        Command::CFA_TRANSLATE_SECTOR, Command::CFA_ERASE_SECTORS, Command(0xff)
    ])
)]
fn an_unknown_command_is_aborted(ide: Channel, vm: &Vm, command: Command) {
    let irq = vm.intercept(ide.irq());
    let ending = ide.execute(&Taskfile::new(command).count(1));
    assert!(ending.is_aborted(), "{ending:?}");
    assert!(ending.status.ready());
    assert_eq!(irq.edges(), [Raise]);
}

/// [Command] A packet device aborts a disk's commands.
#[testjig::test(
    on = Channel,
    launch = empty_cd,
    vary(command = [Command::WRITE_SECTORS, Command::READ_DMA, Command::READ_SECTORS_EXT, Command::SMART, Command::SET_MULTIPLE_MODE])
)]
fn a_packet_device_aborts_a_disks_commands(ide: Channel, command: Command) {
    let ending = ide.execute(&Taskfile::new(command).count(1));
    assert!(ending.is_aborted(), "{ending:?}");
}

/// [INITIALIZE DEVICE PARAMETERS, ATA-5] Heads and sectors of the translation by which CHS addresses are meant from then on.
#[testjig::test(on = Channel, launch = disk)]
fn a_translation_can_be_set(ide: Channel, vm: &Vm) {
    let image = vm.disk("hd0");
    image.set_sector(8 * 32, &sector(1));
    image.set_sector(2 * 8 * 32 + 5 * 32 + 31, &sector(2));
    let task = Taskfile::new(Command::INITIALIZE_DEVICE_PARAMETERS)
        .at(Address::Chs(0, 7, 0))
        .count(32);
    let ending = ide.execute(&task);
    assert!(ending.is_good(), "{ending:?}");
    let read = |address| ide.read_sectors(Unit::Device0, address, 1);
    assert_eq!(read(Address::Chs(1, 0, 1)), sector(1));
    assert_eq!(read(Address::Chs(2, 5, 32)), sector(2));
    assert_eq!(read(Address::Lba28(8 * 32)), sector(1));
}

/// [INITIALIZE DEVICE PARAMETERS, ATA-5] Sectors follow each other by the translation that was set.
#[testjig::test(on = Channel, launch = disk)]
fn a_set_translation_carries(ide: Channel, vm: &Vm) {
    let data = pattern(3, 4 * SECTOR);
    vm.disk("hd0").write((8 * 32 - 2) * SECTOR as u64, &data);
    let task = Taskfile::new(Command::INITIALIZE_DEVICE_PARAMETERS)
        .at(Address::Chs(0, 7, 0))
        .count(32);
    ide.execute(&task);
    assert_eq!(
        ide.read_sectors(Unit::Device0, Address::Chs(0, 7, 31), 4),
        data
    );
    assert_eq!(ide.ending().chs(), (1, 0, 3));
}

/// [INITIALIZE DEVICE PARAMETERS] A packet device has no translation.
#[testjig::test(on = Channel, launch = empty_cd)]
fn a_packet_device_has_no_translation(ide: Channel) {
    let ending = ide.execute(&Taskfile::new(Command::INITIALIZE_DEVICE_PARAMETERS).count(32));
    assert!(ending.is_aborted(), "{ending:?}");
}

/// [SET FEATURES, CCh and 66h] A software reset reverts to power-on defaults, the translation among them, or does not.
#[testjig::test(on = Channel, launch = disk, vary(revert = [true, false]))]
fn a_translation_is_reverted_on_request(ide: Channel, vm: &Vm, revert: bool) {
    let image = vm.disk("hd0");
    image.set_sector(16 * 63, &sector(1));
    image.set_sector(8 * 32, &sector(2));
    let task = Taskfile::new(Command::INITIALIZE_DEVICE_PARAMETERS)
        .at(Address::Chs(0, 7, 0))
        .count(32);
    ide.execute(&task);
    for feature in [0xcc].into_iter().chain((!revert).then_some(0x66)) {
        let ending = ide.execute(&Taskfile::new(Command::SET_FEATURES).features(feature));
        assert!(ending.is_good(), "{ending:?}");
    }
    ide.software_reset();
    let expected = if revert { sector(1) } else { sector(2) };
    assert_eq!(
        ide.read_sectors(Unit::Device0, Address::Chs(1, 0, 1), 1),
        expected
    );
}

/// [READ NATIVE MAX ADDRESS] The last sector of the disk.
#[testjig::test(on = Channel, launch = disk)]
fn the_native_maximum_is_the_last_sector(ide: Channel) {
    let ending = ide.execute(&Taskfile::new(Command::READ_NATIVE_MAX).at(Address::Lba28(0)));
    assert!(ending.is_good(), "{ending:?}");
    assert_eq!(u64::from(ending.lba28()), SECTORS - 1);
}

/// [READ NATIVE MAX ADDRESS] As a CHS address, in the default translation, whichever is current: even one without sectors.
#[testjig::test(on = Channel, launch = disk, vary(sectors = [32, 0]))]
fn the_native_maximum_is_in_the_default_translation(ide: Channel, vm: &Vm, sectors: u16) {
    if vm.qemu().version.major < 8 {
        Fault::skip("QEMU before 8 answers in the current translation").raise();
    }
    vm.disk("hd0").set_sector(8 * 32, &sector(2));
    let translation = Taskfile::new(Command::INITIALIZE_DEVICE_PARAMETERS)
        .at(Address::Chs(0, 7, 0))
        .count(sectors);
    ide.execute(&translation);
    let ending = ide.execute(&Taskfile::new(Command::READ_NATIVE_MAX).at(Address::Chs(0, 0, 1)));
    assert_eq!(ending.chs(), (40, 0, 1));
    if sectors > 0 {
        // And the current one is still that.
        assert_eq!(
            ide.read_sectors(Unit::Device0, Address::Chs(1, 0, 1), 1),
            sector(2)
        );
    }
}

/// A disk that 28-bit commands can't reach all of.
fn large(launch: Launch) -> Launch {
    launch
        .drive(Drive::new(
            "hd0",
            Image::zeroed(SECTOR as u64 * 0x12_3456_789a),
        ))
        .device(
            Device::new("ide-hd")
                .bus("ide.0")
                .prop("unit", 0)
                .prop("drive", "hd0"),
        )
}

/// [READ NATIVE MAX ADDRESS EXT] All 48 bits of the last sector's address.
#[testjig::test(on = Channel, launch = large)]
fn the_native_maximum_has_48_bits(ide: Channel) {
    let ending = ide.execute(&Taskfile::new(Command::READ_NATIVE_MAX_EXT).at(Address::Lba48(0)));
    assert!(ending.is_good(), "{ending:?}");
    assert_eq!(ide.address48().0, 0x12_3456_7899);
}

/// [FLUSH CACHE] A packet device has it too; without a medium it may be an error, and ends.
#[testjig::test(
    on = Channel,
    launch = |launch| if medium { cd(launch) } else { empty_cd(launch) },
    vary(medium = [true, false])
)]
fn a_packet_device_flushes(ide: Channel, medium: bool) {
    let ending = ide.execute(&Taskfile::new(Command::FLUSH_CACHE));
    assert!(ending.is_good() || !medium, "{ending:?}");
    assert!(!ending.status.drq(), "{ending:?}");
}

/// [DATA SET MANAGEMENT, ATA8-ACS] Only TRIM, bit 0 of Features, is defined: anything else is aborted.
#[testjig::test(on = Channel, launch = disk, vary(features = [0, 2]))]
fn an_undefined_data_set_management_is_aborted(ide: Channel, features: u16) {
    let ending = ide.execute(
        &Taskfile::new(Command::DATA_SET_MANAGEMENT)
            .count(1)
            .features(features),
    );
    assert!(ending.is_aborted(), "{ending:?}");
}
