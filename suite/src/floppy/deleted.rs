//! Commands on deleted data, and FORMAT TRACK: QEMU keeps no data marks, so what is tested is that they end, and that all goes on.

use super::*;
use testjig::qos::dev::i82078::{FormatTrack, Operation, Transfer};

/// [Read Deleted Data], [Write Deleted Data] They end with a result and an interrupt, and the controller goes on.
#[testjig::test(on = I82078, launch = diskette, vary(operation = [Operation::ReadDeleted, Operation::WriteDeleted]))]
fn after_a_command_on_deleted_data_reading_works(fdc: I82078, vm: &Vm, operation: Operation) {
    use testjig::vm::EdgeKind::{Lower, Raise};

    let expected = fill(vm, Chs::new(0, 0, 4), 1);
    ready(&fdc);
    let irq = vm.intercept(fdc.irq());
    let _memory = match operation {
        Operation::WriteDeleted => dma_from_memory(vm, &pattern(4)),
        _ => dma_to_memory(vm, 512),
    };
    let status = fdc.run(Transfer::new(operation, Chs::new(0, 0, 3)));
    assert_eq!(status.st1, St1::new());
    assert_eq!(status.st2.with_control_mark(false), St2::new());
    assert_eq!(irq.edges(), [Raise, Lower]);

    let memory = dma_to_memory(vm, 512);
    let status = fdc.run(Transfer::read(Chs::new(0, 0, 4)).to(18));
    assert_ended(status, 0, Chs::new(0, 0, 5));
    assert_eq!(memory.to_vec(), expected);
}

/// [Format Track] It ends normally, with an interrupt, and the other tracks are as they were.
#[testjig::test(on = I82078, launch = diskette)]
fn formatting_a_track_leaves_the_others(fdc: I82078, vm: &Vm) {
    use testjig::vm::EdgeKind::{Lower, Raise};

    let expected = fill(vm, Chs::new(5, 1, 1), 18);
    ready(&fdc);
    let ids: Vec<u8> = (1..=18).flat_map(|sector| [5, 0, sector, 2]).collect();
    let _memory = dma_from_memory(vm, &ids);
    let irq = vm.intercept(fdc.irq());
    let status = fdc.run(FormatTrack {
        drive: 0,
        head: 0,
        size: 2,
        sectors: 18,
        gap: 0x6c,
        filler: 0xf6,
    });
    assert_eq!(status.st0.code(), InterruptCode::Normal);
    assert_eq!(irq.edges(), [Raise, Lower]);

    let memory = dma_to_memory(vm, 18 * 512);
    let status = fdc.run(Transfer::read(Chs::new(5, 1, 1)).to(18));
    assert_ended(status, 0, Chs::new(6, 1, 1));
    assert_eq!(memory.to_vec(), expected);
}

/// [Format Track] ST0 names the drive.
#[testjig::test(on = I82078, launch = two_diskettes, vary(drive = [0, 1]))]
fn formatting_names_its_drive(fdc: I82078, vm: &Vm, drive: u8) {
    ready(&fdc);
    let _memory = dma_from_memory(vm, &[0; 72]);
    let status = fdc.run(FormatTrack {
        drive,
        head: 0,
        size: 2,
        sectors: 18,
        gap: 0x6c,
        filler: 0xf6,
    });
    assert_eq!(status.st0.drive(), drive);
}

/// [Format Track] The sectors are filled with D.
#[testjig::test(on = I82078, launch = diskette, xfail = "FORMAT TRACK writes nothing; no report known")]
fn formatting_fills_the_sectors(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    let ids: Vec<u8> = (1..=18).flat_map(|sector| [0, 0, sector, 2]).collect();
    let _memory = dma_from_memory(vm, &ids);
    fdc.run(FormatTrack {
        drive: 0,
        head: 0,
        size: 2,
        sectors: 18,
        gap: 0x6c,
        filler: 0xf6,
    });
    assert_eq!(vm.disk("fd0").sector(17), [0xf6; SECTOR]);
}

/// [Read Deleted Data] A sector with the other mark is read too, and CM tells of it.
#[testjig::test(on = I82078, launch = diskette, xfail = "nothing is read; no report known")]
fn reading_deleted_data_reads_other_data_too(fdc: I82078, vm: &Vm) {
    let expected = fill(vm, Chs::FIRST, 1);
    ready(&fdc);
    let memory = dma_to_memory(vm, 512);
    let status = fdc.run(Transfer::new(Operation::ReadDeleted, Chs::FIRST));
    assert_eq!(memory.to_vec(), expected);
    assert_eq!(status.st2, St2::new().with_control_mark(true));
}
