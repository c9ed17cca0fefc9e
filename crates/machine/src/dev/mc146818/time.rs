//! How the time's bytes are spelled [Time, Calendar, and Alarm Locations].

/// Data mode and hour mode of register B.
#[derive(Clone, Copy)]
pub(super) struct Format {
    pub(super) binary: bool,
    pub(super) hour24: bool,
}

const PM: u8 = 0x80;

impl Format {
    pub(super) fn encode(self, value: u8) -> u8 {
        if self.binary {
            value
        } else {
            ((value / 10) << 4) | (value % 10)
        }
    }

    pub(super) fn decode(self, byte: u8) -> u8 {
        if self.binary {
            byte
        } else {
            (byte >> 4).wrapping_mul(10).wrapping_add(byte & 0xf)
        }
    }

    /// [Table 2] In 12-hour mode the hours are 12, 1 to 11, and bit 7 is set from noon on.
    pub(super) fn encode_hour(self, hour: u8) -> u8 {
        if self.hour24 {
            return self.encode(hour);
        }
        let of_twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
        self.encode(of_twelve) | if hour >= 12 { PM } else { 0 }
    }

    pub(super) fn decode_hour(self, byte: u8) -> u8 {
        if self.hour24 {
            return self.decode(byte);
        }
        let of_twelve = self.decode(byte & !PM) % 12;
        of_twelve + if byte & PM == 0 { 0 } else { 12 }
    }
}

/// The three alarm bytes.
#[derive(Clone, Copy)]
pub(super) struct Alarm {
    pub(super) hours: u8,
    pub(super) minutes: u8,
    pub(super) seconds: u8,
}

impl Alarm {
    /// Whether it matches a time of day, in seconds. A byte from C0 on is "don't care".
    pub(super) fn matches(self, format: Format, time: i64) -> bool {
        let same = |alarm: u8, byte: u8| alarm >= 0xc0 || alarm == byte;
        same(self.seconds, format.encode((time % 60) as u8))
            && same(self.minutes, format.encode((time / 60 % 60) as u8))
            && same(self.hours, format.encode_hour((time / 3600) as u8))
    }
}
