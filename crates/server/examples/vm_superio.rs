//! rust-vmm's `vm_superio::Serial`, unmodified, held to the PC16550D data sheet: `cargo run --example vm_superio --features vm-superio`.
//!
//! Two of its registers are not those of a 16550 (seen on vm-superio 0.8.2); the rest of what is asked here is right.

use testjig_server::{InProcess, Pin, Workbench};
use vm_superio::Serial;

fn main() -> Result<(), testjig_qtest::Error> {
    let irq = Pin::default();
    let serial = Serial::new(irq.clone(), Vec::new());
    let bench = Workbench::new().port(0x3f8..0x400, serial).line(4, &irq);
    let mut uart = InProcess::session(bench);
    uart.irq_intercept_in("pic")?;

    // [Scratchpad] "intended to be used by the programmer to hold data temporarily".
    uart.outb(0x3ff, 0x5a)?;
    assert_eq!(uart.inb(0x3ff)?, 0x5a);

    // [MCR, loop] Received is what is transmitted, and its interrupt comes.
    uart.outb(0x3f9, 0x01)?;
    uart.outb(0x3fc, 0x10)?;
    uart.outb(0x3f8, b'A')?;
    assert_eq!(uart.inb(0x3fd)? & 1, 1, "data ready");
    assert_eq!(uart.inb(0x3f8)?, b'A');
    assert_eq!(uart.journal().edge_count(), 2, "one pulse of line 4");

    // [IIR, bits 6 and 7] Set when FCR0 = 1, and it never was: a driver is told of FIFOs that it has not enabled.
    println!(
        "IIR without FIFO: {:#04x}, data sheet 0x01",
        uart.inb(0x3fa)?
    );
    // [MCR, bits 5 through 7] "permanently set to logic 0": here they keep what is written.
    uart.outb(0x3fc, 0xe0)?;
    println!("MCR after 0xe0: {:#04x}, data sheet 0x00", uart.inb(0x3fc)?);
    Ok(())
}
