//! What a reset of the machine clears, and what the battery keeps.
//!
//! [Signal Descriptions, RESET] Reset does not affect the clock, calendar or RAM; it clears the interrupt enables and flags and SQWE.

use super::*;
use testjig::qos::dev::mc146818::{RegA, RegC};

/// [Signal Descriptions, RESET] PIE, AIE and SQWE are cleared to zero.
#[testjig::test(on = Mc146818)]
fn a_reset_clears_an_enable(rtc: Mc146818, vm: &Vm) {
    for b in [
        IDLE.with_periodic_irq(true),
        IDLE.with_alarm_irq(true),
        IDLE.with_square_wave(true),
    ] {
        rtc.set_b(b);
        vm.reset();
        assert_eq!(rtc.b(), IDLE, "{b:?}");
    }
}

/// [Signal Descriptions, RESET] The modes and SET are not among what is cleared.
#[testjig::test(on = Mc146818)]
fn a_reset_keeps_the_modes(rtc: Mc146818, vm: &Vm) {
    for b in [
        IDLE.with_set(true),
        IDLE.with_binary(true),
        IDLE.with_daylight_saving(true),
        RegB::new(),
    ] {
        rtc.set_b(b);
        vm.reset();
        assert_eq!(rtc.b(), b, "{b:?}");
    }
}

/// [Register A] The bits are not affected by RESET.
#[testjig::test(on = Mc146818)]
fn a_reset_keeps_register_a(rtc: Mc146818, vm: &Vm) {
    rtc.set_a(RegA::from(0x1b));
    vm.reset();
    assert_eq!(rtc.a(), RegA::from(0x1b));
}

/// [Signal Descriptions, RESET] IRQF, PF, AF and UF are cleared to zero.
#[testjig::test(on = Mc146818, needs(clock))]
fn a_reset_clears_every_flag(rtc: Mc146818, vm: &Vm) {
    rtc.set_alarm(AlarmMatch::any());
    rtc.set_b(IDLE.with_periodic_irq(true));
    vm.clock().step(SECOND);
    vm.reset();
    assert_eq!(rtc.c(), RegC::empty());
}

/// [Signal Descriptions, RESET] The line is released: the IRQ pin is in its high-impedance state.
#[testjig::test(on = Mc146818, needs(clock))]
fn a_reset_releases_the_line(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_alarm(AlarmMatch::any());
    rtc.set_b(IDLE.with_alarm_irq(true));
    vm.clock().step(SECOND);
    vm.reset();
    assert_eq!(irq.edges(), [Raise, Lower]);
}

/// [Signal Descriptions, RESET] An interrupt that was enabled does not come after it.
#[testjig::test(on = Mc146818, needs(clock))]
fn no_interrupt_comes_after_a_reset(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_alarm(AlarmMatch::any());
    rtc.set_b(IDLE.with_alarm_irq(true).with_periodic_irq(true));
    vm.reset();
    vm.clock().step(2 * SECOND);
    assert_eq!(irq.edges(), []);
}

/// [Signal Descriptions, RESET] The clock and calendar run through it.
#[testjig::test(on = Mc146818, needs(clock))]
fn time_goes_on_through_a_reset(rtc: Mc146818, vm: &Vm) {
    let set = Date::new(1999, 7, 8);
    rtc.set(DateTime::new(set, Time::new(3, 4, 5)));
    vm.clock().step(3 * SECOND + 300 * MILLISECOND);
    vm.reset();
    vm.clock().step(700 * MILLISECOND);
    assert_eq!(rtc.now(), DateTime::new(set, Time::new(3, 4, 9)));
}

/// [Signal Descriptions, RESET] Updates are flagged after it as before, though their flags had never been read.
#[testjig::test(on = Mc146818, needs(clock))]
fn updates_are_flagged_after_a_reset(rtc: Mc146818, vm: &Vm) {
    rtc.set_alarm(AlarmMatch::any());
    vm.clock().step(SECOND);
    rtc.set_alarm(MIDNIGHT);
    vm.reset();
    vm.clock().step(SECOND);
    assert_eq!(rtc.c(), RegC::new().with_update(true));
}

/// [Signal Descriptions, RESET] RAM and alarm bytes are not affected.
#[testjig::test(on = Mc146818)]
fn a_reset_keeps_a_byte(rtc: Mc146818, vm: &Vm) {
    for reg in [
        Reg::SECONDS_ALARM,
        Reg::MINUTES_ALARM,
        Reg::HOURS_ALARM,
        Reg::at(0x0e),
        Reg::at(0x10),
        Reg::at(0x33),
        Reg::at(0x7f),
    ] {
        rtc.write(reg, 0x9c);
        vm.reset();
        assert_eq!(rtc.read(reg), 0x9c, "{reg:?}");
    }
}

/// [PC/AT, byte 0FH] The shutdown status is zero after a power-on reset.
#[testjig::test(on = Mc146818)]
fn a_reset_clears_the_shutdown_status(rtc: Mc146818, vm: &Vm) {
    for status in [0x05, 0x0a, 0xff] {
        rtc.write(Reg::SHUTDOWN_STATUS, status);
        vm.reset();
        assert_eq!(rtc.read(Reg::SHUTDOWN_STATUS), 0x00, "{status:#x}");
    }
}

/// SeaBIOS takes FE for "resume from S3"; it must find it after the reset that ends the sleep.
#[testjig::test(on = Mc146818)]
fn a_reset_keeps_the_shutdown_status_of_a_resume(rtc: Mc146818, vm: &Vm) {
    rtc.write(Reg::SHUTDOWN_STATUS, 0xfe);
    vm.reset();
    assert_eq!(rtc.read(Reg::SHUTDOWN_STATUS), 0xfe);
}
