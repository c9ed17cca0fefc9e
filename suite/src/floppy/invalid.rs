//! Bytes that begin no command.

use super::*;
use testjig::qos::dev::i82078::{Invalid, St0, Version};

/// [Invalid] ST0 with IC 2 is the whole result, and the next command is taken.
#[testjig::test(on = I82078, launch = diskette, vary(code = [
    0x00, 0x01, 0x0b, 0x15, 0x1a, 0x1b, 0x1c, 0x1e, 0x1f, 0x23, 0x27, 0x2f, 0x34, 0x40, 0x41, 0x47, 0x50, 0x53, 0x5a, 0x63, 0x74,
    0x80, 0x83, 0x84, 0x87, 0x88, 0x90, 0x98, 0x9f, 0xa0, 0xb4, 0xc0, 0xe8, 0xf4, 0xff
]))]
fn a_code_that_is_no_command_is_told(fdc: I82078, code: u8) {
    fdc.reset();
    assert_eq!(fdc.run(Invalid(code)), St0::from(0x80));
    assert_eq!(fdc.run(Version), 0x90);
}

/// [Invalid] It raises no interrupt.
#[testjig::test(on = I82078, launch = diskette)]
fn an_invalid_command_raises_no_interrupt(fdc: I82078, vm: &Vm) {
    fdc.reset();
    let irq = vm.intercept(fdc.irq());
    fdc.run(Invalid(0x1f));
    assert_eq!(irq.edges(), []);
}
