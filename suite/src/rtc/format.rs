//! What the time, calendar and alarm bytes look like: BCD or binary, 12 or 24 hours.

use super::*;

/// The data sheet's example for its Table 2: 5:58:21 (AM) on Thursday, 15 February 1979.
const EXAMPLE: DateTime = DateTime::new(Date::new(1979, 2, 15), Time::new(5, 58, 21));

/// Seconds, minutes, hours, day of the week, date, month, year.
fn bytes(rtc: &Mc146818) -> [u8; 7] {
    [
        Reg::SECONDS,
        Reg::MINUTES,
        Reg::HOURS,
        Reg::DAY_OF_WEEK,
        Reg::DATE,
        Reg::MONTH,
        Reg::YEAR,
    ]
    .map(|reg| rtc.read(reg))
}

/// [Table 2] The example in binary.
#[testjig::test(on = Mc146818)]
fn binary_holds_the_data_sheets_example(rtc: Mc146818) {
    for format in [Format::BINARY_12, Format::BINARY_24] {
        rtc.set_b(RegB::new().with_format(format));
        rtc.set(EXAMPLE);
        assert_eq!(
            bytes(&rtc),
            [0x15, 0x3a, 0x05, 0x05, 0x0f, 0x02, 0x4f],
            "{format:?}"
        );
    }
}

/// [Table 2] The example in BCD.
#[testjig::test(on = Mc146818)]
fn bcd_holds_the_data_sheets_example(rtc: Mc146818) {
    for format in [Format::BCD_12, Format::BCD_24] {
        rtc.set_b(RegB::new().with_format(format));
        rtc.set(EXAMPLE);
        assert_eq!(
            bytes(&rtc),
            [0x21, 0x58, 0x05, 0x05, 0x15, 0x02, 0x79],
            "{format:?}"
        );
    }
}

/// [Table 2] Every byte at the end of its range: 59, 59, 23, 7, 31, 12, 99 in BCD.
#[testjig::test(on = Mc146818)]
fn bcd_holds_the_ends_of_the_ranges(rtc: Mc146818) {
    rtc.set_b(RegB::new().with_format(Format::BCD_24));
    rtc.set(DateTime::new(
        Date::new(2095, 12, 31),
        Time::new(23, 59, 59),
    ));
    assert_eq!(bytes(&rtc), [0x59, 0x59, 0x23, 0x07, 0x31, 0x12, 0x95]);
}

/// [Table 2] Every byte at the end of its range: 3B, 3B, 17, 07, 1F, 0C in binary.
#[testjig::test(on = Mc146818)]
fn binary_holds_the_ends_of_the_ranges(rtc: Mc146818) {
    rtc.set_b(RegB::new().with_format(Format::BINARY_24));
    rtc.set(DateTime::new(
        Date::new(2095, 12, 31),
        Time::new(23, 59, 59),
    ));
    assert_eq!(bytes(&rtc), [0x3b, 0x3b, 0x17, 0x07, 0x1f, 0x0c, 0x5f]);
}

fn running_hours(rtc: &Mc146818, vm: &Vm, format: Format, before: Time) -> u8 {
    rtc.set_b(RegB::new().with_format(format));
    rtc.set_time(before);
    vm.clock().step(SECOND);
    rtc.read(Reg::HOURS)
}

/// [Table 2] Hours in 12-hour BCD: 01-12 (AM) and 81-92 (PM); the day begins at 12 AM.
#[testjig::test(on = Mc146818, needs(clock))]
fn midnight_is_12_am_in_bcd(rtc: Mc146818, vm: &Vm) {
    assert_eq!(
        running_hours(&rtc, vm, Format::BCD_12, Time::new(23, 59, 59)),
        0x12
    );
}

/// [Table 2] Hours in 12-hour BCD: the afternoon begins at 12 PM.
#[testjig::test(on = Mc146818, needs(clock))]
fn noon_is_12_pm_in_bcd(rtc: Mc146818, vm: &Vm) {
    assert_eq!(
        running_hours(&rtc, vm, Format::BCD_12, Time::new(11, 59, 59)),
        0x92
    );
}

/// [Table 2] Hours in 12-hour BCD: 1 PM follows 12 PM.
#[testjig::test(on = Mc146818, needs(clock))]
fn one_pm_follows_12_pm_in_bcd(rtc: Mc146818, vm: &Vm) {
    assert_eq!(
        running_hours(&rtc, vm, Format::BCD_12, Time::new(12, 59, 59)),
        0x81
    );
}

/// [Table 2] Hours in 12-hour BCD: 1 AM follows 12 AM.
#[testjig::test(on = Mc146818, needs(clock))]
fn one_am_follows_12_am_in_bcd(rtc: Mc146818, vm: &Vm) {
    assert_eq!(
        running_hours(&rtc, vm, Format::BCD_12, Time::new(0, 59, 59)),
        0x01
    );
}

/// [Table 2] Hours in 12-hour BCD: the tens of the hour count in the afternoon as well.
#[testjig::test(on = Mc146818, needs(clock))]
fn ten_pm_follows_9_pm_in_bcd(rtc: Mc146818, vm: &Vm) {
    assert_eq!(
        running_hours(&rtc, vm, Format::BCD_12, Time::new(21, 59, 59)),
        0x90
    );
}

/// [Table 2] Hours in 12-hour binary: 01-0C (AM) and 81-8C (PM); the day begins at 12 AM.
#[testjig::test(on = Mc146818, needs(clock))]
fn midnight_is_12_am_in_binary(rtc: Mc146818, vm: &Vm) {
    assert_eq!(
        running_hours(&rtc, vm, Format::BINARY_12, Time::new(23, 59, 59)),
        0x0c
    );
}

/// [Table 2] Hours in 12-hour binary: the afternoon begins at 12 PM.
#[testjig::test(on = Mc146818, needs(clock))]
fn noon_is_12_pm_in_binary(rtc: Mc146818, vm: &Vm) {
    assert_eq!(
        running_hours(&rtc, vm, Format::BINARY_12, Time::new(11, 59, 59)),
        0x8c
    );
}

/// [Table 2] Hours in 12-hour binary: 1 PM follows 12 PM.
#[testjig::test(on = Mc146818, needs(clock))]
fn one_pm_follows_12_pm_in_binary(rtc: Mc146818, vm: &Vm) {
    assert_eq!(
        running_hours(&rtc, vm, Format::BINARY_12, Time::new(12, 59, 59)),
        0x81
    );
}

/// [Table 2] Hours in 24-hour mode count from 00 to 23.
#[testjig::test(on = Mc146818, needs(clock))]
fn midnight_is_zero_in_24_hour_mode(rtc: Mc146818, vm: &Vm) {
    for format in [Format::BCD_24, Format::BINARY_24] {
        assert_eq!(
            running_hours(&rtc, vm, format, Time::new(23, 59, 59)),
            0x00,
            "{format:?}"
        );
    }
}

/// [Table 2] Hours in 24-hour mode: noon carries no AM/PM bit.
#[testjig::test(on = Mc146818, needs(clock))]
fn noon_is_twelve_in_24_hour_mode(rtc: Mc146818, vm: &Vm) {
    for format in [Format::BCD_24, Format::BINARY_24] {
        running_hours(&rtc, vm, format, Time::new(11, 59, 59));
        assert_eq!(rtc.time(), Time::new(12, 0, 0), "{format:?}");
    }
}

/// [Time, Calendar, and Alarm Locations] What the program sets in a mode reads back in that mode.
#[testjig::test(on = Mc146818)]
fn a_set_hour_reads_back(rtc: Mc146818) {
    for format in FORMATS {
        for hour in [0, 9, 12, 13, 23] {
            rtc.set_b(RegB::new().with_format(format));
            rtc.set_time(Time::new(hour, 34, 56));
            assert_eq!(rtc.time(), Time::new(hour, 34, 56), "{format:?} {hour}");
        }
    }
}

/// [Register B, DM] DM=1 is binary, DM=0 is BCD. A machine comes up in BCD, 24 hours.
#[testjig::test(on = Mc146818)]
fn a_started_machine_counts_in_bcd_and_24_hours(rtc: Mc146818) {
    assert_eq!(rtc.b(), IDLE);
}

/// [Register B, DSE and SQWE] Mode bits without a visible effect on the PC read back as written.
#[testjig::test(on = Mc146818)]
fn mode_bits_read_back(rtc: Mc146818) {
    for b in [
        IDLE.with_daylight_saving(true),
        IDLE.with_square_wave(true),
        IDLE.with_binary(true),
        IDLE.with_set(true),
        RegB::new(),
    ] {
        rtc.set_b(b);
        assert_eq!(rtc.b(), b, "{b:?}");
    }
}

/// [Time, Calendar, and Alarm Locations] Alarm bytes are plain storage for the program: they read back, in any mode.
#[testjig::test(on = Mc146818)]
fn an_alarm_byte_reads_back(rtc: Mc146818) {
    for alarm in [Reg::SECONDS_ALARM, Reg::MINUTES_ALARM, Reg::HOURS_ALARM] {
        rtc.write(alarm, 0xa7);
        rtc.set_b(IDLE.with_binary(true));
        assert_eq!(rtc.read(alarm), 0xa7, "{alarm:?}");
    }
}
