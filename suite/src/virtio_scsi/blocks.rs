//! Commands of disks beyond reading and writing: the same block written to many, blocks let go, geometry, and a drive that can't be
//! written.

use testjig::vm::{Drive, Image};

use super::*;

const WRITE_SAME_10: u8 = 0x41;
const UNMAP: u8 = 0x42;
const MODE_SENSE_6: u8 = 0x1a;

/// Sense keys with code and qualifier (SPC-4 §4.5.6, annex F.2).
mod sense {
    pub(super) const INVALID_FIELD: (u8, u8, u8) = (0x5, 0x24, 0x00);
    pub(super) const OUT_OF_RANGE: (u8, u8, u8) = (0x5, 0x21, 0x00);
    pub(super) const INVALID_OPCODE: (u8, u8, u8) = (0x5, 0x20, 0x00);
    pub(super) const WRITE_PROTECTED: (u8, u8, u8) = (0x7, 0x27, 0x00);
}

/// A disk of blocks of 4 KiB, as logical unit 5 of the same target.
fn large_blocks(launch: Launch) -> Launch {
    launch
        .drive(Drive::new("large", Image::zeroed(1 << 20)).discard(true))
        .device(
            Device::new("scsi-hd")
                .bus("scsi.0")
                .prop("scsi-id", 0)
                .prop("lun", 5)
                .prop("drive", "large")
                .prop("logical_block_size", 4096)
                .prop("physical_block_size", 4096),
        )
}

/// The disk of [`large_blocks`].
const LARGE: Lun = Lun::new(0, 5);

/// A CD-ROM drive with a medium, as target 2.
fn cd_rom(launch: Launch) -> Launch {
    let mut content = pattern(2048, 0x77);
    content.extend(pattern(2048, 0x78));
    launch
        .drive(Drive::new("cd", Image::bytes(content)).read_only(true))
        .device(
            Device::new("scsi-cd")
                .bus("scsi.0")
                .prop("scsi-id", 2)
                .prop("lun", 0)
                .prop("drive", "cd"),
        )
}

const CD: Lun = Lun::new(2, 0);

/// A disk whose geometry is given, as target 4.
fn geometry(launch: Launch) -> Launch {
    launch
        .drive(Drive::new("geometry", Image::zeroed(4 << 20)))
        .device(
            Device::new("scsi-hd")
                .bus("scsi.0")
                .prop("scsi-id", 4)
                .prop("lun", 0)
                .prop("drive", "geometry")
                .prop("cyls", 64)
                .prop("heads", 4)
                .prop("secs", 32),
        )
}

const SHAPED: Lun = Lun::new(4, 0);

/// UNMAP's parameter list: runs of blocks, each a first block and how many (SBC-3 §5.28).
fn runs(runs: &[(u64, u32)]) -> Vec<u8> {
    let len = 16 * runs.len() as u16;
    let mut list = [len + 6, len].map(u16::to_be_bytes).concat();
    list.extend([0; 4]);
    for (first, count) in runs {
        list.extend(first.to_be_bytes());
        list.extend(count.to_be_bytes());
        list.extend([0; 4]);
    }
    list
}

fn unmap(hba: &Hba, lun: Lun, list: &[u8]) -> Response {
    let [high, low] = (list.len() as u16).to_be_bytes();
    let cdb = [UNMAP, 0, 0, 0, 0, 0, 0, high, low, 0];
    hba.run(&hba.command(lun, &cdb).sending(list))
}

/// A page of MODE SENSE (6) without block descriptors: the page from its code on (SPC-4 §6.11, §7.5.5).
#[track_caller]
fn mode_page(hba: &Hba, lun: Lun, page: u8) -> Vec<u8> {
    let (response, data) = hba.receive(lun, &[MODE_SENSE_6, 0x08, page, 0, 255, 0], 255);
    assert!(response.is_good(), "{response:?}");
    assert_eq!(data[3], 0, "no block descriptor");
    let page = data[4..=usize::from(data[0])].to_vec();
    assert_eq!(
        page.len(),
        usize::from(page[1]) + 2,
        "the page's own length"
    );
    page
}

/// [SBC-3 §5.43] WRITE SAME (10) writes one block to as many as it is told, and to no other.
#[testjig::test(on = VirtioScsi, needs(running))]
fn write_same_repeats_a_block(scsi: VirtioScsi, vm: &Vm) {
    let hba = ready(&scsi);
    let block = pattern(512, 0x29);
    let write = hba
        .command(DISK, &transfer(WRITE_SAME_10, 5, 3))
        .sending(&block);
    let response = hba.run(&write);
    assert!(response.is_good(), "{response:?}");
    let disk = vm.disk(VIRTIO_SCSI_DRIVE);
    for sector in 5..8 {
        assert_eq!(disk.sector(sector)[..], block, "sector {sector}");
    }
    assert_eq!((disk.sector(4), disk.sector(8)), ([0; 512], [0; 512]));
}

/// [SBC-3 §5.43] A run longer than what a device may write at once: more than a MiB.
#[testjig::test(on = VirtioScsi, needs(running))]
fn write_same_repeats_a_block_over_megabytes(scsi: VirtioScsi, vm: &Vm) {
    let hba = ready(&scsi);
    let block = pattern(512, 0x6b);
    let count = 3001;
    let write = hba
        .command(DISK, &transfer(WRITE_SAME_10, 1, count))
        .sending(&block);
    let response = hba.run(&write);
    assert!(response.is_good(), "{response:?}");
    let disk = vm.disk(VIRTIO_SCSI_DRIVE);
    assert_eq!(disk.sector(0), [0; 512]);
    for sector in 1..=u64::from(count) {
        assert_eq!(disk.sector(sector)[..], block, "sector {sector}");
    }
    assert_eq!(disk.sector(u64::from(count) + 1), [0; 512]);
}

/// [SBC-3 §5.43] A block of zeroes is written too.
#[testjig::test(on = VirtioScsi, needs(running))]
fn write_same_of_zeroes_writes_zeroes(scsi: VirtioScsi, vm: &Vm) {
    let hba = ready(&scsi);
    let disk = vm.disk(VIRTIO_SCSI_DRIVE);
    for sector in 9..13 {
        disk.set_sector(sector, &pattern(512, sector as u8));
    }
    let write = hba
        .command(DISK, &transfer(WRITE_SAME_10, 10, 2))
        .sending(&[0; 512]);
    assert!(hba.run(&write).is_good());
    assert_eq!((disk.sector(10), disk.sector(11)), ([0; 512], [0; 512]));
    assert_eq!(disk.sector(9)[..], pattern(512, 9));
    assert_eq!(disk.sector(12)[..], pattern(512, 12));
}

/// [SBC-3 §5.43, Virtio 5.6.6.1] A buffer that is no whole block is no block: nothing is written, and the adapter lives.
#[testjig::test(on = VirtioScsi, needs(running))]
fn write_same_of_a_part_of_a_block_writes_nothing(scsi: VirtioScsi, vm: &Vm) {
    let hba = ready(&scsi);
    for len in [1, 91, 511] {
        let write = hba
            .command(DISK, &transfer(WRITE_SAME_10, 0, 2))
            .sending(&vec![0x5a; len]);
        let response = hba.run(&write);
        assert!(!response.is_good(), "{len} bytes: {response:?}");
        assert_eq!(
            vm.disk(VIRTIO_SCSI_DRIVE).sector(0),
            [0; 512],
            "{len} bytes"
        );
        hba.ready(DISK);
    }
}

/// [SBC-3 §5.43] Blocks beyond the last are out of range; none of the run is written.
#[testjig::test(on = VirtioScsi, needs(running))]
fn write_same_beyond_the_end_writes_nothing(scsi: VirtioScsi, vm: &Vm) {
    let hba = ready(&scsi);
    let last = SECTORS as u32 - 1;
    let write = hba
        .command(DISK, &transfer(WRITE_SAME_10, last, 2))
        .sending(&pattern(512, 1));
    let response = hba.run(&write);
    assert_eq!(response.status, status::CHECK_CONDITION);
    assert_eq!(response.sense_code(), Some(sense::OUT_OF_RANGE));
    assert_eq!(vm.disk(VIRTIO_SCSI_DRIVE).sector(last.into()), [0; 512]);
}

/// [SBC-3 §5.28] UNMAP lets runs of blocks go; where reads of such are zero, they are.
#[testjig::test(on = VirtioScsi, needs(running))]
fn unmapped_blocks_are_let_go(scsi: VirtioScsi, vm: &Vm) {
    let hba = ready(&scsi);
    let disk = vm.disk(VIRTIO_SCSI_DRIVE);
    for sector in 0..64 {
        disk.set_sector(sector, &pattern(512, sector as u8));
    }
    let response = unmap(&hba, DISK, &runs(&[(8, 8), (32, 16)]));
    assert!(response.is_good(), "{response:?}");
    // [SBC-3 §4.7.3.4] What such blocks hold is zero, or what they held; what others hold is untouched.
    for sector in (0..8).chain(16..32).chain(48..64) {
        assert_eq!(
            disk.sector(sector)[..],
            pattern(512, sector as u8),
            "sector {sector}"
        );
    }
    for sector in (8..16).chain(32..48) {
        let content = disk.sector(sector);
        assert!(
            content == [0; 512] || content[..] == pattern(512, sector as u8),
            "sector {sector}"
        );
    }
}

/// [SBC-3 §5.28] An empty list asks for nothing, which is no error.
#[testjig::test(on = VirtioScsi, needs(running))]
fn unmapping_nothing_is_good(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    assert!(unmap(&hba, DISK, &runs(&[])).is_good());
    assert!(unmap(&hba, DISK, &runs(&[(5, 0)])).is_good());
}

/// [SBC-3 §5.28] A run that leaves the disk is out of range, by one block, and where its number in bytes has more than 64 bits.
#[testjig::test(on = VirtioScsi, needs(running), launch = large_blocks)]
fn unmapping_beyond_the_end_is_out_of_range(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    hba.ready(LARGE);
    let blocks = (1 << 20) / 4096;
    for (lun, run) in [
        (DISK, (SECTORS, 1)),
        (DISK, (SECTORS - 1, 2)),
        (DISK, (u64::MAX, 1)),
        (LARGE, (blocks - 1, 2)),
        (LARGE, (1 << 52, 2)),
        (LARGE, (u64::MAX - 1, 3)),
    ] {
        let response = unmap(&hba, lun, &runs(&[run]));
        assert_eq!(response.status, status::CHECK_CONDITION, "{lun:?} {run:?}");
        assert_eq!(
            response.sense_code(),
            Some(sense::OUT_OF_RANGE),
            "{lun:?} {run:?}"
        );
    }
    hba.ready(LARGE);
}

/// [SBC-3 §5.28] A block is as large as the disk says, also for what is let go.
#[testjig::test(on = VirtioScsi, needs(running), launch = large_blocks)]
fn unmapping_counts_in_the_disk_s_blocks(scsi: VirtioScsi, vm: &Vm) {
    let hba = ready(&scsi);
    hba.ready(LARGE);
    let disk = vm.disk("large");
    for sector in 0..64 {
        disk.set_sector(sector, &pattern(512, sector as u8));
    }
    assert!(unmap(&hba, LARGE, &runs(&[(2, 1)])).is_good());
    for sector in (0..16).chain(24..64) {
        assert_eq!(
            disk.sector(sector)[..],
            pattern(512, sector as u8),
            "sector {sector}"
        );
    }
}

/// [SBC-3 §6.5.4] The block limits page says how long a parameter list of UNMAP may be, and that there is such a command.
#[testjig::test(on = VirtioScsi, needs(running))]
fn the_disk_says_what_may_be_let_go(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    let (response, data) = hba.receive(DISK, &[0x12, 1, 0xb0, 0, 64, 0], 64);
    assert!(response.is_good(), "{response:?}");
    assert_eq!(data[1], 0xb0);
    assert_ne!(data[20..24], [0; 4], "the most blocks");
    assert_ne!(data[24..28], [0; 4], "the most runs");
    // [SBC-3 §6.5.5] Logical block provisioning: UNMAP is there (LBPU).
    let (response, data) = hba.receive(DISK, &[0x12, 1, 0xb2, 0, 64, 0], 64);
    assert!(response.is_good(), "{response:?}");
    assert_ne!(data[5] & 0x80, 0);
    // [SBC-3 §5.16] As does READ CAPACITY (16): LBPME.
    let (response, data) = hba.receive(
        DISK,
        &[0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0],
        32,
    );
    assert!(response.is_good(), "{response:?}");
    assert_ne!(data[14] & 0x80, 0);
}

/// [SBC-2 §6.3.12] The rigid disk geometry page has the cylinders and heads that the disk was given.
#[testjig::test(on = VirtioScsi, needs(running), launch = geometry)]
fn the_geometry_page_has_cylinders_and_heads(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    hba.ready(SHAPED);
    let page = mode_page(&hba, SHAPED, 0x04);
    assert_eq!(page[0] & 0x3f, 0x04);
    assert_eq!(page[2..5], [0, 0, 64], "cylinders");
    assert_eq!(page[5], 4, "heads");
}

/// [SBC-2 §6.3.8] The flexible disk page has sectors and the size of each as well.
#[testjig::test(on = VirtioScsi, needs(running), launch = geometry)]
fn the_flexible_disk_page_has_sectors_too(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    hba.ready(SHAPED);
    let page = mode_page(&hba, SHAPED, 0x05);
    assert_eq!(page[0] & 0x3f, 0x05);
    assert_eq!(page[4], 4, "heads");
    assert_eq!(page[5], 32, "sectors of a track");
    assert_eq!(page[6..8], 512_u16.to_be_bytes(), "bytes of a sector");
    assert_eq!(page[8..10], 64_u16.to_be_bytes(), "cylinders");
}

/// [SPC-4 §6.11] A page that the disk has not is an invalid field.
#[testjig::test(on = VirtioScsi, needs(running))]
fn an_unknown_page_is_an_invalid_field(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    let (response, _) = hba.receive(DISK, &[MODE_SENSE_6, 0, 0x3e, 0, 255, 0], 255);
    assert_eq!(response.status, status::CHECK_CONDITION);
    assert_eq!(response.sense_code(), Some(sense::INVALID_FIELD));
}

/// [MMC-6 §6.22] A CD-ROM drive is read in blocks of 2,048 bytes.
#[testjig::test(on = VirtioScsi, needs(running), launch = cd_rom)]
fn a_cd_rom_drive_reads_its_blocks(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    hba.ready(CD);
    let (response, data) = hba.receive(CD, &[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8);
    assert!(response.is_good(), "{response:?}");
    assert_eq!(data[..4], 1_u32.to_be_bytes());
    assert_eq!(data[4..], 2048_u32.to_be_bytes());
    let (response, data) = hba.receive(CD, &transfer(READ_10, 1, 1), 2048);
    assert!(response.is_good(), "{response:?}");
    assert_eq!(data, pattern(2048, 0x78));
    // [SPC-4 §6.6.2] It is a CD/DVD device, and its medium can be taken out.
    let (_, data) = hba.receive(CD, &[0x12, 0, 0, 0, 36, 0], 36);
    assert_eq!((data[0] & 0x1f, data[1] & 0x80), (0x05, 0x80));
}

/// [MMC-6 §6, SPC-4 §4.5.6] What would write to a CD-ROM is refused, as a command that is not there or as one of a protected medium; and
/// the drive lives.
#[testjig::test(on = VirtioScsi, needs(running), launch = cd_rom)]
fn a_cd_rom_drive_refuses_to_write(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    hba.ready(CD);
    // [SBC-3 §5.33] The other one is WRITE (12).
    let long = [0xaa, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0];
    for cdb in [&transfer(WRITE_10, 0, 1)[..], &long] {
        let opcode = cdb[0];
        let write = hba.command(CD, cdb).sending(&[0xff; 2048]);
        let response = hba.run(&write);
        assert_eq!(response.status, status::CHECK_CONDITION, "{opcode:#x}");
        let code = response.sense_code();
        let refusals = [Some(sense::INVALID_OPCODE), Some(sense::WRITE_PROTECTED)];
        assert!(refusals.contains(&code), "{opcode:#x}: {code:x?}");
    }
    let (response, data) = hba.receive(CD, &transfer(READ_10, 0, 1), 2048);
    assert!(response.is_good(), "{response:?}");
    assert_eq!(data, pattern(2048, 0x77));
}
