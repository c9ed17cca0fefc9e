//! Transfers without DMA: data bytes through the FIFO.

use super::*;
use testjig::qos::dev::i82078::{Dor, Msr, Transfer};
use testjig::vm::EdgeKind::{Lower, Raise};

/// [Non-DMA mode] A sector byte by byte, then the result.
#[testjig::test(on = I82078, launch = diskette, vary(at = [Chs::new(0, 0, 1), Chs::new(11, 1, 7), Chs::new(79, 1, 18)]))]
fn a_sector_is_read_byte_by_byte(fdc: I82078, vm: &Vm, at: Chs) {
    let expected = fill(vm, at, 1);
    ready_without_dma(&fdc);
    let (data, status) = fdc.pio_read(&Transfer::read(at), 512);
    assert_eq!(data, expected);
    assert_eq!(status.st0.code(), InterruptCode::Normal);
    assert_eq!((status.st1, status.st2), (St1::new(), St2::new()));
    assert_eq!((status.st0.head(), status.at.head), (at.head, at.head));
}

/// [Non-DMA mode] Sector after sector, to EOT.
#[testjig::test(on = I82078, launch = diskette)]
fn sectors_are_read_up_to_the_end(fdc: I82078, vm: &Vm) {
    let expected = fill(vm, Chs::new(4, 0, 16), 3);
    ready_without_dma(&fdc);
    let transfer = Transfer::read(Chs::new(4, 0, 16)).to(18);
    let (data, status) = fdc.pio_read(&transfer, 3 * 512);
    assert_eq!(data, expected);
    assert_eq!(status.st0.code(), InterruptCode::Normal);
}

/// [Non-DMA mode, MT] From side 0 to the end of side 1.
#[testjig::test(on = I82078, launch = diskette, vary(end = [1, 2, 18]))]
fn multi_track_reads_both_sides(fdc: I82078, vm: &Vm, end: u8) {
    let mut expected = fill(vm, Chs::new(4, 0, 1), end.into());
    expected.extend(fill(vm, Chs::new(4, 1, 1), end.into()));
    ready_without_dma(&fdc);
    let transfer = Transfer::read(Chs::new(4, 0, 1)).to(end).multi_track();
    let (data, status) = fdc.pio_read(&transfer, expected.len());
    assert_eq!(data, expected);
    assert_eq!(status.st0.code(), InterruptCode::Normal);
}

/// [Non-DMA mode] An interrupt says that data are there, and one that the result is; reading that takes it back.
#[testjig::test(on = I82078, launch = diskette)]
fn data_without_dma_raise_the_interrupt(fdc: I82078, vm: &Vm) {
    ready_without_dma(&fdc);
    let irq = vm.intercept(fdc.irq());
    fdc.send(&Transfer::read(Chs::FIRST));
    assert_eq!(irq.edges(), [Raise]);
    fdc.take_data(512);
    assert!(irq.level());
    fdc.result::<Transfer>();
    assert_eq!(irq.edges().last(), Some(&Lower));
}

/// [Non-DMA mode] The DMA controller has no part in it.
#[testjig::test(on = I82078, launch = diskette)]
fn without_dma_memory_stays_as_it_is(fdc: I82078, vm: &Vm) {
    fill(vm, Chs::FIRST, 1);
    ready_without_dma(&fdc);
    let memory = dma_to_memory(vm, 512);
    fdc.pio_read(&Transfer::read(Chs::FIRST), 512);
    assert_eq!(memory.to_vec(), [0xee; 512]);
    assert!(!I8237::new(vm).status().terminal_count(I82078::DMA));
}

/// [Specify, ND] DMA can be chosen again.
#[testjig::test(on = I82078, launch = diskette)]
fn dma_can_be_chosen_again(fdc: I82078, vm: &Vm) {
    let expected = fill(vm, Chs::FIRST, 1);
    ready_without_dma(&fdc);
    fdc.pio_read(&Transfer::read(Chs::FIRST), 512);
    fdc.run(Specify::DMA);
    let memory = dma_to_memory(vm, 512);
    fdc.run(Transfer::read(Chs::FIRST));
    assert_eq!(memory.to_vec(), expected);
}

/// [Non-DMA mode] What is written byte by byte is on the disk.
#[testjig::test(on = I82078, launch = diskette, vary(at = [Chs::new(0, 0, 1), Chs::new(50, 1, 9)]))]
fn a_sector_is_written_byte_by_byte(fdc: I82078, vm: &Vm, at: Chs) {
    ready_without_dma(&fdc);
    fdc.send(&Transfer::write(at));
    fdc.give_data(&pattern(77));
    assert_eq!(vm.disk("fd0").sector(DISK.index(at)), pattern(77));
}

/// [Non-DMA mode, MT] A write to both sides ends with a result.
#[testjig::test(on = I82078, launch = diskette)]
fn multi_track_writes_both_sides(fdc: I82078, vm: &Vm) {
    ready_without_dma(&fdc);
    fdc.send(&Transfer::write(Chs::new(4, 0, 2)).to(2).multi_track());
    for number in 1..=3 {
        fdc.give_data(&pattern(number));
    }
    let status = fdc.result::<Transfer>();
    assert_eq!(status.st0.code(), InterruptCode::Normal);
    let disk = vm.disk("fd0");
    assert_eq!(disk.sector(DISK.index(Chs::new(4, 0, 2))), pattern(1));
    assert_eq!(disk.sector(DISK.index(Chs::new(4, 1, 1))), pattern(2));
    assert_eq!(disk.sector(DISK.index(Chs::new(4, 1, 2))), pattern(3));
}

/// [Non-DMA mode] A write that is given up by a reset has written its full sectors and no part of the next one.
#[testjig::test(on = I82078, launch = diskette)]
fn an_abandoned_write_leaves_full_sectors(fdc: I82078, vm: &Vm) {
    ready_without_dma(&fdc);
    fdc.send(&Transfer::write(Chs::new(4, 0, 1)).to(4));
    fdc.give_data(&pattern(1));
    fdc.give_data(&pattern(2)[..300]);
    fdc.set_dor(Dor::new());
    fdc.set_dor(Dor::new().with_not_reset(true).with_dma_gate(true));
    assert_eq!(fdc.msr(), Msr::IDLE);
    let disk = vm.disk("fd0");
    assert_eq!(disk.sector(DISK.index(Chs::new(4, 0, 1))), pattern(1));
    assert_eq!(disk.sector(DISK.index(Chs::new(4, 0, 2))), [0; SECTOR]);
}

/// [Result Phase] A write ends with a result, whatever its last sector is.
#[testjig::test(on = I82078, launch = diskette, xfail = "a write that ends with its track has no result; no report known")]
fn a_write_without_dma_ends_with_a_result(fdc: I82078) {
    ready_without_dma(&fdc);
    fdc.send(&Transfer::write(Chs::FIRST));
    fdc.give_data(&pattern(77));
    assert_eq!(fdc.msr(), Msr::RESULT);
}

/// [Read Data, Result Phase Table] C, H and R are those of the next sector without DMA as with it.
#[testjig::test(on = I82078, launch = diskette, xfail = "R is that of the last sector; no report known")]
fn a_read_without_dma_names_the_next_sector(fdc: I82078) {
    ready_without_dma(&fdc);
    let (_, status) = fdc.pio_read(&Transfer::read(Chs::FIRST), 512);
    assert_eq!(status.at, Chs::new(1, 0, 1));
}
