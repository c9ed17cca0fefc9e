//! Files that the device makes when the firmware selects them: the ACPI tables, of the chipset as it is programmed then.

use testjig::prelude::*;
use testjig::qos::dev::fw_cfg::{Control, Dma, FwCfg};
use testjig::qos::pci::{Bdf, Pci};

use super::pc::PcFwCfg;

/// The tables have the power management registers where the firmware has put them before it selects one of the three files.
#[testjig::test(on = PcFwCfg, vary(file = [TABLES, LOADER, RSDP]))]
fn the_first_selection_makes_the_tables(fw: PcFwCfg, vm: &Vm, file: &'static str) {
    let key = fw.key(file);
    set_pm_base(vm, 0x700);
    fw.select(key);
    assert_eq!(pm1a_event_block(&fw), 0x700);
}

/// A selection by DMA makes them too, whatever the operation then is.
#[testjig::test(on = PcFwCfg, vary(control = [Control::DONE, Control::SKIP, Control::READ]))]
fn a_selection_by_dma_makes_the_tables(fw: PcFwCfg, vm: &Vm, control: Control) {
    let key = fw.key(RSDP);
    set_pm_base(vm, 0x680);
    Dma::new(&fw).run(control.of(key), 0);
    set_pm_base(vm, 0x780);
    assert_eq!(pm1a_event_block(&fw), 0x680);
}

/// Other files don't.
#[testjig::test(on = PcFwCfg)]
fn a_selection_of_another_file_makes_no_tables(fw: PcFwCfg, vm: &Vm) {
    let other = fw.key("etc/e820");
    set_pm_base(vm, 0x680);
    fw.item(other, 20);
    set_pm_base(vm, 0x780);
    assert_eq!(pm1a_event_block(&fw), 0x780);
}

/// They are made once, so that the three files fit each other.
#[testjig::test(on = PcFwCfg)]
fn later_selections_keep_the_tables(fw: PcFwCfg, vm: &Vm) {
    set_pm_base(vm, 0x700);
    fw.select(fw.key(RSDP));
    set_pm_base(vm, 0x780);
    fw.select(fw.key(LOADER));
    assert_eq!(pm1a_event_block(&fw), 0x700);
}

/// After a reset they are made anew.
#[testjig::test(on = PcFwCfg)]
fn a_reset_has_the_tables_made_anew(fw: PcFwCfg, vm: &Vm) {
    set_pm_base(vm, 0x700);
    assert_eq!(pm1a_event_block(&fw), 0x700);
    vm.reset();
    set_pm_base(vm, 0x680);
    assert_eq!(pm1a_event_block(&fw), 0x680);
}

/// ACPI 6.5 §5.2.5.3: the root pointer begins with its signature; of revision 0 it has 20 bytes.
#[testjig::test(on = PcFwCfg)]
fn the_root_pointer_is_one(fw: PcFwCfg) {
    let rsdp = fw.contents(RSDP);
    assert_eq!((rsdp.len(), &rsdp[..8]), (20, b"RSD PTR ".as_slice()));
}

/// A machine without ACPI has none of the files.
#[testjig::test(on = PcFwCfg, launch = |l| l.machine_option("acpi", "off"))]
fn without_acpi_there_are_no_tables(fw: PcFwCfg) {
    for name in [TABLES, LOADER, RSDP] {
        assert_eq!(fw.file(name), None);
    }
}

const TABLES: &str = "etc/acpi/tables";
const LOADER: &str = "etc/table-loader";
const RSDP: &str = "etc/acpi/rsdp";

/// Enables the chipset's power management registers at an I/O port: PIIX4 data sheet (290562) §7.1.8 PMBA and §7.1.19 PMREGMISC, ICH9
/// data sheet (316972) §13.1.13 PMBASE and §13.1.14 ACPI_CNTL.
fn set_pm_base(vm: &Vm, port: u32) {
    let (function, enable, bit) = match vm.launch().machine().name {
        "q35" => (Bdf::new(0, 31, 0), 0x44, 0x80),
        _ => (Bdf::new(0, 1, 3), 0x80, 0x01),
    };
    let function = Pci::pc(vm).function(function);
    function.write::<u32>(0x40, port | 1);
    function.write::<u8>(enable, bit);
}

/// `PM1a_EVT_BLK` of the FADT (ACPI 6.5 §5.2.9), 32 bits at offset 56.
fn pm1a_event_block(fw: &FwCfg) -> u32 {
    let file = fw.file(TABLES).expect("the tables");
    let tables = Dma::new(fw).read(file.key, file.size);
    let fadt = tables
        .windows(4)
        .position(|window| window == b"FACP")
        .expect("a FADT among the tables");
    let field = tables[fadt + 56..fadt + 60].try_into().expect("four bytes");
    u32::from_le_bytes(field)
}
