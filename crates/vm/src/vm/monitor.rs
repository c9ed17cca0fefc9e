//! The machine's monitor.

use std::os::fd::OwnedFd;
use std::panic::Location;
use std::time::{Duration, Instant};

use serde_json::Value;
use testjig_qmp::{Event, Qmp};

use super::{DEATH_TIME, TIMEOUT, Vm};
use crate::fault::{ClockKind, Fault, FaultKind};
use crate::inside::Body;
use crate::recording::Noted;

/// The QMP connection.
pub(super) enum Monitor {
    Open(Box<Qmp>),
    /// Opening it failed; the error, until it is reported.
    Closed(Option<testjig_qmp::Error>),
    /// There is none; its socket, whose end the VMM would see.
    Absent {
        _end: OwnedFd,
    },
}

impl Monitor {
    /// What happens before it is open is no event, so it is opened first. An error keeps until it is needed.
    pub(super) fn open(socket: OwnedFd, body: &Body) -> Self {
        let mut handshake = Qmp::begin(socket);
        if let Body::Here(here) = body {
            let here = here.clone();
            handshake.set_attend(move || here.attend());
        }
        match handshake.finish(Instant::now() + TIMEOUT) {
            Ok(mut qmp) => {
                qmp.set_timeout(TIMEOUT);
                Self::Open(Box::new(qmp))
            }
            Err(error) => Self::Closed(Some(error)),
        }
    }
}

impl Vm {
    /// Executes a QMP command.
    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers make the command here"
    )]
    pub fn qmp<C: testjig_qmp::Command>(&self, command: C) -> C::Reply {
        self.note_qmp(C::NAME);
        self.on_monitor(|monitor| monitor.execute(&command))
    }

    /// Executes a QMP command and hands out the machine's refusal instead of unwinding with it.
    ///
    /// # Errors
    ///
    /// What the machine refuses, or answers in another shape than the command's. Everything else unwinds.
    #[track_caller]
    pub fn try_qmp<C: testjig_qmp::Command>(
        &self,
        command: &C,
    ) -> Result<C::Reply, testjig_qmp::Error> {
        self.note_qmp(C::NAME);
        self.on_monitor(|monitor| match monitor.execute(command) {
            Err(error)
                if matches!(
                    error.kind(),
                    testjig_qmp::ErrorKind::Refused(_) | testjig_qmp::ErrorKind::Mismatch { .. }
                ) =>
            {
                Ok(Err(error))
            }
            Err(error) => Err(error),
            Ok(reply) => Ok(Ok(reply)),
        })
    }

    /// Executes a QMP command by name. `arguments` is an object, or `Value::Null` for none.
    #[track_caller]
    pub fn qmp_raw(&self, name: &str, arguments: Value) -> Value {
        self.note_qmp(name);
        self.on_monitor(|monitor| monitor.execute_raw(name, arguments))
    }

    /// Executes a line of the human monitor and returns what it prints.
    ///
    /// The embedded machine has none: the test is skipped.
    #[track_caller]
    pub fn hmp(&self, line: &str) -> String {
        if self.0.qemu.is_embedded() {
            Fault::skip("the embedded machine has no monitor for people").raise();
        }
        if !line.starts_with("info ") {
            self.note_obstacle(|| format!("it uses the monitor: {line}"));
        }
        self.on_monitor(|monitor| monitor.hmp(line))
    }

    /// Waits, so long of the host's time, for an event of this name, unless it has arrived already. Events that come
    /// before it stay for later calls.
    #[track_caller]
    pub fn wait_event(&self, name: &str, within: Duration) -> Event {
        self.note_obstacle(|| format!("it waits for the event {name}"));
        let deadline = self.earlier(Instant::now() + within);
        self.on_monitor(|monitor| monitor.wait_event(name, deadline))
    }

    /// Resets the machine, as its reset button would. The virtual clock goes on.
    #[track_caller]
    pub fn reset(&self) {
        let deadline = self.earlier(Instant::now() + self.0.timeout.get());
        self.on_monitor(|monitor| {
            // Not one of an earlier reset that nobody has taken.
            let first = monitor.next_event_seq();
            monitor.execute(&testjig_qmp::commands::SystemReset)?;
            monitor.wait_event(
                |event: &Event| event.seq() >= first && event.name() == "RESET",
                deadline,
            )
        });
        self.note(|| Noted::Reset);
    }

    /// Notes that the monitor was used, unless it was only asked.
    fn note_qmp(&self, name: &str) {
        let asks = ["query-", "qom-get", "qom-list", "device-list-properties"];
        if !asks.iter().any(|ask| name.starts_with(ask)) {
            self.note_obstacle(|| format!("it uses the monitor: {name}"));
        }
    }

    /// Runs something on the monitor, after all that is queued, and unwinds if it fails.
    #[track_caller]
    fn on_monitor<R>(&self, run: impl FnOnce(&mut Qmp) -> Result<R, testjig_qmp::Error>) -> R {
        self.sync();
        let result = {
            let mut monitor = self.0.qmp.borrow_mut();
            match &mut *monitor {
                Monitor::Open(qmp) => Ok(run(qmp)),
                Monitor::Closed(error) => match error.take() {
                    Some(error) => Ok(Err(error)),
                    None => Err("failed to use the monitor: it could not be opened before"),
                },
                Monitor::Absent { .. } => {
                    Err("failed to use the monitor: the machine was forked without one")
                }
            }
        };
        match result {
            Ok(Ok(value)) => value,
            Ok(Err(error)) => self.fail_qmp(error),
            Err(problem) => {
                if !self.is_alive() {
                    self.died(None, Location::caller());
                }
                Fault::usage(problem).raise()
            }
        }
    }

    #[track_caller]
    #[cold]
    fn fail_qmp(&self, error: testjig_qmp::Error) -> ! {
        use testjig_qmp::{Awaited, ErrorKind};

        let location = Location::caller();
        let operation = error.command().map(|name| format!("QMP {name}"));
        let ended = match error.kind() {
            ErrorKind::Closed { .. } | ErrorKind::Io(_) => self.has_ended(DEATH_TIME),
            _ => self.has_ended(Duration::ZERO),
        };
        if ended {
            self.died(operation, location);
        }
        let kind = match error.kind() {
            ErrorKind::TimedOut {
                after,
                awaited: Awaited::Event(event),
                seen,
                ..
            } => FaultKind::Deadline {
                condition: event.clone(),
                seen: seen
                    .iter()
                    .map(|(name, _)| name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
                within: *after,
                moved: *after,
                clock: ClockKind::Host,
            },
            ErrorKind::TimedOut { after, awaited, .. } => FaultKind::Hang {
                waiting_for: match &operation {
                    Some(operation) => format!("the {awaited} to {operation}"),
                    None => format!("the {awaited} of QMP"),
                },
                after: *after,
                activity: self.0.body.borrow_mut().activity(),
            },
            _ => FaultKind::Qmp(error),
        };
        Fault::new(kind).of(operation, location).raise()
    }
}
