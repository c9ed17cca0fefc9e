//! Message-signaled interrupts. PCI §6.8.1.

use testjig::prelude::*;
use testjig::qos::pci::{MsiControl, MsiMessage, MsiSlot, Pci};

use super::fixture::Edu;

/// §6.8.1.4–6: a message is a write of the data to the address, a dword whose upper half is zero.
#[testjig::test(on = Edu)]
fn a_message_is_a_write_of_the_data_to_the_address(edu: Edu) {
    let slot = MsiSlot::new(edu.function.pci());
    let registers = edu.map();
    let msi = edu.function.msi().expect("it has MSI");
    for data in [0x0001, 0x4041, 0xfffe] {
        msi.enable(slot.message(data));
        assert_eq!(slot.received(), None);
        Edu::raise(&registers);
        assert_eq!(slot.take(), Some(data));
    }
}

/// As above: each event is a message of its own; nothing is shared and nothing needs to be acknowledged on the bus.
#[testjig::test(on = Edu)]
fn each_event_is_a_message(edu: Edu) {
    let slot = MsiSlot::new(edu.function.pci());
    let registers = edu.map();
    edu.function
        .msi()
        .expect("it has MSI")
        .enable(slot.message(7));
    for _ in 0..3 {
        Edu::raise(&registers);
        assert_eq!(slot.take(), Some(7));
    }
    Edu::acknowledge(&registers);
    assert_eq!(slot.take(), None);
}

/// §6.8.1.3: while the enable bit is 0, no message is sent.
#[testjig::test(on = Edu)]
fn nothing_is_sent_while_disabled(edu: Edu) {
    let slot = MsiSlot::new(edu.function.pci());
    let registers = edu.map();
    let msi = edu.function.msi().expect("it has MSI");
    msi.enable(slot.message(7));
    msi.disable();
    Edu::raise(&registers);
    assert_eq!(slot.take(), None);
    assert!(edu.function.status().interrupt(), "it is INTx# again");
}

/// §6.8.1: a message is a memory write, which needs the bus master bit (PCI §6.2.2).
#[testjig::test(on = Edu)]
fn nothing_is_sent_by_what_is_no_bus_master(edu: Edu) {
    let slot = MsiSlot::new(edu.function.pci());
    let registers = edu.map();
    edu.function
        .msi()
        .expect("it has MSI")
        .enable(slot.message(7));
    edu.function
        .change_command(|command| command.with_bus_master(false));
    Edu::raise(&registers);
    assert_eq!(slot.take(), None);
    edu.function.enable_bus_master();
    Edu::raise(&registers);
    assert_eq!(slot.take(), Some(7));
}

/// §6.8.1.4: the address may be above 4 GiB if the function says that it has 64 bits of it.
#[testjig::test(on = Edu)]
fn address_and_data_read_back(edu: Edu) {
    let msi = edu.function.msi().expect("it has MSI");
    assert!(msi.control().wide());
    let message = MsiMessage {
        address: 0x0123_4567_89ab_cdec,
        data: 0xa55a,
    };
    msi.set_message(message);
    assert_eq!(msi.message(), message);
    msi.capability().write::<u32>(4, u32::MAX);
    assert_eq!(
        msi.capability().read::<u32>(4),
        0xffff_fffc,
        "the two low bits are zero"
    );
}

/// §6.8.1.3: of message control, enable and the number of vectors in use can be written, what the function is capable of can't.
#[testjig::test(on = Edu)]
fn message_control_keeps_what_can_be_written(edu: Edu) {
    let msi = edu.function.msi().expect("it has MSI");
    let before = msi.control();
    assert!(!before.enable());
    msi.set_control(MsiControl::from_bits(0xffff));
    let after = msi.control();
    assert!(after.enable());
    assert_eq!(after.capable(), before.capable());
    assert_eq!(
        (after.wide(), after.maskable()),
        (before.wide(), before.maskable())
    );
    assert_eq!(after.into_bits() & 0xfe00, 0);
    msi.set_control(MsiControl::new());
    assert_eq!(msi.control().with_enabled(0), before);
}

/// PCI §6.8: a reset of the machine disables it.
#[testjig::test(on = Edu)]
fn a_reset_disables_it(edu: Edu, vm: &Vm) {
    let msi = edu.function.msi().expect("it has MSI");
    msi.enable(MsiMessage {
        address: 0x1000,
        data: 7,
    });
    vm.reset();
    edu.function.pci().after_reset();
    assert!(!msi.control().enable());
    assert_eq!(
        msi.message(),
        MsiMessage {
            address: 0,
            data: 0
        }
    );
}

/// §6.8.1.7–8: of a function whose vectors can be masked, a masked one is pending instead of sent, and sent when it is unmasked.
/// The 82576 has such (Intel 82576 data sheet, §9.5.2).
#[testjig::test(on = Pci, launch = |l| l.device(Device::new("igb").prop("romfile", "").prop("addr", "04.0")))]
fn a_masked_vector_waits(pci: Pci) {
    let slot = MsiSlot::new(&pci);
    let function = pci.device(4);
    let registers = function.iomap(0);
    let msi = function.msi().expect("it has MSI");
    assert!(msi.control().maskable());
    msi.enable(slot.message(9));
    msi.set_mask(u32::MAX);
    assert_eq!(msi.mask(), 1, "it has one vector");
    let cause = 1_u32 << 2;
    registers.write(IGB_IMS, cause);
    registers.write(IGB_ICS, cause);
    assert_eq!((slot.take(), msi.pending()), (None, 1));
    msi.set_mask(0);
    assert_eq!((slot.take(), msi.pending()), (Some(9), 0));
}

/// 82576 data sheet, §8.8: interrupt cause set, interrupt mask set, by their addresses of old.
const IGB_ICS: u64 = 0x00c8;
const IGB_IMS: u64 = 0x00d0;
