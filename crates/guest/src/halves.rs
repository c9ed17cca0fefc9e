//! Guest tests in Rust: a host half and a guest half in one file, both functions.
//!
//! ```
//! use testjig_guest::halves::*;
//!
//! pub static A_DISK_IS_ANNOUNCED: GuestTest = guest_test!(host, guest, warm);
//!
//! fn host(test: &Host) {
//!     let board = test.choose("machine", &[Board::Pc, Board::Q35]);
//!     let disk = test.disk(1 << 20);
//!     let machine = test.machine(board).drive("d", &disk).start();
//!     let disk = machine.plug(Device::new("virtio-blk-pci").id("blk").prop("drive", "d"));
//!     machine.wait_told("seen");
//!     machine.unplug(disk);
//! }
//!
//! fn guest(guest: &Guest) {
//!     let disk = guest.uevent(&["ACTION=add", "SUBSYSTEM=block"]);
//!     assert_eq!(&disk["DEVNAME"], "vda");
//!     guest.tell("seen");
//!     guest.wait_gone("/sys/block/vda");
//! }
//! # fn main() {}
//! ```
//!
//! The two run at once, the guest half from when the guest has booted. It is a function of the test's process, and what it does in the
//! guest is done by the [agent](testjig_agent), an operation each: so nothing is compiled for the guest, and an operation takes
//! microseconds where a shell takes a process. Nothing returns a `Result`: what fails, and every wait that is not over by its deadline
//! (60 s), unwinds with what was attempted and where, and is the test's failure. [`register`] makes tests known to a program; the file
//! that they are in is how a user names them.

mod guest;
mod host;

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::stdio::{dup2_stderr, dup2_stdout};
use testjig_vm::ExitStatus;

pub use guest::{Guest, Output, Uevent};
pub use host::{Board, Builder, Host, Plugged, Running};
pub use testjig_qmp::commands::DeviceAdd as Device;

pub use crate::guest_test;
use crate::header::Header;
use crate::job::{Ending, Report};
use crate::machine::ChannelKind;
use crate::serve::{FOR_EVER, WAIT_TIME};
use crate::test::Test;

/// A test whose halves are functions; [`guest_test!`](crate::guest_test) makes one.
#[derive(Debug)]
pub struct GuestTest {
    /// Its name: `hotplug::a_disk_is_announced`.
    pub name: &'static str,
    /// The file that it is in.
    pub file: &'static str,
    /// Whether machines may begin where an equal one has booted to.
    pub is_warm: bool,
    /// What runs on the host.
    pub host: fn(&Host),
    /// What is done in the guest.
    pub guest: fn(&Guest),
}

/// A [`GuestTest`] of this module: its host half, its guest half, and `warm` if machines may begin where an equal one has booted to.
///
/// It is named after its module, so a module has one.
#[macro_export]
macro_rules! guest_test {
    ($host:path, $guest:path) => {
        $crate::guest_test!($host, $guest, false)
    };
    ($host:path, $guest:path, warm) => {
        $crate::guest_test!($host, $guest, true)
    };
    ($host:path, $guest:path, $warm:literal) => {
        $crate::halves::GuestTest {
            name: module_path!(),
            file: file!(),
            is_warm: $warm,
            host: $host,
            guest: $guest,
        }
    };
}

static REGISTERED: OnceLock<&'static [&'static GuestTest]> = OnceLock::new();

/// Makes tests known: to be called once, before [`serve_if_supervisor`](crate::serve_if_supervisor).
pub fn register(tests: &'static [&'static GuestTest]) {
    // The first counts.
    let _ = REGISTERED.set(tests);
}

pub(crate) fn all() -> &'static [&'static GuestTest] {
    REGISTERED.get().copied().unwrap_or_default()
}

pub(crate) fn registered(name: &str) -> Option<&'static GuestTest> {
    all().iter().find(|test| test.name == name).copied()
}

impl GuestTest {
    pub(crate) fn header(&self) -> Header {
        Header {
            channel: ChannelKind::Virtio,
            deadline: None,
            warm: self.is_warm,
        }
    }
}

/// Runs the host half to its end, and says how it was.
pub(crate) fn conduct(test: &Arc<Test>, halves: &'static GuestTest) -> Report {
    let deadline = test.header.deadline.unwrap_or(test.job.deadline);
    let ends = Instant::now() + deadline;
    let captured = match Captured::begin(test) {
        Ok(captured) => captured,
        Err(error) => {
            let problem = format!("failed to take what the test prints: {error}");
            return test.report(Ending::Error(problem), String::new());
        }
    };
    note_panics();
    let (sender, result) = mpsc::channel();
    let its = Arc::clone(test);
    thread::spawn(move || {
        let host = Host::new(its, halves.guest);
        let result = caught(|| (halves.host)(&host));
        // Whose half in the guest is not over is waited for.
        let result = result.and_then(|()| caught(|| host.finish()));
        let _ = sender.send(result);
    });
    let result = result.recv_timeout(ends.saturating_duration_since(Instant::now()));
    let (status, said) = match result {
        Ok(Ok(())) => (Some(ExitStatus::Exited(0)), None),
        Ok(Err(said)) => (Some(ExitStatus::Exited(1)), Some(said)),
        Err(_) => (None, None),
    };
    let ending = test.ending(status, deadline, said);
    test.end_machines();
    test.report(ending, captured.end())
}

thread_local! {
    /// What the last panic of this thread said, and where it was.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps what panics say instead of printing it.
fn note_panics() {
    panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "it panicked".to_owned());
        let place = info.location().map_or_else(String::new, |place| {
            format!(" ({}:{})", place.file(), place.line())
        });
        LAST.with_borrow_mut(|last| *last = Some(format!("{text}{place}")));
    }));
}

/// Runs something; what it said if it unwound.
fn caught(work: impl FnOnce()) -> Result<(), String> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        LAST.take()
            .unwrap_or_else(|| "it ended without a word".to_owned())
    })
}

/// Standard output and error while a test has them: the report goes to the former otherwise.
struct Captured {
    path: std::path::PathBuf,
    output: std::os::fd::OwnedFd,
    error: std::os::fd::OwnedFd,
}

impl Captured {
    fn begin(test: &Test) -> std::io::Result<Self> {
        let path = test.job.directory.join(".testjig").join("printed");
        let file = File::create(&path)?;
        let captured = Self {
            path,
            output: rustix::io::dup(rustix::stdio::stdout())?,
            error: rustix::io::dup(rustix::stdio::stderr())?,
        };
        dup2_stdout(&file)?;
        dup2_stderr(&file)?;
        Ok(captured)
    }

    fn end(self) -> String {
        // What was open is open again; the runner finds out if not.
        let _ = dup2_stdout(&self.output);
        let _ = dup2_stderr(&self.error);
        let mut text = Vec::new();
        if let Ok(file) = File::open(&self.path) {
            let _ = file.take(64 << 10).read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// By when a wait that begins now is over.
fn soon() -> Instant {
    Instant::now() + WAIT_TIME
}

/// As the agent wants a span.
fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}
