//! The expansion ROM. PCI §6.2.5.2.

use std::io::Write;

use tempfile::NamedTempFile;
use testjig::prelude::*;
use testjig::qos::pci::{BarInfo, BarKind, Pci, header};
use testjig::vm::LaunchOptions;

use super::fixture::testdev;

/// A device with this many bytes of ROM, which count.
fn start(qemu: &Qemu, launch: Launch, bytes: usize) -> (Vm, NamedTempFile) {
    let mut file = NamedTempFile::new().expect("a directory for temporary files");
    let content: Vec<u8> = (0..bytes).map(|index| (index / 4) as u8).collect();
    file.write_all(&content).expect("room");
    let device = testdev()
        .prop("addr", "04.0")
        .prop("romfile", file.path().display());
    let vm = qemu
        .launch(&launch.device(device), &LaunchOptions::default())
        .unwrap_or_else(|error| panic!("{error}"));
    (vm, file)
}

/// \[Expansion ROM base address\] All ones, written above bit 10, read back as the size: the next power of two, 2 KiB at least.
#[testjig::test(on = Pci, vary(bytes = [1, 2048, 5000, 65536]))]
fn a_rom_asks_for_the_next_power_of_two(qemu: &Qemu, launch: Launch, bytes: usize) {
    let (vm, _file) = start(qemu, launch, bytes);
    let rom = Pci::of(&vm)
        .expect("the machine has one")
        .device(4)
        .rom()
        .expect("there is one");
    assert_eq!(rom.kind, BarKind::Rom);
    assert_eq!(rom.index, BarInfo::ROM);
    assert_eq!(rom.size, bytes.next_power_of_two().max(2048) as u64);
}

/// \[Expansion ROM base address\] A device without a ROM hardwires the register to zero.
#[testjig::test(on = Pci, launch = |l| l.device(testdev().prop("addr", "04.0")))]
fn without_a_rom_there_is_no_register(pci: Pci) {
    let device = pci.device(4);
    assert_eq!(device.rom(), None);
    device.write::<u32>(header::ROM, u32::MAX);
    assert_eq!(device.read::<u32>(header::ROM), 0);
}

/// The ROM is what the file is, and can't be written.
#[testjig::test(on = Pci)]
fn the_rom_has_the_bytes_of_its_file_and_is_read_only(qemu: &Qemu, launch: Launch) {
    let (vm, _file) = start(qemu, launch, 4096);
    let rom = Pci::of(&vm)
        .expect("the machine has one")
        .device(4)
        .iomap_rom();
    rom.write::<u32>(0x40, 0);
    assert_eq!(rom.read::<u32>(0x40), 0x1010_1010);
    assert_eq!(rom.read::<u8>(0x3fc), 0xff);
    assert_eq!(rom.read::<u8>(0xfff), 0xff);
    assert_eq!(rom.read::<u8>(0x400), 0x00);
}

/// \[Expansion ROM base address\] Bit 0 enables the ROM, and counts only together with the memory space bit of the command register.
#[testjig::test(on = Pci)]
fn the_rom_answers_only_while_both_enable_it(qemu: &Qemu, launch: Launch) {
    let (vm, _file) = start(qemu, launch, 4096);
    let device = Pci::of(&vm).expect("the machine has one").device(4);
    let rom = device.iomap_rom();
    assert_eq!(rom.read::<u32>(0x40), 0x1010_1010);
    device.change_command(|command| command.with_memory(false));
    assert_ne!(rom.read::<u32>(0x40), 0x1010_1010);
    device.change_command(|command| command.with_memory(true));
    let register: u32 = device.read(header::ROM);
    device.write(header::ROM, register & !1);
    assert_ne!(rom.read::<u32>(0x40), 0x1010_1010);
    device.write(header::ROM, register);
    assert_eq!(rom.read::<u32>(0x40), 0x1010_1010);
}

/// \[Expansion ROM base address\] Bits 1–10 are reserved, and below the size no bit can be set but the enable.
#[testjig::test(on = Pci)]
fn the_rom_s_register_keeps_address_and_enable_only(qemu: &Qemu, launch: Launch) {
    let (vm, _file) = start(qemu, launch, 8192);
    let device = Pci::of(&vm).expect("the machine has one").device(4);
    device.write::<u32>(header::ROM, u32::MAX);
    assert_eq!(device.read::<u32>(header::ROM), 0xffff_e001);
}
