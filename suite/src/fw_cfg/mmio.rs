//! The device in memory, as Arm's generic machine has it: registers of several widths, big-endian where they are numbers.

use std::ops::Deref;

use testjig::machines::ArmVirt;
use testjig::prelude::*;
use testjig::qos::bus::Mmio;
use testjig::qos::dev::fw_cfg::{Control, Dma, DmaAccess, FwCfg, Key, Window};

use super::host_file::HostFile;
use super::starting::{VIRT, start};

/// [`FwCfg`] in memory.
struct MmioFwCfg(FwCfg);

testjig::graph!(|graph| {
    graph
        .edge("fw_cfg_mem", |virt: &ArmVirt| {
            MmioFwCfg(FwCfg::mmio(virt.vm(), VIRT))
        })
        .describe(|| Box::new(FwCfg::mmio_decoder(VIRT)));
});

impl MmioFwCfg {
    fn mmio(&self) -> &Mmio {
        match self.0.window() {
            Window::Mmio(mmio) => mmio,
            Window::Io(_) | Window::Bytewise(..) => unreachable!("made with `FwCfg::mmio`"),
        }
    }
}

impl Deref for MmioFwCfg {
    type Target = FwCfg;

    fn deref(&self) -> &FwCfg {
        &self.0
    }
}

/// [Data Register] "An N-byte wide read of the data register will return the next available N bytes of the selected firmware
/// configuration item, as a substring, in increasing address order, similar to memcpy()."
#[testjig::test(on = MmioFwCfg, launch = with_digits)]
fn wide_reads_are_the_next_bytes_in_their_order(fw: MmioFwCfg) {
    let io = fw.mmio();
    let digits = fw.key(DIGITS);
    fw.select(digits);
    assert_eq!(&io.readw(DATA).to_le_bytes(), b"01");
    assert_eq!(&io.readl(DATA).to_le_bytes(), b"2345");
    assert_eq!(io.readb(DATA), b'6');
    fw.select(digits);
    assert_eq!(&io.readq(DATA).to_le_bytes(), b"01234567");
    assert_eq!(io.readb(DATA), b'8');
}

/// [Data Register] "any reads will return a data value of 0x00" behind the end: a read across it is padded on the right.
#[testjig::test(on = MmioFwCfg, launch = with_digits)]
fn wide_reads_across_the_end_are_padded(fw: MmioFwCfg) {
    let io = fw.mmio();
    let digits = fw.key(DIGITS);
    fw.item(digits, 9);
    assert_eq!(&io.readw(DATA).to_le_bytes(), b"9\0");
    fw.item(digits, 7);
    assert_eq!(&io.readl(DATA).to_le_bytes(), b"789\0");
    fw.item(digits, 7);
    assert_eq!(&io.readq(DATA).to_le_bytes(), b"789\0\0\0\0\0");
    assert_eq!((io.readq(DATA), io.readl(DATA), io.readw(DATA)), (0, 0, 0));
}

/// [Data Register] "Width: … 8/16/32/64-bit (if MMIO)": "writes ignored as of QEMU v2.4" at every one of them.
#[testjig::test(on = MmioFwCfg, launch = with_digits)]
fn writes_of_any_width_are_ignored(fw: MmioFwCfg) {
    let io = fw.mmio();
    fw.item(fw.key(DIGITS).with_write(true), 1);
    io.writeb(DATA, 0);
    io.writew(DATA, 0);
    io.writel(DATA, 0);
    io.writeq(DATA, 0);
    assert_eq!(fw.bytes(9), b"123456789");
}

/// [Register Locations] "Data Register address: Base + 0": the bytes behind are no further data registers.
#[testjig::test(on = MmioFwCfg, launch = with_digits)]
fn there_is_one_data_register(fw: MmioFwCfg) {
    fw.item(fw.key(DIGITS), 1);
    assert_eq!([1, 2, 4, 7].map(|offset| fw.mmio().readb(offset)), [0; 4]);
    assert_eq!(fw.byte(), b'1');
}

/// [Selector] "Width: 16-bit. Endianness: … big-endian (if MMIO)"
#[testjig::test(on = MmioFwCfg, launch = with_digits)]
fn only_a_big_endian_word_selects(fw: MmioFwCfg) {
    let io = fw.mmio();
    let digits = fw.key(DIGITS);
    fw.item(digits, 1);
    io.writeb(SELECTOR, 0);
    io.writeb(SELECTOR + 1, 0);
    io.writel(SELECTOR, 0);
    io.writeq(SELECTOR, 0);
    assert_eq!(fw.byte(), b'1');
    io.writew(SELECTOR, 0x1900);
    assert_eq!(fw.bytes(2), [0, 0], "half of the number of files");
}

/// [Selector] "Write only"
#[testjig::test(on = MmioFwCfg, launch = with_digits)]
fn the_selector_reads_as_0(fw: MmioFwCfg) {
    let io = fw.mmio();
    fw.item(fw.key(DIGITS), 1);
    assert_eq!(
        (io.readb(SELECTOR), io.readw(SELECTOR), io.readl(SELECTOR)),
        (0, 0, 0)
    );
    assert_eq!(fw.byte(), b'1');
}

/// [Signature] "reading the DMA Address Register returns 0x51454d5520434647 (QEMU CFG in big-endian format)", in parts of any width.
#[testjig::test(on = MmioFwCfg)]
fn the_signature_reads_the_same_at_every_width(fw: MmioFwCfg) {
    let io = fw.mmio();
    assert_eq!(&io.readq(DMA).to_le_bytes(), b"QEMU CFG");
    assert_eq!(
        [0, 4].map(|at| io.readl(DMA + at).to_le_bytes()).concat(),
        b"QEMU CFG"
    );
    assert_eq!(
        [0, 2, 4, 6]
            .map(|at| io.readw(DMA + at).to_le_bytes())
            .concat(),
        b"QEMU CFG"
    );
    assert_eq!(
        [0, 1, 2, 3, 4, 5, 6, 7].map(|at| io.readb(DMA + at)),
        *b"QEMU CFG"
    );
}

/// [Guest-side DMA Interface] "operations with 64-bit addresses can be triggered with one 64-bit write".
#[testjig::test(on = MmioFwCfg, launch = |l| l.memory(5 * GIB))]
fn one_write_of_64_bits_starts(fw: MmioFwCfg, vm: &Vm) {
    for address in [GIB, 5 * GIB + 0x3654_3210] {
        let dma = Dma::new(&fw);
        vm.ram().write(address, &read_signature(&dma).to_bytes());
        fw.mmio().writeq(DMA, address.swap_bytes());
        assert_eq!(vm.ram().read_be::<u32>(address), 0, "{address:#x}");
        assert_eq!(dma.buffer(5), b"QEMU\xaa", "{address:#x}");
    }
}

/// The register is 0 after such an operation, too.
#[testjig::test(on = MmioFwCfg, launch = |l| l.memory(5 * GIB))]
fn the_register_is_0_after_a_write_of_64_bits(fw: MmioFwCfg, vm: &Vm) {
    let dma = Dma::new(&fw);
    vm.ram().write(5 * GIB, &read_signature(&dma).to_bytes());
    fw.mmio().writeq(DMA, (5 * GIB).swap_bytes());
    dma.clear();
    dma.prepare(read_signature(&dma));
    fw.set_dma_low(dma.descriptor_address() as u32);
    assert_eq!(dma.buffer(5), b"QEMU\xaa");
}

/// An upper half that was written before does not count then.
#[testjig::test(on = MmioFwCfg)]
fn a_write_of_64_bits_is_the_whole_address(fw: MmioFwCfg) {
    let dma = Dma::new(&fw);
    dma.prepare(read_signature(&dma));
    fw.set_dma_high(0x100);
    fw.mmio().writeq(DMA, dma.descriptor_address().swap_bytes());
    assert_eq!(dma.buffer(5), b"QEMU\xaa");
}

/// [Guest-side DMA Interface] the register is written as 64 or two times 32 bits: narrower writes do nothing, wherever they go.
#[testjig::test(on = MmioFwCfg)]
fn narrow_writes_are_ignored(fw: MmioFwCfg) {
    let io = fw.mmio();
    let dma = Dma::new(&fw);
    dma.prepare(read_signature(&dma));
    for offset in 0..8 {
        io.writeb(DMA + offset, 0xff);
        io.writew(DMA + offset / 2 * 2, 0xffff);
    }
    assert_eq!(dma.control(), read_signature(&dma).control);
    fw.set_dma_low(dma.descriptor_address() as u32);
    assert_eq!(dma.buffer(5), b"QEMU\xaa");
}

/// The number of CPUs is an item here, too.
#[testjig::test(on = MmioFwCfg, launch = |l| l.cpus(3))]
fn cpus_are_counted(fw: MmioFwCfg) {
    assert_eq!(fw.u16(Key::NB_CPUS), 3);
    assert_eq!(fw.byte(), 0);
}

/// With firmware, kernel and RAM disk are left to it, as they are: no part of them is taken apart.
#[testjig::test(on = MmioFwCfg)]
fn kernel_and_ram_disk_are_handed_over_whole(qemu: &Qemu, launch: Launch) {
    let [firmware, kernel, disk] =
        [b"firmware".as_slice(), b"kernel", b"initrd"].map(HostFile::new);
    let words = [
        ("-bios", firmware.path()),
        ("-kernel", kernel.path()),
        ("-initrd", disk.path()),
        ("-append", "quiet".to_owned()),
    ];
    let launch = words.into_iter().fold(launch, |launch, (option, value)| {
        launch.arg(option).arg(value)
    });
    let (_vm, fw) = start(qemu, &launch);
    assert_eq!(fw.u32(Key::KERNEL_SIZE), 6);
    assert_eq!(fw.item(Key::KERNEL_DATA, 8), b"kernel\0\0");
    assert_eq!(fw.u32(Key::INITRD_SIZE), 6);
    assert_eq!(fw.item(Key::INITRD_DATA, 8), b"initrd\0\0");
    assert_eq!(fw.u32(Key::CMDLINE_SIZE), 6);
    assert_eq!(fw.item(Key::CMDLINE_DATA, 8), b"quiet\0\0\0");
}

const DATA: u64 = 0;
const SELECTOR: u64 = 8;
const DMA: u64 = 16;

const DIGITS: &str = "opt/digits";

fn with_digits(launch: Launch) -> Launch {
    launch.fw_cfg_string(DIGITS, "0123456789")
}

fn read_signature(dma: &Dma) -> DmaAccess {
    DmaAccess {
        control: Control::READ.of(Key::SIGNATURE),
        length: 4,
        address: dma.buffer_address(),
    }
}
