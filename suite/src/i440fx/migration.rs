//! Migration: another QEMU goes on where this one stopped.

use std::time::Duration;

use testjig::prelude::*;
use testjig::qos::dev::i440fx::{Attribute, I440fx, Segment, Smram};

use super::junction::Junction;
use super::start;

/// The registers travel with the machine; what they route must follow them, and so must the DRAM behind.
#[testjig::test(on = I440fx, needs(running))]
fn routing_follows_the_registers(host: I440fx, vm: &Vm, qemu: &Qemu, launch: Launch) {
    let target = start(qemu, &launch.arg("-incoming").arg("tcp:127.0.0.1:0"));
    host.set_attribute(Segment::FIRST, Attribute::ReadWrite);
    host.set_smram(Smram::new().with_enable(true).with_open(true));
    vm.writeb(Segment::FIRST.base(), 0x5a);
    vm.writeb(Smram::BASE, 0xa5);

    migrate(vm, &target);
    assert_eq!(target.readb(Segment::FIRST.base()), 0x5a);
    assert_eq!(target.readb(Smram::BASE), 0xa5);
    assert_eq!(
        I440fx::new(&target).attribute(Segment::FIRST),
        Attribute::ReadWrite
    );
    target.stop();
}

/// Memory on the bus is found again by the address of its device: domain and bus of the bridge, then slot and function.
#[testjig::test(on = Junction)]
fn memory_on_the_bus_is_named_by_its_address(vm: &Vm) {
    let blocks = vm.hmp("info ramblock");
    assert!(blocks.contains(" 0000:00:04.0/card "), "{blocks}");
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
