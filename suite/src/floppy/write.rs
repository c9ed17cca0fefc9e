//! WRITE DATA by DMA: what reaches the image, and what does not.

use super::*;
use testjig::qos::dev::i82078::{Operation, Transfer};

fn sectors(first: u64, count: u64) -> Vec<u8> {
    (first..first + count).flat_map(pattern).collect()
}

/// What `count` sectors of the image hold.
#[track_caller]
fn on_disk(vm: &Vm, first: Chs, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count * SECTOR];
    let offset = DISK.index(first) * SECTOR as u64;
    vm.disk("fd0").read(offset, &mut bytes);
    bytes
}

/// [Write Data] The sector at C, H and R, and no other.
#[testjig::test(on = I82078, launch = diskette, vary(at = [
    Chs::new(0, 0, 2), Chs::new(0, 1, 1), Chs::new(33, 0, 17), Chs::new(79, 1, 17)
]))]
fn a_sector_is_written(fdc: I82078, vm: &Vm, at: Chs) {
    ready(&fdc);
    let data = dma_from_memory(vm, &pattern(99));
    let status = fdc.run(Transfer::write(at).to(18));

    assert_ended(status, 0, Chs::new(at.cylinder, at.head, at.sector + 1));
    let number = DISK.index(at);
    let disk = vm.disk("fd0");
    assert_eq!(disk.sector(number)[..], data.to_vec());
    assert_eq!(disk.sector(number - 1), [0; SECTOR]);
    assert_eq!(disk.sector(number + 1), [0; SECTOR]);
}

/// [Write Data] Sector after sector.
#[testjig::test(on = I82078, launch = diskette)]
fn sectors_are_written_one_after_the_other(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    let _data = dma_from_memory(vm, &sectors(7, 4));
    let status = fdc.run(Transfer::write(Chs::new(3, 0, 5)).to(18));
    assert_ended(status, 0, Chs::new(3, 0, 9));
    assert_eq!(on_disk(vm, Chs::new(3, 0, 5), 4), sectors(7, 4));
    assert_eq!(on_disk(vm, Chs::new(3, 0, 9), 1), [0; SECTOR]);
}

/// [Write Data, MT] From side 0 to side 1.
#[testjig::test(on = I82078, launch = diskette)]
fn multi_track_writes_both_sides(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    let _data = dma_from_memory(vm, &sectors(50, 4));
    let transfer = Transfer::write(Chs::new(3, 0, 17)).to(18).multi_track();
    let status = fdc.run(transfer);
    assert_ended(status, 0, Chs::new(3, 1, 3));
    assert_eq!(on_disk(vm, Chs::new(3, 0, 17), 4), sectors(50, 4));
}

/// [Write Data] What was written is read back.
#[testjig::test(on = I82078, launch = diskette)]
fn a_written_sector_reads_back(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    let _data = dma_from_memory(vm, &sectors(3, 2));
    fdc.run(Transfer::write(Chs::new(60, 1, 5)).to(6));
    let memory = dma_to_memory(vm, 1024);
    fdc.run(Transfer::read(Chs::new(60, 1, 5)).to(6));
    assert_eq!(memory.to_vec(), sectors(3, 2));
}

/// [ST1, NW] On a write protected disk nothing is written, and NW is set.
#[testjig::test(on = I82078, launch = write_protected)]
fn a_protected_disk_is_not_written(fdc: I82078, vm: &Vm) {
    let expected = fill(vm, Chs::new(0, 0, 3), 1);
    ready(&fdc);
    let _data = dma_from_memory(vm, &pattern(99));
    let status = fdc.run(Transfer::write(Chs::new(0, 0, 3)));
    assert_refused(
        status,
        St1::new().with_not_writable(true),
        Chs::new(0, 0, 3),
    );
    assert_eq!(on_disk(vm, Chs::new(0, 0, 3), 1), expected);
}

/// [ST1, NW] A write protected disk is read as any other.
#[testjig::test(on = I82078, launch = write_protected)]
fn a_protected_disk_is_read(fdc: I82078, vm: &Vm) {
    let expected = fill(vm, Chs::new(0, 0, 3), 1);
    ready(&fdc);
    let memory = dma_to_memory(vm, 512);
    let status = fdc.run(Transfer::read(Chs::new(0, 0, 3)).to(18));
    assert_ended(status, 0, Chs::new(0, 0, 4));
    assert_eq!(memory.to_vec(), expected);
}

/// [Write Data, DMA] Terminal count within a sector: the bytes that came are on the disk.
#[testjig::test(on = I82078, launch = diskette, vary(len = [1, 100, 511, 612]))]
fn a_part_of_a_sector_is_written(fdc: I82078, vm: &Vm, len: usize) {
    ready(&fdc);
    let data = sectors(20, 2);
    let _data = dma_from_memory(vm, &data[..len]);
    let status = fdc.run(Transfer::write(Chs::new(0, 0, 3)).to(18));
    assert_eq!(status.st0.code(), InterruptCode::Normal);
    assert_eq!(on_disk(vm, Chs::new(0, 0, 3), 2)[..len], data[..len]);
}

/// [Write Data] A read command writes nothing, whatever is in memory.
#[testjig::test(on = I82078, launch = diskette, vary(operation = [Operation::Read, Operation::ReadTrack, Operation::Verify]))]
fn reading_leaves_the_disk_alone(fdc: I82078, vm: &Vm, operation: Operation) {
    let expected = fill(vm, Chs::FIRST, 2);
    ready(&fdc);
    dma_to_memory(vm, 1024);
    fdc.run(Transfer::new(operation, Chs::FIRST).to(2));
    assert_eq!(on_disk(vm, Chs::FIRST, 2), expected);
}
