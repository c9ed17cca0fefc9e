//! PC16550D UART, the PC's first serial port. Sections and tables of National's data sheet stand in brackets.
//!
//! The test is at the other end of the line, or there is none: in loopback.

use std::time::Duration;

use testjig::devices::PC16550D_WIRE;
use testjig::prelude::*;
use testjig::qos::dev::pc16550d::*;
use testjig::vm::Condition;

/// More of the host's time than any of this takes.
const SOON: Duration = Duration::from_secs(10);

/// Lets interrupts through to the board.
const THROUGH: Mcr = Mcr::new().with_out2(true);

/// Its own characters come back, without a line.
fn loopback(uart: &Pc16550d) {
    uart.set_mcr(THROUGH.with_loopback(true));
}

/// The line's other end sends, and the first character has arrived.
#[track_caller]
fn arrives(uart: &Pc16550d, vm: &Vm, bytes: &[u8]) {
    vm.channel(PC16550D_WIRE).send(bytes);
    let ready = Condition::new("a character is there", || uart.lsr().data_ready());
    vm.wait_until(ready, SOON);
}

fn pending(uart: &Pc16550d) -> Option<u8> {
    let iir = uart.iir();
    (!iir.none()).then(|| iir.cause())
}

/// [Table III] What a reset leaves.
#[testjig::test(on = Pc16550d)]
fn the_reset_state_is_that_of_table_iii(uart: Pc16550d) {
    assert_eq!(uart.ier(), Ier::new());
    assert_eq!(uart.iir(), Iir::new().with_none(true));
    assert_eq!(uart.lcr(), Lcr::new());
    assert_eq!(u8::from(uart.lsr()), 0x60);
}

/// [8.10] "an 8-bit Read/Write Register [that] does not control the UART in anyway".
#[testjig::test(on = Pc16550d)]
fn the_scratch_register_keeps_a_byte(uart: Pc16550d) {
    for value in [0x55, 0xaa, 0x00, 0xff] {
        uart.io().outb(reg::SCRATCH, value);
        assert_eq!(uart.io().inb(reg::SCRATCH), value);
    }
}

/// [8.1] "The contents of the Line Control Register may be … read".
#[testjig::test(on = Pc16550d)]
fn the_line_control_register_reads_back(uart: Pc16550d) {
    for value in [0x03, 0x1b, 0x3f, 0x5a] {
        uart.set_lcr(value.into());
        assert_eq!(u8::from(uart.lcr()), value);
    }
}

/// [8.7, 8.8] Bits 7:4 of the interrupt enable and bits 7:5 of the modem control register are always 0.
#[testjig::test(on = Pc16550d)]
fn bits_that_are_not_there_read_0(uart: Pc16550d) {
    uart.set_ier(0xff.into());
    assert_eq!(u8::from(uart.ier()), 0x0f);
    uart.set_mcr(0xef.into());
    assert_eq!(u8::from(uart.mcr()), 0x0f);
}

/// [8.3] With DLAB the first two registers are the divisor latch, and only then.
#[testjig::test(on = Pc16550d)]
fn the_divisor_latch_lies_behind_dlab(uart: Pc16550d) {
    uart.set_ier(Ier::new().with_modem_status(true));
    uart.set_divisor(0x1234);
    assert_eq!(uart.divisor(), 0x1234);
    assert_eq!(uart.ier(), Ier::new().with_modem_status(true));
}

/// [8.5] FIFOs that are enabled say so in bits 7:6 of the interrupt identification.
#[testjig::test(on = Pc16550d)]
fn enabled_fifos_identify_themselves(uart: Pc16550d) {
    assert_eq!(uart.iir().fifos(), 0);
    uart.set_fcr(Fcr::new().with_enable(true));
    assert_eq!(uart.iir().fifos(), 3);
    uart.set_fcr(Fcr::new());
    assert_eq!(uart.iir().fifos(), 0);
}

/// [8.4] What is written to the transmitter reaches the line, in its order.
#[testjig::test(on = Pc16550d, needs(running))]
fn what_is_sent_reaches_the_line(uart: Pc16550d, vm: &Vm) {
    let mut sent = Vec::new();
    for character in b"testjig" {
        let free = Condition::new("the transmitter is free", || uart.lsr().transmitter_empty());
        vm.wait_until(free, SOON);
        uart.send(*character);
        sent.push(*character);
    }
    let mut received = Vec::new();
    while received.len() < sent.len() {
        received.extend(vm.channel(PC16550D_WIRE).recv(SOON));
    }
    assert_eq!(received, sent);
}

/// [8.4] Bit 0 is set while a character can be read, and reading it clears the bit.
#[testjig::test(on = Pc16550d, needs(running))]
fn what_the_line_brings_is_read_once(uart: Pc16550d, vm: &Vm) {
    assert!(!uart.lsr().data_ready());
    arrives(&uart, vm, b"q");
    assert_eq!(uart.receive(), b'q');
    assert!(!uart.lsr().data_ready());
}

/// [8.8] In loopback the transmitter's characters are received, and none reaches the line.
#[testjig::test(on = Pc16550d, needs(running))]
fn loopback_returns_characters(uart: Pc16550d, vm: &Vm) {
    loopback(&uart);
    uart.send(0x5a);
    assert!(uart.lsr().data_ready());
    assert_eq!(uart.receive(), 0x5a);
    assert_eq!(vm.channel(PC16550D_WIRE).try_recv(), None);
}

/// [8.8] In loopback the modem's outputs are its inputs: DTR is DSR, RTS is CTS, OUT1 is RI, OUT2 is DCD.
#[testjig::test(on = Pc16550d)]
fn loopback_returns_modem_lines(uart: Pc16550d) {
    let lines = |uart: &Pc16550d, mcr: Mcr| {
        uart.set_mcr(mcr.with_loopback(true));
        u8::from(uart.msr()) >> 4
    };
    assert_eq!(lines(&uart, Mcr::new()), 0);
    assert_eq!(lines(&uart, Mcr::new().with_rts(true)), 0b0001);
    assert_eq!(lines(&uart, Mcr::new().with_dtr(true)), 0b0010);
    assert_eq!(lines(&uart, Mcr::new().with_out1(true)), 0b0100);
    assert_eq!(lines(&uart, Mcr::new().with_out2(true)), 0b1000);
}

/// [8.2, Table IV] A received character interrupts until it is read.
#[testjig::test(on = Pc16550d)]
fn a_received_character_interrupts_until_it_is_read(uart: Pc16550d, vm: &Vm) {
    loopback(&uart);
    let irq = vm.intercept(uart.irq());
    uart.set_ier(Ier::new().with_received_data(true));
    assert_eq!(pending(&uart), None);
    uart.send(1);
    assert_eq!(pending(&uart), Some(Cause::ReceivedData as u8));
    assert!(irq.level());
    uart.receive();
    assert_eq!(pending(&uart), None);
    assert!(!irq.level());
}

/// [8.7] What is not enabled does not interrupt.
#[testjig::test(on = Pc16550d)]
fn what_is_not_enabled_does_not_interrupt(uart: Pc16550d, vm: &Vm) {
    loopback(&uart);
    let irq = vm.intercept(uart.irq());
    uart.send(1);
    assert!(uart.lsr().data_ready());
    assert_eq!(pending(&uart), None);
    assert_eq!(irq.edges(), []);
}

/// [Table IV] An empty transmitter interrupts as soon as that is enabled; reading the identification ends it.
#[testjig::test(on = Pc16550d)]
fn an_empty_transmitter_interrupts_once(uart: Pc16550d, vm: &Vm) {
    uart.set_mcr(THROUGH);
    let irq = vm.intercept(uart.irq());
    uart.set_ier(Ier::new().with_transmitter_empty(true));
    assert!(irq.level());
    assert_eq!(pending(&uart), Some(Cause::TransmitterEmpty as u8));
    assert_eq!(pending(&uart), None);
    assert!(!irq.level());
}

/// [8.5] With FIFOs so many characters interrupt as the trigger level says.
#[testjig::test(on = Pc16550d, vary(trigger = 0..4))]
fn the_trigger_level_is_kept(uart: Pc16550d, trigger: u8) {
    loopback(&uart);
    uart.set_fcr(Fcr::new().with_enable(true).with_trigger(trigger));
    uart.set_ier(Ier::new().with_received_data(true));
    let level = [1, 4, 8, 14][usize::from(trigger)];
    for number in 1..level {
        uart.send(number);
        assert_ne!(pending(&uart), Some(Cause::ReceivedData as u8), "{number}");
    }
    uart.send(level);
    assert_eq!(pending(&uart), Some(Cause::ReceivedData as u8));
    assert_eq!(uart.receive(), 1);
    assert_ne!(pending(&uart), Some(Cause::ReceivedData as u8));
}

/// [8.5] "The most recent character received or sent … was longer than 4 continuous character times ago": a timeout, ended by reading.
#[testjig::test(on = Pc16550d, needs(clock))]
fn characters_that_nobody_reads_time_out(uart: Pc16550d, vm: &Vm) {
    loopback(&uart);
    // 9,600 bits a second, 8 bits a character: with start and stop bit one takes 1.04 ms.
    uart.set_divisor(12);
    uart.set_lcr(Lcr::new().with_word_length(3));
    uart.set_fcr(Fcr::new().with_enable(true).with_trigger(3));
    uart.set_ier(Ier::new().with_received_data(true));
    uart.send(7);
    assert_eq!(pending(&uart), None);
    vm.clock().step(Duration::from_millis(5));
    assert_eq!(pending(&uart), Some(Cause::Timeout as u8));
    assert_eq!(uart.receive(), 7);
    assert_eq!(pending(&uart), None);
}

/// [8.5] The FIFOs hold 16 characters, and give them back in their order.
#[testjig::test(on = Pc16550d)]
fn sixteen_characters_are_held(uart: Pc16550d) {
    loopback(&uart);
    uart.set_fcr(Fcr::new().with_enable(true));
    for number in 0..16 {
        uart.send(number);
    }
    assert!(!uart.lsr().overrun());
    for number in 0..16 {
        assert_eq!(uart.receive(), number);
    }
    assert!(!uart.lsr().data_ready());
}

/// [8.4] A character too many is lost, what is in the FIFO stays, and bit 1 says so until it is read.
#[testjig::test(on = Pc16550d)]
fn an_overrun_is_told_once(uart: Pc16550d) {
    loopback(&uart);
    uart.set_fcr(Fcr::new().with_enable(true));
    for number in 0..17 {
        uart.send(number);
    }
    assert!(uart.lsr().overrun());
    assert!(!uart.lsr().overrun());
    let held: Vec<u8> = (0..16).map(|_| uart.receive()).collect();
    assert_eq!(held, (0..16).collect::<Vec<u8>>());
}

/// [Table IV] Line status comes before received data; reading it uncovers the other.
#[testjig::test(on = Pc16550d)]
fn line_status_has_the_highest_priority(uart: Pc16550d) {
    loopback(&uart);
    uart.set_fcr(Fcr::new().with_enable(true));
    uart.set_ier(
        Ier::new()
            .with_line_status(true)
            .with_received_data(true)
            .with_transmitter_empty(true),
    );
    for number in 0..17 {
        uart.send(number);
    }
    assert_eq!(pending(&uart), Some(Cause::LineStatus as u8));
    uart.lsr();
    assert_eq!(pending(&uart), Some(Cause::ReceivedData as u8));
    uart.set_fcr(Fcr::new().with_enable(true).with_reset_receiver(true));
    assert_eq!(pending(&uart), Some(Cause::TransmitterEmpty as u8));
}

/// [8.5] Resetting the receiver's FIFO empties it.
#[testjig::test(on = Pc16550d)]
fn a_reset_of_the_receiver_empties_it(uart: Pc16550d) {
    loopback(&uart);
    uart.set_fcr(Fcr::new().with_enable(true));
    uart.send(1);
    assert!(uart.lsr().data_ready());
    uart.set_fcr(Fcr::new().with_enable(true).with_reset_receiver(true));
    assert!(!uart.lsr().data_ready());
}

/// [8.9] Changes of the modem's lines are told once; RI only when it ends.
#[testjig::test(on = Pc16550d, xfail = "changes in loopback are not told; no report known")]
fn changes_of_modem_lines_are_told_once(uart: Pc16550d) {
    uart.set_mcr(Mcr::new().with_loopback(true));
    uart.msr();
    uart.set_mcr(
        Mcr::new()
            .with_loopback(true)
            .with_rts(true)
            .with_out1(true),
    );
    let msr = uart.msr();
    assert!(msr.delta_cts() && !msr.trailing_ri(), "{msr:?}");
    assert!(!uart.msr().delta_cts());
    uart.set_mcr(Mcr::new().with_loopback(true).with_rts(true));
    let msr = uart.msr();
    assert!(msr.trailing_ri() && !msr.delta_cts(), "{msr:?}");
}

/// [Table IV] A change of the modem's lines interrupts until it is read.
#[testjig::test(on = Pc16550d, xfail = "changes in loopback are not told; no report known")]
fn a_change_of_a_modem_line_interrupts_until_it_is_read(uart: Pc16550d) {
    uart.set_mcr(Mcr::new().with_loopback(true));
    uart.msr();
    uart.set_ier(Ier::new().with_modem_status(true));
    uart.set_mcr(Mcr::new().with_loopback(true).with_dtr(true));
    assert_eq!(pending(&uart), Some(Cause::ModemStatus as u8));
    uart.msr();
    assert_eq!(pending(&uart), None);
}
