//! Resets and the diagnostic: what they end, and the signature that they leave.

use super::*;
use testjig::qos::dev::ata::{
    Address, Channel, Command, DeviceControl, DeviceReg, Error, Signature, Status, Taskfile, Unit,
};
use testjig::vm::EdgeKind::Raise;

/// A disk as device 0 and a CD-ROM drive as device 1.
fn disk_and_cd(launch: Launch) -> Launch {
    disk(launch).device(Device::new("ide-cd").bus("ide.0").prop("unit", 1))
}

/// [Signature and persistence] After power-on: count and LBA Low 1, and 0000h for a disk, EB14h for a packet device.
#[testjig::test(on = Channel, launch = disk_and_cd)]
fn power_on_leaves_the_signature(ide: Channel) {
    assert_eq!(ide.signature(), Signature::ATA);
    assert!(ide.status().ready() && !ide.status().err());
    ide.select(Unit::Device1);
    assert_eq!(ide.signature(), Signature::ATAPI);
}

/// [Software reset] Both devices are reset, and leave their signatures; device 0 is selected.
#[testjig::test(on = Channel, launch = disk_and_cd)]
fn a_software_reset_leaves_the_signature_in_both(ide: Channel) {
    ide.set_up(
        &Taskfile::new(Command::NOP)
            .at(Address::Lba28(0xabcdef))
            .count(9),
    );
    ide.software_reset();
    assert_eq!(ide.signature(), Signature::ATA);
    assert_eq!(ide.device().unit(), Unit::Device0);
    assert_eq!(ide.device().head(), 0);
    ide.select(Unit::Device1);
    assert_eq!(ide.signature(), Signature::ATAPI);
}

/// [Software reset] Diagnostic code 01h: device 0 passed, device 1 passed or is not there. No interrupt is asserted before a command.
#[testjig::test(on = Channel, launch = disk)]
fn a_software_reset_passes_the_diagnostic(ide: Channel) {
    ide.execute(&Taskfile::new(Command::NOP));
    ide.software_reset();
    assert_eq!(ide.error(), Error::DIAGNOSTIC_PASSED);
    let status = ide.status();
    assert!(
        status.ready() && !status.err() && !status.drq(),
        "{status:?}"
    );
}

/// [Software reset] A packet device clears DRDY until its first command.
#[testjig::test(on = Channel, launch = empty_cd)]
fn a_packet_device_is_not_ready_after_a_software_reset(ide: Channel) {
    ide.software_reset();
    assert_eq!(ide.error(), Error::DIAGNOSTIC_PASSED);
    assert_eq!(ide.status(), Status::new());
}

/// [Software reset] ends a transfer.
#[testjig::test(on = Channel, launch = disk)]
fn a_software_reset_ends_a_transfer(ide: Channel, vm: &Vm) {
    ide.issue(
        &Taskfile::new(Command::WRITE_SECTORS)
            .at(Address::Lba28(4))
            .count(2),
    );
    ide.wait_data("WRITE SECTORS");
    ide.write_block(&sector(1)[..100]);
    ide.software_reset();
    assert!(!ide.status().drq());
    ide.write_block(&sector(2));
    vm.sync();
    assert_eq!(vm.disk("hd0").sector(4), [0; SECTOR]);
}

/// [Software reset] The devices stay in reset as long as SRST is set, and a second write of it begins nothing new.
#[testjig::test(on = Channel, launch = disk)]
fn srst_may_be_written_twice(ide: Channel) {
    ide.set_control(DeviceControl::new().with_reset(true));
    ide.set_control(
        DeviceControl::new()
            .with_reset(true)
            .with_no_interrupt(true),
    );
    ide.set_control(DeviceControl::new());
    ide.wait_idle();
    assert_eq!(ide.signature(), Signature::ATA);
}

/// Hardware reset: the signature, no error, no transfer, interrupts enabled.
#[testjig::test(on = Channel, launch = disk_and_cd)]
fn a_hardware_reset_leaves_the_signature(ide: Channel, vm: &Vm) {
    let irq = vm.intercept(ide.irq());
    ide.set_control(DeviceControl::new().with_no_interrupt(true));
    ide.issue(
        &Taskfile::new(Command::WRITE_SECTORS)
            .at(Address::Lba28(4))
            .count(2),
    );
    ide.wait_data("WRITE SECTORS");
    vm.reset();
    assert_eq!(ide.signature(), Signature::ATA);
    assert!(!ide.status().drq() && !ide.status().err());
    ide.select(Unit::Device1);
    assert_eq!(ide.signature(), Signature::ATAPI);
    ide.execute(&Taskfile::new(Command::NOP));
    assert!(irq.edges().contains(&Raise));
}

/// [EXECUTE DEVICE DIAGNOSTIC] Code 01h in Error without ERR, the signature, LBA and DEV clear, an interrupt.
#[testjig::test(on = Channel, launch = two_disks, vary(device1 = [false, true]))]
fn the_diagnostic_passes(ide: Channel, vm: &Vm, device1: bool) {
    let irq = vm.intercept(ide.irq());
    let selected = DeviceReg::new().with_lba(true).with_head(7);
    ide.set_device(selected.with_device1(device1));
    ide.command(Command::EXECUTE_DEVICE_DIAGNOSTIC);
    assert!(ide.wait_idle().ready());
    assert_eq!(ide.error(), Error::DIAGNOSTIC_PASSED);
    assert_eq!(ide.signature(), Signature::ATA);
    let device = ide.device();
    assert!(
        !device.lba() && !device.device1() && device.head() == 0,
        "{device:?}"
    );
    assert!(!ide.alternate_status().err());
    assert_eq!(irq.edges(), [Raise]);
}

/// [EXECUTE DEVICE DIAGNOSTIC] A packet device leaves its own signature, and DRDY clear.
#[testjig::test(on = Channel, launch = empty_cd)]
fn the_diagnostic_of_a_packet_device_passes(ide: Channel) {
    ide.identify_packet(Unit::Device0);
    ide.command(Command::EXECUTE_DEVICE_DIAGNOSTIC);
    assert_eq!(ide.wait_idle(), Status::new());
    assert_eq!(ide.error(), Error::DIAGNOSTIC_PASSED);
    assert_eq!(ide.signature(), Signature::ATAPI);
}

/// [DEVICE RESET] Packet devices only: the signature, and Status 00h. It ends a transfer in which every other command is ignored.
#[testjig::test(on = Channel, launch = empty_cd)]
fn device_reset_ends_a_transfer(ide: Channel) {
    ide.issue(&Taskfile::new(Command::IDENTIFY_PACKET_DEVICE));
    ide.wait_data("IDENTIFY PACKET DEVICE");
    ide.command(Command::DEVICE_RESET);
    assert_eq!(ide.wait_idle(), Status::new());
    assert_eq!(ide.signature(), Signature::ATAPI);
}

/// [DEVICE RESET] A disk aborts it, and ignores it while it transfers.
#[testjig::test(on = Channel, launch = disk)]
fn a_disk_knows_no_device_reset(ide: Channel) {
    assert!(
        ide.execute(&Taskfile::new(Command::DEVICE_RESET))
            .is_aborted()
    );
    ide.issue(&Taskfile::new(Command::IDENTIFY_DEVICE));
    ide.wait_data("IDENTIFY DEVICE");
    ide.command(Command::DEVICE_RESET);
    assert!(ide.wait_idle().drq());
}
