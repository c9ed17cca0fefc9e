//! PCI-to-PCI bridges: bus numbers, windows, interrupts, resets. P2P §3.2.

use testjig::prelude::*;
use testjig::qos::pci::{Bdf, Bridge, MsiSlot, Pci, header};
use testjig::vm::EdgeKind::Raise;

use super::fixture::{Edu, TestDev, edu, shared_memory, testdev};

testjig::graph!(|graph| {
    graph
        .edge("pci-bridge", |pci: &Pci| Bridged::new(pci))
        .launch(|launch| launch.device(bridge("b1", "04.0")));
});

/// A bridge with an address of its own and nothing behind it yet.
fn bridge(id: &str, addr: &str) -> Device {
    Device::new("pci-bridge")
        .id(id)
        .prop("chassis_nr", 1)
        .prop("addr", addr)
}

/// A machine with a bridge as device 4.
#[derive(Clone, Debug)]
struct Bridged {
    pci: Pci,
    bridge: Bridge,
}

impl Bridged {
    #[track_caller]
    fn new(pci: &Pci) -> Self {
        Self {
            pci: pci.clone(),
            bridge: pci.device(4).as_bridge().expect("device 4 is a bridge"),
        }
    }

    /// `edu` behind the bridge, buses numbered and windows open.
    #[track_caller]
    fn edu(&self) -> Edu {
        self.pci.enumerate();
        Edu::new(self.bridge.device(2))
    }
}

fn with_edu(launch: Launch) -> Launch {
    launch.device(edu().bus("b1").prop("addr", "02.0"))
}

/// PCI §6.2.1: class 0604h, header type 1.
#[testjig::test(on = Bridged)]
fn it_is_a_bridge(bridged: Bridged) {
    let function = bridged.bridge.function();
    assert_eq!(function.class() >> 8, 0x0604);
    assert_eq!(function.read::<u8>(header::HEADER_TYPE) & 0x7f, 1);
}

/// §3.2.5.3–5: bus numbers can be written, and are zero after reset where no firmware has written them (a pseries has some in QEMU); what
/// is behind answers on the secondary bus.
#[testjig::test(on = Bridged, launch = with_edu)]
fn what_is_behind_it_is_found_once_its_bus_has_a_number(bridged: Bridged) {
    let bridge = &bridged.bridge;
    if bridged.pci.spapr().is_none() {
        let buses = (bridge.primary(), bridge.secondary(), bridge.subordinate());
        assert_eq!(buses, (0, 0, 0));
    }
    let behind = bridged.pci.function(Bdf::new(7, 2, 0));
    assert!(!behind.is_present());
    bridge.set_buses(0, 7, 7);
    assert_eq!(behind.id(), Edu::ID);
    assert!(!bridged.pci.function(Bdf::new(8, 2, 0)).is_present());
    bridge.set_buses(0, 8, 8);
    assert!(!behind.is_present());
    assert_eq!(bridged.pci.function(Bdf::new(8, 2, 0)).id(), Edu::ID);
}

/// P2P §3.2.5: enumeration finds what is behind a bridge, and its registers can be used.
#[testjig::test(on = Bridged, launch = with_edu)]
fn a_device_behind_a_bridge_works(bridged: Bridged) {
    let edu = bridged.edu();
    assert_eq!(edu.function.bdf(), Bdf::new(1, 2, 0));
    let registers = edu.map();
    assert!(bridged.bridge.memory().contains(&registers.address()));
    registers.write::<u32>(4, 0x1234_5678);
    assert_eq!(registers.read::<u32>(4), !0x1234_5678);
}

/// §3.2.5.8: memory is forwarded only within the window.
#[testjig::test(on = Bridged, launch = with_edu)]
fn memory_is_forwarded_within_the_window_only(bridged: Bridged) {
    let registers = bridged.edu().map();
    let window = bridged.bridge.memory();
    assert!(Edu::answers(&registers));
    bridged.bridge.set_memory(0..0);
    assert_eq!(bridged.bridge.memory(), 0..0);
    assert!(!Edu::answers(&registers));
    let end = registers.address() + MIB;
    bridged.bridge.set_memory(end..end + MIB);
    assert!(!Edu::answers(&registers));
    bridged.bridge.set_memory(window);
    assert!(Edu::answers(&registers));
}

/// §3.2.5.1: the bridge forwards memory only while its own memory space bit is 1.
#[testjig::test(on = Bridged, launch = with_edu)]
fn memory_is_forwarded_only_while_it_is_enabled(bridged: Bridged) {
    let registers = bridged.edu().map();
    let function = bridged.bridge.function();
    function.change_command(|command| command.with_memory(false));
    assert!(!Edu::answers(&registers));
    function.change_command(|command| command.with_memory(true));
    assert!(Edu::answers(&registers));
}

/// §3.2.5.6: ports are forwarded only within the window, of 4 KiB at least.
#[testjig::test(on = Bridged, launch = |l| l.device(testdev().bus("b1").prop("addr", "02.0")))]
fn ports_are_forwarded_within_the_window_only(bridged: Bridged) {
    bridged.pci.enumerate();
    let ports = bridged.bridge.device(2).iomap(1);
    let window = bridged.bridge.io();
    assert!(window.contains(&ports.address()));
    assert_eq!(window.end - window.start, 4 * KIB);
    assert!(TestDev::answers(&ports));
    bridged.bridge.set_io(0..0);
    assert!(!TestDev::answers(&ports));
    bridged.bridge.set_io(window.end..window.end + 4 * KIB);
    assert!(!TestDev::answers(&ports));
    bridged.bridge.set_io(window);
    assert!(TestDev::answers(&ports));
    let function = bridged.bridge.function();
    function.change_command(|command| command.with_io(false));
    assert!(!TestDev::answers(&ports));
}

/// §3.2.5.9–10: prefetchable memory has a window of its own, which may be above 4 GiB.
#[testjig::test(on = Bridged, launch = |l| l.object(shared_memory("memory")).device(Device::new("ivshmem-plain").prop("memdev", "memory").bus("b1").prop("addr", "02.0")))]
fn prefetchable_memory_has_a_window_above_4_gib(bridged: Bridged) {
    bridged.pci.enumerate();
    let bridge = &bridged.bridge;
    assert!(bridge.prefetches_64bit());
    let memory = bridge.device(2).iomap(2);
    let window = bridge.prefetchable();
    assert!(memory.address() >= 4 * GIB);
    assert!(window.contains(&memory.address()) && window.end >= memory.address() + memory.size());
    memory.write::<u32>(memory.size() - 4, 0x1122_3344);
    assert_eq!(memory.read::<u32>(memory.size() - 4), 0x1122_3344);
    bridge.set_prefetchable(window.end..window.end + MIB);
    assert_ne!(memory.read::<u32>(memory.size() - 4), 0x1122_3344);
    bridge.set_prefetchable(0..0);
    assert_eq!(bridge.prefetchable(), 0..0);
    assert_ne!(memory.read::<u32>(memory.size() - 4), 0x1122_3344);
}

/// §3.2.5: the window registers keep address bits only: 15–12 of I/O, 31–20 of memory; the low digits say how wide they are.
#[testjig::test(on = Bridged)]
fn window_registers_keep_address_bits_only(bridged: Bridged) {
    let function = bridged.bridge.function();
    let digits = |offset: u16| function.read::<u16>(offset) & 0x000f;
    let before = [
        header::MEMORY_BASE,
        header::MEMORY_BASE + 2,
        header::PREFETCHABLE_BASE,
        header::PREFETCHABLE_BASE + 2,
    ]
    .map(|offset| (offset, digits(offset)));
    for (offset, low) in before {
        function.write::<u16>(offset, 0xffff);
        assert_eq!(function.read::<u16>(offset), 0xfff0 | low, "{offset:#x}");
        function.write::<u16>(offset, 0x0000);
        assert_eq!(function.read::<u16>(offset), low, "{offset:#x}");
    }
    for offset in [header::IO_BASE, header::IO_BASE + 1] {
        let low = function.read::<u8>(offset) & 0x0f;
        function.write::<u8>(offset, 0xff);
        assert_eq!(function.read::<u8>(offset), 0xf0 | low);
    }
}

/// §9.1: a device's pin is rotated by its number when it passes the bridge, and the bridge's line by the bridge's.
#[testjig::test(on = Bridged, launch = four_behind)]
fn an_interrupt_is_rotated_when_it_passes(bridged: Bridged, vm: &Vm) {
    bridged.pci.enumerate();
    for device in 1..5 {
        let edu = Edu::new(bridged.bridge.device(device));
        let irq = vm.intercept(edu.function.intx().expect("it has a pin"));
        let registers = edu.map();
        Edu::raise(&registers);
        assert_eq!(irq.edges(), [Raise], "device {device}");
        Edu::acknowledge(&registers);
    }
}

fn four_behind(launch: Launch) -> Launch {
    (1..5).fold(launch, |launch, device| {
        launch.device(edu().bus("b1").prop("addr", format!("{device:02}.0")))
    })
}

/// §3.2.5.1: what is behind reaches memory through a bridge that is a bus master.
#[testjig::test(on = Bridged, launch = with_edu)]
fn a_device_behind_reaches_memory(bridged: Bridged) {
    let slot = MsiSlot::new(&bridged.pci);
    let edu = bridged.edu();
    assert!(bridged.bridge.function().command().bus_master());
    let registers = edu.map();
    let msi = edu.function.msi().expect("it has MSI");
    msi.enable(slot.message(5));
    Edu::raise(&registers);
    assert_eq!(slot.take(), Some(5));
}

/// §3.2.5.18: secondary bus reset resets what is behind, and not the bridge.
#[testjig::test(on = Bridged, launch = with_edu)]
fn a_reset_of_the_secondary_bus_resets_what_is_behind(bridged: Bridged) {
    let edu = bridged.edu();
    let before = bridged.bridge.memory();
    let registers = edu.map();
    assert!(Edu::answers(&registers));
    bridged.bridge.reset_secondary_bus();
    assert_eq!(edu.function.read::<u32>(header::BAR0), 0);
    assert!(!edu.function.command().memory());
    assert_eq!(bridged.bridge.memory(), before);
    assert!(Edu::answers(&edu.map()));
}

/// A bridge behind a bridge: numbers, windows and forwarding nest.
#[testjig::test(on = Bridged, launch = |l| l.device(Device::new("pci-bridge").id("b2").bus("b1").prop("chassis_nr", 2).prop("addr", "03.0")).device(edu().bus("b2").prop("addr", "02.0")))]
fn bridges_nest(bridged: Bridged) {
    let all = bridged.pci.enumerate();
    let inner = bridged.bridge.device(3).as_bridge().expect("a bridge");
    assert_eq!(
        (bridged.bridge.secondary(), bridged.bridge.subordinate()),
        (1, 2)
    );
    assert_eq!(
        (inner.primary(), inner.secondary(), inner.subordinate()),
        (1, 2, 2)
    );
    let edu = Edu::new(inner.device(2));
    assert_eq!(edu.function.bdf(), Bdf::new(2, 2, 0));
    assert!(
        all.iter()
            .any(|function| function.bdf() == edu.function.bdf())
    );
    let registers = edu.map();
    assert!(inner.memory().contains(&registers.address()));
    assert!(bridged.bridge.memory().contains(&inner.memory().start));
    assert!(Edu::answers(&registers));
    bridged.bridge.set_memory(0..0);
    assert!(!Edu::answers(&registers));
}

/// A second enumeration leaves alone what works.
#[testjig::test(on = Bridged, launch = with_edu)]
fn enumerating_again_changes_nothing(bridged: Bridged) {
    let registers = bridged.edu().map();
    let before = bridged.bridge.function().bytes();
    bridged.pci.enumerate();
    assert_eq!(bridged.bridge.function().bytes(), before);
    assert!(Edu::answers(&registers));
}
