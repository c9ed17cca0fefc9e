//! Signals that ask a run to end.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// SIGINT, SIGTERM and SIGHUP, as bytes in a pipe that can be polled.
pub(super) struct Signals {
    pipe: UnixStream,
    registered: Vec<signal_hook::SigId>,
}

impl Signals {
    /// Catches them from now on.
    pub(super) fn catch() -> io::Result<Self> {
        let (pipe, writer) = UnixStream::pair()?;
        let mut signals = Self {
            pipe,
            registered: Vec::new(),
        };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let id = signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
            signals.registered.push(id);
        }
        Ok(signals)
    }

    /// Forgets those that have come: they were meant for somebody else.
    pub(super) fn forget(&self) -> io::Result<()> {
        self.pipe.set_nonblocking(true)?;
        let mut bytes = [0; 64];
        while (&self.pipe).read(&mut bytes).is_ok_and(|count| count > 0) {}
        self.pipe.set_nonblocking(false)
    }

    /// Readable once one has come.
    pub(super) fn pipe(&self) -> &UnixStream {
        &self.pipe
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.registered.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }
}
