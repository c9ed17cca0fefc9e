use testjig_qos::dev::virtio_scsi::VirtioScsi;
use testjig_qos::pci::Pci;
use testjig_qos::virtio::MmioSlots;
use testjig_vm::{Device, Drive, Image, Launch};

use super::virtio::{decoder, first, in_mmio, in_pci, legacy, modern, modern_slots};
use crate::machines::{Microvm, Pseries, Q35};

/// Id of the drive of the graph's SCSI disk, which is logical unit 0 of target 0.
pub const VIRTIO_SCSI_DRIVE: &str = "disk";

fn with_disk(launch: Launch, plug: fn(Launch, Device) -> Launch, driver: &str) -> Launch {
    let drive = Drive::new(VIRTIO_SCSI_DRIVE, Image::zeroed(8 << 20)).discard(true);
    let launch = launch.drive(drive).global("virtio-device", "packed", "on");
    plug(launch, Device::new(driver).id("scsi")).device(
        Device::new("scsi-hd")
            .id("hd")
            .bus("scsi.0")
            .prop("scsi-id", 0)
            .prop("lun", 0)
            .prop("drive", VIRTIO_SCSI_DRIVE),
    )
}

crate::graph!(|graph| {
    graph
        .edge("virtio-scsi-pci", |q35: &Q35| {
            VirtioScsi::new(modern(&Pci::q35(q35.vm())))
        })
        .describe(decoder)
        .launch(|launch| with_disk(launch, in_pci, "virtio-scsi-pci"));
    graph
        .edge("virtio-scsi-pci-transitional", |q35: &Q35| {
            VirtioScsi::new(legacy(&Pci::q35(q35.vm())))
        })
        .describe(decoder)
        .launch(|launch| with_disk(launch, in_pci, "virtio-scsi-pci-transitional"));
    graph
        .edge("virtio-scsi-pci-transitional", |server: &Pseries| {
            VirtioScsi::new(legacy(&Pci::pseries(server.vm())))
        })
        .launch(|launch| with_disk(launch, in_pci, "virtio-scsi-pci-transitional"));
    graph
        .edge("virtio-scsi-device", |vm: &Microvm| {
            VirtioScsi::new(first(&MmioSlots::microvm(vm.vm())))
        })
        .describe(decoder)
        .launch(|launch| with_disk(modern_slots(launch), in_mmio, "virtio-scsi-device"));
});
