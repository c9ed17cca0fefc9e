//! What the device is at power-on, what a reset changes, and items that follow the machine.

use testjig::prelude::*;
use testjig::qmp::commands::{DeviceAdd, QomSet};
use testjig::qos::dev::fw_cfg::{Control, Dma, FwCfg, Key};
use testjig::vm::{Drive, Image};

use super::pc::PcFwCfg;

/// At power-on the signature is selected.
#[testjig::test(on = FwCfg)]
fn the_signature_is_selected_at_power_on(fw: FwCfg) {
    assert_eq!(fw.bytes(5), b"QEMU\0");
}

/// And so it is after a reset, from its first byte.
#[testjig::test(on = FwCfg)]
fn a_reset_selects_the_signature(fw: FwCfg, vm: &Vm) {
    for key in [Key::SIGNATURE, Key::UUID, Key::from_bits(0x3fff)] {
        fw.item(key, 2);
        vm.reset();
        assert_eq!(fw.bytes(5), b"QEMU\0", "{key:?}");
    }
}

/// DMA without a selection reads the signature then, too.
#[testjig::test(on = FwCfg)]
fn dma_reads_the_signature_after_a_reset(fw: FwCfg, vm: &Vm) {
    fw.select(Key::UUID);
    vm.reset();
    let dma = Dma::new(&fw);
    assert_eq!(dma.run(Control::READ, 4), Control::DONE);
    assert_eq!(dma.buffer(5), b"QEMU\xaa");
}

/// A reset leaves the directory as it was: the firmware finds each file by the same key.
#[testjig::test(on = FwCfg, launch = |l| l.fw_cfg_string("opt/a", "text"))]
fn a_reset_moves_no_file(fw: FwCfg, vm: &Vm) {
    let before = fw.directory();
    vm.reset();
    vm.reset();
    assert_eq!(fw.directory(), before);
    assert_eq!(fw.contents("opt/a"), b"text");
}

/// `bootorder` has the devices in the order of their `bootindex`, one a line, with a terminating zero.
#[testjig::test(on = PcFwCfg, launch = |l| l.device(disk(3)).drive(scratch()).device(nic("n0", 4).prop("bootindex", 1)))]
fn the_boot_order_is_that_of_the_indices(fw: PcFwCfg) {
    let order = "/pci@i0cf8/ethernet@4/ethernet-phy@0\n/pci@i0cf8/scsi@5/disk@0,0\0";
    assert_eq!(text(&fw, "bootorder"), order);
}

/// `-boot strict=on`: the firmware is to halt rather than try anything else.
#[testjig::test(on = PcFwCfg, launch = |l| l.boot("strict", "on").device(nic("n0", 4).prop("bootindex", 1)))]
fn a_strict_boot_order_ends_with_halt(fw: PcFwCfg) {
    let order = "/pci@i0cf8/ethernet@4/ethernet-phy@0\nHALT\0";
    assert_eq!(text(&fw, "bootorder"), order);
}

/// `bios-geometry` has the geometry of disks that were given one: cylinders, heads, sectors.
#[testjig::test(on = PcFwCfg, launch = |l| l.drive(scratch()).device(disk(0).prop("lcyls", 16).prop("lheads", 4).prop("lsecs", 8)))]
fn the_geometry_of_a_disk_is_told(fw: PcFwCfg) {
    let geometry = "/pci@i0cf8/scsi@5/disk@0,0 16 4 8\0";
    assert_eq!(text(&fw, "bios-geometry"), geometry);
}

/// The boot order follows the indices at the next reset, not before, and its size with it.
#[testjig::test(on = PcFwCfg, launch = |l| l.device(nic("n0", 3)).device(nic("n1", 4)).fw_cfg_string("opt/a", "text"))]
fn the_boot_order_is_made_at_each_reset(fw: PcFwCfg, vm: &Vm) {
    assert_eq!(text(&fw, "bootorder"), "");
    set_bootindex(vm, "n1", 4);
    assert_eq!(text(&fw, "bootorder"), "");
    vm.reset();
    assert_eq!(
        text(&fw, "bootorder"),
        "/pci@i0cf8/ethernet@4/ethernet-phy@0\0"
    );
    set_bootindex(vm, "n0", 2);
    vm.reset();
    let both = "/pci@i0cf8/ethernet@3/ethernet-phy@0\n/pci@i0cf8/ethernet@4/ethernet-phy@0\0";
    assert_eq!(text(&fw, "bootorder"), both);
    assert_eq!(fw.byte(), 0);
    assert_eq!(fw.contents("opt/a"), b"text");
    set_bootindex(vm, "n0", -1);
    set_bootindex(vm, "n1", -1);
    vm.reset();
    assert_eq!(text(&fw, "bootorder"), "");
}

/// What is made anew is read-only as it was.
#[testjig::test(on = PcFwCfg, launch = |l| l.device(nic("n0", 3)))]
fn a_new_boot_order_is_read_only(fw: PcFwCfg, vm: &Vm) {
    set_bootindex(vm, "n0", 1);
    vm.reset();
    let before = text(&fw, "bootorder");
    assert_eq!(
        Dma::new(&fw).write(fw.key("bootorder"), b"x"),
        Control::ERROR
    );
    assert_eq!(text(&fw, "bootorder"), before);
}

/// A CPU that is plugged in counts at once, and after a reset.
#[testjig::test(on = PcFwCfg, launch = |l| l.cpus(1).smp_option("cores", 3).smp_option("maxcpus", 3))]
fn a_plugged_in_cpu_counts(fw: PcFwCfg, vm: &Vm) {
    assert_eq!(fw.u16(Key::NB_CPUS), 1);
    let cpu = DeviceAdd::new("qemu64-x86_64-cpu")
        .prop("socket-id", 0)
        .prop("core-id", 2)
        .prop("thread-id", 0);
    vm.qmp(cpu);
    assert_eq!(fw.u16(Key::NB_CPUS), 2);
    assert_eq!(fw.byte(), 0);
    assert_eq!(fw.u16(Key::MAX_CPUS), 3);
    assert_eq!(Dma::new(&fw).write(Key::NB_CPUS, &[9]), Control::ERROR);
    vm.reset();
    assert_eq!(fw.u16(Key::NB_CPUS), 2);
}

/// A change of the item that is selected leaves the position alone.
#[testjig::test(on = PcFwCfg, launch = |l| l.cpus(1).smp_option("cores", 3).smp_option("maxcpus", 3))]
fn a_change_of_the_item_keeps_the_position(fw: PcFwCfg, vm: &Vm) {
    fw.select(Key::NB_CPUS);
    let cpu = DeviceAdd::new("qemu64-x86_64-cpu")
        .prop("socket-id", 0)
        .prop("core-id", 1)
        .prop("thread-id", 0);
    vm.qmp(cpu);
    assert_eq!(fw.bytes(3), [2, 0, 0]);
}

fn text(fw: &FwCfg, name: &str) -> String {
    String::from_utf8(fw.contents(name)).expect("text")
}

fn set_bootindex(vm: &Vm, id: &str, index: i32) {
    vm.qmp(QomSet::new(
        format!("/machine/peripheral/{id}"),
        "bootindex",
        index,
    ));
}

fn nic(id: &str, slot: u32) -> Device {
    Device::new("virtio-net-pci")
        .id(id)
        .prop("romfile", "")
        .prop("addr", slot)
}

fn disk(bootindex: u32) -> Device {
    Device::new("virtio-blk-pci")
        .prop("drive", "d0")
        .prop("addr", 5)
        .prop("bootindex", bootindex)
}

fn scratch() -> Drive {
    Drive::new("d0", Image::zeroed(MIB))
}
