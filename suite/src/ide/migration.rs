//! Migration: another QEMU goes on where this one stopped, in the middle of a transfer.

use std::time::Duration;

use serde_json::Value;

use super::*;
use testjig::qos::dev::ata::{Address, Channel, Command, Taskfile, Unit};
use testjig::vm::{Condition, LaunchOptions};

/// Starts the machine that is to go on.
#[track_caller]
pub(crate) fn target(qemu: &Qemu, launch: Launch) -> Vm {
    let launch = launch.arg("-incoming").arg("tcp:127.0.0.1:0");
    qemu.launch(&launch, &LaunchOptions::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Sends a machine, running or stopped, to one that waits for it.
#[track_caller]
pub(crate) fn migrate(from: &Vm, to: &Vm) {
    let status = to.hmp("info migrate");
    let address = status
        .split_whitespace()
        .find(|word| word.starts_with("tcp:"))
        .unwrap_or_else(|| panic!("the target does not say where it listens:\n{status}"));
    from.hmp(&format!("migrate -d {address}"));
    let gone = Condition::new("migration completed", || {
        from.qmp_raw("query-migrate", Value::Null)["status"] == "completed"
    })
    .seeing(|| from.qmp_raw("query-migrate", Value::Null).to_string());
    from.wait_until(gone, Duration::from_secs(20));
    let arrived = Condition::new("the target has arrived", || {
        to.qmp_raw("query-status", Value::Null)["status"] != "inmigrate"
    });
    to.wait_until(arrived, Duration::from_secs(20));
}

/// A DRQ block that is read or written half goes along, with what is left of the command.
#[testjig::test(on = Channel, launch = disk, needs(running))]
fn half_a_read_goes_on(ide: Channel, vm: &Vm, qemu: &Qemu, launch: Launch) {
    let data = pattern(6, 2 * SECTOR);
    vm.disk("hd0").write(9 * SECTOR as u64, &data);
    let target = target(qemu, launch);
    target.disk("hd0").write(9 * SECTOR as u64, &data);
    ide.issue(
        &Taskfile::new(Command::READ_SECTORS)
            .at(Address::Lba28(9))
            .count(2),
    );
    ide.wait_data("READ SECTORS");
    let mut read = ide.read_block(100);

    migrate(vm, &target);
    let ide = Channel::primary(&target);
    read.extend(ide.read_block(SECTOR - 100));
    ide.wait_data("READ SECTORS");
    read.extend(ide.read_block(SECTOR));
    assert_eq!(read, data);
    ide.wait_idle();
    assert!(ide.ending().is_good());
    target.stop();
}

/// The other way: the target writes what both were given.
#[testjig::test(on = Channel, launch = disk, needs(running))]
fn half_a_write_goes_on(ide: Channel, vm: &Vm, qemu: &Qemu, launch: Launch) {
    let target = target(qemu, launch);
    ide.issue(
        &Taskfile::new(Command::WRITE_SECTORS)
            .at(Address::Lba28(9))
            .count(1),
    );
    ide.wait_data("WRITE SECTORS");
    ide.write_block(&sector(4)[..100]);

    migrate(vm, &target);
    let ide = Channel::primary(&target);
    ide.write_block(&sector(4)[100..]);
    ide.wait_idle();
    assert!(ide.ending().is_good());
    assert_eq!(target.disk("hd0").sector(9), sector(4)[..]);
    target.stop();
}

/// What software has set goes along: parameters, translation, interrupts, the write cache.
#[testjig::test(on = Channel, launch = two_disks, needs(running))]
fn settings_go_along(ide: Channel, vm: &Vm, qemu: &Qemu, launch: Launch) {
    let target = target(qemu, launch);
    ide.identify(Unit::Device1);
    ide.execute(
        &Taskfile::new(Command::SET_FEATURES)
            .to(Unit::Device1)
            .features(0x82),
    );
    ide.execute(
        &Taskfile::new(Command::SET_MULTIPLE_MODE)
            .to(Unit::Device1)
            .count(4),
    );
    ide.set_up(
        &Taskfile::new(Command::NOP)
            .to(Unit::Device1)
            .at(Address::Lba48(0x1122_3344_5566))
            .count(0x7788),
    );
    let before = ide.address48();

    migrate(vm, &target);
    let ide = Channel::primary(&target);
    assert_eq!(ide.device().unit(), Unit::Device1);
    assert_eq!(ide.address48(), before);
    assert!(!ide.identify(Unit::Device1).set1().1.write_cache());
    target.stop();
}
