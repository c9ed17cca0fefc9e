//! Arm's clock, PL031. Sections and tables in brackets are of ARM DDI 0224.
//!
//! A machine starts on Thursday 2026-01-15 at 12:00:00, virtual time zero.
//!
//! Where QEMU does not do what the manual says, the test stays as an expected failure. These are in QEMU 11.1, and no report of them is
//! known:
//!
//! | manual | QEMU |
//! |---|---|
//! | \[Table 3-1\] RTCCR is 0 after a reset | always 1 |

use std::time::Duration;

use testjig::prelude::*;
use testjig::qos::dev::pl031::{Pl031, reg};
use testjig::vm::EdgeKind::{Lower, Raise};

const SECOND: Duration = Duration::from_secs(1);
/// Seconds from 1970 to the moment that a machine starts at.
const NOON: u32 = 1_768_478_400;

/// [§2.2.3] The counter counts seconds, on this board from 1970 on.
#[testjig::test(on = Pl031, needs(clock))]
fn the_counter_counts_seconds(rtc: Pl031, vm: &Vm) {
    // QEMU's is behind by as many of the host's seconds as the machine took to start.
    let start = rtc.seconds();
    assert!((NOON - 60..=NOON + 60).contains(&start), "{start}");
    for (steps, so_far) in [(1, 1), (59, 60), (86_400, 86_460)] {
        vm.clock().step(steps * SECOND);
        assert_eq!(rtc.seconds() - start, so_far);
    }
}

/// [§3.3.3] The counter goes on from what is loaded, beyond its end too; the load register is read as written.
#[testjig::test(on = Pl031, needs(clock), vary(seconds = [0, 1, 0x1234_5678, 0x7fff_ffff, u32::MAX]))]
fn the_counter_goes_on_from_what_is_loaded(rtc: Pl031, vm: &Vm, seconds: u32) {
    rtc.set_seconds(seconds);
    assert_eq!(rtc.seconds(), seconds);
    assert_eq!(rtc.read(reg::LOAD), seconds);
    vm.clock().step(2 * SECOND);
    assert_eq!(rtc.seconds(), seconds.wrapping_add(2));
}

/// [§3.3.2] The match register is read as written.
#[testjig::test(on = Pl031)]
fn the_match_is_kept(rtc: Pl031) {
    for value in [0, 1, 0x5555_5555, 0xaaaa_aaaa, u32::MAX] {
        rtc.set_match(value);
        assert_eq!(rtc.read(reg::MATCH), value);
    }
}

/// [§2.2.4, §3.3.6, §3.3.8] The counter's match sets RTCRIS, at its time and not before, and pulls the line; the clear register takes
/// both back.
#[testjig::test(on = Pl031, needs(clock), vary(delay = [1, 30, 86_400]))]
fn a_match_interrupts_in_its_second(rtc: Pl031, vm: &Vm, delay: u32) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_interrupt(true);
    rtc.set_seconds(1000);
    rtc.set_match(1000 + delay);
    vm.clock().step((delay - 1) * SECOND);
    assert!(!rtc.has_matched());
    assert_eq!(irq.edges(), []);
    vm.clock().step(SECOND);
    assert_eq!(rtc.seconds(), 1000 + delay);
    assert!(rtc.has_matched() && rtc.interrupts());
    assert_eq!(irq.edges(), [Raise]);
    rtc.clear_interrupt();
    assert!(!rtc.has_matched() && !rtc.interrupts());
    assert_eq!(irq.edges(), [Raise, Lower]);
    // It was one match.
    vm.clock().step(100 * SECOND);
    assert!(!rtc.has_matched());
}

/// [§3.3.5, §3.3.7] The mask is between RTCRIS and the line, whenever it changes.
#[testjig::test(on = Pl031, needs(clock))]
fn the_mask_holds_the_line_and_not_the_match(rtc: Pl031, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_interrupt(false);
    rtc.set_seconds(10);
    rtc.set_match(12);
    vm.clock().step(2 * SECOND);
    assert!(rtc.has_matched() && !rtc.interrupts());
    assert_eq!(irq.edges(), []);
    rtc.set_interrupt(true);
    assert!(rtc.interrupts());
    assert_eq!(rtc.read(reg::MASK), 1);
    rtc.set_interrupt(false);
    assert!(rtc.has_matched() && !rtc.interrupts());
    assert_eq!(irq.edges(), [Raise, Lower]);
}

/// [§3.3.6] A match that is set to the counter is met.
#[testjig::test(on = Pl031, needs(clock))]
fn a_match_of_now_is_met(rtc: Pl031) {
    rtc.set_seconds(500);
    rtc.set_match(500);
    assert!(rtc.has_matched());
}

/// [§3.3.2] What the counter has passed is met again only after its end: here four seconds later.
#[testjig::test(on = Pl031, needs(clock))]
fn a_match_behind_the_counter_waits_for_its_end(rtc: Pl031, vm: &Vm) {
    rtc.set_seconds(u32::MAX - 1);
    rtc.set_match(2);
    vm.clock().step(3 * SECOND);
    assert!(!rtc.has_matched());
    vm.clock().step(SECOND);
    assert!(rtc.has_matched());
}

/// [§3.3.3] A load moves the counter relative to the match.
#[testjig::test(on = Pl031, needs(clock))]
fn a_load_brings_the_match_nearer(rtc: Pl031, vm: &Vm) {
    rtc.set_seconds(0);
    rtc.set_match(1_000_000);
    rtc.set_seconds(999_999);
    vm.clock().step(SECOND);
    assert!(rtc.has_matched());
}

/// [§3.3.8] Only bit 0 of the clear register clears.
#[testjig::test(on = Pl031, needs(clock))]
fn a_zero_clears_nothing(rtc: Pl031) {
    rtc.set_seconds(500);
    rtc.set_match(500);
    rtc.write(reg::CLEAR, 0);
    assert!(rtc.has_matched());
}

/// [Table 3-1] Counter, RTCRIS and RTCMIS can't be written, nor can the identification.
#[testjig::test(on = Pl031)]
fn what_is_only_read_stays(rtc: Pl031) {
    let identification = rtc.identification();
    rtc.set_seconds(77);
    rtc.set_match(1000);
    for offset in [reg::DATA, reg::RAW, reg::MASKED, reg::IDENTIFICATION] {
        rtc.write(offset, 0xffff_ffff);
    }
    assert!((77..80).contains(&rtc.seconds()));
    assert!(!rtc.has_matched() && !rtc.interrupts());
    assert_eq!(rtc.identification(), identification);
}

/// [§3.3.4] "Once it is enabled, any writes to this bit have no effect on the RTC until a system reset."
#[testjig::test(on = Pl031, needs(clock))]
fn what_is_enabled_stays_enabled(rtc: Pl031, vm: &Vm) {
    rtc.write(reg::CONTROL, 1);
    rtc.write(reg::CONTROL, 0);
    assert_eq!(rtc.read(reg::CONTROL), 1);
    let before = rtc.seconds();
    vm.clock().step(5 * SECOND);
    assert_eq!(rtc.seconds() - before, 5);
}

/// [Table 3-1] RTCCR is 0 after a reset: the counter is to be enabled.
#[testjig::test(on = Pl031, xfail = "always 1; no report known")]
fn the_counter_is_enabled_by_software(rtc: Pl031) {
    assert_eq!(rtc.read(reg::CONTROL), 0);
}

/// [§3.3.9, §3.3.10] PrimeCell 031 of Arm, in any revision.
#[testjig::test(on = Pl031)]
fn the_identification_is_a_pl031s(rtc: Pl031) {
    let [part, designer, revision, configuration, cell @ ..] = rtc.identification();
    assert_eq!((part, designer), (0x31, 0x10));
    assert_eq!((revision & 0x0f, configuration), (0x04, 0));
    assert_eq!(cell, [0x0d, 0xf0, 0x05, 0xb1]);
}
