//! SENSE INTERRUPT STATUS and SENSE DRIVE STATUS.

use super::*;
use testjig::qos::dev::i82078::{
    Invalid, Msr, Recalibrate, Seek, SenseDrive, SenseInterrupt, St0, St3,
};
use testjig::vm::EdgeKind::{Lower, Raise};

/// [Sense Interrupt Status] After a seek: SE, IC 0, the drive and where it is.
#[testjig::test(on = I82078, launch = two_diskettes, vary(drive = [0, 1]))]
fn a_seek_is_sensed_with_its_drive_and_cylinder(fdc: I82078, drive: u8) {
    fdc.reset();
    fdc.run(Seek::to(33).on(drive));
    let sensed = fdc.run(SenseInterrupt);
    assert_eq!(sensed.st0, St0::new().with_seek_end(true).with_drive(drive));
    assert_eq!(sensed.cylinder, 33);
}

/// [Sense Interrupt Status] After RECALIBRATE: SE, IC 0, the drive and cylinder 0.
#[testjig::test(on = I82078, launch = two_diskettes, vary(drive = [0, 1]))]
fn a_recalibration_is_sensed_with_its_drive(fdc: I82078, drive: u8) {
    fdc.reset();
    fdc.run(Seek::to(33).on(drive));
    fdc.run(SenseInterrupt);
    fdc.run(Recalibrate { drive });
    let sensed = fdc.run(SenseInterrupt);
    assert_eq!(sensed.st0, St0::new().with_seek_end(true).with_drive(drive));
    assert_eq!(sensed.cylinder, 0);
}

/// [Sense Interrupt Status] Without an interrupt pending it is an invalid command: ST0 is 80H, and there is no PCN.
#[testjig::test(on = I82078, launch = diskette)]
fn without_an_interrupt_there_is_nothing_to_sense(fdc: I82078) {
    fdc.reset();
    let st0 = fdc.run(Invalid(0x08));
    assert_eq!(st0, St0::new().with_code(InterruptCode::Invalid));
}

/// [Sense Interrupt Status] It takes the interrupt back; a second one finds none.
#[testjig::test(on = I82078, launch = diskette)]
fn an_interrupt_is_sensed_once(fdc: I82078) {
    fdc.reset();
    fdc.run(Seek::to(1));
    fdc.run(SenseInterrupt);
    assert_eq!(fdc.run(Invalid(0x08)).code(), InterruptCode::Invalid);
}

/// [Sense Interrupt Status] The line goes low with it, and rises again with the next seek.
#[testjig::test(on = I82078, launch = diskette)]
fn sensing_lowers_the_line(fdc: I82078, vm: &Vm) {
    fdc.reset();
    let irq = vm.intercept(fdc.irq());
    fdc.run(Seek::to(1));
    assert_eq!(irq.edges(), [Raise]);
    fdc.run(SenseInterrupt);
    assert_eq!(irq.edges(), [Raise, Lower]);
    fdc.run(Seek::to(2));
    assert_eq!(irq.edges(), [Raise, Lower, Raise]);
}

/// [Sense Interrupt Status] It has a result of two bytes, read with CMD BSY, DIO and RQM.
#[testjig::test(on = I82078, launch = diskette)]
fn sensing_has_a_result_of_two_bytes(fdc: I82078) {
    fdc.reset();
    fdc.run(Seek::to(1));
    fdc.send(&SenseInterrupt);
    assert_eq!(fdc.msr(), Msr::RESULT);
    fdc.fifo();
    assert_eq!(fdc.msr(), Msr::RESULT);
    fdc.fifo();
    assert_eq!(fdc.msr(), Msr::IDLE);
}

/// What any drive's status has: bits 5 and 3 are ones.
fn ones() -> St3 {
    St3::new().with_one3(true).with_one5(true)
}

/// [Sense Drive Status, ST3] Drive and head are those of the command; T0 is set on track 0.
#[testjig::test(on = I82078, launch = two_diskettes, vary(drive = [0, 1], head = [0, 1]))]
fn a_drives_status_names_drive_and_head(fdc: I82078, drive: u8, head: u8) {
    fdc.reset();
    let expected = ones().with_track0(true).with_drive(drive).with_head(head);
    assert_eq!(fdc.run(SenseDrive { drive, head }), expected);
}

/// [ST3, T0] Off track 0 it is clear.
#[testjig::test(on = I82078, launch = diskette)]
fn track_0_is_told_by_the_drives_status(fdc: I82078) {
    fdc.reset();
    fdc.run(Seek::to(1));
    let off = fdc.run(SenseDrive { drive: 0, head: 0 });
    assert_eq!(off, ones());
    fdc.run(Recalibrate { drive: 0 });
    let on = fdc.run(SenseDrive { drive: 0, head: 0 });
    assert_eq!(on, ones().with_track0(true));
}

/// [ST3, WP] The disk's write protection.
#[testjig::test(on = I82078, launch = write_protected)]
fn write_protection_is_told_by_the_drives_status(fdc: I82078) {
    fdc.reset();
    let status = fdc.run(SenseDrive { drive: 0, head: 0 });
    assert_eq!(status, ones().with_track0(true).with_write_protected(true));
}

/// [Sense Drive Status] No execution phase, no interrupt: an earlier one stays to be sensed.
#[testjig::test(on = I82078, launch = diskette)]
fn a_drives_status_raises_no_interrupt(fdc: I82078, vm: &Vm) {
    fdc.reset();
    let irq = vm.intercept(fdc.irq());
    fdc.run(SenseDrive { drive: 0, head: 0 });
    assert_eq!(irq.edges(), []);
}
