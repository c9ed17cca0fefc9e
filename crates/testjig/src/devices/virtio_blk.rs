use testjig_qos::dev::virtio_blk::VirtioBlk;
use testjig_qos::pci::Pci;
use testjig_qos::virtio::MmioSlots;
use testjig_vm::{Device, Drive, Image, Launch};

use super::virtio::{
    LegacySlots, Modern, OnPci, decoder, first, in_mmio, in_pci, legacy, modern, modern_slots,
};
use crate::machines::{ArmVirt, Microvm, Pc, Pseries, Q35};

/// Id of the drive of the graph's virtio block devices.
pub const VIRTIO_BLK_DRIVE: &str = "disk";
/// Id of the device itself.
pub const VIRTIO_BLK_ID: &str = "blk";
/// Bytes of that drive: no power of two, so that what is rounded shows.
pub const VIRTIO_BLK_SIZE: u64 = (64 << 20) + 3 * 4096;

fn disk(launch: Launch) -> Launch {
    let image = Image::zeroed(VIRTIO_BLK_SIZE);
    let drive = Drive::new(VIRTIO_BLK_DRIVE, image).discard(true);
    // Offered only when asked for; the driver says which of the two it wants.
    launch.drive(drive).global("virtio-device", "packed", "on")
}

fn device(driver: &str) -> Device {
    Device::new(driver)
        .id(VIRTIO_BLK_ID)
        .prop("drive", VIRTIO_BLK_DRIVE)
}

fn pci(launch: Launch) -> Launch {
    in_pci(disk(launch), device("virtio-blk-pci"))
}

fn pci_legacy(launch: Launch) -> Launch {
    in_pci(disk(launch), device("virtio-blk-pci-transitional"))
}

fn mmio(launch: Launch) -> Launch {
    in_mmio(disk(launch), device("virtio-blk-device"))
}

crate::graph!(|graph| {
    // Everywhere.
    graph
        .edge("virtio-blk-pci", |pci: &Pci| VirtioBlk::new(modern(pci)))
        .describe(decoder)
        .launch(pci);
    graph
        .edge("virtio-blk-pci-transitional", |pci: &Pci| {
            VirtioBlk::new(legacy(pci))
        })
        .describe(decoder)
        .launch(pci_legacy);
    graph
        .edge("virtio-blk-device", |slots: &MmioSlots| {
            VirtioBlk::new(first(slots))
        })
        .launch(mmio);
    graph
        .edge("virtio-blk-device", |slots: &LegacySlots| {
            VirtioBlk::new(first(&slots.0))
        })
        .launch(mmio);

    // Where one of each kind will do.
    graph
        .edge("virtio-blk-pci", |q35: &Q35| {
            Modern(VirtioBlk::new(modern(&Pci::q35(q35.vm()))))
        })
        .describe(decoder)
        .launch(pci);
    graph
        .edge("virtio-blk-pci", |pc: &Pc| {
            Modern(VirtioBlk::new(modern(&Pci::pc(pc.vm()))))
        })
        .launch(pci);
    graph
        .edge("virtio-blk-pci", |server: &Pseries| {
            Modern(VirtioBlk::new(modern(&Pci::pseries(server.vm()))))
        })
        .launch(pci);
    graph
        .edge("virtio-blk-device", |vm: &Microvm| {
            Modern(VirtioBlk::new(first(&MmioSlots::microvm(vm.vm()))))
        })
        .describe(decoder)
        .launch(|launch| mmio(modern_slots(launch)));

    graph
        .edge("virtio-blk-pci", |q35: &Q35| {
            OnPci(VirtioBlk::new(modern(&Pci::q35(q35.vm()))))
        })
        .describe(decoder)
        .launch(pci);
    graph
        .edge("virtio-blk-pci", |pc: &Pc| {
            OnPci(VirtioBlk::new(modern(&Pci::pc(pc.vm()))))
        })
        .launch(pci);
    graph
        .edge("virtio-blk-pci", |virt: &ArmVirt| {
            OnPci(VirtioBlk::new(modern(&Pci::arm_virt(virt.vm()))))
        })
        .describe(decoder)
        .launch(pci);
});
