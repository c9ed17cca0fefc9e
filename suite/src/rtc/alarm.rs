//! The alarm: an hour, a minute and a second, each of which can be "don't care".
//!
//! [Time, Calendar, and Alarm Locations] An alarm happens when all compared fields match; a byte from C0 to FF matches anything. So
//! "don't care" hours give an alarm an hour, "don't care" hours and minutes an alarm a minute, and three of them one a second.
//!
//! These tests leave the update flag pending: the clock then has to find the moment of the alarm by itself, instead of stumbling
//! over it at an update.

use super::*;

/// Sets time and alarm, and returns how long the clock took to raise its interrupt.
#[track_caller]
fn alarm_after(rtc: &Mc146818, vm: &Vm, format: Format, now: Time, alarm: AlarmMatch) -> Duration {
    let irq = vm.intercept(rtc.irq());
    rtc.set_b(RegB::new().with_format(format).with_alarm_irq(true));
    rtc.set_alarm(MIDNIGHT);
    rtc.set_time(Time::new(12, 0, 0));
    leave_update_pending(vm);

    rtc.hold();
    rtc.write_time(now);
    rtc.set_alarm(alarm);
    rtc.release();
    let wait = vm.clock().step_until(irq.raised(), DAY + SECOND);
    assert!(rtc.c().alarm());
    wait
}

/// As [`alarm_after`], in the format of PC firmware.
#[track_caller]
fn wait_for(rtc: &Mc146818, vm: &Vm, now: Time, alarm: AlarmMatch) -> Duration {
    alarm_after(rtc, vm, Format::BCD_24, now, alarm)
}

const ANY: AlarmMatch = AlarmMatch::any();

const fn at(hours: u8, minutes: u8, seconds: u8) -> Time {
    Time::new(hours, minutes, seconds)
}

const fn hms(hours: u64, minutes: u64, seconds: u64) -> Duration {
    Duration::from_secs(hours * 3600 + minutes * 60 + seconds)
}

/// xx:xx:xx matches every second.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn every_second_matches_the_next_one(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(9, 10, 11), ANY);
    assert_eq!(wait, SECOND);
}

/// xx:xx:xx matches the first second of a minute as well.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn every_second_matches_across_a_minute(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(9, 10, 59), ANY);
    assert_eq!(wait, SECOND);
}

/// xx:xx:xx matches the first second of a day as well.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn every_second_matches_across_midnight(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(23, 59, 59), ANY);
    assert_eq!(wait, SECOND);
}

/// xx:xx:SS matches in the running minute.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn every_minute_matches_later_in_the_minute(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(9, 10, 11), ANY.second(45));
    assert_eq!(wait, hms(0, 0, 34));
}

/// xx:xx:SS matches in the next minute once its second has passed.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn every_minute_waits_for_the_next_minute(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(9, 10, 46), ANY.second(45));
    assert_eq!(wait, hms(0, 0, 59));
}

/// xx:xx:00 matches at the turn of the minute.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn every_minute_matches_second_zero(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(9, 10, 59), ANY.second(0));
    assert_eq!(wait, hms(0, 0, 1));
}

/// xx:xx:SS matches in the next hour's first minute once its second has passed in the hour's last.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn every_minute_waits_across_an_hour(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(9, 59, 40), ANY.second(20));
    assert_eq!(wait, hms(0, 0, 40));
}

/// xx:xx:SS matches in the next day's first minute once its second has passed in the day's last.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn every_minute_waits_across_midnight(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(23, 59, 40), ANY.second(20));
    assert_eq!(wait, hms(0, 0, 40));
}

/// xx:MM:SS matches in the running hour.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn every_hour_matches_later_in_the_hour(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(9, 10, 30), ANY.minute(25).second(20));
    assert_eq!(wait, hms(0, 14, 50));
}

/// xx:MM:SS matches in the next hour once its minute has passed.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn every_hour_waits_for_the_next_hour(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(9, 30, 10), ANY.minute(25).second(20));
    assert_eq!(wait, hms(0, 55, 10));
}

/// xx:MM:SS matches later in its minute.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn every_hour_matches_later_in_its_minute(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(9, 25, 10), ANY.minute(25).second(20));
    assert_eq!(wait, hms(0, 0, 10));
}

/// xx:MM:SS matches in the next hour once its second has passed.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn every_hour_waits_for_the_next_hour_after_its_second(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(9, 25, 21), ANY.minute(25).second(20));
    assert_eq!(wait, hms(0, 59, 59));
}

/// xx:MM:SS matches in the next day's first hour once it has passed in the day's last.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn every_hour_waits_across_midnight(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(23, 30, 10), ANY.minute(25).second(20));
    assert_eq!(wait, hms(0, 55, 10));
}

/// xx:MM:SS matches in the next day's first hour, its second just gone by in the day's last.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn every_hour_waits_across_midnight_after_its_second(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(23, 25, 30), ANY.minute(25).second(20));
    assert_eq!(wait, hms(0, 59, 50));
}

/// xx:MM:xx matches from the first second of its minute on.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_minute_of_any_hour_matches_from_its_first_second(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(9, 10, 30), ANY.minute(25));
    assert_eq!(wait, hms(0, 14, 30));
}

/// xx:MM:xx matches each second of its minute.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_minute_of_any_hour_matches_each_of_its_seconds(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(9, 25, 30), ANY.minute(25));
    assert_eq!(wait, hms(0, 0, 1));
}

/// xx:MM:xx ends with its minute and matches again in the next hour.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_minute_of_any_hour_waits_for_the_next_hour_at_its_end(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(9, 25, 59), ANY.minute(25));
    assert_eq!(wait, hms(0, 59, 1));
}

/// xx:MM:xx matches in the next hour once its minute has passed.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_minute_of_any_hour_waits_for_the_next_hour(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(9, 30, 30), ANY.minute(25));
    assert_eq!(wait, hms(0, 54, 30));
}

/// xx:MM:xx matches in the next day's first hour once its minute ends in the day's last.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_minute_of_any_hour_waits_across_midnight(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(23, 25, 59), ANY.minute(25));
    assert_eq!(wait, hms(0, 59, 1));
}

/// HH:xx:xx matches from the first second of its hour on.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn an_hour_matches_from_its_first_second(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(8, 10, 30), ANY.hour(10));
    assert_eq!(wait, hms(1, 49, 30));
}

/// HH:xx:xx matches each second of its hour.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn an_hour_matches_each_of_its_seconds(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(10, 10, 30), ANY.hour(10));
    assert_eq!(wait, hms(0, 0, 1));
}

/// HH:xx:xx goes on in the next minute of its hour.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn an_hour_matches_across_its_minutes(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(10, 10, 59), ANY.hour(10));
    assert_eq!(wait, hms(0, 0, 1));
}

/// HH:xx:xx ends with its hour and matches again the next day.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn an_hour_waits_for_the_next_day_at_its_end(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(10, 59, 59), ANY.hour(10));
    assert_eq!(wait, hms(23, 0, 1));
}

/// HH:xx:xx matches the next day once its hour has passed.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn an_hour_waits_for_the_next_day(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(11, 10, 30), ANY.hour(10));
    assert_eq!(wait, hms(22, 49, 30));
}

/// HH:xx:SS matches in the first minute of its hour.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_second_of_an_hours_minutes_matches_in_its_first_minute(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(9, 50, 30), ANY.hour(10).second(20));
    assert_eq!(wait, hms(0, 9, 50));
}

/// HH:xx:SS matches later in the minute.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_second_of_an_hours_minutes_matches_later_in_the_minute(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(10, 50, 10), ANY.hour(10).second(20));
    assert_eq!(wait, hms(0, 0, 10));
}

/// HH:xx:SS matches in the next minute once its second has passed.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_second_of_an_hours_minutes_waits_for_the_next_minute(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(10, 50, 30), ANY.hour(10).second(20));
    assert_eq!(wait, hms(0, 0, 50));
}

/// HH:xx:SS matches the next day once its second has passed in the hour's last minute.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_second_of_an_hours_minutes_waits_for_the_next_day(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(10, 59, 30), ANY.hour(10).second(20));
    assert_eq!(wait, hms(23, 0, 50));
}

/// HH:xx:SS matches the next day once its hour has passed.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_second_of_an_hours_minutes_waits_for_the_next_day_after_its_hour(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(12, 30, 10), ANY.hour(10).second(20));
    assert_eq!(wait, hms(21, 30, 10));
}

/// HH:MM:xx matches from the first second of its minute on.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_minute_of_the_day_matches_from_its_first_second(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(9, 50, 30), ANY.hour(10).minute(25));
    assert_eq!(wait, hms(0, 34, 30));
}

/// HH:MM:xx waits for its minute within its hour.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_minute_of_the_day_matches_later_in_its_hour(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(10, 5, 30), ANY.hour(10).minute(25));
    assert_eq!(wait, hms(0, 19, 30));
}

/// HH:MM:xx matches each second of its minute.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_minute_of_the_day_matches_each_of_its_seconds(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(10, 25, 30), ANY.hour(10).minute(25));
    assert_eq!(wait, hms(0, 0, 1));
}

/// HH:MM:xx ends with its minute and matches again the next day.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_minute_of_the_day_waits_for_the_next_day_at_its_end(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(10, 25, 59), ANY.hour(10).minute(25));
    assert_eq!(wait, hms(23, 59, 1));
}

/// HH:MM:xx matches the next day once its minute has passed.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_minute_of_the_day_waits_for_the_next_day(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(10, 30, 30), ANY.hour(10).minute(25));
    assert_eq!(wait, hms(23, 54, 30));
}

const TEN_PAST_TEN: AlarmMatch = AlarmMatch::daily_at(Time::new(10, 10, 20));

/// HH:MM:SS matches later the same day.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_daily_alarm_comes_the_same_day(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(4, 30, 50), TEN_PAST_TEN);
    assert_eq!(wait, hms(5, 39, 30));
}

/// HH:MM:SS matches later in its hour.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_daily_alarm_comes_in_its_hour(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(10, 3, 25), TEN_PAST_TEN);
    assert_eq!(wait, hms(0, 6, 55));
}

/// HH:MM:SS matches later in its minute.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_daily_alarm_comes_in_its_minute(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(10, 10, 19), TEN_PAST_TEN);
    assert_eq!(wait, hms(0, 0, 1));
}

/// HH:MM:SS matches the next day, not again at once, when set in its own second.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_daily_alarm_set_in_its_second_comes_the_next_day(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(10, 10, 20), TEN_PAST_TEN);
    assert_eq!(wait, DAY);
}

/// HH:MM:SS matches the next day once its second has passed.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_daily_alarm_past_its_second_comes_the_next_day(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(10, 10, 21), TEN_PAST_TEN);
    assert_eq!(wait, hms(23, 59, 59));
}

/// HH:MM:SS matches the next day once its minute has passed.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_daily_alarm_past_its_minute_comes_the_next_day(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(10, 15, 10), TEN_PAST_TEN);
    assert_eq!(wait, hms(23, 55, 10));
}

/// HH:MM:SS matches the next day once its hour has passed.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_daily_alarm_past_its_hour_comes_the_next_day(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(23, 5, 10), TEN_PAST_TEN);
    assert_eq!(wait, hms(11, 5, 10));
}

/// 00:00:00 matches at midnight.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_daily_alarm_can_be_midnight(rtc: Mc146818, vm: &Vm) {
    let wait = wait_for(&rtc, vm, at(23, 59, 58), MIDNIGHT);
    assert_eq!(wait, hms(0, 0, 2));
}

/// [Time, Calendar, and Alarm Locations] Alarm bytes are in the format of the time bytes.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit, vary(
    format = FORMATS
))]
fn alarm_bytes_are_in_the_clocks_format(rtc: Mc146818, vm: &Vm, format: Format) {
    let alarm = AlarmMatch::daily_at(at(10, 47, 58));
    let wait = alarm_after(&rtc, vm, format, at(9, 38, 49), alarm);
    assert_eq!(wait, hms(1, 9, 9));
}

/// [Table 2] In 12-hour mode 1 AM follows 12 AM, for the alarm too.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit, vary(format = [Format::BCD_12, Format::BINARY_12]))]
fn one_am_alarms_after_12_am(rtc: Mc146818, vm: &Vm, format: Format) {
    let alarm = AlarmMatch::daily_at(at(1, 0, 0));
    let wait = alarm_after(&rtc, vm, format, at(0, 59, 50), alarm);
    assert_eq!(wait, hms(0, 0, 10));
}

/// [Table 2] In 12-hour mode the alarm tells 2 PM from 1 PM.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit, vary(format = [Format::BCD_12, Format::BINARY_12]))]
fn two_pm_alarms_after_1_pm(rtc: Mc146818, vm: &Vm, format: Format) {
    let alarm = ANY.hour(14);
    let wait = alarm_after(&rtc, vm, format, at(13, 59, 0), alarm);
    assert_eq!(wait, hms(0, 1, 0));
}

/// [Table 2] In 12-hour mode an alarm at 3 AM or PM that has passed waits for the next day: the other half of this one has none.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit, vary(
    format = [Format::BCD_12, Format::BINARY_12],
    three = [3, 15]
))]
fn three_o_clock_has_passed_at_half_past(rtc: Mc146818, vm: &Vm, format: Format, three: u8) {
    let alarm = AlarmMatch::daily_at(at(three, 0, 0));
    let wait = alarm_after(&rtc, vm, format, at(three, 30, 0), alarm);
    assert_eq!(wait, hms(23, 30, 0));
}

/// [Table 2] In 12-hour mode an alarm in the evening counts from the evening.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit, vary(format = [Format::BCD_12, Format::BINARY_12]))]
fn eleven_pm_alarms_after_5_pm(rtc: Mc146818, vm: &Vm, format: Format) {
    let alarm = AlarmMatch::daily_at(at(23, 20, 0));
    let wait = alarm_after(&rtc, vm, format, at(17, 30, 0), alarm);
    assert_eq!(wait, hms(5, 50, 0));
}

/// [Time, Calendar, and Alarm Locations] Every byte from C0 to FF is "don't care".
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn every_byte_from_c0_on_is_dont_care(rtc: Mc146818, vm: &Vm) {
    for code in [0xc0, 0xc1, 0xd9, 0xe5, 0xff] {
        rtc.write(Reg::HOURS_ALARM, code);
        rtc.write(Reg::MINUTES_ALARM, code);
        rtc.write(Reg::SECONDS_ALARM, code);
        vm.clock().step(SECOND);
        assert!(rtc.c().alarm(), "{code:#x}");
    }
}

/// [Time, Calendar, and Alarm Locations] A byte below C0 that no second reaches never matches.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn a_byte_below_c0_is_not_dont_care(rtc: Mc146818, vm: &Vm) {
    for code in [0x80, 0xbf] {
        rtc.set_alarm(ANY);
        rtc.write(Reg::HOURS_ALARM, code);
        vm.clock().step(SECOND);
        assert!(!rtc.c().alarm(), "{code:#x}");
    }
}

/// [Register C, AF] The flag is set at the match, once: the seconds after it are no alarm.
#[testjig::test(on = Mc146818, needs(clock))]
fn an_alarm_lasts_one_second(rtc: Mc146818, vm: &Vm) {
    rtc.set_alarm(ANY.second(3));
    vm.clock().step(2 * SECOND);
    assert!(!rtc.c().alarm());
    vm.clock().step(SECOND);
    assert!(rtc.c().alarm());
    vm.clock().step(SECOND);
    assert!(!rtc.c().alarm());
}

/// [Register C, AF] Acknowledged, the alarm comes again a minute later.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn an_acknowledged_alarm_comes_again(rtc: Mc146818, vm: &Vm) {
    rtc.set_alarm(ANY.second(3));
    vm.clock().step(3 * SECOND);
    assert!(rtc.c().alarm());
    vm.clock().step(MINUTE - SECOND);
    assert!(!rtc.c().alarm());
    vm.clock().step(SECOND);
    assert!(rtc.c().alarm());
}

/// [Time, Calendar, and Alarm Locations] The alarm is compared with the time that was set, however it came there.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn the_alarm_follows_a_time_written_while_running(rtc: Mc146818, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_b(IDLE.with_alarm_irq(true));
    rtc.set_alarm(AlarmMatch::daily_at(at(18, 0, 5)));
    leave_update_pending(vm);
    rtc.write_time(at(18, 0, 0));
    vm.clock().step(5 * SECOND - NANOSECOND);
    assert_eq!(irq.edges(), []);
    vm.clock().step(NANOSECOND);
    assert_eq!(irq.edges(), [Raise]);
}
