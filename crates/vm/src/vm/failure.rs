//! From an error to what has become of the machine.

use std::panic::Location;
use std::time::{Duration, Instant};

use super::{DEATH_TIME, Vm};
use crate::fault::{Fault, FaultKind};

impl Vm {
    /// Unwinds because of an error on the wire, with what has become of the VMM.
    #[track_caller]
    #[cold]
    pub(crate) fn fail(&self, error: testjig_qtest::Error) -> ! {
        use testjig_qtest::ErrorKind;

        let location = error.location().unwrap_or(Location::caller());
        let operation = error.command().map(str::to_owned);
        // An unusable session names what made it so.
        let mut cause = &error;
        while let ErrorKind::Poisoned { first } = cause.kind() {
            cause = first;
        }
        let patience = match cause.kind() {
            ErrorKind::Closed { .. } | ErrorKind::Io(_) => DEATH_TIME,
            _ => Duration::ZERO,
        };
        if self.has_ended(patience) {
            self.died(operation, location);
        }
        let kind = match cause.kind() {
            ErrorKind::TimedOut { after, .. } => FaultKind::Hang {
                waiting_for: match cause.command() {
                    Some(command) => format!("the answer to `{command}`"),
                    None => "it to take what is queued".to_owned(),
                },
                after: *after,
                activity: self.0.body.borrow_mut().activity(),
            },
            _ => FaultKind::Qtest(error),
        };
        Fault::new(kind).of(operation, location).raise()
    }

    /// Whether the VMM is gone, or goes in this time.
    pub fn has_ended(&self, within: Duration) -> bool {
        self.0
            .body
            .borrow_mut()
            .wait(Instant::now() + within)
            .is_some()
    }

    /// Unwinds because the VMM is gone.
    #[cold]
    pub(crate) fn died(
        &self,
        operation: Option<String>,
        location: &'static Location<'static>,
    ) -> ! {
        let report = self.0.body.borrow().report();
        Fault::new(FaultKind::Died(report))
            .of(operation, location)
            .raise()
    }
}
