//! PCs up to version 2.5, which have their files in an order of their own: by purpose, not by name.
//!
//! A QEMU that has dropped those machine types (since 9.2 distributions do, since 10.1 QEMU itself) skips these tests.

use testjig::prelude::*;
use testjig::qos::dev::fw_cfg::{FwCfg, Key};
use testjig::vm::{MachineType, machine};

use super::host_file::HostFile;
use super::starting::{assert_declined, start};

static PC_2_5: MachineType = MachineType {
    name: "pc-i440fx-2.5",
    ..machine::PC
};

/// The device of a machine from before files were sorted by name.
struct LegacyOrder(FwCfg);

/// The PC of QEMU 2.5.
struct Pc2015(Vm);

testjig::graph!(|graph| {
    graph.machine(&PC_2_5, |vm| Pc2015(vm.clone()));
    graph
        .edge("fw_cfg_io", |pc: &Pc2015| LegacyOrder(FwCfg::io(&pc.0)))
        .describe(|| Box::new(FwCfg::decoder()));
});

/// The order of a bare machine.
#[testjig::test(on = LegacyOrder)]
fn files_are_in_the_order_of_their_purpose(fw: LegacyOrder) {
    let expected = [
        "etc/boot-fail-wait",
        "etc/smbios/smbios-tables",
        "etc/smbios/smbios-anchor",
        "etc/e820",
        "genroms/kvmvapic.bin",
        "etc/system-states",
        "etc/acpi/tables",
        "etc/table-loader",
        "etc/tpm/log",
        "etc/acpi/rsdp",
        "bootorder",
    ];
    assert_eq!(fw.names(), expected);
}

/// The order with one of everything: ROMs of the machine's VGA and NIC, files of the user, ROMs of further devices, each at its place.
#[testjig::test(on = LegacyOrder)]
fn each_kind_of_file_has_its_place(qemu: &Qemu, launch: Launch) {
    let picture = HostFile::new(&[b"\xff\xd8".as_slice(), &[0; 40]].concat());
    let launch = with_slots(launch)
        .boot("splash-time", 1)
        .boot("splash", picture.path())
        .global("VGA", "rombar", 0)
        .global("e1000", "rombar", 0)
        .arg("-vga")
        .arg("std")
        .arg("-net")
        .arg("nic,model=e1000")
        .arg("-m")
        .arg("slots=2,maxmem=1G")
        .device(Device::new("virtio-net-pci").prop("rombar", 0))
        .device(Device::new("pxb").prop("bus_nr", 0x20));
    let (_vm, fw) = start(qemu, &launch);
    let names = LegacyOrder(fw).names();
    let expected = [
        "etc/boot-menu-wait",
        "bootsplash.jpg",
        "etc/boot-fail-wait",
        "etc/smbios/smbios-tables",
        "etc/smbios/smbios-anchor",
        "etc/e820",
        "etc/reserved-memory-end",
        "genroms/kvmvapic.bin",
        "vgaroms/vgabios-stdvga.bin",
        "genroms/NIC",
        "etc/system-states",
        "genroms/DEVICE",
        "etc/extra-pci-roots",
        "etc/acpi/tables",
        "etc/table-loader",
        "etc/tpm/log",
        "etc/acpi/rsdp",
        "bootorder",
    ];
    let without_rom_names: Vec<_> = names.iter().map(|name| rom_of(name)).collect();
    assert_eq!(without_rom_names, expected);
}

/// Distributions have the ROMs of network cards under names of their own.
fn rom_of(name: &str) -> &str {
    match name.strip_prefix("genroms/") {
        Some(rom) if rom.contains("e1000") => "genroms/NIC",
        Some(rom) if rom.contains("virtio") => "genroms/DEVICE",
        _ => name,
    }
}

/// The user's files are one kind, and keep the order of the command line.
#[testjig::test(on = LegacyOrder, launch = |l| with_slots(l).fw_cfg_string("opt/z", "1").fw_cfg_string("opt/a", "2").fw_cfg_string("opt/m", "3"))]
fn the_users_files_keep_their_order(fw: LegacyOrder) {
    let names = fw.names();
    let at = names
        .iter()
        .position(|name| name == "opt/z")
        .expect("the first");
    assert_eq!(
        names[at - 1..at + 4],
        [
            "etc/system-states",
            "opt/z",
            "opt/a",
            "opt/m",
            "etc/acpi/tables"
        ]
    );
}

/// Keys follow the order, and contents follow the names.
#[testjig::test(on = LegacyOrder, launch = |l| with_slots(l).fw_cfg_string("opt/z", "1").fw_cfg_string("opt/a", "22"))]
fn contents_follow_their_names(fw: LegacyOrder) {
    let keys: Vec<_> = fw.0.directory().iter().map(|entry| entry.key).collect();
    let expected: Vec<_> = (0..keys.len() as u16).map(Key::file).collect();
    assert_eq!(keys, expected);
    assert_eq!(fw.0.contents("opt/z"), b"1");
    assert_eq!(fw.0.contents("opt/a"), b"22");
    assert_eq!(fw.0.contents("etc/boot-fail-wait"), [0xff; 4]);
}

/// A purpose that is not known comes last, with a warning.
#[testjig::test(on = LegacyOrder)]
fn an_unknown_file_comes_last(qemu: &Qemu, launch: Launch) {
    let rom = HostFile::new(&[0x55, 0xaa, 1, 0]);
    let launch = with_slots(launch).arg("-option-rom").arg(rom.path());
    let (vm, fw) = start(qemu, &launch);
    let names = LegacyOrder(fw).names();
    let (last, before) = (&names[names.len() - 1], &names[names.len() - 2]);
    assert!(
        last.starts_with("genroms/") && before == "bootorder",
        "{names:?}"
    );
    assert!(
        vm.stderr().contains("Unknown firmware file in legacy mode"),
        "{}",
        vm.stderr()
    );
}

/// A name given twice is declined in this order, too, wherever the first one went.
#[testjig::test(on = LegacyOrder, vary(name = ["opt/a", "etc/e820", "etc/boot-fail-wait", "etc/acpi/rsdp"]))]
fn a_name_given_twice_is_declined(qemu: &Qemu, launch: Launch, name: &'static str) {
    let twice = with_slots(launch)
        .fw_cfg_string(name, "1")
        .fw_cfg_string("opt/a", "2")
        .fw_cfg_string("opt/b", "3");
    assert_declined(qemu, &twice, &format!("duplicate fw_cfg file name: {name}"));
}

/// So is the name of the file that is last, a ROM that nobody knows.
#[testjig::test(on = LegacyOrder)]
fn the_name_of_the_last_file_is_declined(qemu: &Qemu, launch: Launch) {
    let rom = HostFile::new(&[0x55, 0xaa, 1, 0]);
    let path = rom.path();
    let (_, file) = path.rsplit_once('/').expect("a path has directories");
    let name = format!("genroms/{file}");
    let reason = format!("duplicate fw_cfg file name: {name}");
    let twice = with_slots(launch)
        .fw_cfg_string(name, "x")
        .arg("-option-rom")
        .arg(&path);
    assert_declined(qemu, &twice, &reason);
}

/// There is no file of disk geometries yet.
#[testjig::test(on = LegacyOrder)]
fn there_are_no_disk_geometries(fw: LegacyOrder, vm: &Vm) {
    assert_eq!(fw.0.file("bios-geometry"), None);
    vm.reset();
    assert_eq!(fw.0.file("bios-geometry"), None);
}

/// The last of its 16 slots is the last key that selects anything, and what is behind it is nobody's.
#[testjig::test(on = LegacyOrder, launch = |l| l.global("fw_cfg_io", "x-file-slots", slots), vary(slots = [16, 17]))]
fn the_key_behind_the_last_slot_selects_nothing(fw: LegacyOrder, slots: u16) {
    for key in [Key::file(slots), Key::file(slots).with_arch_local(true)] {
        assert_eq!(fw.0.item(key, 64), [0; 64]);
    }
}

impl LegacyOrder {
    fn names(&self) -> Vec<String> {
        let files = self.0.directory().into_iter();
        files.map(|entry| entry.name).collect()
    }
}

/// These machines had 16 slots.
fn with_slots(launch: Launch) -> Launch {
    launch.global("fw_cfg_io", "x-file-slots", 32)
}
