//! Geometry and translation that the user gives, in place of what the disk tells.

use super::*;

/// `bios-chs-trans` of QEMU's disks, on disks for which `auto` would choose another one each.
#[testjig::test(
    on = Channel,
    launch = |launch| with_translation(launch, disk_of(auto), given.name()),
    vary(
        auto = [Translation::None, Translation::Lba, Translation::Large],
        given = [Translation::None, Translation::Lba, Translation::Large, Translation::Rechs]
    )
)]
fn a_given_translation_counts(vm: &Vm, auto: Translation, given: Translation) {
    let cylinders = cylinders_of(auto) as u16;
    assert_geometry(vm, Chs::new(cylinders, 16, 63), given);
}

/// `auto` is the disk's own.
#[testjig::test(
    on = Channel,
    launch = |launch| with_translation(launch, disk_of(auto), "auto"),
    vary(auto = [Translation::None, Translation::Lba, Translation::Large])
)]
fn auto_is_as_without(vm: &Vm, auto: Translation) {
    let cylinders = cylinders_of(auto) as u16;
    assert_geometry(vm, Chs::new(cylinders, 16, 63), auto);
}

fn with_translation(launch: Launch, image: Image, name: &'static str) -> Launch {
    disk_with(launch, image, |device| device.prop("bios-chs-trans", name))
}

fn cylinders_of(translation: Translation) -> u64 {
    match translation {
        Translation::None => 500,
        _ => 5000,
    }
}

/// A disk that asks for this translation by itself.
fn disk_of(translation: Translation) -> Image {
    let sectors = cylinders_of(translation) * CYLINDER;
    match translation {
        Translation::Large => partitioned(sectors, Partition::ending_at(254, 63)),
        _ => blank(sectors),
    }
}

/// Geometry that the user gives, with the translation that it needs: none while all of cylinders, heads and sectors are in the reach of
/// the firmware's interface.
#[derive(Clone, Copy, Debug)]
enum Given {
    Least,
    Reached,
    OneCylinderMore,
    OneSectorMore,
    Most,
}

impl Given {
    fn chs(self) -> Chs {
        match self {
            Self::Least => Chs::new(1, 1, 1),
            Self::Reached => Chs::new(1024, 16, 63),
            Self::OneCylinderMore => Chs::new(1025, 16, 63),
            Self::OneSectorMore => Chs::new(1024, 16, 64),
            Self::Most => Chs::new(65535, 16, 255),
        }
    }

    fn translation(self) -> Translation {
        match self {
            Self::Least | Self::Reached => Translation::None,
            _ => Translation::Lba,
        }
    }
}

/// `cyls`, `heads` and `secs` count, whatever size and contents of the disk.
#[testjig::test(
    on = Channel,
    launch = |launch| with_geometry(launch, given.chs()),
    vary(given = [Given::Least, Given::Reached, Given::OneCylinderMore, Given::OneSectorMore, Given::Most])
)]
fn a_given_geometry_counts(vm: &Vm, given: Given) {
    assert_geometry(vm, given.chs(), given.translation());
}

fn with_geometry(launch: Launch, chs: Chs) -> Launch {
    let image = partitioned(500 * CYLINDER, Partition::ending_at(7, 32));
    disk_with(launch, image, |device| {
        device
            .prop("cyls", chs.cylinders)
            .prop("heads", chs.heads)
            .prop("secs", chs.sectors)
    })
}

/// A given geometry does not choose the translation if that is given as well.
#[testjig::test(
    on = Channel,
    launch = |launch| disk_with(launch, blank(5000 * CYLINDER), |device| {
        device.prop("cyls", 5000).prop("heads", 16).prop("secs", 63).prop("bios-chs-trans", given.name())
    }),
    vary(given = [Translation::None, Translation::Large, Translation::Rechs])
)]
fn both_may_be_given(vm: &Vm, given: Translation) {
    assert_geometry(vm, Chs::new(5000, 16, 63), given);
}

/// CHS addresses go by the given geometry.
#[testjig::test(on = Channel, launch = |launch| with_geometry(launch, Chs::new(200, 4, 17)))]
fn addresses_go_by_a_given_geometry(ide: Channel, vm: &Vm) {
    use testjig::qos::dev::ata::Address;

    vm.disk("hd0").set_sector(2 * 4 * 17 + 3 * 17 + 5, b"here");
    let read = ide.read_sectors(Unit::Device0, Address::Chs(2, 3, 6), 1);
    assert_eq!(read[..4], *b"here");
}
