//! PCI Express: the configuration window, root ports, and what is plugged into them while the machine runs.

use std::time::Duration;

use testjig::machines::{ArmVirt, I386Q35, RiscvVirt};
use testjig::prelude::*;
use testjig::qmp::commands::{DeviceAdd, DeviceDel};
use testjig::qos::pci::{Bdf, Bridge, Capability, Function, MsiSlot, Pci, capability, header};

use super::fixture::{Edu, Nic, SLOT, edu, nic};

/// A root complex, `pcie.0`.
#[derive(Clone)]
struct Pcie(Pci);

testjig::graph!(|graph| {
    graph
        .edge("pcie.0", |pc: &Q35| Pcie(Pci::q35(pc.vm())))
        .launch(with_native_hot_plug);
    graph
        .edge("pcie.0", |pc: &I386Q35| Pcie(Pci::q35(pc.vm())))
        .launch(with_native_hot_plug);
    graph.edge("pcie.0", |virt: &ArmVirt| Pcie(Pci::arm_virt(virt.vm())));
    graph.edge("pcie.0", |virt: &RiscvVirt| {
        Pcie(Pci::riscv_virt(virt.vm()))
    });
    graph
        .edge("pcie-root-port", |pcie: &Pcie| RootPort::new(&pcie.0))
        .launch(|launch| launch.device(root_port()));
});

/// A `q35` whose ports are hot-plugged as PCI Express has it, and not by ACPI.
fn with_native_hot_plug(launch: Launch) -> Launch {
    launch.global("ICH9-LPC", "acpi-pci-hotplug-with-bridge-support", "off")
}

fn root_port() -> Device {
    Device::new("pcie-root-port")
        .id("rp")
        .prop("slot", 1)
        .prop("addr", "04.0")
}

/// A root port as device 4.
#[derive(Clone, Debug)]
struct RootPort {
    pci: Pci,
    bridge: Bridge,
    express: Capability,
}

/// PCIe §7.8.10: slot control.
const SLOT_CONTROL: u16 = 0x18;
/// PCIe §7.8.11: slot status.
const SLOT_STATUS: u16 = 0x1a;
const ATTENTION_PRESSED: u16 = 1 << 0;
const PRESENCE_CHANGED: u16 = 1 << 3;
const PRESENT: u16 = 1 << 6;
const HOT_PLUG_INTERRUPT: u16 = 1 << 5;
const PRESENCE_ENABLE: u16 = 1 << 3;
const POWER_INDICATOR_ON: u16 = 1 << 8;
const POWER_INDICATOR_OFF: u16 = 3 << 8;
const POWER_OFF: u16 = 1 << 10;

impl RootPort {
    #[track_caller]
    fn new(pci: &Pci) -> Self {
        let function = pci.device(SLOT);
        let express = function.capability(capability::id::EXPRESS);
        Self {
            pci: pci.clone(),
            bridge: function.as_bridge().expect("a port looks like a bridge"),
            express: express.expect("a port has the capability"),
        }
    }

    #[track_caller]
    fn slot_status(&self) -> u16 {
        self.express.read(SLOT_STATUS)
    }

    /// The device in the slot, buses numbered and windows open.
    #[track_caller]
    fn device(&self) -> Function {
        self.pci.enumerate();
        self.bridge.device(0)
    }
}

/// PCIe §7.2.2: a function has 4 KiB; the first 256 bytes are those that mechanism #1 reaches.
#[testjig::test(on = Q35, launch = |l| l.device(nic().prop("addr", "04.0")))]
fn the_window_and_the_ports_show_the_same(pc: Q35) {
    let (window, ports) = (Pci::q35(pc.vm()), Pci::pc(pc.vm()));
    assert_eq!(window.device(4).bytes(), ports.device(4).bytes());
    window.device(4).write::<u8>(header::INTERRUPT_LINE, 0x5a);
    assert_eq!(ports.device(4).read::<u8>(header::INTERRUPT_LINE), 0x5a);
    ports.device(4).write::<u8>(header::INTERRUPT_LINE, 0xa5);
    assert_eq!(window.device(4).read::<u8>(header::INTERRUPT_LINE), 0xa5);
}

/// PCIe §7.2.2: accesses of one, two and four bytes.
#[testjig::test(on = Pcie, launch = |l| l.device(nic().prop("addr", "04.0")))]
fn the_window_takes_bytes_words_and_dwords(pcie: Pcie) {
    let function = pcie.0.device(4);
    assert_eq!(function.read::<u32>(0), 0x10d3_8086);
    assert_eq!(function.read::<u16>(2), 0x10d3);
    assert_eq!(function.read::<u8>(1), 0x80);
    function.write::<u16>(header::COMMAND, 0x0006);
    function.write::<u8>(header::CACHE_LINE_SIZE, 0x44);
    assert_eq!(function.read::<u16>(header::COMMAND), 0x0006);
    assert_eq!(function.read::<u8>(header::CACHE_LINE_SIZE), 0x44);
}

/// PCIe §7.9.3: a serial number is 64 bits that name the device, read-only; of a network controller, its address with FFFFh in the
/// middle (82574 data sheet, §9.2).
#[testjig::test(on = Pcie, launch = |l| l.device(nic().prop("addr", "04.0").prop("mac", "02:11:22:33:44:55")))]
fn the_serial_number_is_made_of_the_address(pcie: Pcie) {
    const SERIAL_NUMBER: u16 = 0x0003;
    let function = pcie.0.device(4);
    let serial = function
        .extended_capability(SERIAL_NUMBER)
        .expect("it has one");
    serial.write::<u32>(4, 0);
    let number = [serial.read::<u32>(4), serial.read::<u32>(8)];
    assert_eq!(number, [0xff33_4455, 0x0211_22ff]);
}

/// PCIe §7.9.2: a conventional device has no list: its 4 KiB end after 256 bytes.
#[testjig::test(on = Pcie, launch = |l| l.device(edu().prop("addr", "04.0")))]
fn a_conventional_device_has_no_extended_list(pcie: Pcie) {
    let function = pcie.0.device(4);
    function.write::<u32>(0x100, 0x1234_5678);
    assert_ne!(function.read::<u32>(0x100), 0x1234_5678);
    assert!(function.extended_capabilities().is_empty());
}

/// PCIe §7.8.2: a root port says that it is one and, with a slot, that it implements it.
#[testjig::test(on = RootPort)]
fn a_root_port_says_what_it_is(port: RootPort) {
    let function = port.bridge.function();
    assert_eq!(function.class() >> 8, 0x0604);
    let express = function.express().expect("it has the capability");
    assert_eq!(express.port_type(), 4);
    assert_eq!(
        port.express.read::<u16>(2) & (1 << 8),
        1 << 8,
        "slot implemented"
    );
}

/// PCIe §7.3.1: behind a port there is one device, number 0.
#[testjig::test(on = RootPort, launch = |l| l.device(nic().bus("rp")))]
fn a_device_behind_a_port_works(port: RootPort) {
    let function = port.device();
    assert_eq!(function.id(), Nic::ID);
    for device in 1..32 {
        assert!(!port.bridge.device(device).is_present(), "device {device}");
    }
    let registers = function.iomap(0);
    assert!(port.bridge.memory().contains(&registers.address()));
    registers.write::<u32>(0x00e4, 0x000c_ba98);
    assert_eq!(registers.read::<u32>(0x00e4), 0x000c_ba98);
}

/// PCIe §7.8.11: presence detect state.
#[testjig::test(on = RootPort, vary(occupied = [false, true]), launch = |l| if occupied { l.device(nic().bus("rp")) } else { l })]
fn the_slot_says_whether_it_is_occupied(port: RootPort, occupied: bool) {
    assert_eq!(port.slot_status() & PRESENT != 0, occupied);
    assert_eq!(port.device().is_present(), occupied);
}

/// PCIe §6.7, §7.8.11: what is plugged in while the machine runs is present, the change is noted until it is acknowledged by writing 1.
#[testjig::test(on = RootPort)]
fn what_is_plugged_into_a_port_is_present_and_noted(port: RootPort, vm: &Vm) {
    assert_eq!(port.slot_status() & (PRESENT | PRESENCE_CHANGED), 0);
    vm.qmp(DeviceAdd::new("edu").id("late").prop("bus", "rp"));
    assert_eq!(
        port.slot_status() & (PRESENT | PRESENCE_CHANGED),
        PRESENT | PRESENCE_CHANGED
    );
    port.express.write::<u16>(SLOT_STATUS, PRESENCE_CHANGED);
    assert_eq!(port.slot_status() & (PRESENT | PRESENCE_CHANGED), PRESENT);
}

/// PCIe §6.7.1.4–5: it has power, and answers, once software has switched it on.
#[testjig::test(on = RootPort)]
fn what_is_plugged_into_a_port_works_once_its_power_is_on(port: RootPort, vm: &Vm) {
    vm.qmp(DeviceAdd::new("edu").id("late").prop("bus", "rp"));
    assert!(!port.device().is_present());
    port.express.write::<u16>(SLOT_CONTROL, POWER_INDICATOR_ON);
    let late = port.device();
    assert_eq!(late.id(), Edu::ID);
    assert!(Edu::answers(&late.iomap(0)));
}

/// PCIe §6.7.3.4: a change interrupts if it and hot-plug interrupts are enabled; by MSI-X, if that is.
#[testjig::test(on = RootPort)]
fn a_change_of_the_slot_interrupts_if_enabled(port: RootPort, vm: &Vm) {
    let slot = MsiSlot::new(&port.pci);
    let msix = port.bridge.function().msix(&[]).expect("a port has MSI-X");
    msix.set_message(0, slot.message(0x55));
    msix.enable();
    port.express
        .write::<u16>(SLOT_CONTROL, HOT_PLUG_INTERRUPT | PRESENCE_ENABLE);
    assert_eq!(slot.take(), None);
    vm.qmp(DeviceAdd::new("edu").id("late").prop("bus", "rp"));
    assert_eq!(slot.take(), Some(0x55));
}

/// PCIe §6.7.3.4: it does not, if they are not enabled.
#[testjig::test(on = RootPort)]
fn a_change_of_the_slot_does_not_interrupt_if_disabled(port: RootPort, vm: &Vm) {
    let slot = MsiSlot::new(&port.pci);
    let msix = port.bridge.function().msix(&[]).expect("a port has MSI-X");
    msix.set_message(0, slot.message(0x55));
    msix.enable();
    vm.qmp(DeviceAdd::new("edu").id("late").prop("bus", "rp"));
    assert_eq!(slot.take(), None);
    assert_ne!(port.slot_status() & PRESENCE_CHANGED, 0);
}

/// PCIe §6.7.1.4–5: to take a device out, the attention button is pressed; it goes when software has switched its power off.
#[testjig::test(on = RootPort, launch = |l| l.device(edu().id("old").bus("rp")))]
fn a_device_goes_when_its_power_is_switched_off(port: RootPort, vm: &Vm) {
    assert_eq!(port.device().id(), Edu::ID);
    vm.qmp(DeviceDel::new("old"));
    assert_ne!(port.slot_status() & ATTENTION_PRESSED, 0);
    assert!(port.device().is_present(), "software has not agreed");

    port.express
        .write::<u16>(SLOT_CONTROL, POWER_INDICATOR_OFF | POWER_OFF);
    vm.wait_event("DEVICE_DELETED", Duration::from_secs(10));
    assert!(!port.device().is_present());
    assert_eq!(port.slot_status() & PRESENT, 0);
}

/// PCIe §2.2.8.1, P2P §9.1: a port forwards INTx# of what is behind it as its own.
#[testjig::test(on = RootPort, launch = |l| l.device(edu().bus("rp")))]
fn an_interrupt_passes_a_port(port: RootPort, vm: &Vm) {
    let edu = Edu::new(port.device());
    assert_eq!(edu.function.bdf(), Bdf::new(1, 0, 0));
    let irq = vm.intercept(edu.function.intx().expect("it has a pin"));
    let registers = edu.map();
    Edu::raise(&registers);
    assert!(irq.level());
    Edu::acknowledge(&registers);
    assert!(!irq.level());
}

/// PCIe §9.3.3: virtual functions are there while VF Enable is set, as many as NumVFs says, at First VF Offset and VF Stride from the
/// physical one; their vendor ID reads as FFFFh (§9.3.4.1.1). The 82576 has eight in QEMU.
#[testjig::test(on = RootPort, launch = |l| l.device(Device::new("igb").prop("romfile", "").bus("rp")))]
fn virtual_functions_are_there_while_enabled(port: RootPort) {
    const SR_IOV: u16 = 0x0010;
    let function = port.device();
    let sriov = function.extended_capability(SR_IOV).expect("it has SR-IOV");
    let total: u16 = sriov.read(0x0e);
    assert_eq!(total, 8);
    sriov.write::<u16>(0x10, 2);
    sriov.write::<u16>(0x08, 1);
    let (offset, stride): (u16, u16) = (sriov.read(0x14), sriov.read(0x16));
    let first = function.bdf().requester_id() + offset;
    let class = |number: u16| {
        let at = Bdf::from_requester_id(first + number * stride);
        let virtual_function = port.pci.function(at);
        assert_eq!(virtual_function.id(), (0xffff, 0xffff), "{at}");
        virtual_function.class()
    };
    assert_eq!(
        [class(0), class(1), class(2)],
        [0x02_0000, 0x02_0000, 0xff_ffff]
    );
    sriov.write::<u16>(0x08, 0);
    assert_eq!(class(0), 0xff_ffff);
}
