//! The calls of a [`Session`], one for each command.

use std::panic::Location;
use std::slice;
use std::time::Duration;

use super::Session;
use super::sink::{List, Sink};
use crate::command::{
    Command, Data, Encoding, Endianness, Length, Nanos, PortWidth, UNNAMED_GPIO_IN, Width,
};
use crate::encode;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::ext::Extension;
use crate::reply::Reply;
use crate::transport::Transport;
use crate::word::Word;

/// Ports and memory, one access each.
macro_rules! scalars {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident($($arg:ident: $type:ty),+) $(-> $result:ty)? = $command:expr;
    )+) => {
        impl<T: Transport> Session<T> {
            $(
                $(#[doc = $doc])+
                #[track_caller]
                #[inline]
                pub fn $name(&mut self, $($arg: $type),+) -> Result<scalars!(@result $($result)?)> {
                    scalars!(@call self, $command $(, $result)?)
                }
            )+
        }
    };
    (@result) => { () };
    (@result $result:ty) => { $result };
    (@call $self:ident, $command:expr) => { $self.issue($command, Location::caller()) };
    (@call $self:ident, $command:expr, $result:ty) => {
        Ok($self.value($command, Location::caller())? as $result)
    };
}

scalars! {
    /// Reads a byte from I/O port `port`.
    ///
    /// # Errors
    ///
    /// As for [`sync`](Session::sync), and if the server refuses this command.
    inb(port: u16) -> u8 = Command::In { width: PortWidth::B, port };
    /// Reads two bytes from I/O port `port`.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb).
    inw(port: u16) -> u16 = Command::In { width: PortWidth::W, port };
    /// Reads four bytes from I/O port `port`.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb).
    inl(port: u16) -> u32 = Command::In { width: PortWidth::L, port };
    /// Queues a write of a byte to I/O port `port`.
    ///
    /// # Errors
    ///
    /// If the session is unusable. A refusal is reported by the next call that waits.
    outb(port: u16, value: u8) = Command::Out { width: PortWidth::B, port, value: value.into() };
    /// Queues a write of two bytes to I/O port `port`.
    ///
    /// # Errors
    ///
    /// As for [`outb`](Session::outb).
    outw(port: u16, value: u16) = Command::Out { width: PortWidth::W, port, value: value.into() };
    /// Queues a write of four bytes to I/O port `port`.
    ///
    /// # Errors
    ///
    /// As for [`outb`](Session::outb).
    outl(port: u16, value: u32) = Command::Out { width: PortWidth::L, port, value };
    /// Reads a byte at guest-physical address `addr`.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb).
    readb(addr: u64) -> u8 = Command::Read { width: Width::B, addr };
    /// Reads two bytes at guest-physical address `addr`, in the guest's byte order.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb).
    readw(addr: u64) -> u16 = Command::Read { width: Width::W, addr };
    /// Reads four bytes at guest-physical address `addr`, in the guest's byte order.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb).
    readl(addr: u64) -> u32 = Command::Read { width: Width::L, addr };
    /// Reads eight bytes at guest-physical address `addr`, in the guest's byte order.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb).
    readq(addr: u64) -> u64 = Command::Read { width: Width::Q, addr };
    /// Queues a write of a byte at guest-physical address `addr`.
    ///
    /// # Errors
    ///
    /// As for [`outb`](Session::outb).
    writeb(addr: u64, value: u8) = Command::Write { width: Width::B, addr, value: value.into() };
    /// Queues a write of two bytes at guest-physical address `addr`, in the guest's byte order.
    ///
    /// # Errors
    ///
    /// As for [`outb`](Session::outb).
    writew(addr: u64, value: u16) = Command::Write { width: Width::W, addr, value: value.into() };
    /// Queues a write of four bytes at guest-physical address `addr`, in the guest's byte order.
    ///
    /// # Errors
    ///
    /// As for [`outb`](Session::outb).
    writel(addr: u64, value: u32) = Command::Write { width: Width::L, addr, value: value.into() };
    /// Queues a write of eight bytes at guest-physical address `addr`, in the guest's byte order.
    ///
    /// # Errors
    ///
    /// As for [`outb`](Session::outb).
    writeq(addr: u64, value: u64) = Command::Write { width: Width::Q, addr, value };
}

/// Bytes of one block in a long read. QEMU needs 1.4 µs for a KiB of it, 2.8 µs of 4 KiB.
const READ_CHUNK: usize = 32 * 1024;

/// Bytes of one block in a long write: lines of at most 16 KiB, which the server takes time in the
/// square of.
const fn write_chunk(encoding: Encoding) -> usize {
    match encoding {
        Encoding::Hex => 4 * 1024,
        Encoding::Base64 => 8 * 1024,
    }
}

/// Blocks of memory.
impl<T: Transport> Session<T> {
    /// Reads `bytes.len()` bytes from guest-physical address `addr` on. Any length; the session
    /// splits it.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb). Part of `bytes` may have been filled.
    #[track_caller]
    pub fn read(&mut self, addr: u64, bytes: &mut [u8]) -> Result<()> {
        let location = Location::caller();
        let total = bytes.len();
        let mut sink = Sink::buffer(self.journal().issued(), bytes);
        for at in (0..total).step_by(READ_CHUNK) {
            if let Ok(len) = Length::try_from(READ_CHUNK.min(total - at)) {
                let addr = addr.wrapping_add(at as u64);
                let command = Command::ReadBlock {
                    addr,
                    len,
                    encoding: Encoding::Base64,
                };
                self.issue_into(command, location, &mut sink)?;
            }
        }
        self.check(None)?;
        self.collect(&mut sink)
    }

    /// Queues a write of `bytes` from guest-physical address `addr` on. Any length; the session
    /// splits it.
    ///
    /// # Errors
    ///
    /// As for [`outb`](Session::outb).
    #[track_caller]
    pub fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<()> {
        self.write_block(
            addr,
            bytes,
            Encoding::Base64,
            Location::caller(),
            &mut Sink::None,
        )
    }

    /// Queues writes of at most one chunk each.
    fn write_block(
        &mut self,
        addr: u64,
        bytes: &[u8],
        encoding: Encoding,
        location: &'static Location<'static>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let size = write_chunk(encoding);
        let last = bytes.len().div_ceil(size).saturating_sub(1);
        for (nr, chunk) in bytes.chunks(size).enumerate() {
            let addr = addr.wrapping_add((nr * size) as u64);
            let kept = self.journal().kept(chunk);
            let Ok(data) = Data::new(kept) else { continue };
            let elided = chunk.len() - kept.len();
            let command = Command::WriteBlock {
                addr,
                data,
                encoding,
            };
            self.check(Some((&command, location)))?;
            encode::write_block(&mut self.out, addr, chunk, encoding);
            self.out.push(b'\n');
            if let (Sink::List(list), true) = (&mut *sink, nr != last) {
                list.expect_part(self.receiver.journal.issued());
            }
            self.receiver.journal.push(command, elided, location);
            self.make_room(sink)?;
        }
        Ok(())
    }

    /// Queues a fill of `len` bytes from guest-physical address `addr` on with `value`. Any length;
    /// the session splits it.
    ///
    /// # Errors
    ///
    /// As for [`outb`](Session::outb).
    #[track_caller]
    pub fn memset(&mut self, mut addr: u64, mut len: u64, value: u8) -> Result<()> {
        let location = Location::caller();
        while let Some(part) = Length::new(len.min(Length::MAX.into()) as u32) {
            self.issue(
                Command::Memset {
                    addr,
                    len: part,
                    value,
                },
                location,
            )?;
            addr = addr.wrapping_add(part.get().into());
            len -= u64::from(part.get());
        }
        Ok(())
    }
}

/// Time, pins and the rest.
impl<T: Transport> Session<T> {
    /// Moves the virtual clock by `span`, running the timers on the way. Answers the new time in nanoseconds.
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

    /// Moves the virtual clock to `ns` nanoseconds, running the timers on the way. Answers the new time.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb); if `ns` is 2⁶³ or more; [`ErrorKind::ClockBackwards`] if that time is over.
    #[track_caller]
    pub fn clock_set(&mut self, ns: u64) -> Result<u64> {
        let location = Location::caller();
        let time = Nanos::try_from(ns)
            .map_err(|what| invalid(format!("clock_set {ns}"), &what, location))?;
        self.value(Command::ClockSet(time), location)
    }

    /// The time of the virtual clock in nanoseconds. Asks to set the clock to 0, to which a server answers the time.
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

    /// Reports, from now on, the edges of a device's input pins in the [`journal`](Session::journal) instead of passing them on.
    ///
    /// `path` is a QOM path, or the end of one (`ioapic`). QEMU aborts if it names an object that is not a device.
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

    /// Reports, from now on, the edges of a device's output pins: the list `name`, or the unnamed one.
    ///
    /// `path` is as in [`irq_intercept_in`](Session::irq_intercept_in).
    ///
    /// # Errors
    ///
    /// As for [`irq_intercept_in`](Session::irq_intercept_in). QEMU before 10 says nothing if there is no such list.
    #[track_caller]
    pub fn irq_intercept_out(&mut self, path: &str, name: Option<&str>) -> Result<()> {
        let location = Location::caller();
        let request = || format!("irq_intercept_out {path} {}", name.unwrap_or_default());
        let path = word(path, request, location)?;
        let name = name.map(|name| word(name, request, location)).transpose()?;
        self.done(Command::InterceptOut { path, name }, location)
    }

    /// Queues driving an input pin: number `number` of the list `name`, or of the unnamed one, to `level` (0 is low).
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
    /// As for [`inb`](Session::inb), if the request can't be sent, and if the extension can't make sense of the answer.
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

    /// Carries out any commands, pipelined, and answers their replies in order.
    ///
    /// # Errors
    ///
    /// As for [`sync`](Session::sync). If a command was refused, all were carried out even so.
    #[track_caller]
    pub fn run(&mut self, commands: &[Command]) -> Result<Vec<Reply>> {
        self.batch(commands, false, Location::caller())
    }

    /// The same, with refusals among the replies, as [`Reply::Failed`].
    ///
    /// # Errors
    ///
    /// What makes the session unusable, or the failure of an operation that was queued before.
    #[track_caller]
    pub fn run_each(&mut self, commands: &[Command]) -> Result<Vec<Reply>> {
        self.batch(commands, true, Location::caller())
    }

    fn batch(
        &mut self,
        commands: &[Command],
        takes_failures: bool,
        location: &'static Location<'static>,
    ) -> Result<Vec<Reply>> {
        let list = List::new(self.journal().issued(), commands.len(), takes_failures);
        let mut sink = Sink::List(list);
        for command in commands {
            if let Command::WriteBlock {
                addr,
                data,
                encoding,
            } = command
            {
                self.write_block(*addr, data.bytes(), *encoding, location, &mut sink)?;
            } else {
                self.issue_into(command.clone(), location, &mut sink)?;
            }
        }
        self.check(None)?;
        self.collect(&mut sink)?;
        Ok(match sink {
            Sink::List(list) => list.into_replies(),
            _ => Vec::new(),
        })
    }

    #[inline]
    fn value(&mut self, command: Command, location: &'static Location<'static>) -> Result<u64> {
        self.done(command, location)?;
        Ok(self.receiver.last)
    }

    #[inline]
    fn done(&mut self, command: Command, location: &'static Location<'static>) -> Result<()> {
        self.issue(command, location)?;
        self.collect(&mut Sink::None)
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
