//! Migration: another QEMU goes on where this one stopped.

use std::time::Duration;

use testjig::prelude::*;
use testjig::qos::dev::fw_cfg::{Control, Dma, FwCfg, Key};

use super::starting::start;

/// The item and the position in it travel with the machine: the firmware reads on.
#[testjig::test(on = FwCfg, needs(running), launch = |l| small(l).fw_cfg_string("opt/digits", "0123456789"))]
fn a_read_goes_on_at_its_position(fw: FwCfg, vm: &Vm, qemu: &Qemu, launch: Launch) {
    let (target, there) = start(qemu, &incoming(launch));
    fw.select(fw.key("opt/digits"));
    fw.bytes(4);

    migrate(vm, &target);
    assert_eq!(there.bytes(7), b"456789\0");
}

/// So does the upper half of a DMA address whose lower half is still to come.
#[testjig::test(on = FwCfg, needs(running), launch = small)]
fn half_an_address_travels(fw: FwCfg, vm: &Vm, qemu: &Qemu, launch: Launch) {
    let (target, there) = start(qemu, &incoming(launch));
    fw.select(Key::SIGNATURE);
    fw.set_dma_high(0x100);

    migrate(vm, &target);
    let dma = Dma::new(&there);
    there.set_dma_low(dma.descriptor_address() as u32);
    assert_eq!(
        there.byte(),
        b'Q',
        "nothing ran: the descriptor was elsewhere"
    );
    assert_eq!(dma.run(Control::READ, 3), Control::DONE);
    assert_eq!(dma.buffer(4), b"EMU\xaa");
}

/// The files have the sizes and contents that they had, those too that the source had made anew.
#[testjig::test(on = FwCfg, needs(running), launch = small)]
fn the_files_are_the_same_there(fw: FwCfg, vm: &Vm, qemu: &Qemu, launch: Launch) {
    let (target, there) = start(qemu, &incoming(launch));
    let tables = Dma::new(&fw).read(fw.key("etc/acpi/tables"), 4096);
    let files = fw.directory();

    migrate(vm, &target);
    assert_eq!(there.directory(), files);
    assert!(Dma::new(&there).read(there.key("etc/acpi/tables"), 4096) == tables);
    assert_eq!(
        there.contents("etc/acpi/rsdp"),
        fw.contents("etc/acpi/rsdp")
    );
}

/// What travels is mostly memory.
fn small(launch: Launch) -> Launch {
    launch.memory(16 * MIB)
}

fn incoming(launch: Launch) -> Launch {
    launch.arg("-incoming").arg("tcp:127.0.0.1:0")
}

/// Sends a machine to one that waits for it, and returns when that one runs.
#[track_caller]
fn migrate(from: &Vm, to: &Vm) {
    let status = to.hmp("info migrate");
    let address = status
        .split_whitespace()
        .find(|word| word.starts_with("tcp:"))
        .unwrap_or_else(|| panic!("the target does not say where it listens:\n{status}"));
    from.hmp(&format!("migrate -d {address}"));
    to.wait_event("RESUME", Duration::from_secs(10));
}
