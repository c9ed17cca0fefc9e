//! The periodic interrupt: one of fifteen taps of the divider chain.

use super::*;
use testjig::qos::dev::mc146818::{Divider, RegA};
use testjig::vm::Irq;

const EIGHTH: Duration = Duration::from_millis(125);
const HALF: Duration = Duration::from_millis(500);

/// RS for a tick each 125 ms.
const RATE_8_HZ: u8 = 13;
/// RS for a tick each 500 ms.
const RATE_2_HZ: u8 = 15;

fn at_rate(rate: u8) -> RegA {
    RegA::new().with_divider(Divider::Khz32).with_rate(rate)
}

/// Selects the rate, and then enables the interrupt.
fn start(rtc: &Mc146818, vm: &Vm, rate: u8) -> Irq {
    let irq = vm.intercept(rtc.irq());
    rtc.set_a(at_rate(rate));
    rtc.set_b(IDLE.with_periodic_irq(true));
    irq
}

/// Waits for a tick, acknowledges it, and returns how long it took.
#[track_caller]
fn next_tick(rtc: &Mc146818, vm: &Vm, irq: &Irq) -> Duration {
    let wait = vm.clock().step_until(irq.raised(), SECOND);
    assert!(rtc.c().periodic());
    wait
}

/// Equal, but for the rounding of one timer to whole nanoseconds at each end.
#[track_caller]
fn assert_period(wait: Duration, period: Duration) {
    assert!(
        wait.abs_diff(period) <= NANOSECOND,
        "ticked after {wait:?}, its period is {period:?}"
    );
}

/// [Table 5] Periodic interrupt rates of the 32.768 kHz time base.
#[testjig::test(on = Mc146818, needs(clock), vary(rate = [1, 2, 3, 6, 15]))]
fn ticks_come_at_the_selected_rate(rtc: Mc146818, vm: &Vm, rate: u8) {
    let period = at_rate(rate).period().expect("rates from 1 on tick");
    let irq = start(&rtc, vm, rate);
    assert_period(next_tick(&rtc, vm, &irq), period);
    assert_period(next_tick(&rtc, vm, &irq), period);
    assert_period(next_tick(&rtc, vm, &irq), period);
}

/// [Table 5] The rate does not drift: a second holds 1,024 ticks of 976.5625 µs.
#[testjig::test(on = Mc146818, needs(clock))]
fn rate_6_ticks_1024_times_a_second(rtc: Mc146818, vm: &Vm) {
    let irq = start(&rtc, vm, 6);
    let thousand_and_24 = (0..1024).map(|_| next_tick(&rtc, vm, &irq)).sum();
    assert_period(thousand_and_24, SECOND);
}

/// [Table 5] Rate 0: "None".
#[testjig::test(on = Mc146818, needs(clock))]
fn rate_0_does_not_tick(rtc: Mc146818, vm: &Vm) {
    let irq = start(&rtc, vm, 0);
    vm.clock().step(2 * SECOND);
    assert_eq!(irq.edges(), []);
    assert!(!rtc.c().periodic());
}

/// [Table 5] Rate 0 ends the ticks of another rate.
#[testjig::test(on = Mc146818, needs(clock))]
fn selecting_rate_0_ends_the_ticks(rtc: Mc146818, vm: &Vm) {
    let irq = start(&rtc, vm, RATE_8_HZ);
    next_tick(&rtc, vm, &irq);
    irq.clear();
    rtc.set_a(at_rate(0));
    vm.clock().step(SECOND);
    assert_eq!(irq.edges(), []);
}

/// [Register B, PIE] Zero keeps the line from being driven.
#[testjig::test(on = Mc146818, needs(clock))]
fn disabled_ticks_do_not_interrupt(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_a(at_rate(RATE_8_HZ));
    vm.clock().step(SECOND);
    assert_eq!(irq.edges(), []);
}

/// [Register B, PIE] Cleared between two ticks, it keeps the second from the line.
#[testjig::test(on = Mc146818, needs(clock))]
fn disabling_ends_the_ticks(rtc: Mc146818, vm: &Vm) {
    let irq = start(&rtc, vm, RATE_8_HZ);
    next_tick(&rtc, vm, &irq);
    irq.clear();
    rtc.set_b(IDLE);
    vm.clock().step(SECOND);
    assert_eq!(irq.edges(), []);
}

/// [Register B, PIE] Set again, ticks come again, within a period.
#[testjig::test(on = Mc146818, needs(clock))]
fn enabling_again_resumes_the_ticks(rtc: Mc146818, vm: &Vm) {
    let irq = start(&rtc, vm, RATE_8_HZ);
    next_tick(&rtc, vm, &irq);
    rtc.set_b(IDLE);
    vm.clock().step(SECOND);
    rtc.c();
    rtc.set_b(IDLE.with_periodic_irq(true));
    assert!(next_tick(&rtc, vm, &irq) <= EIGHTH + NANOSECOND);
    assert_period(next_tick(&rtc, vm, &irq), EIGHTH);
}

/// [Register C, PF] An unacknowledged tick keeps the line active; further ones add nothing.
#[testjig::test(on = Mc146818, needs(clock))]
fn unacknowledged_ticks_are_one_interrupt(rtc: Mc146818, vm: &Vm) {
    let irq = start(&rtc, vm, RATE_8_HZ);
    vm.clock().step(SECOND);
    assert_eq!(irq.edges(), [Raise]);
    rtc.c();
    assert_eq!(u8::from(rtc.c()), 0x00);
}

/// [Register C, PF] Acknowledging late does not move the next tick.
#[testjig::test(on = Mc146818, needs(clock))]
fn a_late_acknowledge_does_not_move_the_next_tick(rtc: Mc146818, vm: &Vm) {
    let irq = start(&rtc, vm, RATE_8_HZ);
    vm.clock().step(EIGHTH + 100 * MILLISECOND);
    rtc.c();
    assert_period(next_tick(&rtc, vm, &irq), 25 * MILLISECOND);
}

/// [Register A, RS] A tick of a faster tap comes where that tap ticks: a period after the last.
#[testjig::test(on = Mc146818, needs(clock))]
fn a_faster_rate_counts_from_the_last_tick(rtc: Mc146818, vm: &Vm) {
    let irq = start(&rtc, vm, RATE_2_HZ);
    next_tick(&rtc, vm, &irq);
    vm.clock().step(100 * MILLISECOND);
    rtc.set_a(at_rate(RATE_8_HZ));
    assert_period(next_tick(&rtc, vm, &irq), 25 * MILLISECOND);
    assert_period(next_tick(&rtc, vm, &irq), EIGHTH);
}

/// [Register A, RS] A faster rate, selected when its period is over already, ticks within a period of it.
#[testjig::test(on = Mc146818, needs(clock))]
fn a_much_faster_rate_ticks_within_its_period(rtc: Mc146818, vm: &Vm) {
    let irq = start(&rtc, vm, RATE_2_HZ);
    next_tick(&rtc, vm, &irq);
    vm.clock().step(400 * MILLISECOND);
    irq.clear();
    rtc.set_a(at_rate(RATE_8_HZ));
    vm.clock().step(EIGHTH);
    assert_eq!(irq.edges(), [Raise]);
}

/// [Register A, RS] A slower rate ticks within a period of its own, and then at its rate.
#[testjig::test(on = Mc146818, needs(clock))]
fn a_slower_rate_ticks_within_its_period(rtc: Mc146818, vm: &Vm) {
    let irq = start(&rtc, vm, RATE_8_HZ);
    next_tick(&rtc, vm, &irq);
    vm.clock().step(100 * MILLISECOND);
    rtc.set_a(at_rate(RATE_2_HZ));
    assert!(next_tick(&rtc, vm, &irq) <= HALF - 100 * MILLISECOND + NANOSECOND);
    assert_period(next_tick(&rtc, vm, &irq), HALF);
}

/// [Register A, RS] A new rate counts whichever of its four bits has changed.
#[testjig::test(on = Mc146818, needs(clock), vary(rate = [0x7, 0x4, 0x2, 0xe]))]
fn each_bit_of_the_rate_counts(rtc: Mc146818, vm: &Vm, rate: u8) {
    let irq = start(&rtc, vm, 0x6);
    next_tick(&rtc, vm, &irq);
    rtc.set_a(at_rate(rate));
    next_tick(&rtc, vm, &irq);
    let period = at_rate(rate).period().expect("rates from 1 on tick");
    assert_period(next_tick(&rtc, vm, &irq), period);
}

/// [Register A, RS] Writing the same rate again does not move the next tick.
#[testjig::test(on = Mc146818, needs(clock))]
fn the_same_rate_again_does_not_move_the_next_tick(rtc: Mc146818, vm: &Vm) {
    let irq = start(&rtc, vm, RATE_2_HZ);
    vm.clock().step(100 * MILLISECOND);
    rtc.set_a(at_rate(RATE_2_HZ));
    assert_period(next_tick(&rtc, vm, &irq), 400 * MILLISECOND);
}

/// [Register B, PIE] Writing the other bits does not move the next tick.
#[testjig::test(on = Mc146818, needs(clock))]
fn other_bits_of_b_do_not_move_the_next_tick(rtc: Mc146818, vm: &Vm) {
    let irq = start(&rtc, vm, RATE_2_HZ);
    vm.clock().step(100 * MILLISECOND);
    rtc.set_b(IDLE.with_periodic_irq(true).with_binary(true));
    assert_period(next_tick(&rtc, vm, &irq), 400 * MILLISECOND);
}

/// [Periodic Interrupt] It is independent of the time: the time can be held and set beside it.
#[testjig::test(on = Mc146818, needs(clock))]
fn ticks_come_while_the_time_is_held(rtc: Mc146818, vm: &Vm) {
    let irq = start(&rtc, vm, RATE_8_HZ);
    vm.clock().step(100 * MILLISECOND);
    rtc.hold();
    assert_period(next_tick(&rtc, vm, &irq), 25 * MILLISECOND);
}
