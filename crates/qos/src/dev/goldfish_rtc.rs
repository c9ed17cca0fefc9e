//! Goldfish RTC: the clock of Android's emulator, which RISC-V's `virt` has. Nanoseconds since 1970, and an alarm.
//!
//! Source: *Goldfish virtual hardware*, "IV. Goldfish RTC" of the Android emulator's documentation, and what Linux's driver
//! (`drivers/rtc/rtc-goldfish.c`) makes of its registers; there is no data sheet.
//!
//! | offset | register | access |
//! |---|---|---|
//! | 0x00 | TIME_LOW; reading it keeps the upper half for TIME_HIGH, writing it sets the time | read, write |
//! | 0x04 | TIME_HIGH | read, write |
//! | 0x08 | ALARM_LOW; writing it sets the alarm | read, write |
//! | 0x0c | ALARM_HIGH | read, write |
//! | 0x10 | IRQ_ENABLED, bit 0 | read, write |
//! | 0x14 | CLEAR_ALARM | write |
//! | 0x18 | ALARM_STATUS, 1 while an alarm is set | read |
//! | 0x1c | CLEAR_INTERRUPT | write |
//!
//! All are 32 bits wide.

use testjig_qtest::Entry;
use testjig_vm::{Pin, Vm};

use crate::bus::Mmio;
use crate::describe::{Access, Describe, Seen, Space, Transfer};

/// Offsets of the registers.
pub mod reg {
    /// The lower half of the time.
    pub const TIME_LOW: u64 = 0x00;
    /// The upper half.
    pub const TIME_HIGH: u64 = 0x04;
    /// The lower half of the alarm.
    pub const ALARM_LOW: u64 = 0x08;
    /// The upper half.
    pub const ALARM_HIGH: u64 = 0x0c;
    /// Whether an alarm interrupts.
    pub const IRQ_ENABLED: u64 = 0x10;
    /// Takes the alarm back.
    pub const CLEAR_ALARM: u64 = 0x14;
    /// Whether an alarm is set.
    pub const ALARM_STATUS: u64 = 0x18;
    /// Lowers the interrupt line.
    pub const CLEAR_INTERRUPT: u64 = 0x1c;
}

/// The clock.
#[derive(Clone, Debug)]
pub struct GoldfishRtc {
    io: Mmio,
    irq: fn(&Vm) -> Pin,
}

impl GoldfishRtc {
    /// The clock whose registers begin at a guest-physical address; `irq` is its interrupt line. Touches nothing.
    pub fn new(vm: &Vm, base: u64, irq: fn(&Vm) -> Pin) -> Self {
        Self {
            io: Mmio::new(vm, base),
            irq,
        }
    }

    /// What decodes its operations for the failure report.
    pub fn decoder(base: u64) -> Decoder {
        Decoder {
            base,
            seen: Seen::default(),
        }
    }

    /// Its interrupt line.
    pub fn irq(&self) -> Pin {
        (self.irq)(self.io.vm())
    }

    /// Reads a register by its offset, undecoded.
    #[track_caller]
    pub fn read(&self, offset: u64) -> u32 {
        self.io.readl(offset)
    }

    /// Writes a register by its offset.
    #[track_caller]
    pub fn write(&self, offset: u64, value: u32) {
        self.io.writel(offset, value);
    }

    /// Nanoseconds since 1970: the lower half first, which keeps the upper.
    #[track_caller]
    pub fn nanoseconds(&self) -> u64 {
        let low = self.read(reg::TIME_LOW);
        let high = self.read(reg::TIME_HIGH);
        (u64::from(high) << 32) | u64::from(low)
    }

    /// Sets the time, in nanoseconds since 1970: the upper half first.
    #[track_caller]
    pub fn set_nanoseconds(&self, time: u64) {
        self.write(reg::TIME_HIGH, (time >> 32) as u32);
        self.write(reg::TIME_LOW, time as u32);
    }

    /// The alarm's time as the registers show it.
    #[track_caller]
    pub fn alarm(&self) -> u64 {
        let low = self.read(reg::ALARM_LOW);
        let high = self.read(reg::ALARM_HIGH);
        (u64::from(high) << 32) | u64::from(low)
    }

    /// Sets the alarm, in nanoseconds since 1970: the upper half first.
    #[track_caller]
    pub fn set_alarm(&self, time: u64) {
        self.write(reg::ALARM_HIGH, (time >> 32) as u32);
        self.write(reg::ALARM_LOW, time as u32);
    }

    /// Takes the alarm back.
    #[track_caller]
    pub fn clear_alarm(&self) {
        self.write(reg::CLEAR_ALARM, 1);
    }

    /// Whether an alarm is set and has not rung.
    #[track_caller]
    pub fn has_alarm(&self) -> bool {
        self.read(reg::ALARM_STATUS) & 1 != 0
    }

    /// Has an alarm interrupt, or not.
    #[track_caller]
    pub fn set_interrupt(&self, enabled: bool) {
        self.write(reg::IRQ_ENABLED, enabled.into());
    }

    /// Lowers the interrupt line.
    #[track_caller]
    pub fn clear_interrupt(&self) {
        self.write(reg::CLEAR_INTERRUPT, 1);
    }
}

/// Decodes the operations of a [`GoldfishRtc`].
#[derive(Debug)]
pub struct Decoder {
    base: u64,
    seen: Seen,
}

impl Describe for Decoder {
    fn name(&self) -> &'static str {
        "goldfish_rtc"
    }

    fn observe(&mut self, entry: &Entry) -> Option<String> {
        let access = Access::of(entry).filter(|access| access.space == Space::Memory)?;
        let name = match access.address.checked_sub(self.base)? {
            reg::TIME_LOW => "time_low",
            reg::TIME_HIGH => "time_high",
            reg::ALARM_LOW => "alarm_low",
            reg::ALARM_HIGH => "alarm_high",
            reg::IRQ_ENABLED => "irq_enabled",
            reg::CLEAR_ALARM => "clear_alarm",
            reg::ALARM_STATUS => "alarm_status",
            reg::CLEAR_INTERRUPT => "clear_interrupt",
            _ => return None,
        };
        let (arrow, value) = match access.transfer {
            Transfer::Write(value) => ('←', value),
            Transfer::Read(Some(value)) => ('→', value),
            Transfer::Read(None) => return Some(format!("goldfish_rtc.{name}→no answer")),
        };
        let text = format!("{value:#010x}");
        Some(self.seen.note("goldfish_rtc", name, arrow, text))
    }

    fn state(&self) -> Vec<String> {
        self.seen.state()
    }
}
