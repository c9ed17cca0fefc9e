//! The embedded machine: a small PC of device models written from the data sheets, which serves its devices to tests.
//!
//! It takes QEMU's own command line for what it has, so that any qtest client can be pointed at it as if it were QEMU:
//!
//! ```text
//! testjig-machine -machine pc -m 128M -nodefaults -qtest unix:/tmp/qtest,server=on,wait=off
//! ```
//!
//! There is no CPU and no firmware: time moves when the test says so. What the machine does not have is declined at once, with QEMU's
//! words where QEMU has some.

mod board;
mod calendar;
mod cli;
mod dev;
mod disk;
mod lines;
mod machine;
mod pci;
mod plant;
mod ram;

use std::fs::File;
use std::io;
use std::mem;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use testjig_qtest::{Progress, Transport};
use testjig_server::serve::{Host, Inside, Protocol};
use testjig_server::{Server, TextLog};

use machine::Machine;
pub use machine::{DEVICES, MACHINES, OBJECTS, VERSION};
pub use plant::PLANTS;

/// Whose manner messages are in.
pub(crate) const NAME: &str = "qemu-system-x86_64";

/// Runs the machine that a command line describes (without the program's name) until it is stopped. Returns the exit status.
pub fn main(words: impl IntoIterator<Item = String>) -> u8 {
    match start(words) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{}", said(&error));
            1
        }
    }
}

fn start(words: impl IntoIterator<Item = String>) -> Result<(), String> {
    let mut config = match cli::parse(words)? {
        cli::Request::Run(config) => config,
        cli::Request::Print(text) => {
            print!("{text}");
            return Ok(());
        }
    };
    let stop = on_signal().map_err(|error| format!("cannot wait for signals: {error}"))?;
    for warning in config.warnings.drain(..) {
        eprintln!("{}", said(&warning));
    }
    let qtest = config.qtest.take();
    let log = config.qtest_log.take();
    let mut host = host(*config, qtest, |server| match log.as_deref() {
        Some("none") => Ok(server),
        None => Ok(server.with_log(TextLog::new(io::stderr()))),
        Some(path) => {
            let file = File::create(path).map_err(|error| format!("{path}: {error}"))?;
            Ok(server.with_log(TextLog::new(file)))
        }
    })?;
    host.stay(true);
    host.stop_on(stop.into());
    host.run()
        .map_err(|error| format!("cannot wait for clients: {error}"))
}

/// The machine of a command line, with its clients and what is at the other ends of its wires.
fn host(
    mut config: cli::Config,
    qtest: Option<cli::Channel>,
    log: impl FnOnce(Server<Machine>) -> Result<Server<Machine>, String>,
) -> Result<Host<Machine>, String> {
    let mut machine = Machine::new(&mut config)?;
    let lines = machine
        .serial_lines()
        .map_err(|error| format!("cannot watch the serial lines: {error}"))?;
    let mut host = Host::new(log(Server::new(machine))?);
    for (line, port) in lines {
        host.watch(line, move |machine| machine.listen(port));
    }
    // Before the monitors: who has asked a monitor for something finds the interrupts that came of it when the answer is there.
    if let Some(channel) = qtest {
        attach(&mut host, channel, Protocol::Qtest);
    }
    for channel in config.monitors.drain(..) {
        attach(&mut host, channel, Protocol::Qmp);
    }
    Ok(host)
}

fn attach(host: &mut Host<Machine>, channel: cli::Channel, protocol: Protocol) {
    match channel {
        cli::Channel::Connected(endpoint) => host.connect(endpoint, protocol),
        cli::Channel::Listening(listener) => host.listen(listener, protocol),
        cli::Channel::Null => {}
    }
}

/// A descriptor that is readable once this process has been asked to end.
fn on_signal() -> io::Result<UnixStream> {
    let (stopped, stop) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::low_level::pipe::register(signal, stop.try_clone()?)?;
    }
    Ok(stopped)
}

/// A machine in this thread, as the transport of a session: no process, no socket.
///
/// ```
/// let machine = testjig_machine::InProcess::new(["-m", "16M"])?;
/// let mut session = testjig_qtest::Session::new(machine);
/// session.outb(0x70, 0x0b)?;
/// assert_eq!(session.inb(0x71)?, 0x02);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct InProcess {
    machine: Inside<Machine>,
    warnings: Vec<String>,
}

impl InProcess {
    /// The machine of a command line. What that says of its qtest server means nothing here; its monitors are
    /// [attended to](Self::attend).
    ///
    /// # Errors
    ///
    /// What the program would print if it were given these words.
    pub fn new<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Result<Self, String> {
        match cli::parse(words.into_iter().map(Into::into)) {
            Ok(cli::Request::Run(mut config)) => {
                let warnings = mem::take(&mut config.warnings);
                let warnings = warnings.iter().map(|warning| said(warning)).collect();
                let host = host(*config, None, Ok).map_err(|error| said(&error))?;
                Ok(Self {
                    machine: host.inside(),
                    warnings,
                })
            }
            Ok(cli::Request::Print(text)) => Err(text),
            Err(error) => Err(said(&error)),
        }
    }

    /// What the program would have printed before it began.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Does what monitors have asked for; `false` if the machine has quit. Their clients wait for ever if this is not called meanwhile.
    ///
    /// # Errors
    ///
    /// If looking for what they sent fails.
    pub fn attend(&mut self) -> io::Result<bool> {
        self.machine.attend()
    }
}

/// A message as the program prints it.
fn said(message: &str) -> String {
    format!("{NAME}: {message}")
}

impl Transport for InProcess {
    fn exchange(
        &mut self,
        out: &[u8],
        input: &mut [u8],
        deadline: Instant,
    ) -> io::Result<Progress> {
        self.machine.exchange(out, input, deadline)
    }
}
