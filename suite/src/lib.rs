//! The device tests that ship with testjig, one file a device.

mod ahci;
mod atapi;
mod floppy;
mod fw_cfg;
mod hd_geo;
mod i440fx;
mod i8042;
mod ide;
mod m48t59;
mod pci;
mod post;
mod regressions;
mod riscv_csr;
mod rtas;
mod rtc;
mod uart;
mod virtio_9p;
mod virtio_balloon;
mod virtio_blk;
mod virtio_ccw;
mod virtio_mmio;
mod virtio_net;
mod virtio_rng;
mod virtio_scsi;
mod virtio_serial;
