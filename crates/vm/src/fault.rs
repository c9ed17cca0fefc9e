//! [`Fault`]: what unwinds out of a test when the machine does not do as asked.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::process::ExitReport;

/// Why a call on a [`Vm`](crate::Vm) did not return.
///
/// It is the payload of an unwinding that began with [`Fault::raise`]: no panic hook runs and nothing is printed. Who
/// catches it, with [`std::panic::catch_unwind`], finds it by downcasting.
#[derive(Debug)]
pub struct Fault {
    kind: FaultKind,
    location: &'static Location<'static>,
    operation: Option<String>,
}

/// The reason of a [`Fault`].
#[derive(Debug)]
#[non_exhaustive]
pub enum FaultKind {
    /// An operation on registers, memory, pins or clock was refused, or its answer is none.
    Qtest(testjig_qtest::Error),
    /// A QMP command was refused, or its answer is none.
    Qmp(testjig_qmp::Error),
    /// The VMM has ended.
    Died(ExitReport),
    /// The VMM lives and did not answer in time, or the test's time was up.
    Hang {
        /// What was waited for.
        waiting_for: String,
        /// For how long.
        after: Duration,
        /// What the VMM does meanwhile, as far as can be seen.
        activity: String,
    },
    /// Something that the machine should do did not happen in time.
    Deadline {
        /// What should have happened: "irq 8 of ioapic raised".
        condition: String,
        /// What there was instead.
        seen: String,
        /// The time in which it should have happened.
        within: Duration,
        /// How far the clock moved.
        moved: Duration,
        /// Which clock.
        clock: ClockKind,
    },
    /// The call can't be meant so: an address that is no RAM, an unknown drive.
    Usage(String),
    /// The VMM can't do this, or the launch gave it up.
    Capability(String),
    /// The test is not for this machine.
    Skip(String),
    /// The VMM has a bug that is known to be in its version.
    Known(String),
}

/// Which time passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClockKind {
    /// The machine's: it moves when the test moves it.
    Virtual,
    /// The host's.
    Host,
}

impl Fault {
    /// A fault of the caller's location.
    #[track_caller]
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            location: Location::caller(),
            operation: None,
        }
    }

    /// The call is wrong: says what was attempted and what is wrong with it.
    #[track_caller]
    pub fn usage(problem: impl Into<String>) -> Self {
        Self::new(FaultKind::Usage(problem.into()))
    }

    /// The test is to be skipped, for this reason.
    #[track_caller]
    pub fn skip(reason: impl Into<String>) -> Self {
        Self::new(FaultKind::Skip(reason.into()))
    }

    /// The test has met a bug that this VMM's version is documented to have: the case is XFAIL, for this reason.
    #[track_caller]
    pub fn known(reason: impl Into<String>) -> Self {
        Self::new(FaultKind::Known(reason.into()))
    }

    /// The same fault, of this operation at that place.
    #[must_use]
    pub(crate) fn of(
        mut self,
        operation: Option<String>,
        location: &'static Location<'static>,
    ) -> Self {
        self.operation = operation;
        self.location = location;
        self
    }

    /// Unwinds with this fault as the payload.
    pub fn raise(self) -> ! {
        std::panic::resume_unwind(Box::new(self))
    }

    /// What kind of fault it is.
    pub fn kind(&self) -> &FaultKind {
        &self.kind
    }

    /// The call that failed. For a queued write, where the write was, not where it was found to have failed.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// The operation that failed, as it went over the wire.
    pub fn operation(&self) -> Option<&str> {
        self.operation.as_deref()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            FaultKind::Qtest(error) => write!(f, "{error}"),
            FaultKind::Qmp(error) => write!(f, "{error}"),
            FaultKind::Died(report) => {
                f.write_str("the VMM ended")?;
                if let Some(operation) = &self.operation {
                    write!(f, " while it was to {operation}")?;
                }
                write!(f, ": {report}")
            }
            FaultKind::Hang {
                waiting_for,
                after,
                activity,
            } => {
                write!(
                    f,
                    "waited {after:.1?} for {waiting_for}; the VMM {activity}"
                )
            }
            FaultKind::Deadline {
                condition,
                seen,
                within,
                moved,
                clock,
            } => {
                let clock = match clock {
                    ClockKind::Virtual => "virtual clock",
                    ClockKind::Host => "host's clock",
                };
                write!(
                    f,
                    "not in time: {condition}; the {clock} moved {moved:?} of {within:?}"
                )?;
                if !seen.is_empty() {
                    write!(f, "; seen: {seen}")?;
                }
                Ok(())
            }
            FaultKind::Usage(problem) | FaultKind::Capability(problem) => f.write_str(problem),
            FaultKind::Skip(reason) => write!(f, "skipped: {reason}"),
            FaultKind::Known(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            FaultKind::Qtest(error) => Some(error),
            FaultKind::Qmp(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raising_unwinds_with_the_fault_itself() {
        let line = line!() + 1;
        let payload = std::panic::catch_unwind(|| Fault::skip("no reason").raise()).unwrap_err();
        let fault = payload.downcast::<Fault>().unwrap();
        assert!(matches!(fault.kind(), FaultKind::Skip(_)));
        assert_eq!(fault.location().line(), line);
        assert_eq!(fault.to_string(), "skipped: no reason");
    }

    #[test]
    fn a_deadline_says_what_was_to_happen_what_there_was_and_how_far_the_clock_went() {
        let fault = Fault::new(FaultKind::Deadline {
            condition: "irq 8 of ioapic raised".into(),
            seen: "low, no edges".into(),
            within: Duration::from_secs(4),
            moved: Duration::from_secs(4),
            clock: ClockKind::Virtual,
        });
        assert_eq!(
            fault.to_string(),
            "not in time: irq 8 of ioapic raised; the virtual clock moved 4s of 4s; seen: low, no edges"
        );
    }
}
