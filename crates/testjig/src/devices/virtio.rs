//! Rows of virtio-mmio slots, and which interface a virtio device is driven by.

use std::ops::Deref;

use testjig_qos::describe::Describe;
use testjig_qos::pci::Pci;
use testjig_qos::virtio::{Decoder, MmioSlots, PciTransport, Virtio};
use testjig_vm::{Device, Launch};

use crate::machines::{ArmVirt, Microvm, RiscvVirt};

/// The interface of the specification, on one machine a transport: PCI on `q35` and `pseries`, MMIO on `microvm`; the block device on `pc`
/// too, which the embedded machine is. For tests of a device which do not depend on where it sits.
#[derive(Clone, Debug)]
pub struct Modern<D>(pub D);

/// The interface of the specification over PCI, where messages reach memory: on `pc`, `q35` and Arm's `virt`, as devices have it.
#[derive(Clone, Debug)]
pub struct OnPci<D>(pub D);

/// A row of virtio-mmio slots with the interface from before the specification.
#[derive(Clone, Debug)]
pub struct LegacySlots(pub MmioSlots);

impl<D> Deref for Modern<D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.0
    }
}

impl<D> Deref for OnPci<D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.0
    }
}

/// The PCI slot that virtio devices of the graph are plugged into.
pub const VIRTIO_PCI_SLOT: u8 = 4;

/// Plugs a virtio device into the PCI slot of the graph's.
pub(super) fn in_pci(launch: Launch, device: Device) -> Launch {
    launch.device(device.prop("addr", format!("{VIRTIO_PCI_SLOT:02x}.0")))
}

/// Plugs a virtio device into the first slot of the row.
pub(super) fn in_mmio(launch: Launch, device: Device) -> Launch {
    launch.device(device.bus("virtio-mmio-bus.0"))
}

/// The device in the PCI slot, by its modern interface.
#[track_caller]
pub(super) fn modern(pci: &Pci) -> Virtio {
    Virtio::new(PciTransport::modern(&pci.device(VIRTIO_PCI_SLOT)))
}

/// The device in the PCI slot, by its legacy interface.
#[track_caller]
pub(super) fn legacy(pci: &Pci) -> Virtio {
    Virtio::new(PciTransport::legacy(&pci.device(VIRTIO_PCI_SLOT)))
}

/// The device in the first slot of the row.
#[track_caller]
pub(super) fn first(slots: &MmioSlots) -> Virtio {
    Virtio::new(slots.slot(0))
}

fn slots(launch: Launch, legacy: bool) -> Launch {
    launch.global("virtio-mmio", "force-legacy", legacy)
}

/// Slots of `microvm` with the interface of the specification.
pub(super) fn modern_slots(launch: Launch) -> Launch {
    slots(launch, false)
}

/// Fresh decoder of a virtio device, wherever it is.
pub(super) fn decoder() -> Box<dyn Describe> {
    Box::new(Decoder::default())
}

crate::graph!(|graph| {
    graph
        .edge("virtio-mmio", |virt: &ArmVirt| {
            MmioSlots::arm_virt(virt.vm())
        })
        .describe(decoder)
        .launch(modern_slots);
    graph
        .edge("virtio-mmio", |virt: &RiscvVirt| {
            MmioSlots::riscv_virt(virt.vm())
        })
        .describe(decoder)
        .launch(modern_slots);
    graph
        .edge("virtio-mmio", |vm: &Microvm| MmioSlots::microvm(vm.vm()))
        .describe(decoder)
        .launch(modern_slots);
    graph
        .edge("virtio-mmio-legacy", |virt: &ArmVirt| {
            LegacySlots(MmioSlots::arm_virt(virt.vm()))
        })
        .describe(decoder)
        .launch(|launch| slots(launch, true));
    graph
        .edge("virtio-mmio-legacy", |vm: &Microvm| {
            LegacySlots(MmioSlots::microvm(vm.vm()))
        })
        .describe(decoder)
        .launch(|launch| slots(launch, true));
});
