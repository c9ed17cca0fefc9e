//! What is neither port nor memory: the clock, pins, and commands of some machines only.

use std::panic::Location;
use std::slice;
use std::time::Duration;

use super::Session;
use crate::command::{Command, Endianness, Nanos, UNNAMED_GPIO_IN};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::ext::Extension;
use crate::reply::Reply;
use crate::transport::Transport;
use crate::word::Word;

impl<T: Transport> Session<T> {
    /// Moves the virtual clock by `span`, running the timers on the way. Answers the new time in
    /// nanoseconds.
    ///
    /// A span of zero reads the time and moves nothing. Needs the qtest accelerator.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb), and if `span` is 2⁶³ ns (292 years) or more.
    #[track_caller]
    pub fn clock_step(&mut self, span: Duration) -> Result<u64> {
        if span.is_zero() {
            return self.clock_now();
        }
        let location = Location::caller();
        let request = || format!("clock_step {}", span.as_nanos());
        let span = Nanos::try_from(span).map_err(|what| invalid(request(), &what, location))?;
        self.value(Command::ClockStep(Some(span)), location)
    }

    /// Moves the virtual clock to the next timer, and runs it. Answers the new time in nanoseconds.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb); QEMU refuses if no timer is armed.
    #[track_caller]
    pub fn clock_step_next(&mut self) -> Result<u64> {
        self.value(Command::ClockStep(None), Location::caller())
    }

    /// Moves the virtual clock to `ns` nanoseconds, running the timers on the way. Answers the new
    /// time.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb), if `ns` is 2⁶³ or more, [`ErrorKind::ClockBackwards`] if that
    /// time is over.
    #[track_caller]
    pub fn clock_set(&mut self, ns: u64) -> Result<u64> {
        let location = Location::caller();
        let time = Nanos::try_from(ns)
            .map_err(|what| invalid(format!("clock_set {ns}"), &what, location))?;
        self.value(Command::ClockSet(time), location)
    }

    /// The time of the virtual clock in nanoseconds. Asks to set the clock to 0, to which a server
    /// answers the time.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb).
    #[track_caller]
    pub fn clock_now(&mut self) -> Result<u64> {
        match self.value(Command::ClockSet(Nanos::default()), Location::caller()) {
            Err(error) => match error.kind() {
                ErrorKind::ClockBackwards { now } if error.others() == 0 => Ok(*now),
                _ => Err(error),
            },
            time => time,
        }
    }

    /// Reports, from now on, the edges of a device's input pins in the
    /// [`journal`](Session::journal) instead of passing them on.
    ///
    /// `path` is a QOM path, or the end of one (`ioapic`). QEMU aborts if it names an object that
    /// is not a device.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb); [`ErrorKind::UnknownDevice`], [`ErrorKind::SecondIntercept`].
    #[track_caller]
    pub fn irq_intercept_in(&mut self, path: &str) -> Result<()> {
        let location = Location::caller();
        let path = word(path, || format!("irq_intercept_in {path}"), location)?;
        self.done(Command::InterceptIn { path }, location)
    }

    /// Reports, from now on, the edges of a device's output pins: the list `name`, or the unnamed
    /// one.
    ///
    /// `path` is as in [`irq_intercept_in`](Session::irq_intercept_in).
    ///
    /// # Errors
    ///
    /// As for [`irq_intercept_in`](Session::irq_intercept_in). QEMU before 10 says nothing if there
    /// is no such list.
    #[track_caller]
    pub fn irq_intercept_out(&mut self, path: &str, name: Option<&str>) -> Result<()> {
        let location = Location::caller();
        let request = || format!("irq_intercept_out {path} {}", name.unwrap_or_default());
        let path = word(path, request, location)?;
        let name = name.map(|name| word(name, request, location)).transpose()?;
        self.done(Command::InterceptOut { path, name }, location)
    }

    /// Queues driving an input pin: number `number` of the list `name`, or of the unnamed one, to
    /// `level` (0 is low).
    ///
    /// QEMU aborts if the device has no such list or pin.
    ///
    /// # Errors
    ///
    /// As for [`outb`](Session::outb), and if a name is not one word or `number` exceeds 65,535.
    #[track_caller]
    pub fn set_irq_in(
        &mut self,
        path: &str,
        name: Option<&str>,
        number: u32,
        level: i32,
    ) -> Result<()> {
        let location = Location::caller();
        let request = || {
            format!(
                "set_irq_in {path} {} {number} {level}",
                name.unwrap_or(UNNAMED_GPIO_IN)
            )
        };
        let path = word(path, request, location)?;
        let name = name.map(|name| word(name, request, location)).transpose()?;
        let number = u16::try_from(number)
            .map_err(|_| invalid(request(), &"a pin's number is at most 65535", location))?;
        self.issue(
            Command::SetIrqIn {
                path,
                name,
                number,
                level,
            },
            location,
        )
    }

    /// Loads the module `name` of QEMU, whose file's name begins with `prefix` (`hw-`, `ui-`, …).
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb); QEMU refuses, without a reason, if it has no such module.
    #[track_caller]
    pub fn module_load(&mut self, prefix: &str, name: &str) -> Result<()> {
        let location = Location::caller();
        let request = || format!("module_load {prefix} {name}");
        let (prefix, name) = (
            word(prefix, request, location)?,
            word(name, request, location)?,
        );
        self.done(Command::ModuleLoad { prefix, name }, location)
    }

    /// The byte order of the guest's CPU.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb).
    #[track_caller]
    pub fn endianness(&mut self) -> Result<Endianness> {
        self.done(Command::Endianness, Location::caller())?;
        Ok(if self.receiver.last == Endianness::Little as u64 {
            Endianness::Little
        } else {
            Endianness::Big
        })
    }

    /// Carries out a command of some machines only.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb), if the request can't be sent, and if the extension can't make
    /// sense of the answer.
    #[track_caller]
    pub fn extension<E: Extension>(&mut self, extension: &E) -> Result<E::Reply> {
        let location = Location::caller();
        let command = Command::extension(extension)
            .map_err(|what| invalid(E::NAME.into(), &what, location))?;
        let reply = match self
            .batch(slice::from_ref(&command), false, location)?
            .pop()
        {
            Some(Reply::Text(text)) => text.into(),
            _ => String::new(),
        };
        extension.decode(&reply).ok_or_else(|| {
            let operation = Operation {
                command: command.to_string(),
                location,
                seq: None,
            };
            Error::new(ErrorKind::Undecoded { reply }, Some(operation))
        })
    }
}

#[cold]
fn invalid(command: String, what: &dyn ToString, location: &'static Location<'static>) -> Error {
    let operation = Operation {
        command,
        location,
        seq: None,
    };
    Error::new(
        ErrorKind::Invalid {
            what: what.to_string(),
        },
        Some(operation),
    )
}

fn word(
    text: &str,
    request: impl Fn() -> String,
    location: &'static Location<'static>,
) -> Result<Word> {
    Word::new(text).map_err(|what| invalid(request(), &what, location))
}
