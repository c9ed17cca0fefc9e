//! Maxim DS1338: a clock with 56 bytes of RAM on battery, behind I²C.
//!
//! Source: *DS1338 I²C RTC with 56-Byte NV RAM*, Maxim Integrated, data sheet; its tables and sections are named in brackets.
//!
//! | address | register |
//! |---|---|
//! | 0x00 | seconds and CH, [`Seconds`] |
//! | 0x01 | minutes, BCD |
//! | 0x02 | hours, [`Hours`] |
//! | 0x03 | day of the week, 1 to 7 |
//! | 0x04 to 0x06 | date, month, year, BCD |
//! | 0x07 | [`Control`] |
//! | 0x08 to 0x3f | RAM |
//!
//! The first byte that is written sets the register pointer, which moves on with each byte and from 0x3f to 0x00.

use bitfield_struct::bitfield;

pub use crate::dev::m48t59::{bcd, from_bcd};
pub use crate::dev::mc146818::{Date, DateTime, Time};
use crate::i2c::{I2c, Target};

/// Its address on the bus [Slave address].
pub const ADDRESS: u8 = 0x68;
/// Bytes from address 0 on, registers and RAM.
pub const SIZE: u8 = 0x40;

/// A register's address.
pub mod reg {
    /// [`Seconds`](super::Seconds).
    pub const SECONDS: u8 = 0x00;
    /// Minutes, BCD.
    pub const MINUTES: u8 = 0x01;
    /// [`Hours`](super::Hours).
    pub const HOURS: u8 = 0x02;
    /// Day of the week, 1 to 7; which is which is the user's choice.
    pub const DAY: u8 = 0x03;
    /// Day of the month, BCD.
    pub const DATE: u8 = 0x04;
    /// Month, BCD.
    pub const MONTH: u8 = 0x05;
    /// Year of the century, BCD.
    pub const YEAR: u8 = 0x06;
    /// [`Control`](super::Control).
    pub const CONTROL: u8 = 0x07;
    /// The first byte of RAM.
    pub const RAM: u8 = 0x08;
}

/// The seconds register.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Seconds {
    /// Seconds, BCD.
    #[bits(7)]
    pub bcd: u8,
    /// CH: the oscillator stands still.
    pub halt: bool,
}

/// The hours register.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Hours {
    /// Hours, BCD. With [`twelve`](Self::twelve), bit 5 of it says PM.
    #[bits(6)]
    pub bcd: u8,
    /// Hours are 1 to 12.
    pub twelve: bool,
    __: bool,
}

impl Hours {
    /// So many hours, 0 to 23, as a clock of 12 hours shows them.
    pub const fn of_twelve(hours: u8) -> Self {
        let shown = match hours % 12 {
            0 => 12,
            hours => hours,
        };
        let pm = if hours >= 12 { 1 << 5 } else { 0 };
        Self::new().with_twelve(true).with_bcd(bcd(shown) | pm)
    }
}

/// The control register.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Control {
    /// RS: the frequency of the square wave.
    #[bits(2)]
    pub rate: u8,
    #[bits(2)]
    __: u8,
    /// SQWE: the pin SQW/OUT shows a square wave.
    pub square_wave: bool,
    /// OSF: the oscillator has stood still. Writing 1 does nothing.
    pub stopped: bool,
    __: bool,
    /// OUT: what the pin shows without a square wave.
    pub out: bool,
}

/// The chip.
#[derive(Clone, Debug)]
pub struct Ds1338(Target);

impl Ds1338 {
    /// The chip on a bus. Touches nothing.
    #[track_caller]
    pub fn new(bus: &I2c) -> Self {
        Self(bus.target(ADDRESS))
    }

    /// The chip as a target, for transfers of any kind.
    pub fn target(&self) -> &Target {
        &self.0
    }

    /// Reads so many bytes from an address on.
    #[track_caller]
    pub fn read(&self, address: u8, len: usize) -> Vec<u8> {
        self.0.write_read(&[address], len)
    }

    /// Writes bytes from an address on.
    #[track_caller]
    pub fn write(&self, address: u8, bytes: &[u8]) {
        self.0.write(&[&[address], bytes].concat());
    }

    /// Reads one byte.
    #[track_caller]
    pub fn byte(&self, address: u8) -> u8 {
        self.read(address, 1)[0]
    }

    /// The control register.
    #[track_caller]
    pub fn control(&self) -> Control {
        self.byte(reg::CONTROL).into()
    }

    /// The moment that it shows, of the years from 2000 on, with hours of 24. All in one transfer, so of one second.
    #[track_caller]
    pub fn now(&self) -> DateTime {
        let bytes = self.read(reg::SECONDS, 7);
        let [seconds, minutes, hours, _, date, month, year] =
            [0, 1, 2, 3, 4, 5, 6].map(|index: usize| from_bcd(bytes[index]));
        DateTime::new(
            Date::new(2000 + u16::from(year), month, date),
            Time::new(hours, minutes, seconds),
        )
    }

    /// Sets it to a moment of the years 2000 to 2099 and to a day of the week, 1 to 7, in one transfer.
    #[track_caller]
    pub fn set(&self, moment: DateTime, day: u8) {
        let DateTime { date, time } = moment;
        let bytes = [
            bcd(time.seconds),
            bcd(time.minutes),
            bcd(time.hours),
            day,
            bcd(date.day),
            bcd(date.month),
            bcd((date.year % 100) as u8),
        ];
        self.write(reg::SECONDS, &bytes);
    }
}
