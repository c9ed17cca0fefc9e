//! The registers as types. Addresses count from the end of the array, where every TIMEKEEPER has its clock [Table 5].

use std::fmt;
use std::time::Duration;

use bitfield_struct::bitfield;

/// A register: how far below the end of the array it is, 1 for the last byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg(u16);

impl Reg {
    /// Year of the century, BCD.
    pub const YEAR: Self = Self(1);
    /// Month, 1 to 12, BCD.
    pub const MONTH: Self = Self(2);
    /// Day of the month, BCD.
    pub const DATE: Self = Self(3);
    /// [`Day`].
    pub const DAY: Self = Self(4);
    /// Hour, 0 to 23, BCD.
    pub const HOURS: Self = Self(5);
    /// Minute, BCD.
    pub const MINUTES: Self = Self(6);
    /// [`Seconds`].
    pub const SECONDS: Self = Self(7);
    /// [`Control`].
    pub const CONTROL: Self = Self(8);
    /// [`Watchdog`]. M48T59 only, as all that follow.
    pub const WATCHDOG: Self = Self(9);
    /// [`Interrupts`].
    pub const INTERRUPTS: Self = Self(10);
    /// Date of the alarm, BCD; bit 7 is RPT4.
    pub const ALARM_DATE: Self = Self(11);
    /// Hour of the alarm, BCD; bit 7 is RPT3.
    pub const ALARM_HOURS: Self = Self(12);
    /// Minute of the alarm, BCD; bit 7 is RPT2.
    pub const ALARM_MINUTES: Self = Self(13);
    /// Second of the alarm, BCD; bit 7 is RPT1.
    pub const ALARM_SECONDS: Self = Self(14);
    /// [`Flags`].
    pub const FLAGS: Self = Self(16);

    /// Its address in an array of `size` bytes.
    pub const fn address(self, size: u16) -> u16 {
        size - self.0
    }

    /// The register at `address` of an array of `size` bytes with `count` registers at its end; `None` for RAM.
    pub fn at(address: u16, size: u16, count: u16) -> Option<Self> {
        let below = size.checked_sub(address)?;
        (1..=count).contains(&below).then_some(Self(below))
    }
}

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match *self {
            Self::YEAR => "year",
            Self::MONTH => "month",
            Self::DATE => "date",
            Self::DAY => "day",
            Self::HOURS => "hours",
            Self::MINUTES => "minutes",
            Self::SECONDS => "seconds",
            Self::CONTROL => "control",
            Self::WATCHDOG => "watchdog",
            Self::INTERRUPTS => "interrupts",
            Self::ALARM_DATE => "alarm_date",
            Self::ALARM_HOURS => "alarm_hours",
            Self::ALARM_MINUTES => "alarm_minutes",
            Self::ALARM_SECONDS => "alarm_seconds",
            Self::FLAGS => "flags",
            _ => "unused",
        })
    }
}

impl fmt::Debug for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The seconds register.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Seconds {
    /// Seconds, BCD.
    #[bits(7)]
    pub bcd: u8,
    /// ST: the oscillator stands still [§3.3].
    pub stop: bool,
}

/// The register of the day of the week, and of the century.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Day {
    /// Day of the week, 1 to 7; which is which is the user's choice.
    #[bits(3)]
    pub day: u8,
    __: bool,
    /// CB: toggles when the year goes from 99 to 0, if CEB is set [§3.10]. M48T59 only.
    pub century: bool,
    /// CEB: CB toggles. M48T59 only.
    pub century_enable: bool,
    /// FT: the pin /IRQ/FT shows 512 Hz [§3.4].
    pub frequency_test: bool,
    __: bool,
}

/// The control register.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Control {
    /// How many steps the oscillator is corrected by [§3.4].
    #[bits(5)]
    pub calibration: u8,
    /// S: the correction makes it faster.
    pub sign: bool,
    /// R: the time registers hold still, to be read [§3.1].
    pub read: bool,
    /// W: they hold still, to be written; what was written counts when W falls [§3.2].
    pub write: bool,
}

/// What a step of the watchdog's multiplier is [§3.6].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// 1/16 s.
    Sixteenth = 0,
    /// 1/4 s.
    Quarter = 1,
    /// 1 s.
    One = 2,
    /// 4 s.
    Four = 3,
}

impl Resolution {
    const fn from_bits(bits: u8) -> Self {
        match bits {
            0 => Self::Sixteenth,
            1 => Self::Quarter,
            2 => Self::One,
            _ => Self::Four,
        }
    }

    const fn into_bits(self) -> u8 {
        self as u8
    }

    /// The step as a time.
    pub const fn step(self) -> Duration {
        match self {
            Self::Sixteenth => Duration::from_micros(62_500),
            Self::Quarter => Duration::from_millis(250),
            Self::One => Duration::from_secs(1),
            Self::Four => Duration::from_secs(4),
        }
    }
}

/// The watchdog register. All bits clear: it is off.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Watchdog {
    /// RB: what the multiplier counts.
    #[bits(2)]
    pub resolution: Resolution,
    /// BMB: how many of them until it times out.
    #[bits(5)]
    pub multiplier: u8,
    /// WDS: a time-out pulls /RST, instead of /IRQ.
    pub steering: bool,
}

impl Watchdog {
    /// How long it waits.
    pub fn timeout(self) -> Duration {
        self.resolution().step() * u32::from(self.multiplier())
    }
}

/// The interrupts register.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Interrupts {
    #[bits(5)]
    __: u8,
    /// ABE: the alarm pulls /IRQ on battery, too.
    pub alarm_on_battery: bool,
    __: bool,
    /// AFE: the alarm pulls /IRQ.
    pub alarm: bool,
}

/// The flags register, read-only. Reading it clears the flags and lets /IRQ go [§3.8].
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Flags {
    #[bits(4)]
    __: u8,
    /// BL: the battery is below 2.5 V [§3.9].
    pub battery_low: bool,
    __: bool,
    /// AF: the time met the alarm.
    pub alarm: bool,
    /// WDF: the watchdog timed out.
    pub watchdog: bool,
}
