//! The devices that stand for any: what they need of a launch, and the few registers by which a test makes them do something.

use testjig::prelude::*;
use testjig::qos::pci::{Bar, Function, Pci};
use testjig::vm::Object;

/// The device number that the device under test has.
pub(super) const SLOT: u8 = 4;

testjig::graph!(|graph| {
    graph
        .edge("edu", |pci: &Pci| Edu::new(pci.device(SLOT)))
        .launch(|launch| launch.device(edu().prop("addr", "04.0")));
    graph
        .edge("e1000e", |pci: &Pci| Nic::new(pci.device(SLOT)))
        .launch(|launch| launch.device(nic().prop("addr", "04.0")));
    graph
        .edge("pci-testdev", |pci: &Pci| TestDev(pci.device(SLOT)))
        .launch(|launch| launch.device(testdev().prop("addr", "04.0")));
});

/// QEMU's `edu`, a device for teaching.
pub(super) fn edu() -> Device {
    Device::new("edu")
}

/// An Intel 82574L network controller without its option ROM.
pub(super) fn nic() -> Device {
    Device::new("e1000e").prop("romfile", "")
}

/// QEMU's `pci-testdev`: 4 KiB of memory, 256 ports, and, if asked for, a large prefetchable memory.
pub(super) fn testdev() -> Device {
    Device::new("pci-testdev")
}

/// 1 MiB for the device that shares it.
pub(super) fn shared_memory(id: &str) -> Object {
    Object::new("memory-backend-ram", id)
        .prop("size", MIB)
        .prop("share", "on")
}

/// `pci-testdev`'s configuration space.
#[derive(Clone, Debug)]
pub(super) struct TestDev(pub(super) Function);

impl TestDev {
    /// Whether its registers answer here: choosing its first test makes it say the width of that test's accesses in bytes.
    #[track_caller]
    pub(super) fn answers(registers: &Bar) -> bool {
        registers.write::<u8>(0, 0);
        registers.read::<u8>(1) == 1
    }
}

/// `edu` (QEMU's docs/specs/edu.rst): registers of 32 bits in 1 MiB of memory, an interrupt on demand.
#[derive(Clone, Debug)]
pub(super) struct Edu {
    pub(super) function: Function,
}

impl Edu {
    pub(super) const ID: (u16, u16) = (0x1234, 0x11e8);

    pub(super) fn new(function: Function) -> Self {
        Self { function }
    }

    #[track_caller]
    pub(super) fn map(&self) -> Bar {
        self.function.iomap(0)
    }

    /// Whether its identification register answers here. QEMU gives this device the byte order of the processor.
    #[track_caller]
    pub(super) fn answers(registers: &Bar) -> bool {
        const IDENTIFICATION: u32 = 0x0100_00ed;
        [IDENTIFICATION, IDENTIFICATION.swap_bytes()].contains(&registers.read(0))
    }

    /// Writes the interrupt raise register.
    #[track_caller]
    pub(super) fn raise(registers: &Bar) {
        registers.write::<u32>(0x60, u32::MAX);
    }

    /// Writes the interrupt acknowledge register.
    #[track_caller]
    pub(super) fn acknowledge(registers: &Bar) {
        registers.write::<u32>(0x64, u32::MAX);
    }
}

/// The 82574L (Intel 82574 GbE Controller Family data sheet 317694, §10.2.4): causes that software can set, each with its MSI-X vector.
#[derive(Clone, Debug)]
pub(super) struct Nic {
    pub(super) function: Function,
}

impl Nic {
    pub(super) const ID: (u16, u16) = (0x8086, 0x10d3);

    const ICR: u64 = 0xc0;
    const ICS: u64 = 0xc8;
    const IMS: u64 = 0xd0;
    const IVAR: u64 = 0xe4;

    pub(super) fn new(function: Function) -> Self {
        Self { function }
    }

    #[track_caller]
    pub(super) fn map(&self) -> Bar {
        self.function.iomap(0)
    }

    /// Cause 0–4, the ones that have MSI-X vectors: the receive queues, the transmit queues, the others.
    fn cause(number: u8) -> u32 {
        1 << (20 + number)
    }

    /// Gives causes 0–4 the vectors 0–4, and unmasks them.
    #[track_caller]
    pub(super) fn arm(registers: &Bar) {
        registers.write::<u32>(Self::IVAR, 0xc_ba98);
        registers.write::<u32>(Self::IMS, 0x1f << 20);
    }

    /// Sets a cause, as if it were new.
    #[track_caller]
    pub(super) fn ring(registers: &Bar, number: u8) {
        Self::quiet(registers, number);
        registers.write::<u32>(Self::ICS, Self::cause(number));
    }

    /// Clears a cause.
    #[track_caller]
    pub(super) fn quiet(registers: &Bar, number: u8) {
        registers.write::<u32>(Self::ICR, Self::cause(number));
    }
}
