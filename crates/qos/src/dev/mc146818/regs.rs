//! The registers as types.

use std::fmt;
use std::time::Duration;

use bitfield_struct::bitfield;

use super::Format;

/// The index of a register or of a byte of RAM, 0x00 to 0x7f.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg(u8);

impl Reg {
    /// Seconds.
    pub const SECONDS: Self = Self(0x00);
    /// Seconds of the alarm.
    pub const SECONDS_ALARM: Self = Self(0x01);
    /// Minutes.
    pub const MINUTES: Self = Self(0x02);
    /// Minutes of the alarm.
    pub const MINUTES_ALARM: Self = Self(0x03);
    /// Hours; in 12-hour mode bit 7 is set from noon on.
    pub const HOURS: Self = Self(0x04);
    /// Hours of the alarm.
    pub const HOURS_ALARM: Self = Self(0x05);
    /// Day of the week, Sunday is 1.
    pub const DAY_OF_WEEK: Self = Self(0x06);
    /// Day of the month.
    pub const DATE: Self = Self(0x07);
    /// Month.
    pub const MONTH: Self = Self(0x08);
    /// Year of the century.
    pub const YEAR: Self = Self(0x09);
    /// Register A.
    pub const A: Self = Self(0x0a);
    /// Register B.
    pub const B: Self = Self(0x0b);
    /// Register C.
    pub const C: Self = Self(0x0c);
    /// Register D.
    pub const D: Self = Self(0x0d);
    /// RAM byte of the PC/AT: why the processor was reset, read by the firmware.
    pub const SHUTDOWN_STATUS: Self = Self(0x0f);
    /// RAM byte of the PC/AT: the century, in the clock's data mode.
    pub const CENTURY: Self = Self(0x32);
    /// Where IBM's PS/2 keeps the century.
    pub const CENTURY_PS2: Self = Self(0x37);

    /// The register or RAM byte at `index`.
    ///
    /// # Panics
    /// If `index` is above 0x7f: the index has seven bits.
    #[track_caller]
    pub const fn at(index: u8) -> Self {
        assert!(
            index <= 0x7f,
            "the clock has 128 bytes: an index is at most 0x7f"
        );
        Self(index)
    }

    /// Its index.
    pub const fn index(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::SECONDS => "seconds",
            Self::SECONDS_ALARM => "seconds_alarm",
            Self::MINUTES => "minutes",
            Self::MINUTES_ALARM => "minutes_alarm",
            Self::HOURS => "hours",
            Self::HOURS_ALARM => "hours_alarm",
            Self::DAY_OF_WEEK => "day_of_week",
            Self::DATE => "date",
            Self::MONTH => "month",
            Self::YEAR => "year",
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
            Self::SHUTDOWN_STATUS => "shutdown_status",
            Self::CENTURY => "century",
            Self::CENTURY_PS2 => "century_ps2",
            Self(index) => return write!(f, "ram[{index:#04x}]"),
        })
    }
}

impl fmt::Debug for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The divider chain, DV2 to DV0 of register A [Table 4].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divider {
    /// Runs from a 4.194304 MHz crystal.
    Mhz4 = 0b000,
    /// Runs from a 1.048576 MHz crystal.
    Mhz1 = 0b001,
    /// Runs from a 32.768 kHz crystal: the PC's.
    Khz32 = 0b010,
    /// For test purposes.
    Test3 = 0b011,
    /// For test purposes.
    Test4 = 0b100,
    /// For test purposes.
    Test5 = 0b101,
    /// The chain is held in reset.
    Reset = 0b110,
    /// The chain is held in reset, the other code for it.
    Reset7 = 0b111,
}

impl Divider {
    const fn into_bits(self) -> u8 {
        self as u8
    }

    const fn from_bits(bits: u8) -> Self {
        match bits & 0b111 {
            0b000 => Self::Mhz4,
            0b001 => Self::Mhz1,
            0b010 => Self::Khz32,
            0b011 => Self::Test3,
            0b100 => Self::Test4,
            0b101 => Self::Test5,
            0b110 => Self::Reset,
            _ => Self::Reset7,
        }
    }
}

/// Register A, index 0x0a: divider chain and periodic rate [Register A]. A reset does not touch it.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct RegA {
    /// RS: which tap of the divider chain gives the periodic interrupt; 0 for none. See [`RegA::period`].
    #[bits(4)]
    pub rate: u8,
    /// DV: time base and divider reset.
    #[bits(3, default = Divider::Mhz4)]
    pub divider: Divider,
    /// UIP: an update is in progress or begins within 244 µs. Can't be written.
    pub update_in_progress: bool,
}

impl RegA {
    /// The time between periodic interrupts that RS asks for with the 32.768 kHz time base [Table 5], to the nanosecond below;
    /// `None` when RS is 0.
    pub fn period(self) -> Option<Duration> {
        let cycles: u64 = match self.rate() {
            0 => return None,
            // The two fastest taps do not exist with this time base: they give what 8 and 9 give.
            rate @ 1..=2 => 1 << (rate + 6),
            rate => 1 << (rate - 1),
        };
        Some(Duration::from_nanos(cycles * 1_000_000_000 / 32768))
    }
}

/// Register B, index 0x0b: modes and interrupt enables [Register B].
#[bitfield(u8, debug = false)]
#[derive(PartialEq, Eq)]
pub struct RegB {
    /// DSE: daylight saving.
    pub daylight_saving: bool,
    /// 24/12: the hours count from 0 to 23; else 1 to 12 with an AM/PM bit.
    pub hour24: bool,
    /// DM: time and calendar are binary; else BCD.
    pub binary: bool,
    /// SQWE: square wave output.
    pub square_wave: bool,
    /// UIE: update-ended interrupt.
    pub update_irq: bool,
    /// AIE: alarm interrupt.
    pub alarm_irq: bool,
    /// PIE: periodic interrupt.
    pub periodic_irq: bool,
    /// SET: no update touches the time registers, so that they can be set.
    pub set: bool,
}

impl RegB {
    /// How the time registers are to be read.
    pub fn format(self) -> Format {
        Format {
            binary: self.binary(),
            hour24: self.hour24(),
        }
    }

    /// Each bit and its name, from bit 7 down.
    pub(super) fn flags(self) -> [(bool, &'static str); 8] {
        [
            (self.set(), "set"),
            (self.periodic_irq(), "periodic_irq"),
            (self.alarm_irq(), "alarm_irq"),
            (self.update_irq(), "update_irq"),
            (self.square_wave(), "square_wave"),
            (self.binary(), "binary"),
            (self.hour24(), "hour24"),
            (self.daylight_saving(), "daylight_saving"),
        ]
    }

    /// With the format's two mode bits.
    #[must_use]
    pub fn with_format(self, format: Format) -> Self {
        self.with_binary(format.binary).with_hour24(format.hour24)
    }
}

/// The bits that are set: they name test cases too, so zeros are left out.
impl fmt::Debug for RegB {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.flags().into_iter().filter(|&(set, _)| set);
        let names: Vec<&str> = set.map(|(_, name)| name).collect();
        write!(f, "RegB {{{}}}", names.join(", "))
    }
}

/// Register C, index 0x0c: interrupt flags [Register C]. A read clears it; it can't be written.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct RegC {
    #[bits(4)]
    unused: u8,
    /// UF: an update has ended.
    pub update: bool,
    /// AF: time and alarm met.
    pub alarm: bool,
    /// PF: the periodic tap ticked.
    pub periodic: bool,
    /// IRQF: a flag is set whose enable in register B is set too; the interrupt line follows it.
    pub irq: bool,
}

impl RegC {
    /// No flag: what a second read sees.
    pub const fn empty() -> Self {
        Self::new()
    }
}

/// Register D, index 0x0d [Register D]. It can't be written.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct RegD {
    #[bits(7)]
    unused: u8,
    /// VRT: the battery has kept RAM and time.
    pub valid_ram_and_time: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [Table 5], the column for 32.768 kHz, in nanoseconds.
    #[test]
    fn periods_are_those_of_the_data_sheet() {
        let periods: Vec<u128> = (0..16)
            .filter_map(|rate| RegA::new().with_rate(rate).period())
            .map(|period| period.as_nanos())
            .collect();
        assert_eq!(
            periods,
            [
                3_906_250,
                7_812_500,
                122_070,
                244_140,
                488_281,
                976_562,
                1_953_125,
                3_906_250,
                7_812_500,
                15_625_000,
                31_250_000,
                62_500_000,
                125_000_000,
                250_000_000,
                500_000_000
            ]
        );
    }

    #[test]
    fn bits_are_where_the_data_sheet_has_them() {
        let a = RegA::new().with_rate(6).with_divider(Divider::Khz32);
        assert_eq!(u8::from(a), 0x26);
        assert_eq!(u8::from(RegA::new().with_update_in_progress(true)), 0x80);
        assert_eq!(u8::from(RegA::new().with_divider(Divider::Reset7)), 0x70);
        assert_eq!(
            u8::from(RegB::new().with_set(true).with_daylight_saving(true)),
            0x81
        );
        assert_eq!(u8::from(RegB::new().with_format(Format::BINARY_24)), 0x06);
        assert_eq!(u8::from(RegB::new().with_periodic_irq(true)), 0x40);
        assert_eq!(u8::from(RegB::new().with_alarm_irq(true)), 0x20);
        assert_eq!(u8::from(RegB::new().with_update_irq(true)), 0x10);
        assert_eq!(u8::from(RegB::new().with_square_wave(true)), 0x08);
        assert_eq!(
            u8::from(RegC::new().with_irq(true).with_periodic(true)),
            0xc0
        );
        assert_eq!(
            u8::from(RegC::new().with_alarm(true).with_update(true)),
            0x30
        );
        assert_eq!(u8::from(RegD::new().with_valid_ram_and_time(true)), 0x80);
    }
}
