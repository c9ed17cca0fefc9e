//! INTRQ: when a device asserts it, and what takes it back.

use super::*;
use testjig::qos::dev::ata::{Address, Channel, Command, DeviceControl, Status, Taskfile, Unit};
use testjig::vm::EdgeKind::{Lower, Raise};

/// [Status] Reading it takes the interrupt back; [Alternate Status] reading that does not.
#[testjig::test(on = Channel, launch = disk)]
fn reading_status_acknowledges(ide: Channel, vm: &Vm) {
    let irq = vm.intercept(ide.irq());
    ide.execute(&Taskfile::new(Command::SEEK));
    ide.alternate_status();
    assert_eq!(irq.edges(), [Raise]);
    ide.status();
    assert_eq!(irq.edges(), [Raise, Lower]);
}

/// [Command] Writing it takes a pending interrupt back.
#[testjig::test(on = Channel, launch = disk)]
fn a_command_acknowledges(ide: Channel, vm: &Vm) {
    let irq = vm.intercept(ide.irq());
    ide.execute(&Taskfile::new(Command::SEEK));
    ide.execute(&Taskfile::new(Command::SEEK));
    assert_eq!(irq.edges(), [Raise, Lower, Raise]);
}

/// [PIO data-in command protocol] An interrupt when each DRQ block is ready, and none after the last.
#[testjig::test(on = Channel, launch = disk)]
fn a_read_has_an_interrupt_a_sector(ide: Channel, vm: &Vm) {
    let irq = vm.intercept(ide.irq());
    let task = Taskfile::new(Command::READ_SECTORS)
        .at(Address::Lba28(0))
        .count(3);
    ide.issue(&task);
    for _ in 0..3 {
        irq.clear();
        ide.wait_data(task.command);
        assert!(irq.level());
        ide.status();
        assert!(!irq.level());
        irq.clear();
        ide.read_block(SECTOR);
    }
    ide.wait_idle();
    assert_eq!(irq.edges(), []);
}

/// [PIO data-out command protocol] No interrupt before the first DRQ block; one for each further block, and one at the end.
#[testjig::test(on = Channel, launch = disk)]
fn a_write_has_an_interrupt_after_each_sector(ide: Channel, vm: &Vm) {
    let irq = vm.intercept(ide.irq());
    let task = Taskfile::new(Command::WRITE_SECTORS)
        .at(Address::Lba28(0))
        .count(2);
    ide.issue(&task);
    ide.wait_data(task.command);
    assert_eq!(irq.edges(), []);
    for seed in [1, 2] {
        irq.clear();
        ide.write_block(&sector(seed));
        ide.wait_idle();
        assert_eq!(irq.edges(), [Raise]);
        ide.status();
    }
    assert!(ide.ending().is_good());
}

/// [IDENTIFY DEVICE] An interrupt when its data is ready.
#[testjig::test(on = Channel, launch = disk)]
fn identify_has_an_interrupt(ide: Channel, vm: &Vm) {
    let irq = vm.intercept(ide.irq());
    ide.identify(Unit::Device0);
    assert_eq!(irq.edges(), [Raise, Lower]);
}

/// [Device Control, nIEN] While it is set no interrupt is seen; the status is as ever.
#[testjig::test(on = Channel, launch = disk)]
fn interrupts_can_be_disabled(ide: Channel, vm: &Vm) {
    let irq = vm.intercept(ide.irq());
    ide.set_control(DeviceControl::new().with_no_interrupt(true));
    let ending = ide.execute(&Taskfile::new(Command::SEEK));
    assert!(ending.is_good());
    ide.identify(Unit::Device0);
    assert_eq!(irq.edges(), []);
    ide.set_control(DeviceControl::new());
    ide.execute(&Taskfile::new(Command::SEEK));
    assert_eq!(irq.edges(), [Raise]);
}

/// The secondary channel has IRQ 15, and leaves 14 alone.
#[testjig::test(on = Channel, launch = secondary_disk)]
fn the_secondary_channel_has_its_own(ide: Channel, vm: &Vm) {
    let other = Channel::secondary(vm);
    let (primary, secondary) = (vm.intercept(ide.irq()), vm.intercept(other.irq()));
    other.execute(&Taskfile::new(Command::SEEK));
    assert_eq!(secondary.edges(), [Raise]);
    assert_eq!(primary.edges(), []);
    assert_ne!(other.status(), Status::new());
    assert_eq!(secondary.edges(), [Raise, Lower]);
}

fn secondary_disk(launch: Launch) -> Launch {
    launch
        .drive(Drive::new("hd2", Image::zeroed(4096 * SECTOR as u64)))
        .device(
            Device::new("ide-hd")
                .bus("ide.1")
                .prop("unit", 0)
                .prop("drive", "hd2"),
        )
}
