//! The PCI holes: where the bridge tells the firmware's tables that PCI memory may be, below and above 4 GiB.

use testjig::prelude::*;
use testjig::qmp::commands::QomGet;
use testjig::qos::dev::i440fx::I440fx;
use testjig::qos::pci::{Bdf, Command, Function};

use super::memory::Size;

/// System address map: below 4 GiB, PCI has what is between the top of memory and the I/O APIC.
#[testjig::test(on = I440fx, launch = |l| l.memory(size.0), vary(size = SIZES))]
fn the_hole_is_between_memory_and_the_io_apic(vm: &Vm, size: Size) {
    let top = if size.0 < 3584 * MIB { size.0 } else { 3 * GIB };
    assert_eq!(Hole::below_4g(vm), Hole(top, IO_APIC));
}

/// The limit of memory below 4 GiB moves the start of the hole.
#[testjig::test(on = I440fx, launch = |l| l.memory(4 * GIB).machine_option("max-ram-below-4g", limit.0), vary(limit = [Size(GIB), Size(2 * GIB)]))]
fn the_hole_begins_where_memory_is_told_to_end(vm: &Vm, limit: Size) {
    assert_eq!(Hole::below_4g(vm), Hole(limit.0, IO_APIC));
}

/// The last MiB below the I/O APIC can be all that PCI has.
#[testjig::test(on = I440fx, launch = |l| l.memory(IO_APIC - MIB).machine_option("max-ram-below-4g", 4 * GIB))]
fn the_hole_may_be_a_single_mib(vm: &Vm) {
    assert_eq!(Hole::below_4g(vm), Hole(IO_APIC - MIB, IO_APIC));
}

/// Without 64-bit resources, the upper hole begins at the first GiB boundary above memory, and has the size that is reserved.
#[testjig::test(on = I440fx, launch = |l| l.memory(size.0), vary(size = SIZES))]
fn the_upper_hole_begins_above_memory(vm: &Vm, size: Size) {
    let above = if size.0 < 3584 * MIB {
        0
    } else {
        size.0 - 3 * GIB
    };
    let start = (4 * GIB + above).next_multiple_of(GIB);
    assert_eq!(Hole::above_4g(vm), Hole(start, start + 2 * GIB));
}

/// The reserved size is rounded up to whole GiB.
#[testjig::test(on = I440fx, launch = |l| reserve(l, size.0), vary(size = RESERVED))]
fn the_upper_hole_is_whole_gibs(vm: &Vm, size: Size) {
    assert_eq!(number(vm, "pci-hole64-size"), size.0);
    assert_eq!(
        Hole::above_4g(vm),
        Hole(4 * GIB, 4 * GIB + size.0.next_multiple_of(GIB))
    );
}

/// Memory that may be plugged in later lies below the upper hole.
#[testjig::test(on = I440fx, launch = |l| l.memory(64 * MIB).arg("-m").arg("slots=1,maxmem=3G"))]
fn the_upper_hole_leaves_room_for_memory_to_come(vm: &Vm) {
    let hole = Hole::above_4g(vm);
    assert!(hole.0 >= 4 * GIB + 3 * GIB - 64 * MIB, "{hole:?}");
    assert_eq!(hole.0 % GIB, 0);
    assert_eq!(hole.1 - hole.0, 2 * GIB);
}

/// With a 64-bit resource, the upper hole begins there and has at least the size that is reserved.
#[testjig::test(on = I440fx, launch = with_bar)]
fn the_upper_hole_begins_at_the_first_64_bit_resource(host: I440fx, vm: &Vm) {
    map_bar(&host, 32 * GIB + 256 * MIB);
    assert_eq!(Hole::above_4g(vm), Hole(32 * GIB + 256 * MIB, 35 * GIB));
}

/// A resource that is larger than what is reserved is the upper hole.
#[testjig::test(on = I440fx, launch = |l| reserve(with_bar(l), 0))]
fn the_upper_hole_holds_the_whole_resource(host: I440fx, vm: &Vm) {
    map_bar(&host, 32 * GIB);
    assert_eq!(Hole::above_4g(vm), Hole(32 * GIB, 32 * GIB + BAR_LEN));
}

/// Several resources are all in the upper hole, with what is between them.
#[testjig::test(on = I440fx, launch = |l| with_another_bar(with_bar(l)))]
fn the_upper_hole_runs_from_the_first_resource_to_the_last(host: I440fx, vm: &Vm) {
    map_bar(&host, 64 * GIB);
    map_bar_of(&host, ANOTHER, 32 * GIB);
    assert_eq!(Hole::above_4g(vm), Hole(32 * GIB, 64 * GIB + BAR_LEN));
}

/// PCI 2.1 §6.2.2: a device whose memory space bit is 0 decodes nothing.
#[testjig::test(on = I440fx, launch = with_bar)]
fn a_resource_that_is_not_decoded_does_not_count(host: I440fx, vm: &Vm) {
    map_bar(&host, 32 * GIB).set_command(Command::new());
    assert_eq!(Hole::above_4g(vm), Hole(4 * GIB, 6 * GIB));
}

/// A 64-bit resource below 4 GiB is none of the upper hole's.
#[testjig::test(on = I440fx, launch = with_bar)]
fn a_resource_below_4_gib_does_not_count(host: I440fx, vm: &Vm) {
    map_bar(&host, 3 * GIB);
    assert_eq!(Hole::above_4g(vm), Hole(4 * GIB, 6 * GIB));
}

/// Machine types up to 2.10 have no upper hole without 64-bit resources.
#[testjig::test(on = I440fx, launch = old_hole)]
fn an_old_machine_has_no_upper_hole(vm: &Vm) {
    assert_eq!(Hole::above_4g(vm), Hole(0, 0));
}

/// Machine types up to 2.10 have the upper hole end with the last 64-bit resource.
#[testjig::test(on = I440fx, launch = |l| old_hole(with_bar(l)))]
fn an_old_machine_has_the_resource_as_its_upper_hole(host: I440fx, vm: &Vm) {
    map_bar(&host, 32 * GIB);
    assert_eq!(Hole::above_4g(vm), Hole(32 * GIB, 32 * GIB + BAR_LEN));
}

const IO_APIC: u64 = 0xfec0_0000;

const SIZES: [Size; 4] = [
    Size(64 * MIB),
    Size(3584 * MIB - MIB),
    Size(3584 * MIB),
    Size(4 * GIB + MIB),
];

const RESERVED: [Size; 4] = [Size(0), Size(1), Size(GIB), Size(GIB + 1)];

/// First address, and the address after the last.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Hole(u64, u64);

impl Hole {
    #[track_caller]
    fn below_4g(vm: &Vm) -> Self {
        Self(number(vm, "pci-hole-start"), number(vm, "pci-hole-end"))
    }

    #[track_caller]
    fn above_4g(vm: &Vm) -> Self {
        Self(number(vm, "pci-hole64-start"), number(vm, "pci-hole64-end"))
    }
}

impl std::fmt::Debug for Hole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}..{:#x}", self.0, self.1)
    }
}

#[track_caller]
fn number(vm: &Vm, property: &str) -> u64 {
    vm.qmp(QomGet::new("/machine/i440fx", property))
        .as_u64()
        .unwrap_or_else(|| panic!("property {property} of the bridge is no number"))
}

fn reserve(launch: Launch, size: u64) -> Launch {
    launch.global("i440FX-pcihost", "pci-hole64-size", size)
}

fn old_hole(launch: Launch) -> Launch {
    launch.global("i440FX-pcihost", "x-pci-hole64-fix", "off")
}

/// The size of the 64-bit resource.
const BAR_LEN: u64 = 256 * MIB;

const ONE: Bdf = Bdf::new(0, 4, 0);
const ANOTHER: Bdf = Bdf::new(0, 5, 0);

/// A device with one 64-bit base address register, which no firmware has set yet.
fn with_bar(launch: Launch) -> Launch {
    with_bar_at(launch, ONE)
}

fn with_another_bar(launch: Launch) -> Launch {
    with_bar_at(launch, ANOTHER)
}

fn with_bar_at(launch: Launch, at: Bdf) -> Launch {
    let device = Device::new("pci-testdev").prop("addr", at.device());
    launch.device(device.prop("membar", BAR_LEN))
}

fn map_bar(host: &I440fx, address: u64) -> Function {
    map_bar_of(host, ONE, address)
}

fn map_bar_of(host: &I440fx, at: Bdf, address: u64) -> Function {
    let device = host.config().pci().function(at);
    device.set_bar64(2, address);
    device.set_command(Command::new().with_memory(true));
    device
}
