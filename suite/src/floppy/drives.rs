//! Two drives on one controller.

use super::*;
use testjig::qos::dev::i82078::{Dor, SenseDrive, Tdr, Transfer};

/// Different data in the same sector of both disks; returns drive 0's and drive 1's.
#[track_caller]
fn mark(vm: &Vm) -> [Vec<u8>; 2] {
    [0u8, 1].map(|unit| {
        let sector = pattern(100 + u64::from(unit));
        vm.disk(&format!("fd{unit}")).set_sector(2, &sector);
        sector.to_vec()
    })
}

/// Reads the third sector of a drive.
#[track_caller]
fn read(fdc: &I82078, vm: &Vm, drive: u8) -> Vec<u8> {
    let memory = dma_to_memory(vm, 512);
    let status = fdc.run(Transfer::read(Chs::new(0, 0, 3)).to(18).on(drive));
    assert_ended(status, drive, Chs::new(0, 0, 4));
    memory.to_vec()
}

/// [Read Data, DS] The command's second byte chooses the drive.
#[testjig::test(on = I82078, launch = two_diskettes)]
fn a_command_chooses_its_drive(fdc: I82078, vm: &Vm) {
    let [first, second] = mark(vm);
    ready(&fdc);
    assert_eq!(read(&fdc, vm, 0), first);
    assert_eq!(read(&fdc, vm, 1), second);
    assert_eq!(read(&fdc, vm, 0), first);
}

/// [Write Data, DS] A write reaches its drive's disk and not the other one's.
#[testjig::test(on = I82078, launch = two_diskettes, vary(drive = [0, 1]))]
fn a_write_reaches_its_drive(fdc: I82078, vm: &Vm, drive: u8) {
    ready(&fdc);
    let _memory = dma_from_memory(vm, &pattern(3));
    fdc.run(Transfer::write(Chs::FIRST).on(drive));
    let disks = ["fd0", "fd1"].map(|id| vm.disk(id).sector(0));
    assert_eq!(disks[usize::from(drive)], pattern(3));
    assert_eq!(disks[usize::from(1 - drive)], [0; SECTOR]);
}

/// [TDR, BOOTSEL] With 1 there, drives 0 and 1 change places.
#[testjig::test(on = I82078, launch = two_diskettes)]
fn the_boot_drive_changes_places(fdc: I82078, vm: &Vm) {
    let [first, second] = mark(vm);
    ready(&fdc);
    fdc.set_tdr(Tdr::new().with_boot(1));
    assert_eq!(read(&fdc, vm, 0), second);
    assert_eq!(read(&fdc, vm, 1), first);
    fdc.set_tdr(Tdr::new());
    assert_eq!(read(&fdc, vm, 0), first);
}

/// [DIR] It shows the disk change line of the drive that the DOR selects.
#[testjig::test(on = I82078, launch = two_diskettes)]
fn the_change_line_is_the_selected_drives(fdc: I82078) {
    use testjig::qos::dev::i82078::{Seek, SenseInterrupt};

    ready(&fdc);
    fdc.run(Seek::to(1).on(1));
    fdc.run(SenseInterrupt);
    let dor = Dor::new().with_not_reset(true).with_dma_gate(true);
    fdc.set_dor(dor);
    assert!(fdc.dir().disk_changed());
    fdc.set_dor(dor.with_drive(1));
    assert!(!fdc.dir().disk_changed());
}

fn one_protected(launch: Launch) -> Launch {
    let launch = diskette(launch);
    let second = image(1, DISK).read_only(true);
    launch.drive(second).device(drive(1))
}

/// [ST3, WP] Write protection is each drive's own.
#[testjig::test(on = I82078, launch = one_protected)]
fn write_protection_is_each_drives_own(fdc: I82078) {
    ready(&fdc);
    let protected = |drive| fdc.run(SenseDrive { drive, head: 0 }).write_protected();
    assert!(!protected(0));
    assert!(protected(1));
}
