//! What the monitor says of the buses is what configuration space says.

use serde_json::{Value, json};
use testjig::prelude::*;
use testjig::qos::pci::{Pci, header};

use super::fixture::Edu;

/// The entry of one device of bus 0 in the answer to `query-pci`.
#[track_caller]
fn entry(vm: &Vm, slot: u64) -> Value {
    let buses = vm.qmp_raw("query-pci", Value::Null);
    let devices = buses[0]["devices"].as_array().expect("a list").clone();
    let is_it = |device: &Value| device["slot"] == slot && device["function"] == 0;
    devices.into_iter().find(is_it).expect("it is on bus 0")
}

/// `query-pci`: identity, class, interrupt, and the addresses that base address registers were given; −1 before.
#[testjig::test(on = Edu)]
fn a_device_is_described_as_it_is(edu: Edu, vm: &Vm) {
    let before = entry(vm, 4);
    assert_eq!(before["regions"][0]["address"], json!(-1));
    let registers = edu.map();
    edu.function.write::<u8>(header::INTERRUPT_LINE, 0x0b);
    let device = entry(vm, 4);
    assert_eq!(device["id"]["vendor"], json!(Edu::ID.0));
    assert_eq!(device["id"]["device"], json!(Edu::ID.1));
    assert_eq!(
        device["class_info"]["class"],
        json!(edu.function.class() >> 8)
    );
    assert_eq!(
        (&device["irq"], &device["irq_pin"]),
        (&json!(0x0b), &json!(1))
    );
    let region = &device["regions"][0];
    assert_eq!(region["address"], json!(registers.address()));
    assert_eq!(region["size"], json!(registers.size()));
    assert_eq!(region["type"], json!("memory"));
    let listed = vm.hmp("info pci");
    assert!(listed.contains("PCI device 1234:11e8"), "{listed}");
}

/// `query-pci`: a bridge's bus numbers and windows, and what is behind it.
#[testjig::test(on = Pci, launch = with_bridge)]
fn a_bridge_is_described_with_what_is_behind_it(pci: Pci, vm: &Vm) {
    pci.enumerate();
    let bridge = pci.device(4).as_bridge().expect("a bridge");
    let described = entry(vm, 4)["pci_bridge"].clone();
    let bus = &described["bus"];
    assert_eq!(bus["number"], json!(bridge.primary()));
    assert_eq!(bus["secondary"], json!(bridge.secondary()));
    assert_eq!(bus["subordinate"], json!(bridge.subordinate()));
    let window = |range: std::ops::Range<u64>| json!({"base": range.start, "limit": range.end - 1});
    assert_eq!(bus["io_range"], window(bridge.io()));
    assert_eq!(bus["memory_range"], window(bridge.memory()));
    assert_eq!(bus["prefetchable_range"], window(bridge.prefetchable()));
    assert_eq!(described["devices"][0]["id"]["device"], json!(Edu::ID.1));
    let listed = vm.hmp("info pci");
    assert!(listed.contains("secondary bus 1."), "{listed}");
}

fn with_bridge(launch: Launch) -> Launch {
    let bridge = Device::new("pci-bridge").id("b1").prop("chassis_nr", 1);
    let edu = super::fixture::edu().bus("b1").prop("addr", "02.0");
    launch.device(bridge.prop("addr", "04.0")).device(edu)
}
