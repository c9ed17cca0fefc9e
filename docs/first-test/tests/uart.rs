//! The 16550 UART: a first device test.

use testjig::prelude::*;
use testjig::qos::bus::Pio;

/// A UART at COM1, ports 0x3f8–0x3ff.
struct Uart(Pio);

// PC16550D data sheet, "Register Addresses" and "Summary of Registers".
const RBR_THR: u16 = 0;
const MCR: u16 = 4;
const LSR: u16 = 5;
const SCR: u16 = 7;
const MCR_LOOP: u8 = 1 << 4;
const LSR_DATA_READY: u8 = 1 << 0;

// A `pc` has ISA slots: an `isa-serial` device on it gives a `Uart`.
testjig::graph!(|graph| {
    graph
        .edge("isa-serial", |pc: &Pc| Uart(Pio::new(pc.vm(), 0x3f8)))
        .launch(|launch| launch.device(Device::new("isa-serial")));
});

/// [Scratchpad Register] It controls nothing and holds what the programmer put there.
#[testjig::test(on = Uart)]
fn scratch_keeps_what_was_written(uart: Uart) {
    uart.0.outb(SCR, 0x5a);
    assert_eq!(uart.0.inb(SCR), 0x5a);
}

/// [Modem Control Register, bit 4] In loopback mode what is transmitted is received at once.
#[testjig::test(on = Uart, vary(byte = [0x00, 0x55, 0xff]))]
fn loopback_receives_what_is_sent(uart: Uart, byte: u8) {
    uart.0.outb(MCR, MCR_LOOP);
    uart.0.outb(RBR_THR, byte);
    assert_eq!(uart.0.inb(LSR) & LSR_DATA_READY, LSR_DATA_READY);
    assert_eq!(uart.0.inb(RBR_THR), byte);
}

testjig::main!();
