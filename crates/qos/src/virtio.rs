//! Virtio: transports, negotiation, virtqueues.
//!
//! [`Virtio`] is a device behind a [`Transport`]; [`Virtqueue`] takes requests for it, whether its ring is split or packed. Rings are in
//! guest memory, so setting one up or adding a request to it costs no round trip.
//!
//! | transport | where |
//! |---|---|
//! | [`MmioTransport`], legacy and modern | [`MmioSlots`] of Arm's and RISC-V's `virt` and x86's `microvm` |
//! | [`PciTransport`], legacy and modern | any [`Pci`](crate::pci::Pci) |
//!
//! # Channel I/O is out of reach
//!
//! On s390x virtio devices sit behind channel I/O (§4.3). A driver commands a subchannel by instructions: START SUBCHANNEL, TEST
//! SUBCHANNEL and their relatives (*z/Architecture Principles of Operation*, chapter 14). They name the subchannel in a general register
//! of the processor that executes them; no address in memory and no port stands for it, and `info mtree` of QEMU's `s390-ccw-virtio`
//! shows nothing but RAM. The qtest protocol has no processor: it reads and writes memory and ports, and its only hypercalls are `rtas`
//! and `csr`, of other architectures. So a channel program can be laid into memory, and nothing can start it. What the monitor tells of
//! such devices is tested in the suite's `virtio_ccw`.
//!
//! Source: *Virtual I/O Device (VIRTIO) Version 1.2*, OASIS Committee Specification 01, 2022; sections are cited by number.

mod decode;
mod device;
mod features;
mod mmio;
mod order;
mod packed;
pub mod pci;
mod queue;
mod segment;
mod split;
mod status;
mod transport;

pub use self::decode::Decoder;
pub use self::device::Virtio;
pub use self::features::Features;
pub use self::mmio::{
    CONFIG as MMIO_CONFIG, LEGACY_PAGE, MAGIC, MmioReg, MmioSlots, MmioTransport, NO_REGION,
};
pub use self::order::Order;
pub use self::pci::PciTransport;
pub use self::queue::{Layout, RawQueue, RawSplit, Used, Virtqueue};
pub use self::segment::{DESC_LEN, Desc, DescFlags, Segment};
pub use self::status::{Isr, Status};
pub use self::transport::{ConfigWidth, Rings, Transport};
