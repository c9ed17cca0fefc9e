//! Dates of the proleptic Gregorian calendar and days since 1970-01-01.

/// A day and a time of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
}

const DAY: i64 = 86_400;

impl Moment {
    /// Seconds since 1970-01-01 00:00:00. What is out of range carries over, as C's `mktime` does.
    pub(crate) fn to_unix(self) -> i64 {
        let months = self.year * 12 + self.month - 1;
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
        // Years that begin in March have their leap day last.
        let shifted = if month > 2 { year } else { year - 1 };
        let era = shifted.div_euclid(400);
        let year_of_era = shifted.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + self.day - 1;
        let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100
            + day_of_year
            - 719_468;
        days * DAY + self.hour * 3600 + self.minute * 60 + self.second
    }

    pub(crate) fn from_unix(seconds: i64) -> Self {
        let (days, time) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = (from_march + 2) % 12 + 1;
        Self {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
            hour: time / 3600,
            minute: time / 60 % 60,
            second: time % 60,
        }
    }

    /// 0 for Sunday.
    pub(crate) fn weekday(seconds: i64) -> i64 {
        (seconds.div_euclid(DAY) + 4).rem_euclid(7)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        for (seconds, year, month, day, weekday) in [
            (0, 1970, 1, 1, 4),
            (951_782_400, 2000, 2, 29, 2),
            (1_768_478_400, 2026, 1, 15, 4),
            (-2_208_988_800, 1900, 1, 1, 1),
            (-86_400, 1969, 12, 31, 3),
        ] {
            let moment = Moment::from_unix(seconds);
            assert_eq!((moment.year, moment.month, moment.day), (year, month, day));
            assert_eq!(Moment::weekday(seconds), weekday);
        }
    }

    #[test]
    fn there_and_back() {
        for seconds in (-100_000_000_000..100_000_000_000_i64).step_by(999_999_937) {
            assert_eq!(Moment::from_unix(seconds).to_unix(), seconds);
        }
    }
}
