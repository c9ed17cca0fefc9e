//! Formats of disks, which QEMU knows by the size of the image: tracks, sides, sectors of a track, and the data rate.

use super::*;
use testjig::qos::dev::i82078::{DumpRegisters, Transfer};

/// A format, and the drive that it belongs in.
#[derive(Clone, Copy)]
struct Format {
    drive: &'static str,
    disk: Geometry,
    rate: DataRate,
}

impl std::fmt::Debug for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{:?}", self.drive, self.disk)
    }
}

const fn format(
    drive: &'static str,
    cylinders: u8,
    heads: u8,
    sectors: u8,
    rate: DataRate,
) -> Format {
    Format {
        drive,
        disk: Geometry::new(cylinders, heads, sectors),
        rate,
    }
}

use DataRate::{Kbps250, Kbps300, Kbps500, Mbps1};

/// The formats of PCs: IBM's from 160 KB to 2.88 MB, and those that copy programs and distributions made popular.
const FORMATS: [Format; 31] = [
    format("144", 80, 2, 18, Kbps500),
    format("144", 80, 2, 20, Kbps500),
    format("144", 80, 2, 21, Kbps500),
    format("144", 82, 2, 21, Kbps500),
    format("144", 83, 2, 21, Kbps500),
    format("144", 80, 2, 22, Kbps500),
    format("144", 80, 2, 23, Kbps500),
    format("144", 80, 2, 24, Kbps500),
    format("288", 80, 2, 36, Mbps1),
    format("288", 80, 2, 39, Mbps1),
    format("288", 80, 2, 40, Mbps1),
    format("288", 80, 2, 44, Mbps1),
    format("288", 80, 2, 48, Mbps1),
    format("144", 80, 2, 9, Kbps250),
    format("144", 80, 2, 10, Kbps250),
    format("144", 82, 2, 10, Kbps250),
    format("144", 83, 2, 10, Kbps250),
    format("144", 80, 2, 13, Kbps250),
    format("144", 80, 2, 14, Kbps250),
    format("144", 80, 1, 9, Kbps250),
    format("120", 80, 2, 15, Kbps500),
    format("120", 80, 2, 18, Kbps500),
    format("120", 82, 2, 18, Kbps500),
    format("120", 83, 2, 18, Kbps500),
    format("120", 80, 2, 20, Kbps500),
    format("120", 80, 2, 9, Kbps250),
    format("120", 80, 2, 11, Kbps250),
    format("120", 40, 2, 9, Kbps300),
    format("120", 41, 2, 10, Kbps300),
    format("120", 42, 2, 10, Kbps300),
    format("120", 40, 2, 8, Kbps250),
];

fn in_its_drive(launch: Launch, format: Format) -> Launch {
    launch
        .drive(image(0, format.disk))
        .device(drive(0).prop("drive-type", format.drive))
}

/// Reads one sector and returns it with its result.
#[track_caller]
fn read(fdc: &I82078, vm: &Vm, at: Chs) -> (Vec<u8>, TransferStatus) {
    let memory = dma_to_memory(vm, 512);
    let status = fdc.run(Transfer::read(at));
    (memory.to_vec(), status)
}

/// The last sector of the disk is the last one of the image, at the format's data rate; behind it the track ends.
#[testjig::test(on = I82078, launch = |l| in_its_drive(l, format), vary(format = FORMATS))]
fn a_format_is_known_by_its_size(fdc: I82078, vm: &Vm, format: Format) {
    let last = format.disk.last();
    let disk = vm.disk("fd0");
    disk.set_sector(format.disk.len() - 1, &pattern(1));
    fdc.reset();
    fdc.set_rate(format.rate);
    let (data, status) = read(&fdc, vm, last);
    assert_eq!(status.st0.code(), InterruptCode::Normal, "{status:?}");
    assert_eq!(data, pattern(1));

    let beyond = Chs::new(last.cylinder, last.head, last.sector + 1);
    let (_, status) = read(&fdc, vm, beyond);
    assert_refused(status, St1::new().with_end_of_cylinder(true), beyond);
    assert_eq!(fdc.run(DumpRegisters).sectors, format.disk.sectors);
}

/// Single-sided formats: the image has one track after the other.
#[testjig::test(on = I82078, launch = |l| in_its_drive(l, format), vary(format = [
    format("120", 40, 1, 9, Kbps300), format("120", 40, 1, 8, Kbps250)
]))]
fn a_single_sided_format_is_known_by_its_size(fdc: I82078, vm: &Vm, format: Format) {
    let at = Chs::new(1, 0, 1);
    vm.disk("fd0")
        .set_sector(format.disk.index(at), &pattern(1));
    fdc.reset();
    fdc.set_rate(format.rate);
    let (data, status) = read(&fdc, vm, at);
    assert_eq!(status.st0.code(), InterruptCode::Normal, "{status:?}");
    assert_eq!(data, pattern(1));
    let (_, other_side) = read(&fdc, vm, Chs::new(1, 1, 1));
    assert_eq!(other_side.st0.code(), InterruptCode::Abnormal);
}

/// Without a `drive-type`, the drive is one for the disk that is in it when the machine starts.
#[testjig::test(on = I82078, launch = |l| disk_in(l, 0, format.disk), vary(format = [
    format("144", 80, 2, 18, Kbps500), format("288", 80, 2, 36, Mbps1), format("120", 80, 2, 15, Kbps500),
    format("120", 40, 1, 9, Kbps300), format("144", 80, 2, 9, Kbps250)
]))]
fn a_drive_fits_its_first_disk(vm: &Vm, format: Format) {
    assert_eq!(drive_type(vm), format.drive);
}

#[track_caller]
fn drive_type(vm: &Vm) -> String {
    use testjig::qmp::commands::QomGet;

    let kind = vm.qmp(QomGet::new("/machine/peripheral/drive0", "drive-type"));
    kind.as_str()
        .expect("an enumeration is a string")
        .to_owned()
}

/// `fallback`: what an empty drive is.
#[testjig::test(on = I82078, launch = |l| empty_drive(l).global("isa-fdc", "fallback", kind), vary(kind = ["144", "288", "120"]))]
fn an_empty_drive_is_what_the_fallback_says(vm: &Vm, kind: &str) {
    assert_eq!(drive_type(vm), kind);
}

/// `fallback`: without one, a drive for 2.88 MB, which takes all 3½" disks.
#[testjig::test(on = I82078, launch = empty_drive)]
fn an_empty_drive_takes_2_88_mb(vm: &Vm) {
    assert_eq!(drive_type(vm), "288");
}

/// An image of no known size is a disk of the drive's usual format; what it lacks reads as zeroes.
#[testjig::test(on = I82078, launch = |l| l.drive(Drive::new("fd0", Image::zeroed(64 << 10))).device(drive(0).prop("drive-type", kind)), vary(kind = ["144", "288", "120"]))]
fn an_odd_image_is_the_drives_usual_format(fdc: I82078, vm: &Vm, kind: &str) {
    let (sectors, rate) = match kind {
        "144" => (18, Kbps500),
        "288" => (36, Mbps1),
        _ => (15, Kbps500),
    };
    vm.disk("fd0").set_sector(2, &pattern(2));
    fdc.reset();
    fdc.set_rate(rate);
    assert_eq!(fdc.run(DumpRegisters).sectors, sectors);
    assert_eq!(read(&fdc, vm, Chs::new(0, 0, 3)).0, pattern(2));
    assert_eq!(read(&fdc, vm, Chs::new(70, 1, 3)).0, [0; SECTOR]);
}

/// A disk of the same diameter as the drive's is preferred where two formats have one size: 720 sectors are 80 tracks of 3½".
#[testjig::test(on = I82078, launch = |l| in_its_drive(l, format("288", 80, 2, 18, Kbps500)))]
fn a_drive_takes_smaller_disks_of_its_diameter(fdc: I82078, vm: &Vm) {
    vm.disk("fd0").set_sector(DISK.len() - 1, &pattern(1));
    fdc.reset();
    fdc.set_rate(Kbps500);
    assert_eq!(fdc.run(DumpRegisters).sectors, 18);
    assert_eq!(read(&fdc, vm, DISK.last()).0, pattern(1));
}
