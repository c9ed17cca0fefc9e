//! [`Channel`]: the test's end of a network or character device.

use std::fmt;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use crate::fault::{ClockKind, Fault, FaultKind};
use crate::process::timespec;
use crate::vm::Vm;

/// The most that one receive takes.
const ROOM: usize = 64 << 10;

/// A socket to a backend of the machine: a [`Netdev`](crate::Netdev) or [`Chardev`](crate::Chardev) of the launch.
///
/// Every call is a barrier, like an access to [`Ram`](crate::Ram).
#[derive(Clone)]
pub struct Channel {
    vm: Vm,
    id: String,
    fd: Rc<OwnedFd>,
    messages: bool,
}

impl Channel {
    pub(crate) fn new(vm: Vm, id: String, fd: Rc<OwnedFd>, messages: bool) -> Self {
        Self {
            vm,
            id,
            fd,
            messages,
        }
    }

    /// The id of the backend.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Sends all of it: one frame where the channel keeps messages apart, else so many bytes.
    ///
    /// Unwinds if the machine takes nothing for 10 s.
    #[track_caller]
    pub fn send(&self, bytes: &[u8]) {
        self.vm.sync();
        self.vm
            .note_obstacle(|| format!("it sends something over {}", self.id));
        let within = Duration::from_secs(10);
        let deadline = Instant::now() + within;
        let mut rest = bytes;
        loop {
            match send(&*self.fd, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::NOBUFS) => {
                    if !self.wait(PollFlags::OUT, deadline) {
                        self.late("takes what was sent", within);
                    }
                }
                Err(error) => self.broken("send to", error),
            }
            if rest.is_empty() {
                return;
            }
        }
    }

    /// What has arrived: one frame where the channel keeps messages apart, else all bytes there are. Does not wait.
    #[track_caller]
    pub fn try_recv(&self) -> Option<Vec<u8>> {
        self.vm.rest();
        self.take()
    }

    /// Waits until something arrives, so long of the host's time, and takes it.
    ///
    /// Under the qtest accelerator QEMU delivers what devices send at once; waiting is for the host's scheduling only.
    #[track_caller]
    pub fn recv(&self, within: Duration) -> Vec<u8> {
        self.vm.sync();
        let deadline = Instant::now() + within;
        loop {
            if let Some(bytes) = self.take() {
                return bytes;
            }
            if !self.wait(PollFlags::IN, deadline) {
                self.late("sends something", within);
            }
        }
    }

    /// Hangs up, both ways: the machine sees the end of a character device's connection, and the channel is of no more use.
    #[track_caller]
    pub fn hang_up(&self) {
        self.vm.sync();
        self.vm.note_obstacle(|| format!("it hangs up {}", self.id));
        if let Err(error) = shutdown(&*self.fd, Shutdown::Both) {
            self.broken("hang up", error);
        }
    }

    #[track_caller]
    fn take(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; ROOM];
        loop {
            match recv(&*self.fd, &mut *bytes, RecvFlags::DONTWAIT) {
                Ok((0, _)) if !self.messages => self.broken("receive from", Errno::PIPE),
                Ok((count, _)) => {
                    // When it comes is the host's matter, and it is part of what the machine answers.
                    self.vm
                        .note_obstacle(|| format!("it receives something over {}", self.id));
                    bytes.truncate(count);
                    return Some(bytes);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return None,
                Err(error) => self.broken("receive from", error),
            }
        }
    }

    /// Waits for the socket or for the machine's end; `false` if the deadline passed.
    #[track_caller]
    fn wait(&self, events: PollFlags, deadline: Instant) -> bool {
        let deadline = self.vm.earlier(deadline);
        loop {
            let timeout = timespec(deadline.saturating_duration_since(Instant::now()));
            let ready = self.vm.with_pidfd(|pidfd| {
                let mut fds = vec![PollFd::new(&*self.fd, events)];
                fds.extend(pidfd.map(|pidfd| PollFd::from_borrowed_fd(pidfd, PollFlags::IN)));
                poll(&mut fds, Some(&timeout)).map(|_| {
                    let ended = fds.get(1).map_or(PollFlags::empty(), PollFd::revents);
                    (fds[0].revents(), ended)
                })
            });
            match ready {
                Ok((ours, _)) if !ours.is_empty() => return true,
                Ok((_, ended)) if !ended.is_empty() => {
                    self.vm.is_alive();
                    self.vm.died(None, Location::caller());
                }
                _ if Instant::now() >= deadline => return false,
                _ => {}
            }
        }
    }

    #[track_caller]
    #[cold]
    fn late(&self, what: &str, within: Duration) -> ! {
        Fault::new(FaultKind::Deadline {
            condition: format!("\"{}\" {what}", self.id),
            seen: String::new(),
            within,
            moved: within,
            clock: ClockKind::Host,
        })
        .raise()
    }

    #[track_caller]
    #[cold]
    fn broken(&self, attempt: &str, error: Errno) -> ! {
        // A socket that breaks is most often the first that is seen of a machine's end.
        if self.vm.has_ended(Duration::from_secs(1)) {
            self.vm.died(None, Location::caller());
        }
        Fault::usage(format!("failed to {attempt} \"{}\": {error}", self.id)).raise()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("id", &self.id)
            .field("messages", &self.messages)
            .finish_non_exhaustive()
    }
}
