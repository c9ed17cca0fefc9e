//! Asks a binary what it is, by starting it once without a machine: [`facts`].

mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;
use testjig_qmp::commands::{ObjectType, QomListTypes, QueryMachines};
use testjig_qmp::{ErrorKind, Qmp};

use crate::binary::{Capabilities, Invocation, Version};
use crate::process::{Process, Spawn};
use crate::{Cache, ExitStatus, FindError, FindErrorKind};

/// How long a binary may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a binary that has closed its connection may take to end.
const FAREWELL: Duration = Duration::from_millis(500);

/// What a binary says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// QEMU's name of the architecture it emulates.
    pub(crate) target: String,
    pub(crate) version: Version,
    pub(crate) caps: Capabilities,
}

/// What the binary says of itself: as remembered, if nothing of it has changed, else by asking.
pub(crate) fn facts(invocation: &Invocation, cache: &Cache) -> Result<Facts, FindError> {
    let memory = memory::Memory::of(invocation, cache);
    if let Some(facts) = memory.recall() {
        return Ok(facts);
    }
    let facts =
        ask(invocation, PATIENCE).map_err(|kind| FindError::of(&invocation.subject, kind))?;
    memory.keep(&facts);
    Ok(facts)
}

/// Starts the binary with the qtest accelerator and, if it refuses, without.
fn ask(invocation: &Invocation, patience: Duration) -> Result<Facts, FindErrorKind> {
    let deadline = Instant::now() + patience;
    let hung = |printed| FindErrorKind::Hung {
        after: patience,
        printed,
    };
    let (status, stderr) = match attempt(invocation, &["-accel", "qtest"], true, deadline)? {
        Attempt::Answered(facts) => return Ok(*facts),
        Attempt::Hung { printed } => return Err(hung(printed)),
        Attempt::Ended { .. } => {
            match attempt(invocation, &["-accel", "tcg", "-S"], false, deadline)? {
                Attempt::Answered(facts) => return Ok(*facts),
                Attempt::Hung { printed } => return Err(hung(printed)),
                Attempt::Ended { status, printed } => (status, printed),
            }
        }
    };
    // Whether it is one at all: it may be a QEMU that lacks a library, a module, or both
    // accelerators.
    let mut command = invocation.command();
    command.arg("--version");
    let mut process = start(invocation, command, &[])?;
    let ended = process.wait(deadline).is_some();
    let printed = process.stderr();
    if !ended {
        return Err(hung(abridged(&printed)));
    }
    Err(if printed.contains("QEMU emulator version") {
        FindErrorKind::Exited { status, stderr }
    } else {
        FindErrorKind::NotAQemu {
            printed: abridged(&printed),
        }
    })
}

enum Attempt {
    Answered(Box<Facts>),
    Ended { status: ExitStatus, printed: String },
    Hung { printed: String },
}

/// Starts the binary with an accelerator and without a machine, and asks it over QMP.
fn attempt(
    invocation: &Invocation,
    accel: &[&str],
    qtest_accel: bool,
    deadline: Instant,
) -> Result<Attempt, FindErrorKind> {
    let (ours, theirs) = UnixStream::pair().map_err(FindErrorKind::Io)?;
    let inherit = [OwnedFd::from(theirs)];
    let socket = format!("socket,id=qmp,fd={}", inherit[0].as_raw_fd());
    let mut command = invocation.command();
    // Each of these exists in 7.2 as in 11.1, where `-mon` is deprecated and its successor is one
    // of the things to find out.
    command
        .args(["-machine", "none", "-nodefaults", "-no-user-config"])
        .args(["-display", "none", "-chardev", &socket])
        .args(["-mon", "chardev=qmp,mode=control"])
        .args(accel);
    let mut process = start(invocation, command, &inherit)?;
    drop(inherit);
    let error = match converse(ours, qtest_accel, deadline) {
        Ok(facts) => {
            // It has nothing to save, and its own way out takes longer.
            process.kill();
            return Ok(Attempt::Answered(Box::new(facts)));
        }
        Err(error) => error,
    };
    let printed = || abridged(&process.stderr());
    match error.into_kind() {
        ErrorKind::TimedOut { .. } => Ok(Attempt::Hung { printed: printed() }),
        ErrorKind::Closed { .. } | ErrorKind::Io(_) | ErrorKind::NotQmp { .. } => {
            let soon = deadline.min(Instant::now() + FAREWELL);
            let status = process.wait(soon);
            let printed = abridged(&process.stderr());
            Ok(match status {
                Some(status) => Attempt::Ended { status, printed },
                None => Attempt::Hung { printed },
            })
        }
        other => Err(FindErrorKind::Answer(other.to_string())),
    }
}

fn start(
    invocation: &Invocation,
    command: Command,
    inherit: &[OwnedFd],
) -> Result<Process, FindErrorKind> {
    let how = Spawn {
        inherit,
        core: false,
    };
    Process::spawn(command, &how).map_err(|error| not_started(&invocation.program, error))
}

/// Names why the system would not start a file.
fn not_started(program: &Path, error: io::Error) -> FindErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound if !program.exists() => FindErrorKind::Missing,
        // A script whose interpreter is missing gives the same error as a missing file.
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
            FindErrorKind::NotExecutable(error)
        }
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            FindErrorKind::NotExecutable(error)
        }
        _ => FindErrorKind::Io(error),
    }
}

/// All that is asked.
fn converse(
    socket: UnixStream,
    qtest_accel: bool,
    deadline: Instant,
) -> Result<Facts, testjig_qmp::Error> {
    let mut qmp = Qmp::connect(socket, deadline)?;
    qmp.set_deadline(Some(deadline));
    let target = qmp.execute_raw("query-target", json!({}))?;
    let mut machines = BTreeSet::new();
    let mut ram_ids = BTreeMap::new();
    for machine in qmp.execute(&QueryMachines)? {
        for name in [Some(machine.name), machine.alias].into_iter().flatten() {
            if let Some(id) = &machine.default_ram_id {
                ram_ids.insert(name.clone(), id.clone());
            }
            machines.insert(name);
        }
    }
    let names = |types: Vec<ObjectType>| types.into_iter().map(|info| info.name);
    let devices = qmp.execute(&QomListTypes::implementing("device"))?;
    let objects = qmp.execute(&QomListTypes::implementing("user-creatable"))?;
    let objects: BTreeSet<String> = names(objects).collect();
    Ok(Facts {
        target: target["arch"]
            .as_str()
            .map_or_else(|| target.to_string(), str::to_owned),
        version: qmp.greeting().version.clone(),
        caps: Capabilities {
            clock: qtest_accel,
            running: qtest_accel,
            qtest_accel,
            monitor_qmp_object: objects.contains("monitor-qmp"),
            machines,
            ram_ids,
            devices: names(devices).collect(),
            objects,
        },
    })
}

/// The first lines of what a program printed, as one.
fn abridged(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().map(str::trim).take(3).collect();
    lines.join(" / ").chars().take(400).collect()
}
