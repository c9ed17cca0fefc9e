//! The CMOS RAM's parameters of the first two disks.

use super::*;
use testjig::vm::Interface;

/// The user-definable drive type: nine bytes, at 1Bh for the first disk, at 24h for the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parameters([u8; 9]);

impl Parameters {
    #[track_caller]
    pub(super) fn of_disk_0(vm: &Vm) -> Self {
        Self::at(vm, 0x1b)
    }

    #[track_caller]
    pub(super) fn of_disk_1(vm: &Vm) -> Self {
        Self::at(vm, 0x24)
    }

    #[track_caller]
    fn at(vm: &Vm, index: u8) -> Self {
        let rtc = Mc146818::new(vm);
        let mut bytes = [0; 9];
        for (byte, index) in bytes.iter_mut().zip(index..) {
            *byte = rtc.read(Reg::at(index));
        }
        Self(bytes)
    }

    pub(super) fn chs(self) -> Chs {
        let cylinders = u16::from_le_bytes([self.0[0], self.0[1]]);
        Chs::new(cylinders, self.0[2].into(), self.0[8].into())
    }

    /// From which cylinder on write current is reduced; FFFFh is none.
    fn precompensation(self) -> u16 {
        u16::from_le_bytes([self.0[3], self.0[4]])
    }

    /// Bit 3: more than eight heads. Bits 7:6: retries are disabled.
    fn control(self) -> u8 {
        self.0[5]
    }

    /// Where the heads are parked.
    fn landing_zone(self) -> u16 {
        u16::from_le_bytes([self.0[6], self.0[7]])
    }
}

/// Drive types: a nibble for each of two disks at 12h, and a byte for each at 19h and 1Ah.
#[track_caller]
fn types(vm: &Vm) -> [u8; 3] {
    let rtc = Mc146818::new(vm);
    [0x12, 0x19, 0x1a].map(|index| rtc.read(Reg::at(index)))
}

const ONE: Chs = Chs::new(0x103, 16, 63);

fn one(launch: Launch) -> Launch {
    disk(launch, blank(0x103 * CYLINDER))
}

/// [12h, 19h] One disk: Fh in the high nibble, which refers to 19h; type 47 there, which refers to 1Bh and on.
#[testjig::test(on = Channel, launch = one)]
fn one_disk_has_a_type(vm: &Vm) {
    assert_eq!(types(vm), [0xf0, 47, 0]);
    assert_eq!(Parameters::of_disk_0(vm).chs(), ONE);
    assert_eq!(Parameters::of_disk_1(vm), Parameters([0; 9]));
}

/// [Drive type 47] No write precompensation, no retries, heads parked behind the last cylinder.
#[testjig::test(on = Channel, launch = one)]
fn a_disk_has_parameters(vm: &Vm) {
    let parameters = Parameters::of_disk_0(vm);
    assert_eq!(parameters.precompensation(), 0xffff);
    assert_eq!(parameters.control(), 0xc8);
    assert_eq!(parameters.landing_zone(), 0x103);
}

/// [Drive type 47, control byte] Bit 3 is set for more than eight heads.
#[testjig::test(
    on = Channel,
    launch = |launch| partitioned_disk(launch, heads),
    vary(heads = [8, 9])
)]
fn more_than_eight_heads_are_marked(vm: &Vm, heads: u8) {
    let parameters = Parameters::of_disk_0(vm);
    assert_eq!(parameters.chs().heads, u16::from(heads));
    assert_eq!(parameters.control() & 8 != 0, heads > 8);
}

fn partitioned_disk(launch: Launch, heads: u8) -> Launch {
    let image = partitioned(
        100 * u64::from(heads) * 32,
        Partition::ending_at(heads - 1, 32),
    );
    disk(launch, image)
}

fn second(launch: Launch) -> Launch {
    launch
        .drive(Drive::new("hd1", blank(0x204 * CYLINDER)))
        .device(
            Device::new("ide-hd")
                .bus("ide.0")
                .prop("unit", 1)
                .prop("drive", "hd1"),
        )
}

/// [12h, 1Ah] The second disk: Fh in the low nibble, type 47 at 1Ah, parameters from 24h on.
#[testjig::test(on = Channel, launch = second)]
fn a_second_disk_alone_has_a_type(vm: &Vm) {
    assert_eq!(types(vm), [0x0f, 0, 47]);
    assert_eq!(Parameters::of_disk_1(vm).chs(), Chs::new(0x204, 16, 63));
    assert_eq!(Parameters::of_disk_0(vm), Parameters([0; 9]));
}

/// [12h] Both.
#[testjig::test(on = Channel, launch = |launch| second(one(launch)))]
fn two_disks_have_types(vm: &Vm) {
    assert_eq!(types(vm), [0xff, 47, 47]);
    assert_eq!(Parameters::of_disk_0(vm).chs(), ONE);
    assert_eq!(Parameters::of_disk_1(vm).chs(), Chs::new(0x204, 16, 63));
}

/// Without a disk there is no type and no translation.
#[testjig::test(on = Channel)]
fn no_disk_has_no_type(vm: &Vm) {
    assert_eq!(types(vm), [0; 3]);
    assert_eq!(Parameters::of_disk_0(vm), Parameters([0; 9]));
    assert_eq!(Parameters::of_disk_1(vm), Parameters([0; 9]));
    assert_eq!(Mc146818::new(vm).read(Reg::at(0x39)), 0);
}

fn cd(launch: Launch) -> Launch {
    launch.device(Device::new("ide-cd").bus("ide.0").prop("unit", 0))
}

/// A CD-ROM drive is no disk.
#[testjig::test(on = Channel, launch = cd)]
fn a_cd_has_no_type(vm: &Vm) {
    assert_eq!(types(vm), [0; 3]);
}

fn four(launch: Launch) -> Launch {
    [
        (0, 0, Translation::Rechs),
        (0, 1, Translation::Lba),
        (1, 0, Translation::None),
        (1, 1, Translation::Large),
    ]
    .into_iter()
    .fold(launch, |launch, (bus, unit, translation)| {
        let id = format!("hd{}", 2 * bus + unit);
        launch.drive(Drive::new(&id, blank(5000))).device(
            Device::new("ide-hd")
                .bus(format!("ide.{bus}"))
                .prop("unit", unit)
                .prop("drive", id)
                .prop("bios-chs-trans", translation.name()),
        )
    })
}

/// [39h] Each of the four disks of both channels has two bits of its own, the first the lowest.
#[testjig::test(on = Channel, launch = four)]
fn four_disks_have_translations_of_their_own(vm: &Vm) {
    assert_eq!(
        [0, 1, 2, 3].map(|disk| cmos_translation(vm, disk)),
        [
            Translation::Rechs,
            Translation::Lba,
            Translation::None,
            Translation::Large
        ]
    );
}

/// What is in the first sector of the disks of [`on_the_interface`].
#[derive(Clone, Copy, Debug)]
enum Table {
    None,
    Translated,
    Own,
}

impl Table {
    fn image(self, sectors: u64) -> Image {
        match self {
            Self::None => blank(sectors),
            Self::Translated => partitioned(sectors, Partition::ending_at(127, 63)),
            Self::Own => partitioned(sectors, Partition::ending_at(15, 63)),
        }
    }

    /// Of a disk of 60 cylinders, and of one of 8,322.
    fn translations(self) -> [Translation; 2] {
        match self {
            Self::None => [Translation::None, Translation::Lba],
            Self::Translated => [Translation::Large, Translation::Lba],
            Self::Own => [Translation::None, Translation::None],
        }
    }
}

/// A small disk, a large one and an empty CD-ROM drive on the machine's own interface, as `-drive if=ide` makes them, in this order or
/// in the reverse.
fn on_the_interface(launch: Launch, table: Table, cd_first: bool) -> Launch {
    let [small, cd] = if cd_first { [2, 0] } else { [0, 2] };
    let disk = |index: u32, cylinders: u64| {
        Drive::new(format!("hd{index}"), table.image(cylinders * CYLINDER))
            .interface(Interface::Ide)
            .index(index)
    };
    launch
        .drive(disk(small, 60))
        .drive(disk(1, 8322))
        .arg("-drive")
        .arg(format!("if=ide,index={cd},media=cdrom"))
}

/// Type 47 of a disk of so many cylinders, 16 heads and 63 sectors.
fn usual(cylinders: u16) -> Parameters {
    let [low, high] = cylinders.to_le_bytes();
    Parameters([low, high, 16, 0xff, 0xff, 0xc8, low, high, 63])
}

/// Disks that the machine makes have types and translations by their places, like those that are plugged in.
#[testjig::test(
    on = Channel,
    launch = |launch| on_the_interface(launch, table, cd_first),
    vary(table = [Table::None, Table::Translated, Table::Own], cd_first = [false, true])
)]
fn disks_of_the_machines_interface_have_types(vm: &Vm, table: Table, cd_first: bool) {
    let [small, large] = table.translations();
    let parameters = [Parameters::of_disk_0(vm), Parameters::of_disk_1(vm)];
    let translations = [0, 1, 2, 3].map(|disk| cmos_translation(vm, disk));
    if cd_first {
        assert_eq!(types(vm), [0x0f, 0, 47]);
        assert_eq!(parameters, [Parameters([0; 9]), usual(8322)]);
        assert_eq!(
            translations,
            [Translation::None, large, small, Translation::None]
        );
    } else {
        assert_eq!(types(vm), [0xff, 47, 47]);
        assert_eq!(parameters, [usual(60), usual(8322)]);
        assert_eq!(
            translations,
            [small, large, Translation::None, Translation::None]
        );
    }
}
