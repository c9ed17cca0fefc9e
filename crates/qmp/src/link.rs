//! The socket: lines in, bytes out, never blocking but in [`Link::wait`].

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

/// How much is asked of the socket at once.
const CHUNK: usize = 64 * 1024;

/// A buffer that grew beyond this for one message is given back afterwards.
const KEPT: usize = 1024 * 1024;

/// The longest single wait: one that takes more than twice as long tells that the whole machine stood still, and the peer with it.
const NAP: Duration = Duration::from_millis(500);

/// A stream socket with a buffer each way.
///
/// Leaves the descriptor's flags alone: that it does not block is asked of each call.
pub(crate) struct Link {
    socket: OwnedFd,
    input: Vec<u8>,
    /// Where the first line in `input` that has not been consumed begins.
    begin: usize,
    /// Up to where `input` has been searched for the end of that line.
    searched: usize,
    /// What has been queued and not been sent.
    output: Vec<u8>,
    /// How many bytes of all that was ever queued have been sent.
    sent: u64,
    send_failed: bool,
    /// A descriptor that goes with the byte that was queued at this place.
    descriptor: Option<(u64, OwnedFd)>,
    /// Called before each wait.
    attend: Option<Attend>,
}

/// Has a peer in this thread do what it was asked for.
pub(crate) type Attend = Box<dyn Fn() + Send>;

/// What [`Link::receive`] found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    Bytes(u64),
    Nothing,
    End,
}

/// A whole line in the buffer: see [`Link::line`].
#[derive(Clone, Copy)]
pub(crate) struct Line {
    end: usize,
}

impl Link {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            input: Vec::new(),
            begin: 0,
            searched: 0,
            output: Vec::new(),
            sent: 0,
            send_failed: false,
            descriptor: None,
            attend: None,
        }
    }

    pub(crate) fn set_attend(&mut self, attend: Attend) {
        self.attend = Some(attend);
    }

    /// Appends to what is to be sent; returns its place for [`Link::withdraw`].
    pub(crate) fn queue(&mut self, bytes: &[u8]) -> u64 {
        let place = self.sent + self.output.len() as u64;
        self.output.extend_from_slice(bytes);
        place
    }

    /// Has a descriptor go with what was queued at `place`, by `SCM_RIGHTS`; nothing of that must have been sent. The
    /// link has one at a time.
    pub(crate) fn attach(&mut self, place: u64, descriptor: OwnedFd) {
        self.descriptor = Some((place, descriptor));
    }

    /// Takes back what was queued last, from `place` on. `false` if some of it has been sent: then the rest must follow.
    pub(crate) fn withdraw(&mut self, place: u64) -> bool {
        let Some(keep) = place.checked_sub(self.sent) else {
            return false;
        };
        self.output.truncate(keep as usize);
        self.descriptor.take_if(|(with, _)| *with >= place);
        true
    }

    /// Sends what the socket takes without waiting.
    ///
    /// A peer that has closed is not an error here: it shows when everything it had sent has been received.
    pub(crate) fn send(&mut self) -> io::Result<()> {
        while !self.output.is_empty() && !self.send_failed {
            match self.send_some() {
                Ok(count) => {
                    self.output.drain(..count);
                    self.sent += count as u64;
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => self.send_failed = true,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn send_some(&mut self) -> Result<usize, Errno> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let Some((place, descriptor)) = &self.descriptor else {
            return rustix::net::send(&self.socket, &self.output, flags);
        };
        let before = (place - self.sent) as usize;
        if before > 0 {
            return rustix::net::send(&self.socket, &self.output[..before], flags);
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [descriptor.as_fd()];
        // It has the space for just this.
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        let bytes = [IoSlice::new(&self.output)];
        let count = rustix::net::sendmsg(&self.socket, &bytes, &mut control, flags)?;
        self.descriptor = None;
        Ok(count)
    }

    /// How many bytes have arrived and not been received.
    pub(crate) fn arrived(&self) -> io::Result<u64> {
        Ok(rustix::io::ioctl_fionread(&self.socket)?)
    }

    /// Receives what is there without waiting, one chunk at most.
    pub(crate) fn receive(&mut self) -> io::Result<Received> {
        self.compact();
        self.input.reserve(CHUNK);
        loop {
            let spare = spare_capacity(&mut self.input);
            return match rustix::net::recv(&self.socket, spare, RecvFlags::DONTWAIT) {
                Ok((0, _)) | Err(Errno::CONNRESET) => Ok(Received::End),
                Ok((count, _)) => Ok(Received::Bytes(count as u64)),
                Err(Errno::AGAIN) if self.send_failed => Ok(Received::End),
                Err(Errno::AGAIN) => Ok(Received::Nothing),
                Err(Errno::INTR) => continue,
                Err(error) => Err(error.into()),
            };
        }
    }

    /// Waits until the socket has something to receive, or takes something that is to be sent, or the deadline. Time in which this
    /// machine stood still does not count.
    pub(crate) fn wait(&self, mut until: Instant) -> io::Result<()> {
        if let Some(attend) = &self.attend {
            attend();
        }
        let mut events = PollFlags::IN;
        if !self.output.is_empty() && !self.send_failed {
            events |= PollFlags::OUT;
        }
        loop {
            let begun = Instant::now();
            let nap = until.saturating_duration_since(begun).min(NAP);
            let timeout = Timespec::try_from(nap).ok();
            match rustix::event::poll(&mut [PollFd::new(&self.socket, events)], timeout.as_ref()) {
                Ok(0) => {
                    let late = begun.elapsed().saturating_sub(nap);
                    if late > NAP {
                        until += late;
                    }
                    if until <= Instant::now() {
                        return Ok(());
                    }
                }
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The first whole line that has been received and not been consumed.
    pub(crate) fn line(&mut self) -> Option<Line> {
        if let Some(at) = memchr::memchr(b'\n', &self.input[self.searched..]) {
            let end = self.searched + at;
            // Searched again if it is not consumed, from where its end is found at once.
            self.searched = end;
            Some(Line { end })
        } else {
            self.searched = self.input.len();
            None
        }
    }

    /// The bytes of a line, without its end.
    pub(crate) fn bytes(&self, line: Line) -> &[u8] {
        let line = &self.input[self.begin..line.end];
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    pub(crate) fn consume(&mut self, line: Line) {
        self.begin = line.end + 1;
        self.searched = self.begin;
    }

    /// What has been received of a line whose end has not.
    pub(crate) fn unfinished(&self) -> &[u8] {
        &self.input[self.begin..]
    }

    /// Moves what has not been consumed to the front of the buffer.
    fn compact(&mut self) {
        if self.begin == 0 {
            return;
        }
        self.input.drain(..self.begin);
        self.searched -= self.begin;
        self.begin = 0;
        if self.input.is_empty() && self.input.capacity() > KEPT {
            self.input = Vec::new();
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
