//! [`VirtioMmio`]: the transport for a virtio device that is built on rust-vmm's `virtio-queue`.

use virtio_queue::{Error, Queue, QueueT};
use vm_memory::GuestMemoryMmap;

use crate::vmm::Memory;
use crate::workbench::Pin;

/// Registers of 32 bits: Virtio 1.2 §4.2.2, by their offsets in bytes.
mod register {
    pub(super) const MAGIC_VALUE: u64 = 0x000;
    pub(super) const VERSION: u64 = 0x004;
    pub(super) const DEVICE_ID: u64 = 0x008;
    pub(super) const VENDOR_ID: u64 = 0x00c;
    pub(super) const DEVICE_FEATURES: u64 = 0x010;
    pub(super) const DEVICE_FEATURES_SEL: u64 = 0x014;
    pub(super) const DRIVER_FEATURES: u64 = 0x020;
    pub(super) const DRIVER_FEATURES_SEL: u64 = 0x024;
    pub(super) const QUEUE_SEL: u64 = 0x030;
    pub(super) const QUEUE_SIZE_MAX: u64 = 0x034;
    pub(super) const QUEUE_SIZE: u64 = 0x038;
    pub(super) const QUEUE_READY: u64 = 0x044;
    pub(super) const QUEUE_NOTIFY: u64 = 0x050;
    pub(super) const INTERRUPT_STATUS: u64 = 0x060;
    pub(super) const INTERRUPT_ACK: u64 = 0x064;
    pub(super) const STATUS: u64 = 0x070;
    pub(super) const QUEUE_DESC: u64 = 0x080;
    pub(super) const QUEUE_DRIVER: u64 = 0x090;
    pub(super) const QUEUE_DEVICE: u64 = 0x0a0;
    pub(super) const SHM_LEN_LOW: u64 = 0x0b0;
    pub(super) const SHM_BASE_HIGH: u64 = 0x0bc;
    pub(super) const CONFIG: u64 = 0x100;
}

/// An area of a virtqueue: the register that has bits 31:0 of its address, how the address is set by halves, and what it is.
type Area = (
    u64,
    fn(&mut Queue, Option<u32>, Option<u32>),
    fn(&Queue) -> u64,
);

const AREAS: [Area; 3] = [
    (
        register::QUEUE_DESC,
        Queue::set_desc_table_address,
        Queue::desc_table,
    ),
    (
        register::QUEUE_DRIVER,
        Queue::set_avail_ring_address,
        Queue::avail_ring,
    ),
    (
        register::QUEUE_DEVICE,
        Queue::set_used_ring_address,
        Queue::used_ring,
    ),
];
/// Set in the offset of the register of bits 63:32.
const HIGH: u64 = 4;

/// Bits of the device status: Virtio 1.2 §2.1.
mod status {
    pub(super) const FEATURES_OK: u32 = 8;
    pub(super) const DRIVER_OK: u32 = 4;
    pub(super) const DEVICE_NEEDS_RESET: u32 = 64;
}

/// Bits of the interrupt status: Virtio 1.2 §4.2.2.
const USED_BUFFER: u32 = 1 << 0;
const CONFIG_CHANGE: u32 = 1 << 1;

/// "virt", and the version of the registers.
const MAGIC: u32 = 0x7472_6976;
const VERSION_2: u32 = 2;
/// "tjig": whose transport it is.
const VENDOR: u32 = 0x6769_6a74;

/// Virtio 1.2 §6, reserved feature bits.
const VIRTIO_F_EVENT_IDX: u64 = 1 << 29;
const VIRTIO_F_VERSION_1: u64 = 1 << 32;

/// What a virtio device on rust-vmm's `virtio-queue` says of itself, and does for its driver.
///
/// Everything else is the transport's: registers, negotiation, the areas of virtqueues, the interrupt.
pub trait VirtioDevice {
    /// Which device it is: Virtio 1.2 §5.
    fn device_type(&self) -> u32;

    /// The most descriptors of each of its virtqueues: powers of 2 up to 32,768.
    fn queue_sizes(&self) -> Vec<u16>;

    /// Feature bits that it offers. The transport adds `VIRTIO_F_VERSION_1`.
    fn features(&self) -> u64 {
        0
    }

    /// The driver is ready (`DRIVER_OK`), with these features agreed on.
    fn activate(&mut self, features: u64) {
        let _ = features;
    }

    /// Does what the driver asks for in virtqueue `index`, of which it was notified. An error is a driver's fault that can't be
    /// answered otherwise: the device needs a reset then.
    ///
    /// # Errors
    ///
    /// That of `virtio-queue`, or one like it.
    fn notified(
        &mut self,
        index: usize,
        queue: &mut Queue,
        memory: &GuestMemoryMmap<()>,
    ) -> Result<(), Error>;

    /// Reads its configuration. There is none unless it is implemented: zeroes.
    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let _ = offset;
        data.fill(0);
    }

    /// Writes its configuration.
    fn write_config(&mut self, offset: u64, data: &[u8]) {
        let _ = (offset, data);
    }

    /// Forgets what the driver did.
    fn reset(&mut self) {}
}

/// A virtio device behind memory-mapped registers, version 2 (Virtio 1.2 §4.2): for [`Workbench::mmio`](crate::Workbench::mmio).
///
/// Its interrupt is level-triggered: high while a bit of the interrupt status is set. A virtqueue that makes no sense, and a device's
/// error, set `DEVICE_NEEDS_RESET`. There are no shared memory regions.
pub struct VirtioMmio<D> {
    device: D,
    memory: GuestMemoryMmap<()>,
    pin: Pin,
    queues: Vec<Queue>,
    status: u32,
    interrupt: u32,
    device_features_sel: u32,
    driver_features_sel: u32,
    driver_features: u64,
    queue_sel: u32,
}

impl<D: VirtioDevice> VirtioMmio<D> {
    /// A device with its driver's memory and its interrupt pin. Clones of a `GuestMemoryMmap` are the same memory.
    ///
    /// # Errors
    ///
    /// If the size of a virtqueue is not what `virtio-queue` takes.
    pub fn new(device: D, memory: &GuestMemoryMmap<()>, pin: &Pin) -> Result<Self, Error> {
        let sizes = device.queue_sizes().into_iter();
        Ok(Self {
            queues: sizes.map(Queue::new).collect::<Result<_, _>>()?,
            device,
            memory: memory.clone(),
            pin: pin.clone(),
            status: 0,
            interrupt: 0,
            device_features_sel: 0,
            driver_features_sel: 0,
            driver_features: 0,
            queue_sel: 0,
        })
    }

    fn features(&self) -> u64 {
        self.device.features() | VIRTIO_F_VERSION_1
    }

    fn read(&self, register: u64) -> u32 {
        let queue = self.queues.get(self.queue_sel as usize);
        let half = |value: u64, select: u32| match select {
            0 => value as u32,
            1 => (value >> 32) as u32,
            _ => 0,
        };
        match register {
            register::MAGIC_VALUE => MAGIC,
            register::VERSION => VERSION_2,
            register::DEVICE_ID => self.device.device_type(),
            register::VENDOR_ID => VENDOR,
            register::DEVICE_FEATURES => half(self.features(), self.device_features_sel),
            register::QUEUE_SIZE_MAX => queue.map_or(0, |queue| queue.max_size().into()),
            register::QUEUE_READY => queue.map_or(0, |queue| queue.ready().into()),
            register::INTERRUPT_STATUS => self.interrupt,
            register::STATUS => self.status,
            // [§4.2.2] A region that does not exist is all ones long.
            register::SHM_LEN_LOW..=register::SHM_BASE_HIGH => u32::MAX,
            // Among them the configuration's generation: it changes by the driver's own writes only.
            _ => 0,
        }
    }

    fn write(&mut self, register: u64, value: u32) {
        match register {
            register::DEVICE_FEATURES_SEL => self.device_features_sel = value,
            register::DRIVER_FEATURES_SEL => self.driver_features_sel = value,
            // [§2.2.1] What was agreed on stays.
            register::DRIVER_FEATURES if self.status & status::FEATURES_OK == 0 => {
                let (shift, value) = match self.driver_features_sel {
                    0 => (0, u64::from(value)),
                    1 => (32, u64::from(value)),
                    _ => return,
                };
                self.driver_features &= !(0xffff_ffff << shift);
                self.driver_features |= value << shift;
            }
            register::QUEUE_SEL => self.queue_sel = value,
            register::QUEUE_NOTIFY => self.notified(value),
            register::INTERRUPT_ACK => {
                self.interrupt &= !value;
                self.drive();
            }
            register::STATUS => self.set_status(value),
            _ => self.write_queue(register, value),
        }
    }

    fn write_queue(&mut self, register: u64, value: u32) {
        let Some(queue) = self.queues.get_mut(self.queue_sel as usize) else {
            return;
        };
        let area = AREAS.into_iter().find(|(low, ..)| register & !HIGH == *low);
        let was_taken = match (register, area) {
            (register::QUEUE_SIZE, _) => {
                queue.set_size(value.min(u16::MAX.into()) as u16);
                u32::from(queue.size()) == value
            }
            (register::QUEUE_READY, _) => {
                queue.set_ready(value == 1);
                true
            }
            (_, Some((_, set, get))) if register & HIGH == 0 => {
                set(queue, Some(value), None);
                get(queue) as u32 == value
            }
            (_, Some((_, set, get))) => {
                set(queue, None, Some(value));
                (get(queue) >> 32) as u32 == value
            }
            _ => true,
        };
        // `virtio-queue` passes over what a virtqueue can't have, and would work with what was there before.
        if !was_taken {
            self.fail();
        }
    }

    /// [§2.1.1] The device can't go on; its driver is told so if it has begun.
    fn fail(&mut self) {
        self.status |= status::DEVICE_NEEDS_RESET;
        if self.status & status::DRIVER_OK != 0 {
            self.interrupt |= CONFIG_CHANGE;
        }
        self.drive();
    }

    fn set_status(&mut self, value: u32) {
        if value == 0 {
            return self.reset();
        }
        // [§2.1.1] The driver clears no bit but by a reset, and this one is the device's.
        let mut set = value & !self.status & !status::DEVICE_NEEDS_RESET;
        let offered = self.features();
        let fits =
            self.driver_features & !offered == 0 && self.driver_features & VIRTIO_F_VERSION_1 != 0;
        if !fits {
            // [§2.2.2] The driver sees by this bit's absence that these features are none that the device can do with.
            set &= !status::FEATURES_OK;
        }
        self.status |= set;
        if set & status::FEATURES_OK != 0 {
            let event_idx = self.driver_features & VIRTIO_F_EVENT_IDX != 0;
            for queue in &mut self.queues {
                queue.set_event_idx(event_idx);
            }
        }
        if set & status::DRIVER_OK != 0 {
            self.device.activate(self.driver_features);
        }
    }

    fn reset(&mut self) {
        self.device.reset();
        self.queues.iter_mut().for_each(Queue::reset);
        (self.status, self.interrupt, self.queue_sel) = (0, 0, 0);
        (self.device_features_sel, self.driver_features_sel) = (0, 0);
        self.driver_features = 0;
        self.drive();
    }

    fn notified(&mut self, index: u32) {
        let is_at_work =
            self.status & status::DRIVER_OK != 0 && self.status & status::DEVICE_NEEDS_RESET == 0;
        let index = index as usize;
        let Some(queue) = self.queues.get_mut(index).filter(|_| is_at_work) else {
            return;
        };
        if !queue.ready() {
            return;
        }
        let before = queue.next_used();
        let done = if queue.is_valid(&self.memory) {
            self.device.notified(index, queue, &self.memory)
        } else {
            Err(Error::QueueNotReady)
        };
        let wants = done.and_then(|()| {
            Ok(queue.next_used() != before && queue.needs_notification(&self.memory)?)
        });
        match wants {
            Ok(true) => {
                self.interrupt |= USED_BUFFER;
                self.drive();
            }
            Ok(false) => {}
            Err(_) => self.fail(),
        }
    }

    fn drive(&self) {
        self.pin.set(self.interrupt != 0);
    }
}

/// [§4.2.2.2] Registers are accessed in 32 bits, aligned; the configuration as its fields are.
impl<D: VirtioDevice> Memory for VirtioMmio<D> {
    fn memory_read(&mut self, addr: u64, data: &mut [u8]) {
        if let Some(offset) = addr.checked_sub(register::CONFIG) {
            return self.device.read_config(offset, data);
        }
        data.fill(0);
        if addr % 4 == 0 && data.len() == size_of::<u32>() {
            data.copy_from_slice(&self.read(addr).to_le_bytes());
        }
    }

    fn memory_write(&mut self, addr: u64, data: &[u8]) {
        if let Some(offset) = addr.checked_sub(register::CONFIG) {
            return self.device.write_config(offset, data);
        }
        if let (0, Ok(bytes)) = (addr % 4, data.try_into()) {
            self.write(addr, u32::from_le_bytes(bytes));
        }
    }
}
