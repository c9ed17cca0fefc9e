//! The device tests that ship with testjig, one file a device.

mod fw_cfg;
mod hd_geo;
mod i440fx;
mod ide;
mod pci;
mod rtc;
