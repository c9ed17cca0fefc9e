//! Programmable attribute map: which of the thirteen segments between 768 KiB and 1 MiB are DRAM.

use testjig::prelude::*;
use testjig::qos::dev::i440fx::{Attribute, I440fx, Pam, Segment, register};

use super::address_map::AddressMap;
use super::junction::Junction;
use super::sides::{Side, Sides};
use super::visible;
use Attribute::{Disabled, ReadOnly, ReadWrite, WriteOnly};

/// From the first segment to the last.
const SEGMENTS: std::ops::RangeInclusive<u64> = 0xc_0000..=0xf_ffff;

/// [PAM] Default value: 00h.
#[testjig::test(on = I440fx)]
fn power_on_disables_every_segment(host: I440fx) {
    let attributes = Segment::ALL.map(|segment| host.attribute(segment));
    assert_eq!(attributes, [Disabled; 13]);
}

/// [PAM] Disabled: DRAM is disabled, all accesses are directed to PCI.
#[testjig::test(on = Junction)]
fn disabled_segments_are_pci(junction: Junction) {
    assert_eq!(junction.reads(), Sides::all(Side::Pci));
    assert_eq!(junction.writes(), Sides::all(Side::Pci));
}

/// [PAM] Read/write: all accesses to the segment are directed to DRAM.
#[testjig::test(on = Junction)]
fn read_write_makes_one_segment_dram(junction: Junction) {
    for segment in Segment::ALL {
        junction.host.set_attribute(segment, ReadWrite);
        let sides = Sides::all(Side::Pci).with(segment.range(), Side::Dram);
        assert_eq!(junction.reads(), sides, "{segment:?}");
        assert_eq!(junction.writes(), sides, "{segment:?}");
        junction.host.set_attribute(segment, Disabled);
    }
}

/// [PAM] Each segment has attributes of its own.
#[testjig::test(on = Junction)]
fn disabling_a_segment_leaves_the_others_dram(junction: Junction) {
    for segment in Segment::ALL {
        junction.host.set_all_attributes(ReadWrite);
        junction.host.set_attribute(segment, Disabled);
        let sides = Sides::all(Side::Pci)
            .with(SEGMENTS, Side::Dram)
            .with(segment.range(), Side::Pci);
        assert_eq!(junction.reads(), sides, "{segment:?}");
        assert_eq!(junction.writes(), sides, "{segment:?}");
    }
}

/// [PAM] RE = 1: reads of the segment are directed to DRAM.
#[testjig::test(on = Junction)]
fn read_only_reads_dram(junction: Junction) {
    for segment in Segment::ALL {
        junction.host.set_attribute(segment, ReadOnly);
        let sides = Sides::all(Side::Pci).with(segment.range(), Side::Dram);
        assert_eq!(junction.reads(), sides, "{segment:?}");
        junction.host.set_attribute(segment, Disabled);
    }
}

/// [PAM] WE = 0: writes to the segment do not reach DRAM.
///
/// Asked of the address map: QEMU protects DRAM from its CPUs only, and the wire is none.
#[testjig::test(on = I440fx)]
fn read_only_protects_dram_from_the_cpu(host: I440fx, vm: &Vm) {
    for segment in Segment::ALL {
        host.set_attribute(segment, ReadOnly);
        let shown = AddressMap::of(vm, "memory").at(segment.range());
        assert_eq!(shown, ["rom: ram"], "{segment:?}");
    }
}

/// [PAM] WE = 1: writes to the segment are directed to DRAM.
#[testjig::test(on = Junction)]
fn write_only_writes_dram(junction: Junction) {
    for segment in Segment::ALL {
        junction.host.set_attribute(segment, WriteOnly);
        let sides = Sides::all(Side::Pci).with(segment.range(), Side::Dram);
        assert_eq!(junction.writes(), sides, "{segment:?}");
        junction.host.set_attribute(segment, Disabled);
    }
}

/// [PAM] A register holds the attributes of two segments, each in bits of its own.
#[testjig::test(on = Junction)]
fn the_segments_of_a_register_are_independent(junction: Junction) {
    for low in READABLE {
        for high in READABLE {
            let pam = Pam::new().with_low(low).with_high(high);
            junction.host.set_pam(2, pam);
            assert_eq!(junction.host.pam(2), pam, "{low:?} {high:?}");
            let sides = Sides::all(Side::Pci)
                .with(Segment::at(0xc_8000).range(), side(low))
                .with(Segment::at(0xc_c000).range(), side(high));
            assert_eq!(junction.reads(), sides, "{low:?} {high:?}");
        }
    }
}

/// [PAM] Attributes can be changed at any time, and the last ones count.
#[testjig::test(on = Junction)]
fn nothing_remains_of_earlier_attributes(junction: Junction) {
    for from in Attribute::ALL {
        for to in Attribute::ALL {
            let segment = Segment::at(0xd_4000);
            junction.host.set_attribute(segment, from);
            junction.host.set_attribute(segment, to);
            let sides = Sides::all(Side::Pci).with(segment.range(), side(to));
            if to != WriteOnly {
                assert_eq!(junction.reads(), sides, "{from:?} {to:?}");
            }
            if to != ReadOnly {
                assert_eq!(junction.writes(), sides, "{from:?} {to:?}");
            }
        }
    }
}

/// [PAM] Bits 7, 6, 3 and 2 are reserved.
#[testjig::test(on = Junction)]
fn reserved_bits_route_nothing(junction: Junction) {
    for number in 0..=6 {
        let reserved = Pam::new().with_low_reserved(3).with_high_reserved(3);
        junction.host.set_pam(number, reserved);
        assert_eq!(junction.reads(), Sides::all(Side::Pci), "{number:#x}");
        assert_eq!(junction.writes(), Sides::all(Side::Pci), "{number:#x}");
    }
}

/// [PAM] The lower half of PAM0 is reserved.
#[testjig::test(on = Junction)]
fn the_lower_half_of_pam0_routes_nothing(junction: Junction) {
    junction.host.set_pam(0, Pam::new().with_low(ReadWrite));
    assert_eq!(junction.reads(), Sides::all(Side::Pci));
    assert_eq!(junction.writes(), Sides::all(Side::Pci));
}

/// [PAM] Configuration registers take accesses of any width.
#[testjig::test(on = Junction)]
fn a_dword_write_changes_every_register_in_it(junction: Junction) {
    junction
        .host
        .config()
        .write::<u32>(register::PAM6 - 3, 0x3333_3333);
    let upper = Sides::all(Side::Pci).with(0xd_0000..=0xe_ffff, Side::Dram);
    assert_eq!(junction.reads(), upper);
}

/// [PAM] A write that begins before the first of the registers still changes it.
#[testjig::test(on = Junction)]
fn a_dword_write_across_the_first_register_changes_it(junction: Junction) {
    junction
        .host
        .config()
        .write::<u32>(register::PAM0 - 1, 0x3333_3000);
    let sides = Sides::all(Side::Pci)
        .with(0xf_0000..=0xf_ffff, Side::Dram)
        .with(0xc_0000..=0xc_ffff, Side::Dram);
    assert_eq!(junction.reads(), sides);
}

/// [PAM] The registers are the seven bytes from 59h to 5Fh, and no others.
#[testjig::test(on = Junction)]
fn writes_beside_the_registers_route_nothing(junction: Junction) {
    junction.host.config().write::<u8>(register::PAM0 - 1, 0x33);
    junction.host.config().write::<u8>(register::PAM6 + 1, 0x33);
    assert_eq!(junction.reads(), Sides::all(Side::Pci));
}

/// [PAM] Disabling a segment hides its DRAM, and does not change it.
#[testjig::test(on = I440fx)]
fn dram_keeps_its_contents_while_disabled(host: I440fx, vm: &Vm) {
    for segment in Segment::ALL {
        host.set_attribute(segment, ReadWrite);
        vm.writeq(segment.base(), 0x0123_4567_89ab_cdef);
        vm.writeb(segment.last(), 0x5a);

        host.set_attribute(segment, Disabled);
        vm.writeq(segment.base(), 0);
        vm.writeb(segment.last(), 0);

        host.set_attribute(segment, ReadWrite);
        assert_eq!(
            vm.readq(segment.base()),
            0x0123_4567_89ab_cdef,
            "{segment:?}"
        );
        assert_eq!(vm.readb(segment.last()), 0x5a, "{segment:?}");
    }
}

/// An access that begins in PCI and ends in DRAM is served by both.
#[testjig::test(on = Junction)]
fn an_access_across_segments_is_split(junction: Junction, vm: &Vm) {
    junction
        .host
        .set_attribute(Segment::at(0xc_4000), ReadWrite);
    let pci_then_dram = u64::from_le_bytes([0xbc, 0xbc, 0xbc, 0xbc, 0xd7, 0xd7, 0xd7, 0xd7]);
    assert_eq!(vm.readq(0xc_3ffc), pci_then_dram);
    assert_eq!(vm.readq(0xc_7ffc), pci_then_dram.swap_bytes());
}

/// System address map: the ROM at the top of 4 GiB is also the BIOS area below 1 MiB.
#[testjig::test(on = I440fx)]
fn the_bios_area_shows_the_last_128_kib_of_the_rom(vm: &Vm) {
    let area = visible(vm, 0xe_0000..=0xf_ffff);
    let rom = visible(vm, 0xfffe_0000..=0xffff_ffff);
    assert!(area == rom);
    assert_eq!(area[0x1_fff0], 0xea, "the CPU begins with a far jump");
}

/// System address map: nothing can be written to ROM.
#[testjig::test(on = I440fx)]
fn the_disabled_bios_area_ignores_writes(vm: &Vm) {
    let before = vm.readl(0xf_fff0);
    vm.writel(0xf_fff0, !before);
    assert_eq!(vm.readl(0xf_fff0), before);
}

/// [PAM] Shadowing: the ROM's contents are copied to the DRAM at its address, which is then write-protected.
#[testjig::test(on = I440fx)]
fn the_bios_can_be_shadowed(host: I440fx, vm: &Vm) {
    let rom = visible(vm, Segment::BIOS.range());
    host.set_attribute(Segment::BIOS, ReadWrite);
    vm.write_mem(Segment::BIOS.base(), &rom);
    vm.writeb(Segment::BIOS.base(), !rom[0]);
    host.set_attribute(Segment::BIOS, ReadOnly);

    let shadow = visible(vm, Segment::BIOS.range());
    assert!(shadow[1..] == rom[1..]);
    assert_eq!(shadow[0], !rom[0], "reads are from DRAM, not from ROM");
}

/// Attributes whose reads QEMU routes as the data sheet says.
const READABLE: [Attribute; 3] = [Disabled, ReadOnly, ReadWrite];

/// The side of a segment with these attributes, for reads if it is not write-only, for writes if it is not read-only.
fn side(attribute: Attribute) -> Side {
    if attribute == Disabled {
        Side::Pci
    } else {
        Side::Dram
    }
}
