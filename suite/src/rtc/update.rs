//! The update cycle: once a second, announced by UIP, ended by UF.

use super::*;

/// What the clock has to do at the next update depends on which flags the program has left unread.
#[derive(Clone, Copy, Debug)]
enum Unread {
    Nothing,
    Update,
    UpdateAndAlarm,
}

/// Lets one second pass and leaves these flags set.
fn let_a_second_pass(rtc: &Mc146818, vm: &Vm, unread: Unread) {
    if let Unread::UpdateAndAlarm = unread {
        rtc.set_alarm(AlarmMatch::any());
    }
    vm.clock().step(SECOND);
    if let Unread::Nothing = unread {
        rtc.c();
    }
}

/// [Update Cycle] It runs once a second; the first second begins when the machine does.
#[testjig::test(on = Mc146818, needs(clock))]
fn the_first_update_ends_after_one_second(rtc: Mc146818, vm: &Vm) {
    vm.clock().step(SECOND - NANOSECOND);
    assert!(!rtc.c().update());
    assert_eq!(rtc.time(), Time::new(12, 0, 0));
    vm.clock().step(NANOSECOND);
    assert!(rtc.c().update());
    assert_eq!(rtc.time(), Time::new(12, 0, 1));
}

/// [Register B, UIE] The update-ended interrupt comes every second when it is acknowledged.
#[testjig::test(on = Mc146818, needs(clock))]
fn acknowledged_updates_interrupt_every_second(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_b(IDLE.with_update_irq(true));
    assert_eq!(vm.clock().step_until(irq.raised(), 2 * SECOND), SECOND);
    rtc.c();
    assert_eq!(vm.clock().step_until(irq.raised(), 2 * SECOND), SECOND);
    rtc.c();
    assert_eq!(vm.clock().step_until(irq.raised(), 2 * SECOND), SECOND);
}

/// [Update Cycle] An update acknowledged late does not move the next one.
#[testjig::test(on = Mc146818, needs(clock))]
fn a_late_acknowledge_does_not_move_the_next_update(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_b(IDLE.with_update_irq(true));
    vm.clock().step(SECOND + 700 * MILLISECOND);
    rtc.c();
    let wait = vm.clock().step_until(irq.raised(), 2 * SECOND);
    assert_eq!(wait, 300 * MILLISECOND);
}

/// [Register A, UIP] Zero means that no update begins within 244 µs.
#[testjig::test(on = Mc146818, needs(clock), vary(unread = [Unread::Nothing, Unread::Update, Unread::UpdateAndAlarm]))]
fn uip_is_clear_until_244_us_before_the_update(rtc: Mc146818, vm: &Vm, unread: Unread) {
    let_a_second_pass(&rtc, vm, unread);
    vm.clock().step(SECOND - UPDATE_NOTICE - NANOSECOND);
    assert!(!rtc.a().update_in_progress());
}

/// [Register A, UIP] One announces the update, 244 µs ahead.
#[testjig::test(on = Mc146818, needs(clock), vary(unread = [Unread::Nothing, Unread::Update, Unread::UpdateAndAlarm]))]
fn uip_is_set_from_244_us_before_the_update(rtc: Mc146818, vm: &Vm, unread: Unread) {
    let_a_second_pass(&rtc, vm, unread);
    vm.clock().step(SECOND - UPDATE_NOTICE);
    assert!(rtc.a().update_in_progress());
}

/// [Register A, UIP] One stays until the update; that over, UIP is clear. Whether the program had seen it set makes no difference.
#[testjig::test(on = Mc146818, needs(clock), vary(
    unread = [Unread::Nothing, Unread::Update, Unread::UpdateAndAlarm],
    look = [false, true]
))]
fn uip_is_set_until_the_update_and_clear_after_it(
    rtc: Mc146818,
    vm: &Vm,
    unread: Unread,
    look: bool,
) {
    let_a_second_pass(&rtc, vm, unread);
    vm.clock().step(SECOND - NANOSECOND);
    assert!(!look || rtc.a().update_in_progress());
    vm.clock().step(NANOSECOND);
    assert!(!rtc.a().update_in_progress());
    assert_eq!(rtc.time(), Time::new(12, 0, 2));
}

/// [Register A, UIP] Seen set, UIP still ends with its update when the program moves the alarm in between.
#[testjig::test(on = Mc146818, needs(clock))]
fn uip_ends_though_the_alarm_is_moved_meanwhile(rtc: Mc146818, vm: &Vm) {
    leave_update_pending(vm);
    rtc.set_alarm(AlarmMatch::every_minute_at(2));
    vm.clock().step(SECOND - UPDATE_NOTICE / 2);
    assert!(rtc.a().update_in_progress());
    rtc.set_alarm(MIDNIGHT);
    vm.clock().step(UPDATE_NOTICE);
    assert!(!rtc.a().update_in_progress());
}

/// [Register A, UIP] Seen set, UIP does not keep the update from being flagged.
#[testjig::test(on = Mc146818, needs(clock))]
fn an_update_is_flagged_though_uip_was_seen(rtc: Mc146818, vm: &Vm) {
    vm.clock().step(SECOND - NANOSECOND);
    assert!(rtc.a().update_in_progress());
    vm.clock().step(NANOSECOND);
    assert!(rtc.c().update());
}

/// [Register A, UIP] "The UIP bit is a read-only bit."
#[testjig::test(on = Mc146818)]
fn uip_cannot_be_set_by_the_program(rtc: Mc146818) {
    rtc.write(Reg::A, 0xa6);
    assert_eq!(rtc.read(Reg::A), 0x26);
}

/// [Register A, UIP] "The UIP bit is a read-only bit."
#[testjig::test(on = Mc146818, needs(clock))]
fn uip_cannot_be_cleared_by_the_program(rtc: Mc146818, vm: &Vm) {
    vm.clock().step(SECOND - NANOSECOND);
    assert!(rtc.a().update_in_progress());
    rtc.write(Reg::A, 0x26);
    assert_eq!(rtc.read(Reg::A), 0xa6);
}
