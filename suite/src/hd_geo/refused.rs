//! Geometries that no disk has: QEMU does not start.

use super::*;
use testjig::vm::{LaunchErrorKind, LaunchOptions};

/// A bad property of the disk, and its name in the complaint.
#[derive(Clone, Copy, Debug)]
enum Bad {
    NoCylinders,
    TooManyCylinders,
    NoHeads,
    TooManyHeads,
    NoSectors,
    TooManySectors,
}

impl Bad {
    fn chs(self) -> [u32; 3] {
        match self {
            Self::NoCylinders => [0, 16, 63],
            Self::TooManyCylinders => [65536, 16, 63],
            Self::NoHeads => [100, 0, 63],
            Self::TooManyHeads => [100, 17, 63],
            Self::NoSectors => [100, 16, 0],
            Self::TooManySectors => [100, 16, 256],
        }
    }

    fn complaint(self) -> &'static str {
        match self {
            Self::NoCylinders | Self::TooManyCylinders => "cyls must be between 1 and 65535",
            Self::NoHeads | Self::TooManyHeads => "heads must be between 1 and 16",
            Self::NoSectors | Self::TooManySectors => "secs must be between 1 and 255",
        }
    }
}

/// A geometry is given as a whole, within what a drive can tell and be asked for.
#[testjig::test(
    on = Channel,
    vary(bad = [
        Bad::NoCylinders, Bad::TooManyCylinders, Bad::NoHeads, Bad::TooManyHeads, Bad::NoSectors, Bad::TooManySectors
    ])
)]
fn an_impossible_geometry_is_refused(qemu: &Qemu, launch: Launch, bad: Bad) {
    let [cyls, heads, secs] = bad.chs();
    let launch = disk_with(launch, blank(5000), |device| {
        device
            .prop("cyls", cyls)
            .prop("heads", heads)
            .prop("secs", secs)
    });
    assert_refused(qemu, &launch, bad.complaint());
}

/// A translation is one of those that there are.
#[testjig::test(on = Channel)]
fn an_unknown_translation_is_refused(qemu: &Qemu, launch: Launch) {
    let launch = disk_with(launch, blank(5000), |device| {
        device.prop("bios-chs-trans", "huge")
    });
    assert_refused(qemu, &launch, "bios-chs-trans");
}

#[track_caller]
fn assert_refused(qemu: &Qemu, launch: &Launch, complaint: &str) {
    let Err(error) = qemu.launch(launch, &LaunchOptions::default()) else {
        panic!("the machine started: {}", launch.to_args().join(" "));
    };
    assert_eq!(error.kind(), LaunchErrorKind::BadOption, "{error}");
    assert!(error.stderr().contains(complaint), "{error}");
}
