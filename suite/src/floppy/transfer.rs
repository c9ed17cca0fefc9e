//! READ DATA, VERIFY and READ TRACK by DMA: which sectors come, and where the transfer ends.

use super::*;
use testjig::qos::dev::i82078::{Operation, Seek, SenseInterrupt, Transfer};
use testjig::vm::EdgeKind::Raise;

/// Reads by DMA, and returns what came to memory.
#[track_caller]
fn read(fdc: &I82078, vm: &Vm, transfer: Transfer, sectors: u64) -> (Vec<u8>, TransferStatus) {
    let memory = dma_to_memory(vm, sectors * SECTOR as u64);
    let status = fdc.run(transfer);
    (memory.to_vec(), status)
}

/// [Read Data] The sector at C, H and R.
#[testjig::test(on = I82078, launch = diskette, vary(at = [
    Chs::new(0, 0, 1), Chs::new(0, 0, 2), Chs::new(0, 1, 1), Chs::new(1, 0, 1), Chs::new(40, 1, 9), Chs::new(79, 1, 17)
]))]
fn a_sector_is_read(fdc: I82078, vm: &Vm, at: Chs) {
    let expected = fill(vm, at, 1);
    ready(&fdc);
    let (data, status) = read(&fdc, vm, Transfer::read(at).to(18), 1);
    assert_eq!(data, expected);
    assert_ended(status, 0, Chs::new(at.cylinder, at.head, at.sector + 1));
}

/// [Read Data, Result Phase Table] MT 0, after the sector EOT: C + 1, H unchanged, R 1.
#[testjig::test(on = I82078, launch = diskette, vary(head = [0, 1]))]
fn after_the_end_comes_the_next_cylinder(fdc: I82078, vm: &Vm, head: u8) {
    let at = Chs::new(5, head, 18);
    let expected = fill(vm, at, 1);
    ready(&fdc);
    let (data, status) = read(&fdc, vm, Transfer::read(at), 1);
    assert_eq!(data, expected);
    assert_ended(status, 0, Chs::new(6, head, 1));
}

/// [Read Data, Result Phase Table] EOT ends the track wherever it is.
#[testjig::test(on = I82078, launch = diskette)]
fn the_end_of_track_is_where_the_command_says(fdc: I82078, vm: &Vm) {
    let expected = fill(vm, Chs::new(5, 0, 7), 3);
    ready(&fdc);
    let (data, status) = read(&fdc, vm, Transfer::read(Chs::new(5, 0, 7)).to(9), 3);
    assert_eq!(data, expected);
    assert_ended(status, 0, Chs::new(6, 0, 1));
}

/// [Read Data] Sector after sector, until terminal count.
#[testjig::test(on = I82078, launch = diskette, vary(count = [2, 5, 17]))]
fn sectors_follow_each_other(fdc: I82078, vm: &Vm, count: u8) {
    let expected = fill(vm, Chs::new(3, 1, 1), count.into());
    ready(&fdc);
    let transfer = Transfer::read(Chs::new(3, 1, 1)).to(18);
    let (data, status) = read(&fdc, vm, transfer, count.into());
    assert_eq!(data, expected);
    assert_ended(status, 0, Chs::new(3, 1, 1 + count));
}

/// [Read Data, MT] After the last sector of side 0 comes the first one of side 1.
#[testjig::test(on = I82078, launch = diskette)]
fn multi_track_goes_on_with_side_1(fdc: I82078, vm: &Vm) {
    let expected = fill(vm, Chs::new(9, 0, 17), 4);
    ready(&fdc);
    let transfer = Transfer::read(Chs::new(9, 0, 17)).to(18).multi_track();
    let (data, status) = read(&fdc, vm, transfer, 4);
    assert_eq!(data, expected);
    assert_ended(status, 0, Chs::new(9, 1, 3));
}

/// [Read Data, Result Phase Table] MT 1, after EOT of side 0: C unchanged, H complemented, R 1.
#[testjig::test(on = I82078, launch = diskette)]
fn multi_track_ends_side_0_at_side_1(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    let transfer = Transfer::read(Chs::new(9, 0, 18)).multi_track();
    let (_, status) = read(&fdc, vm, transfer, 1);
    assert_ended(status, 0, Chs::new(9, 1, 1));
}

/// [Read Data, Result Phase Table] MT 1, after EOT of side 1: C + 1, H complemented, R 1.
#[testjig::test(on = I82078, launch = diskette)]
fn multi_track_ends_side_1_at_the_next_cylinder(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    let transfer = Transfer::read(Chs::new(9, 1, 18)).multi_track();
    let (_, status) = read(&fdc, vm, transfer, 1);
    assert_ended(status, 0, Chs::new(10, 0, 1));
}

/// [Read Data, MT] A whole cylinder in one command.
#[testjig::test(on = I82078, launch = diskette)]
fn a_cylinder_is_read_at_once(fdc: I82078, vm: &Vm) {
    let expected = fill(vm, Chs::new(70, 0, 1), 36);
    ready(&fdc);
    let transfer = Transfer::read(Chs::new(70, 0, 1)).to(18).multi_track();
    let (data, status) = read(&fdc, vm, transfer, 36);
    assert_eq!(data, expected);
    assert_ended(status, 0, Chs::new(71, 0, 1));
}

/// [Read Data] Without MT the command ends with its track, though the DMA controller would take more.
#[testjig::test(on = I82078, launch = diskette)]
fn without_multi_track_a_transfer_ends_with_its_track(fdc: I82078, vm: &Vm) {
    let mut expected = fill(vm, Chs::new(9, 0, 17), 4);
    expected[2 * SECTOR..].fill(0xee);
    ready(&fdc);
    let (data, _) = read(&fdc, vm, Transfer::read(Chs::new(9, 0, 17)).to(18), 4);
    assert_eq!(data, expected);
}

/// [Result Phase] The interrupt comes with the result, and not before.
#[testjig::test(on = I82078, launch = diskette)]
fn the_interrupt_comes_with_the_result(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    let irq = vm.intercept(fdc.irq());
    dma_to_memory(vm, 512);
    I8237::new(vm).mask(I82078::DMA);
    fdc.send(&Transfer::read(Chs::FIRST));
    assert_eq!(irq.edges(), []);
    I8237::new(vm).unmask(I82078::DMA);
    assert_eq!(irq.edges(), [Raise]);
}

/// [ST0, SE] A transfer with an implied seek ends with SE set.
#[testjig::test(on = I82078, launch = diskette)]
fn an_implied_seek_is_told(fdc: I82078, vm: &Vm) {
    use testjig::qos::dev::i82078::Configure;

    ready(&fdc);
    fdc.run(Configure {
        implied_seek: true,
        no_fifo: false,
        no_polling: false,
        threshold: 7,
        precompensation_track: 0,
    });
    let (_, status) = read(&fdc, vm, Transfer::read(Chs::new(9, 0, 3)).to(18), 1);
    assert!(status.st0.seek_end());
}

/// [ST0, SE] One that finds the head where it is wanted ends with SE clear.
#[testjig::test(on = I82078, launch = diskette)]
fn no_seek_is_told_where_none_was_needed(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    fdc.run(Seek::to(9));
    fdc.run(SenseInterrupt);
    let (_, status) = read(&fdc, vm, Transfer::read(Chs::new(9, 0, 3)).to(18), 1);
    assert!(!status.st0.seek_end());
}

/// [Verify] Nothing comes to the host, and the result is that of a read.
#[testjig::test(on = I82078, launch = diskette)]
fn verifying_moves_no_data(fdc: I82078, vm: &Vm) {
    fill(vm, Chs::new(2, 0, 4), 3);
    ready(&fdc);
    let memory = dma_to_memory(vm, 3 * 512);
    let irq = vm.intercept(fdc.irq());
    let status = fdc.run(Transfer::verify(Chs::new(2, 0, 4)).to(6));
    assert_ended(status, 0, Chs::new(3, 0, 1));
    assert_eq!(memory.to_vec(), [0xee; 3 * 512]);
    assert_eq!(irq.edges()[0], Raise);
}

/// [Verify] It needs no DMA controller: there is no data for it.
#[testjig::test(on = I82078, launch = diskette)]
fn verifying_waits_for_no_dma(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    I8237::new(vm).mask(I82078::DMA);
    let status = fdc.run(Transfer::verify(Chs::new(2, 0, 4)).to(18));
    assert_eq!(status.st0.code(), InterruptCode::Normal);
}

/// [Verify] It writes nothing.
#[testjig::test(on = I82078, launch = diskette)]
fn verifying_leaves_the_disk_alone(fdc: I82078, vm: &Vm) {
    let expected = fill(vm, Chs::FIRST, 1);
    ready(&fdc);
    fdc.run(Transfer::verify(Chs::FIRST));
    assert_eq!(vm.disk("fd0").sector(0)[..], expected);
}

/// [Read Track] The sectors of the track in their order, from the index hole on.
#[testjig::test(on = I82078, launch = diskette)]
fn a_track_is_read_from_its_beginning(fdc: I82078, vm: &Vm) {
    let expected = fill(vm, Chs::new(6, 1, 1), 18);
    ready(&fdc);
    let transfer = Transfer::new(Operation::ReadTrack, Chs::new(6, 1, 1)).to(18);
    let (data, status) = read(&fdc, vm, transfer, 18);
    assert_eq!(data, expected);
    assert_eq!(status.st0.code(), InterruptCode::Normal);
}

/// [Read Data, SK, MFM] SK plays no part where no sector is deleted.
#[testjig::test(on = I82078, launch = diskette)]
fn skipping_deleted_data_skips_nothing_here(fdc: I82078, vm: &Vm) {
    let expected = fill(vm, Chs::FIRST, 2);
    ready(&fdc);
    let transfer = Transfer {
        skip: true,
        ..Transfer::read(Chs::FIRST).to(2)
    };
    let (data, _) = read(&fdc, vm, transfer, 2);
    assert_eq!(data, expected);
}
