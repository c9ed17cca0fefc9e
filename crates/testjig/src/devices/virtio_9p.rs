use testjig_qos::dev::virtio_9p::Virtio9p;
use testjig_qos::pci::Pci;
use testjig_qos::virtio::MmioSlots;
use testjig_vm::{Device, Launch};

use super::virtio::{
    LegacySlots, Modern, decoder, first, in_mmio, in_pci, legacy, modern, modern_slots,
};
use crate::machines::{Microvm, Pseries, Q35};

/// What the file system of the graph's virtio 9P device is called.
pub const VIRTIO_9P_TAG: &str = "testjig-files";

/// A file system that QEMU makes up: the host has no part in it, and nothing of it is left. With the qtest accelerator it has files for
/// tests.
fn plugged(launch: Launch, plug: fn(Launch, Device) -> Launch, driver: &str) -> Launch {
    let launch = launch.global("virtio-device", "packed", "on");
    let device = Device::new(driver)
        .prop("fsdev", "files")
        .prop("mount_tag", VIRTIO_9P_TAG);
    plug(launch.arg("-fsdev").arg("synth,id=files"), device)
}

fn pci(launch: Launch) -> Launch {
    plugged(launch, in_pci, "virtio-9p-pci")
}

fn pci_legacy(launch: Launch) -> Launch {
    plugged(launch, in_pci, "virtio-9p-pci-transitional")
}

fn mmio(launch: Launch) -> Launch {
    plugged(launch, in_mmio, "virtio-9p-device")
}

crate::graph!(|graph| {
    // Everywhere.
    graph
        .edge("virtio-9p-pci", |pci: &Pci| Virtio9p::new(modern(pci)))
        .describe(decoder)
        .launch(pci);
    graph
        .edge("virtio-9p-pci-transitional", |pci: &Pci| {
            Virtio9p::new(legacy(pci))
        })
        .describe(decoder)
        .launch(pci_legacy);
    graph
        .edge("virtio-9p-device", |slots: &MmioSlots| {
            Virtio9p::new(first(slots))
        })
        .launch(mmio);
    graph
        .edge("virtio-9p-device", |slots: &LegacySlots| {
            Virtio9p::new(first(&slots.0))
        })
        .launch(mmio);

    // Where one of each kind will do.
    graph
        .edge("virtio-9p-pci", |q35: &Q35| {
            Modern(Virtio9p::new(modern(&Pci::q35(q35.vm()))))
        })
        .describe(decoder)
        .launch(pci);
    graph
        .edge("virtio-9p-pci", |server: &Pseries| {
            Modern(Virtio9p::new(modern(&Pci::pseries(server.vm()))))
        })
        .launch(pci);
    graph
        .edge("virtio-9p-device", |vm: &Microvm| {
            Modern(Virtio9p::new(first(&MmioSlots::microvm(vm.vm()))))
        })
        .describe(decoder)
        .launch(|launch| mmio(modern_slots(launch)));
});
