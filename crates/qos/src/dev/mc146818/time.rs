//! Time, date and alarm, and how the registers hold them.

use std::fmt;

/// How the time registers are to be read: the two mode bits of register B [Time, Calendar, and Alarm Locations].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Format {
    /// DM: plain numbers; else two decimal digits a byte.
    pub binary: bool,
    /// 24/12: hours from 0 to 23; else from 1 to 12, bit 7 set from noon on.
    pub hour24: bool,
}

impl Format {
    /// BCD, 12 hours: all mode bits clear.
    pub const BCD_12: Self = Self {
        binary: false,
        hour24: false,
    };
    /// BCD, 24 hours: what PC firmware and systems use.
    pub const BCD_24: Self = Self {
        binary: false,
        hour24: true,
    };
    /// Binary, 12 hours.
    pub const BINARY_12: Self = Self {
        binary: true,
        hour24: false,
    };
    /// Binary, 24 hours.
    pub const BINARY_24: Self = Self {
        binary: true,
        hour24: true,
    };

    /// The register byte for a number from 0 to 99.
    pub const fn encode(self, value: u8) -> u8 {
        if self.binary {
            value
        } else {
            ((value / 10) << 4) | (value % 10)
        }
    }

    /// The number in a register byte.
    pub const fn decode(self, byte: u8) -> u8 {
        if self.binary {
            byte
        } else {
            // A byte that is no BCD must not overflow here: the test is to see it.
            (byte >> 4).wrapping_mul(10).wrapping_add(byte & 0x0f)
        }
    }

    /// The register byte for an hour of the day, 0 to 23.
    pub const fn encode_hour(self, hour: u8) -> u8 {
        if self.hour24 {
            return self.encode(hour);
        }
        let pm = if hour < 12 { 0 } else { Self::PM };
        match hour % 12 {
            0 => self.encode(12) | pm,
            hour => self.encode(hour) | pm,
        }
    }

    /// The hour of the day in a register byte.
    pub const fn decode_hour(self, byte: u8) -> u8 {
        if self.hour24 {
            return self.decode(byte);
        }
        let hour = self.decode(byte & !Self::PM) % 12;
        if byte & Self::PM == 0 {
            hour
        } else {
            hour + 12
        }
    }

    const PM: u8 = 0x80;
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.binary { "binary" } else { "bcd" };
        let hours = if self.hour24 { "24h" } else { "12h" };
        write!(f, "{mode}-{hours}")
    }
}

/// A time of day.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Time {
    /// 0 to 23.
    pub hours: u8,
    /// 0 to 59.
    pub minutes: u8,
    /// 0 to 59.
    pub seconds: u8,
}

impl Time {
    /// `hours:minutes:seconds`.
    pub const fn new(hours: u8, minutes: u8, seconds: u8) -> Self {
        Self {
            hours,
            minutes,
            seconds,
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            hours,
            minutes,
            seconds,
        } = self;
        write!(f, "{hours:02}:{minutes:02}:{seconds:02}")
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Date {
    /// With its century: 0 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

impl Date {
    /// `year-month-day`.
    pub const fn new(year: u16, month: u8, day: u8) -> Self {
        Self { year, month, day }
    }

    /// Days since the last of February of the year 0.
    const fn days(self) -> i64 {
        // The year begins in March, so that the leap day is its last; 153 days are the five months from March to July.
        let month = (self.month as i64 + 9) % 12;
        let year = self.year as i64 - month / 10;
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + self.day as i64
    }

    /// The day of the week as the clock counts it: 1 for Sunday to 7 for Saturday. `month` must be in range.
    pub const fn weekday(self) -> u8 {
        // Sakamoto's method: days that the months before this one shift the week by, the year beginning in March.
        const SHIFT: [u16; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
        let year = if self.month < 3 {
            self.year - 1
        } else {
            self.year
        };
        let leap_days = year / 4 - year / 100 + year / 400;
        let month = SHIFT[(self.month - 1) as usize];
        ((year + leap_days + month + self.day as u16) % 7) as u8 + 1
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day } = self;
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Date and time of day.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateTime {
    /// The day.
    pub date: Date,
    /// The time.
    pub time: Time,
}

impl DateTime {
    /// `time` on `date`.
    pub const fn new(date: Date, time: Time) -> Self {
        Self { date, time }
    }

    /// Seconds since 1970-01-01T00:00:00.
    pub const fn unix_time(self) -> i64 {
        let Time {
            hours,
            minutes,
            seconds,
        } = self.time;
        let of_day = hours as i64 * 3600 + minutes as i64 * 60 + seconds as i64;
        (self.date.days() - Date::new(1970, 1, 1).days()) * 86400 + of_day
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{}", self.date, self.time)
    }
}

impl fmt::Debug for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an alarm is compared with; `None` is the "don't care" code.
///
/// Each field can be "don't care" independently; [`AlarmMatch::any`] and the builder methods give all eight combinations.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AlarmMatch {
    /// 0 to 23.
    pub hours: Option<u8>,
    /// 0 to 59.
    pub minutes: Option<u8>,
    /// 0 to 59.
    pub seconds: Option<u8>,
}

impl AlarmMatch {
    /// The code this driver writes for "don't care"; the clock takes any from 0xc0 to 0xff.
    pub const DONT_CARE: u8 = 0xc0;

    /// Nothing compared: every second.
    pub const fn any() -> Self {
        Self {
            hours: None,
            minutes: None,
            seconds: None,
        }
    }

    /// Once a minute.
    pub const fn every_minute_at(seconds: u8) -> Self {
        Self::any().second(seconds)
    }

    /// Once an hour.
    pub const fn every_hour_at(minutes: u8, seconds: u8) -> Self {
        Self::any().minute(minutes).second(seconds)
    }

    /// Once a day.
    pub const fn daily_at(time: Time) -> Self {
        Self::any()
            .hour(time.hours)
            .minute(time.minutes)
            .second(time.seconds)
    }

    /// Compares the hour too.
    #[must_use]
    pub const fn hour(self, hours: u8) -> Self {
        Self {
            hours: Some(hours),
            ..self
        }
    }

    /// Compares the minute too.
    #[must_use]
    pub const fn minute(self, minutes: u8) -> Self {
        Self {
            minutes: Some(minutes),
            ..self
        }
    }

    /// Compares the second too.
    #[must_use]
    pub const fn second(self, seconds: u8) -> Self {
        Self {
            seconds: Some(seconds),
            ..self
        }
    }
}

impl fmt::Debug for AlarmMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = |field: Option<u8>| field.map_or("xx".into(), |value| format!("{value:02}"));
        let (hours, minutes, seconds) =
            (field(self.hours), field(self.minutes), field(self.seconds));
        write!(f, "{hours}:{minutes}:{seconds}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [Table 2], the ranges and the example "5:58:21 Thursday 15 February 1979".
    #[test]
    fn bytes_are_those_of_the_data_sheet() {
        assert_eq!(Format::BINARY_24.encode(58), 0x3a);
        assert_eq!(Format::BCD_24.encode(58), 0x58);
        assert_eq!(Format::BCD_24.decode(0x58), 58);
        assert_eq!(Date::new(1979, 2, 15).weekday(), 5);
    }

    #[test]
    fn noon_and_midnight_are_twelve_in_12_hour_mode() {
        assert_eq!(Format::BCD_12.encode_hour(0), 0x12);
        assert_eq!(Format::BCD_12.encode_hour(12), 0x92);
        assert_eq!(Format::BCD_12.encode_hour(23), 0x91);
        assert_eq!(Format::BINARY_12.encode_hour(12), 0x8c);
        assert_eq!(Format::BINARY_12.encode_hour(1), 0x01);
    }

    #[test]
    fn every_hour_survives_every_format() {
        for format in [
            Format::BCD_12,
            Format::BCD_24,
            Format::BINARY_12,
            Format::BINARY_24,
        ] {
            for hour in 0..24 {
                assert_eq!(
                    format.decode_hour(format.encode_hour(hour)),
                    hour,
                    "{format:?}"
                );
            }
        }
    }

    #[test]
    fn weekdays_follow_the_gregorian_calendar() {
        assert_eq!(Date::new(2000, 2, 29).weekday(), 3);
        assert_eq!(Date::new(2000, 3, 1).weekday(), 4);
        assert_eq!(Date::new(1900, 3, 1).weekday(), 5);
        assert_eq!(Date::new(2026, 11, 22).weekday(), 1);
    }

    #[test]
    fn unix_time_counts_from_1970() {
        let second = Time::new(0, 0, 1);
        assert_eq!(DateTime::new(Date::new(1970, 1, 1), second).unix_time(), 1);
        assert_eq!(
            DateTime::new(Date::new(2000, 3, 1), second).unix_time(),
            951_868_801
        );
        let billion = DateTime::new(Date::new(2001, 9, 9), Time::new(1, 46, 40));
        assert_eq!(billion.unix_time(), 1_000_000_000);
    }

    #[test]
    fn alarms_show_their_dont_care_fields() {
        assert_eq!(format!("{:?}", AlarmMatch::every_hour_at(5, 0)), "xx:05:00");
    }
}
