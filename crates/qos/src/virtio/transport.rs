//! [`Transport`]: how a device's registers are reached.

use std::fmt;

use testjig_vm::{Pin, Vm};

use super::{Features, Isr, PciTransport, Status};

/// Where a virtqueue's parts are in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rings {
    /// Number of descriptors.
    pub size: u16,
    /// Descriptor area: descriptor table, or packed descriptor ring.
    pub desc: u64,
    /// Driver area: available ring, or driver event suppression.
    pub driver: u64,
    /// Device area: used ring, or device event suppression.
    pub device: u64,
}

/// Width of an access to configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigWidth {
    /// 8 bits.
    B,
    /// 16 bits.
    W,
    /// 32 bits.
    L,
}

impl ConfigWidth {
    /// Bytes of it.
    pub fn bytes(self) -> u32 {
        match self {
            Self::B => 1,
            Self::W => 2,
            Self::L => 4,
        }
    }
}

/// The registers of a virtio device, as one kind of bus has them (Virtio 1.2 chapter 4).
///
/// Writes are queued. Nothing here checks an order of steps: that is what [`Virtio`](super::Virtio) is for, and tests that leave it
/// out use this.
pub trait Transport: fmt::Debug {
    /// The machine.
    fn vm(&self) -> &Vm;

    /// Whether this is the interface from before the specification.
    fn is_legacy(&self) -> bool;

    /// Itself, if it is PCI: for what only that has.
    fn as_pci(&self) -> Option<&PciTransport> {
        None
    }

    /// The device type (§5): 1 network, 2 block, …; 0 where no device is.
    #[track_caller]
    fn device_id(&self) -> u32;

    /// What the device offers; a legacy one has 32 bits.
    #[track_caller]
    fn device_features(&self) -> Features;

    /// What the driver takes.
    #[track_caller]
    fn set_driver_features(&self, features: Features);

    /// Device status.
    #[track_caller]
    fn status(&self) -> Status;

    /// Writes the device status; 0 resets the device.
    #[track_caller]
    fn set_status(&self, status: Status);

    /// The configuration's generation (§2.5.1); always 0 with a legacy device.
    #[track_caller]
    fn config_generation(&self) -> u32;

    /// Reads the device's configuration, `offset` bytes from its beginning.
    #[track_caller]
    fn config_read(&self, offset: u32, width: ConfigWidth) -> u32;

    /// Writes the device's configuration, `offset` bytes from its beginning.
    #[track_caller]
    fn config_write(&self, offset: u32, width: ConfigWidth, value: u32);

    /// The most descriptors that a virtqueue may have; 0 if the device has no such virtqueue.
    #[track_caller]
    fn queue_max(&self, index: u16) -> u16;

    /// Whether a virtqueue has exactly [`queue_max`](Self::queue_max) descriptors: the driver can't choose (§4.1.5.1.3, legacy).
    fn has_fixed_queue_sizes(&self) -> bool {
        false
    }

    /// Tells the device where a virtqueue is, and enables it.
    ///
    /// A legacy device takes one page number: the parts are where §2.7.2 puts them after [`Rings::desc`], and the PCI one takes no size.
    #[track_caller]
    fn enable_queue(&self, index: u16, rings: &Rings);

    /// Whether a virtqueue is enabled.
    #[track_caller]
    fn is_queue_enabled(&self, index: u16) -> bool;

    /// Has the device give a virtqueue up (§2.6.1); only with [`Features::RING_RESET`], and not over MMIO of Virtio 1.2.
    #[track_caller]
    fn reset_queue(&self, index: u16);

    /// Tells the device that a virtqueue has buffers. `data` is what [`Features::NOTIFICATION_DATA`] adds, in bits 31:16.
    #[track_caller]
    fn notify(&self, index: u16, data: u16);

    /// Interrupt status. Over PCI reading acknowledges it, and lowers the line.
    #[track_caller]
    fn isr(&self) -> Isr;

    /// Acknowledges interrupts; over PCI, where reading them did, nothing.
    #[track_caller]
    fn acknowledge(&self, isr: Isr);

    /// The line that the device interrupts by; `None` where it is not known.
    #[track_caller]
    fn line(&self) -> Option<Pin>;
}
