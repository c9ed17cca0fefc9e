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
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use testjig_server::serve::{Host, Protocol};
use testjig_server::{InProcess, Server, TextLog};

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
            eprintln!("{NAME}: {error}");
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
    let mut machine = Machine::new(&mut config)?;
    let lines = machine
        .serial_lines()
        .map_err(|error| format!("cannot watch the serial lines: {error}"))?;
    let mut server = Server::new(machine);
    match config.qtest_log.as_deref() {
        Some("none") => {}
        None => server = server.with_log(TextLog::new(io::stderr())),
        Some(path) => {
            let file = File::create(path).map_err(|error| format!("{path}: {error}"))?;
            server = server.with_log(TextLog::new(file));
        }
    }
    let mut host = Host::new(server);
    host.stay(true);
    host.stop_on(stop.into());
    for (line, port) in lines {
        host.watch(line, move |machine| machine.listen(port));
    }
    if let Some(channel) = config.qtest.take() {
        attach(&mut host, channel, Protocol::Qtest);
    }
    for channel in config.monitors.drain(..) {
        attach(&mut host, channel, Protocol::Qmp);
    }
    host.run()
        .map_err(|error| format!("cannot wait for clients: {error}"))
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

/// A machine in this process, as the transport of a session: no process, no socket.
///
/// ```
/// let mut session = testjig_qtest::Session::new(testjig_machine::in_process(["-m", "16M"])?);
/// session.outb(0x70, 0x0b)?;
/// assert_eq!(session.inb(0x71)?, 0x02);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// What the program would print if it were given these words.
pub fn in_process<S: Into<String>>(
    words: impl IntoIterator<Item = S>,
) -> Result<impl testjig_qtest::Transport, String> {
    match cli::parse(words.into_iter().map(Into::into))? {
        cli::Request::Run(mut config) => {
            Ok(InProcess::new(Server::new(Machine::new(&mut config)?)))
        }
        cli::Request::Print(text) => Err(text),
    }
}
