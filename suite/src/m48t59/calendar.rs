//! The time registers.

use super::*;

/// [Table 5] Date and time are two decimal digits a byte.
#[testjig::test(on = Timekeeper)]
fn a_started_machine_shows_its_moment(rtc: Timekeeper) {
    assert_eq!(rtc.now(), NOON);
    let year = bcd((2026 - rtc.base_year()) as u8);
    assert_eq!(
        [
            Reg::YEAR,
            Reg::MONTH,
            Reg::DATE,
            Reg::HOURS,
            Reg::MINUTES,
            Reg::SECONDS
        ]
        .map(|reg| rtc.read(reg)),
        [year, 0x01, 0x15, 0x12, 0x00, 0x00]
    );
}

/// [§3.1] The registers are updated once a second.
#[testjig::test(on = Timekeeper, needs(clock))]
fn a_second_passes_in_a_second(rtc: Timekeeper, vm: &Vm) {
    vm.clock().step(SECOND - Duration::from_nanos(1));
    assert_eq!(rtc.time(), Time::new(12, 0, 0));
    vm.clock().step(Duration::from_nanos(1));
    assert_eq!(rtc.time(), Time::new(12, 0, 1));
}

/// [§3] Hours are 0 to 23; months of 28, 29, 30 and 31 days are made by the chip.
#[testjig::test(on = Timekeeper, needs(clock), vary(turn = [
    (at(2026, 5, 6, 7, 9, 59), at(2026, 5, 6, 7, 10, 0)),
    (at(2026, 5, 6, 9, 59, 59), at(2026, 5, 6, 10, 0, 0)),
    (at(2026, 5, 6, 12, 59, 59), at(2026, 5, 6, 13, 0, 0)),
    (at(2026, 5, 9, 23, 59, 59), at(2026, 5, 10, 0, 0, 0)),
    (at(2026, 4, 30, 23, 59, 59), at(2026, 5, 1, 0, 0, 0)),
    (at(2026, 2, 28, 23, 59, 59), at(2026, 3, 1, 0, 0, 0)),
    (at(2028, 2, 28, 23, 59, 59), at(2028, 2, 29, 0, 0, 0)),
    (at(2028, 2, 29, 23, 59, 59), at(2028, 3, 1, 0, 0, 0)),
    (at(2026, 12, 31, 23, 59, 59), at(2027, 1, 1, 0, 0, 0)),
]))]
fn a_turn_is_carried(rtc: Timekeeper, vm: &Vm, turn: (DateTime, DateTime)) {
    let (before, after) = turn;
    set_and_meet(&rtc, vm, before);
    vm.clock().step(SECOND);
    assert_eq!(rtc.now(), after);
}

/// [Table 5] The range of each register; the others are not touched.
#[testjig::test(on = Timekeeper, launch = on_the_hosts_clock, vary(field = [
    (Reg::MINUTES, 0, 59),
    (Reg::HOURS, 0, 23),
    (Reg::DATE, 1, 30),
    (Reg::MONTH, 1, 12),
    (Reg::YEAR, 0, 99),
]))]
fn a_register_takes_its_range_alone(rtc: Timekeeper, field: (Reg, u8, u8)) {
    let (reg, first, last) = field;
    let all = [Reg::MINUTES, Reg::HOURS, Reg::DATE, Reg::MONTH, Reg::YEAR];
    let others = || -> Vec<u8> {
        let others = all.iter().filter(|other| **other != reg);
        others.map(|other| rtc.read(*other)).collect()
    };
    let before = others();
    for value in first..=last {
        rtc.write(reg, bcd(value));
        assert_eq!(rtc.read(reg), bcd(value), "{value}");
        assert_eq!(others(), before, "{value}");
    }
}

/// [Table 5] Seconds are 0 to 59.
#[testjig::test(on = Timekeeper, launch = on_the_hosts_clock)]
fn the_seconds_take_their_range(rtc: Timekeeper) {
    for value in 0..60 {
        rtc.set_seconds(Seconds::new().with_bcd(bcd(value)));
        let read = rtc.seconds().bcd();
        assert!(
            read == bcd(value) || read == bcd((value + 1) % 60),
            "{value}: {read:#x}"
        );
    }
}

/// [§3.2] A clock shows what it is set to, however long it ran before.
#[testjig::test(on = Timekeeper, needs(clock), xfail = "the clock is set by the host's time, not by the one that it runs by; no report known")]
fn a_clock_shows_what_it_is_set_to(rtc: Timekeeper, vm: &Vm) {
    vm.clock().step(HOUR);
    rtc.set(at(2026, 5, 6, 7, 8, 9));
    assert_eq!(rtc.now(), at(2026, 5, 6, 7, 8, 9));
}

/// [§3.2] A clock that was set goes on from there.
#[testjig::test(on = Timekeeper, needs(clock))]
fn a_set_clock_goes_on(rtc: Timekeeper, vm: &Vm) {
    set_and_meet(&rtc, vm, at(2031, 12, 31, 23, 30, 0));
    vm.clock().step(HOUR);
    assert_eq!(rtc.now(), at(2032, 1, 1, 0, 30, 0));
}

/// [Table 5] The day of the week is what it was set to, 1 to 7, whatever the date.
#[testjig::test(on = Timekeeper, xfail = "the day is the calendar's, 0 to 6, whatever was set; no report known")]
fn the_day_of_the_week_is_the_users(rtc: Timekeeper) {
    for day in 1..=7 {
        rtc.set_day(Day::new().with_day(day));
        assert_eq!(rtc.day().day(), day);
    }
}

/// [Table 5] The day of the week changes with the date.
#[testjig::test(on = Timekeeper, needs(clock))]
fn the_day_of_the_week_counts_on(rtc: Timekeeper, vm: &Vm) {
    set_and_meet(&rtc, vm, at(2026, 5, 6, 23, 59, 59));
    let today = rtc.day().day();
    vm.clock().step(SECOND);
    assert_eq!(rtc.day().day(), today + 1);
}

/// [§1] The clock runs on battery: a reset of the machine changes nothing.
#[testjig::test(on = Timekeeper, needs(clock))]
fn time_goes_on_across_a_reset(rtc: Timekeeper, vm: &Vm) {
    set_and_meet(&rtc, vm, at(2001, 2, 3, 4, 5, 6));
    vm.clock().step(SECOND);
    vm.reset();
    rtc.reach();
    vm.clock().step(SECOND);
    assert_eq!(rtc.now(), at(2001, 2, 3, 4, 5, 8));
}

/// [Table 5] The machine's start of time is the chip's.
#[testjig::test(on = Timekeeper, launch = |l| l.rtc(Rtc::at("2013-10-28T21:43:54")))]
fn a_start_of_ones_own_is_shown(rtc: Timekeeper) {
    assert_eq!(rtc.now(), at(2013, 10, 28, 21, 43, 54));
}
