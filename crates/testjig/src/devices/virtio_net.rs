use testjig_qos::dev::virtio_net::VirtioNet;
use testjig_qos::pci::Pci;
use testjig_qos::virtio::MmioSlots;
use testjig_vm::{Device, Launch, Netdev};

use super::virtio::{
    LegacySlots, Modern, decoder, first, in_mmio, in_pci, legacy, modern, modern_slots,
};
use crate::machines::{Microvm, Pseries, Q35};

/// Id of the backend of the graph's virtio network device: `vm.channel(VIRTIO_NET_WIRE)` is the other end of its wire, a frame a message.
pub const VIRTIO_NET_WIRE: &str = "wire";
/// Id of the device itself.
pub const VIRTIO_NET_ID: &str = "nic";
/// Its address.
pub const VIRTIO_NET_MAC: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

fn wire(launch: Launch) -> Launch {
    launch
        .netdev(Netdev::packets(VIRTIO_NET_WIRE))
        .global("virtio-device", "packed", "on")
}

fn device(driver: &str) -> Device {
    let mac = VIRTIO_NET_MAC.map(|byte| format!("{byte:02x}")).join(":");
    Device::new(driver)
        .id(VIRTIO_NET_ID)
        .prop("netdev", VIRTIO_NET_WIRE)
        .prop("mac", mac)
}

fn pci(launch: Launch) -> Launch {
    // No ROM: nobody boots from it, and not every package brings it.
    in_pci(wire(launch), device("virtio-net-pci").prop("romfile", ""))
}

fn pci_legacy(launch: Launch) -> Launch {
    let device = device("virtio-net-pci-transitional").prop("romfile", "");
    in_pci(wire(launch), device)
}

fn mmio(launch: Launch) -> Launch {
    in_mmio(wire(launch), device("virtio-net-device"))
}

crate::graph!(|graph| {
    // Everywhere.
    graph
        .edge("virtio-net-pci", |pci: &Pci| VirtioNet::new(modern(pci)))
        .describe(decoder)
        .launch(pci);
    graph
        .edge("virtio-net-pci-transitional", |pci: &Pci| {
            VirtioNet::new(legacy(pci))
        })
        .describe(decoder)
        .launch(pci_legacy);
    graph
        .edge("virtio-net-device", |slots: &MmioSlots| {
            VirtioNet::new(first(slots))
        })
        .launch(mmio);
    graph
        .edge("virtio-net-device", |slots: &LegacySlots| {
            VirtioNet::new(first(&slots.0))
        })
        .launch(mmio);

    // Where one of each kind will do.
    graph
        .edge("virtio-net-pci", |q35: &Q35| {
            Modern(VirtioNet::new(modern(&Pci::q35(q35.vm()))))
        })
        .describe(decoder)
        .launch(pci);
    graph
        .edge("virtio-net-pci", |server: &Pseries| {
            Modern(VirtioNet::new(modern(&Pci::pseries(server.vm()))))
        })
        .launch(pci);
    graph
        .edge("virtio-net-device", |vm: &Microvm| {
            Modern(VirtioNet::new(first(&MmioSlots::microvm(vm.vm()))))
        })
        .describe(decoder)
        .launch(|launch| mmio(modern_slots(launch)));
});
