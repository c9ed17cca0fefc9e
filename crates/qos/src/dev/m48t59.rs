//! ST M48T59 TIMEKEEPER: 8 KiB of RAM on battery, whose last bytes are a clock with alarm and watchdog. And the M48T02 and M48T08, which
//! have the clock alone.
//!
//! Source: *M48T59, M48T59Y, M48T59V: 64 Kbit (8 Kb × 8) TIMEKEEPER SRAM*, STMicroelectronics, data sheet; names of its sections and
//! tables are cited in brackets. The M48T08's data sheet has the same eight bytes at the end of its array.
//!
//! | address | M48T08 | M48T59 |
//! |---|---|---|
//! | 0x0000 to 0x1fef | RAM | RAM |
//! | 0x1ff0 to 0x1ff7 | RAM | flags, unused, alarm, interrupts, watchdog |
//! | 0x1ff8 to 0x1fff | control and time | control and time |
//!
//! The M48T02 is the M48T08 with 0x800 bytes. Registers are types in [`regs`], [`Reg`] gives their places. A byte is a byte: the chip has
//! no byte order, and where it is mapped into memory a wider access is that many bytes, in the order of addresses.
//!
//! Machines differ in what year 0 is: Sun's count from 1968.
//!
//! ```no_run
//! use testjig_qos::dev::m48t59::{M48t59, Watchdog, Resolution};
//! # fn example(rtc: &M48t59) {
//! rtc.set_watchdog(Watchdog::new().with_multiplier(3).with_resolution(Resolution::One));
//! assert!(!rtc.flags().watchdog());
//! # }
//! ```

mod decode;
pub mod regs;
mod window;

use std::ops::Deref;

use testjig_vm::{Pin, Vm};

pub use self::decode::Decoder;
pub use self::regs::{Control, Day, Flags, Interrupts, Reg, Resolution, Seconds, Watchdog};
pub use self::window::Window;
pub use crate::dev::mc146818::{Date, DateTime, Time};

/// Bytes of an M48T08 or M48T59.
pub const SIZE: u16 = 0x2000;

/// The registers of the clock itself, common to all.
const CLOCK_REGISTERS: u16 = 8;
/// The M48T59's.
const ALL_REGISTERS: u16 = 16;

/// RAM and clock: what every TIMEKEEPER has.
#[derive(Clone, Debug)]
pub struct Timekeeper {
    window: Window,
    size: u16,
    registers: u16,
    base_year: u16,
    reach: fn(&Vm),
}

impl Timekeeper {
    /// An M48T08 whose year 0 is `base_year`. Touches nothing.
    pub fn m48t08(window: Window, base_year: u16) -> Self {
        Self {
            window,
            size: SIZE,
            registers: CLOCK_REGISTERS,
            base_year,
            reach: |_| {},
        }
    }

    /// Does what the board needs before the array can be reached, and again after each reset: what its firmware does, such as opening a
    /// bridge. Most boards need nothing.
    #[track_caller]
    pub fn reach(&self) {
        (self.reach)(self.vm());
    }

    /// How the array is reached.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The machine that it belongs to.
    pub fn vm(&self) -> &Vm {
        self.window.vm()
    }

    /// How many bytes from address 0 on are RAM.
    pub fn ram_size(&self) -> u16 {
        self.size - self.registers
    }

    /// The year that the year register shows as 0.
    pub fn base_year(&self) -> u16 {
        self.base_year
    }

    /// Reads the byte at an address of the array.
    ///
    /// # Panics
    /// If the address is beyond the array.
    #[track_caller]
    pub fn byte(&self, address: u16) -> u8 {
        self.check(address);
        self.window.read(address)
    }

    /// Writes the byte at an address of the array.
    ///
    /// # Panics
    /// If the address is beyond the array.
    #[track_caller]
    pub fn set_byte(&self, address: u16, value: u8) {
        self.check(address);
        self.window.write(address, value);
    }

    #[track_caller]
    fn check(&self, address: u16) {
        assert!(
            address < self.size,
            "address {address:#x} is beyond the array of {:#x} bytes",
            self.size
        );
    }

    /// Reads a register, undecoded.
    #[track_caller]
    pub fn read(&self, reg: Reg) -> u8 {
        self.byte(reg.address(self.size))
    }

    /// Writes a register as it is.
    #[track_caller]
    pub fn write(&self, reg: Reg, value: u8) {
        self.set_byte(reg.address(self.size), value);
    }

    /// The control register.
    #[track_caller]
    pub fn control(&self) -> Control {
        self.read(Reg::CONTROL).into()
    }

    /// Writes the control register.
    #[track_caller]
    pub fn set_control(&self, value: Control) {
        self.write(Reg::CONTROL, value.into());
    }

    /// The seconds register, with ST.
    #[track_caller]
    pub fn seconds(&self) -> Seconds {
        self.read(Reg::SECONDS).into()
    }

    /// Writes the seconds register, with ST.
    #[track_caller]
    pub fn set_seconds(&self, value: Seconds) {
        self.write(Reg::SECONDS, value.into());
    }

    /// The register of day and century.
    #[track_caller]
    pub fn day(&self) -> Day {
        self.read(Reg::DAY).into()
    }

    /// Writes the register of day and century.
    #[track_caller]
    pub fn set_day(&self, value: Day) {
        self.write(Reg::DAY, value.into());
    }

    /// The time of day.
    #[track_caller]
    pub fn time(&self) -> Time {
        Time::new(
            from_bcd(self.read(Reg::HOURS)),
            from_bcd(self.read(Reg::MINUTES)),
            from_bcd(self.seconds().bcd()),
        )
    }

    /// The date.
    #[track_caller]
    pub fn date(&self) -> Date {
        Date::new(
            self.base_year + u16::from(from_bcd(self.read(Reg::YEAR))),
            from_bcd(self.read(Reg::MONTH)),
            from_bcd(self.read(Reg::DATE)),
        )
    }

    /// Date and time.
    #[track_caller]
    pub fn now(&self) -> DateTime {
        DateTime::new(self.date(), self.time())
    }

    /// Sets date and time as the data sheet prescribes [§3.2]: W on, registers, W off. The day of the week is left as it is.
    ///
    /// # Panics
    /// If the year is none of the 100 from the base year on.
    #[track_caller]
    pub fn set(&self, now: DateTime) {
        let year = now.date.year.wrapping_sub(self.base_year);
        assert!(
            year < 100,
            "{} is none of the 100 years from {} on",
            now.date.year,
            self.base_year
        );
        let control = self.control();
        self.set_control(control.with_write(true));
        self.write(Reg::YEAR, bcd(year as u8));
        self.write(Reg::MONTH, bcd(now.date.month));
        self.write(Reg::DATE, bcd(now.date.day));
        self.write(Reg::HOURS, bcd(now.time.hours));
        self.write(Reg::MINUTES, bcd(now.time.minutes));
        self.set_seconds(self.seconds().with_bcd(bcd(now.time.seconds)));
        self.set_control(control.with_write(false));
    }
}

/// When the alarm rings: the fields that are compared [§3.5, Table 6].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Alarm {
    /// The day of the month.
    pub date: u8,
    /// The time of day.
    pub time: Time,
    /// How often.
    pub repeat: Repeat,
}

/// How often the alarm rings: which of its fields are masked by RPT4 to RPT1 [Table 6].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Repeat {
    /// Nothing is compared.
    Secondly = 0b1111,
    /// The seconds.
    Minutely = 0b1110,
    /// Seconds and minutes.
    Hourly = 0b1100,
    /// All but the date.
    Daily = 0b1000,
    /// All.
    Monthly = 0b0000,
}

/// The M48T59: a [`Timekeeper`] with alarm and watchdog.
#[derive(Clone, Debug)]
pub struct M48t59 {
    clock: Timekeeper,
    irq: fn(&Vm) -> Pin,
}

impl Deref for M48t59 {
    type Target = Timekeeper;

    fn deref(&self) -> &Timekeeper {
        &self.clock
    }
}

impl M48t59 {
    /// An M48T59 whose year 0 is `base_year` and whose /IRQ/FT drives `irq`, which is asked for when it is needed. Touches nothing.
    pub fn new(window: Window, base_year: u16, irq: fn(&Vm) -> Pin) -> Self {
        Self {
            clock: Timekeeper {
                window,
                size: SIZE,
                registers: ALL_REGISTERS,
                base_year,
                reach: |_| {},
            },
            irq,
        }
    }

    /// With what the board needs before the array can be reached, see [`Timekeeper::reach`]; does it.
    #[must_use]
    #[track_caller]
    pub fn behind(mut self, reach: fn(&Vm)) -> Self {
        self.clock.reach = reach;
        self.reach();
        self
    }

    /// RAM and clock.
    pub fn timekeeper(&self) -> &Timekeeper {
        &self.clock
    }

    /// The pin that /IRQ/FT drives, inverted: high while the chip asks for attention.
    #[track_caller]
    pub fn irq(&self) -> Pin {
        (self.irq)(self.vm())
    }

    /// The watchdog register.
    #[track_caller]
    pub fn watchdog(&self) -> Watchdog {
        self.read(Reg::WATCHDOG).into()
    }

    /// Writes the watchdog register, which starts the watchdog anew, or turns it off.
    #[track_caller]
    pub fn set_watchdog(&self, value: Watchdog) {
        self.write(Reg::WATCHDOG, value.into());
    }

    /// The interrupts register.
    #[track_caller]
    pub fn interrupts(&self) -> Interrupts {
        self.read(Reg::INTERRUPTS).into()
    }

    /// Writes the interrupts register.
    #[track_caller]
    pub fn set_interrupts(&self, value: Interrupts) {
        self.write(Reg::INTERRUPTS, value.into());
    }

    /// The flags, which reading clears.
    #[track_caller]
    pub fn flags(&self) -> Flags {
        self.read(Reg::FLAGS).into()
    }

    /// Writes the four alarm registers.
    #[track_caller]
    pub fn set_alarm(&self, alarm: Alarm) {
        let mask = alarm.repeat as u8;
        let field = |value: u8, bit: u8| bcd(value) | (((mask >> bit) & 1) << 7);
        self.write(Reg::ALARM_DATE, field(alarm.date, 3));
        self.write(Reg::ALARM_HOURS, field(alarm.time.hours, 2));
        self.write(Reg::ALARM_MINUTES, field(alarm.time.minutes, 1));
        self.write(Reg::ALARM_SECONDS, field(alarm.time.seconds, 0));
    }
}

/// Two decimal digits a byte, of a number from 0 to 99.
pub const fn bcd(value: u8) -> u8 {
    ((value / 10) << 4) | (value % 10)
}

/// The number of two decimal digits. A byte that is no BCD gives some number, for the test to see.
pub const fn from_bcd(byte: u8) -> u8 {
    (byte >> 4) * 10 + (byte & 0x0f)
}
