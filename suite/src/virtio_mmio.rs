//! Tests of virtio-mmio slots: the registers that say what is there. Sections are of Virtio 1.2.

use testjig::devices::LegacySlots;
use testjig::qos::virtio::{MAGIC, MmioReg, MmioSlots, Transport};

/// [4.2.2] Every slot says that it is one, and of which version.
#[testjig::test(on = MmioSlots)]
fn every_slot_is_of_version_2(slots: MmioSlots) {
    for slot in 0..slots.count() {
        let transport = slots.slot(slot);
        assert_eq!(transport.read(MmioReg::MagicValue), MAGIC, "slot {slot}");
        assert_eq!(transport.read(MmioReg::Version), 2, "slot {slot}");
        assert!(!transport.is_legacy());
    }
}

/// [4.2.4] The interface from before the specification is version 1.
#[testjig::test(on = LegacySlots)]
fn every_legacy_slot_is_of_version_1(slots: LegacySlots) {
    for slot in 0..slots.0.count() {
        let transport = slots.0.slot(slot);
        assert_eq!(transport.read(MmioReg::Version), 1, "slot {slot}");
        assert!(transport.is_legacy());
    }
}

/// [4.2.3.1.1] "If the Device ID is zero … the device is … to be ignored": so is a slot that nothing is plugged into.
#[testjig::test(on = MmioSlots)]
fn an_empty_slot_has_no_device(slots: MmioSlots) {
    let transport = slots.slot(0);
    assert_eq!(transport.device_id(), 0);
    assert_eq!(slots.find(2).map(|found| found.device_id()), None);
    // Nothing that is written to it matters.
    transport.write(MmioReg::Status, 0xf);
    transport.write(MmioReg::QueueReady, 1);
    assert_eq!(transport.read(MmioReg::Status), 0);
    assert_eq!(transport.read(MmioReg::QueueNumMax), 0);
}
