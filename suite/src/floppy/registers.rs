//! Registers that are read and written without a command.

use super::*;
use testjig::qos::dev::i82078::{Dor, Msr, Reg, Srb, Tdr, Transfer, Version};

/// [DOR] It can be read, and shows what was written.
#[testjig::test(on = I82078, vary(value = [0x04, 0x0c, 0x0d, 0x1c, 0x2d, 0xfd]))]
fn the_dor_reads_as_written(fdc: I82078, value: u8) {
    fdc.set_dor(value.into());
    assert_eq!(u8::from(fdc.dor()), value);
}

/// [SRB] MOT EN0, MOT EN1 and DRIVE SEL0 follow the DOR; bits 7 and 6 are ones, and no data toggle the others.
#[testjig::test(on = I82078, vary(motor0 = [false, true], motor1 = [false, true], drive = [0, 1]))]
fn the_srb_follows_the_dor(fdc: I82078, motor0: bool, motor1: bool, drive: u8) {
    let dor = Dor::new().with_not_reset(true).with_dma_gate(true);
    fdc.set_dor(
        dor.with_motor0(!motor0)
            .with_motor1(!motor1)
            .with_drive(1 - drive),
    );
    fdc.set_dor(
        dor.with_motor0(motor0)
            .with_motor1(motor1)
            .with_drive(drive),
    );
    let expected = Srb::new()
        .with_ones(3)
        .with_motor0(motor0)
        .with_motor1(motor1)
        .with_drive_select0(drive == 1);
    assert_eq!(fdc.srb(), expected);
}

/// [TDR] The boot drive's number can be read back.
#[testjig::test(on = I82078, vary(boot = [0, 1]))]
fn the_boot_drive_reads_as_written(fdc: I82078, boot: u8) {
    fdc.set_tdr(Tdr::new().with_boot(1 - boot));
    fdc.set_tdr(Tdr::new().with_boot(boot));
    assert_eq!(fdc.tdr().boot(), boot);
}

/// [CCR] and [DSR] share the data rate: the one that was written last counts.
#[testjig::test(on = I82078, launch = diskette)]
fn the_last_written_rate_counts(fdc: I82078, vm: &Vm) {
    use testjig::qos::dev::i82078::Dsr;

    ready(&fdc);
    fdc.set_rate(DataRate::Mbps1);
    fdc.set_dsr(Dsr::new().with_rate(DataRate::Kbps500));
    dma_to_memory(vm, 512);
    let at_dsr_rate = fdc.run(Transfer::read(Chs::FIRST));
    fdc.set_rate(DataRate::Kbps250);
    dma_to_memory(vm, 512);
    let at_ccr_rate = fdc.run(Transfer::read(Chs::FIRST));

    assert_eq!(at_dsr_rate.st0.code(), InterruptCode::Normal);
    assert_eq!(at_ccr_rate.st0.code(), InterruptCode::Abnormal);
}

/// The ports that only one direction is defined for take the other one without effect.
#[testjig::test(on = I82078, launch = diskette)]
fn read_only_registers_take_no_writes(fdc: I82078) {
    fdc.reset();
    let before = (fdc.srb(), fdc.dor(), fdc.msr());
    fdc.write(Reg::Sra, 0xff);
    fdc.write(Reg::Srb, 0xff);
    assert_eq!((fdc.srb(), fdc.dor(), fdc.msr()), before);
    assert_eq!(fdc.run(Version), 0x90);
}

/// Port 3F6 is the hard disk controller's: what is written there is no command for this one.
#[testjig::test(on = I82078, launch = diskette)]
fn port_6_is_not_the_controllers(fdc: I82078, vm: &Vm) {
    fdc.reset();
    vm.outb(I82078::PORT + 6, 0x10);
    assert_eq!(fdc.msr(), Msr::IDLE);
    assert_eq!(fdc.run(Version), 0x90);
}

/// [DOR] A hardware reset leaves 00H: the controller is in reset, its motors are off.
#[testjig::test(on = I82078, xfail = "it is 0CH; no report known")]
fn the_dor_is_clear_after_a_hardware_reset(fdc: I82078, vm: &Vm) {
    fdc.set_dor(Dor::from(0x1c));
    vm.reset();
    assert_eq!(fdc.dor(), Dor::new());
}
