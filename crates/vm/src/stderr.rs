//! [`Stderr`]: what a child writes, its beginning and its end, without ever making it wait.

use std::collections::VecDeque;
use std::fmt::Write;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::{Errno, read, write};
use rustix::pipe::{PipeFlags, pipe_with};

/// Bytes kept of the beginning: where a VMM says why it does not start.
const HEAD: usize = 16 << 10;
/// Bytes kept of the end: where it says why it died.
const TAIL: usize = 48 << 10;

/// Reads that empty a full pipe, several times over.
const PIPE_READS: usize = 64;

/// The read end of a child's stderr, emptied by a thread of its own.
#[derive(Debug)]
pub(crate) struct Stderr {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    collected: Mutex<Collected>,
    pipe: OwnedFd,
    /// Readable when the thread is to end.
    end: OwnedFd,
}

#[derive(Debug, Default)]
struct Collected {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: u64,
    closed: bool,
}

impl Stderr {
    /// A collector and the end of the pipe that the child writes to.
    pub(crate) fn new() -> io::Result<(Self, OwnedFd)> {
        let (pipe, write_end) = pipe_with(PipeFlags::CLOEXEC)?;
        // Of our end only: the child's stays blocking, as programs expect of stderr.
        rustix::io::ioctl_fionbio(&pipe, true)?;
        let shared = Arc::new(Shared {
            collected: Mutex::default(),
            pipe,
            end: eventfd(0, EventfdFlags::CLOEXEC)?,
        });
        let thread = Builder::new()
            .name("vmm-stderr".into())
            .stack_size(64 << 10)
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.collect()
            })?;
        let stderr = Self {
            shared,
            thread: Some(thread),
        };
        Ok((stderr, write_end))
    }

    /// Puts what was said before the pipe was there in front.
    pub(crate) fn begin_with(&self, text: &str) {
        let mut collected = self
            .shared
            .collected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let text = text.as_bytes();
        let text = &text[..text.len().min(HEAD)];
        collected.head.splice(0..0, text.iter().copied());
    }

    /// Our end of the pipe.
    pub(crate) fn pipe(&self) -> BorrowedFd<'_> {
        self.shared.pipe.as_fd()
    }

    /// Everything written until now, with a mark where something was left out.
    pub(crate) fn text(&self) -> String {
        self.shared.drain().text()
    }

    /// Takes what is left in the pipe and closes the matter. For when the child is gone.
    pub(crate) fn finish(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        // Fails only if it would pass 2⁶⁴.
        let _ = write(&self.shared.end, &1u64.to_ne_bytes());
        let _ = thread.join();
    }
}

impl Drop for Stderr {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Shared {
    /// Until the pipe is closed at the other end, or the collector is told to end.
    fn collect(&self) {
        loop {
            let mut fds = [
                PollFd::from_borrowed_fd(self.pipe.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.end.as_fd(), PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            let end = !fds[1].revents().is_empty();
            if self.drain().closed || end {
                return;
            }
        }
    }

    /// Takes what is in the pipe now.
    fn drain(&self) -> MutexGuard<'_, Collected> {
        let mut collected = self
            .collected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut buffer = [0; 4096];
        // As often as empties a full pipe: a child that writes without end must not keep a caller here.
        for _ in 0..PIPE_READS {
            if collected.closed {
                break;
            }
            match read(&self.pipe, &mut buffer) {
                Ok(0) => collected.closed = true,
                Ok(count) => collected.add(&buffer[..count]),
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        collected
    }
}

impl Collected {
    fn add(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(HEAD - self.head.len()));
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..excess);
        self.dropped += excess as u64;
    }

    fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.head).into_owned();
        if self.dropped > 0 {
            let _ = write!(text, "\n[… {} bytes left out …]\n", self.dropped);
        }
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        text.push_str(&String::from_utf8_lossy(&tail));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_output_is_kept_whole() {
        let (mut stderr, pipe) = Stderr::new().unwrap();
        write(&pipe, b"one\n").unwrap();
        assert_eq!(stderr.text(), "one\n");
        write(&pipe, b"two\n").unwrap();
        drop(pipe);
        stderr.finish();
        assert_eq!(stderr.text(), "one\ntwo\n");
    }

    #[test]
    fn of_long_output_the_beginning_and_the_end_are_kept() {
        let (mut stderr, pipe) = Stderr::new().unwrap();
        // More than the pipe holds: a collector that did not empty it would leave this writer waiting.
        let mut written = 0_u64;
        for line in 0..40_000 {
            let line = format!("line {line}\n");
            written += write(&pipe, line.as_bytes()).unwrap() as u64;
        }
        drop(pipe);
        stderr.finish();
        let text = stderr.text();
        assert!(text.starts_with("line 0\nline 1\n"));
        assert!(text.ends_with("line 39998\nline 39999\n"));
        let left_out = written - (HEAD + TAIL) as u64;
        assert!(text.contains(&format!("[… {left_out} bytes left out …]")));
    }

    #[test]
    fn the_end_does_not_wait_for_a_writer_that_lives_on() {
        let (mut stderr, pipe) = Stderr::new().unwrap();
        write(&pipe, b"said\n").unwrap();
        stderr.finish();
        assert_eq!(stderr.text(), "said\n");
        drop(pipe);
    }
}
