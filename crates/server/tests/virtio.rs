//! A virtio device on rust-vmm's queues, driven through its registers. Section numbers are those of Virtio 1.2.

use testjig_qtest::Session;
use testjig_server::{InProcess, Pin, VirtioDevice, VirtioMmio, Workbench};
use virtio_queue::desc::split::Descriptor;
use virtio_queue::{Error, Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

const BASE: u64 = 0xd000_0000;
const LINE: u32 = 5;
const DESC: u64 = 0x1000;
const DRIVER: u64 = 0x2000;
const DEVICE: u64 = 0x3000;
const BUFFER: u64 = 0x4000;

const FEATURES_OK: u32 = 8;
const AT_WORK: u32 = 15;
const NEEDS_RESET: u32 = 64;
const NEXT: u16 = 1;
const WRITE: u16 = 2;

/// An entropy source (§5.4) of little entropy, with a byte of configuration that no standard knows.
struct Entropy {
    config: u8,
}

impl VirtioDevice for Entropy {
    fn device_type(&self) -> u32 {
        4
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![8]
    }

    fn notified(
        &mut self,
        _: usize,
        queue: &mut Queue,
        memory: &GuestMemoryMmap<()>,
    ) -> Result<(), Error> {
        while let Some(mut chain) = queue.pop_descriptor_chain(memory) {
            let mut written = 0;
            for descriptor in chain.by_ref().filter(Descriptor::is_write_only) {
                let bytes = vec![0x5a; descriptor.len() as usize];
                let wrote = memory.write_slice(&bytes, descriptor.addr());
                wrote.map_err(Error::GuestMemory)?;
                written += descriptor.len();
            }
            queue.add_used(memory, chain.head_index(), written)?;
        }
        Ok(())
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        data.fill(if offset == 0 { self.config } else { 0 });
    }

    fn write_config(&mut self, _: u64, data: &[u8]) {
        self.config = data[0];
    }
}

struct Driver(Session<InProcess<Workbench>>);

impl Driver {
    fn new() -> Self {
        let ranges = [(GuestAddress(0), 0x10_000)];
        let ram = GuestMemoryMmap::<()>::from_ranges(&ranges).expect("memory");
        let pin = Pin::default();
        let device = VirtioMmio::new(Entropy { config: 7 }, &ram, &pin).expect("a device");
        let bench = Workbench::new()
            .mmio(BASE..BASE + 0x200, device)
            .memory(ram)
            .line(LINE, &pin);
        let mut session = InProcess::session(bench);
        session.irq_intercept_in("pic").expect("watched");
        Self(session)
    }

    fn set(&mut self, register: u64, value: u32) {
        self.0.writel(BASE + register, value).expect("queued");
    }

    fn get(&mut self, register: u64) -> u32 {
        self.0.readl(BASE + register).expect("answers")
    }

    /// §3.1.1, with the virtqueue's device area at `device`.
    fn start(&mut self, device: u64) {
        self.set(0x070, 0);
        self.set(0x070, 3);
        self.set(0x024, 1);
        self.set(0x020, 1);
        self.set(0x070, 11);
        assert_eq!(self.get(0x070), 11);
        assert_eq!(self.get(0x034), 8);
        self.set(0x038, 8);
        for (low, address) in [(0x080, DESC), (0x090, DRIVER), (0x0a0, device)] {
            self.set(low, address as u32);
            self.set(low + 4, 0);
        }
        self.0.memset(DRIVER, 0x100, 0).expect("cleared");
        self.0.memset(DEVICE, 0x100, 0).expect("cleared");
        self.set(0x044, 1);
        self.set(0x070, AT_WORK);
    }

    /// Makes a chain of one buffer available and notifies.
    fn request(&mut self, length: u32, flags: u16) {
        self.0.writeq(DESC, BUFFER).expect("queued");
        self.0.writel(DESC + 8, length).expect("queued");
        self.0.writew(DESC + 12, flags).expect("queued");
        self.0.writew(DESC + 14, 9).expect("queued");
        self.0.writew(DRIVER + 2, 1).expect("queued");
        self.set(0x050, 0);
    }

    fn level(&mut self) -> bool {
        self.0.sync().expect("answers");
        self.0.journal().edge_count() % 2 == 1
    }
}

#[test]
fn a_request_is_done_and_interrupts_until_it_is_acknowledged() {
    let mut driver = Driver::new();
    assert_eq!(
        [0, 4, 8].map(|register| driver.get(register)),
        [0x7472_6976, 2, 4]
    );
    driver.start(DEVICE);
    driver.request(16, WRITE);
    assert_eq!(driver.0.readl(BUFFER + 12).expect("answers"), 0x5a5a_5a5a);
    assert_eq!(driver.0.readl(BUFFER + 16).expect("answers"), 0);
    assert_eq!(driver.0.readl(DEVICE).expect("answers"), 1 << 16);
    assert_eq!(driver.0.readl(DEVICE + 8).expect("answers"), 16);
    assert!(driver.level());
    assert_eq!(driver.get(0x060), 1);
    driver.set(0x064, 1);
    assert!(!driver.level());
    assert_eq!(driver.get(0x060), 0);
}

#[test]
fn what_the_driver_leaves_undone_does_nothing() {
    let mut driver = Driver::new();
    // Not started: a notification is nothing. No such virtqueue: neither.
    driver.set(0x050, 0);
    driver.start(DEVICE);
    driver.set(0x050, 1);
    // A notification without a buffer interrupts nobody.
    driver.set(0x050, 0);
    assert!(!driver.level());
    assert_eq!(driver.get(0x070), AT_WORK);
}

/// §6.1: a driver that does not know version 1 is no driver for this device; one that takes what was not offered neither.
#[test]
fn features_that_do_not_fit_are_not_accepted() {
    for (select, bits) in [(0, 0), (0, 1 << 5), (1, 1 | 1 << 4)] {
        let mut driver = Driver::new();
        driver.set(0x070, 3);
        driver.set(0x024, select);
        driver.set(0x020, bits);
        driver.set(0x070, 3 | FEATURES_OK);
        assert_eq!(driver.get(0x070), 3, "{bits:#x} of {select}");
    }
}

/// §2.1.1: a device that can't go on says so, and is well after a reset.
#[test]
fn what_makes_no_sense_needs_a_reset() {
    let mut driver = Driver::new();
    // A device area that is not aligned is none.
    driver.start(DEVICE + 1);
    assert_eq!(driver.get(0x070), AT_WORK | NEEDS_RESET);
    driver.request(16, WRITE);
    assert!(!driver.level());
    // One that is nowhere.
    driver.start(0x20_0000);
    driver.request(16, WRITE);
    assert_eq!(driver.get(0x070), AT_WORK | NEEDS_RESET);
    assert_eq!(driver.get(0x060), 2);
    assert!(driver.level());
    driver.set(0x070, 0);
    assert!(!driver.level());
    // A buffer that is nowhere.
    driver.start(DEVICE);
    driver.request(0x2_0000, WRITE);
    assert_eq!(driver.get(0x070), AT_WORK | NEEDS_RESET);
    driver.start(DEVICE);
    driver.request(4, WRITE);
    assert_eq!(driver.get(0x060), 1);
    // A chain that goes on where no descriptor is ends there.
    driver.start(DEVICE);
    driver.request(4, WRITE | NEXT);
    assert_eq!(driver.get(0x070) & NEEDS_RESET, 0);
}

#[test]
fn the_configuration_is_the_devices() {
    let mut driver = Driver::new();
    assert_eq!(driver.0.readb(BASE + 0x100).expect("answers"), 7);
    driver.0.writeb(BASE + 0x100, 9).expect("queued");
    assert_eq!(driver.0.readb(BASE + 0x100).expect("answers"), 9);
    // Registers are 32 bits wide.
    assert_eq!(driver.0.readb(BASE).expect("answers"), 0);
    // After the last is what is beside it: nothing.
    assert_eq!(driver.0.readq(BASE + 0x1fc).expect("answers"), 0);
}
