//! [`Watch`]: how much memory a process takes, while it does what it does.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use std::sync::Arc;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(10);

/// A look at a process from time to time, from its beginning to [`Watch::end`]. A process that takes too much is killed before it takes
/// all that the host has.
pub(crate) struct Watch {
    pid: u32,
    before: u64,
    most: u64,
    seen: Arc<AtomicU64>,
    watcher: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Watch {
    pub(crate) fn begin(pid: u32, most: u64) -> Self {
        let before = anonymous(pid);
        let seen = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = mpsc::channel::<()>();
        let found = Arc::clone(&seen);
        let watch = move || {
            let Some(pidfd) =
                Pid::from_raw(pid as i32).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
            else {
                return;
            };
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(EVERY) {
                let grown = anonymous(pid).saturating_sub(before);
                if grown > most {
                    found.fetch_max(grown, Ordering::Relaxed);
                    // It may be gone already.
                    let _ = pidfd_send_signal(&pidfd, Signal::KILL);
                    return;
                }
            }
        };
        // Without a thread there is the look at the end.
        let watcher = thread::Builder::new()
            .name("memory-watch".into())
            .stack_size(64 << 10)
            .spawn(watch)
            .ok()
            .map(|thread| (stop, thread));
        Self {
            pid,
            before,
            most,
            seen,
            watcher,
        }
    }

    /// How many bytes too many the process took, if it did.
    pub(crate) fn end(mut self) -> Option<u64> {
        if let Some((stop, thread)) = self.watcher.take() {
            drop(stop);
            let _ = thread.join();
        }
        let grown = anonymous(self.pid).saturating_sub(self.before);
        let most = grown.max(self.seen.load(Ordering::Relaxed));
        (most > self.most).then_some(most)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.watcher.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

/// How much memory a process has that is its own, in bytes: guest memory is a file, and does not count. 0 if it is gone.
fn anonymous(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("RssAnon:")?
                .trim()
                .strip_suffix(" kB")?
                .trim()
                .parse()
                .ok()
        })
        .map_or(0, |kib: u64| kib << 10)
}
