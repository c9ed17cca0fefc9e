//! The main status register through the phases of commands, and the FIFO used against it.

use super::*;
use testjig::qos::dev::i82078::{
    DumpRegisters, Msr, Seek, SenseInterrupt, Specify, Transfer, Version,
};
use testjig::vm::EdgeKind::{Lower, Raise};

/// [Main Status Register] Idle it has RQM alone; from the first byte on CMD BSY too, while parameters are wanted.
#[testjig::test(on = I82078, launch = diskette)]
fn the_command_phase_is_busy_and_wants_bytes(fdc: I82078) {
    fdc.reset();
    assert_eq!(fdc.msr(), Msr::IDLE);
    for byte in [0x46, 0, 0, 0, 1, 2, 1, 0x1b] {
        fdc.write_fifo(byte);
        assert_eq!(fdc.msr(), Msr::COMMAND);
    }
}

/// [Main Status Register] The result phase has DIO too, until the last byte is read.
#[testjig::test(on = I82078, launch = diskette)]
fn the_result_phase_lasts_to_its_last_byte(fdc: I82078) {
    fdc.reset();
    fdc.send(&DumpRegisters);
    for _ in 0..10 {
        assert_eq!(fdc.msr(), Msr::RESULT);
        fdc.fifo();
    }
    assert_eq!(fdc.msr(), Msr::IDLE);
}

/// [Main Status Register] A command without execution and result ends with its last parameter.
#[testjig::test(on = I82078, launch = diskette)]
fn a_command_without_result_ends_with_its_last_byte(fdc: I82078) {
    fdc.reset();
    fdc.send(&Specify::DMA);
    assert_eq!(fdc.msr(), Msr::IDLE);
}

/// [Main Status Register] While data go by DMA, CMD BSY alone is set: the FIFO is not for the host.
#[testjig::test(on = I82078, launch = diskette)]
fn the_fifo_is_closed_while_dma_moves_data(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    dma_to_memory(vm, 512);
    I8237::new(vm).mask(I82078::DMA);
    fdc.send(&Transfer::read(Chs::FIRST));
    assert_eq!(fdc.msr(), Msr::DMA);
    I8237::new(vm).unmask(I82078::DMA);
    fdc.wait_for(Msr::RESULT);
}

/// [Main Status Register] A read without DMA has NON DMA and DIO, until its last byte.
#[testjig::test(on = I82078, launch = diskette)]
fn a_read_without_dma_says_so(fdc: I82078) {
    ready_without_dma(&fdc);
    fdc.send(&Transfer::read(Chs::FIRST));
    assert_eq!(fdc.msr(), Msr::PIO_READ);
    for _ in 0..511 {
        fdc.fifo();
    }
    assert_eq!(fdc.msr(), Msr::PIO_READ);
    fdc.fifo();
    assert_eq!(fdc.msr(), Msr::RESULT);
}

/// [Main Status Register] A write without DMA has NON DMA, and DIO clear.
#[testjig::test(on = I82078, launch = diskette)]
fn a_write_without_dma_says_so(fdc: I82078) {
    ready_without_dma(&fdc);
    fdc.send(&Transfer::write(Chs::FIRST));
    assert_eq!(fdc.msr(), Msr::PIO_WRITE);
    for _ in 0..511 {
        fdc.write_fifo(0);
    }
    assert_eq!(fdc.msr(), Msr::PIO_WRITE);
}

/// [Main Status Register, DIO] What is written while a result waits is not taken.
#[testjig::test(on = I82078, launch = diskette)]
fn a_waiting_result_is_not_overwritten(fdc: I82078) {
    fdc.reset();
    fdc.send(&Version);
    fdc.write_fifo(0x0e);
    assert_eq!(fdc.msr(), Msr::RESULT);
    assert_eq!(fdc.fifo(), 0x90);
    assert_eq!(fdc.msr(), Msr::IDLE);
}

/// [Main Status Register, DIO] What is read while a parameter is wanted is no result, and takes nothing from the command.
#[testjig::test(on = I82078, launch = diskette)]
fn reading_takes_nothing_from_a_command(fdc: I82078) {
    fdc.reset();
    fdc.send_bytes(&[0x0f, 0x00]);
    fdc.fifo();
    fdc.send_rest(&[0x09]);
    assert_eq!(fdc.run(SenseInterrupt).cylinder, 9);
}

/// [Main Status Register, RQM] What is read or written while DMA moves data does nothing.
#[testjig::test(on = I82078, launch = diskette)]
fn the_closed_fifo_takes_and_gives_nothing(fdc: I82078, vm: &Vm) {
    let expected = fill(vm, Chs::FIRST, 1);
    ready(&fdc);
    let memory = dma_to_memory(vm, 512);
    I8237::new(vm).mask(I82078::DMA);
    fdc.send(&Transfer::read(Chs::FIRST));
    fdc.fifo();
    fdc.write_fifo(0x55);
    assert_eq!(fdc.msr(), Msr::DMA);
    I8237::new(vm).unmask(I82078::DMA);
    assert_ended(fdc.result::<Transfer>(), 0, Chs::new(1, 0, 1));
    assert_eq!(memory.to_vec(), expected);
}

/// [Controller Phases] Bytes that follow a command are the next command.
#[testjig::test(on = I82078, launch = diskette)]
fn a_byte_too_many_is_the_next_command(fdc: I82078) {
    fdc.reset();
    for byte in [0x0f, 0x00, 0x02, 0x08] {
        fdc.write_fifo(byte);
    }
    assert_eq!(fdc.result::<SenseInterrupt>().cylinder, 2);
}

/// [Result Phase] An interrupt of a transfer is taken back by reading its result; there is nothing to sense then.
#[testjig::test(on = I82078, launch = diskette)]
fn reading_the_result_takes_the_interrupt_back(fdc: I82078, vm: &Vm) {
    use testjig::qos::dev::i82078::Invalid;

    ready(&fdc);
    let irq = vm.intercept(fdc.irq());
    dma_to_memory(vm, 512);
    fdc.send(&Transfer::read(Chs::FIRST));
    fdc.wait_for(Msr::RESULT);
    assert_eq!(irq.edges(), [Raise]);
    fdc.result::<Transfer>();
    assert_eq!(irq.edges(), [Raise, Lower]);
    assert_eq!(fdc.run(Invalid(0x08)).code(), InterruptCode::Invalid);
}

/// [Result Phase] Commands that only tell something raise no interrupt.
#[testjig::test(on = I82078, launch = diskette)]
fn a_result_without_execution_raises_no_interrupt(fdc: I82078, vm: &Vm) {
    fdc.reset();
    let irq = vm.intercept(fdc.irq());
    fdc.run(Version);
    fdc.run(DumpRegisters);
    fdc.run(Specify::DMA);
    assert_eq!(irq.edges(), []);
}

/// [Seek] The controller takes a command while an interrupt waits to be sensed.
#[testjig::test(on = I82078, launch = diskette)]
fn a_seek_leaves_the_controller_ready(fdc: I82078) {
    fdc.reset();
    fdc.send(&Seek::to(4));
    assert_eq!(fdc.msr(), Msr::IDLE);
}
