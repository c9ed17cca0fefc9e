//! DATA SET MANAGEMENT with TRIM (ATA8-ACS): ranges of sectors whose content nobody needs any more.

use super::*;

/// A disk whose image loses what is trimmed.
fn trimming(launch: Launch) -> Launch {
    launch
        .drive(Drive::new("hd0", Image::zeroed(SECTORS * SECTOR as u64)).discard(true))
        .device(
            Device::new("ide-hd")
                .bus("ide.0")
                .prop("unit", 0)
                .prop("drive", "hd0"),
        )
}

/// A range: 48 bits of address, 16 bits of length; a length of 0 is no range.
const fn range(lba: u64, sectors: u16) -> u64 {
    (sectors as u64) << 48 | lba
}

/// Trims ranges, in as many blocks of 64 of them as they need.
#[track_caller]
fn trim(ide: &PiixIde, ranges: &[u64]) -> (BmStatus, Ending) {
    let Port { ata, bus_master } = ide.primary();
    let blocks = ranges.len().div_ceil(64);
    let buffer = buffer(ide, blocks * SECTOR);
    buffer.fill(0);
    for (range, offset) in ranges.iter().zip((0..).step_by(8)) {
        buffer.write_le(offset, *range);
    }
    let table = ide.table(&[whole(&buffer)]);
    let task = Taskfile::new(Command::DATA_SET_MANAGEMENT)
        .features(1)
        .count(blocks as u16);
    bus_master.transfer(&ata, &task, &table, Direction::FromMemory)
}

/// Fills the first sectors of the image.
#[track_caller]
fn fill(vm: &Vm, sectors: u64) {
    let data = vec![0x77; sectors as usize * SECTOR];
    vm.disk("hd0").write(0, &data);
}

/// The sectors among the first that still hold what they were filled with.
#[track_caller]
fn kept(vm: &Vm, sectors: u64) -> Vec<u64> {
    let image = vm.disk("hd0");
    (0..sectors)
        .filter(|&number| image.sector(number) == [0x77; SECTOR])
        .collect()
}

/// Trimmed sectors are given up, all others kept. Ranges are aligned to pages, as the host's files need it.
#[testjig::test(on = PiixIde, launch = trimming)]
fn trimmed_sectors_are_given_up(ide: PiixIde, vm: &Vm) {
    fill(vm, 64);
    assert_done(trim(&ide, &[range(8, 16), range(40, 8)]));
    let expected: Vec<u64> = (0..8).chain(24..40).chain(48..64).collect();
    assert_eq!(kept(vm, 64), expected);
}

/// Ranges of length 0 pad the block, wherever they are.
#[testjig::test(on = PiixIde, launch = trimming)]
fn empty_ranges_are_skipped(ide: PiixIde, vm: &Vm) {
    fill(vm, 64);
    assert_done(trim(
        &ide,
        &[
            range(0, 0),
            range(8, 8),
            range(u64::MAX >> 16, 0),
            range(32, 8),
        ],
    ));
    let expected: Vec<u64> = (0..8).chain(16..32).chain(40..64).collect();
    assert_eq!(kept(vm, 64), expected);
}

/// More than 64 ranges take a second block.
#[testjig::test(on = PiixIde, launch = trimming)]
fn two_blocks_of_ranges_are_done(ide: PiixIde, vm: &Vm) {
    fill(vm, 64);
    let mut ranges = vec![0; 65];
    ranges[63] = range(0, 8);
    ranges[64] = range(56, 8);
    assert_done(trim(&ide, &ranges));
    assert_eq!(kept(vm, 64), (8..56).collect::<Vec<_>>());
}

/// The last sector of the disk can be trimmed, and the longest range.
#[testjig::test(on = PiixIde, launch = trimming)]
fn a_range_may_end_with_the_disk(ide: PiixIde) {
    assert_done(trim(
        &ide,
        &[range(0, SECTORS as u16), range(SECTORS - 1, 1)],
    ));
}

/// A range beyond the disk is an error.
#[testjig::test(on = PiixIde, launch = trimming, vary(lba = [SECTORS - 1, SECTORS, 0xffff_ffff_fff0]))]
fn a_range_beyond_the_disk_fails(ide: PiixIde, vm: &Vm, lba: u64) {
    fill(vm, 64);
    let (status, ending) = trim(&ide, &[range(lba, 8)]);
    assert!(ending.is_aborted(), "{ending:?}");
    assert!(status.interrupt() && !status.active(), "{status:?}");
    assert_eq!(kept(vm, 64).len(), 64);
}
