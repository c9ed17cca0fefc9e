//! QEMU's firmware configuration device (fw_cfg).
//!
//! A test on [`FwCfg`](testjig::qos::dev::fw_cfg::FwCfg) is about the device wherever it is; one on [`PcFwCfg`](pc::PcFwCfg) about its
//! ports, or about what only PCs keep in it.
//!
//! Names in brackets are headings of its specification, <https://www.qemu.org/docs/master/specs/fw_cfg.html>; items that it leaves to
//! "the QEMU source for the most up-to-date and authoritative list" are held to what QEMU 7.2 to 11.1 show.
//!
//! Where QEMU does not do what the specification says, there is no test yet:
//!
//! | specification | QEMU 10.0 and 11.1 |
//! |---|---|
//! | \[Guest-side DMA Interface\] a write that fails is dropped | one from memory that is not there leaves zeroes in the item |
//! | \[Selector\] bytes read at the selector's port mean nothing | are bytes of the item, as at the data port |
//! | \[Guest-side DMA Interface\] the address register is 0 at startup | its upper half survives a reset of the machine |

mod acpi;
mod boards;
mod boot;
mod data;
mod dma;
mod dma_address;
mod dma_errors;
mod files;
mod host_file;
mod items;
mod kernel;
mod legacy;
mod lifetime;
mod microvm;
mod migration;
mod mmio;
mod options;
mod pc;
mod slots;
mod starting;
mod writable;

pub(crate) use pc::PcFwCfg;
