//! Where the drivers of [`testjig_qos::dev`] sit in the graph, one file a driver.
//!
//! `testjig-qos` knows devices and not tests; this is the layer that says on which machines and buses they are found. A crate with a
//! device of its own does the same with [`crate::graph!`].
#![expect(
    unsafe_code,
    reason = "registration places statics in a section of their own; crates that use the macro are not asked"
)]

mod acpi_pci_hotplug;
mod ahci;
mod ata;
mod clocks;
mod fw_cfg;
mod hypercalls;
mod i2c;
mod i440fx;
mod i8042;
mod i82078;
mod m48t59;
mod mc146818;
mod pc16550d;
mod pci;
mod virtio;
mod virtio_9p;
mod virtio_balloon;
mod virtio_blk;
mod virtio_net;
mod virtio_rng;
mod virtio_scsi;
mod virtio_serial;

pub use fw_cfg::ARM_VIRT_FW_CFG;
pub use m48t59::SPARC_SS5_M48T08;
pub use pc16550d::PC16550D_WIRE;
pub use virtio::{LegacySlots, Modern, OnPci, VIRTIO_PCI_SLOT};
pub use virtio_9p::VIRTIO_9P_TAG;
pub use virtio_balloon::VIRTIO_BALLOON_ID;
pub use virtio_blk::{VIRTIO_BLK_DRIVE, VIRTIO_BLK_ID, VIRTIO_BLK_SIZE};
pub use virtio_net::{VIRTIO_NET_ID, VIRTIO_NET_MAC, VIRTIO_NET_WIRE};
pub use virtio_scsi::VIRTIO_SCSI_DRIVE;
pub use virtio_serial::{
    VIRTIO_SERIAL_CHARDEVS, VIRTIO_SERIAL_ID, VIRTIO_SERIAL_MAX_PORTS, VIRTIO_SERIAL_NAME,
};
