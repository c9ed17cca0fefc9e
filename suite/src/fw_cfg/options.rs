//! `-fw_cfg`, `gen_id=` and the device's own properties: what is accepted, what is declined, and in which words.

use testjig::prelude::*;
use testjig::qos::dev::fw_cfg::{Features, FwCfg, Key};
use testjig::vm::{Fault, Object};

use super::pc::PcFwCfg;
use super::starting::{assert_declined, start};

/// [Externally Provided Items] `-fw_cfg [name=]<item_name>,string=<string>`: the name may stand alone.
#[testjig::test(on = FwCfg, launch = |l| l.arg("-fw_cfg").arg("opt/short,string=x"))]
fn the_word_name_may_be_left_out(fw: FwCfg) {
    assert_eq!(fw.contents("opt/short"), b"x");
}

/// A name that is there already is declined, and the name is told.
#[testjig::test(on = FwCfg)]
fn a_name_given_twice_is_declined(qemu: &Qemu, launch: Launch) {
    let twice = launch
        .fw_cfg_string("opt/b", "1")
        .fw_cfg_string("opt/a", "2")
        .fw_cfg_string("opt/c", "3")
        .fw_cfg_string("opt/b", "4");
    assert_declined(qemu, &twice, "duplicate fw_cfg file name: opt/b");
}

/// So is the name of a file that the machine makes itself, later.
#[testjig::test(on = PcFwCfg, vary(name = ["etc/e820", "etc/table-loader", "etc/boot-fail-wait"]))]
fn a_name_of_the_machines_own_is_declined(qemu: &Qemu, launch: Launch, name: &'static str) {
    let reason = format!("duplicate fw_cfg file name: {name}");
    assert_declined(qemu, &launch.fw_cfg_string(name, "x"), &reason);
}

/// The boot order is not among those: the machine's own takes the place of the one that was given.
#[testjig::test(on = FwCfg, launch = |l| l.fw_cfg_string("bootorder", "mine"))]
fn a_boot_order_that_is_given_is_replaced(fw: FwCfg) {
    assert_eq!(fw.contents("bootorder"), b"");
}

/// [Externally Provided Items] "Use of names not beginning with opt/ is potentially dangerous and entirely unsupported. QEMU will warn
/// if you try."
#[testjig::test(on = FwCfg, launch = |l| l.fw_cfg_string("other/name", "x"))]
fn a_name_without_opt_is_warned_of(fw: FwCfg, vm: &Vm) {
    assert_eq!(fw.contents("other/name"), b"x");
    assert!(
        vm.stderr().contains("prefixed with \"opt/\""),
        "{}",
        vm.stderr()
    );
}

/// Names of more than 55 bytes have no room in the directory.
#[testjig::test(on = FwCfg)]
fn a_name_of_56_bytes_is_declined(qemu: &Qemu, launch: Launch) {
    let name = format!("opt/{}", "n".repeat(52));
    assert_declined(qemu, &launch.fw_cfg_string(name, "x"), "name too long");
}

/// A name and exactly one source are needed.
#[testjig::test(on = FwCfg, vary(words = [
    "name=opt/x",
    "string=x",
    "name=opt/x,string=",
    "name=,string=x",
    "name=opt/x,string=x,file=/dev/null",
    "name=opt/x,string=x,gen_id=y",
]))]
fn half_a_file_is_declined(qemu: &Qemu, launch: Launch, words: &'static str) {
    let reason = "name, plus exactly one of file, string and gen_id, are needed";
    assert_declined(qemu, &launch.arg("-fw_cfg").arg(words), reason);
}

/// A file of the host that is not there is named.
#[testjig::test(on = FwCfg)]
fn a_missing_file_is_declined(qemu: &Qemu, launch: Launch) {
    let launch = launch
        .arg("-fw_cfg")
        .arg("name=opt/x,file=/nonexistent/blob");
    assert_declined(qemu, &launch, "can't load /nonexistent/blob");
}

/// [Externally Provided Items] "allows some objects to generate fw_cfg-specific content": there must be that object.
#[testjig::test(on = FwCfg)]
fn a_generator_that_is_not_there_is_declined(qemu: &Qemu, launch: Launch) {
    let launch = launch.arg("-fw_cfg").arg("name=opt/x,gen_id=nobody");
    assert_declined(qemu, &launch, "Cannot find object ID 'nobody'");
}

/// And it must be able to generate.
#[testjig::test(on = FwCfg)]
fn an_object_that_generates_nothing_is_declined(qemu: &Qemu, launch: Launch) {
    let launch = launch
        .object(Object::new("rng-builtin", "rng"))
        .arg("-fw_cfg")
        .arg("name=opt/x,gen_id=rng");
    assert_declined(qemu, &launch, "is not a 'fw_cfg-data-generator' subclass");
}

/// [Externally Provided Items] an object's content is a file of its own: the cipher suites, two bytes each.
#[testjig::test(on = FwCfg)]
fn an_object_may_generate_a_file(qemu: &Qemu, launch: Launch) {
    if !qemu.caps.objects.contains("tls-cipher-suites") {
        Fault::skip("this QEMU has no object tls-cipher-suites").raise();
    }
    let suites = Object::new("tls-cipher-suites", "suites").prop("priority", "NORMAL");
    let launch = launch
        .object(suites)
        .arg("-fw_cfg")
        .arg("name=etc/https/ciphers,gen_id=suites");
    let (_vm, fw) = start(qemu, &launch);
    let ciphers = fw.contents("etc/https/ciphers");
    assert!(
        !ciphers.is_empty() && ciphers.len() % 2 == 0,
        "{ciphers:02x?}"
    );
}

/// The PCI bus generates a file too: the number of root buses besides its own, 64 bits.
#[testjig::test(on = PcFwCfg, launch = |l| extra_roots(l, roots), vary(roots = [1, 2]))]
fn extra_root_buses_are_counted(fw: PcFwCfg, roots: u64) {
    assert_eq!(fw.contents("etc/extra-pci-roots"), roots.to_le_bytes());
}

/// And none where there is nothing to say.
#[testjig::test(on = PcFwCfg)]
fn without_extra_root_buses_there_is_no_such_file(fw: PcFwCfg) {
    assert_eq!(fw.file("etc/extra-pci-roots"), None);
}

fn extra_roots(launch: Launch, roots: u64) -> Launch {
    let express = launch.machine().name == "q35";
    let (driver, root) = if express {
        ("pxb-pcie", "pcie.0")
    } else {
        ("pxb", "pci.0")
    };
    (0..roots).fold(launch, |launch, n| {
        let bridge = Device::new(driver)
            .bus(root)
            .prop("bus_nr", 0x10 + 0x10 * n);
        launch.device(bridge)
    })
}

/// [Revision / feature bitmap] "Bit 1: DMA interface": the bit is clear and nothing answers where the registers were.
#[testjig::test(on = PcFwCfg, launch = without_dma)]
fn without_dma_its_bit_and_registers_are_gone(fw: PcFwCfg) {
    assert_eq!(fw.features(), Features::new().with_traditional(true));
    assert_eq!((fw.io().inl(4), fw.io().inl(8)), (0xffff_ffff, 0xffff_ffff));
    assert_eq!(fw.item(Key::SIGNATURE, 4), b"QEMU");
}

/// Without DMA nothing can be written, and devices that live of writing are declined.
#[testjig::test(on = PcFwCfg, vary(driver = ["vmgenid", "vmcoreinfo", "ramfb"]))]
fn devices_that_need_dma_are_declined_without_it(
    qemu: &Qemu,
    launch: Launch,
    driver: &'static str,
) {
    let launch = without_dma(launch).device(Device::new(driver));
    assert_declined(qemu, &launch, "DMA");
}

/// Without ACPI tables, which describe the DMA registers: QEMU 11.1 aborts when they are to describe a device that has none.
fn without_dma(launch: Launch) -> Launch {
    launch
        .machine_option("acpi", "off")
        .global("fw_cfg_io", "dma_enabled", "off")
}

/// There is one such device in a machine, and it can't be plugged in.
#[testjig::test(on = FwCfg, vary(driver = ["fw_cfg_io", "fw_cfg_mem", "fw_cfg"]))]
fn a_second_device_is_declined(qemu: &Qemu, launch: Launch, driver: &'static str) {
    assert_declined(
        qemu,
        &launch.device(Device::new(driver)),
        "Parameter 'driver' expects",
    );
}
