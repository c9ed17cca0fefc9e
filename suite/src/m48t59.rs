//! ST TIMEKEEPER chips: the M48T59, with alarm and watchdog, and the M48T08, with neither. Sections and tables of the M48T59's data sheet
//! stand in brackets; what is on [`Timekeeper`] holds for both.
//!
//! A machine starts on Thursday 2026-01-15 at 12:00:00, virtual time zero.
//!
//! Where QEMU does not do what the data sheet says, the test stays as an expected failure. These are in QEMU 10.0 and 11.1, and no report
//! of them is known:
//!
//! | data sheet | QEMU |
//! |---|---|
//! | \[§3.1, §3.2\] R and W hold the time registers still | they go on |
//! | \[§3.3\] ST stops the oscillator | the bit is kept, time goes on |
//! | \[Table 5\] the calibration bits, and S and W, are read as written | S is 0, W and bit 4 are 1 |
//! | \[Table 5\] the day of the week is 1 to 7 and counts on from what was set | it is the calendar's, 0 to 6 |
//! | \[§3.10\] CEB and CB are read as written | 0 |
//! | \[§3.5\] an alarm rings at its time | at once, and again a million times too soon |
//! | \[§3.5\] an alarm sets AF, and pulls /IRQ only if AFE is set | AF is never set, AFE does nothing |
//! | \[§3.8\] /IRQ stays until the flags register is read | it is a pulse |
//! | \[§3.8\] reading the flags register clears WDF | it stays |
//! | \[§3.6\] the watchdog times out at its time | when virtual time reaches the host's calendar time, a second as a microsecond |
//! | \[§3.2\] a clock shows what it is set to | it is set by the host's clock even where it runs by another: it is off by the difference |

mod alarm;
mod calendar;
mod control;
mod ram;
mod watchdog;

use std::time::Duration;

use testjig::prelude::*;
use testjig::qos::dev::m48t59::{
    Alarm, Control, Date, DateTime, Day, Flags, Interrupts, M48t59, Reg, Repeat, Resolution,
    Seconds, Time, Timekeeper, Watchdog, bcd,
};
use testjig::vm::EdgeKind::{Lower, Raise};
use testjig::vm::{Condition, Rtc};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The moment that a machine starts at.
const NOON: DateTime = DateTime::new(Date::new(2026, 1, 15), Time::new(12, 0, 0));

const fn at(year: u16, month: u8, day: u8, hours: u8, minutes: u8, seconds: u8) -> DateTime {
    DateTime::new(
        Date::new(year, month, day),
        Time::new(hours, minutes, seconds),
    )
}

/// Sets the clock and waits until it shows that: QEMU's is behind by as many of the host's seconds as the machine is old.
#[track_caller]
fn set_and_meet(rtc: &Timekeeper, vm: &Vm, moment: DateTime) {
    rtc.set(moment);
    let met = Condition::new(format!("the clock shows {moment}"), || rtc.now() == moment)
        .seeing(|| rtc.now().to_string())
        .every(SECOND);
    vm.clock().step_until(met, 60 * SECOND);
}

/// By the host's clock, what is written is what is read, or a second later: for tests that write the time and do not let it pass. In the
/// middle of everything, so that a second that passes is seen in the seconds only.
fn on_the_hosts_clock(launch: Launch) -> Launch {
    launch.rtc(Rtc::at("2026-06-15T12:30:05").host_clock())
}
