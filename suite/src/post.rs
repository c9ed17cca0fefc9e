//! The port of power-on self-test codes, 0x80: firmware writes its progress there, for a card with two digits to show.
//!
//! Source: IBM PC/AT Technical Reference, BIOS listing: "manufacturing checkpoint port".

use testjig::prelude::*;

/// The manufacturing checkpoint port takes any code, and nothing comes of it: the machine goes on.
#[testjig::test(on = Pc)]
fn a_checkpoint_is_taken(vm: &Vm) {
    for code in [0x00, 0x01, 0x55, 0xff] {
        vm.outb(0x80, code);
    }
    vm.outb(0x70, 0x0d);
    assert_eq!(vm.inb(0x71), 0x80, "the clock has power");
}
