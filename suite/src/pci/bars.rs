//! Base address registers: what they ask for, and where the function then answers.

use testjig::prelude::*;
use testjig::qos::pci::{BarInfo, BarKind, Pci, header};

use super::fixture::{Edu, TestDev, edu, shared_memory, testdev};

/// PCI §6.2.5.1: all ones, written, read back as the size, and as what is implemented.
#[testjig::test(on = TestDev)]
fn memory_and_ports_ask_for_what_they_need(device: TestDev) {
    assert_eq!(
        device.0.bars(),
        [
            BarInfo {
                index: 0,
                kind: BarKind::Memory32 {
                    prefetchable: false
                },
                size: 4 * KIB,
            },
            BarInfo {
                index: 1,
                kind: BarKind::Io,
                size: 256,
            },
        ]
    );
}

/// PCI §6.2.5.1: a 64-bit register takes two places, and can ask for any power of two.
#[testjig::test(on = Pci, launch = of_sizes)]
fn a_64_bit_register_asks_for_any_power_of_two(pci: Pci) {
    for (device, size) in SIZES {
        assert_eq!(
            pci.device(device).bar(2),
            Some(BarInfo {
                index: 2,
                kind: BarKind::Memory64 { prefetchable: true },
                size,
            })
        );
    }
}

const SIZES: [(u8, u64); 4] = [(4, 4 * KIB), (5, MIB), (6, 256 * MIB), (7, 8 * GIB)];

fn of_sizes(launch: Launch) -> Launch {
    SIZES.into_iter().fold(launch, |launch, (device, size)| {
        let addr = format!("{device:02x}.0");
        launch.device(testdev().prop("addr", addr).prop("membar", size))
    })
}

/// PCI §6.2.5.1: the bits below the size, and those that tell the kind, are read-only.
#[testjig::test(on = TestDev)]
fn an_address_keeps_the_bits_above_the_size_only(device: TestDev) {
    let function = &device.0;
    function.write::<u32>(header::BAR0, 0xdead_beef);
    assert_eq!(function.read::<u32>(header::BAR0), 0xdead_b000);
    function.write::<u32>(header::BAR0 + 4, 0xdead_beef);
    assert_eq!(function.read::<u32>(header::BAR0 + 4), 0xdead_be01);
    function.write::<u32>(header::BAR0, 0);
    function.write::<u32>(header::BAR0 + 4, 0);
    assert_eq!(function.read::<u32>(header::BAR0), 0);
    assert_eq!(function.read::<u32>(header::BAR0 + 4), 1);
}

/// As above, of both halves of a 64-bit register, and byte by byte.
#[testjig::test(on = Pci, launch = |l| l.device(testdev().prop("addr", "04.0").prop("membar", 8 * GIB)))]
fn a_64_bit_address_keeps_the_bits_above_the_size_only(pci: Pci) {
    let function = pci.device(4);
    for (index, byte) in [0xef_u8, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01]
        .into_iter()
        .enumerate()
    {
        function.write(0x18 + index as u16, byte);
    }
    assert_eq!(function.read::<u32>(0x18), 0x0000_000c);
    assert_eq!(function.read::<u32>(0x1c), 0x0123_4566);
}

/// PCI §6.2.5: registers answer at the address that they are given, and at no other.
#[testjig::test(on = Edu)]
fn memory_answers_where_it_was_put(edu: Edu, vm: &Vm) {
    let first = edu.map();
    assert!(Edu::answers(&first));
    let there = first.cpu_address().expect("memory");
    let elsewhere = edu.function.iomap_at(0, first.address() + first.size());
    assert!(Edu::answers(&elsewhere));
    assert_ne!(vm.readl(there), elsewhere.read::<u32>(0));
    assert_ne!(vm.readl(there), elsewhere.read::<u32>(0).swap_bytes());
}

/// PCI §6.2.2: a function whose memory space bit is 0 does not answer, and does again when it is 1, at the same address.
#[testjig::test(on = Edu)]
fn memory_answers_only_while_it_is_enabled(edu: Edu) {
    let registers = edu.map();
    registers.write::<u32>(0x04, 0);
    edu.function
        .change_command(|command| command.with_memory(false));
    assert!(!Edu::answers(&registers));
    registers.write::<u32>(0x04, 0x1234);
    edu.function
        .change_command(|command| command.with_memory(true));
    assert!(Edu::answers(&registers));
    assert_eq!(registers.read::<u32>(0x04), !0, "the write was lost");
}

/// PCI §6.2.2: as above, of I/O space.
#[testjig::test(on = TestDev)]
fn ports_answer_only_while_they_are_enabled(device: TestDev) {
    let ports = device.0.iomap(1);
    assert!(TestDev::answers(&ports));
    device.0.change_command(|command| command.with_io(false));
    assert!(!TestDev::answers(&ports));
    device.0.change_command(|command| command.with_io(true));
    assert!(TestDev::answers(&ports));
}

/// PCI §6.2.2: the two bits are independent of each other.
#[testjig::test(on = TestDev)]
fn memory_and_ports_are_enabled_apart(device: TestDev) {
    let (memory, ports) = (device.0.iomap(0), device.0.iomap(1));
    device.0.change_command(|command| command.with_io(false));
    assert!(TestDev::answers(&memory));
    device
        .0
        .change_command(|command| command.with_io(true).with_memory(false));
    assert!(!TestDev::answers(&memory));
    assert!(TestDev::answers(&ports));
}

/// PCI §6.2.5: a 64-bit register answers above 4 GiB, over its whole length.
#[testjig::test(on = Pci, launch = with_shared_memory)]
fn prefetchable_memory_works_above_4_gib(pci: Pci) {
    let memory = pci.device(4).iomap(2);
    assert!(memory.address() >= 4 * GIB);
    memory.write::<u64>(0, 0x0123_4567_89ab_cdef);
    memory.write::<u32>(memory.size() - 4, 0x5aa5_5aa5);
    assert_eq!(memory.read::<u64>(0), 0x0123_4567_89ab_cdef);
    assert_eq!(memory.read::<u32>(0), 0x89ab_cdef, "little-endian");
    assert_eq!(memory.read::<u8>(7), 0x01);
    assert_eq!(memory.read::<u32>(memory.size() - 4), 0x5aa5_5aa5);
}

/// As above, below 4 GiB: a 64-bit register may be put there too.
#[testjig::test(on = Pci, launch = with_shared_memory)]
fn what_has_64_bits_may_be_put_below_4_gib(pci: Pci) {
    let device = pci.device(4);
    let address = pci.map().memory.base;
    let memory = device.iomap_at(2, address);
    memory.write::<u32>(0x10, 0x1122_3344);
    assert_eq!(memory.read::<u32>(0x10), 0x1122_3344);
    let above = device.iomap(2);
    assert_eq!(above.read::<u32>(0x10), 0x1122_3344, "the same memory");
}

/// `ivshmem-plain`: registers of 256 bytes in base address 0, 1 MiB of memory in the 64-bit one at 2.
fn with_shared_memory(launch: Launch) -> Launch {
    launch.object(shared_memory("memory")).device(
        Device::new("ivshmem-plain")
            .prop("addr", "04.0")
            .prop("memdev", "memory"),
    )
}

/// Several functions with memory and ports each answer for themselves.
#[testjig::test(on = Pci, launch = |l| l.device(edu().prop("addr", "04.0")).device(edu().prop("addr", "05.0")).device(edu().prop("addr", "06.0")))]
fn devices_of_one_kind_answer_for_themselves(pci: Pci) {
    let devices = [4, 5, 6].map(|device| pci.device(device).iomap(0));
    for (index, registers) in devices.iter().enumerate() {
        registers.write(0x04, index as u32);
    }
    let values = devices.map(|registers| !registers.read::<u32>(0x04));
    assert_eq!(values, [0, 1, 2]);
}

/// PCI §6.2.5.1: while all ones are written to find out the size, the other registers of the function go on as they were.
#[testjig::test(on = TestDev)]
fn finding_out_sizes_changes_nothing(device: TestDev) {
    let registers = device.0.iomap(0);
    let before = device.0.bytes();
    let _ = device.0.bars();
    let _ = device.0.rom();
    assert_eq!(device.0.bytes(), before);
    assert!(TestDev::answers(&registers));
}

/// What was unmapped is where no access reaches it, while what is mapped beside it stays.
#[testjig::test(on = Pci, launch = with_shared_memory)]
fn what_is_unmapped_answers_no_more(pci: Pci, vm: &Vm) {
    const INTERRUPT_MASK: u64 = 0;
    let device = pci.device(4);
    let (registers, memory) = (device.iomap(0), device.iomap(2));
    memory.write::<u32>(0, 0x1122_3344);
    registers.write::<u32>(INTERRUPT_MASK, 0x55);
    let there = memory.cpu_address().expect("memory");
    memory.unmap();
    assert!(device.command().memory(), "base address 0 is mapped");
    assert_eq!(registers.read::<u32>(INTERRUPT_MASK), 0x55);
    assert_ne!(vm.readb(there), 0x44);
    registers.unmap();
    assert!(!device.command().memory());
}
