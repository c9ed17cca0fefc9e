//! INTx#: the four shared interrupt lines, from a function to the interrupt controller.

use testjig::prelude::*;
use testjig::qos::pci::{MsiSlot, Pci};
use testjig::vm::EdgeKind::{Lower, Raise};

use super::fixture::{Edu, edu, nic};

/// PCI §2.2.6: a function asserts its line until its driver has dealt with the cause.
#[testjig::test(on = Edu)]
fn a_line_is_high_from_cause_to_acknowledgement(edu: Edu, vm: &Vm) {
    let irq = vm.intercept(edu.function.intx().expect("it has a pin"));
    let registers = edu.map();
    assert_eq!(irq.edges(), []);
    Edu::raise(&registers);
    assert_eq!(irq.edges(), [Raise]);
    Edu::raise(&registers);
    assert_eq!(irq.edges(), [Raise], "it is a level");
    Edu::acknowledge(&registers);
    assert_eq!(irq.edges(), [Raise, Lower]);
}

/// P2P §9.1: pins are rotated over the lines by device number, so that neighbours do not share; 82371SB, ICH9: which input of the
/// interrupt controller that is. Each device number is found where the machine's routing puts it.
#[testjig::test(on = Pci, launch = many)]
fn each_device_has_the_line_that_its_number_gives_it(pci: Pci, vm: &Vm) {
    for device in MANY {
        let edu = Edu::new(pci.device(device));
        let irq = vm.intercept(edu.function.intx().expect("it has a pin"));
        let registers = edu.map();
        Edu::raise(&registers);
        assert_eq!(irq.edges(), [Raise], "device {device}");
        Edu::acknowledge(&registers);
        assert_eq!(irq.edges(), [Raise, Lower], "device {device}");
    }
}

const MANY: [u8; 6] = [4, 5, 6, 7, 20, 23];

fn many(launch: Launch) -> Launch {
    MANY.into_iter().fold(launch, |launch, device| {
        launch.device(edu().prop("addr", format!("{device:02x}.0")))
    })
}

/// PCI §2.2.6: lines are shared; one is high as long as one of its devices asserts it.
#[testjig::test(on = Pci, launch = |l| l.device(edu().prop("addr", "04.0")).device(edu().prop("addr", "08.0")))]
fn a_shared_line_is_high_as_long_as_one_needs_it(pci: Pci, vm: &Vm) {
    let (one, other) = (Edu::new(pci.device(4)), Edu::new(pci.device(8)));
    let pin = one.function.intx().expect("it has a pin");
    assert_eq!(other.function.intx().as_ref(), Some(&pin));
    let irq = vm.intercept(pin);
    let (one, other) = (one.map(), other.map());
    Edu::raise(&one);
    Edu::raise(&other);
    Edu::acknowledge(&one);
    assert!(irq.level());
    Edu::acknowledge(&other);
    assert!(!irq.level());
}

/// PCI §6.2.2: bit 10 of the command register forbids INTx#; §6.2.3: bit 3 of the status register shows it all the same.
#[testjig::test(on = Edu)]
fn a_disabled_interrupt_shows_in_the_status_only(edu: Edu, vm: &Vm) {
    let irq = vm.intercept(edu.function.intx().expect("it has a pin"));
    let registers = edu.map();
    edu.function.disable_intx(true);
    Edu::raise(&registers);
    assert_eq!(irq.edges(), []);
    assert!(edu.function.status().interrupt());

    edu.function.disable_intx(false);
    assert_eq!(irq.edges(), [Raise], "it waited");
    edu.function.disable_intx(true);
    assert_eq!(irq.edges(), [Raise, Lower]);
    Edu::acknowledge(&registers);
    assert!(!edu.function.status().interrupt());
}

/// PCI §6.2.3: the status bit follows the cause.
#[testjig::test(on = Edu)]
fn the_status_shows_the_interrupt(edu: Edu) {
    let registers = edu.map();
    assert!(!edu.function.status().interrupt());
    Edu::raise(&registers);
    assert!(edu.function.status().interrupt());
    Edu::acknowledge(&registers);
    assert!(!edu.function.status().interrupt());
}

/// PCI §6.2.4: a function that uses INTA# says 1; one that uses none says 0.
#[testjig::test(on = Pci, launch = |l| l.device(edu().prop("addr", "04.0")).device(super::fixture::testdev().prop("addr", "05.0")))]
fn the_interrupt_pin_register_says_which_line_is_used(pci: Pci) {
    assert_eq!(pci.device(4).interrupt_pin(), 1);
    assert_eq!(pci.device(5).interrupt_pin(), 0);
    assert!(pci.device(5).intx().is_none());
}

/// PCI §6.8: while MSI is enabled, INTx# is not asserted.
#[testjig::test(on = Edu)]
fn with_msi_the_line_stays_low(edu: Edu, vm: &Vm) {
    let irq = vm.intercept(edu.function.intx().expect("it has a pin"));
    let slot = MsiSlot::new(edu.function.pci());
    let registers = edu.map();
    edu.function
        .msi()
        .expect("it has MSI")
        .enable(slot.message(0x41));
    Edu::raise(&registers);
    assert_eq!(irq.edges(), []);
    assert_eq!(slot.take(), Some(0x41));
}

/// PCI §6.8.2: the same of MSI-X.
#[testjig::test(on = Pci, launch = |l| l.device(nic().prop("addr", "04.0")))]
fn with_msix_the_line_stays_low(pci: Pci, vm: &Vm) {
    use super::fixture::Nic;

    let function = pci.device(4);
    let irq = vm.intercept(function.intx().expect("it has a pin"));
    let registers = function.iomap(0);
    let msix = function.msix(&[&registers]).expect("it has MSI-X");
    Nic::arm(&registers);
    Nic::ring(&registers, 0);
    assert_eq!(irq.edges(), [Raise]);
    Nic::quiet(&registers, 0);
    assert_eq!(irq.edges(), [Raise, Lower]);
    msix.enable();
    Nic::ring(&registers, 0);
    assert_eq!(irq.edges(), [Raise, Lower]);
}

/// PCI §2.2.6, §4.3.2: a reset takes the cause away.
#[testjig::test(on = Edu)]
fn a_reset_takes_the_cause_away(edu: Edu, vm: &Vm) {
    let registers = edu.map();
    Edu::raise(&registers);
    assert!(edu.function.status().interrupt());
    vm.reset();
    edu.function.pci().after_reset();
    assert!(!edu.function.status().interrupt());
}
