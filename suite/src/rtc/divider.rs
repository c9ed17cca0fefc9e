//! The divider chain in register A: time bases, divider reset, test codes.

use super::*;
use testjig::qos::dev::mc146818::{Divider, RegA};

const RESET: RegA = RegA::new().with_divider(Divider::Reset).with_rate(6);
const RUN: RegA = RegA::new().with_divider(Divider::Khz32).with_rate(6);

/// [Register A] A started PC has its 32.768 kHz time base and a rate of 1,024 Hz selected.
#[testjig::test(on = Mc146818)]
fn a_started_machine_runs_from_its_crystal(rtc: Mc146818) {
    assert_eq!(rtc.a(), RUN);
}

/// [Register A] DV and RS read back as written.
#[testjig::test(on = Mc146818)]
fn divider_and_rate_read_back(rtc: Mc146818) {
    for a in [0x00, 0x19, 0x26, 0x35, 0x4a, 0x5c, 0x63, 0x7f] {
        rtc.write(Reg::A, a);
        assert_eq!(rtc.read(Reg::A), a, "{a:#x}");
    }
}

/// [Table 4] Both codes of the divider reset hold the chain: the time stands.
#[testjig::test(on = Mc146818, needs(clock), vary(divider = [Divider::Reset, Divider::Reset7]))]
fn divider_reset_stops_the_time(rtc: Mc146818, vm: &Vm, divider: Divider) {
    rtc.set_a(RUN.with_divider(divider));
    vm.clock().step(3 * SECOND);
    assert_eq!(rtc.time(), Time::new(12, 0, 0));
}

/// [Table 4] The time that stands is that of the moment, whether or not the program has read the clock before.
#[testjig::test(on = Mc146818, needs(clock))]
fn divider_reset_stops_the_time_at_the_moment(rtc: Mc146818, vm: &Vm) {
    leave_update_pending(vm);
    vm.clock().step(9 * SECOND);
    rtc.set_a(RESET);
    vm.clock().step(5 * SECOND);
    assert_eq!(rtc.time(), Time::new(12, 0, 10));
}

/// [Table 4] Without the chain there is no update.
#[testjig::test(on = Mc146818, needs(clock), vary(divider = [Divider::Reset, Divider::Reset7]))]
fn no_update_is_flagged_in_divider_reset(rtc: Mc146818, vm: &Vm, divider: Divider) {
    rtc.set_a(RUN.with_divider(divider));
    vm.clock().step(3 * SECOND);
    assert!(!rtc.c().update());
}

/// [Register A, UIP] No update is coming in divider reset.
#[testjig::test(on = Mc146818, needs(clock))]
fn uip_stays_clear_in_divider_reset(rtc: Mc146818, vm: &Vm) {
    rtc.set_a(RESET);
    vm.clock().step(SECOND - NANOSECOND);
    assert!(!rtc.a().update_in_progress());
}

/// [Register A, UIP] An update that was announced does not come when the chain is reset.
#[testjig::test(on = Mc146818, needs(clock))]
fn divider_reset_takes_back_an_announced_update(rtc: Mc146818, vm: &Vm) {
    vm.clock().step(SECOND - NANOSECOND);
    assert!(rtc.a().update_in_progress());
    rtc.set_a(RESET);
    assert!(!rtc.a().update_in_progress());
    vm.clock().step(SECOND);
    assert!(!rtc.c().update());
}

/// [Register A, DV] The program may set the time while the chain is in reset; writing register A once more changes nothing.
#[testjig::test(on = Mc146818, needs(clock))]
fn time_set_in_divider_reset_stays(rtc: Mc146818, vm: &Vm) {
    rtc.set_a(RESET);
    rtc.write_time(Time::new(3, 4, 5));
    rtc.set_a(RESET.with_rate(7));
    vm.clock().step(2 * SECOND);
    assert_eq!(rtc.time(), Time::new(3, 4, 5));
}

/// [Register A, DV] The date can be set in divider reset as well, in any century; from there the clock goes on.
#[testjig::test(on = Mc146818, needs(clock), vary(year = [1980, 2011, 2080]))]
fn a_date_set_in_divider_reset_goes_on(rtc: Mc146818, vm: &Vm, year: u16) {
    let date = Date::new(year, 2, 2);
    rtc.set_a(RESET);
    rtc.write_date(date);
    rtc.write_time(Time::new(2, 4, 58));
    vm.clock().step(2 * SECOND);
    assert_eq!(rtc.now(), DateTime::new(date, Time::new(2, 4, 58)));
    rtc.set_a(RUN);
    assert_eq!(rtc.now(), DateTime::new(date, Time::new(2, 4, 58)));
    vm.clock().step(500 * MILLISECOND);
    assert_eq!(rtc.now(), DateTime::new(date, Time::new(2, 4, 59)));
}

/// [Register A, DV] "When the divider reset is removed, the first update cycle begins one-half second later."
#[testjig::test(on = Mc146818, needs(clock), vary(divider = [Divider::Reset, Divider::Reset7]))]
fn the_first_update_comes_half_a_second_after_divider_reset(
    rtc: Mc146818,
    vm: &Vm,
    divider: Divider,
) {
    vm.clock().step(300 * MILLISECOND);
    rtc.set_a(RUN.with_divider(divider));
    rtc.write_time(Time::new(3, 4, 5));
    vm.clock().step(2 * SECOND);
    rtc.set_a(RUN);
    vm.clock().step(500 * MILLISECOND - NANOSECOND);
    assert_eq!(rtc.time(), Time::new(3, 4, 5));
    vm.clock().step(NANOSECOND);
    assert_eq!(rtc.time(), Time::new(3, 4, 6));
}

/// [Register A, DV] That first update is flagged, and the next one comes a whole second after it.
#[testjig::test(on = Mc146818, needs(clock))]
fn updates_are_flagged_again_after_divider_reset(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_b(IDLE.with_update_irq(true));
    rtc.set_a(RESET);
    vm.clock().step(2 * SECOND);
    rtc.set_a(RUN);
    assert_eq!(
        vm.clock().step_until(irq.raised(), 2 * SECOND),
        500 * MILLISECOND
    );
    rtc.c();
    assert_eq!(vm.clock().step_until(irq.raised(), 2 * SECOND), SECOND);
}

/// [Register A, UIP] The first update after a divider reset is announced as any other.
#[testjig::test(on = Mc146818, needs(clock))]
fn uip_announces_the_first_update_after_divider_reset(rtc: Mc146818, vm: &Vm) {
    rtc.set_a(RESET);
    rtc.set_a(RUN);
    vm.clock()
        .step(500 * MILLISECOND - UPDATE_NOTICE - NANOSECOND);
    assert!(!rtc.a().update_in_progress());
    vm.clock().step(NANOSECOND);
    assert!(rtc.a().update_in_progress());
}

/// [Register A, DV] An alarm is as far away as the time that was set in divider reset says.
#[testjig::test(on = Mc146818, needs(clock))]
fn an_alarm_counts_from_the_time_set_in_divider_reset(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    leave_update_pending(vm);
    rtc.set_alarm(AlarmMatch::every_hour_at(5, 0));
    rtc.set_b(IDLE.with_alarm_irq(true));
    rtc.set_a(RESET);
    rtc.write_time(Time::new(3, 4, 55));
    rtc.set_a(RUN);
    let wait = vm.clock().step_until(irq.raised(), MINUTE);
    assert_eq!(wait, 4 * SECOND + 500 * MILLISECOND);
}

/// [Table 4] The three operating modes keep time.
#[testjig::test(on = Mc146818, needs(clock), vary(divider = [Divider::Mhz4, Divider::Mhz1]))]
fn an_operating_mode_keeps_time(rtc: Mc146818, vm: &Vm, divider: Divider) {
    rtc.set_a(RUN.with_divider(divider));
    leave_update_pending(vm);
    vm.clock().step(4 * SECOND);
    assert_eq!(rtc.time(), Time::new(12, 0, 5));
}

/// [Table 4] An operating mode, whichever it is, begins half a second after divider reset.
#[testjig::test(on = Mc146818, needs(clock), vary(divider = [Divider::Mhz4, Divider::Mhz1]))]
fn an_operating_mode_begins_after_divider_reset(rtc: Mc146818, vm: &Vm, divider: Divider) {
    rtc.set_a(RESET);
    rtc.write_time(Time::new(3, 4, 5));
    rtc.set_a(RUN.with_divider(divider));
    vm.clock().step(500 * MILLISECOND);
    assert_eq!(rtc.time(), Time::new(3, 4, 6));
}

/// [Table 4] All other codes are for test purposes, none is an operating mode.
#[testjig::test(on = Mc146818, needs(clock), vary(divider = [Divider::Test3, Divider::Test4, Divider::Test5]))]
fn a_test_code_keeps_no_time(rtc: Mc146818, vm: &Vm, divider: Divider) {
    leave_update_pending(vm);
    assert_eq!(rtc.time(), Time::new(12, 0, 1));
    rtc.set_a(RUN.with_divider(divider));
    vm.clock().step(5 * SECOND);
    assert_eq!(rtc.time(), Time::new(12, 0, 1));
}

/// [Table 4] All other codes are for test purposes: no update is announced.
#[testjig::test(on = Mc146818, needs(clock), vary(divider = [Divider::Test3, Divider::Test4, Divider::Test5]))]
fn a_test_code_announces_no_update(rtc: Mc146818, vm: &Vm, divider: Divider) {
    rtc.set_a(RUN.with_divider(divider));
    vm.clock().step(SECOND - NANOSECOND);
    assert!(!rtc.a().update_in_progress());
}

/// [Register A, RS] The rate has nothing to do with the time: a new one leaves the second's phase alone.
#[testjig::test(on = Mc146818, needs(clock))]
fn a_new_rate_leaves_the_time_alone(rtc: Mc146818, vm: &Vm) {
    leave_update_pending(vm);
    vm.clock().step(9 * SECOND + 300 * MILLISECOND);
    rtc.set_a(RUN.with_rate(9));
    assert_eq!(rtc.time(), Time::new(12, 0, 10));
    vm.clock().step(700 * MILLISECOND - NANOSECOND);
    assert_eq!(rtc.time(), Time::new(12, 0, 10));
    vm.clock().step(NANOSECOND);
    assert_eq!(rtc.time(), Time::new(12, 0, 11));
}

/// [Register B, SET] Divider reset ends while SET is still one: the time waits for SET.
#[testjig::test(on = Mc146818, needs(clock))]
fn time_waits_for_set_after_divider_reset(rtc: Mc146818, vm: &Vm) {
    rtc.hold();
    rtc.set_a(RESET);
    rtc.write_time(Time::new(3, 4, 5));
    rtc.set_a(RUN);
    vm.clock().step(3 * SECOND);
    assert_eq!(rtc.time(), Time::new(3, 4, 5));
    rtc.release();
    vm.clock().step(SECOND);
    assert_eq!(rtc.time(), Time::new(3, 4, 6));
}

/// [Register A, DV] SET ends while the chain is still in reset: the time waits for the chain.
#[testjig::test(on = Mc146818, needs(clock))]
fn time_waits_for_divider_reset_after_set(rtc: Mc146818, vm: &Vm) {
    rtc.set_a(RESET);
    rtc.write_time(Time::new(3, 4, 5));
    rtc.hold();
    rtc.release();
    vm.clock().step(3 * SECOND);
    assert_eq!(rtc.time(), Time::new(3, 4, 5));
    rtc.set_a(RUN);
    vm.clock().step(500 * MILLISECOND);
    assert_eq!(rtc.time(), Time::new(3, 4, 6));
}
