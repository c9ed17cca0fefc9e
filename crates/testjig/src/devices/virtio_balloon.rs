use testjig_qos::dev::virtio_balloon::VirtioBalloon;
use testjig_qos::pci::Pci;
use testjig_qos::virtio::MmioSlots;
use testjig_vm::{Device, Launch};

use super::virtio::{
    LegacySlots, Modern, decoder, first, in_mmio, in_pci, legacy, modern, modern_slots,
};
use crate::machines::{Microvm, Pseries, Q35};

/// Id of the graph's virtio balloon device.
pub const VIRTIO_BALLOON_ID: &str = "balloon";

fn features(launch: Launch) -> Launch {
    launch.global("virtio-device", "packed", "on")
}

/// A device without hints of free pages, for which it needs a thread of its own.
fn device(driver: &str) -> Device {
    Device::new(driver)
        .id(VIRTIO_BALLOON_ID)
        .prop("deflate-on-oom", "on")
}

fn pci(launch: Launch) -> Launch {
    in_pci(features(launch), device("virtio-balloon-pci"))
}

fn pci_legacy(launch: Launch) -> Launch {
    let device = device("virtio-balloon-pci-transitional");
    in_pci(features(launch), device)
}

fn mmio(launch: Launch) -> Launch {
    in_mmio(features(launch), device("virtio-balloon-device"))
}

crate::graph!(|graph| {
    // Everywhere.
    graph
        .edge("virtio-balloon-pci", |pci: &Pci| {
            VirtioBalloon::new(modern(pci))
        })
        .describe(decoder)
        .launch(pci);
    graph
        .edge("virtio-balloon-pci-transitional", |pci: &Pci| {
            VirtioBalloon::new(legacy(pci))
        })
        .describe(decoder)
        .launch(pci_legacy);
    graph
        .edge("virtio-balloon-device", |slots: &MmioSlots| {
            VirtioBalloon::new(first(slots))
        })
        .launch(mmio);
    graph
        .edge("virtio-balloon-device", |slots: &LegacySlots| {
            VirtioBalloon::new(first(&slots.0))
        })
        .launch(mmio);

    // Where one of each kind will do.
    graph
        .edge("virtio-balloon-pci", |q35: &Q35| {
            Modern(VirtioBalloon::new(modern(&Pci::q35(q35.vm()))))
        })
        .describe(decoder)
        .launch(pci);
    graph
        .edge("virtio-balloon-pci", |server: &Pseries| {
            Modern(VirtioBalloon::new(modern(&Pci::pseries(server.vm()))))
        })
        .launch(pci);
    graph
        .edge("virtio-balloon-device", |vm: &Microvm| {
            Modern(VirtioBalloon::new(first(&MmioSlots::microvm(vm.vm()))))
        })
        .describe(decoder)
        .launch(|launch| mmio(modern_slots(launch)));
});
