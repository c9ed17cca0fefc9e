//! The directory and the files in it.

use testjig::prelude::*;
use testjig::qos::dev::fw_cfg::{Control, Dma, Entry, FwCfg, Key};

use super::pc::PcFwCfg;

/// [File Directory] "items stored at selector keys 0x0020 or higher": the files have consecutive keys from there on, in the order of
/// the directory.
#[testjig::test(on = FwCfg, launch = with_three)]
fn keys_are_consecutive_from_0x20(fw: FwCfg) {
    let keys: Vec<_> = fw.directory().iter().map(|entry| entry.key).collect();
    let expected: Vec<_> = (0..keys.len() as u16).map(Key::file).collect();
    assert_eq!(keys, expected);
}

/// Files are in the order of their names, whichever order they came in.
#[testjig::test(on = FwCfg, launch = with_three)]
fn files_are_sorted_by_name(fw: FwCfg) {
    let names = names(&fw);
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(names, sorted);
    assert_eq!(
        names[names.len() - 4..],
        ["opt/a", "opt/b", "opt/b2", "opt/c"]
    );
}

/// [File Directory] "select: selector key of fw_cfg item, size: size of referenced fw_cfg item": each file keeps its bytes and its
/// size when others are put before it.
#[testjig::test(on = FwCfg, launch = with_three)]
fn contents_follow_their_names(fw: FwCfg) {
    let files = [
        ("opt/a", "first"),
        ("opt/b", "second"),
        ("opt/b2", "2"),
        ("opt/c", "the third"),
    ];
    for (name, text) in files {
        assert_eq!(fw.contents(name), text.as_bytes(), "{name}");
        assert_eq!(fw.byte(), 0, "{name} ends there");
    }
}

/// Given out of order, so that each is put before, between or behind others.
fn with_three(launch: Launch) -> Launch {
    launch
        .fw_cfg_string("opt/b", "second")
        .fw_cfg_string("opt/a", "first")
        .fw_cfg_string("opt/c", "the third")
        .fw_cfg_string("opt/b2", "2")
}

/// [File Directory] "uint32_t count; number of entries": behind the last there is nothing.
#[testjig::test(on = FwCfg, launch = with_three)]
fn the_directory_ends_after_its_count(fw: FwCfg) {
    let files = fw.directory();
    assert!(files.len() > 4);
    assert_eq!(fw.bytes(Entry::SIZE), [0; Entry::SIZE]);
}

/// [File Directory] "uint16_t reserved; char name[56]; fw_cfg item name, NUL-terminated ascii": nothing is left of what stood there
/// before.
#[testjig::test(on = FwCfg, launch = with_three)]
fn what_means_nothing_is_zero(fw: FwCfg) {
    for entry in fw.directory() {
        assert_eq!(entry.reserved, 0, "{entry:?}");
        assert!(entry.padded_with_zeroes, "{entry:?}");
        assert!(entry.name.is_ascii() && !entry.name.is_empty(), "{entry:?}");
    }
}

/// [Externally Provided Items] `string=` is the text without a terminating zero.
#[testjig::test(on = FwCfg, launch = |l| l.fw_cfg_string("opt/text", "no zero, but a comma"))]
fn a_string_has_its_bytes_and_no_more(fw: FwCfg) {
    let text = b"no zero, but a comma";
    let file = fw.file("opt/text").expect("the string");
    assert_eq!(file.size as usize, text.len());
    assert_eq!(fw.contents("opt/text"), text);
}

/// [Externally Provided Items] `file=` may hold any bytes.
#[testjig::test(on = FwCfg, launch = |l| l.fw_cfg_file("opt/bytes", every_byte()))]
fn a_file_may_hold_any_bytes(fw: FwCfg) {
    assert_eq!(fw.contents("opt/bytes"), every_byte());
}

fn every_byte() -> Vec<u8> {
    (0..=0xff).collect()
}

/// A file larger than a page arrives whole, byte by byte and by DMA.
#[testjig::test(on = FwCfg, launch = |l| l.fw_cfg_file("opt/large", large()))]
fn a_large_file_arrives_whole(fw: FwCfg) {
    let file = fw.file("opt/large").expect("the file");
    assert_eq!(file.size as usize, large().len());
    assert!(Dma::new(&fw).read(file.key, file.size) == large(), "by DMA");
    assert!(fw.item(file.key, 9000) == large()[..9000], "byte by byte");
}

fn large() -> Vec<u8> {
    (0..70_001_u32).map(|n| (n % 251) as u8).collect()
}

/// [File Directory] the name has 56 bytes with its terminating zero.
#[testjig::test(on = FwCfg, launch = |l| l.fw_cfg_string(LONGEST, "long").fw_cfg_string("opt/z", "last"))]
fn a_name_may_have_55_bytes(fw: FwCfg) {
    assert_eq!(LONGEST.len(), 55);
    assert_eq!(fw.contents(LONGEST), b"long");
    assert_eq!(fw.contents("opt/z"), b"last");
}

const LONGEST: &str = "opt/a-name-of-fifty-five-characters-is-the-longest-one-";

/// A name that begins with another's is another file.
#[testjig::test(on = FwCfg, launch = |l| l.fw_cfg_string("opt/x/y", "long").fw_cfg_string("opt/x", "short"))]
fn a_prefix_is_another_name(fw: FwCfg) {
    assert_eq!(fw.contents("opt/x"), b"short");
    assert_eq!(fw.contents("opt/x/y"), b"long");
}

/// [Externally Provided Items] "All externally provided fw_cfg items are read-only to the guest."
#[testjig::test(on = FwCfg, launch = with_three)]
fn files_of_the_command_line_are_read_only(fw: FwCfg) {
    let key = fw.key("opt/c");
    assert_eq!(Dma::new(&fw).write(key, b"mine"), Control::ERROR);
    assert_eq!(fw.contents("opt/c"), b"the third");
}

/// Both ways to a file give the same bytes, whatever the machine has put into it.
#[testjig::test(on = FwCfg, launch = with_three)]
fn dma_and_data_register_agree_on_every_file(fw: FwCfg) {
    let dma = Dma::new(&fw);
    for entry in fw.directory() {
        let by_dma = dma.read(entry.key, entry.size);
        let len = by_dma.len().min(512);
        assert_eq!(fw.item(entry.key, len), by_dma[..len], "{}", entry.name);
    }
}

/// What every PC's firmware finds.
#[testjig::test(on = PcFwCfg)]
fn a_pc_has_the_files_that_its_firmware_needs(fw: PcFwCfg, qemu: &Qemu) {
    let names = names(&fw);
    let of_kvm = "genroms/kvmvapic.bin";
    assert!(qemu.is_embedded() || names.iter().any(|name| name == of_kvm));
    for needed in [
        "bios-geometry",
        "bootorder",
        "etc/acpi/rsdp",
        "etc/acpi/tables",
        "etc/boot-fail-wait",
        "etc/e820",
        "etc/smbios/smbios-anchor",
        "etc/smbios/smbios-tables",
        "etc/system-states",
        "etc/table-loader",
    ] {
        assert!(
            names.iter().any(|name| name == needed),
            "{needed} is not in {names:?}"
        );
    }
}

/// ACPI 6.5 §15, "System Address Map Interfaces": 20 bytes an entry, base and length of 64 bits, type of 32 bits, 1 being memory.
#[testjig::test(on = PcFwCfg, launch = |l| l.memory(mib * MIB), vary(mib = [128, 5120]))]
fn e820_entries_add_up_to_the_memory(fw: PcFwCfg, mib: u64) {
    let entries = fw.contents("etc/e820");
    assert_eq!(entries.len() % 20, 0);
    let memory: u64 = entries
        .chunks_exact(20)
        .filter(|entry| entry[16..] == [1, 0, 0, 0])
        .map(|entry| u64::from_le_bytes(entry[8..16].try_into().expect("eight bytes")))
        .sum();
    assert_eq!(memory, mib * MIB);
}

/// SMBIOS 3.7 §5.2.1: the 32-bit entry point is 31 bytes and begins with `_SM_`; §5.2.2: the 64-bit one is 24 bytes and begins with
/// `_SM3_`.
#[testjig::test(
    on = PcFwCfg,
    launch = |l| l.machine_option("smbios-entry-point-type", bits),
    vary(bits = [32, 64])
)]
fn the_smbios_anchor_is_of_the_machines_kind(fw: PcFwCfg, bits: u32) {
    let anchor = fw.contents("etc/smbios/smbios-anchor");
    if bits == 32 {
        assert_eq!((anchor.len(), &anchor[..4]), (31, b"_SM_".as_slice()));
    } else {
        assert_eq!((anchor.len(), &anchor[..5]), (24, b"_SM3_".as_slice()));
    }
}

/// Where memory can be plugged in, the firmware learns up to where the address space is taken.
#[testjig::test(on = PcFwCfg, launch = |l| l.arg("-m").arg("slots=2,maxmem=1G"))]
fn reserved_memory_ends_behind_what_may_be_plugged_in(fw: PcFwCfg) {
    let end = fw.contents("etc/reserved-memory-end");
    assert_eq!(end.len(), 8);
    let end = u64::from_le_bytes(end.try_into().expect("eight bytes"));
    assert!(end > 4 * GIB && end % GIB == 0, "{end:#x}");
}

/// Devices leave files of their own.
#[testjig::test(on = PcFwCfg, launch = |l| l.device(Device::new("pvpanic").prop("ioport", 0x605)))]
fn pvpanic_tells_its_port(fw: PcFwCfg) {
    assert_eq!(fw.contents("etc/pvpanic-port"), [0x05, 0x06]);
}

/// An option ROM without a BAR comes as a file; its name is that of the host's file without the directory.
#[testjig::test(on = PcFwCfg, launch = |l| l.device(Device::new("VGA").prop("rombar", 0)))]
fn a_rom_without_bar_is_a_file(fw: PcFwCfg) {
    let rom = fw
        .file("vgaroms/vgabios-stdvga.bin")
        .expect("the ROM of the VGA");
    assert_eq!(fw.item(rom.key, 2), [0x55, 0xaa]);
}

fn names(fw: &FwCfg) -> Vec<String> {
    fw.directory().into_iter().map(|entry| entry.name).collect()
}
