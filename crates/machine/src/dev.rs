//! The devices, one a file, each named by its data sheet.
//!
//! None shares a register's definition with the driver that tests it: a bit that both took from one place would be wrong in both, and
//! no test could tell.

pub(crate) mod ata;
pub(crate) mod dma;
pub(crate) mod fw_cfg;
pub(crate) mod i440fx;
pub(crate) mod i8042;
pub(crate) mod i82078;
pub(crate) mod ioapic;
pub(crate) mod ivshmem;
pub(crate) mod mc146818;
pub(crate) mod pc16550d;
pub(crate) mod pci_hotplug;
pub(crate) mod pic;
pub(crate) mod piix3;
pub(crate) mod piix3_ide;
pub(crate) mod piix4_pm;
pub(crate) mod pit;
pub(crate) mod planted;
pub(crate) mod rom;
pub(crate) mod testdev;
pub(crate) mod virtio;
