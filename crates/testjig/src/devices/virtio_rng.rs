use testjig_qos::dev::virtio_rng::VirtioRng;
use testjig_qos::pci::Pci;
use testjig_qos::virtio::MmioSlots;
use testjig_vm::{Device, Launch, Object};

use super::virtio::{LegacySlots, decoder, first, in_mmio, in_pci, legacy, modern};

fn with_source(launch: Launch) -> Launch {
    launch
        .object(Object::new("rng-builtin", "rng"))
        .global("virtio-device", "packed", "on")
}

fn device(driver: &str) -> Device {
    Device::new(driver).prop("rng", "rng")
}

crate::graph!(|graph| {
    graph
        .edge("virtio-rng-pci", |pci: &Pci| VirtioRng::new(modern(pci)))
        .describe(decoder)
        .launch(|launch| in_pci(with_source(launch), device("virtio-rng-pci")));
    graph
        .edge("virtio-rng-pci-transitional", |pci: &Pci| {
            VirtioRng::new(legacy(pci))
        })
        .describe(decoder)
        .launch(|launch| in_pci(with_source(launch), device("virtio-rng-pci-transitional")));
    graph
        .edge("virtio-rng-device", |slots: &MmioSlots| {
            VirtioRng::new(first(slots))
        })
        .launch(|launch| in_mmio(with_source(launch), device("virtio-rng-device")));
    graph
        .edge("virtio-rng-device", |slots: &LegacySlots| {
            VirtioRng::new(first(&slots.0))
        })
        .launch(|launch| in_mmio(with_source(launch), device("virtio-rng-device")));
});
