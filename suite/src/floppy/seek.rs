//! SEEK, RELATIVE SEEK and RECALIBRATE.

use super::*;
use testjig::qos::dev::i82078::{
    DumpRegisters, ReadId, Recalibrate, RelativeSeek, Seek, SenseInterrupt,
};
use testjig::vm::EdgeKind::Raise;

/// Seeks by a command and returns the present cylinder number that is sensed.
#[track_caller]
fn after<C>(fdc: &I82078, command: C) -> u8
where
    C: testjig::qos::dev::i82078::Command<Outcome = ()>,
{
    fdc.run(command);
    let sensed = fdc.run(SenseInterrupt);
    assert!(sensed.st0.seek_end(), "{sensed:?}");
    sensed.cylinder
}

/// [Seek] The head goes to NCN, the last cylinder included.
#[testjig::test(on = I82078, launch = diskette, vary(cylinder = [0, 1, 40, 79]))]
fn a_seek_goes_to_its_cylinder(fdc: I82078, cylinder: u8) {
    fdc.reset();
    assert_eq!(after(&fdc, Seek::to(12)), 12);
    assert_eq!(after(&fdc, Seek::to(cylinder)), cylinder);
}

/// [Seek] It ends with an interrupt.
#[testjig::test(on = I82078, launch = diskette)]
fn a_seek_ends_with_an_interrupt(fdc: I82078, vm: &Vm) {
    fdc.reset();
    let irq = vm.intercept(fdc.irq());
    fdc.send_bytes(&[0x0f, 0x00]);
    assert_eq!(irq.edges(), []);
    fdc.write_fifo(5);
    assert_eq!(irq.edges(), [Raise]);
}

/// [Seek] A seek to where the head is ends with an interrupt as well.
#[testjig::test(on = I82078, launch = diskette)]
fn a_seek_to_the_same_cylinder_ends_too(fdc: I82078) {
    fdc.reset();
    assert_eq!(after(&fdc, Seek::to(5)), 5);
    assert_eq!(after(&fdc, Seek::to(5)), 5);
}

/// [Seek] The disk plays no part: an empty drive steps too.
#[testjig::test(on = I82078, launch = empty_drive)]
fn an_empty_drive_seeks(fdc: I82078) {
    fdc.reset();
    assert_eq!(after(&fdc, Seek::to(17)), 17);
    assert_eq!(after(&fdc, RelativeSeek::inward(2)), 19);
    assert_eq!(after(&fdc, Recalibrate { drive: 0 }), 0);
}

/// [Recalibrate] The head goes to track 0, and an interrupt comes.
#[testjig::test(on = I82078, launch = diskette)]
fn a_recalibration_goes_to_track_0(fdc: I82078, vm: &Vm) {
    fdc.reset();
    assert_eq!(after(&fdc, Seek::to(44)), 44);
    let irq = vm.intercept(fdc.irq());
    fdc.run(Recalibrate { drive: 0 });
    assert_eq!(irq.edges(), [Raise]);
    assert_eq!(fdc.run(SenseInterrupt).cylinder, 0);
}

/// [Relative Seek] DIR 1: so many steps inwards.
#[testjig::test(on = I82078, launch = diskette, vary(steps = [0, 1, 30, 69]))]
fn steps_inward_add(fdc: I82078, steps: u8) {
    fdc.reset();
    assert_eq!(after(&fdc, Seek::to(10)), 10);
    assert_eq!(after(&fdc, RelativeSeek::inward(steps)), 10 + steps);
}

/// [Relative Seek] DIR 0: so many steps outwards.
#[testjig::test(on = I82078, launch = diskette, vary(steps = [0, 1, 9, 10]))]
fn steps_outward_subtract(fdc: I82078, steps: u8) {
    fdc.reset();
    assert_eq!(after(&fdc, Seek::to(10)), 10);
    assert_eq!(after(&fdc, RelativeSeek::outward(steps)), 10 - steps);
}

/// [Relative Seek] Outwards the head stops at track 0.
#[testjig::test(on = I82078, launch = diskette)]
fn steps_outward_stop_at_track_0(fdc: I82078) {
    fdc.reset();
    assert_eq!(after(&fdc, Seek::to(10)), 10);
    assert_eq!(after(&fdc, RelativeSeek::outward(11)), 0);
}

/// The drive's head can't go beyond its last cylinder: READ ID finds that one's number after too many steps.
#[testjig::test(on = I82078, needs(clock), launch = diskette, vary(steps = [70, 71, 200]))]
fn steps_inward_stop_at_the_last_cylinder(fdc: I82078, vm: &Vm, steps: u8) {
    ready(&fdc);
    assert_eq!(after(&fdc, Seek::to(10)), 10);
    after(&fdc, RelativeSeek::inward(steps));
    fdc.send(&ReadId { drive: 0, head: 0 });
    vm.clock().step_next();
    assert_eq!(fdc.result::<ReadId>().at.cylinder, 79);
}

/// [Relative Seek] It ends with an interrupt, whichever way it goes.
#[testjig::test(on = I82078, launch = diskette, vary(inward = [false, true]))]
fn a_relative_seek_ends_with_an_interrupt(fdc: I82078, vm: &Vm, inward: bool) {
    fdc.reset();
    after(&fdc, Seek::to(10));
    let irq = vm.intercept(fdc.irq());
    fdc.run(if inward {
        RelativeSeek::inward(1)
    } else {
        RelativeSeek::outward(1)
    });
    assert_eq!(irq.edges(), [Raise]);
}

/// [Dumpreg] The controller keeps a present cylinder for each drive.
#[testjig::test(on = I82078, launch = two_diskettes)]
fn drives_seek_independently(fdc: I82078) {
    fdc.reset();
    assert_eq!(after(&fdc, Seek::to(21)), 21);
    assert_eq!(after(&fdc, Seek::to(34).on(1)), 34);
    assert_eq!(fdc.run(DumpRegisters).cylinders, [21, 34, 0, 0]);

    assert_eq!(after(&fdc, RelativeSeek::inward(3).on(1)), 37);
    assert_eq!(after(&fdc, RelativeSeek::outward(1)), 20);
    assert_eq!(fdc.run(DumpRegisters).cylinders, [20, 37, 0, 0]);

    assert_eq!(after(&fdc, RelativeSeek::outward(7).on(1)), 30);
    assert_eq!(after(&fdc, RelativeSeek::inward(1)), 21);
    assert_eq!(after(&fdc, Recalibrate { drive: 0 }), 0);
    assert_eq!(fdc.run(DumpRegisters).cylinders, [0, 30, 0, 0]);
    assert_eq!(after(&fdc, Recalibrate { drive: 1 }), 0);
    assert_eq!(fdc.run(DumpRegisters).cylinders, [0, 0, 0, 0]);
}
