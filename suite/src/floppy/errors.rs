//! Sectors, heads and cylinders that are not there, wrong data rates, no disk.

use super::*;
use testjig::qos::dev::i82078::{Msr, Operation, Seek, SenseInterrupt, St0, Transfer};

/// All commands that look for a sector.
const OPERATIONS: [Operation; 3] = [Operation::Read, Operation::Write, Operation::Verify];

/// Runs a transfer of one sector with DMA ready for either direction.
#[track_caller]
fn attempt(fdc: &I82078, vm: &Vm, transfer: Transfer) -> TransferStatus {
    let _memory = match transfer.operation {
        Operation::Write => dma_from_memory(vm, &pattern(5)),
        _ => dma_to_memory(vm, 512),
    };
    fdc.run(transfer)
}

/// [ST1, EN] A sector number beyond the track's last one.
#[testjig::test(on = I82078, launch = diskette, vary(operation = OPERATIONS))]
fn a_sector_beyond_the_last_is_not_found(fdc: I82078, vm: &Vm, operation: Operation) {
    ready(&fdc);
    let at = Chs::new(3, 1, 19);
    let status = attempt(&fdc, vm, Transfer::new(operation, at));
    assert_refused(status, St1::new().with_end_of_cylinder(true), at);
}

/// [ST0, IC] A cylinder beyond the disk's last one.
#[testjig::test(on = I82078, launch = diskette, vary(operation = OPERATIONS))]
fn a_cylinder_beyond_the_last_is_not_found(fdc: I82078, vm: &Vm, operation: Operation) {
    ready(&fdc);
    let at = Chs::new(81, 0, 1);
    let status = attempt(&fdc, vm, Transfer::new(operation, at));
    assert_eq!(status.st0.code(), InterruptCode::Abnormal);
    assert_eq!(status.at, at);
}

/// 180 KB: 40 cylinders, one side, 9 sectors.
const SINGLE_SIDED: Geometry = Geometry::new(40, 1, 9);

fn single_sided(launch: Launch) -> Launch {
    disk_in(launch, 0, SINGLE_SIDED)
}

/// [ST0, IC] Side 1 of a disk that has one.
#[testjig::test(on = I82078, launch = single_sided, vary(operation = OPERATIONS))]
fn a_missing_side_is_not_found(fdc: I82078, vm: &Vm, operation: Operation) {
    ready(&fdc);
    fdc.set_rate(DataRate::Kbps300);
    let at = Chs::new(0, 1, 1);
    let status = attempt(&fdc, vm, Transfer::new(operation, at));
    assert_eq!(status.st0.code(), InterruptCode::Abnormal);
    assert_eq!(status.at, at);
}

/// [Read Data] MT on a disk with one side ends with the track.
#[testjig::test(on = I82078, launch = single_sided)]
fn multi_track_ends_with_a_single_side(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    fdc.set_rate(DataRate::Kbps300);
    let disk = vm.disk("fd0");
    disk.set_sector(8, &pattern(8));
    disk.set_sector(9, &pattern(9));
    let memory = dma_to_memory(vm, 1024);
    let transfer = Transfer::read(Chs::new(0, 0, 9)).to(9).multi_track();
    let status = fdc.run(transfer);
    assert_eq!(status.st0.code(), InterruptCode::Normal);
    assert_eq!(memory.read_vec(0, 512), pattern(8));
    assert_eq!(memory.read_vec(512, 512), [0xee; 512]);
}

/// [ST1, MA] At another data rate there is no address mark to be found.
#[testjig::test(on = I82078, launch = diskette, vary(
    operation = OPERATIONS, rate = [DataRate::Kbps300, DataRate::Kbps250, DataRate::Mbps1]
))]
fn at_a_wrong_rate_there_is_no_address_mark(
    fdc: I82078,
    vm: &Vm,
    operation: Operation,
    rate: DataRate,
) {
    ready(&fdc);
    fdc.set_rate(rate);
    let at = Chs::new(4, 1, 2);
    let status = attempt(&fdc, vm, Transfer::new(operation, at));
    assert_refused(status, St1::new().with_missing_address(true), at);
    assert_eq!(vm.disk("fd0").sector(DISK.index(at)), [0; SECTOR]);
}

/// [ST0, IC] An empty drive has no sector.
#[testjig::test(on = I82078, launch = empty_drive, vary(operation = OPERATIONS))]
fn without_a_disk_there_is_no_sector(fdc: I82078, vm: &Vm, operation: Operation) {
    ready(&fdc);
    let status = attempt(&fdc, vm, Transfer::new(operation, Chs::FIRST));
    assert_eq!(status.st0, St0::new().with_code(InterruptCode::Abnormal));
    assert_eq!(status.at, Chs::FIRST);
}

/// [Read Data] What can't be read raises the interrupt, and comes to no memory.
#[testjig::test(on = I82078, launch = diskette)]
fn a_refused_read_moves_nothing(fdc: I82078, vm: &Vm) {
    use testjig::vm::EdgeKind::{Lower, Raise};

    ready(&fdc);
    let irq = vm.intercept(fdc.irq());
    let memory = dma_to_memory(vm, 512);
    fdc.run(Transfer::read(Chs::new(0, 0, 19)));
    assert_eq!(irq.edges(), [Raise, Lower]);
    assert_eq!(memory.to_vec(), [0xee; 512]);
    assert!(!I8237::new(vm).status().requested(I82078::DMA));
}

/// [Read Data] After an error the next command works.
#[testjig::test(on = I82078, launch = diskette, vary(at = [Chs::new(0, 0, 19), Chs::new(90, 0, 1)]))]
fn after_an_error_reading_works(fdc: I82078, vm: &Vm, at: Chs) {
    let expected = fill(vm, Chs::new(2, 0, 2), 1);
    ready(&fdc);
    attempt(&fdc, vm, Transfer::read(at));
    let memory = dma_to_memory(vm, 512);
    let status = fdc.run(Transfer::read(Chs::new(2, 0, 2)).to(18));
    assert_ended(status, 0, Chs::new(2, 0, 3));
    assert_eq!(memory.to_vec(), expected);
}

/// [Read Data] An error is told without DMA as with it, and there are no data.
#[testjig::test(on = I82078, launch = diskette)]
fn a_refused_read_without_dma_has_a_result_alone(fdc: I82078) {
    ready_without_dma(&fdc);
    let at = Chs::new(0, 0, 19);
    let status = fdc.run(Transfer::read(at));
    assert_refused(status, St1::new().with_end_of_cylinder(true), at);
}

/// [Read Data, EOT] A first sector behind EOT.
#[testjig::test(on = I82078, launch = diskette, vary(operation = OPERATIONS))]
fn a_sector_behind_the_end_of_track_is_refused(fdc: I82078, vm: &Vm, operation: Operation) {
    ready(&fdc);
    let transfer = Transfer::new(operation, Chs::new(3, 0, 9)).to(4);
    let status = attempt(&fdc, vm, transfer);
    assert_eq!(status.st0.code(), InterruptCode::Abnormal);
    assert_eq!(status.at, Chs::new(3, 0, 9));
}

/// [Result Phase] ST0 names drive and head of the command that failed, and the error of one command is not in the next one's result.
#[testjig::test(on = I82078, launch = two_diskettes)]
fn an_error_names_its_drive(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    let failed = attempt(&fdc, vm, Transfer::read(Chs::new(0, 0, 19)).on(1));
    assert_eq!(failed.st0.drive(), 1);
    let fine = attempt(&fdc, vm, Transfer::read(Chs::new(0, 0, 1)).to(18));
    assert_ended(fine, 0, Chs::new(0, 0, 2));
}

/// [Seek] A seek after an error is sensed without the error's bits.
#[testjig::test(on = I82078, launch = diskette)]
fn a_seek_after_an_error_is_sensed_clean(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    attempt(&fdc, vm, Transfer::read(Chs::new(0, 0, 19)));
    fdc.run(Seek::to(3));
    let sensed = fdc.run(SenseInterrupt);
    assert_eq!(sensed.st0.code(), InterruptCode::Normal);
    assert!(sensed.st0.seek_end());
}

/// [ST1, NW] A protected disk is told without DMA as with it.
#[testjig::test(on = I82078, launch = write_protected, xfail = "the write has no result; no report known")]
fn a_protected_disk_is_told_without_dma(fdc: I82078) {
    ready_without_dma(&fdc);
    fdc.send(&Transfer::write(Chs::FIRST));
    if fdc.msr() == Msr::PIO_WRITE {
        fdc.give_data(&pattern(1));
    }
    assert_eq!(fdc.msr(), Msr::RESULT);
    assert!(fdc.result::<Transfer>().st1.not_writable());
}
