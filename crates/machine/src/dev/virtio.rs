//! Virtio devices (OASIS *Virtual I/O Device (VIRTIO) Version 1.2*): the virtqueue as the device sees it, the PCI transport, and what a
//! kind of device adds to them.

pub(crate) mod blk;
mod pci;
mod queue;

pub(crate) use pci::{Interfaces, VirtioPci};
pub(crate) use queue::{Broken, Chain};

use crate::ram::Ram;

/// §6: features of every device.
pub(crate) mod feature {
    /// Descriptors may be cut as the driver likes; what the legacy interface needs to be told.
    pub(crate) const ANY_LAYOUT: u64 = 1 << 27;
    pub(crate) const INDIRECT_DESC: u64 = 1 << 28;
    pub(crate) const EVENT_IDX: u64 = 1 << 29;
    pub(crate) const VERSION_1: u64 = 1 << 32;
    pub(crate) const RING_PACKED: u64 = 1 << 34;
}

/// A kind of device. It is asked for one buffer at a time, and answers at once.
pub(crate) trait VirtioDevice: Send + 'static {
    /// What QEMU calls it on PCI.
    const NAME: &str;
    /// §5, its number among the types of devices.
    const TYPE: u16;
    /// §4.1.2.1, the device number of its transitional form.
    const TRANSITIONAL_ID: u16;
    /// Base class, subclass and programming interface.
    const CLASS: u32;

    /// The features of its kind that it offers.
    fn features(&self) -> u64;

    /// The driver has chosen from them.
    fn negotiated(&mut self, features: u64);

    /// How many virtqueues it has.
    fn queues(&self) -> u16;

    /// The most descriptors of each, a power of two.
    fn queue_size(&self) -> u16;

    /// Its configuration, as long as it is.
    fn config(&self) -> Vec<u8>;

    /// The driver writes to its configuration.
    fn write_config(&mut self, offset: usize, data: &[u8]);

    /// Does what a buffer asks for. Answers how many bytes were written, from the first writable one on without a gap.
    ///
    /// # Errors
    ///
    /// The buffer is none that a driver may make: the device needs a reset.
    fn serve(&mut self, ram: &Ram, chain: &Chain) -> Result<u32, Broken>;

    /// §2.4.
    fn reset(&mut self);
}

/// A little-endian number.
fn number(data: &[u8]) -> u64 {
    data.iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}
