//! What is found on the buses of a machine, and what comes and goes while it runs.

use testjig::machines::Pseries;
use testjig::prelude::*;
use testjig::qmp::commands::DeviceAdd;
use testjig::qos::pci::{Bdf, Function, Pci, header};
use testjig::vm::LaunchOptions;

use super::fixture::{Edu, Nic, SLOT, TestDev, edu, nic, testdev};

/// PCI §6.1: a function that is there answers with its vendor ID.
#[testjig::test(on = TestDev)]
fn a_device_is_found_where_it_was_plugged_in(device: TestDev, pci: &Pci) {
    let found = pci.find_id(0x1b36, 0x0005).expect("it is plugged in");
    assert_eq!(found.bdf(), Bdf::new(0, SLOT, 0));
    assert_eq!(device.0.bdf(), found.bdf());
}

/// PCI §6.1: reads of a function that does not exist are all ones, writes are dropped.
#[testjig::test(on = TestDev)]
fn nothing_answers_where_nothing_is(device: TestDev, pci: &Pci) {
    let before = device.0.bytes();
    for (bus, number, function) in [(0, SLOT, 1), (0, 30, 0), (1, 0, 0), (1, SLOT, 0)] {
        let absent = pci.function(Bdf::new(bus, number, function));
        for offset in (0..256).step_by(4) {
            absent.write::<u32>(offset, 0x1234_5678);
        }
        assert_eq!(absent.bytes(), [0xff; 256], "{}", absent.bdf());
        assert_eq!(absent.read::<u8>(header::REVISION_ID), 0xff);
    }
    assert_eq!(device.0.bytes(), before);
}

/// PCI §6.2.1: bit 7 of the header type is set if the device has several functions.
#[testjig::test(on = Pci, launch = two_functions)]
fn a_device_of_two_functions_says_so_and_shows_both(pci: Pci) {
    let first = pci.device(SLOT);
    let second = pci.function(Bdf::new(0, SLOT, 1));
    assert!(first.is_multi_function());
    assert_eq!([first.id(), second.id()], [(0x1b36, 0x0005), Edu::ID]);
    assert_eq!(
        pci.find_id(Edu::ID.0, Edu::ID.1).unwrap().bdf(),
        second.bdf()
    );
}

/// As above, of a device that has one.
#[testjig::test(on = TestDev)]
fn a_device_of_one_function_says_so(device: TestDev) {
    assert!(!device.0.is_multi_function());
}

/// PCI §3.2.2.3.4: each function has registers of its own.
#[testjig::test(on = Pci, launch = two_functions)]
fn functions_of_a_device_have_registers_of_their_own(pci: Pci) {
    let (first, second) = (pci.device(SLOT), pci.function(Bdf::new(0, SLOT, 1)));
    first.write::<u8>(header::INTERRUPT_LINE, 0x11);
    second.write::<u8>(header::INTERRUPT_LINE, 0x22);
    assert_eq!(first.read::<u8>(header::INTERRUPT_LINE), 0x11);
    assert_eq!(second.read::<u8>(header::INTERRUPT_LINE), 0x22);
}

fn two_functions(launch: Launch) -> Launch {
    launch
        .device(testdev().prop("addr", "04.0").prop("multifunction", "on"))
        .device(edu().prop("addr", "04.1"))
}

/// PCI §6.2.1: what looks for function 0 only never finds a second one; QEMU refuses to make such a device.
#[testjig::test(on = Pci)]
fn a_second_function_of_a_device_that_has_one_is_refused(qemu: &Qemu, launch: Launch) {
    let launch = launch
        .device(testdev().prop("addr", "04.0"))
        .device(edu().prop("addr", "04.1"));
    assert_refused(qemu, &launch, "single function");
}

/// Two devices can't be in one place.
#[testjig::test(on = Pci)]
fn a_place_that_is_taken_is_refused(qemu: &Qemu, launch: Launch) {
    let launch = launch
        .device(testdev().prop("addr", "04.0"))
        .device(edu().prop("addr", "04.0"));
    assert_refused(qemu, &launch, "by pci-testdev");
}

/// PCI §3.2.2.3.4: a bus has devices 0 to 31, a device functions 0 to 7.
#[testjig::test(on = Pci)]
fn a_place_that_does_not_exist_is_refused(qemu: &Qemu, launch: Launch) {
    for addr in ["32", "04.8", "x"] {
        let launch = launch.clone().device(testdev().prop("addr", addr));
        assert_refused(qemu, &launch, "addr");
    }
}

#[track_caller]
fn assert_refused(qemu: &Qemu, launch: &Launch, why: &str) {
    let error = qemu
        .launch(launch, &LaunchOptions::default())
        .expect_err("it can't be made");
    assert!(error.stderr().contains(why), "{}", error.stderr());
}

/// PCI §6.2.1: the class code says what a function is.
#[testjig::test(on = Pci, launch = |l| l.device(nic().prop("addr", "04.0")))]
fn a_device_is_found_by_its_class(pci: Pci) {
    let network = pci.of_class(0x0200);
    assert_eq!(network.len(), 1);
    assert_eq!(network[0].id(), Nic::ID);
}

/// The root bus of a machine that takes devices there while it runs; `pcie.0` does not, its ports do.
struct HotPlug(Pci);

testjig::graph!(|graph| {
    graph.edge("pci.0", |pc: &Pc| HotPlug(Pci::pc(pc.vm())));
    graph.edge("pci.0", |server: &Pseries| {
        HotPlug(Pci::pseries(server.vm()))
    });
});

/// A device that is plugged in while the machine runs is there at once, without addresses, and works.
#[testjig::test(on = HotPlug)]
fn a_device_that_is_plugged_in_while_the_machine_runs_works(bus: HotPlug, vm: &Vm) {
    let late = bus.0.device(9);
    assert!(!late.is_present());
    vm.qmp(DeviceAdd::new("edu").id("late").prop("addr", "09.0"));
    assert_eq!(late.id(), Edu::ID);
    assert_eq!(late.read::<u32>(header::BAR0), 0);
    assert!(Edu::answers(&late.iomap(0)));
}

/// A device of several functions is plugged in function 0 last: software looks at function 0 first (PCI §6.2.1), and finds all then.
#[testjig::test(on = HotPlug)]
fn function_0_is_plugged_in_last(bus: HotPlug, vm: &Vm) {
    let add = |id: &str, addr: &str| DeviceAdd::new("edu").id(id).prop("addr", addr);
    vm.qmp(add("second", "09.1"));
    vm.qmp(add("first", "09.0").prop("multifunction", true));
    let found: Vec<Bdf> = bus.0.functions_on(0).iter().map(Function::bdf).collect();
    assert!(
        found.contains(&Bdf::new(0, 9, 0)) && found.contains(&Bdf::new(0, 9, 1)),
        "{found:?}"
    );
    let late = vm
        .try_qmp(&add("third", "09.2"))
        .expect_err("function 0 is there");
    assert!(
        late.to_string().contains("function 0 already occupied"),
        "{late}"
    );
}
