//! The thread that starts a test's first machine: [`Starter`].
//!
//! Loading QEMU and its libraries takes longer than building a machine. While the host half's shell starts, it is done ahead of need, in
//! the thread whose the machine will be: a process ends with the thread that started it.

use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use testjig_vm::Qemu;

type Work = Box<dyn FnOnce() + Send>;

/// Runs what starts machines and drives them, each in a thread of its own.
#[derive(Debug)]
pub(crate) struct Starter {
    /// The way to a thread that has loaded QEMU.
    ready: Mutex<Option<mpsc::Sender<Work>>>,
}

impl Starter {
    /// Has a thread load this QEMU.
    pub(crate) fn new(qemu: Qemu) -> Self {
        let (sender, work) = mpsc::channel::<Work>();
        thread::spawn(move || {
            qemu.load_ahead();
            if let Ok(work) = work.recv() {
                work();
            }
        });
        Self {
            ready: Mutex::new(Some(sender)),
        }
    }

    /// Has a thread do this.
    pub(crate) fn run(&self, work: impl FnOnce() + Send + 'static) {
        let ready = self
            .ready
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match ready {
            // It waits for nothing else.
            Some(ready) => drop(ready.send(Box::new(work))),
            None => drop(thread::spawn(work)),
        }
    }
}
