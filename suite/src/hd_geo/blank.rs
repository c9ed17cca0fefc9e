//! Disks that nobody has partitioned: 16 heads, 63 sectors, and as many cylinders as fit.

use super::*;

#[track_caller]
fn assert_cylinders(vm: &Vm, cylinders: u16, translation: Translation) {
    assert_geometry(vm, Chs::new(cylinders, 16, 63), translation);
}

/// Only whole cylinders count.
#[testjig::test(
    on = Channel,
    launch = |launch| disk(launch, blank(sectors)),
    vary(sectors = [3 * CYLINDER - 1, 3 * CYLINDER, 4 * CYLINDER - 1])
)]
fn whole_cylinders_count(vm: &Vm, sectors: u64) {
    assert_cylinders(vm, (sectors / CYLINDER) as u16, Translation::None);
}

/// A disk has at least two cylinders: one is the diagnostic cylinder that firmware leaves out.
#[testjig::test(
    on = Channel,
    launch = |launch| disk(launch, blank(sectors)),
    vary(sectors = [1, CYLINDER, 2 * CYLINDER - 1, 2 * CYLINDER])
)]
fn a_small_disk_has_two_cylinders(vm: &Vm) {
    assert_cylinders(vm, 2, Translation::None);
}

/// Up to 1,024 cylinders the firmware's addresses are the drive's.
#[testjig::test(
    on = Channel,
    launch = |launch| disk(launch, blank(sectors)),
    vary(sectors = [1023 * CYLINDER, 1024 * CYLINDER, 1025 * CYLINDER - 1])
)]
fn up_to_1024_cylinders_need_no_translation(vm: &Vm, sectors: u64) {
    assert_cylinders(vm, (sectors / CYLINDER) as u16, Translation::None);
}

/// Above, it translates by the block address.
#[testjig::test(
    on = Channel,
    launch = |launch| disk(launch, blank(cylinders * CYLINDER)),
    vary(cylinders = [1025, 8192, 8193, 16382, 16383])
)]
fn more_cylinders_are_translated(vm: &Vm, cylinders: u64) {
    assert_cylinders(vm, cylinders as u16, Translation::Lba);
}

/// ATA-4, word 1 of IDENTIFY DEVICE: at most 16,383 cylinders are told, however large the disk.
#[testjig::test(
    on = Channel,
    launch = |launch| disk(launch, blank(sectors)),
    vary(sectors = [16384 * CYLINDER, 1 << 28, 1 << 33])
)]
fn no_disk_has_more_than_16383_cylinders(vm: &Vm) {
    assert_cylinders(vm, 16383, Translation::Lba);
}
