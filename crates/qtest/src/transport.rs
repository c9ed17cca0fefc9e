//! [`Transport`]: the byte stream below a session.

use std::io;
use std::time::Instant;

/// A full-duplex byte stream: a socket, a server in the same process, a fake.
///
/// One method moves bytes both ways, so that neither side can wait for the other with full buffers.
pub trait Transport {
    /// Takes bytes of `out` and puts bytes into `input`.
    ///
    /// Waits until at least one byte moved either way, the peer closed, or `deadline` passed. With
    /// an empty `out` it waits for input only. May move some of the bytes and return; is called
    /// again for the rest.
    ///
    /// Answers how much moved, all zero if the deadline passed first. `input` is never empty.
    ///
    /// # Errors
    ///
    /// Whatever makes the stream unusable, except that the peer closed it: that is
    /// [`Progress::closed`].
    fn exchange(&mut self, out: &[u8], input: &mut [u8], deadline: Instant)
    -> io::Result<Progress>;

    /// Lets replies gather for a moment, some ten microseconds: many are due, and nothing is left
    /// to be sent.
    ///
    /// Worth it where each reply would wake this thread. Does nothing unless a transport knows
    /// better.
    fn coalesce(&mut self) {}
}

/// What one [`Transport::exchange`] moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of `out` that were taken.
    pub written: usize,
    /// Bytes at the start of `input` that were filled.
    pub read: usize,
    /// The peer is gone: `read` bytes were its last.
    pub closed: bool,
}

impl<T: Transport + ?Sized> Transport for &mut T {
    fn exchange(
        &mut self,
        out: &[u8],
        input: &mut [u8],
        deadline: Instant,
    ) -> io::Result<Progress> {
        (**self).exchange(out, input, deadline)
    }

    fn coalesce(&mut self) {
        (**self).coalesce();
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn exchange(
        &mut self,
        out: &[u8],
        input: &mut [u8],
        deadline: Instant,
    ) -> io::Result<Progress> {
        (**self).exchange(out, input, deadline)
    }

    fn coalesce(&mut self) {
        (**self).coalesce();
    }
}
