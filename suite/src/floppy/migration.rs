//! Migration: the controller goes on in another QEMU where it stopped, in whatever phase that was.

use std::time::Duration;

use super::*;
use testjig::qos::dev::i82078::{
    Configure, DumpRegisters, Lock, Msr, Perpendicular, ReadId, Seek, SenseInterrupt, Tdr, Transfer,
};
use testjig::vm::LaunchOptions;

/// A machine that waits for this one, with the same disks.
#[track_caller]
fn target(qemu: &Qemu, launch: &Launch) -> Vm {
    let launch = launch.clone().arg("-incoming").arg("tcp:127.0.0.1:0");
    let started = qemu.launch(&launch, &LaunchOptions::default());
    started.unwrap_or_else(|error| panic!("{error}"))
}

/// Sends a machine to one that waits for it, and returns that one's controller when it runs.
#[track_caller]
fn migrate(from: &Vm, to: &Vm) -> I82078 {
    let status = to.hmp("info migrate");
    let address = status
        .split_whitespace()
        .find(|word| word.starts_with("tcp:"))
        .unwrap_or_else(|| panic!("the target does not say where it listens:\n{status}"));
    from.hmp(&format!("migrate -d {address}"));
    to.wait_event("RESUME", Duration::from_secs(30));
    I82078::pc(to)
}

/// What commands have set travels.
#[testjig::test(on = I82078, needs(running), launch = two_diskettes)]
fn settings_travel(fdc: I82078, vm: &Vm, qemu: &Qemu, launch: &Launch) {
    let target = target(qemu, launch);
    ready(&fdc);
    fdc.run(Seek::to(11));
    fdc.run(SenseInterrupt);
    fdc.run(Seek::to(22).on(1));
    fdc.run(SenseInterrupt);
    fdc.run(Configure {
        implied_seek: true,
        no_fifo: false,
        no_polling: true,
        threshold: 0xb,
        precompensation_track: 0x2a,
    });
    fdc.run(Lock(true));
    fdc.run(Perpendicular(0x84));
    fdc.set_tdr(Tdr::new().with_boot(1));
    let before = (
        fdc.save(),
        fdc.run(DumpRegisters),
        fdc.srb(),
        fdc.dor(),
        fdc.tdr(),
    );

    let fdc = migrate(vm, &target);
    let after = (
        fdc.save(),
        fdc.run(DumpRegisters),
        fdc.srb(),
        fdc.dor(),
        fdc.tdr(),
    );
    assert_eq!(after, before);
    target.stop();
}

/// The rest of a command's parameters can be sent afterwards.
#[testjig::test(on = I82078, needs(running), launch = diskette)]
fn the_command_phase_travels(fdc: I82078, vm: &Vm, qemu: &Qemu, launch: &Launch) {
    let target = target(qemu, launch);
    ready(&fdc);
    fdc.send_bytes(&[0x0f, 0x00]);
    let fdc = migrate(vm, &target);
    fdc.send_rest(&[31]);
    assert_eq!(fdc.run(SenseInterrupt).cylinder, 31);
    target.stop();
}

/// The rest of a sector can be read afterwards, and its result.
#[testjig::test(on = I82078, needs(running), launch = diskette)]
fn the_execution_phase_travels(fdc: I82078, vm: &Vm, qemu: &Qemu, launch: &Launch) {
    let target = target(qemu, launch);
    let expected = fill(vm, Chs::new(3, 0, 4), 1);
    ready_without_dma(&fdc);
    fdc.send(&Transfer::read(Chs::new(3, 0, 4)));
    let mut data = fdc.take_data(100);

    let fdc = migrate(vm, &target);
    assert_eq!(fdc.msr(), Msr::PIO_READ);
    data.extend(std::iter::repeat_with(|| fdc.fifo()).take(412));
    assert_eq!(data, expected);
    let status = fdc.result::<Transfer>();
    assert_eq!(status.st0.code(), InterruptCode::Normal);
    target.stop();
}

/// The rest of a result can be read afterwards.
#[testjig::test(on = I82078, needs(running), launch = diskette)]
fn the_result_phase_travels(fdc: I82078, vm: &Vm, qemu: &Qemu, launch: &Launch) {
    let target = target(qemu, launch);
    ready(&fdc);
    fdc.run(Seek::to(31));
    fdc.send(&SenseInterrupt);
    let st0 = fdc.fifo();
    let fdc = migrate(vm, &target);
    assert_eq!(st0, 0x20);
    assert_eq!(fdc.result_bytes(1), [31]);
    target.stop();
}

/// The drives that are still to be sensed after a reset can be sensed afterwards.
#[testjig::test(on = I82078, needs(running), launch = diskette)]
fn polling_travels(fdc: I82078, vm: &Vm, qemu: &Qemu, launch: &Launch) {
    use testjig::qos::dev::i82078::Dor;

    let target = target(qemu, launch);
    fdc.set_dor(Dor::new());
    fdc.set_dor(Dor::new().with_not_reset(true).with_dma_gate(true));
    fdc.run(SenseInterrupt);
    let fdc = migrate(vm, &target);
    for drive in 1..4 {
        let st0 = fdc.run(SenseInterrupt).st0;
        assert_eq!((st0.code(), st0.drive()), (InterruptCode::Polling, drive));
    }
    target.stop();
}

/// A READ ID that waits for its sector ends afterwards.
#[testjig::test(on = I82078, needs(running, clock), launch = diskette)]
fn a_waiting_read_id_travels(fdc: I82078, vm: &Vm, qemu: &Qemu, launch: &Launch) {
    let target = target(qemu, launch);
    ready(&fdc);
    fdc.run(Seek::to(8));
    fdc.run(SenseInterrupt);
    fdc.send(&ReadId { drive: 0, head: 1 });
    let fdc = migrate(vm, &target);
    let ready = testjig::vm::Condition::new("the result phase", || fdc.msr() == Msr::RESULT);
    target.clock().step_until(ready, Duration::from_secs(1));
    let at = fdc.result::<ReadId>().at;
    assert_eq!((at.cylinder, at.head), (8, 1));
    target.stop();
}

/// The change line travels, cleared or not.
#[testjig::test(on = I82078, needs(running), launch = diskette, vary(cleared = [false, true]))]
fn the_change_line_travels(fdc: I82078, vm: &Vm, qemu: &Qemu, launch: &Launch, cleared: bool) {
    let target = target(qemu, launch);
    ready(&fdc);
    if cleared {
        fdc.run(Seek::to(1));
        fdc.run(SenseInterrupt);
    }
    let fdc = migrate(vm, &target);
    assert_eq!(fdc.dir().disk_changed(), !cleared);
    target.stop();
}
