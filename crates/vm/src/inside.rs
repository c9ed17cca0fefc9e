//! [`Inside`]: a machine in the thread that uses it, and [`Body`]: a machine there or in a process of its own.

use std::any::Any;
use std::fmt::{self, Write};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use testjig_qtest::{Progress, Socket, Transport};

use crate::process::{ExitReport, ExitStatus, Process};

/// A machine that is called instead of being sent to: the byte stream of its qtest server, and what else it does.
pub trait Inside: Transport + Send {
    /// Does what it was asked for by sockets: its monitors, its wires. Does not wait. `false` if it has ended.
    ///
    /// # Errors
    ///
    /// If looking for it fails.
    fn attend(&mut self) -> io::Result<bool>;

    /// What it had to say when it was made, as its stderr.
    fn stderr(&self) -> String;
}

/// Makes a [machine](Inside) of a command line, or says what a program would print that declines it.
pub type Make = fn(&[String]) -> Result<Box<dyn Inside>, String>;

/// What a program that declines its arguments exits with.
pub(crate) const DECLINED: ExitStatus = ExitStatus::Exited(1);
/// What a Rust program that is to abort where it would panic ends with.
const ABORTED: ExitStatus = ExitStatus::Signal {
    signal: 6,
    core: false,
};

/// A machine in this thread, shared by those who talk to it. When it has ended, what was its is closed, as if a process had.
#[derive(Clone)]
pub(crate) struct Here(Arc<Mutex<State>>);

struct State {
    machine: Option<Box<dyn Inside>>,
    status: Option<ExitStatus>,
    stderr: String,
}

impl Here {
    pub(crate) fn new(machine: Box<dyn Inside>) -> Self {
        Self(Arc::new(Mutex::new(State {
            stderr: machine.stderr(),
            machine: Some(machine),
            status: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What the machine does is caught within, so nothing is half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the machine do something; `None` if it has ended, or ends by that.
    fn with<R>(
        &self,
        does: impl FnOnce(&mut dyn Inside) -> io::Result<R>,
    ) -> Option<io::Result<R>> {
        let mut state = self.state();
        let machine = state.machine.as_deref_mut()?;
        match catch_unwind(AssertUnwindSafe(|| does(machine))) {
            Ok(result) => Some(result),
            Err(payload) => {
                let text = text_of(payload.as_ref());
                let _ = writeln!(state.stderr, "it panicked: {text}");
                state.end(ABORTED);
                None
            }
        }
    }

    /// Lets it look after its sockets.
    pub(crate) fn attend(&self) {
        // What can't be looked for is missed by whoever waits for it.
        if let Some(Ok(false)) = self.with(|machine| machine.attend()) {
            self.state().end(ExitStatus::Exited(0));
        }
    }
}

impl State {
    fn end(&mut self, status: ExitStatus) {
        self.status.get_or_insert(status);
        self.machine = None;
    }
}

fn text_of(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("with no text")
}

impl fmt::Debug for Here {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Here")
            .field("status", &self.state().status)
            .finish_non_exhaustive()
    }
}

/// The byte stream between a session and its machine.
#[derive(Debug)]
pub struct Wire(Way);

#[derive(Debug)]
enum Way {
    Socket(Socket),
    Here(Here),
}

impl Wire {
    /// To another process.
    pub(crate) fn socket(socket: Socket) -> Self {
        Self(Way::Socket(socket))
    }

    /// To a machine in this thread.
    pub(crate) fn here(here: Here) -> Self {
        Self(Way::Here(here))
    }
}

impl Transport for Wire {
    fn exchange(
        &mut self,
        out: &[u8],
        input: &mut [u8],
        deadline: Instant,
    ) -> io::Result<Progress> {
        let here = match &mut self.0 {
            Way::Socket(socket) => return socket.exchange(out, input, deadline),
            Way::Here(here) => here,
        };
        let closed = Progress {
            closed: true,
            ..Progress::default()
        };
        let progress = here
            .with(|machine| machine.exchange(out, input, deadline))
            .unwrap_or(Ok(closed))?;
        if progress.closed {
            here.state().end(ExitStatus::Exited(0));
        }
        Ok(progress)
    }

    fn coalesce(&mut self) {
        if let Way::Socket(socket) = &mut self.0 {
            socket.coalesce();
        }
    }
}

/// What a machine lives in.
#[derive(Debug)]
pub(crate) enum Body {
    Process(Process),
    Here(Here),
}

impl Body {
    /// How it ended, if it did.
    pub(crate) fn status(&mut self) -> Option<ExitStatus> {
        self.wait(Instant::now())
    }

    /// Waits for its end. One in this thread does nothing by itself, so it does not end by itself.
    pub(crate) fn wait(&mut self, deadline: Instant) -> Option<ExitStatus> {
        match self {
            Self::Process(process) => process.wait(deadline),
            Self::Here(here) => here.state().status,
        }
    }

    /// Asks it to end, and kills it if it has not by then.
    pub(crate) fn stop(&mut self, deadline: Instant) -> ExitReport {
        match self {
            Self::Process(process) => process.stop(deadline),
            Self::Here(here) => {
                here.state().end(ExitStatus::Exited(0));
                self.report()
            }
        }
    }

    /// Has it end, and does not wait until it has.
    pub(crate) fn doom(&mut self) {
        match self {
            Self::Process(process) => process.doom(),
            Self::Here(_) => self.kill(),
        }
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        match self {
            Self::Process(process) => process.kill(),
            Self::Here(here) => here.state().end(ExitStatus::Unknown),
        }
    }

    pub(crate) fn report(&self) -> ExitReport {
        match self {
            Self::Process(process) => process.report(false),
            Self::Here(here) => {
                let state = here.state();
                ExitReport {
                    status: state.status.unwrap_or(ExitStatus::Unknown),
                    forced: false,
                    stderr: state.stderr.clone(),
                }
            }
        }
    }

    pub(crate) fn stderr(&self) -> String {
        match self {
            Self::Process(process) => process.stderr(),
            Self::Here(here) => here.state().stderr.clone(),
        }
    }

    /// The process that it is in.
    pub(crate) fn pid(&self) -> u32 {
        match self {
            Self::Process(process) => process.pid(),
            Self::Here(_) => std::process::id(),
        }
    }

    /// What it does now, in words.
    pub(crate) fn activity(&mut self) -> String {
        match self {
            Self::Process(process) => process.activity(),
            Self::Here(_) => match self.status() {
                Some(status) => format!("has ended with {status}"),
                None => "waits to be asked".to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use testjig_qtest::{ErrorKind, Session};

    use super::*;

    /// Answers everything with OK, panics at a byte that is written, quits at another.
    struct Fake(Vec<u8>, bool);

    impl Transport for Fake {
        fn exchange(&mut self, out: &[u8], input: &mut [u8], _: Instant) -> io::Result<Progress> {
            assert!(!out.starts_with(b"outb 0x1 "), "as told");
            self.1 |= out.starts_with(b"outb 0x2 ");
            let lines = out.split(|byte| *byte == b'\n').count() - 1;
            self.0.extend(b"OK\n".repeat(lines));
            let read = self.0.len().min(input.len());
            input[..read].copy_from_slice(&self.0[..read]);
            self.0.drain(..read);
            Ok(Progress {
                written: out.len(),
                read,
                closed: false,
            })
        }
    }

    impl Inside for Fake {
        fn attend(&mut self) -> io::Result<bool> {
            Ok(!self.1)
        }

        fn stderr(&self) -> String {
            "warning\n".to_owned()
        }
    }

    fn machine() -> (Session<Wire>, Body, Here) {
        let here = Here::new(Box::new(Fake(Vec::new(), false)));
        let session = Session::new(Wire::here(here.clone()));
        (session, Body::Here(here.clone()), here)
    }

    #[test]
    fn a_panic_of_the_machine_is_its_end_and_not_its_thread_s() {
        let (mut session, mut body, _) = machine();
        session.outb(0, 0).unwrap();
        session.sync().unwrap();
        assert_eq!(body.status(), None);
        session.outb(1, 0).unwrap();
        let error = session.sync().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Closed { .. }),
            "{error:?}"
        );
        assert_eq!(body.status(), Some(ABORTED));
        assert_eq!(body.stderr(), "warning\nit panicked: as told\n");
    }

    #[test]
    fn one_that_is_stopped_answers_nothing_more() {
        let (mut session, mut body, _) = machine();
        assert_eq!(body.activity(), "waits to be asked");
        assert!(body.stop(Instant::now()).is_clean());
        session.outb(0, 0).unwrap();
        assert!(session.sync().is_err());
        assert_eq!(body.activity(), "has ended with exit status 0");
    }

    #[test]
    fn one_that_quits_has_ended_when_it_was_attended_to() {
        let (mut session, mut body, here) = machine();
        here.attend();
        assert_eq!(body.status(), None);
        session.outb(2, 0).unwrap();
        session.sync().unwrap();
        here.attend();
        assert_eq!(body.status(), Some(ExitStatus::Exited(0)));
    }

    #[test]
    fn one_that_is_killed_has_not_ended_well() {
        let (_, mut body, _) = machine();
        body.kill();
        assert!(!body.report().is_clean());
        assert_eq!(body.pid(), std::process::id());
    }
}
