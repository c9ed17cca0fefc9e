//! Lost ticks: `lost_tick_policy=slew`, QEMU's remedy for guests that count periodic interrupts and can't take them all.
//!
//! No data sheet knows it; this is what QEMU's manual promises for `-rtc driftfix=slew` and what can be observed. A tick is lost when
//! the local APIC still holds the one before. Lost ticks are repeated: when the guest acknowledges a tick by reading register C, and
//! by a timer, sooner the more of them there are.

use super::*;
use std::cell::Cell;
use testjig::qos::dev::ioapic::{IoApic, Redirection};
use testjig::qos::dev::mc146818::{Divider, RegA};

/// RS for a tick each 15.625 ms: thirty of them come before the first update.
const RATE_64_HZ: u8 = 10;
const PERIOD: Duration = Duration::from_micros(15_625);

const TICK: u8 = 0xc0;

fn slew(launch: Launch) -> Launch {
    no_pit(launch).global("mc146818rtc", "lost_tick_policy", "slew")
}

/// A guest that takes ticks when told to. Its processor never runs, so a vector that was delivered once stays in the local APIC, and a
/// further tick on it is lost; a vector that was not used yet can be delivered.
struct Guest<'a> {
    rtc: &'a Mc146818,
    vm: &'a Vm,
    ioapic: IoApic,
    unused_vector: Cell<u8>,
}

impl<'a> Guest<'a> {
    fn new(rtc: &'a Mc146818, vm: &'a Vm) -> Self {
        Self {
            rtc,
            vm,
            ioapic: IoApic::new(vm),
            unused_vector: Cell::new(0x30),
        }
    }

    /// The next tick will be delivered.
    #[track_caller]
    fn takes_a_tick(&self) {
        let vector = self.unused_vector.replace(self.unused_vector.get() + 1);
        self.ioapic
            .set_redirection(8, Redirection::new().with_vector(vector));
    }

    /// No tick will be delivered.
    #[track_caller]
    fn takes_none(&self) {
        self.ioapic
            .set_redirection(8, Redirection::new().with_masked(true));
    }

    #[track_caller]
    fn select(&self, rate: u8) {
        self.rtc
            .set_a(RegA::new().with_divider(Divider::Khz32).with_rate(rate));
    }

    /// Has the clock tick at 64 Hz until so many ticks are lost: to the moment of the last.
    #[track_caller]
    fn loses(&self, ticks: u32) {
        self.takes_none();
        self.rtc.set_b(IDLE);
        self.select(RATE_64_HZ);
        self.rtc.set_b(IDLE.with_periodic_irq(true));
        self.vm.clock().step(PERIOD * ticks + NANOSECOND);
    }

    /// Acknowledges the pending tick, and counts those that are repeated for it when all are taken.
    #[track_caller]
    fn acknowledges_all(&self) -> usize {
        self.takes_a_tick();
        assert_eq!(u8::from(self.rtc.c()), TICK);
        let repeated = std::iter::from_fn(|| {
            self.takes_a_tick();
            self.rtc.c().periodic().then_some(())
        });
        repeated.count()
    }

    /// Acknowledges ticks without taking any, until none is repeated.
    #[track_caller]
    fn acknowledges_in_vain(&self) -> usize {
        let acknowledged = std::iter::from_fn(|| self.rtc.c().periodic().then_some(()));
        acknowledged.count()
    }
}

/// A tick that is taken is not lost, so nothing is repeated.
#[testjig::test(on = Mc146818, needs(clock), launch = slew)]
fn a_taken_tick_is_not_repeated(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    let guest = Guest::new(&rtc, vm);
    guest.loses(0);
    guest.takes_a_tick();
    vm.clock().step(PERIOD);
    assert_eq!(guest.acknowledges_all(), 0);
    assert_eq!(irq.edges(), [Raise, Lower]);
}

/// A tick is lost when the one before has not been taken.
#[testjig::test(on = Mc146818, needs(clock), launch = slew)]
fn a_tick_on_top_of_an_untaken_one_is_lost(rtc: Mc146818, vm: &Vm) {
    let guest = Guest::new(&rtc, vm);
    guest.loses(0);
    guest.takes_a_tick();
    vm.clock().step(2 * PERIOD);
    assert_eq!(guest.acknowledges_all(), 1);
}

/// Every lost tick is repeated.
#[testjig::test(on = Mc146818, needs(clock), launch = slew, vary(lost = [1, 19]))]
fn every_lost_tick_is_repeated(rtc: Mc146818, vm: &Vm, lost: u32) {
    let guest = Guest::new(&rtc, vm);
    guest.loses(lost);
    assert_eq!(guest.acknowledges_all(), lost as usize);
}

/// A repeated tick is an interrupt as any other: IRQF and PF, and an edge of the line.
#[testjig::test(on = Mc146818, needs(clock), launch = slew)]
fn a_repeated_tick_is_an_interrupt(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    let guest = Guest::new(&rtc, vm);
    guest.loses(1);
    irq.clear();
    guest.takes_a_tick();
    rtc.c();
    assert_eq!(irq.edges(), [Lower, Raise]);
    assert_eq!(u8::from(rtc.c()), TICK);
    assert_eq!(irq.edges(), [Lower, Raise, Lower]);
}

/// A repeated tick that is lost again stays lost.
#[testjig::test(on = Mc146818, needs(clock), launch = slew)]
fn a_repeated_tick_can_be_lost_again(rtc: Mc146818, vm: &Vm) {
    let guest = Guest::new(&rtc, vm);
    guest.loses(2);
    assert_eq!(u8::from(rtc.c()), TICK);
    assert_eq!(u8::from(rtc.c()), TICK);
    assert_eq!(guest.acknowledges_all(), 2);
}

/// Without slew a lost tick is lost.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn lost_ticks_are_not_repeated_by_default(rtc: Mc146818, vm: &Vm) {
    let guest = Guest::new(&rtc, vm);
    guest.loses(3);
    assert_eq!(guest.acknowledges_all(), 0);
}

/// `-rtc driftfix=slew` is the same policy.
#[testjig::test(on = Mc146818, needs(clock), launch = |l| no_pit(l).rtc(Rtc::default().option("driftfix", "slew")))]
fn driftfix_slew_repeats_lost_ticks(rtc: Mc146818, vm: &Vm) {
    let guest = Guest::new(&rtc, vm);
    guest.loses(3);
    assert_eq!(guest.acknowledges_all(), 3);
}

/// A guest that acknowledges without taking is not flooded: twenty repeats until the next tick.
#[testjig::test(on = Mc146818, needs(clock), launch = slew)]
fn twenty_ticks_in_a_row_are_repeated(rtc: Mc146818, vm: &Vm) {
    let guest = Guest::new(&rtc, vm);
    guest.loses(30);
    assert_eq!(guest.acknowledges_in_vain(), 1 + 20);
}

/// The next tick allows twenty repeats again.
#[testjig::test(on = Mc146818, needs(clock), launch = slew)]
fn the_next_tick_allows_twenty_repeats_again(rtc: Mc146818, vm: &Vm) {
    let guest = Guest::new(&rtc, vm);
    guest.loses(30);
    guest.acknowledges_in_vain();
    vm.clock().step(PERIOD);
    assert_eq!(guest.acknowledges_in_vain(), 1 + 20);
}

/// The timer repeats a lost tick after a fraction of the period: a half for one, down to an eighth for seven and more.
#[testjig::test(on = Mc146818, needs(clock), launch = slew, vary(lost = [(1, 2), (3, 4), (7, 8), (9, 8)]))]
fn a_timer_repeats_a_lost_tick(rtc: Mc146818, vm: &Vm, lost: (u32, u32)) {
    let (ticks, fraction) = lost;
    let guest = Guest::new(&rtc, vm);
    guest.loses(ticks);
    guest.takes_a_tick();
    vm.clock().step(PERIOD / fraction);
    assert_eq!(guest.acknowledges_all(), ticks as usize - 1);
}

/// The timer does not hurry.
#[testjig::test(on = Mc146818, needs(clock), launch = slew, vary(lost = [(1, 2), (3, 4), (7, 8), (9, 8)]))]
fn a_timer_does_not_repeat_a_lost_tick_early(rtc: Mc146818, vm: &Vm, lost: (u32, u32)) {
    let (ticks, fraction) = lost;
    let guest = Guest::new(&rtc, vm);
    guest.loses(ticks);
    guest.takes_a_tick();
    vm.clock().step(PERIOD / fraction - 2 * NANOSECOND);
    assert_eq!(guest.acknowledges_all(), ticks as usize);
}

/// A repeat of the timer is an interrupt as any other: IRQF and PF, and an edge of the line.
#[testjig::test(on = Mc146818, needs(clock), launch = slew)]
fn a_tick_repeated_by_the_timer_is_an_interrupt(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    let guest = Guest::new(&rtc, vm);
    guest.loses(30);
    guest.acknowledges_in_vain();
    irq.clear();
    vm.clock().step(PERIOD / 8);
    assert_eq!(irq.edges(), [Raise]);
    assert_eq!(u8::from(rtc.c()), TICK);
}

/// The timer tries again when its repeat is lost as well.
#[testjig::test(on = Mc146818, needs(clock), launch = slew)]
fn the_timer_goes_on_while_ticks_are_lost(rtc: Mc146818, vm: &Vm) {
    let guest = Guest::new(&rtc, vm);
    guest.loses(3);
    vm.clock().step(PERIOD / 4);
    guest.takes_a_tick();
    vm.clock().step(PERIOD / 4);
    assert_eq!(guest.acknowledges_all(), 2);
}

/// All caught up, the timer rests.
#[testjig::test(on = Mc146818, needs(clock), launch = slew)]
fn the_timer_rests_when_all_is_repeated(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    let guest = Guest::new(&rtc, vm);
    guest.loses(3);
    guest.acknowledges_all();
    irq.clear();
    vm.clock().step(PERIOD - 2 * NANOSECOND);
    assert_eq!(irq.edges(), []);
}

/// Lost time counts, not lost ticks: at half the rate half as many are repeated.
#[testjig::test(on = Mc146818, needs(clock), launch = slew, vary(change = [(RATE_64_HZ + 1, 4), (RATE_64_HZ + 2, 2), (RATE_64_HZ - 1, 16)]))]
fn a_new_rate_rescales_what_is_lost(rtc: Mc146818, vm: &Vm, change: (u8, usize)) {
    let (rate, repeated) = change;
    let guest = Guest::new(&rtc, vm);
    guest.loses(8);
    guest.select(rate);
    assert_eq!(guest.acknowledges_all(), repeated);
}

/// What is less than a period of the new rate brings its first tick forward.
#[testjig::test(on = Mc146818, needs(clock), launch = slew)]
fn the_rest_of_what_is_lost_brings_the_next_tick_forward(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    let guest = Guest::new(&rtc, vm);
    guest.loses(3);
    guest.select(RATE_64_HZ + 1);
    assert_eq!(guest.acknowledges_all(), 1);
    let wait = vm.clock().step_until(irq.raised(), SECOND);
    assert!(
        wait.abs_diff(PERIOD) <= NANOSECOND,
        "the tick came after {wait:?}"
    );
}

/// Time since the last tick counts too.
#[testjig::test(on = Mc146818, needs(clock), launch = slew)]
fn time_since_the_last_tick_is_rescaled_too(rtc: Mc146818, vm: &Vm) {
    let guest = Guest::new(&rtc, vm);
    guest.loses(0);
    vm.clock().step(PERIOD * 4 / 5);
    guest.select(RATE_64_HZ - 2);
    vm.clock().step(PERIOD / 4);
    // Four fifths of the period are three ticks of a quarter, and a rest that brought forward a fourth.
    assert_eq!(guest.acknowledges_all(), 4);
}

/// The timer's fraction is one of the new period.
#[testjig::test(on = Mc146818, needs(clock), launch = slew)]
fn a_new_rate_spreads_the_repeats_over_its_period(rtc: Mc146818, vm: &Vm) {
    let guest = Guest::new(&rtc, vm);
    guest.loses(8);
    guest.select(RATE_64_HZ + 2);
    guest.takes_a_tick();
    vm.clock().step(PERIOD);
    assert_eq!(guest.acknowledges_all(), 2);
}

/// Disabling the periodic interrupt forgets what was lost.
#[testjig::test(on = Mc146818, needs(clock), launch = slew)]
fn disabling_ticks_forgets_lost_ones(rtc: Mc146818, vm: &Vm) {
    let guest = Guest::new(&rtc, vm);
    guest.loses(3);
    rtc.set_b(IDLE);
    rtc.set_b(IDLE.with_periodic_irq(true));
    assert_eq!(guest.acknowledges_all(), 0);
}

/// A reset forgets what was lost: no tick is repeated after it.
#[testjig::test(on = Mc146818, needs(clock), launch = slew)]
fn a_reset_forgets_lost_ticks(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    Guest::new(&rtc, vm).loses(3);
    vm.reset();
    irq.clear();
    vm.clock().step(PERIOD - 2 * NANOSECOND);
    assert_eq!(irq.edges(), []);
    assert_eq!(u8::from(rtc.c()), 0x00);
}

/// A reset allows twenty repeats again.
#[testjig::test(on = Mc146818, needs(clock), launch = slew)]
fn a_reset_allows_twenty_repeats_again(rtc: Mc146818, vm: &Vm) {
    let guest = Guest::new(&rtc, vm);
    guest.loses(3);
    assert_eq!(u8::from(rtc.c()), TICK);
    assert_eq!(u8::from(rtc.c()), TICK);
    vm.reset();
    guest.loses(30);
    assert_eq!(guest.acknowledges_in_vain(), 1 + 20);
}

/// `rtc-reset-reinjection`, for hosts that have set a resumed guest's time by other means, forgets what was lost.
#[testjig::test(on = Mc146818, needs(clock), launch = slew)]
fn rtc_reset_reinjection_forgets_lost_ticks(rtc: Mc146818, vm: &Vm) {
    let guest = Guest::new(&rtc, vm);
    guest.loses(3);
    vm.qmp_raw("rtc-reset-reinjection", ().into());
    assert_eq!(guest.acknowledges_all(), 0);
}
