//! Tests of `edu`, on every machine that has PCI.

use edu::{Edu, register};
use testjig::prelude::*;
use testjig::qos::pci::MsiSlot;
use testjig::vm::EdgeKind::{Lower, Raise};

/// [04h, card liveness check] What is written reads back inverted.
#[testjig::test(on = Edu)]
fn liveness_is_the_inverse(edu: Edu) {
    edu.io.writel(register::LIVENESS, 0x1234_5678);
    assert_eq!(edu.io.readl(register::LIVENESS), 0xedcb_a987);
}

/// [08h, factorial computation] The value is replaced by its factorial.
#[testjig::test(on = Edu)]
fn a_factorial_is_computed(edu: Edu) {
    for (n, factorial) in [(0, 1), (1, 1), (5, 120), (12, 479_001_600)] {
        assert_eq!(edu.factorial(n), factorial, "{n}!");
    }
}

/// [60h, 64h] An interrupt is raised by one register and lowered by the other.
#[testjig::test(on = Edu)]
fn an_interrupt_lasts_until_it_is_acknowledged(edu: Edu, vm: &Vm) {
    let irq = vm.intercept(edu.function.intx().expect("edu has INTA#"));
    edu.io.writel(register::INTERRUPT_RAISE, 1);
    edu.io.writel(register::INTERRUPT_ACKNOWLEDGE, 1);
    assert_eq!(irq.edges(), [Raise, Lower]);
}

/// With MSI the interrupt is a write to memory: here to a word that the test looks at.
#[testjig::test(on = Edu)]
fn an_interrupt_can_be_a_message(edu: Edu) {
    let slot = MsiSlot::new(edu.function.pci());
    let msi = edu.function.msi().expect("edu has MSI");
    msi.enable(slot.message(0x41));
    edu.io.writel(register::INTERRUPT_RAISE, 1);
    assert_eq!(slot.take(), Some(0x41));
}

testjig::main!();
