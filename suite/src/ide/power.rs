//! Power management: the drive takes its commands, those of ATA-1 among them, and works on.

use super::*;
use testjig::qos::dev::ata::{Address, Channel, Command, Taskfile, Unit};
use testjig::vm::EdgeKind::Raise;

/// [STANDBY IMMEDIATE, IDLE IMMEDIATE, STANDBY, IDLE, SLEEP] end ready, with an interrupt; a read afterwards works.
#[testjig::test(
    on = Channel,
    launch = disk,
    vary(command = [
        Command::STANDBY_IMMEDIATE, Command::IDLE_IMMEDIATE, Command::STANDBY, Command::IDLE, Command::SLEEP,
        Command::STANDBY_IMMEDIATE_OLD, Command::IDLE_IMMEDIATE_OLD, Command::STANDBY_OLD, Command::IDLE_OLD, Command::SLEEP_OLD
    ])
)]
fn a_power_command_ends_ready(ide: Channel, vm: &Vm, command: Command) {
    let irq = vm.intercept(ide.irq());
    let ending = ide.execute(&Taskfile::new(command));
    assert!(ending.is_good(), "{ending:?}");
    assert_eq!(irq.edges(), [Raise]);
    vm.disk("hd0").set_sector(1, &sector(1));
    assert_eq!(
        ide.read_sectors(Unit::Device0, Address::Lba28(1), 1),
        sector(1)
    );
}

/// [CHECK POWER MODE] FFh in Sector Count: active or idle.
#[testjig::test(on = Channel, launch = disk, vary(command = [Command::CHECK_POWER_MODE, Command::CHECK_POWER_MODE_OLD]))]
fn the_drive_is_active(ide: Channel, command: Command) {
    let ending = ide.execute(&Taskfile::new(command).count(0x11));
    assert!(ending.is_good(), "{ending:?}");
    assert_eq!(ending.count, 0xff);
}
