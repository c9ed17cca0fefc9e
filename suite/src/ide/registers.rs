//! The command block: one set of ports for two devices.

use super::*;
use testjig::qos::dev::ata::{
    Address, Channel, Command, DeviceControl, DeviceReg, Error, Reg, Signature, Status, Taskfile,
    Unit,
};

const PARAMETERS: [Reg; 4] = [Reg::SectorCount, Reg::LbaLow, Reg::LbaMid, Reg::LbaHigh];

/// [Sector Count, LBA Low, LBA Mid, LBA High] are read as they were written while the device is not busy.
#[testjig::test(on = Channel, launch = disk)]
fn parameters_read_as_written(ide: Channel) {
    for (reg, value) in PARAMETERS.into_iter().zip([0x5a, 0xa5, 0x3c, 0xc3]) {
        ide.write(reg, value);
    }
    assert_eq!(
        PARAMETERS.map(|reg| ide.read(reg)),
        [0x5a, 0xa5, 0x3c, 0xc3]
    );
}

/// [Device] Head and LBA read as written. Bits 5 and 7 are obsolete; ATA-3 has them set.
#[testjig::test(on = Channel, launch = disk)]
fn the_device_register_reads_as_written(ide: Channel) {
    let written = DeviceReg::new().with_lba(true).with_head(9);
    ide.set_device(written);
    assert_eq!(
        ide.device(),
        written.with_obsolete5(true).with_obsolete7(true)
    );
}

/// [Device/Head of ATA-3] Both devices take what is written to the command block, whichever is selected.
#[testjig::test(on = Channel, launch = two_disks)]
fn both_devices_take_parameters(ide: Channel) {
    for (reg, value) in PARAMETERS.into_iter().zip([1, 2, 3, 4]) {
        ide.write(reg, value);
    }
    ide.select(Unit::Device1);
    assert_eq!(PARAMETERS.map(|reg| ide.read(reg)), [1, 2, 3, 4]);
    assert_eq!(ide.device().unit(), Unit::Device1);
}

/// [Device] DEV selects which device executes commands and answers reads.
#[testjig::test(on = Channel, launch = two_disks)]
fn commands_go_to_the_selected_device(ide: Channel, vm: &Vm) {
    vm.disk("hd0").set_sector(5, &sector(1));
    vm.disk("hd1").set_sector(5, &sector(2));
    assert_eq!(
        ide.read_sectors(Unit::Device0, Address::Lba28(5), 1),
        sector(1)
    );
    assert_eq!(
        ide.read_sectors(Unit::Device1, Address::Lba28(5), 1),
        sector(2)
    );
    assert_eq!(
        ide.read_sectors(Unit::Device0, Address::Lba28(5), 1),
        sector(1)
    );
}

/// [Error] Each device has an error register of its own.
#[testjig::test(on = Channel, launch = two_disks)]
fn an_error_is_the_selected_devices(ide: Channel) {
    let refused = ide.execute(&Taskfile::new(Command::NOP).to(Unit::Device1));
    assert!(refused.is_aborted(), "{refused:?}");
    ide.select(Unit::Device0);
    assert!(!ide.alternate_status().err());
    assert!(!ide.error().aborted());
    ide.select(Unit::Device1);
    assert!(ide.alternate_status().err());
}

/// [Status, Alternate Status] show the same but for the acknowledgement.
#[testjig::test(on = Channel, launch = disk)]
fn alternate_status_is_status(ide: Channel) {
    let refused = ide.execute(&Taskfile::new(Command::NOP));
    assert_eq!(ide.status(), refused.status);
    assert_eq!(ide.alternate_status(), refused.status);
}

/// [Device 1 is absent] Device 0 answers for it: Status is 00h, and a command to it is ignored.
#[testjig::test(on = Channel, launch = disk)]
fn an_absent_device_1_is_silent(ide: Channel, vm: &Vm) {
    let irq = vm.intercept(ide.irq());
    ide.issue(&Taskfile::new(Command::IDENTIFY_DEVICE).to(Unit::Device1));
    assert_eq!(ide.alternate_status(), Status::new());
    assert_eq!(ide.status(), Status::new());
    assert_eq!(ide.error(), Error::new());
    assert_eq!(irq.edges(), []);
    ide.select(Unit::Device0);
    assert!(ide.status().ready() && !ide.status().drq());
}

/// Where no device is, nothing answers, and no command is done.
#[testjig::test(on = Channel)]
fn an_empty_channel_is_neither_busy_nor_ready(ide: Channel) {
    for unit in [Unit::Device0, Unit::Device1] {
        ide.select(unit);
        ide.command(Command::FLUSH_CACHE);
        assert_eq!(ide.status(), Status::new());
        assert_eq!(ide.alternate_status(), Status::new());
        assert_eq!(ide.ending().count, 0);
        assert_eq!(ide.ending().lba, [0; 3]);
        assert_eq!(ide.error(), Error::new());
    }
}

/// [Command block] While DRQ is set, what is written to it, but for Command, is ignored.
#[testjig::test(on = Channel, launch = disk)]
fn parameters_are_locked_while_data_is_due(ide: Channel) {
    ide.issue(&Taskfile::new(Command::IDENTIFY_DEVICE));
    ide.wait_data("IDENTIFY DEVICE");
    let before = ide.ending();
    for reg in PARAMETERS {
        ide.write(reg, 0x77);
    }
    ide.write(Reg::Error, 0x77);
    ide.select(Unit::Device1);
    assert_eq!(ide.ending(), before);
}

/// [Command] While DRQ is set, another command is ignored: the transfer goes on.
#[testjig::test(on = Channel, launch = disk)]
fn commands_are_ignored_while_data_is_due(ide: Channel) {
    ide.issue(&Taskfile::new(Command::IDENTIFY_DEVICE));
    ide.wait_data("IDENTIFY DEVICE");
    let first = ide.data();
    ide.command(Command::READ_NATIVE_MAX);
    assert!(ide.wait_idle().drq());
    let rest = ide.read_block(SECTOR - 2);
    assert_eq!(first, 0x0040);
    assert_eq!(rest[rest.len() - 1], 0);
    assert!(ide.ending().is_good());
}

/// [Device Control, HOB] shows what the registers held before they were last written.
#[testjig::test(on = Channel, launch = disk)]
fn previous_contents_are_kept(ide: Channel) {
    for value in [0x11, 0x22] {
        for (reg, offset) in PARAMETERS.into_iter().zip(0..) {
            ide.write(reg, value + offset);
        }
    }
    ide.set_control(DeviceControl::new().with_previous(true));
    assert_eq!(
        PARAMETERS.map(|reg| ide.read(reg)),
        [0x11, 0x12, 0x13, 0x14]
    );
    ide.set_control(DeviceControl::new());
    assert_eq!(
        PARAMETERS.map(|reg| ide.read(reg)),
        [0x22, 0x23, 0x24, 0x25]
    );
}

/// [Device Control, HOB] Both devices keep previous contents, the features' among them, which are seen at Error.
#[testjig::test(on = Channel, launch = two_disks)]
fn previous_contents_are_kept_by_both(ide: Channel) {
    for value in [0x11, 0x22] {
        for (reg, offset) in PARAMETERS.into_iter().zip(0..) {
            ide.write(reg, value + offset);
        }
        ide.write(Reg::Error, value + 8);
    }
    ide.select(Unit::Device1);
    ide.set_control(DeviceControl::new().with_previous(true));
    assert_eq!(
        PARAMETERS.map(|reg| ide.read(reg)),
        [0x11, 0x12, 0x13, 0x14]
    );
    assert_eq!(ide.read(Reg::Error), 0x19);
}

/// [Device Control, HOB] A write to any register of the command block clears it.
#[testjig::test(
    on = Channel,
    launch = disk,
    vary(reg = [Reg::Error, Reg::SectorCount, Reg::LbaLow, Reg::LbaMid, Reg::LbaHigh, Reg::Status])
)]
fn a_write_ends_the_view_of_previous_contents(ide: Channel, reg: Reg) {
    for value in [0x11, 0x22] {
        ide.write(Reg::LbaLow, value);
        ide.write(Reg::LbaMid, value);
    }
    ide.set_control(DeviceControl::new().with_previous(true));
    assert_eq!(ide.read(Reg::LbaLow), 0x11);
    ide.write(reg, Command::CHECK_POWER_MODE.0);
    ide.wait_idle();
    let witness = if reg == Reg::LbaLow {
        Reg::LbaMid
    } else {
        Reg::LbaLow
    };
    assert_eq!(ide.read(witness), 0x22);
}

/// The data register is 16 bits wide; the bus bridge makes two cycles of a doubleword, the low word first [82371SB data sheet].
#[testjig::test(on = Channel, launch = disk)]
fn doublewords_are_two_words(ide: Channel, vm: &Vm) {
    vm.disk("hd0").set_sector(9, &sector(3));
    ide.issue(
        &Taskfile::new(Command::READ_SECTORS)
            .at(Address::Lba28(9))
            .count(1),
    );
    ide.wait_data("READ SECTORS");
    let read: Vec<u8> = (0..SECTOR / 4)
        .flat_map(|_| ide.io().inl(0).to_le_bytes())
        .collect();
    assert_eq!(read, sector(3));
    assert!(ide.ending().is_good());

    ide.issue(
        &Taskfile::new(Command::WRITE_SECTORS)
            .at(Address::Lba28(10))
            .count(1),
    );
    ide.wait_data("WRITE SECTORS");
    for four in sector(4).chunks_exact(4) {
        ide.io()
            .outl(0, u32::from_le_bytes(four.try_into().expect("four bytes")));
    }
    ide.wait_idle();
    assert!(ide.ending().is_good());
    assert_eq!(vm.disk("hd0").sector(10), sector(4)[..]);
}

/// [Data] Without DRQ there is no data: a read moves nothing, a write changes nothing.
#[testjig::test(on = Channel, launch = disk)]
fn the_data_register_is_idle_without_a_transfer(ide: Channel, vm: &Vm) {
    ide.data();
    ide.io().inl(0);
    ide.set_data(0x5555);
    ide.io().outl(0, 0x5555_5555);
    assert!(ide.ending().is_good());
    vm.disk("hd0").set_sector(1, &sector(1));
    assert_eq!(
        ide.read_sectors(Unit::Device0, Address::Lba28(1), 1),
        sector(1)
    );
}

/// [Data] A transfer goes one way: writes during a data-in transfer, and reads during a data-out one, move nothing.
#[testjig::test(on = Channel, launch = disk)]
fn a_transfer_goes_one_way(ide: Channel, vm: &Vm) {
    vm.disk("hd0").set_sector(1, &sector(1));
    ide.issue(
        &Taskfile::new(Command::READ_SECTORS)
            .at(Address::Lba28(1))
            .count(1),
    );
    ide.wait_data("READ SECTORS");
    ide.set_data(0x5555);
    ide.io().outl(0, 0x5555_5555);
    assert_eq!(ide.read_block(SECTOR), sector(1));

    ide.issue(
        &Taskfile::new(Command::WRITE_SECTORS)
            .at(Address::Lba28(2))
            .count(1),
    );
    ide.wait_data("WRITE SECTORS");
    ide.data();
    ide.io().inl(0);
    ide.write_block(&sector(2));
    assert!(!ide.wait_idle().drq());
    assert_eq!(vm.disk("hd0").sector(2), sector(2)[..]);
}

/// The secondary channel is at 170h and 376h, and has devices of its own.
#[testjig::test(on = Channel, launch = secondary)]
fn the_secondary_channel_is_apart(ide: Channel, vm: &Vm) {
    let other = Channel::secondary(vm);
    vm.disk("hd2").set_sector(3, &sector(7));
    assert_eq!(other.signature(), Signature::ATA);
    assert_eq!(
        other.read_sectors(Unit::Device0, Address::Lba28(3), 1),
        sector(7)
    );
    other.write(Reg::LbaLow, 0x99);
    assert_eq!(ide.signature(), Signature::ATA);
    assert!(
        ide.identify(Unit::Device0).lba48_sectors()
            != other.identify(Unit::Device0).lba48_sectors()
    );
}

fn secondary(launch: Launch) -> Launch {
    disk(launch)
        .drive(Drive::new("hd2", Image::zeroed(4096 * SECTOR as u64)))
        .device(
            Device::new("ide-hd")
                .bus("ide.1")
                .prop("unit", 0)
                .prop("drive", "hd2"),
        )
}
