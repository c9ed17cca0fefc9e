//! [`Clock`]: the machine's virtual time, which moves when the test moves it.

use std::fmt;
use std::time::Duration;

use testjig_qtest::ErrorKind;

use crate::condition::Condition;
use crate::fault::{ClockKind, Fault, FaultKind};
use crate::vm::Vm;

/// The machine's virtual clock, which begins at 0.
///
/// Timers of devices fire when the clock passes them, each at its own time and in their order; nothing else moves it.
#[derive(Clone)]
pub struct Clock {
    vm: Vm,
}

impl Clock {
    pub(crate) fn new(vm: Vm) -> Self {
        Self { vm }
    }

    /// The time in nanoseconds since the machine was started. A reset does not change it.
    #[track_caller]
    pub fn now(&self) -> u64 {
        self.vm.now()
    }

    /// Moves the clock on. Zero moves nothing.
    #[track_caller]
    pub fn step(&self, span: Duration) {
        if span.is_zero() {
            return self.vm.sync();
        }
        self.vm.clock_step(span);
    }

    /// Moves the clock to the next timer of a device, and answers by how much that was. Unwinds if there is none.
    #[track_caller]
    pub fn step_next(&self) -> Duration {
        let before = self.vm.now();
        match self.vm.clock_step_next() {
            Ok(now) => Duration::from_nanos(now - before),
            Err(error) => self.vm.fail(error),
        }
    }

    /// Moves the clock to this time, in nanoseconds since the machine was started. It can't go back.
    #[track_caller]
    pub fn set(&self, time: u64) {
        let now = self.vm.now();
        if time < now {
            let problem = format!(
                "failed to set the virtual clock to {time} ns: it shows {now} ns and can't go back"
            );
            Fault::usage(problem).raise();
        }
        self.vm.clock_set(time);
    }

    /// Moves the clock from timer to timer until the condition holds, and answers how far that was; zero if it holds now.
    ///
    /// Unwinds with [`FaultKind::Deadline`] if it does not hold within that time. Where no timer is left before then, the
    /// clock is moved to the end of that time. Whoever expects that nothing happens uses [`step`](Self::step) and looks
    /// at the edges.
    #[track_caller]
    pub fn step_until(&self, mut condition: Condition<'_>, within: Duration) -> Duration {
        self.vm.sync();
        let start = self.vm.now();
        let end = start.saturating_add(u64::try_from(within.as_nanos()).unwrap_or(u64::MAX));
        let mut now = start;
        let mut idle = false;
        loop {
            let moved = Duration::from_nanos(now - start);
            // Nothing happens between two timers: what is seen behind the end has happened there.
            if now <= end && condition.holds() {
                return moved;
            }
            if now >= end {
                late(&condition, within, moved, idle);
            }
            if let Some(grain) = condition.grain() {
                let rest = Duration::from_nanos(end - now);
                self.step(grain.clamp(Duration::from_nanos(1), rest));
                now = self.vm.now();
                continue;
            }
            now = match self.vm.clock_step_next() {
                Ok(now) => now,
                Err(error) if is_idle(&error) => {
                    idle = true;
                    self.vm.clock_step(Duration::from_nanos(end - now));
                    end
                }
                Err(error) => self.vm.fail(error),
            };
        }
    }
}

#[track_caller]
#[cold]
fn late(condition: &Condition<'_>, within: Duration, moved: Duration, idle: bool) -> ! {
    let mut seen = condition.seen();
    if idle {
        let separator = if seen.is_empty() { "" } else { "; " };
        seen = format!("{seen}{separator}no timer of a device is pending");
    }
    Fault::new(FaultKind::Deadline {
        condition: condition.to_string(),
        seen,
        within,
        moved,
        clock: ClockKind::Virtual,
    })
    .raise()
}

/// Whether the server says that there is no timer to step to.
fn is_idle(error: &testjig_qtest::Error) -> bool {
    matches!(error.kind(), ErrorKind::Failed { reason, .. } if reason.contains("no pending deadline"))
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
