//! Devices of other crates on the bench.

use std::sync::{Arc, Mutex};

use testjig_server::{InProcess, Memory, Pin, Workbench};
use vm_device::bus::{PioAddress, PioAddressOffset, PioRange};
use vm_device::device_manager::{IoManager, PioManager};
use vm_device::{DevicePio, MutDevicePio};
use vm_memory::{GuestAddress, GuestMemoryMmap};
use vm_superio::{I8042Device, Serial};

struct Counter(u8);

impl MutDevicePio for Counter {
    fn pio_read(&mut self, _: PioAddress, _: PioAddressOffset, data: &mut [u8]) {
        data.fill(self.0);
    }

    fn pio_write(&mut self, _: PioAddress, offset: PioAddressOffset, data: &[u8]) {
        self.0 = self.0.wrapping_add(data[0]).wrapping_add(offset as u8);
    }
}

#[test]
fn a_device_of_vm_device_answers_at_its_ports_alone() {
    let device: Arc<dyn DevicePio + Send + Sync> = Arc::new(Mutex::new(Counter(1)));
    let mut manager = IoManager::new();
    let range = PioRange::new(PioAddress(0x500), 4).expect("a range");
    manager.register_pio(range, device).expect("free ports");
    let mut machine = InProcess::session(Workbench::new().bus(manager));
    machine.outb(0x502, 4).expect("queued");
    assert_eq!(machine.inw(0x500).expect("answers"), 0x0707);
    assert_eq!(machine.inb(0x504).expect("answers"), 0xff);
}

#[test]
fn a_keyboard_controller_of_vm_superio_pulls_the_reset() {
    let reset = Pin::default();
    let bench = Workbench::new()
        .port(0x60..0x65, I8042Device::new(reset.clone()))
        .line(1, &reset);
    let mut machine = InProcess::session(bench);
    machine.irq_intercept_in("pic").expect("watched");
    machine.outb(0x64, 0xfe).expect("queued");
    machine.sync().expect("answers");
    assert_eq!(machine.journal().edge_count(), 2);
}

#[test]
fn a_serial_port_of_vm_superio_prints() {
    let irq = Pin::default();
    let serial = Serial::new(irq.clone(), Vec::new());
    let bench = Workbench::new().port(0x3f8..0x400, serial).line(4, &irq);
    let mut machine = InProcess::session(bench);
    machine.outb(0x3ff, 0x77).expect("queued");
    assert_eq!(machine.inb(0x3ff).expect("answers"), 0x77);
}

#[test]
fn memory_of_vm_memory_is_the_machines() {
    let ranges = [(GuestAddress(0x1000), 0x1000)];
    let mut ram = GuestMemoryMmap::<()>::from_ranges(&ranges).expect("memory");
    ram.memory_write(0x1ffe, &[1, 2, 3]);
    let mut bytes = [0xff; 4];
    ram.memory_read(0x1ffe, &mut bytes);
    assert_eq!(bytes[..2], [1, 2]);
    let mut machine = InProcess::session(Workbench::new().memory(ram));
    machine.writel(0x1100, 0x1234_5678).expect("queued");
    assert_eq!(machine.readw(0x1102).expect("answers"), 0x1234);
    assert_eq!(machine.readl(0x5000).expect("answers"), 0);
}
