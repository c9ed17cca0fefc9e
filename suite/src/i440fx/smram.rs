//! System management RAM: whether 0xa0000–0xbffff is DRAM or the bus with the video memory.

use testjig::prelude::*;
use testjig::qos::bus::Pio;
use testjig::qos::dev::i440fx::{Attribute, I440fx, Segment, Smram};

use super::address_map::AddressMap;
use super::junction::Junction;
use super::sides::{Side, Sides};
use super::start;

/// [SMRAM] Default value: 02h.
#[testjig::test(on = I440fx)]
fn power_on_closes_the_space(host: I440fx) {
    assert_eq!(host.smram(), Smram::new());
}

/// [SMRAM] D_OPEN = 1: the SMM space DRAM is visible outside of SMM.
#[testjig::test(on = Junction)]
fn the_open_space_is_dram_and_nothing_around_it(junction: Junction) {
    junction.host.set_smram(OPEN);
    let sides = Sides::all(Side::Pci).with(Smram::RANGE, Side::Dram);
    assert_eq!(junction.reads(), sides);
    assert_eq!(junction.writes(), sides);
}

/// [SMRAM] D_OPEN = 0: outside of SMM, accesses go to PCI, whatever the other bits say.
#[testjig::test(on = Junction)]
fn without_d_open_the_space_is_pci(junction: Junction) {
    for smram in CLOSED {
        junction.host.set_smram(OPEN);
        junction.host.set_smram(smram);
        assert_eq!(junction.reads(), Sides::all(Side::Pci), "{smram:?}");
        assert_eq!(junction.writes(), Sides::all(Side::Pci), "{smram:?}");
    }
}

/// [SMRAM] The register is byte 72h, by an access of any width.
#[testjig::test(on = Junction)]
fn a_dword_write_opens_the_space(junction: Junction) {
    junction.host.config().write::<u32>(0x70, 0x004a_0000);
    let sides = Sides::all(Side::Pci).with(Smram::RANGE, Side::Dram);
    assert_eq!(junction.reads(), sides);
}

/// [SMRAM] The register is byte 72h alone.
#[testjig::test(on = Junction)]
fn writes_beside_the_register_open_nothing(junction: Junction) {
    junction.host.config().write::<u8>(0x71, 0x4a);
    junction.host.config().write::<u8>(0x73, 0x4a);
    assert_eq!(junction.reads(), Sides::all(Side::Pci));
}

/// [SMRAM] What the firmware put there while the space was open is safe once it is closed.
#[testjig::test(on = Junction)]
fn closing_keeps_what_was_written(junction: Junction, vm: &Vm) {
    junction.host.set_smram(OPEN);
    vm.writel(Smram::BASE, 0x0123_4567);
    junction.host.set_smram(Smram::new().with_enable(true));
    vm.writel(Smram::BASE, 0x89ab_cdef);
    assert_eq!(vm.readl(Smram::BASE), 0x89ab_cdef);
    junction.host.set_smram(OPEN);
    assert_eq!(vm.readl(Smram::BASE), 0x0123_4567);
}

/// [SMRAM] The register has no part in the segments' attributes, nor they in it.
#[testjig::test(on = Junction)]
fn the_space_and_the_segments_are_independent(junction: Junction) {
    junction
        .host
        .set_attribute(Segment::FIRST, Attribute::ReadWrite);
    junction.host.set_smram(OPEN);
    let opened = Sides::all(Side::Pci).with(0xa_0000..=0xc_3fff, Side::Dram);
    assert_eq!(junction.reads(), opened);

    junction.host.set_smram(Smram::new());
    let closed = Sides::all(Side::Pci).with(Segment::FIRST.range(), Side::Dram);
    assert_eq!(junction.reads(), closed);
}

/// [SMRAM] The closed space is where the display adapter's memory is; opening it hides that.
#[testjig::test(on = I440fx, launch = |l| l.device(Device::new("VGA")))]
fn the_space_hides_video_memory_while_open(host: I440fx, vm: &Vm) {
    prepare_vga_planes(vm);
    vm.writeb(Smram::BASE, 0x3c);
    host.set_smram(OPEN);
    vm.writeb(Smram::BASE, 0xc3);
    assert_eq!(vm.readb(Smram::BASE), 0xc3);
    host.set_smram(Smram::new().with_enable(true));
    assert_eq!(vm.readb(Smram::BASE), 0x3c);
}

/// [SMRAM] G_SMRAME = 1: in SMM, 0xa0000-0xbffff is DRAM; = 0: there is no SMM space.
///
/// Only QEMU's own CPUs can be in SMM, so the machine is one with those, and its address map is asked.
#[testjig::test(on = Junction, vary(enable = [false, true]))]
fn smm_sees_dram_only_while_enabled(qemu: &Qemu, launch: Launch, enable: bool) {
    let vm = start(&without_qtest_accelerator(qemu), &launch);
    let junction = Junction::new(&I440fx::new(&vm));
    junction.host.set_smram(Smram::new().with_enable(!enable));
    junction.host.set_smram(Smram::new().with_enable(enable));
    let seen = AddressMap::of(&vm, "cpu-smm-0").at(Smram::RANGE);
    let (dram, pci) = ("ram: ram", "ram: card @0x20000");
    assert_eq!(seen, [if enable { dram } else { pci }]);
}

fn without_qtest_accelerator(qemu: &Qemu) -> Qemu {
    let mut qemu = qemu.clone();
    qemu.caps.qtest_accel = false;
    qemu
}

const OPEN: Smram = Smram::new().with_enable(true).with_open(true);

const CLOSED: [Smram; 3] = [
    Smram::new(),
    Smram::new().with_enable(true),
    Smram::new().with_enable(true).with_closed(true),
];

/// Makes a write to video memory go to all four planes, and a read come from the first.
fn prepare_vga_planes(vm: &Vm) {
    const MISCELLANEOUS: u16 = 0x2;
    const SEQUENCER: u16 = 0x4;
    const GRAPHICS: u16 = 0xe;
    let vga = Pio::new(vm, 0x3c0);
    vga.outb(MISCELLANEOUS, 0x03);
    for (register, value) in [(2, 0x0f), (4, 0x06)] {
        vga.outw(SEQUENCER, value << 8 | register);
    }
    for (register, value) in [(4, 0x00), (5, 0x00), (6, 0x01), (8, 0xff)] {
        vga.outw(GRAPHICS, value << 8 | register);
    }
}
