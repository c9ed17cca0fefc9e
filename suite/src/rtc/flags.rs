//! Interrupt flags in register C, their enables in register B, and the line.
//!
//! [Register C, IRQF] The line is active while PF·PIE + AF·AIE + UF·UIE is true.

use super::*;
use testjig::qos::dev::mc146818::{RegA, RegC};

/// One of the three interrupts.
#[derive(Clone, Copy, Debug)]
enum Source {
    Periodic,
    Alarm,
    Update,
}

use Source::{Alarm, Periodic, Update};

impl Source {
    fn enabled(self) -> RegB {
        match self {
            Periodic => IDLE.with_periodic_irq(true),
            Alarm => IDLE.with_alarm_irq(true),
            Update => IDLE.with_update_irq(true),
        }
    }

    fn is_set(self, c: RegC) -> bool {
        match self {
            Periodic => c.periodic(),
            Alarm => c.alarm(),
            Update => c.update(),
        }
    }
}

/// Sets the flags of all three interrupts, with none enabled.
fn set_all_flags(rtc: &Mc146818, vm: &Vm) {
    rtc.set_alarm(AlarmMatch::any());
    rtc.set_b(IDLE.with_periodic_irq(true));
    vm.clock().step(SECOND);
    rtc.set_b(IDLE);
}

/// [Register C] All flags are independent of each other.
#[testjig::test(on = Mc146818, needs(clock))]
fn all_three_flags_can_be_set(rtc: Mc146818, vm: &Vm) {
    set_all_flags(&rtc, vm);
    let all = RegC::new()
        .with_periodic(true)
        .with_alarm(true)
        .with_update(true);
    assert_eq!(rtc.c(), all);
}

/// [Register C] A read clears all flags.
#[testjig::test(on = Mc146818, needs(clock))]
fn reading_c_clears_every_flag(rtc: Mc146818, vm: &Vm) {
    set_all_flags(&rtc, vm);
    rtc.c();
    assert_eq!(rtc.c(), RegC::empty());
}

/// [Register C] The four unused bits read as zeros, and a started clock has no flag set.
#[testjig::test(on = Mc146818)]
fn c_starts_empty(rtc: Mc146818) {
    assert_eq!(rtc.c(), RegC::empty());
}

/// [Register C] It is a read-only register.
#[testjig::test(on = Mc146818, needs(clock))]
fn writing_c_changes_nothing(rtc: Mc146818, vm: &Vm) {
    set_all_flags(&rtc, vm);
    rtc.write(Reg::C, 0x00);
    assert_eq!(u8::from(rtc.c()), 0x70);
    rtc.write(Reg::C, 0xff);
    assert_eq!(u8::from(rtc.c()), 0x00);
}

/// [Register B] An interrupt flag is set whether or not its enable is; only the line needs the enable.
#[testjig::test(on = Mc146818, needs(clock))]
fn a_flag_is_set_without_its_enable(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    for source in [Alarm, Update] {
        rtc.set_alarm(AlarmMatch::any());
        vm.clock().step(SECOND);
        let c = rtc.c();
        assert!(source.is_set(c), "{source:?}");
        assert!(!c.irq(), "{source:?}");
        assert_eq!(irq.edges(), [], "{source:?}");
    }
}

/// [Register B] An enabled interrupt raises the line and sets IRQF.
#[testjig::test(on = Mc146818, needs(clock))]
fn an_enabled_interrupt_raises_the_line(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    for source in [Periodic, Alarm, Update] {
        rtc.set_alarm(AlarmMatch::any());
        rtc.set_b(source.enabled());
        vm.clock().step(SECOND);
        assert_eq!(irq.edges(), [Raise], "{source:?}");
        let c = rtc.c();
        assert!(source.is_set(c), "{source:?}");
        assert!(c.irq(), "{source:?}");
        rtc.set_b(IDLE);
        irq.clear();
    }
}

/// [Register C] Reading releases the line.
#[testjig::test(on = Mc146818, needs(clock))]
fn reading_c_releases_the_line(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    for source in [Periodic, Alarm, Update] {
        rtc.set_alarm(AlarmMatch::any());
        rtc.set_b(source.enabled());
        vm.clock().step(SECOND);
        rtc.c();
        assert_eq!(irq.edges(), [Raise, Lower], "{source:?}");
        assert!(!irq.level(), "{source:?}");
        rtc.set_b(IDLE);
        irq.clear();
    }
}

/// [Register B] Enabling an interrupt whose flag is set raises the line at once.
#[testjig::test(on = Mc146818, needs(clock))]
fn enabling_a_pending_interrupt_raises_the_line(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    for source in [Periodic, Alarm, Update] {
        set_all_flags(&rtc, vm);
        irq.clear();
        rtc.set_b(source.enabled());
        assert_eq!(irq.edges(), [Raise], "{source:?}");
        assert_eq!(u8::from(rtc.c()), 0xf0, "{source:?}");
    }
}

/// [Register C, IRQF] Disabling the pending interrupt releases the line and clears IRQF; the flags stay.
#[testjig::test(on = Mc146818, needs(clock))]
fn disabling_a_pending_interrupt_releases_the_line(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    for source in [Periodic, Alarm, Update] {
        set_all_flags(&rtc, vm);
        irq.clear();
        rtc.set_b(source.enabled());
        rtc.set_b(IDLE);
        assert_eq!(irq.edges(), [Raise, Lower], "{source:?}");
        assert_eq!(u8::from(rtc.c()), 0x70, "{source:?}");
    }
}

/// [Register C, IRQF] SET is no interrupt enable: with it, too, the line is released when nothing enabled is pending.
#[testjig::test(on = Mc146818, needs(clock))]
fn disabling_a_pending_interrupt_with_set_releases_the_line(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_b(IDLE.with_update_irq(true));
    vm.clock().step(SECOND);
    rtc.set_b(IDLE.with_set(true));
    assert_eq!(irq.edges(), [Raise, Lower]);
    assert!(!rtc.c().irq());
}

/// [Register C, IRQF] One pending interrupt out of two enabled keeps the line active.
#[testjig::test(on = Mc146818, needs(clock))]
fn the_line_stays_active_for_a_second_interrupt(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    set_all_flags(&rtc, vm);
    irq.clear();
    rtc.set_b(IDLE.with_update_irq(true).with_alarm_irq(true));
    rtc.set_b(IDLE.with_alarm_irq(true));
    assert_eq!(irq.edges(), [Raise]);
    assert!(rtc.c().irq());
}

/// [Register C] Enabling one interrupt does not raise the line for the flag of another.
#[testjig::test(on = Mc146818, needs(clock))]
fn an_enable_is_not_for_other_flags(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    vm.clock().step(SECOND);
    rtc.set_b(IDLE.with_alarm_irq(true));
    assert_eq!(irq.edges(), []);
    assert_eq!(rtc.c(), RegC::new().with_update(true));
}

/// [Register C, IRQF] An unacknowledged line stays active; the next update changes nothing about it.
#[testjig::test(on = Mc146818, needs(clock))]
fn an_unacknowledged_update_raises_the_line_once(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_b(IDLE.with_update_irq(true));
    vm.clock().step(3 * SECOND);
    assert_eq!(irq.edges(), [Raise]);
}

/// [Register C] An alarm that comes while an update is pending sets its flag and raises the line.
#[testjig::test(on = Mc146818, needs(clock))]
fn an_alarm_is_seen_while_an_update_is_pending(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_alarm(AlarmMatch::every_minute_at(3));
    rtc.set_b(IDLE.with_alarm_irq(true));
    vm.clock().step(2 * SECOND);
    assert_eq!(irq.edges(), []);
    vm.clock().step(SECOND);
    assert_eq!(irq.edges(), [Raise]);
    assert_eq!(u8::from(rtc.c()), 0xb0);
}

/// [Register C] An update that comes while a periodic interrupt is pending sets its flag.
#[testjig::test(on = Mc146818, needs(clock))]
fn an_update_is_seen_while_a_tick_is_pending(rtc: Mc146818, vm: &Vm) {
    rtc.set_a(RegA::from(0x2f));
    rtc.set_b(IDLE.with_periodic_irq(true));
    vm.clock().step(SECOND - NANOSECOND);
    rtc.set_b(IDLE);
    vm.clock().step(NANOSECOND);
    assert_eq!(rtc.c(), RegC::new().with_periodic(true).with_update(true));
}

/// [Register C] Acknowledging an alarm lets the next update set its flag.
#[testjig::test(on = Mc146818, needs(clock))]
fn updates_go_on_after_an_acknowledged_alarm(rtc: Mc146818, vm: &Vm) {
    rtc.set_alarm(AlarmMatch::every_minute_at(1));
    vm.clock().step(3 * SECOND);
    assert_eq!(rtc.c(), RegC::new().with_alarm(true).with_update(true));
    vm.clock().step(SECOND);
    assert_eq!(rtc.c(), RegC::new().with_update(true));
}

/// [Register D] It is read-only: VRT reads one while the battery is good, the other seven bits zero.
#[testjig::test(on = Mc146818)]
fn writing_d_changes_nothing(rtc: Mc146818) {
    rtc.write(Reg::D, 0x7f);
    assert_eq!(u8::from(rtc.d()), 0x80);
}
