//! MC146818 real-time clock. Sections and tables of Motorola's data sheet stand in brackets.
//!
//! A machine starts on Thursday 2026-01-15 at 12:00:00, virtual time zero, its clock in BCD and 24-hour mode: updates fall on whole
//! seconds of virtual time until a test moves them by a divider reset. No firmware runs, so what a test finds is what the device
//! came up with.

mod alarm;
mod calendar;
mod divider;
mod flags;
mod format;
mod lost_ticks;
mod machine;
mod periodic;
mod ram;
mod reset;
mod set;
mod update;

use std::time::Duration;

use testjig::prelude::*;
use testjig::qos::dev::mc146818::{AlarmMatch, Date, DateTime, Format, Mc146818, Reg, RegB, Time};
use testjig::vm::EdgeKind::{Lower, Raise};
use testjig::vm::{Condition, Rtc};

const NANOSECOND: Duration = Duration::from_nanos(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86400);

/// The update cycle is announced by UIP this long before it begins: t_BUC = 244 µs [Table 6], eight periods of 32.768 kHz.
const UPDATE_NOTICE: Duration = Duration::from_nanos(8 * 1_000_000_000 / 32768);

/// Register B with BCD and 24-hour mode, no interrupt enabled.
const IDLE: RegB = RegB::new().with_hour24(true);

const FORMATS: [Format; 4] = [
    Format::BCD_12,
    Format::BCD_24,
    Format::BINARY_12,
    Format::BINARY_24,
];

const THURSDAY: Date = Date::new(2026, 1, 15);

/// A machine whose interval timer is off, so that virtual hours pass without its ticks.
fn no_pit(launch: Launch) -> Launch {
    launch.machine_option("pit", "off")
}

/// An alarm that is days away as far as these tests are concerned.
const MIDNIGHT: AlarmMatch = AlarmMatch::daily_at(Time::new(0, 0, 0));

/// Lets one second pass unread. While its update flag is pending and the alarm is far, the clock has nothing to do at an update.
fn leave_update_pending(vm: &Vm) {
    vm.clock().step(SECOND);
}
