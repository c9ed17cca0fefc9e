//! The lists of capabilities, as a driver walks them.

use std::collections::BTreeSet;

use testjig::prelude::*;
use testjig::qos::pci::capability::id;
use testjig::qos::pci::{Capability, Pci, header};

use super::fixture::Nic;

/// PCI §6.7: the list begins at the pointer, each entry is dword-aligned, lies behind the header, and the last one's pointer is zero.
/// No driver can walk a list that loops. The pointer's two low bits are reserved.
#[testjig::test(on = Pci, launch = one_of_each)]
fn the_list_can_be_walked_to_its_end(pci: Pci) {
    for (device, name) in (4..).zip(EACH) {
        let function = pci.device(device);
        assert!(function.is_present(), "{name}");
        assert_eq!(function.read::<u8>(header::CAPABILITIES) & 0x3, 0, "{name}");
        let list = function
            .try_capabilities()
            .unwrap_or_else(|broken| panic!("{name}: {broken}"));
        assert!(!list.is_empty(), "{name}");
        for capability in &list {
            assert_ne!(capability.id(), 0, "{name}, at {:#x}", capability.offset());
            assert_eq!(capability.read::<u8>(1) & 0x3, 0, "{name}");
        }
        let mut kinds: Vec<u8> = list.iter().map(Capability::id).collect();
        kinds.retain(|&kind| kind != id::VENDOR);
        let distinct: BTreeSet<u8> = kinds.iter().copied().collect();
        assert_eq!(
            distinct.len(),
            kinds.len(),
            "{name}: only vendors' may repeat"
        );
    }
}

/// PCIe §7.9.2: the same of the extended list, which begins at 100h.
#[testjig::test(on = Pci, launch = one_of_each)]
fn the_extended_list_can_be_walked_to_its_end(pci: Pci) {
    for (device, name) in (4..).zip(EACH) {
        let list = pci
            .device(device)
            .try_extended_capabilities()
            .unwrap_or_else(|broken| panic!("{name}: {broken}"));
        for capability in &list {
            assert_eq!(capability.offset() % 4, 0, "{name}");
            assert_ne!(capability.version(), 0, "{name}: {:#x}", capability.id());
        }
    }
}

const EACH: [&str; 8] = [
    "edu",
    "e1000e",
    "igb",
    "nvme",
    "virtio-rng-pci",
    "pci-bridge",
    "qemu-xhci",
    "ich9-ahci",
];

fn one_of_each(launch: Launch) -> Launch {
    (4..).zip(EACH).fold(launch, |launch, (device, name)| {
        let device = Device::new(name).prop("addr", format!("{device:02x}.0"));
        launch.device(match name {
            "e1000e" | "igb" => device.prop("romfile", ""),
            "nvme" => device.prop("serial", "testjig"),
            "pci-bridge" => device.prop("chassis_nr", 1),
            _ => device,
        })
    })
}

/// Intel 82574 data sheet 317694, §9.1, table "PCI configuration space": power management at C8h, MSI at D0h, PCI Express at E0h, MSI-X
/// at A0h.
#[testjig::test(on = Nic)]
fn capabilities_are_where_the_data_sheet_has_them(nic: Nic) {
    let place = |kind| nic.function.capability(kind).map(|found| found.offset());
    assert_eq!(place(id::POWER_MANAGEMENT), Some(0xc8));
    assert_eq!(place(id::MSI), Some(0xd0));
    assert_eq!(place(id::EXPRESS), Some(0xe0));
    assert_eq!(place(id::MSIX), Some(0xa0));
    assert_eq!(place(id::AGP), None);
}

/// PCI §6.7: an entry's ID and pointer are read-only.
#[testjig::test(on = Nic)]
fn a_list_can_t_be_rewritten(nic: Nic) {
    let before: Vec<_> = walk(&nic);
    for capability in nic.function.capabilities() {
        capability.write::<u16>(0, 0xffff);
        capability.write::<u16>(0, 0x0000);
    }
    assert_eq!(walk(&nic), before);
}

fn walk(nic: &Nic) -> Vec<(u8, u16)> {
    let list = nic.function.capabilities();
    list.iter()
        .map(|found| (found.id(), found.offset()))
        .collect()
}
