//! A driver for `edu`, QEMU's device for teaching. Source: QEMU's documentation, "EDU device".
use std::time::Duration;

use bitfield_struct::bitfield;
use testjig::prelude::*;
use testjig::qos::bus::Mmio;
use testjig::qos::pci::{Function, Pci};
use testjig::vm::Condition;

/// Offsets of the registers, 32 bits each.
pub mod register {
    pub const IDENTIFICATION: u64 = 0x00;
    pub const LIVENESS: u64 = 0x04;
    pub const FACTORIAL: u64 = 0x08;
    pub const STATUS: u64 = 0x20;
    pub const INTERRUPT_RAISE: u64 = 0x60;
    pub const INTERRUPT_ACKNOWLEDGE: u64 = 0x64;
}

#[bitfield(u32)]
pub struct Status {
    pub computing: bool,
    #[bits(6)]
    __: u8,
    pub interrupt_when_done: bool,
    #[bits(24)]
    __: u32,
}

pub struct Edu {
    pub function: Function,
    /// Not little-endian, as PCI is: QEMU gives this device the byte order of the processor.
    pub io: Mmio,
}

impl Edu {
    #[track_caller]
    pub fn new(function: Function) -> Self {
        let base = function.iomap(0).cpu_address().expect("it is memory");
        let io = Mmio::new(function.vm(), base);
        Self { function, io }
    }

    /// Computes n!, 32 bits of it.
    #[track_caller]
    pub fn factorial(&self, n: u32) -> u32 {
        self.io.writel(register::FACTORIAL, n);
        let computing = || Status::from(self.io.readl(register::STATUS)).computing();
        let done = Condition::new("factorial done", || !computing());
        self.io.vm().wait_until(done, Duration::from_secs(5));
        self.io.readl(register::FACTORIAL)
    }
}

// Wherever there is PCI there can be an edu; here it is device 5.
testjig::graph!(|graph| {
    graph
        .edge("edu", |pci: &Pci| Edu::new(pci.device(5)))
        .launch(|launch| launch.device(Device::new("edu").prop("addr", "05.0")));
});
