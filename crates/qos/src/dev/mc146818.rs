//! Motorola MC146818 real-time clock plus RAM, as IBM's PC/AT and every PC since wires it: two ports, interrupt line 8.
//!
//! Source: *MC146818 Real-Time Clock Plus RAM (RTC)*, Motorola, data sheet; names of its sections and tables are cited in brackets.
//! What the PC adds (the century byte, RAM beyond 64 bytes, bit 7 of the index port) is from the IBM PC/AT Technical Reference.
//!
//! | port | offset | read | write |
//! |---|---|---|---|
//! | 0x70 | 0 | not defined | register index in bits 6:0; bit 7 masks the NMI and is no concern of the clock |
//! | 0x71 | 1 | the selected register | the selected register |
//!
//! The registers are types in [`regs`]; [`Reg`] gives their indices. What is in the time registers depends on register B: see
//! [`Format`]. [`Mc146818::set`] and its relatives write in the format that register B asks for at that moment.
//!
//! ```no_run
//! use testjig_qos::dev::mc146818::{AlarmMatch, Mc146818, RegB, Time};
//! # fn example(vm: &testjig_vm::Vm) {
//! let rtc = Mc146818::new(vm);
//! rtc.set_b(RegB::new().with_hour24(true).with_alarm_irq(true));
//! rtc.set_time(Time::new(9, 59, 58));
//! rtc.set_alarm(AlarmMatch::every_hour_at(0, 0));
//! # }
//! ```

mod decode;
pub mod regs;
mod time;

pub use self::decode::Decoder;
pub use self::regs::{Divider, Reg, RegA, RegB, RegC, RegD};
pub use self::time::{AlarmMatch, Date, DateTime, Format, Time};

use testjig_vm::{Pin, Vm};

use crate::bus::Pio;

/// Where the PC's clock lives.
const PC_PORT: u16 = 0x70;
/// Its interrupt line on the PC.
const PC_IRQ: u32 = 8;

const INDEX: u16 = 0;
const DATA: u16 = 1;

/// The clock on its two ports.
///
/// An access is two operations, index then data. The values are those of the moment: a time read byte by byte across an update is
/// torn, unless the clock is held, or virtual time stands still, which it does between a test's own steps.
#[derive(Clone, Debug)]
pub struct Mc146818 {
    io: Pio,
}

impl Mc146818 {
    /// The PC's own clock, at port 0x70. Touches nothing.
    pub fn new(vm: &Vm) -> Self {
        Self::at(vm, PC_PORT)
    }

    /// A clock at another pair of ports.
    pub fn at(vm: &Vm, port: u16) -> Self {
        Self {
            io: Pio::new(vm, port),
        }
    }

    /// A decoder for the failure report, of the clock at port 0x70.
    pub fn decoder() -> Decoder {
        Decoder::new(PC_PORT)
    }

    /// The ports.
    pub fn io(&self) -> &Pio {
        &self.io
    }

    /// The pin that the PC's clock drives, /IRQ inverted by the board: high while [`RegC::irq`] is set.
    pub fn irq(&self) -> Pin {
        Pin::input("ioapic", PC_IRQ)
    }

    /// Writes the index port; bits 6:0 choose what the data port reaches.
    #[track_caller]
    pub fn select(&self, index: u8) {
        self.io.outb(INDEX, index);
    }

    /// Reads the data port: whatever was selected last.
    #[track_caller]
    pub fn read_selected(&self) -> u8 {
        self.io.inb(DATA)
    }

    /// Writes the data port: whatever was selected last.
    #[track_caller]
    pub fn write_selected(&self, value: u8) {
        self.io.outb(DATA, value);
    }

    /// Selects and reads a register or RAM byte, undecoded.
    #[track_caller]
    pub fn read(&self, reg: Reg) -> u8 {
        self.select(reg.index());
        self.read_selected()
    }

    /// Selects and writes a register or RAM byte as it is.
    #[track_caller]
    pub fn write(&self, reg: Reg, value: u8) {
        self.select(reg.index());
        self.write_selected(value);
    }

    /// Register A.
    #[track_caller]
    pub fn a(&self) -> RegA {
        self.read(Reg::A).into()
    }

    /// Writes register A; its UIP bit can't be written.
    #[track_caller]
    pub fn set_a(&self, value: RegA) {
        self.write(Reg::A, value.into());
    }

    /// Register B.
    #[track_caller]
    pub fn b(&self) -> RegB {
        self.read(Reg::B).into()
    }

    /// Writes register B.
    #[track_caller]
    pub fn set_b(&self, value: RegB) {
        self.write(Reg::B, value.into());
    }

    /// Register C. Reading clears it and releases the interrupt line.
    #[track_caller]
    pub fn c(&self) -> RegC {
        self.read(Reg::C).into()
    }

    /// Register D.
    #[track_caller]
    pub fn d(&self) -> RegD {
        self.read(Reg::D).into()
    }

    /// How register B says that the time registers are to be read.
    #[track_caller]
    pub fn format(&self) -> Format {
        self.b().format()
    }

    /// The seconds, 0 to 59.
    #[track_caller]
    pub fn seconds(&self) -> u8 {
        self.format().decode(self.read(Reg::SECONDS))
    }

    /// The time of day.
    #[track_caller]
    pub fn time(&self) -> Time {
        let format = self.format();
        Time::new(
            format.decode_hour(self.read(Reg::HOURS)),
            format.decode(self.read(Reg::MINUTES)),
            format.decode(self.read(Reg::SECONDS)),
        )
    }

    /// The date, with the century byte.
    #[track_caller]
    pub fn date(&self) -> Date {
        let format = self.format();
        let century = format.decode(self.read(Reg::CENTURY));
        let year = format.decode(self.read(Reg::YEAR));
        Date::new(
            u16::from(century) * 100 + u16::from(year),
            format.decode(self.read(Reg::MONTH)),
            format.decode(self.read(Reg::DATE)),
        )
    }

    /// The day of the week, 1 for Sunday to 7 for Saturday [Table 2].
    #[track_caller]
    pub fn weekday(&self) -> u8 {
        self.format().decode(self.read(Reg::DAY_OF_WEEK))
    }

    /// Date and time.
    #[track_caller]
    pub fn now(&self) -> DateTime {
        DateTime::new(self.date(), self.time())
    }

    /// Stops the time registers: sets SET in register B.
    #[track_caller]
    pub fn hold(&self) {
        self.set_b(self.b().with_set(true));
    }

    /// Lets the time registers run on: clears SET in register B.
    #[track_caller]
    pub fn release(&self) {
        self.set_b(self.b().with_set(false));
    }

    /// Sets the time of day as the data sheet prescribes [Time, Calendar, and Alarm Locations]: SET on, registers, SET off. The
    /// rest of register B is as before, and the divider chain goes on undisturbed.
    #[track_caller]
    pub fn set_time(&self, time: Time) {
        self.held(|rtc| rtc.write_time(time));
    }

    /// Sets date, day of the week and century, as [`set_time`](Self::set_time) does the time.
    #[track_caller]
    pub fn set_date(&self, date: Date) {
        self.held(|rtc| rtc.write_date(date));
    }

    /// Sets date and time, as [`set_time`](Self::set_time) does the time.
    #[track_caller]
    pub fn set(&self, now: DateTime) {
        self.held(|rtc| {
            rtc.write_date(now.date);
            rtc.write_time(now.time);
        });
    }

    #[track_caller]
    fn held(&self, write: impl FnOnce(&Self)) {
        let before = self.b();
        self.set_b(before.with_set(true));
        write(self);
        self.set_b(before.with_set(false));
    }

    /// Writes hours, minutes and seconds; does not touch SET.
    #[track_caller]
    pub fn write_time(&self, time: Time) {
        let format = self.format();
        self.write(Reg::HOURS, format.encode_hour(time.hours));
        self.write(Reg::MINUTES, format.encode(time.minutes));
        self.write(Reg::SECONDS, format.encode(time.seconds));
    }

    /// Writes century, year, month, date and day of the week; does not touch SET.
    #[track_caller]
    pub fn write_date(&self, date: Date) {
        let format = self.format();
        self.write(Reg::CENTURY, format.encode((date.year / 100) as u8));
        self.write(Reg::YEAR, format.encode((date.year % 100) as u8));
        self.write(Reg::MONTH, format.encode(date.month));
        self.write(Reg::DATE, format.encode(date.day));
        self.write(Reg::DAY_OF_WEEK, format.encode(date.weekday()));
    }

    /// Writes the three alarm registers.
    #[track_caller]
    pub fn set_alarm(&self, alarm: AlarmMatch) {
        let format = self.format();
        let or_any = |byte: Option<u8>| byte.unwrap_or(AlarmMatch::DONT_CARE);
        let hours = alarm.hours.map(|hours| format.encode_hour(hours));
        self.write(Reg::HOURS_ALARM, or_any(hours));
        let minutes = alarm.minutes.map(|minutes| format.encode(minutes));
        self.write(Reg::MINUTES_ALARM, or_any(minutes));
        let seconds = alarm.seconds.map(|seconds| format.encode(seconds));
        self.write(Reg::SECONDS_ALARM, or_any(seconds));
    }
}
