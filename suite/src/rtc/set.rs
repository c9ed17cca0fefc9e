//! The SET bit of register B: stops updates of the time registers so that a program can set them.

use super::*;

/// [Register B, SET] One inhibits updates: the time stands.
#[testjig::test(on = Mc146818, needs(clock))]
fn held_time_stands(rtc: Mc146818, vm: &Vm) {
    rtc.hold();
    vm.clock().step(3 * SECOND);
    assert_eq!(rtc.time(), Time::new(12, 0, 0));
}

/// [Register B, SET] The time that stands is that of the moment, whether or not the program has read the clock before.
#[testjig::test(on = Mc146818, needs(clock))]
fn held_time_is_that_of_the_moment(rtc: Mc146818, vm: &Vm) {
    leave_update_pending(vm);
    vm.clock().step(9 * SECOND);
    rtc.hold();
    vm.clock().step(5 * SECOND);
    assert_eq!(rtc.time(), Time::new(12, 0, 10));
}

/// [Register B, SET] The program may initialize the bytes without an update in the midst of it: they hold any value meanwhile.
#[testjig::test(on = Mc146818, needs(clock))]
fn a_held_byte_keeps_what_is_written(rtc: Mc146818, vm: &Vm) {
    for reg in [
        Reg::SECONDS,
        Reg::MINUTES,
        Reg::HOURS,
        Reg::DAY_OF_WEEK,
        Reg::DATE,
        Reg::MONTH,
        Reg::YEAR,
        Reg::CENTURY,
    ] {
        rtc.hold();
        rtc.write(reg, 0x5e);
        vm.clock().step(2 * SECOND);
        assert_eq!(rtc.read(reg), 0x5e, "{reg:?}");
    }
}

/// [Register B, SET] A second write of the bit does not bring back the time of before.
#[testjig::test(on = Mc146818)]
fn holding_twice_keeps_what_was_written(rtc: Mc146818) {
    rtc.hold();
    rtc.write_time(Time::new(3, 4, 5));
    rtc.hold();
    assert_eq!(rtc.time(), Time::new(3, 4, 5));
}

/// [Register B, SET] Zero again, updates go on from what was written.
#[testjig::test(on = Mc146818, needs(clock))]
fn released_time_goes_on_from_what_was_written(rtc: Mc146818, vm: &Vm) {
    rtc.hold();
    rtc.write_date(Date::new(1999, 7, 8));
    rtc.write_time(Time::new(3, 4, 5));
    vm.clock().step(10 * SECOND);
    rtc.release();
    vm.clock().step(2 * SECOND);
    let expected = DateTime::new(Date::new(1999, 7, 8), Time::new(3, 4, 7));
    assert_eq!(rtc.now(), expected);
}

/// [Register B, SET] It stops updates, not the divider chain: the new second begins with the old one's phase.
#[testjig::test(on = Mc146818, needs(clock))]
fn setting_the_time_keeps_the_phase_of_the_second(rtc: Mc146818, vm: &Vm) {
    vm.clock().step(300 * MILLISECOND);
    rtc.set_time(Time::new(3, 4, 5));
    vm.clock().step(700 * MILLISECOND - NANOSECOND);
    assert_eq!(rtc.time(), Time::new(3, 4, 5));
    vm.clock().step(NANOSECOND);
    assert_eq!(rtc.time(), Time::new(3, 4, 6));
}

/// [Register B, SET] The divider chain runs on however long the time is held.
#[testjig::test(on = Mc146818, needs(clock))]
fn holding_long_keeps_the_phase_of_the_second(rtc: Mc146818, vm: &Vm) {
    vm.clock().step(300 * MILLISECOND);
    rtc.hold();
    vm.clock().step(2 * SECOND + 300 * MILLISECOND);
    rtc.release();
    vm.clock().step(400 * MILLISECOND - NANOSECOND);
    assert_eq!(rtc.time(), Time::new(12, 0, 0));
    vm.clock().step(NANOSECOND);
    assert_eq!(rtc.time(), Time::new(12, 0, 1));
}

/// [Register B, SET] Only a change of the bit matters: other writes of register B leave a running clock alone.
#[testjig::test(on = Mc146818, needs(clock))]
fn writing_b_without_set_leaves_the_time_alone(rtc: Mc146818, vm: &Vm) {
    leave_update_pending(vm);
    vm.clock().step(9 * SECOND + 300 * MILLISECOND);
    rtc.set_b(IDLE.with_square_wave(true));
    assert_eq!(rtc.time(), Time::new(12, 0, 10));
    vm.clock().step(700 * MILLISECOND);
    assert_eq!(rtc.time(), Time::new(12, 0, 11));
}

/// [Register B, UIE] SET going high clears UIE.
#[testjig::test(on = Mc146818)]
fn set_clears_the_update_interrupt_enable(rtc: Mc146818) {
    rtc.set_b(RegB::from(0x7a));
    rtc.set_b(RegB::from(0xfa));
    assert_eq!(u8::from(rtc.b()), 0xea);
}

/// [Register B, UIE] Together with SET it can't be set either: no update is flagged to the processor.
#[testjig::test(on = Mc146818, needs(clock))]
fn no_update_interrupt_comes_while_held(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_b(IDLE.with_set(true).with_update_irq(true));
    vm.clock().step(3 * SECOND);
    assert_eq!(irq.edges(), []);
}

/// [Register A, UIP] Writing SET to one clears UIP.
#[testjig::test(on = Mc146818, needs(clock), vary(look = [false, true]))]
fn set_clears_uip(rtc: Mc146818, vm: &Vm, look: bool) {
    vm.clock().step(SECOND - NANOSECOND);
    assert!(!look || rtc.a().update_in_progress());
    rtc.hold();
    assert!(!rtc.a().update_in_progress());
}

/// [Register A, UIP] No update is coming while SET is one.
#[testjig::test(on = Mc146818, needs(clock))]
fn uip_stays_clear_while_held(rtc: Mc146818, vm: &Vm) {
    rtc.hold();
    vm.clock().step(SECOND - NANOSECOND);
    assert!(!rtc.a().update_in_progress());
    vm.clock().step(SECOND);
    assert!(!rtc.a().update_in_progress());
}

/// [Register B, SET] No update, no alarm: the time that would match is never reached.
#[testjig::test(on = Mc146818, needs(clock))]
fn no_alarm_comes_while_held(rtc: Mc146818, vm: &Vm) {
    leave_update_pending(vm);
    rtc.set_alarm(AlarmMatch::every_minute_at(5));
    rtc.hold();
    vm.clock().step(10 * SECOND);
    assert!(!rtc.c().alarm());
}

/// [Register B, SET] Released, the time reaches the alarm as far away as it then is.
#[testjig::test(on = Mc146818, needs(clock))]
fn an_alarm_comes_after_the_release(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    leave_update_pending(vm);
    rtc.set_alarm(AlarmMatch::every_minute_at(5));
    rtc.set_b(IDLE.with_alarm_irq(true).with_set(true));
    vm.clock().step(10 * SECOND);
    rtc.release();
    assert_eq!(vm.clock().step_until(irq.raised(), MINUTE), 4 * SECOND);
}

/// [Register B, SET] Released, updates are flagged again.
#[testjig::test(on = Mc146818, needs(clock))]
fn updates_are_flagged_after_the_release(rtc: Mc146818, vm: &Vm) {
    leave_update_pending(vm);
    rtc.hold();
    vm.clock().step(3 * SECOND);
    rtc.release();
    rtc.c();
    vm.clock().step(SECOND);
    assert!(rtc.c().update());
}

/// [Register B, DM] A change of mode does not convert what is in the bytes.
#[testjig::test(on = Mc146818)]
fn a_change_of_format_converts_nothing_while_held(rtc: Mc146818) {
    rtc.hold();
    rtc.write(Reg::MINUTES, 0x47);
    rtc.set_b(IDLE.with_set(true).with_binary(true));
    assert_eq!(rtc.read(Reg::MINUTES), 0x47);
}

/// [Register B, DM and 24/12] After a change of mode all bytes must be written anew; from then on they count in that mode.
#[testjig::test(on = Mc146818, needs(clock))]
fn a_time_set_in_a_new_format_goes_on_in_it(rtc: Mc146818, vm: &Vm) {
    for format in FORMATS {
        rtc.set_b(RegB::new().with_set(true).with_format(format));
        rtc.write_date(THURSDAY);
        rtc.write_time(Time::new(22, 47, 58));
        rtc.release();
        vm.clock().step(SECOND);
        let expected = DateTime::new(THURSDAY, Time::new(22, 47, 59));
        assert_eq!(rtc.now(), expected, "{format:?}");
    }
}
