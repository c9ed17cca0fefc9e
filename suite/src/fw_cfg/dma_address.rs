//! The DMA address register: what it reads, and which write starts an operation.

use testjig::prelude::*;
use testjig::qos::dev::fw_cfg::{Control, Dma, DmaAccess, FwCfg, Key};

use super::pc::PcFwCfg;

/// [Signature] "reading the DMA Address Register returns 0x51454d5520434647 (QEMU CFG in big-endian format)"
#[testjig::test(on = FwCfg)]
fn the_register_reads_as_a_signature(fw: FwCfg) {
    assert_eq!(&fw.dma_signature(), b"QEMU CFG");
}

/// The same, in parts of any width.
#[testjig::test(on = PcFwCfg)]
fn the_signature_reads_the_same_at_every_width(fw: PcFwCfg) {
    let io = fw.io();
    let bytes: Vec<_> = (0..8).map(|offset| io.inb(4 + offset)).collect();
    assert_eq!(bytes, b"QEMU CFG");
    let words: Vec<_> = [0, 2, 4, 6]
        .map(|offset| io.inw(4 + offset).to_le_bytes())
        .concat();
    assert_eq!(words, b"QEMU CFG");
    let longs: Vec<_> = [0, 4]
        .map(|offset| io.inl(4 + offset).to_le_bytes())
        .concat();
    assert_eq!(longs, b"QEMU CFG");
}

/// It does not show what was written.
#[testjig::test(on = FwCfg)]
fn the_signature_does_not_change(fw: FwCfg) {
    let dma = Dma::new(&fw);
    fw.set_dma_high(0x1234_5678);
    assert_eq!(&fw.dma_signature(), b"QEMU CFG");
    fw.set_dma_high(0);
    dma.run(Control::READ.of(Key::SIGNATURE), 4);
    assert_eq!(&fw.dma_signature(), b"QEMU CFG");
}

/// [Guest-side DMA Interface] "A write to the least significant half (at offset 4) triggers an operation": one to the other half does
/// not.
#[testjig::test(on = FwCfg)]
fn only_the_lower_half_starts(fw: FwCfg) {
    let dma = Dma::new(&fw);
    dma.prepare(read_signature(&dma));
    fw.set_dma_high(0);
    fw.set_dma_high(dma.descriptor_address() as u32);
    fw.set_dma_high(0);
    assert_eq!(dma.control(), read_signature(&dma).control);
    assert_eq!(dma.buffer(4), [Dma::FILL; 4]);
    fw.set_dma_low(dma.descriptor_address() as u32);
    assert_eq!(dma.buffer(5), b"QEMU\xaa");
}

/// [Guest-side DMA Interface] "operations with 32-bit addresses can be triggered with just one write".
#[testjig::test(on = FwCfg)]
fn one_write_is_enough_below_4_gib(fw: FwCfg) {
    let dma = Dma::new(&fw);
    dma.prepare(read_signature(&dma));
    fw.set_dma_low(dma.descriptor_address() as u32);
    assert_eq!(dma.control(), Control::DONE);
    assert_eq!(dma.buffer(5), b"QEMU\xaa");
}

/// [Guest-side DMA Interface] "64-bit addresses can be triggered with … two 32-bit writes, starting with the most significant half".
#[testjig::test(on = FwCfg, launch = |l| l.memory(5 * GIB))]
fn the_descriptor_may_be_above_4_gib(fw: FwCfg, vm: &Vm) {
    for address in [4 * GIB, 5 * GIB + 0x3654_3210] {
        let dma = Dma::new(&fw);
        vm.ram().write(address, &read_signature(&dma).to_bytes());
        fw.set_dma_high((address >> 32) as u32);
        fw.set_dma_low(address as u32);
        assert_eq!(vm.ram().read_be::<u32>(address), 0, "{address:#x}");
        assert_eq!(dma.buffer(5), b"QEMU\xaa", "{address:#x}");
    }
}

/// Upper and lower half are two halves: what the lower half alone would name is not touched.
#[testjig::test(on = FwCfg)]
fn the_upper_half_is_part_of_the_address(fw: FwCfg) {
    let dma = Dma::new(&fw);
    dma.prepare(read_signature(&dma));
    fw.set_dma_high(0x100);
    fw.set_dma_low(dma.descriptor_address() as u32);
    assert_eq!(dma.control(), read_signature(&dma).control);
    assert_eq!(dma.buffer(4), [Dma::FILL; 4]);
}

/// [Guest-side DMA Interface] "The value for the register is 0 at startup and after an operation": the upper half too, also after an
/// operation that failed.
#[testjig::test(on = FwCfg)]
fn the_register_is_0_after_an_operation(fw: FwCfg) {
    let dma = Dma::new(&fw);
    dma.prepare(read_signature(&dma));
    fw.set_dma_high(0x100);
    fw.set_dma_low(dma.descriptor_address() as u32);
    fw.set_dma_low(dma.descriptor_address() as u32);
    assert_eq!(dma.control(), Control::DONE);
    assert_eq!(dma.buffer(5), b"QEMU\xaa");
}

/// The last of several upper halves counts.
#[testjig::test(on = FwCfg)]
fn the_upper_half_may_be_written_again(fw: FwCfg) {
    let dma = Dma::new(&fw);
    dma.prepare(read_signature(&dma));
    fw.set_dma_high(0xffff_ffff);
    fw.set_dma_high(0);
    fw.set_dma_low(dma.descriptor_address() as u32);
    assert_eq!(dma.buffer(5), b"QEMU\xaa");
}

/// [Guest-side DMA Interface] "The address register is in big-endian format": bytes in the processor's order name another address.
#[testjig::test(on = PcFwCfg)]
fn the_register_is_big_endian(fw: PcFwCfg, vm: &Vm) {
    let dma = Dma::new(&fw);
    let address = dma.descriptor_address() as u32;
    let elsewhere = u64::from(address.swap_bytes());
    dma.prepare(read_signature(&dma));
    vm.ram().write(elsewhere, &read_signature(&dma).to_bytes());
    fw.io().outl(8, address);
    assert_eq!(dma.control(), read_signature(&dma).control);
    assert_eq!(vm.ram().read_be::<u32>(elsewhere), 0);
}

/// The descriptor needs no alignment.
#[testjig::test(on = FwCfg)]
fn the_descriptor_may_be_anywhere(fw: FwCfg, vm: &Vm) {
    for offset in [1, 2, 4, 0xff7] {
        let dma = Dma::new(&fw);
        let address = dma.descriptor_address() + offset;
        vm.ram().write(address, &read_signature(&dma).to_bytes());
        fw.start_dma(address);
        assert_eq!(vm.ram().read_be::<u32>(address), 0, "{offset:#x}");
    }
}

/// [Guest-side DMA Interface] the register is written as 64 or two times 32 bits: narrower writes do nothing, wherever they go.
#[testjig::test(on = PcFwCfg)]
fn narrow_writes_are_ignored(fw: PcFwCfg) {
    for offset in [0, 1, 2, 3, 4, 5, 6, 7] {
        let io = fw.io();
        let dma = Dma::new(&fw);
        dma.prepare(read_signature(&dma));
        io.outb(4 + offset, 0xff);
        io.outw(4 + offset / 2 * 2, 0xffff);
        assert_eq!(dma.control(), read_signature(&dma).control, "{offset:#x}");
        fw.set_dma_low(dma.descriptor_address() as u32);
        assert_eq!(dma.buffer(5), b"QEMU\xaa", "{offset:#x}");
    }
}

/// Nor does a write across both halves.
#[testjig::test(on = PcFwCfg)]
fn writes_across_the_halves_are_ignored(fw: PcFwCfg) {
    for offset in [1, 2, 3] {
        let io = fw.io();
        let dma = Dma::new(&fw);
        dma.prepare(read_signature(&dma));
        io.outl(4 + offset, 0xffff_ffff);
        assert_eq!(dma.control(), read_signature(&dma).control, "{offset:#x}");
        fw.set_dma_low(dma.descriptor_address() as u32);
        assert_eq!(dma.buffer(5), b"QEMU\xaa", "{offset:#x}");
    }
}

fn read_signature(dma: &Dma) -> DmaAccess {
    DmaAccess {
        control: Control::READ.of(Key::SIGNATURE),
        length: 4,
        address: dma.buffer_address(),
    }
}
