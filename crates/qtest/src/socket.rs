//! [`Socket`]: a connected stream socket as a [`Transport`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::transport::{Progress, Transport};

/// A connected stream socket.
///
/// Never blocks in a read or write, waits in `poll` alone, raises no SIGPIPE, and leaves the
/// descriptor's flags, which other processes may share, as they are.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    /// More input may be there: worth a `recv` before a `poll`.
    readable: bool,
    /// The peer takes nothing more; what it sent before can still be read.
    refused: bool,
}

impl From<OwnedFd> for Socket {
    fn from(fd: OwnedFd) -> Self {
        Self {
            fd,
            readable: false,
            refused: false,
        }
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        OwnedFd::from(stream).into()
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.fd
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Transport for Socket {
    fn exchange(
        &mut self,
        out: &[u8],
        input: &mut [u8],
        deadline: Instant,
    ) -> io::Result<Progress> {
        loop {
            let mut progress = Progress::default();
            if !out.is_empty() && !self.refused {
                progress.written = self.send(out)?;
            }
            if self.readable || self.refused {
                self.receive(input, &mut progress)?;
            }
            if self.refused && progress.read == 0 {
                progress.closed = true;
            }
            if progress != Progress::default() || !self.wait(!out.is_empty(), deadline)? {
                return Ok(progress);
            }
        }
    }

    /// QEMU sends each reply by itself, and waking this thread for each costs both sides more than
    /// the reply is worth: pipelined reads of a port go from 250,000 to 360,000 a second. Nothing
    /// is waited for that could come earlier or later, so no event could replace this.
    fn coalesce(&mut self) {
        // An early end by a signal is as good as any.
        let _ = poll(&mut [], Some(&MOMENT));
        self.readable = true;
    }
}

/// How long replies gather. With the usual timer slack the kernel makes 70 µs of it: some 25
/// replies.
const MOMENT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000,
};

impl Socket {
    fn send(&mut self, out: &[u8]) -> io::Result<usize> {
        match retry_on_intr(|| send(&self.fd, out, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)) {
            Ok(written) => Ok(written),
            Err(Errno::AGAIN) => Ok(0),
            Err(Errno::PIPE | Errno::CONNRESET) => {
                self.refused = true;
                Ok(0)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn receive(&mut self, input: &mut [u8], progress: &mut Progress) -> io::Result<()> {
        let room = input.len();
        match retry_on_intr(|| recv(&self.fd, &mut *input, RecvFlags::DONTWAIT)) {
            Ok((_, 0)) | Err(Errno::CONNRESET) => progress.closed = true,
            Ok((_, read)) => {
                progress.read = read;
                // A short read emptied the socket.
                self.readable = read == room;
            }
            Err(Errno::AGAIN) => self.readable = false,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Waits for the socket; `false` if the deadline passed. Time in which this machine stood still does not count.
    fn wait(&mut self, writing: bool, mut deadline: Instant) -> io::Result<bool> {
        let events = if writing {
            PollFlags::IN | PollFlags::OUT
        } else {
            PollFlags::IN
        };
        loop {
            let begun = Instant::now();
            let left = deadline.saturating_duration_since(begun);
            let nap = left.min(NAP);
            let timeout = Timespec {
                tv_sec: nap.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: nap.subsec_nanos().into(),
            };
            let mut fds = [PollFd::new(&self.fd, events)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) => {
                    deadline += stood_still(begun.elapsed(), nap);
                    if deadline <= Instant::now() {
                        return Ok(false);
                    }
                }
                Ok(_) => {
                    self.readable = fds[0]
                        .revents()
                        .intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
                    return Ok(true);
                }
                // With the time used up there is one more look and no more.
                Err(Errno::INTR) if left.is_zero() => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error)),
            }
        }
    }
}

/// The longest single wait, so that a machine that stands still is noticed.
const NAP: Duration = Duration::from_millis(500);

/// A laptop sleeps, a virtual machine is moved, a container is frozen: then the clock goes on, and neither this process nor the peer
/// does. A wait that took much longer than it was to take says so, and the peer is not to blame for that time.
fn stood_still(took: Duration, nap: Duration) -> Duration {
    let late = took.saturating_sub(nap);
    if late > NAP { late } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_wake_up_is_no_standstill() {
        assert_eq!(stood_still(NAP + NAP, NAP), Duration::ZERO);
    }

    #[test]
    fn a_standstill_is_what_a_wait_took_too_long() {
        let ten = Duration::from_secs(10);
        assert_eq!(stood_still(NAP + ten, NAP), ten);
    }
}
