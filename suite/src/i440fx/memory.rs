//! Machine memory: where DRAM is, where it ends, and which registers say how much there is.

use std::fmt;

use testjig::prelude::*;
use testjig::qos::bus::Pio;
use testjig::qos::dev::i440fx::I440fx;

use super::address_map::AddressMap;

/// Register 0x57, where coreboot's port to QEMU looks: the size of memory, in units of 8 MiB, rounded down.
#[testjig::test(on = I440fx, launch = |l| l.memory(size.0), vary(size = SMALL))]
fn the_size_register_counts_8_mib(host: I440fx, size: Size) {
    assert_eq!(u64::from(host.memory_size()), size.0 / (8 * MIB));
}

/// Register 0x57 stops at its largest value.
#[testjig::test(on = I440fx, launch = |l| l.memory(size.0), vary(size = LARGE))]
fn the_size_register_saturates(host: I440fx, size: Size) {
    assert!(size.0 >= 255 * 8 * MIB);
    assert_eq!(host.memory_size(), 255);
}

/// Register 0x57 counts memory on both sides of 4 GiB.
#[testjig::test(on = I440fx, launch = |l| split_at(l, GIB).memory(1536 * MIB))]
fn the_size_register_counts_memory_above_4_gib(host: I440fx) {
    assert_eq!(host.memory_size(), 192);
}

/// System address map: DRAM runs from 0 to 640 KiB and from 1 MiB to the top of memory, and ends there.
#[testjig::test(on = I440fx, launch = |l| l.memory(size.0), vary(size = BELOW_4G))]
fn dram_ends_at_its_size(vm: &Vm, size: Size) {
    assert_dram(vm, &[0, 0x9_ffff, 0x10_0000, size.0 - 1]);
    assert_nothing(vm, &[size.0, GIB * 4]);
}

/// The smallest memories end below 1 MiB or right there.
#[testjig::test(on = I440fx, launch = |l| l.memory(size.0), vary(size = [Size(512 * KIB), Size(MIB)]))]
fn dram_may_end_at_or_below_1_mib(vm: &Vm) {
    assert_dram(vm, &[0, 512 * KIB - 1]);
    assert_nothing(vm, &[MIB, 4 * GIB]);
}

/// System address map: what would reach into the space of PCI and APICs continues above 4 GiB.
#[testjig::test(on = I440fx, launch = |l| split.launch(l), vary(split = SPLITS))]
fn dram_continues_above_4_gib(vm: &Vm, split: Split) {
    let end = 4 * GIB + split.memory - split.below;
    assert_dram(vm, &[0x10_0000, split.below - 1, 4 * GIB, end - 1]);
    assert_nothing(vm, &[split.below, end]);
}

/// The two parts are one memory without a gap, and show no byte twice.
#[testjig::test(on = I440fx, launch = |l| l.memory(5 * GIB))]
fn the_parts_of_a_split_memory_follow_each_other(vm: &Vm) {
    let map = AddressMap::of(vm, "memory");
    assert_eq!(map.at(MIB..=3 * GIB - 1), ["ram: ram"]);
    assert_eq!(map.at(4 * GIB..=6 * GIB - 1), ["ram: ram @0xc0000000"]);
}

/// The mapping of guest memory in the test and the bus show the same bytes.
#[testjig::test(on = I440fx, launch = |l| l.memory(5 * GIB))]
fn the_bus_shows_the_memory_backend(vm: &Vm) {
    for place in Place::ALL {
        let address = place.address();
        vm.writeq(address, 0x0123_4567_89ab_cdef);
        assert_eq!(
            vm.ram().read_le::<u64>(address),
            0x0123_4567_89ab_cdef,
            "{place:?}"
        );
    }
}

/// CMOS, as IBM's AT has it: 15h/16h hold the size of conventional memory in KiB.
#[testjig::test(on = I440fx)]
fn cmos_reports_640_kib_of_conventional_memory(vm: &Vm) {
    assert_eq!(cmos16(vm, 0x15), 640);
}

/// CMOS: 17h/18h and 30h/31h hold the memory above 1 MiB in KiB, as far as 16 bits go.
#[testjig::test(on = I440fx, launch = |l| l.memory(size.0), vary(size = [Size(MIB), Size(2 * MIB), Size(64 * MIB), Size(65 * MIB)]))]
fn cmos_reports_extended_memory_up_to_64_mib(vm: &Vm, size: Size) {
    let kib = (size.0.saturating_sub(MIB) / KIB).min(0xffff);
    assert_eq!(u64::from(cmos16(vm, 0x17)), kib);
    assert_eq!(u64::from(cmos16(vm, 0x30)), kib);
}

/// CMOS: 34h/35h hold the memory from 16 MiB to 4 GiB in units of 64 KiB.
#[testjig::test(on = I440fx, launch = |l| l.memory(size.0), vary(size = [Size(MIB), Size(16 * MIB), Size(17 * MIB), Size(4 * GIB)]))]
fn cmos_reports_memory_above_16_mib(vm: &Vm, size: Size) {
    let below_4g = if size.0 < DEFAULT_LIMIT {
        size.0
    } else {
        3 * GIB
    };
    let units = below_4g.saturating_sub(16 * MIB) / (64 * KIB);
    assert_eq!(u64::from(cmos16(vm, 0x34)), units);
}

/// CMOS: 5Bh–5Dh hold the memory above 4 GiB in units of 64 KiB.
#[testjig::test(on = I440fx, launch = |l| l.memory(size.0), vary(size = [Size(2 * GIB), Size(8 * GIB)]))]
fn cmos_reports_memory_above_4_gib(vm: &Vm, size: Size) {
    let above_4g = if size.0 < DEFAULT_LIMIT {
        0
    } else {
        size.0 - 3 * GIB
    };
    let units = u64::from(cmos16(vm, 0x5b)) | u64::from(cmos(vm, 0x5d)) << 16;
    assert_eq!(units, above_4g / (64 * KIB));
}

/// A memory of this size, or more, is split at 3 GiB.
const DEFAULT_LIMIT: u64 = 3 * GIB + 512 * MIB;

const SMALL: [Size; 5] = [
    Size(8 * MIB - MIB),
    Size(8 * MIB),
    Size(64 * MIB),
    Size(2039 * MIB),
    Size(2040 * MIB),
];
const LARGE: [Size; 3] = [Size(2047 * MIB), Size(2 * GIB + 8 * MIB), Size(5 * GIB)];
const BELOW_4G: [Size; 3] = [Size(2 * MIB), Size(64 * MIB), Size(DEFAULT_LIMIT - MIB)];

const SPLITS: [Split; 4] = [
    Split::by_default(DEFAULT_LIMIT, 3 * GIB),
    Split::by_default(8 * GIB, 3 * GIB),
    Split::at(GIB, GIB + MIB),
    Split::at(1536 * MIB, 2 * GIB),
];

/// A size in bytes, shown in MiB, KiB or bytes.
#[derive(Clone, Copy)]
pub(super) struct Size(pub(super) u64);

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            mib if mib % MIB == 0 => write!(f, "{}M", mib / MIB),
            kib if kib % KIB == 0 => write!(f, "{}K", kib / KIB),
            bytes => write!(f, "{bytes}B"),
        }
    }
}

/// The ends of DRAM's stretches.
#[derive(Clone, Copy, Debug)]
enum Place {
    Bottom,
    BelowVideo,
    AboveRom,
    BelowPci,
    Above4G,
    Top,
}

impl Place {
    const ALL: [Self; 6] = [
        Self::Bottom,
        Self::BelowVideo,
        Self::AboveRom,
        Self::BelowPci,
        Self::Above4G,
        Self::Top,
    ];

    /// Of eight bytes, in a memory of 5 GiB.
    fn address(self) -> u64 {
        match self {
            Self::Bottom => 0,
            Self::BelowVideo => 640 * KIB - 8,
            Self::AboveRom => MIB,
            Self::BelowPci => 3 * GIB - 8,
            Self::Above4G => 4 * GIB,
            Self::Top => 6 * GIB - 8,
        }
    }
}

/// A memory that does not fit below 4 GiB.
#[derive(Clone, Copy)]
struct Split {
    memory: u64,
    below: u64,
    asked: bool,
}

impl Split {
    const fn by_default(memory: u64, below: u64) -> Self {
        Self {
            memory,
            below,
            asked: false,
        }
    }

    const fn at(below: u64, memory: u64) -> Self {
        Self {
            memory,
            below,
            asked: true,
        }
    }

    fn launch(self, launch: Launch) -> Launch {
        let launch = launch.memory(self.memory);
        if self.asked {
            split_at(launch, self.below)
        } else {
            launch
        }
    }
}

impl fmt::Debug for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}-at-{:?}", Size(self.memory), Size(self.below))
    }
}

fn split_at(launch: Launch, below: u64) -> Launch {
    launch.machine_option("max-ram-below-4g", below)
}

#[track_caller]
fn assert_dram(vm: &Vm, addresses: &[u64]) {
    for (value, &address) in (0xa0..).zip(addresses) {
        vm.writeb(address, value);
    }
    for (value, &address) in (0xa0..).zip(addresses) {
        assert_eq!(
            vm.readb(address),
            value,
            "no DRAM of its own at {address:#x}"
        );
    }
}

#[track_caller]
fn assert_nothing(vm: &Vm, addresses: &[u64]) {
    for &address in addresses {
        let before = vm.readb(address);
        vm.writeb(address, !before);
        assert_eq!(
            vm.readb(address),
            before,
            "something keeps bytes at {address:#x}"
        );
    }
}

fn cmos(vm: &Vm, index: u8) -> u8 {
    let rtc = Pio::new(vm, 0x70);
    rtc.outb(0, index);
    rtc.inb(1)
}

fn cmos16(vm: &Vm, index: u8) -> u16 {
    u16::from_le_bytes([cmos(vm, index), cmos(vm, index + 1)])
}
