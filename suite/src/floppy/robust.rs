//! Sequences that have broken controllers: none of them may stop the machine, and after a reset the controller works.

use super::*;
use testjig::qos::dev::i82078::{Command, Dor, Msr, Operation, Transfer};

/// Resets the controller, and reads a sector that it has not seen.
#[track_caller]
fn assert_works(fdc: &I82078, vm: &Vm) {
    let expected = fill(vm, Chs::new(42, 1, 4), 1);
    ready(fdc);
    let memory = dma_to_memory(vm, 512);
    let status = fdc.run(Transfer::read(Chs::new(42, 1, 4)).to(18));
    assert_ended(status, 0, Chs::new(42, 1, 5));
    assert_eq!(memory.to_vec(), expected);
}

/// CVE-2015-3456, "VENOM": parameters of DRIVE SPECIFICATION without an end, more of them than the FIFO is long.
#[testjig::test(on = I82078, launch = diskette)]
fn endless_drive_specifications_are_survived(fdc: I82078, vm: &Vm) {
    fdc.reset();
    fdc.write_fifo(0x8e);
    for _ in 0..5000 {
        fdc.write_fifo(0x42);
    }
    assert_works(&fdc, vm);
}

/// CVE-2015-3456 by the other command that did not end: parameters of READ ID and what follows, before its sector came by.
#[testjig::test(on = I82078, launch = diskette)]
fn bytes_after_a_waiting_read_id_are_survived(fdc: I82078, vm: &Vm) {
    fdc.reset();
    for _ in 0..5000 {
        fdc.write_fifo(0x0a);
    }
    assert_works(&fdc, vm);
}

/// CVE-2021-20196: transfers on a drive that the controller does not have.
#[testjig::test(on = I82078, launch = diskette, vary(operation = [Operation::Read, Operation::Write, Operation::ReadDeleted], dma = [false, true]))]
fn a_missing_drive_is_survived(fdc: I82078, vm: &Vm, operation: Operation, dma: bool) {
    ready(&fdc);
    if !dma {
        fdc.run(Specify::PIO);
    }
    dma_to_memory(vm, 512);
    fdc.set_dor(
        Dor::new()
            .with_not_reset(true)
            .with_dma_gate(dma)
            .with_drive(1),
    );
    fdc.dir();
    for byte in Transfer::new(operation, Chs::FIRST).on(1).bytes() {
        fdc.write_fifo(byte);
    }
    for _ in 0..1024 {
        fdc.fifo();
        fdc.write_fifo(0x5a);
    }
    assert_works(&fdc, vm);
}

/// CVE-2021-3507: a read of several tracks whose first sector lies behind its last.
#[testjig::test(on = I82078, launch = diskette, vary(size = [0, 2, 7, 255], end = [0, 1, 255]))]
fn an_end_before_the_beginning_is_survived(fdc: I82078, vm: &Vm, size: u8, end: u8) {
    ready(&fdc);
    dma_to_memory(vm, 4096);
    let transfer = Transfer::read(Chs::new(1, 0, 18)).to(end).sized(size);
    for byte in transfer.multi_track().bytes() {
        fdc.write_fifo(byte);
    }
    for _ in 0..2048 {
        fdc.fifo();
    }
    assert_works(&fdc, vm);
}

/// [Powerdown Mode] In the middle of its parameters the controller can be reset.
#[testjig::test(on = I82078, launch = diskette, vary(parameters = [0, 1, 2]))]
fn a_power_down_command_is_survived(fdc: I82078, vm: &Vm, parameters: usize) {
    fdc.reset();
    fdc.write_fifo(0x17);
    for _ in 0..parameters {
        fdc.write_fifo(0x02);
    }
    assert_works(&fdc, vm);
}

/// [Format and Write] and [Drive Specification] with their ends in all places.
#[testjig::test(on = I82078, launch = diskette, vary(end = [0x80, 0xc0], before = [0, 1, 4]))]
fn ended_drive_specifications_are_survived(fdc: I82078, vm: &Vm, end: u8, before: usize) {
    fdc.reset();
    fdc.write_fifo(0x8e);
    for _ in 0..before {
        fdc.write_fifo(0x15);
    }
    fdc.write_fifo(end);
    for _ in 0..16 {
        fdc.fifo();
    }
    assert_works(&fdc, vm);
}

/// [Drive Specification, DN] A byte for each of four drives, and the one that ends the command: no more are taken.
#[testjig::test(on = I82078, launch = diskette)]
fn the_done_bit_ends_drive_specifications(fdc: I82078) {
    fdc.reset();
    fdc.send_bytes(&[0x8e, 0x00, 0x20, 0x40, 0x60, 0x80]);
    let msr = fdc.msr();
    assert!(msr == Msr::RESULT || msr == Msr::IDLE, "{msr:?}");
}

/// [Format and Write] With whatever follows it.
#[testjig::test(on = I82078, launch = diskette)]
fn formatting_and_writing_is_survived(fdc: I82078, vm: &Vm) {
    fdc.reset();
    for byte in [0xcd, 0x00, 2, 18, 0x6c, 0xf6] {
        fdc.write_fifo(byte);
    }
    for _ in 0..4096 {
        fdc.write_fifo(0x01);
    }
    assert_works(&fdc, vm);
}

/// Every command byte, each with parameters of the same bits, in a row. FORMAT TRACK and RESTORE are left out: they say how many
/// sectors a track has.
#[testjig::test(on = I82078, launch = diskette, vary(fill = [0x00, 0x7f, 0xff]))]
fn all_commands_in_a_row_are_survived(fdc: I82078, vm: &Vm, fill: u8) {
    for code in (0..=0xff).filter(|code| ![0x0d, 0x4d, 0x4e].contains(code)) {
        fdc.set_dor(Dor::new());
        fdc.set_dor(Dor::new().with_not_reset(true).with_dma_gate(true));
        fdc.write_fifo(code);
        for _ in 0..20 {
            fdc.write_fifo(fill);
        }
        for _ in 0..4 {
            fdc.fifo();
        }
    }
    assert_works(&fdc, vm);
}
