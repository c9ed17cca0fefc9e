//! Devices that come and go while a `pc` runs, as firmware and the guest's ACPI code see it: QEMU, docs/specs/acpi_pci_hotplug.

use std::time::Duration;

use testjig::prelude::*;
use testjig::qmp::commands::{DeviceAdd, DeviceDel};
use testjig::qos::dev::acpi_pci_hotplug::{AcpiPciHotplug, Events, Register};
use testjig::qos::pci::{Function, Pci};

const SLOT: u8 = 9;
const BIT: u32 = 1 << SLOT;
const PCI: Events = Events::new().with_pci(true);
const SOON: Duration = Duration::from_secs(10);

fn plug(vm: &Vm) {
    plug_in(vm, "pci-testdev");
}

fn plug_in(vm: &Vm, driver: &'static str) {
    let device = DeviceAdd::new(driver).id("late");
    vm.qmp(device.prop("addr", format!("{SLOT:02x}.0")));
}

fn function(vm: &Vm) -> Function {
    Pci::pc(vm).device(SLOT)
}

fn wait_until_deleted(vm: &Vm) {
    let mut event = vm.wait_event("DEVICE_DELETED", SOON);
    if event.data()["device"].is_null() {
        // What the device held, which has no name, goes first.
        event = vm.wait_event("DEVICE_DELETED", SOON);
    }
    assert_eq!(event.data()["device"], "late");
    assert!(!function(vm).is_present());
}

/// A device that comes is told once, with its slot and an interrupt that ends when the event is cleared.
#[testjig::test(on = AcpiPciHotplug)]
fn a_device_that_comes_is_told(hotplug: AcpiPciHotplug, vm: &Vm) {
    let irq = vm.intercept(hotplug.irq());
    hotplug.enable(PCI);
    assert_eq!(hotplug.read(Register::Up), 0);
    plug(vm);
    assert!(function(vm).is_present());
    vm.wait_until(irq.raised(), SOON);
    assert_eq!(hotplug.events(), PCI);
    assert_eq!(hotplug.read(Register::Up), BIT);
    assert_eq!(hotplug.read(Register::Up), 0);
    hotplug.clear(PCI);
    vm.wait_until(irq.lowered(), SOON);
    assert_eq!(hotplug.events(), Events::new());
}

/// [GPE0_EN] An event that is not enabled is pending without an interrupt, and interrupts when it is enabled.
#[testjig::test(on = AcpiPciHotplug)]
fn an_event_waits_for_being_enabled(hotplug: AcpiPciHotplug, vm: &Vm) {
    let irq = vm.intercept(hotplug.irq());
    plug(vm);
    assert_eq!(hotplug.events(), PCI);
    assert_eq!(irq.edges(), []);
    hotplug.enable(PCI);
    assert_eq!(hotplug.enabled(), PCI);
    vm.wait_until(irq.raised(), SOON);
    hotplug.enable(Events::new());
    vm.wait_until(irq.lowered(), SOON);
    assert_eq!(hotplug.events(), PCI);
}

/// A device that is asked to go stays until the guest lets it go; it is asked for once.
#[testjig::test(on = AcpiPciHotplug, vary(driver = ["pci-testdev", "virtio-net-pci", "virtio-rng-pci"]))]
fn a_device_goes_when_the_guest_lets_it(hotplug: AcpiPciHotplug, vm: &Vm, driver: &'static str) {
    plug_in(vm, driver);
    assert!(function(vm).is_present());
    hotplug.clear(PCI);
    vm.qmp(DeviceDel::new("late"));
    assert_eq!(hotplug.events(), PCI);
    assert_eq!(hotplug.read(Register::Down), BIT);
    assert_eq!(hotplug.read(Register::Down), BIT);
    assert!(function(vm).is_present());
    let again = vm.try_qmp(&DeviceDel::new("late"));
    let again = again.expect_err("it is under way").to_string();
    assert!(
        again.contains("already in the process of unplug"),
        "{again}"
    );
    hotplug.eject(SLOT);
    wait_until_deleted(vm);
    assert_eq!(hotplug.read(Register::Down), 0);
}

/// The guest may let a device go that nobody asked for, and no other goes with it.
#[testjig::test(on = AcpiPciHotplug)]
fn a_guest_lets_a_device_go_by_itself(hotplug: AcpiPciHotplug, vm: &Vm) {
    plug(vm);
    vm.qmp(
        DeviceAdd::new("pci-testdev")
            .id("stays")
            .prop("addr", "0a.0"),
    );
    hotplug.eject(SLOT);
    wait_until_deleted(vm);
    assert!(Pci::pc(vm).device(SLOT + 1).is_present());
    plug(vm);
    assert!(function(vm).is_present());
}

/// At a reset what was asked to go goes, and nothing is pending after it.
#[testjig::test(on = AcpiPciHotplug)]
fn a_reset_ends_what_is_pending(hotplug: AcpiPciHotplug, vm: &Vm) {
    hotplug.enable(PCI);
    plug(vm);
    vm.qmp(DeviceDel::new("late"));
    vm.reset();
    wait_until_deleted(vm);
    assert_eq!(hotplug.events(), Events::new());
    assert_eq!(hotplug.enabled(), Events::new());
    assert_eq!(hotplug.read(Register::Up), 0);
    assert_eq!(hotplug.read(Register::Down), 0);
}

/// What is in the bridges' slots can't go: neither says so, and neither does.
#[testjig::test(on = AcpiPciHotplug)]
fn the_bridges_stay(hotplug: AcpiPciHotplug, vm: &Vm) {
    assert_eq!(hotplug.read(Register::Removable) & 0b11, 0);
    assert_ne!(hotplug.read(Register::Removable) & BIT, 0);
    hotplug.write(Register::Eject, 0b11);
    let pci = Pci::pc(vm);
    assert!(pci.device(0).is_present() && pci.device(1).is_present());
}
