//! Device drivers, one module a device, named as its data sheet names it.

pub mod acpi_pci_hotplug;
pub mod ahci;
pub mod ata;
pub mod atapi;
pub mod ds1338;
pub mod fw_cfg;
pub mod goldfish_rtc;
pub mod i440fx;
pub mod i8042;
pub mod i82078;
pub mod i8237;
pub mod ioapic;
pub mod m48t59;
pub mod mc146818;
pub mod pc16550d;
pub mod piix_ide;
pub mod pl031;
pub mod virtio_9p;
pub mod virtio_balloon;
pub mod virtio_blk;
pub mod virtio_net;
pub mod virtio_rng;
pub mod virtio_scsi;
pub mod virtio_serial;
