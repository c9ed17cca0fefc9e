//! The disk change line, and disks that come and go.
//!
//! A drive sets its change line when its disk is taken out; a step with a disk in the drive clears it. [DIR, DSK CHG] shows it.

use super::*;
use testjig::qos::dev::i82078::{
    Recalibrate, RelativeSeek, Seek, SenseDrive, SenseInterrupt, Transfer,
};
use testjig::vm::Interface;

/// Changes what is in drive 0 by a QMP command on it.
#[track_caller]
fn medium(vm: &Vm, command: &str, node: Option<&str>) {
    let arguments = match node {
        Some(node) => format!(r#"{{"id": "drive0", "node-name": "{node}"}}"#),
        None => r#"{"id": "drive0"}"#.to_owned(),
    };
    let arguments = arguments.parse().expect("it is JSON");
    vm.qmp_raw(command, arguments);
}

/// A second disk, not in any drive.
fn another(launch: Launch) -> Launch {
    diskette(launch).drive(image(1, DISK))
}

#[track_caller]
fn seek(fdc: &I82078, cylinder: u8) {
    fdc.run(Seek::to(cylinder));
    fdc.run(SenseInterrupt);
}

/// After power-on nobody knows what is in the drive.
#[testjig::test(on = I82078, launch = diskette)]
fn at_first_the_disk_counts_as_changed(fdc: I82078) {
    fdc.reset();
    assert!(fdc.dir().disk_changed());
}

/// A step clears the line.
#[testjig::test(on = I82078, launch = diskette)]
fn a_step_clears_the_change_line(fdc: I82078) {
    fdc.reset();
    seek(&fdc, 1);
    assert!(!fdc.dir().disk_changed());
}

/// Without a step it stays.
#[testjig::test(on = I82078, launch = diskette)]
fn without_a_step_the_change_line_stays(fdc: I82078) {
    fdc.reset();
    seek(&fdc, 0);
    fdc.run(SenseDrive { drive: 0, head: 1 });
    assert!(fdc.dir().disk_changed());
}

/// RELATIVE SEEK and RECALIBRATE step too.
#[testjig::test(on = I82078, launch = another, vary(recalibrate = [false, true]))]
fn other_commands_step_too(fdc: I82078, vm: &Vm, recalibrate: bool) {
    fdc.reset();
    seek(&fdc, 5);
    medium(vm, "blockdev-remove-medium", None);
    medium(vm, "blockdev-insert-medium", Some("fd1"));
    assert!(fdc.dir().disk_changed());
    if recalibrate {
        fdc.run(Recalibrate { drive: 0 });
    } else {
        fdc.run(RelativeSeek::inward(1));
    }
    assert!(!fdc.dir().disk_changed());
}

/// An empty drive's line stays, however it steps.
#[testjig::test(on = I82078, launch = empty_drive)]
fn an_empty_drives_change_line_stays(fdc: I82078) {
    fdc.reset();
    assert!(fdc.dir().disk_changed());
    seek(&fdc, 1);
    seek(&fdc, 2);
    assert!(fdc.dir().disk_changed());
}

/// Taking the disk out sets the line.
#[testjig::test(on = I82078, launch = diskette)]
fn taking_the_disk_out_sets_the_change_line(fdc: I82078, vm: &Vm) {
    fdc.reset();
    seek(&fdc, 1);
    medium(vm, "blockdev-remove-medium", None);
    assert!(fdc.dir().disk_changed());
    seek(&fdc, 2);
    assert!(fdc.dir().disk_changed());
}

/// Without its disk, a drive has no sectors.
#[testjig::test(on = I82078, launch = diskette)]
fn a_disk_that_was_taken_out_is_not_read(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    medium(vm, "blockdev-remove-medium", None);
    dma_to_memory(vm, 512);
    let status = fdc.run(Transfer::read(Chs::FIRST));
    assert_eq!(status.st0.code(), InterruptCode::Abnormal);
}

/// The other disk is read once it is in, and written; the first one stays as it was.
#[testjig::test(on = I82078, launch = another)]
fn the_other_disk_is_used_after_a_change(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    vm.disk("fd0").set_sector(0, &pattern(1));
    vm.disk("fd1").set_sector(0, &pattern(2));
    medium(vm, "blockdev-remove-medium", None);
    medium(vm, "blockdev-insert-medium", Some("fd1"));

    let memory = dma_to_memory(vm, 512);
    fdc.run(Transfer::read(Chs::FIRST));
    assert_eq!(memory.to_vec(), pattern(2));

    let _data = dma_from_memory(vm, &pattern(3));
    fdc.run(Transfer::write(Chs::FIRST));
    assert_eq!(vm.disk("fd0").sector(0), pattern(1));
    assert_eq!(vm.disk("fd1").sector(0), pattern(3));
}

/// A disk is put into a drive that was empty from the start.
#[testjig::test(on = I82078, launch = |launch| empty_drive(launch).drive(image(0, DISK)))]
fn an_empty_drive_takes_a_disk(fdc: I82078, vm: &Vm) {
    let expected = fill(vm, Chs::new(1, 0, 1), 1);
    ready(&fdc);
    medium(vm, "blockdev-insert-medium", Some("fd0"));
    assert!(fdc.dir().disk_changed());
    let memory = dma_to_memory(vm, 512);
    let status = fdc.run(Transfer::read(Chs::new(1, 0, 1)).to(18));
    assert_ended(status, 0, Chs::new(1, 0, 2));
    assert_eq!(memory.to_vec(), expected);
    assert!(!fdc.dir().disk_changed());
}

/// A write protected disk after one that is not, and the reverse: WP follows the disk.
#[testjig::test(on = I82078, launch = |launch| diskette(launch).drive(image(1, DISK).read_only(true)))]
fn write_protection_follows_the_disk(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    let protected = || fdc.run(SenseDrive { drive: 0, head: 0 }).write_protected();
    assert!(!protected());
    medium(vm, "blockdev-remove-medium", None);
    medium(vm, "blockdev-insert-medium", Some("fd1"));
    assert!(protected());
    medium(vm, "blockdev-remove-medium", None);
    medium(vm, "blockdev-insert-medium", Some("fd0"));
    assert!(!protected());
}

/// 720 KB in the same drive.
const DOUBLE_DENSITY: Geometry = Geometry::new(80, 2, 9);

/// The geometry follows the disk: its last sector, and its data rate.
#[testjig::test(on = I82078, launch = |launch| diskette(launch).drive(image(1, DOUBLE_DENSITY)))]
fn the_geometry_follows_the_disk(fdc: I82078, vm: &Vm) {
    use testjig::qos::dev::i82078::DumpRegisters;

    ready(&fdc);
    medium(vm, "blockdev-remove-medium", None);
    medium(vm, "blockdev-insert-medium", Some("fd1"));
    assert_eq!(fdc.run(DumpRegisters).sectors, 9);
    dma_to_memory(vm, 512);
    let old_rate = fdc.run(Transfer::read(Chs::FIRST));
    assert_eq!(old_rate.st1, St1::new().with_missing_address(true));
    fdc.set_rate(DataRate::Kbps250);
    dma_to_memory(vm, 512);
    let new_rate = fdc.run(Transfer::read(Chs::FIRST));
    assert_eq!(new_rate.st0.code(), InterruptCode::Normal);
}

/// A drive of the machine's own interface, as `-drive if=floppy` makes it.
fn built_in(launch: Launch) -> Launch {
    launch.drive(image(0, DISK).interface(Interface::Floppy).index(0))
}

/// A disk given with the machine is in drive 0.
#[testjig::test(on = Pc, launch = built_in)]
fn a_disk_of_the_machine_is_in_drive_0(vm: &Vm) {
    let fdc = I82078::pc(vm);
    let expected = fill(vm, Chs::new(0, 0, 2), 1);
    ready(&fdc);
    let memory = dma_to_memory(vm, 512);
    let status = fdc.run(Transfer::read(Chs::new(0, 0, 2)).to(18));
    assert_ended(status, 0, Chs::new(0, 0, 3));
    assert_eq!(memory.to_vec(), expected);
}
