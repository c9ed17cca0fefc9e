//! What is found on the buses of a machine.

use testjig::prelude::*;
use testjig::qos::pci::Pci;

/// PCI §6.1: a function that is there answers with its vendor ID.
#[testjig::test(on = Pci, launch = |l| l.device(Device::new("pci-testdev").prop("addr", "04.0")))]
fn a_device_is_found_where_it_was_plugged_in(pci: Pci) {
    let device = pci.find_id(0x1b36, 0x0005).expect("it is plugged in");
    assert_eq!(device.bdf(), pci.device(4).bdf());
}

/// PCI §6.2.5.1: a register keeps only the bits that select its range, of which the function decodes as much as it needs.
#[testjig::test(on = Pci, launch = |l| l.device(Device::new("pci-testdev").prop("addr", "04.0")))]
fn registers_answer_at_the_address_that_they_are_given(pci: Pci) {
    for index in [0, 1] {
        let registers = pci.device(4).iomap(index);
        registers.write::<u8>(0, 0);
        assert_eq!(registers.read::<u8>(1), 1, "the width of the first access");
        registers.unmap();
    }
}
