//! [`Server`]: lines in, replies out.

use std::collections::BTreeMap;

use testjig_qtest::{
    Command, Endianness, Failure, Line, Nanos, ParseError, Reply, Severity, Shape, Width,
};

use crate::connection::{Connection, Limits, Request};
use crate::log::{Log, Tag};
use crate::tolerant::{self, Meant};
use crate::vmm::{Lines, Refusal, Vmm};

/// How many timers one request may let expire: hours of the fastest clocks, and an end to a span that would take years.
const EXPIRIES: u32 = 1 << 26;

type Handler<V> = Box<dyn FnMut(&mut V, &[&str]) -> Result<String, Refusal> + Send>;

/// Serves a [`Vmm`] to any number of clients. Moves no bytes itself: see [`Connection`].
///
/// Replies are QEMU's, letter by letter (compared with 7.2, 10.0 and 11.1), with one exception: QEMU ends with SIGABRT on what it does
/// not understand, this server answers `FAIL` and the reason.
pub struct Server<V> {
    vmm: V,
    extensions: BTreeMap<Box<str>, Handler<V>>,
    /// The device whose pins are watched.
    intercepted: Option<String>,
    /// The levels of watched pins that clients know to be high.
    high: Vec<u32>,
    log: Option<Box<dyn Log + Send>>,
}

impl<V: Vmm> Server<V> {
    /// Serves `vmm`.
    pub fn new(vmm: V) -> Self {
        Self {
            vmm,
            extensions: BTreeMap::new(),
            intercepted: None,
            high: Vec::new(),
            log: None,
        }
    }

    /// The machine.
    pub fn vmm(&self) -> &V {
        &self.vmm
    }

    /// The machine. What happens on its watched pins is told by the next [`receive`](Self::receive) or [`poll`](Self::poll).
    pub fn vmm_mut(&mut self) -> &mut V {
        &mut self.vmm
    }

    /// The machine, no longer served.
    pub fn into_vmm(self) -> V {
        self.vmm
    }

    /// Adds a command: `handler` gets the words after `name`, and answers with what follows `OK `, or a reason for `FAIL`.
    ///
    /// ```
    /// # use testjig_server::{Clock, Interrupts, Memory, Ports, Server, Vmm};
    /// # struct Machine;
    /// # impl Ports for Machine {}
    /// # impl Memory for Machine {}
    /// # impl Clock for Machine {}
    /// # impl Interrupts for Machine {}
    /// # impl Vmm for Machine {}
    /// let server = Server::new(Machine).with_command("hv_version", |_, words| match words {
    ///     [] => Ok("0x7".into()),
    ///     _ => Err("hv_version takes no arguments".into()),
    /// });
    /// ```
    #[must_use]
    pub fn with_command(
        mut self,
        name: &str,
        handler: impl FnMut(&mut V, &[&str]) -> Result<String, Refusal> + Send + 'static,
    ) -> Self {
        self.extensions.insert(name.into(), Box::new(handler));
        self
    }

    /// Tells `log` of each request, reply and interrupt line.
    #[must_use]
    pub fn with_log(mut self, log: impl Log + Send + 'static) -> Self {
        self.log = Some(Box::new(log));
        self
    }

    /// A client has connected.
    pub fn connect(&mut self, limits: Limits) -> Connection {
        if let Some(log) = &mut self.log {
            log.line(Tag::Opened, b"");
        }
        Connection::with_limits(limits)
    }

    /// A client is gone, in the middle of a line or not.
    pub fn disconnect(&mut self, connection: Connection) {
        drop(connection);
        if let Some(log) = &mut self.log {
            log.line(Tag::Closed, b"");
        }
    }

    /// Takes bytes from a client and carries out the requests that are complete, until it has [enough](Limits::output) to read.
    pub fn receive(&mut self, connection: &mut Connection, bytes: &[u8]) {
        connection.push(bytes);
        self.resume(connection);
    }

    /// Carries out requests that were put off because the client had too much to read.
    pub fn resume(&mut self, connection: &mut Connection) {
        while let Some(request) = connection.next() {
            match request {
                Request::Line(start, end) => {
                    // The line is looked at where it is; what it causes goes to the output.
                    let mut output = std::mem::take(&mut connection.output);
                    let mut watches = connection.watches;
                    self.request(&connection.input()[start..end], &mut output, &mut watches);
                    connection.output = output;
                    connection.watches = watches;
                }
                Request::TooLong => {
                    let reply = fail("a line of this length is refused");
                    self.reply(&reply, Shape::Done, &mut connection.output);
                }
            }
        }
    }

    /// Tells a client what happened on watched pins by itself.
    ///
    /// With several clients, those that have not asked for interrupt lines are told nothing.
    pub fn poll(&mut self, connection: &mut Connection) {
        let watches = connection.watches;
        self.edges(&mut connection.output, watches);
    }

    fn request(&mut self, line: &[u8], output: &mut Vec<u8>, watches: &mut bool) {
        if let Some(log) = &mut self.log {
            log.line(Tag::Received, line);
        }
        let (reply, shape) = match Command::parse(line) {
            Ok(command) => (self.execute(&command, watches), command.shape()),
            Err(error) => self.misspelled(line, &error, watches),
        };
        self.edges(output, *watches);
        self.reply(&reply, shape, output);
    }

    #[inline]
    fn reply(&mut self, reply: &Reply, shape: Shape, output: &mut Vec<u8>) {
        let start = output.len();
        reply.encode(shape, output);
        if let Some(log) = &mut self.log {
            log.line(Tag::Sent, &output[start..output.len() - 1]);
        }
    }

    #[inline]
    fn edges(&mut self, output: &mut Vec<u8>, watches: bool) {
        if self.intercepted.is_none() {
            return;
        }
        let Self { vmm, high, log, .. } = self;
        vmm.edges(&mut |line, level| {
            let known = high.iter().position(|known| *known == line);
            match (known, level) {
                (None, true) => high.push(line),
                (Some(at), false) => drop(high.swap_remove(at)),
                _ => return,
            }
            if watches {
                let start = output.len();
                Line::Irq { line, level }.encode(output);
                if let Some(log) = log {
                    log.line(Tag::Sent, &output[start..output.len() - 1]);
                }
            }
        });
    }

    #[inline]
    fn execute(&mut self, command: &Command, watches: &mut bool) -> Reply {
        match command {
            Command::In { width, port } => {
                let mut data = [0; 4];
                self.vmm.port_read(*port, &mut data[..width.bytes()]);
                Reply::Value(u32::from_le_bytes(data).into())
            }
            Command::Out { width, port, value } => {
                self.vmm
                    .port_write(*port, &value.to_le_bytes()[..width.bytes()]);
                Reply::Done
            }
            Command::Read { width, addr } => Reply::Value(self.load(*addr, *width)),
            Command::Write { width, addr, value } => {
                self.store(*addr, *width, *value);
                Reply::Done
            }
            _ => self.execute_rare(command, watches),
        }
    }

    fn execute_rare(&mut self, command: &Command, watches: &mut bool) -> Reply {
        match command {
            Command::ReadBlock { addr, len, .. } => {
                let mut data = vec![0; len.get() as usize];
                self.vmm.memory_read(*addr, &mut data);
                Reply::Bytes(data)
            }
            Command::WriteBlock { addr, data, .. } => {
                self.vmm.memory_write(*addr, data.bytes());
                Reply::Done
            }
            Command::Memset { addr, len, value } => {
                self.fill(*addr, len.get().into(), *value);
                Reply::Done
            }
            Command::ClockStep(by) => self.clock_step(by.map(Nanos::get)),
            Command::ClockSet(to) => self.clock_set(to.get()),
            Command::InterceptIn { path } => self.intercept(path, Lines::In, watches),
            Command::InterceptOut { path, name } => {
                self.intercept(path, Lines::Out(name.as_deref()), watches)
            }
            Command::SetIrqIn {
                path,
                name,
                number,
                level,
            } => match self.vmm.device(path) {
                None => fail("Unknown device"),
                Some(device) => {
                    if self.vmm.drive(&device, name.as_deref(), *number, *level) {
                        Reply::Done
                    } else {
                        fail(&format!("{path} has no such input pin"))
                    }
                }
            },
            Command::ModuleLoad { prefix, name } => {
                if self.vmm.load_module(prefix, name) {
                    Reply::Done
                } else {
                    fail("")
                }
            }
            Command::Endianness => Reply::Endianness(self.vmm.endianness()),
            Command::Extension(call) => match self.extensions.get_mut(call.name()) {
                None => fail(&format!("Unknown command '{}'", call.name())),
                Some(handler) => {
                    let words: Vec<&str> = call.arguments().collect();
                    match handler(&mut self.vmm, &words) {
                        Ok(text) => Reply::Text(one_line(&text)),
                        Err(Refusal(reason)) => fail(&reason),
                    }
                }
            },
            _ => fail("this server does not know the command yet"),
        }
    }

    fn load(&mut self, addr: u64, width: Width) -> u64 {
        let mut data = [0; 8];
        let data = &mut data[..width.bytes()];
        self.vmm.memory_read(addr, data);
        let shift_in = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        match self.vmm.endianness() {
            Endianness::Little => data.iter().rev().fold(0, shift_in),
            Endianness::Big => data.iter().fold(0, shift_in),
        }
    }

    fn store(&mut self, addr: u64, width: Width, value: u64) {
        let mut data = value.to_le_bytes();
        let data = &mut data[..width.bytes()];
        if self.vmm.endianness() == Endianness::Big {
            data.reverse();
        }
        self.vmm.memory_write(addr, data);
    }

    fn fill(&mut self, addr: u64, len: u64, value: u8) {
        let block = vec![value; len.min(1 << 20) as usize];
        let mut done = 0;
        while done < len {
            let step = (len - done).min(block.len() as u64);
            self.vmm
                .memory_write(addr.wrapping_add(done), &block[..step as usize]);
            done += step;
        }
    }

    fn clock_step(&mut self, by: Option<u64>) -> Reply {
        let Some(now) = self.vmm.now() else {
            return fail("Unknown command 'clock_step'");
        };
        let to = match by {
            Some(by) => now.saturating_add(by),
            None => match self.vmm.deadline() {
                Some(deadline) => deadline,
                None => {
                    return fail(
                        "cannot advance clock to the next deadline because there is no pending deadline",
                    );
                }
            },
        };
        let reached = self.advance(now, to);
        if reached > now {
            time(reached)
        } else {
            fail("could not advance time")
        }
    }

    fn clock_set(&mut self, to: u64) -> Reply {
        let Some(now) = self.vmm.now() else {
            return fail("Unknown command 'clock_set'");
        };
        let reached = self.advance(now, to);
        if reached == to {
            time(reached)
        } else {
            fail(&reached.to_string())
        }
    }

    /// Moves the clock from one deadline to the next; the time that was reached.
    fn advance(&mut self, mut now: u64, to: u64) -> u64 {
        let to = to.min(Nanos::MAX.get());
        let mut expiries = 0;
        while now < to && expiries < EXPIRIES {
            let next = self.vmm.deadline().map_or(to, |at| at.clamp(now, to));
            self.vmm.advance(next);
            now = next;
            expiries += 1;
        }
        self.vmm.now().unwrap_or(now)
    }

    fn intercept(&mut self, path: &str, lines: Lines<'_>, watches: &mut bool) -> Reply {
        let Some(device) = self.vmm.device(path) else {
            return fail("Unknown device");
        };
        match &self.intercepted {
            Some(other) if *other != device => fail("IRQ intercept already enabled"),
            Some(_) => {
                *watches = true;
                Reply::Done
            }
            None if self.vmm.intercept(&device, lines) => {
                self.intercepted = Some(device);
                *watches = true;
                Reply::Done
            }
            None => fail("No intercepts installed"),
        }
    }

    /// A line that no [`Command`] can say: what QEMU makes of it, and where it would abort, the reason.
    #[cold]
    fn misspelled(
        &mut self,
        line: &[u8],
        error: &ParseError,
        watches: &mut bool,
    ) -> (Reply, Shape) {
        let text = String::from_utf8_lossy(line);
        let reply = match tolerant::read(&text) {
            Some(Meant::Command(command)) => {
                let reply = self.execute(&command, watches);
                return (reply, command.shape());
            }
            Some(Meant::Write { addr, data }) => {
                self.vmm.memory_write(addr, &data);
                Reply::Done
            }
            Some(Meant::Fill { addr, len, value }) => {
                self.fill(addr, len, value);
                Reply::Done
            }
            Some(Meant::NoStep) if self.vmm.now().is_some() => fail("could not advance time"),
            Some(Meant::SetBack) if self.vmm.now().is_some() => {
                fail(&self.vmm.now().unwrap_or_default().to_string())
            }
            Some(Meant::NoStep) => fail("Unknown command 'clock_step'"),
            Some(Meant::SetBack) => fail("Unknown command 'clock_set'"),
            Some(Meant::BadSize) => Reply::Failed(Failure {
                severity: Severity::Err,
                reason: "invalid argument size".into(),
            }),
            Some(Meant::NamedIn(path)) => match self.vmm.device(path) {
                None => fail("Unknown device"),
                Some(_) => fail("Interception of named in-GPIOs not yet supported"),
            },
            Some(Meant::Unknown(name)) => fail(&format!("Unknown command '{name}'")),
            None => fail(&error.to_string()),
        };
        (reply, Shape::Done)
    }
}

fn time(at: u64) -> Reply {
    Reply::Nanos(Nanos::new(at).unwrap_or(Nanos::MAX))
}

fn fail(reason: &str) -> Reply {
    Reply::Failed(Failure {
        severity: Severity::Fail,
        reason: one_line(reason),
    })
}

/// A reply is a line, whatever went into it.
fn one_line(text: &str) -> Box<str> {
    text.chars()
        .take(1024)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .into()
}
