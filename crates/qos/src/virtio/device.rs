//! [`Virtio`]: a device, from its reset to its virtqueues.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use testjig_vm::{Condition, Fault, Pin, Vm};

use super::order::Order;
use super::packed::Packed;
use super::queue::{Layout, Ring, Virtqueue};
use super::split::Split;
use super::transport::{ConfigWidth, Transport};
use super::{Features, Isr, LEGACY_PAGE, PciTransport, Status};

/// How long of the host's time a device may take for its reset.
const RESET_TIME: Duration = Duration::from_secs(10);

/// What would change how the device is to be driven in ways that are not here.
const UNUSED: Features = Features::ACCESS_PLATFORM
    .with(Features::SR_IOV)
    .with(Features::NOTIF_CONFIG_DATA)
    .with(Features::NOTIFY_ON_EMPTY)
    .with(Features::BAD_FEATURE);

/// A virtio device and what was negotiated with it. Clones are the same device.
///
/// ```no_run
/// use testjig_qos::virtio::{Features, MmioSlots, Virtio};
/// # fn example(vm: &testjig_vm::Vm) {
/// let disk = MmioSlots::arm_virt(vm).find(2).expect("the launch has a disk");
/// let disk = Virtio::new(disk);
/// disk.negotiate(Features::VERSION_1 | Features::RING_PACKED);
/// let requests = disk.queue(0);
/// disk.start();
/// # let _ = requests;
/// # }
/// ```
#[derive(Clone)]
pub struct Virtio(Rc<Inner>);

struct Inner {
    transport: Box<dyn Transport>,
    order: Order,
    negotiated: Cell<Features>,
    parallel: Cell<bool>,
}

impl Virtio {
    /// The device behind a transport. Nothing is written to it.
    #[track_caller]
    pub fn new(transport: impl Transport + 'static) -> Self {
        let order = if transport.is_legacy() {
            Order::of(transport.vm())
        } else {
            Order::Little
        };
        Self(Rc::new(Inner {
            transport: Box::new(transport),
            order,
            negotiated: Cell::default(),
            parallel: Cell::default(),
        }))
    }

    /// It carries out several requests at once, and which is over first is chance: a recording does not ask again which that was.
    #[must_use]
    pub fn parallel(self) -> Self {
        self.0.parallel.set(true);
        self
    }

    pub(super) fn is_parallel(&self) -> bool {
        self.0.parallel.get()
    }

    /// Its registers.
    pub fn transport(&self) -> &dyn Transport {
        &*self.0.transport
    }

    /// Its registers, which are PCI's.
    ///
    /// # Panics
    /// If they are not.
    #[track_caller]
    pub fn pci(&self) -> &PciTransport {
        match self.transport().as_pci() {
            Some(pci) => pci,
            None => panic!("{self:?} is not behind PCI"),
        }
    }

    /// The machine.
    pub fn vm(&self) -> &Vm {
        self.0.transport.vm()
    }

    /// Whether it is driven by the interface from before the specification.
    pub fn is_legacy(&self) -> bool {
        self.0.transport.is_legacy()
    }

    /// Byte order of its rings, requests and configuration.
    pub fn order(&self) -> Order {
        self.0.order
    }

    /// The features that were negotiated last.
    pub fn negotiated(&self) -> Features {
        self.0.negotiated.get()
    }

    /// What it offers.
    #[track_caller]
    pub fn offered(&self) -> Features {
        self.transport().device_features()
    }

    /// Device status.
    #[track_caller]
    pub fn status(&self) -> Status {
        self.transport().status()
    }

    /// Sets bits of the device status.
    #[track_caller]
    pub fn add_status(&self, status: Status) {
        let status = self.status().union(status);
        self.transport().set_status(status);
    }

    /// Resets it, and waits until it says that it is (§2.4.1). Virtqueues are gone after that.
    #[track_caller]
    pub fn reset(&self) {
        self.transport().set_status(Status::new());
        let done = Condition::new(format!("{self:?} is reset"), || {
            self.status() == Status::new()
        });
        self.vm().wait_until(done, RESET_TIME);
        self.0.negotiated.set(Features::NONE);
    }

    /// Resets it, and takes of these features what it offers: steps 1 to 6 of §3.1.1. Those that were agreed on.
    ///
    /// Unwinds with a [`Fault`] if it does not accept them.
    #[track_caller]
    pub fn negotiate(&self, wanted: Features) -> Features {
        let accepted = wanted & self.offered();
        if !self.try_negotiate(accepted) {
            Fault::usage(format!(
                "{self:?} offers {:?} and does not accept {accepted:?} (FEATURES_OK stays clear)",
                self.offered()
            ))
            .raise();
        }
        accepted
    }

    /// As [`negotiate`](Self::negotiate) with all that it offers and this library knows how to use, and virtqueues of this layout.
    ///
    /// Skips the test if the device has no packed virtqueues: a legacy one never has.
    #[track_caller]
    pub fn negotiate_layout(&self, layout: Layout) -> Features {
        let offered = self.offered();
        if layout == Layout::Packed && !offered.contains(Features::RING_PACKED) {
            Fault::skip(format!("{self:?} offers no packed virtqueues")).raise();
        }
        let split = match layout {
            Layout::Split => Features::RING_PACKED,
            Layout::Packed => Features::NONE,
        };
        self.negotiate(offered - split - UNUSED)
    }

    /// Resets it, and writes exactly these features; whether it accepts them. A legacy device is not asked (§3.1.2).
    #[track_caller]
    pub fn try_negotiate(&self, features: Features) -> bool {
        self.reset();
        let transport = self.transport();
        let known = Status::new().with_acknowledge(true);
        transport.set_status(known);
        let known = known.with_driver(true);
        transport.set_status(known);
        transport.set_driver_features(features);
        self.0.negotiated.set(features);
        if self.is_legacy() {
            return true;
        }
        transport.set_status(known.with_features_ok(true));
        transport.status().features_ok()
    }

    /// Sets a virtqueue up with as many descriptors as it may have, at most 256, in the layout that was negotiated.
    ///
    /// # Panics
    /// If the device has no such virtqueue.
    #[track_caller]
    pub fn queue(&self, index: u16) -> Virtqueue {
        let max = self.queue_max(index);
        // §4.1.5.1.3: a legacy PCI device's queues have the size that it says.
        let size = if self.has_fixed_sizes() {
            max
        } else {
            max.min(256)
        };
        self.queue_sized(index, size)
    }

    /// As [`queue`](Self::queue), with so many descriptors.
    #[track_caller]
    pub fn queue_sized(&self, index: u16, size: u16) -> Virtqueue {
        let queue = self.lay_out(index, size);
        self.transport().enable_queue(index, &queue.rings());
        queue
    }

    /// Makes a virtqueue that the device is not told of.
    #[track_caller]
    pub fn lay_out(&self, index: u16, size: u16) -> Virtqueue {
        let features = self.negotiated();
        let event_idx = features.contains(Features::RING_EVENT_IDX);
        let in_order = features.contains(Features::IN_ORDER);
        let ring = if features.contains(Features::RING_PACKED) {
            Ring::Packed(Packed::new(self.vm(), size, event_idx, in_order))
        } else {
            let legacy = self.is_legacy().then_some(LEGACY_PAGE);
            let split = Split::new(self.vm(), self.order(), size, legacy);
            Ring::Split(split.with(event_idx, in_order))
        };
        Virtqueue::new(self.clone(), index, ring)
    }

    /// The most descriptors that a virtqueue may have.
    ///
    /// # Panics
    /// If the device has no such virtqueue.
    #[track_caller]
    pub fn queue_max(&self, index: u16) -> u16 {
        let max = self.transport().queue_max(index);
        assert!(max > 0, "{self:?} has no virtqueue {index}");
        max
    }

    fn has_fixed_sizes(&self) -> bool {
        self.transport().has_fixed_queue_sizes()
    }

    /// Lets it work: step 8 of §3.1.1.
    #[track_caller]
    pub fn start(&self) {
        self.add_status(Status::new().with_driver_ok(true));
    }

    /// Notifies it of a virtqueue's buffers. `position` is what is told only with [`Features::NOTIFICATION_DATA`].
    #[track_caller]
    pub fn notify(&self, queue: u16, position: u16) {
        let told = self.negotiated().contains(Features::NOTIFICATION_DATA);
        self.transport()
            .notify(queue, if told { position } else { 0 });
    }

    /// Interrupt status, acknowledged.
    #[track_caller]
    pub fn take_isr(&self) -> Isr {
        let isr = self.transport().isr();
        self.transport().acknowledge(isr);
        isr
    }

    /// The line that it interrupts by.
    ///
    /// # Panics
    /// If it is not known.
    #[track_caller]
    pub fn line(&self) -> Pin {
        match self.transport().line() {
            Some(pin) => pin,
            None => panic!("the interrupt line of {self:?} is not known"),
        }
    }

    /// The configuration's generation (§2.5.1); always 0 with a legacy device.
    #[track_caller]
    pub fn config_generation(&self) -> u32 {
        self.transport().config_generation()
    }

    /// Reads a byte of the configuration.
    #[track_caller]
    pub fn config_u8(&self, offset: u32) -> u8 {
        self.transport().config_read(offset, ConfigWidth::B) as u8
    }

    /// Reads a 16-bit field of the configuration, undivided.
    #[track_caller]
    pub fn config_u16(&self, offset: u32) -> u16 {
        self.transport().config_read(offset, ConfigWidth::W) as u16
    }

    /// Reads a 32-bit field of the configuration, undivided.
    #[track_caller]
    pub fn config_u32(&self, offset: u32) -> u32 {
        self.transport().config_read(offset, ConfigWidth::L)
    }

    /// Reads a 64-bit field of the configuration, as two halves between two equal generations (§2.5.2).
    #[track_caller]
    pub fn config_u64(&self, offset: u32) -> u64 {
        loop {
            let generation = self.config_generation();
            let halves = [self.config_u32(offset), self.config_u32(offset + 4)];
            if generation == self.config_generation() {
                let [first, second] = halves.map(u64::from);
                return match self.order() {
                    Order::Little => second << 32 | first,
                    Order::Big => first << 32 | second,
                };
            }
        }
    }

    /// Writes a byte of the configuration.
    #[track_caller]
    pub fn set_config_u8(&self, offset: u32, value: u8) {
        self.transport()
            .config_write(offset, ConfigWidth::B, value.into());
    }

    /// Writes a 32-bit field of the configuration.
    #[track_caller]
    pub fn set_config_u32(&self, offset: u32, value: u32) {
        self.transport().config_write(offset, ConfigWidth::L, value);
    }
}

impl fmt::Debug for Virtio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.transport.fmt(f)
    }
}
