//! The clock of RISC-V's `virt`. Registers are told of in [`testjig::qos::dev::goldfish_rtc`], with their source.
//!
//! A machine starts on Thursday 2026-01-15 at 12:00:00, virtual time zero.

use std::time::Duration;

use testjig::prelude::*;
use testjig::qos::dev::goldfish_rtc::{GoldfishRtc, reg};
use testjig::vm::EdgeKind::{Lower, Raise};

const SECOND: u64 = 1_000_000_000;
/// Nanoseconds from 1970 to the moment that a machine starts at.
const NOON: u64 = 1_768_478_400 * SECOND;

/// The time is nanoseconds since 1970, and counts each.
#[testjig::test(on = GoldfishRtc, needs(clock))]
fn the_time_counts_nanoseconds(rtc: GoldfishRtc, vm: &Vm) {
    let start = rtc.nanoseconds();
    // It is set by the host's clock when the machine is made.
    assert!(start.abs_diff(NOON) < 60 * SECOND, "{start}");
    let mut passed = 0;
    for nanoseconds in [1, 999, 1_000_000, SECOND, 86_400 * SECOND] {
        vm.clock().step(Duration::from_nanos(nanoseconds));
        passed += nanoseconds;
        assert_eq!(rtc.nanoseconds() - start, passed);
    }
}

/// TIME_HIGH is the half that belongs to the TIME_LOW that was read last, however late it is read.
#[testjig::test(on = GoldfishRtc, needs(clock))]
fn the_upper_half_belongs_to_the_lower(rtc: GoldfishRtc, vm: &Vm) {
    rtc.set_nanoseconds(0x1234_ffff_ff00);
    let low = rtc.read(reg::TIME_LOW);
    assert_eq!(low, 0xffff_ff00);
    vm.clock().step(Duration::from_nanos(0x200));
    assert_eq!(rtc.read(reg::TIME_HIGH), 0x1234);
    assert_eq!(rtc.nanoseconds(), 0x1235_0000_0100);
}

/// The time can be set, and goes on from there.
#[testjig::test(on = GoldfishRtc, needs(clock), vary(time = [
    SECOND, 0xffff_ffff, NOON + 1, 4_102_444_800 * SECOND,
]))]
fn what_is_set_is_shown_and_goes_on(rtc: GoldfishRtc, vm: &Vm, time: u64) {
    rtc.set_nanoseconds(time);
    assert_eq!(rtc.nanoseconds(), time);
    vm.clock().step(Duration::from_nanos(17));
    assert_eq!(rtc.nanoseconds(), time + 17);
}

/// An alarm rings at its nanosecond, once; until then it is told of as set.
#[testjig::test(on = GoldfishRtc, needs(clock), vary(delay = [1000, SECOND, 86_400 * SECOND]))]
fn an_alarm_interrupts_at_its_time(rtc: GoldfishRtc, vm: &Vm, delay: u64) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_interrupt(true);
    let time = rtc.nanoseconds() + delay;
    rtc.set_alarm(time);
    assert_eq!(rtc.alarm(), time);
    assert!(rtc.has_alarm());
    vm.clock().step(Duration::from_nanos(delay - 1));
    assert!(rtc.has_alarm());
    assert_eq!(irq.edges(), []);
    vm.clock().step(Duration::from_nanos(1));
    assert!(!rtc.has_alarm());
    assert_eq!(irq.edges(), [Raise]);
    vm.clock().step(Duration::from_secs(10));
    assert_eq!(irq.edges(), [Raise]);
    rtc.clear_interrupt();
    assert_eq!(irq.edges(), [Raise, Lower]);
}

/// An alarm of the past rings at once.
#[testjig::test(on = GoldfishRtc)]
fn an_alarm_of_the_past_rings_at_once(rtc: GoldfishRtc, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_interrupt(true);
    rtc.set_alarm(rtc.nanoseconds() - SECOND);
    assert!(!rtc.has_alarm());
    assert_eq!(irq.edges(), [Raise]);
}

/// An alarm that is taken back does not ring, and another can be set.
#[testjig::test(on = GoldfishRtc, needs(clock))]
fn an_alarm_can_be_taken_back(rtc: GoldfishRtc, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_interrupt(true);
    rtc.set_alarm(rtc.nanoseconds() + SECOND);
    rtc.clear_alarm();
    assert!(!rtc.has_alarm());
    vm.clock().step(Duration::from_secs(2));
    assert_eq!(irq.edges(), []);
    rtc.set_alarm(rtc.nanoseconds() + SECOND);
    vm.clock().step(Duration::from_secs(1));
    assert_eq!(irq.edges(), [Raise]);
}

/// The alarm that is set last is the one that rings.
#[testjig::test(on = GoldfishRtc, needs(clock))]
fn a_later_alarm_takes_the_place_of_an_earlier(rtc: GoldfishRtc, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_interrupt(true);
    let now = rtc.nanoseconds();
    rtc.set_alarm(now + SECOND);
    rtc.set_alarm(now + 3 * SECOND);
    vm.clock().step(Duration::from_secs(2));
    assert_eq!(irq.edges(), []);
    vm.clock().step(Duration::from_secs(1));
    assert_eq!(irq.edges(), [Raise]);
}

/// Where interrupts are off an alarm rings silently.
#[testjig::test(on = GoldfishRtc, needs(clock))]
fn a_silent_alarm_does_not_interrupt(rtc: GoldfishRtc, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_interrupt(false);
    assert_eq!(rtc.read(reg::IRQ_ENABLED), 0);
    rtc.set_alarm(rtc.nanoseconds() + SECOND);
    vm.clock().step(Duration::from_secs(2));
    assert!(!rtc.has_alarm());
    assert_eq!(irq.edges(), []);
}

/// What is only read can be written to without effect.
#[testjig::test(on = GoldfishRtc, needs(clock))]
fn the_status_cannot_be_written(rtc: GoldfishRtc) {
    rtc.write(reg::ALARM_STATUS, 1);
    assert!(!rtc.has_alarm());
    rtc.set_alarm(rtc.nanoseconds() + SECOND);
    rtc.write(reg::ALARM_STATUS, 0);
    assert!(rtc.has_alarm());
}

/// A machine that is reset has no alarm.
#[testjig::test(on = GoldfishRtc, needs(clock))]
fn a_reset_takes_the_alarm_back(rtc: GoldfishRtc, vm: &Vm) {
    rtc.set_interrupt(true);
    rtc.set_alarm(rtc.nanoseconds() + SECOND);
    vm.reset();
    assert!(!rtc.has_alarm());
    assert_eq!(rtc.read(reg::IRQ_ENABLED), 0);
    let irq = vm.intercept(rtc.irq());
    vm.clock().step(Duration::from_secs(2));
    assert_eq!(irq.edges(), []);
}
