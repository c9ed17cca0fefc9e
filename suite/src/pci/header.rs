//! The registers that every function has: which bits can be written, and what they do.

use testjig::prelude::*;
use testjig::qos::pci::{Command, Pci, header};

use super::fixture::{Edu, Nic, TestDev};

/// PCI §6.2.1: vendor, device, revision and class are read-only; so are the header type, the subsystem, the pointer to the capabilities
/// and the interrupt pin (§6.2.2–§6.2.4).
#[testjig::test(on = Nic)]
fn what_identifies_a_function_is_read_only(nic: Nic) {
    let before = nic.function.bytes();
    for value in [0x00_u8, 0xff, 0xa5] {
        for offset in READ_ONLY.into_iter().flatten() {
            nic.function.write(offset, value);
        }
        assert_eq!(nic.function.bytes(), before, "{value:#x}");
    }
}

const READ_ONLY: [std::ops::Range<u16>; 5] = [
    header::VENDOR_ID..header::COMMAND,
    header::REVISION_ID..header::CACHE_LINE_SIZE,
    header::HEADER_TYPE..header::BAR0,
    header::SUBSYSTEM_VENDOR_ID..header::ROM,
    header::CAPABILITIES..header::INTERRUPT_LINE,
];

/// As above, with the widest access; what is beside the read-only bytes in a dword is writable and left out.
#[testjig::test(on = Nic)]
fn what_identifies_a_function_is_read_only_for_dwords(nic: Nic) {
    let before = nic.function.bytes();
    for value in [0x0000_0000_u32, 0xffff_ffff] {
        for offset in [
            header::VENDOR_ID,
            header::REVISION_ID,
            0x28,
            header::SUBSYSTEM_VENDOR_ID,
            header::CAPABILITIES,
            0x38,
        ] {
            nic.function.write(offset, value);
        }
        let after = nic.function.bytes();
        // Command and cache line size share dwords with what is read-only.
        assert_eq!(after[..4], before[..4], "{value:#x}");
        assert_eq!(after[8..12], before[8..12], "{value:#x}");
        assert_eq!(after[0x28..0x3c], before[0x28..0x3c], "{value:#x}");
    }
}

/// PCI §6.2.2: what is not implemented is hardwired to zero. Special cycles, palette snooping, stepping and fast back-to-back have no
/// meaning in an emulation, nor have the reserved bits.
#[testjig::test(on = Edu)]
fn the_command_register_keeps_what_is_implemented(edu: Edu) {
    edu.function.set_command(Command::from_bits(0xffff));
    let implemented = Command::new()
        .with_io(true)
        .with_memory(true)
        .with_bus_master(true)
        .with_parity_response(true)
        .with_serr(true)
        .with_interrupt_disable(true);
    let kept = edu.function.command();
    assert_eq!(kept.into_bits() & !implemented.into_bits(), 0, "{kept:?}");
    assert!(kept.memory() && kept.bus_master() && kept.interrupt_disable() && kept.serr());

    edu.function.set_command(Command::new());
    assert_eq!(edu.function.command(), Command::new());
}

/// PCI §6.2.2: each bit can be set alone.
#[testjig::test(on = Edu)]
fn a_command_bit_is_set_alone(edu: Edu) {
    for bit in [1, 2, 8, 10] {
        edu.function.set_command(Command::from_bits(1 << bit));
        assert_eq!(edu.function.command().into_bits(), 1 << bit);
    }
}

/// PCI §6.2.3: writing a bit of the status register as 1 clears it or does nothing; nothing is set by writing.
#[testjig::test(on = Nic)]
fn writing_the_status_register_sets_nothing(nic: Nic) {
    let before = nic.function.status();
    nic.function.write::<u16>(header::STATUS, 0xffff);
    assert_eq!(nic.function.status().into_bits() & !before.into_bits(), 0);
    nic.function.write::<u16>(header::STATUS, 0x0000);
    assert_eq!(nic.function.status(), before);
}

/// PCI §6.2.3: bit 4 says whether the pointer at 34h is one.
#[testjig::test(on = Pci, launch = |l| l.device(super::fixture::testdev().prop("addr", "04.0")).device(super::fixture::edu().prop("addr", "05.0")))]
fn the_status_register_says_whether_there_are_capabilities(pci: Pci) {
    let (without, with) = (pci.device(4), pci.device(5));
    assert!(!without.status().capabilities());
    assert_eq!(without.read::<u8>(header::CAPABILITIES), 0);
    assert!(with.status().capabilities());
    assert_eq!(with.read::<u8>(header::CAPABILITIES), 0x40);
}

/// PCI §6.2.4: the interrupt line register is the firmware's; cache line size is the system's.
#[testjig::test(on = TestDev)]
fn what_the_system_notes_is_kept(device: TestDev) {
    for register in [header::INTERRUPT_LINE, header::CACHE_LINE_SIZE] {
        for value in [0x00, 0xff, 0x5a] {
            device.0.write::<u8>(register, value);
            assert_eq!(device.0.read::<u8>(register), value, "{register:#x}");
        }
    }
}

/// PCI §3.2.2.3: bytes that an access does not enable keep their value.
#[testjig::test(on = TestDev)]
fn a_narrow_write_leaves_its_neighbours_alone(device: TestDev) {
    let function = &device.0;
    function.write::<u32>(header::CACHE_LINE_SIZE, 0x0000_0011);
    function.write::<u8>(header::INTERRUPT_LINE, 0x22);
    assert_eq!(function.read::<u8>(header::CACHE_LINE_SIZE), 0x11);
    function.write::<u16>(header::COMMAND, 0x0102);
    assert_eq!(function.read::<u8>(header::CACHE_LINE_SIZE), 0x11);
    function.write::<u8>(header::COMMAND, 0x01);
    assert_eq!(function.read::<u16>(header::COMMAND), 0x0101);
    function.write::<u8>(header::COMMAND + 1, 0x00);
    assert_eq!(function.read::<u16>(header::COMMAND), 0x0001);
}

/// PCI §6.1: what is not implemented reads as zero.
#[testjig::test(on = TestDev)]
fn registers_that_are_not_implemented_read_as_zero(device: TestDev) {
    let bytes = device.0.bytes();
    assert_eq!(
        bytes[0x18..0x2c],
        [0; 0x14],
        "base addresses 2 to 5, CardBus"
    );
    assert_eq!(bytes[0x30..0x3c], [0; 0x0c], "no ROM, no capabilities");
    assert_eq!(bytes[0x40..], [0; 0xc0], "nothing of its own");
}

/// PCI §6.2.2: after RST# the command register is 0, and no base address is set; identity is kept.
#[testjig::test(on = Edu)]
fn a_reset_of_the_machine_takes_addresses_and_command_away(edu: Edu, vm: &Vm) {
    let before = edu.function.bytes();
    let registers = edu.map();
    edu.function.write::<u8>(header::INTERRUPT_LINE, 0x0b);
    edu.function.write::<u8>(header::CACHE_LINE_SIZE, 0x10);
    edu.function.enable_bus_master();
    assert_ne!(edu.function.bytes(), before);
    assert!(Edu::answers(&registers));

    vm.reset();
    edu.function.pci().after_reset();
    assert_eq!(edu.function.bytes(), before);
}
