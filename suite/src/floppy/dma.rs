//! The DMA controller's side of transfers: counts, terminal count, masks, pages. Names in brackets are the 8237A's.

use super::*;
use testjig::qos::dev::i8237::Command;
use testjig::qos::dev::i82078::{Msr, Transfer};

/// [Terminal Count] After as many bytes as were programmed, TC is set, and reading the status clears it.
#[testjig::test(on = I82078, launch = diskette)]
fn a_full_transfer_reaches_terminal_count(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    let dma = I8237::new(vm);
    dma_to_memory(vm, 512);
    dma.status();
    fdc.run(Transfer::read(Chs::FIRST).to(18));
    assert!(dma.status().terminal_count(I82078::DMA));
    assert!(!dma.status().terminal_count(I82078::DMA));
}

/// [Current Word Count] It goes from 0 to FFFFH with the last byte.
#[testjig::test(on = I82078, launch = diskette)]
fn a_full_transfer_counts_down_to_ffff(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    let memory = dma_to_memory(vm, 1024);
    fdc.run(Transfer::read(Chs::FIRST).to(18));
    let dma = I8237::new(vm);
    assert_eq!(dma.count(I82078::DMA), 0xffff);
    assert_eq!(dma.address(I82078::DMA), memory.end() as u16);
}

/// [Current Word Count] A command that ends before TC leaves what was not moved: the command's end counts.
#[testjig::test(on = I82078, launch = diskette)]
fn a_command_can_end_before_terminal_count(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    let memory = dma_to_memory(vm, 2048);
    fdc.run(Transfer::read(Chs::new(0, 0, 17)).to(18));
    let dma = I8237::new(vm);
    assert!(!dma.status().terminal_count(I82078::DMA));
    assert_eq!(dma.count(I82078::DMA), 1023);
    assert_eq!(dma.address(I82078::DMA), (memory.addr() + 1024) as u16);
}

/// [82078, TC] Terminal count ends the transfer, also within a sector.
#[testjig::test(on = I82078, launch = diskette, vary(len = [1, 200, 511, 513, 1000]))]
fn terminal_count_ends_a_transfer(fdc: I82078, vm: &Vm, len: usize) {
    let expected = fill(vm, Chs::FIRST, 2);
    ready(&fdc);
    let memory = dma_memory(vm, 1536);
    memory.fill(0xee);
    let dma = I8237::new(vm);
    let mode = Mode::single(Direction::ToMemory);
    dma.program(I82078::DMA, mode, memory.addr(), len as u64);
    dma.unmask(I82078::DMA);
    let status = fdc.run(Transfer::read(Chs::FIRST).to(18));

    assert_eq!(status.st0.code(), InterruptCode::Normal);
    let data = memory.to_vec();
    assert_eq!(data[..len], expected[..len]);
    assert!(data[len..].iter().all(|&byte| byte == 0xee));
    assert!(dma.status().terminal_count(I82078::DMA));
}

/// [Mask Register] A masked channel's request waits; it is served when the mask goes.
#[testjig::test(on = I82078, launch = diskette)]
fn a_masked_channel_waits(fdc: I82078, vm: &Vm) {
    let expected = fill(vm, Chs::FIRST, 1);
    ready(&fdc);
    let dma = I8237::new(vm);
    let memory = dma_to_memory(vm, 512);
    dma.mask(I82078::DMA);
    fdc.send(&Transfer::read(Chs::FIRST));
    assert_eq!(fdc.msr(), Msr::DMA);
    assert!(dma.status().requested(I82078::DMA));
    assert_eq!(memory.to_vec(), [0xee; 512]);

    dma.unmask(I82078::DMA);
    fdc.result::<Transfer>();
    assert!(!dma.status().requested(I82078::DMA));
    assert_eq!(memory.to_vec(), expected);
}

/// [Mask Register] All masks at once, cleared by either command.
#[testjig::test(on = I82078, launch = diskette, vary(all = [false, true]))]
fn masks_are_written_together(fdc: I82078, vm: &Vm, all: bool) {
    ready(&fdc);
    let dma = I8237::new(vm);
    dma_to_memory(vm, 512);
    dma.set_masks(0x0f);
    fdc.send(&Transfer::read(Chs::FIRST));
    assert_eq!(fdc.msr(), Msr::DMA);
    if all {
        dma.clear_masks();
    } else {
        dma.set_masks(0x0f & !(1 << I82078::DMA));
    }
    fdc.wait_for(Msr::RESULT);
}

/// [PC/AT, page registers] Bits 23 to 16 of the address.
#[testjig::test(on = I82078, launch = diskette, vary(megabyte = [2, 7, 15]))]
fn the_page_register_has_the_upper_bits(fdc: I82078, vm: &Vm, megabyte: u64) {
    let expected = fill(vm, Chs::FIRST, 1);
    ready(&fdc);
    let address = megabyte * MIB + 0x1_2400;
    let dma = I8237::new(vm);
    let mode = Mode::single(Direction::ToMemory);
    dma.program(I82078::DMA, mode, address, 512);
    dma.unmask(I82078::DMA);
    fdc.run(Transfer::read(Chs::FIRST));
    assert_eq!(vm.ram().read_vec(address, 512), expected);
    assert_eq!(dma.page(I82078::DMA), (address >> 16) as u8);
}

/// [Mode Register, verify] Addresses are made and memory is not written.
#[testjig::test(on = I82078, launch = diskette)]
fn a_verify_transfer_writes_no_memory(fdc: I82078, vm: &Vm) {
    fill(vm, Chs::FIRST, 1);
    ready(&fdc);
    let memory = dma_to_memory(vm, 512);
    start_dma(vm, Direction::Verify, &memory);
    let status = fdc.run(Transfer::read(Chs::FIRST).to(18));
    assert_eq!(status.st0.code(), InterruptCode::Normal);
    assert_eq!(memory.to_vec(), [0xee; 512]);
}

/// [Master Clear] All channels are masked after it, until they are programmed again.
#[testjig::test(on = I82078, launch = diskette)]
fn a_master_clear_masks_the_channel(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    let dma = I8237::new(vm);
    dma_to_memory(vm, 512);
    dma.master_clear();
    dma.command(Command::new());
    fdc.send(&Transfer::read(Chs::FIRST));
    assert_eq!(fdc.msr(), Msr::DMA);
}

/// [Current Address] Programming a channel starts it anew.
#[testjig::test(on = I82078, launch = diskette)]
fn consecutive_transfers_start_anew(fdc: I82078, vm: &Vm) {
    let first = fill(vm, Chs::new(1, 0, 1), 1);
    let second = fill(vm, Chs::new(2, 0, 1), 1);
    ready(&fdc);
    let one = dma_to_memory(vm, 512);
    fdc.run(Transfer::read(Chs::new(1, 0, 1)));
    let two = dma_to_memory(vm, 512);
    fdc.run(Transfer::read(Chs::new(2, 0, 1)));
    assert_eq!((one.to_vec(), two.to_vec()), (first, second));
}
