//! Migration: configuration space, base addresses, MSI-X and what is pending travel with the machine.

use std::time::Duration;

use testjig::prelude::*;
use testjig::qos::pci::{MsiMessage, Pci};
use testjig::vm::LaunchOptions;

use super::fixture::Nic;

/// A machine that goes on elsewhere goes on as it was: PCI §6.2.5, §6.8.2 hold over it.
#[testjig::test(on = Nic, needs(running))]
fn a_function_goes_on_where_it_was(nic: Nic, vm: &Vm, qemu: &Qemu, launch: Launch) {
    let waiting = launch.arg("-incoming").arg("tcp:127.0.0.1:0");
    let target = qemu
        .launch(&waiting, &LaunchOptions::default())
        .unwrap_or_else(|error| panic!("{error}"));
    let registers = nic.map();
    let msix = nic.function.msix(&[&registers]).expect("it has MSI-X");
    Nic::arm(&registers);
    msix.enable();
    let message = MsiMessage {
        address: 0x1000,
        data: 0x5a5a_0001,
    };
    msix.set_message(3, message);
    Nic::ring(&registers, 1);
    let config = nic.function.bytes();
    let at =
        |(bar, offset): (&testjig::qos::pci::Bar, u64)| bar.cpu_address().expect("memory") + offset;
    let places = [
        at((&registers, 0xe4)),
        at(msix.table()) + 3 * 16 + 8,
        at(msix.pending_bits()),
    ];
    let before = places.map(|address| vm.readl(address));
    assert_ne!(before, [0; 3]);

    migrate(vm, &target);
    assert_eq!(places.map(|address| target.readl(address)), before);
    let pci = Pci::of(&target).expect("the machine has one");
    assert_eq!(pci.device(4).bytes(), config);
    target.stop();
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
    to.wait_event("RESUME", Duration::from_secs(30));
}
