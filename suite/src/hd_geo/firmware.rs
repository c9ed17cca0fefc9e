//! `bios-geometry` in fw_cfg: the logical geometry that the user wants the firmware to use, by the disk's path in Open Firmware's
//! notation, a line a disk.

use super::*;
use testjig::qos::dev::fw_cfg::FwCfg;

const FILE: &str = "bios-geometry";

/// What the firmware finds; without the zero at its end.
#[track_caller]
pub(super) fn lines(vm: &Vm) -> Vec<String> {
    let contents = FwCfg::io(vm).contents(FILE);
    let Some((0, text)) = contents.split_last() else {
        panic!("not terminated by a zero: {contents:?}");
    };
    let text = String::from_utf8(text.to_vec()).expect("paths are ASCII");
    text.lines().map(str::to_owned).collect()
}

pub(super) fn logical(device: Device, chs: Chs) -> Device {
    device
        .prop("lcyls", chs.cylinders)
        .prop("lheads", chs.heads)
        .prop("lsecs", chs.sectors)
}

fn one(launch: Launch) -> Launch {
    disk_with(launch, blank(1200 * CYLINDER), |device| {
        logical(device, Chs::new(1000, 255, 61))
    })
}

/// Cylinders, heads and sectors behind the path of the disk: the PIIX's function 1, channel 0, device 0.
#[testjig::test(on = Channel, launch = one)]
fn a_logical_geometry_is_told(vm: &Vm) {
    assert_eq!(lines(vm), ["/pci@i0cf8/ide@1,1/drive@0/disk@0 1000 255 61"]);
}

/// The logical geometry is the firmware's: the drive's own and the translation are as without.
#[testjig::test(on = Channel, launch = one)]
fn the_drive_does_not_know_it(vm: &Vm) {
    assert_geometry(vm, Chs::new(1200, 16, 63), Translation::Lba);
}

fn two(launch: Launch) -> Launch {
    let device = Device::new("ide-hd")
        .bus("ide.1")
        .prop("unit", 1)
        .prop("drive", "hd3");
    one(launch)
        .drive(Drive::new("hd3", blank(5000)))
        .device(logical(device, Chs::new(20, 8, 32)))
}

/// Each disk has a line.
#[testjig::test(on = Channel, launch = two)]
fn each_disk_has_a_line(vm: &Vm) {
    assert_eq!(
        lines(vm),
        [
            "/pci@i0cf8/ide@1,1/drive@0/disk@0 1000 255 61",
            "/pci@i0cf8/ide@1,1/drive@1/disk@1 20 8 32"
        ]
    );
}

/// A disk of which no logical geometry was given has none.
#[testjig::test(on = Channel, launch = |launch| disk(launch, blank(5000)))]
fn no_logical_geometry_is_no_line(vm: &Vm) {
    assert_eq!(FwCfg::io(vm).file(FILE).map(|entry| entry.size), Some(0));
}
