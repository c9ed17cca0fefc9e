//! Disks with a partition table, which tells by which geometry it was made: a partition ends with a cylinder, so its last sector is the
//! last of the last head.

use super::*;

const NONE: Partition = Partition::NONE;

/// Sectors of a disk that is neither small nor needs a translation.
const SECTORS: u64 = 500 * CYLINDER;
/// What it has without a table.
const WITHOUT: Chs = Chs::new(500, 16, 63);

/// Up to 16 heads can be the drive's own: it has that geometry, and the firmware does not translate.
#[testjig::test(
    on = Channel,
    launch = |launch| disk(launch, partitioned(SECTORS, Partition::ending_at(end.0, end.1))),
    vary(end = [(1, 63), (3, 17), (14, 17), (15, 17), (15, 62), (15, 63)])
)]
fn up_to_16_heads_are_the_drives_own(vm: &Vm, end: (u8, u8)) {
    let (heads, sectors) = (u16::from(end.0) + 1, u16::from(end.1));
    let cylinders = SECTORS / u64::from(heads * sectors);
    assert_geometry(
        vm,
        Chs::new(cylinders as u16, heads, sectors),
        Translation::None,
    );
}

/// The drive's own geometry is not translated, even with more than 1,024 cylinders: the table was made without.
#[testjig::test(
    on = Channel,
    launch = |launch| disk(launch, partitioned(cylinders * 16 * 63, Partition::ending_at(15, 63))),
    vary(cylinders = [1024, 1025, 5000])
)]
fn the_drives_own_geometry_is_not_translated(vm: &Vm, cylinders: u64) {
    assert_geometry(vm, Chs::new(cylinders as u16, 16, 63), Translation::None);
}

/// More than 16 heads come from a translating firmware: the drive has its usual geometry.
#[testjig::test(
    on = Channel,
    launch = |launch| disk(launch, partitioned(1200 * CYLINDER, Partition::ending_at(heads_less_one, 63))),
    vary(heads_less_one = [16, 31, 127, 254])
)]
fn more_than_16_heads_are_a_translation(vm: &Vm) {
    assert_geometry(vm, Chs::new(1200, 16, 63), Translation::Large);
}

/// Shifting bits between cylinders and heads reaches 131,072 tracks; beyond, only block addresses do.
#[testjig::test(
    on = Channel,
    launch = |launch| disk(launch, partitioned(cylinders * CYLINDER, Partition::ending_at(254, 63))),
    vary(cylinders = [8191, 8192, 8193, 16383, 20000])
)]
fn shifting_reaches_8192_cylinders(vm: &Vm, cylinders: u64) {
    let translation = if cylinders <= 8192 {
        Translation::Large
    } else {
        Translation::Lba
    };
    assert_geometry(
        vm,
        Chs::new(cylinders.min(16383) as u16, 16, 63),
        translation,
    );
}

/// Bits 7:6 of the last sector belong to the cylinder.
#[testjig::test(on = Channel, launch = |launch| disk(launch, partitioned(SECTORS, Partition::ending_at(7, 0xc0 | 32))))]
fn cylinder_bits_are_not_the_sectors(vm: &Vm) {
    assert_geometry(
        vm,
        Chs::new((SECTORS / 256) as u16, 8, 32),
        Translation::None,
    );
}

/// The first partition that tells a geometry counts, whichever of the four it is.
#[testjig::test(on = Channel, launch = |launch| disk(launch, at_slot(slot)), vary(slot = [0, 1, 2, 3]))]
fn the_first_partition_counts(vm: &Vm) {
    assert_geometry(
        vm,
        Chs::new((SECTORS / 256) as u16, 8, 32),
        Translation::None,
    );
}

/// From slot `slot` on partitions; the first of 8 heads and 32 sectors, the others of a different geometry.
fn at_slot(slot: usize) -> Image {
    let mut partitions = [NONE; 4];
    for (index, partition) in partitions.iter_mut().enumerate() {
        *partition = match index {
            _ if index < slot => NONE,
            _ if index == slot => Partition::ending_at(7, 32),
            _ => Partition::ending_at(3, 17),
        };
    }
    blank(SECTORS).with(0, table(partitions))
}

/// Partitions that tell nothing: an empty one, one that ends on head 0, one that ends on sector 0, one of more than 16,383 cylinders,
/// and one of a cylinder that is larger than the disk.
#[derive(Clone, Copy, Debug)]
enum Silent {
    Empty,
    HeadZero,
    SectorZero,
    TooManyCylinders,
    CylinderTooLarge,
}

impl Silent {
    fn partition(self) -> Partition {
        match self {
            Self::Empty => Partition {
                sectors: 0,
                ..Partition::ending_at(7, 32)
            },
            Self::HeadZero => Partition::ending_at(0, 32),
            Self::SectorZero => Partition::ending_at(7, 0xc0),
            Self::TooManyCylinders => Partition::ending_at(1, 1),
            Self::CylinderTooLarge => Partition::ending_at(254, 63),
        }
    }

    fn sectors(self) -> u64 {
        match self {
            Self::CylinderTooLarge => 255 * 63 - 1,
            _ => SECTORS,
        }
    }
}

/// A partition that tells nothing leaves the geometry of a blank disk.
#[testjig::test(
    on = Channel,
    launch = |launch| disk(launch, partitioned(silent.sectors(), silent.partition())),
    vary(silent = [Silent::Empty, Silent::HeadZero, Silent::SectorZero, Silent::TooManyCylinders, Silent::CylinderTooLarge])
)]
fn a_silent_partition_tells_nothing(vm: &Vm, silent: Silent) {
    let cylinders = (silent.sectors() / CYLINDER) as u16;
    assert_geometry(vm, Chs::new(cylinders, 16, 63), Translation::None);
}

/// A partition that tells nothing does not hide one behind it.
#[testjig::test(
    on = Channel,
    launch = |launch| disk(launch, behind(silent)),
    vary(silent = [Silent::Empty, Silent::HeadZero, Silent::SectorZero, Silent::TooManyCylinders])
)]
fn a_silent_partition_hides_nothing(vm: &Vm) {
    assert_geometry(
        vm,
        Chs::new((SECTORS / 256) as u16, 8, 32),
        Translation::None,
    );
}

fn behind(silent: Silent) -> Image {
    let partitions = [silent.partition(), NONE, Partition::ending_at(7, 32), NONE];
    blank(SECTORS).with(0, table(partitions))
}

/// At the ends of what counts: a disk of exactly one such cylinder, and one of exactly 16,383.
#[testjig::test(
    on = Channel,
    launch = |launch| disk(launch, partitioned(cylinders * 256, Partition::ending_at(7, 32))),
    vary(cylinders = [1, 16383])
)]
fn one_cylinder_and_16383_are_geometries(vm: &Vm, cylinders: u64) {
    assert_geometry(vm, Chs::new(cylinders as u16, 8, 32), Translation::None);
}

/// One cylinder more is not: the disk is as without a table.
#[testjig::test(on = Channel, launch = |launch| disk(launch, partitioned(16384 * 256, Partition::ending_at(7, 32))))]
fn cylinders_16384_are_no_geometry(vm: &Vm) {
    let cylinders = (16384_u64 * 256 / CYLINDER) as u16;
    assert_geometry(vm, Chs::new(cylinders, 16, 63), Translation::Lba);
}

/// Without 55h AAh at its end the first sector holds no table.
#[testjig::test(on = Channel, launch = |launch| disk(launch, unsigned(end)), vary(end = [[0x55, 0xab], [0x54, 0xaa], [0, 0], [0xaa, 0x55]]))]
fn a_table_is_signed(vm: &Vm) {
    assert_geometry(vm, WITHOUT, Translation::None);
}

fn unsigned(end: [u8; 2]) -> Image {
    let signed = table([Partition::ending_at(7, 32), NONE, NONE, NONE]);
    blank(SECTORS).with(0, signed).with(0x1fe, end)
}

/// A first sector that can't be read tells nothing either.
#[testjig::test(on = Channel, launch = unreadable)]
fn an_unreadable_table_tells_nothing(vm: &Vm) {
    assert_geometry(vm, WITHOUT, Translation::None);
}

/// The first read fails, as of a bad sector; later ones don't.
fn unreadable(launch: Launch) -> Launch {
    launch
        .drive(Drive::new(
            "raw",
            partitioned(SECTORS, Partition::ending_at(7, 32)),
        ))
        .arg("-blockdev")
        .arg(
            "driver=blkdebug,node-name=hd0,image=raw,inject-error.0.event=none,inject-error.0.iotype=read,\
             inject-error.0.errno=5,inject-error.0.once=on",
        )
        .device(
            Device::new("ide-hd")
                .bus("ide.0")
                .prop("unit", 0)
                .prop("drive", "hd0"),
        )
}
