//! The controller on a Sun board: its registers in memory, without DMA, and with status register A.

use super::*;
use testjig::qos::dev::i82078::{
    Dor, Dsr, Fdtwo, Invalid, Msr, Seek, SenseDrive, SenseInterrupt, Transfer, Version,
};
use testjig::vm::EdgeKind::{Lower, Raise};
use testjig::vm::Interface;

/// The usual disk in the board's drive.
fn built_in(launch: Launch) -> Launch {
    launch.drive(image(0, DISK).interface(Interface::Floppy).index(0))
}

/// Out of reset, at the usual disk's data rate, without DMA.
#[track_caller]
fn start(fdc: &Fdtwo) {
    fdc.set_dor(Dor::new());
    fdc.set_dor(Dor::new().with_not_reset(true));
    for _ in 0..4 {
        fdc.run(SenseInterrupt);
    }
    fdc.set_rate(DataRate::Kbps500);
    fdc.run(Specify::PIO);
}

/// [Version] It is an enhanced controller.
#[testjig::test(on = Fdtwo)]
fn the_version_is_that_of_an_enhanced_controller(fdc: Fdtwo) {
    assert_eq!(fdc.run(Version), 0x90);
}

/// [SRA, INT PENDING] The state of the interrupt line.
#[testjig::test(on = Fdtwo, launch = built_in)]
fn the_sra_shows_the_interrupt(fdc: Fdtwo) {
    start(&fdc);
    assert!(!fdc.sra().interrupt());
    fdc.run(Seek::to(3));
    assert!(fdc.sra().interrupt());
    fdc.run(SenseInterrupt);
    assert!(!fdc.sra().interrupt());
}

/// [SRA, DRV2#] High: there is no second drive.
#[testjig::test(on = Fdtwo, launch = built_in)]
fn the_sra_shows_that_there_is_one_drive(fdc: Fdtwo) {
    start(&fdc);
    assert!(fdc.sra().not_second_drive());
}

/// [Reset] The interrupt follows the same rules as on a PC, on the board's own line.
#[testjig::test(on = Fdtwo, launch = built_in)]
fn a_seek_is_told_on_the_boards_line(fdc: Fdtwo, vm: &Vm) {
    start(&fdc);
    let irq = vm.intercept(fdc.irq());
    fdc.run(Seek::to(3));
    assert_eq!(irq.edges(), [Raise]);
    assert_eq!(fdc.run(SenseInterrupt).cylinder, 3);
    assert_eq!(irq.edges(), [Raise, Lower]);
}

/// [Reset] A hardware reset leaves the controller idle, with nothing to sense.
#[testjig::test(on = Fdtwo, launch = built_in)]
fn a_reset_of_the_machine_leaves_it_idle(fdc: Fdtwo, vm: &Vm) {
    start(&fdc);
    fdc.send_bytes(&[0x0f, 0x00]);
    vm.reset();
    assert_eq!(fdc.msr(), Msr::IDLE);
    assert_eq!(fdc.run(Invalid(0x08)).code(), InterruptCode::Invalid);
}

/// [DSR, S/W RESET] Polling after it, as on a PC.
#[testjig::test(on = Fdtwo, launch = built_in)]
fn a_software_reset_polls_the_drives(fdc: Fdtwo) {
    start(&fdc);
    fdc.set_dsr(Dsr::new().with_reset(true));
    for drive in 0..4 {
        let st0 = fdc.run(SenseInterrupt).st0;
        assert_eq!((st0.code(), st0.drive()), (InterruptCode::Polling, drive));
    }
}

/// [Non-DMA mode] A sector is read byte by byte.
#[testjig::test(on = Fdtwo, launch = built_in, vary(at = [Chs::new(0, 0, 1), Chs::new(30, 1, 18)]))]
fn a_sector_is_read(fdc: Fdtwo, vm: &Vm, at: Chs) {
    let expected = fill(vm, at, 1);
    start(&fdc);
    let (data, status) = fdc.pio_read(&Transfer::read(at), 512);
    assert_eq!(data, expected);
    assert_eq!(status.st0.code(), InterruptCode::Normal);
}

/// [Non-DMA mode] A sector is written byte by byte.
#[testjig::test(on = Fdtwo, launch = built_in)]
fn a_sector_is_written(fdc: Fdtwo, vm: &Vm) {
    start(&fdc);
    fdc.send(&Transfer::write(Chs::new(5, 0, 2)));
    fdc.give_data(&pattern(8));
    let number = DISK.index(Chs::new(5, 0, 2));
    assert_eq!(vm.disk("fd0").sector(number), pattern(8));
}

/// [Sense Drive Status] The drive on track 0.
#[testjig::test(on = Fdtwo, launch = built_in)]
fn the_drive_is_on_track_0(fdc: Fdtwo) {
    start(&fdc);
    assert!(fdc.run(SenseDrive { drive: 0, head: 0 }).track0());
}
