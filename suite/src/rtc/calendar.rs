//! Counting: seconds to centuries.

use super::*;

/// Sets the clock, waits for one update and reads it.
fn one_second_after(rtc: &Mc146818, vm: &Vm, date: Date, time: Time) -> DateTime {
    rtc.set(DateTime::new(date, time));
    vm.clock().step(SECOND);
    rtc.now()
}

const LAST_SECOND: Time = Time::new(23, 59, 59);
const FIRST_SECOND: Time = Time::new(0, 0, 0);

/// The day that follows `date` at midnight, and the time it begins with.
fn midnight_after(rtc: &Mc146818, vm: &Vm, year: u16, month: u8, day: u8) -> (u16, u8, u8) {
    let now = one_second_after(rtc, vm, Date::new(year, month, day), LAST_SECOND);
    assert_eq!(now.time, FIRST_SECOND);
    (now.date.year, now.date.month, now.date.day)
}

/// [Update Cycle] An update increments the seconds, checks for overflow, increments the minutes where needed, and so on to the year.
#[testjig::test(on = Mc146818, needs(clock))]
fn a_second_counts(rtc: Mc146818, vm: &Vm) {
    for format in FORMATS {
        rtc.set_b(RegB::new().with_format(format));
        let now = one_second_after(&rtc, vm, THURSDAY, Time::new(17, 38, 19));
        assert_eq!(
            now,
            DateTime::new(THURSDAY, Time::new(17, 38, 20)),
            "{format:?}"
        );
    }
}

/// [Update Cycle] The 59th second carries into the minutes.
#[testjig::test(on = Mc146818, needs(clock))]
fn a_minute_follows_59_seconds(rtc: Mc146818, vm: &Vm) {
    for format in FORMATS {
        rtc.set_b(RegB::new().with_format(format));
        let now = one_second_after(&rtc, vm, THURSDAY, Time::new(7, 29, 59));
        assert_eq!(
            now,
            DateTime::new(THURSDAY, Time::new(7, 30, 0)),
            "{format:?}"
        );
    }
}

/// [Update Cycle, Table 2] The 59th minute carries into the hours, whose byte is as the table has it.
#[testjig::test(on = Mc146818, needs(clock))]
fn an_hour_follows_59_minutes(rtc: Mc146818, vm: &Vm) {
    for format in FORMATS {
        for hour in [0, 9, 12, 19, 21] {
            rtc.set_b(RegB::new().with_format(format));
            let now = one_second_after(&rtc, vm, THURSDAY, Time::new(hour, 59, 59));
            let next = DateTime::new(THURSDAY, Time::new(hour + 1, 0, 0));
            assert_eq!(now, next, "{format:?}");
            let byte = rtc.read(Reg::HOURS);
            assert_eq!(byte, format.encode_hour(hour + 1), "{format:?}");
        }
    }
}

/// [Update Cycle] The last hour carries into the day.
#[testjig::test(on = Mc146818, needs(clock))]
fn a_day_follows_the_last_hour(rtc: Mc146818, vm: &Vm) {
    for format in FORMATS {
        rtc.set_b(RegB::new().with_format(format));
        assert_eq!(
            midnight_after(&rtc, vm, 2019, 8, 29),
            (2019, 8, 30),
            "{format:?}"
        );
    }
}

/// [Update Cycle] In 12-hour mode noon is within the day.
#[testjig::test(on = Mc146818, needs(clock))]
fn noon_does_not_end_the_day(rtc: Mc146818, vm: &Vm) {
    for format in [Format::BCD_12, Format::BINARY_12] {
        rtc.set_b(RegB::new().with_format(format));
        let now = one_second_after(&rtc, vm, THURSDAY, Time::new(11, 59, 59));
        assert_eq!(
            now,
            DateTime::new(THURSDAY, Time::new(12, 0, 0)),
            "{format:?}"
        );
    }
}

/// [Features] 100-year calendar: months with 31 days.
#[testjig::test(on = Mc146818, needs(clock))]
fn a_long_month_ends_after_the_31st(rtc: Mc146818, vm: &Vm) {
    for month in [1, 3, 5, 7, 8, 10] {
        assert_eq!(
            midnight_after(&rtc, vm, 2021, month, 30),
            (2021, month, 31),
            "{month}"
        );
        assert_eq!(
            midnight_after(&rtc, vm, 2021, month, 31),
            (2021, month + 1, 1),
            "{month}"
        );
    }
}

/// [Features] 100-year calendar: months with 30 days.
#[testjig::test(on = Mc146818, needs(clock))]
fn a_short_month_ends_after_the_30th(rtc: Mc146818, vm: &Vm) {
    for month in [4, 6, 9, 11] {
        assert_eq!(
            midnight_after(&rtc, vm, 2021, month, 30),
            (2021, month + 1, 1),
            "{month}"
        );
    }
}

/// [Features] Automatic end of month recognition: February.
#[testjig::test(on = Mc146818, needs(clock))]
fn february_has_28_days(rtc: Mc146818, vm: &Vm) {
    assert_eq!(midnight_after(&rtc, vm, 2023, 2, 28), (2023, 3, 1));
}

/// [Features] Automatic leap year compensation.
#[testjig::test(on = Mc146818, needs(clock))]
fn february_has_29_days_in_a_leap_year(rtc: Mc146818, vm: &Vm) {
    assert_eq!(midnight_after(&rtc, vm, 2024, 2, 28), (2024, 2, 29));
    assert_eq!(midnight_after(&rtc, vm, 2024, 2, 29), (2024, 3, 1));
}

/// [Features] Automatic leap year compensation: year 00 is one, as 2000 was.
#[testjig::test(on = Mc146818, needs(clock))]
fn the_year_2000_is_a_leap_year(rtc: Mc146818, vm: &Vm) {
    assert_eq!(midnight_after(&rtc, vm, 2000, 2, 28), (2000, 2, 29));
}

/// [Features] 100-year calendar: December carries into the year.
#[testjig::test(on = Mc146818, needs(clock))]
fn a_year_follows_december(rtc: Mc146818, vm: &Vm) {
    for format in [Format::BCD_24, Format::BINARY_24] {
        rtc.set_b(RegB::new().with_format(format));
        assert_eq!(
            midnight_after(&rtc, vm, 2019, 12, 31),
            (2020, 1, 1),
            "{format:?}"
        );
    }
}

/// [PC/AT, byte 32H] The century byte counts with year 99's end.
#[testjig::test(on = Mc146818, needs(clock))]
fn a_century_follows_year_99(rtc: Mc146818, vm: &Vm) {
    for format in [Format::BCD_24, Format::BINARY_24] {
        rtc.set_b(RegB::new().with_format(format));
        assert_eq!(
            midnight_after(&rtc, vm, 1999, 12, 31),
            (2000, 1, 1),
            "{format:?}"
        );
    }
}

/// [PC/AT, byte 32H] The century byte reaches beyond what 32 bits of seconds hold.
#[testjig::test(on = Mc146818, needs(clock))]
fn years_beyond_2038_count(rtc: Mc146818, vm: &Vm) {
    assert_eq!(midnight_after(&rtc, vm, 2080, 2, 29), (2080, 3, 1));
}

/// [Table 2] The day of the week counts from Sunday, which is 1.
#[testjig::test(on = Mc146818, needs(clock))]
fn the_week_begins_anew_on_sunday(rtc: Mc146818, vm: &Vm) {
    for format in [Format::BCD_24, Format::BINARY_24] {
        rtc.set_b(RegB::new().with_format(format));
        let saturday = Date::new(2026, 1, 17);
        rtc.set(DateTime::new(saturday, LAST_SECOND));
        assert_eq!(rtc.weekday(), 7, "{format:?}");
        vm.clock().step(SECOND);
        assert_eq!(rtc.weekday(), 1, "{format:?}");
    }
}

/// [Update Cycle] The day of the week is incremented with the date.
#[testjig::test(on = Mc146818, needs(clock))]
fn the_day_of_the_week_counts_at_midnight(rtc: Mc146818, vm: &Vm) {
    rtc.set(DateTime::new(THURSDAY, LAST_SECOND));
    assert_eq!(rtc.weekday(), 5);
    vm.clock().step(SECOND);
    assert_eq!(rtc.weekday(), 6);
}

/// [Features] Counts seconds, minutes, and hours of the day: without a read in between, too.
#[testjig::test(on = Mc146818, needs(clock), launch = no_pit)]
fn unread_days_are_counted(rtc: Mc146818, vm: &Vm) {
    rtc.set(DateTime::new(Date::new(2024, 2, 27), Time::new(8, 7, 6)));
    vm.clock()
        .step(3 * DAY + 2 * HOUR + 3 * MINUTE + 4 * SECOND);
    let expected = DateTime::new(Date::new(2024, 3, 1), Time::new(10, 10, 10));
    assert_eq!(rtc.now(), expected);
}
