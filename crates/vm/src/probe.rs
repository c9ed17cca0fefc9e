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
use testjig_qmp::commands::{DeviceListProperties, ObjectType, QomListTypes, QueryMachines};
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
    if cache.is_remembered_only() {
        return Err(FindError::of(&invocation.subject, FindErrorKind::NotProbed));
    }
    let facts =
        ask(invocation, PATIENCE).map_err(|kind| FindError::of(&invocation.subject, kind))?;
    memory.keep(&facts);
    Ok(facts)
}

/// The properties of these device types, by type: as remembered, the others by asking. One that can't be had is left out.
pub(crate) fn properties(
    invocation: &Invocation,
    devices: &BTreeSet<String>,
    cache: &Cache,
) -> BTreeMap<String, BTreeSet<String>> {
    let memory = memory::Memory::of(invocation, cache);
    let mut known = memory.recall_properties();
    let unknown: Vec<&String> = devices
        .iter()
        .filter(|device| !known.contains_key(*device))
        .collect();
    if !unknown.is_empty() && !cache.is_remembered_only() {
        // What a QEMU does not tell is not known: its launch will say whether the property is there.
        if let Ok(told) = ask_properties(invocation, &unknown, Instant::now() + PATIENCE) {
            known.extend(told);
            memory.keep_properties(&known);
        }
    }
    known.retain(|device, _| devices.contains(device));
    known
}

/// Starts the binary once without a machine and asks for the properties of each of these types.
fn ask_properties(
    invocation: &Invocation,
    devices: &[&String],
    deadline: Instant,
) -> Result<BTreeMap<String, BTreeSet<String>>, FindErrorKind> {
    // Properties do not depend on the accelerator, and this one is in every QEMU that emulates.
    let (mut process, ours) = without_machine(invocation, &["-accel", "tcg", "-S"])?;
    let answer = |error: testjig_qmp::Error| FindErrorKind::Answer(error.to_string());
    let mut qmp = Qmp::connect(ours, deadline).map_err(answer)?;
    qmp.set_deadline(Some(deadline));
    let mut properties = BTreeMap::new();
    for &device in devices {
        if let Ok(told) = qmp.execute(&DeviceListProperties::of(device.as_str())) {
            let names = told.into_iter().map(|property| property.name).collect();
            properties.insert(device.clone(), names);
        }
    }
    process.kill();
    Ok(properties)
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
    let (mut process, ours) = without_machine(invocation, accel)?;
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

/// Starts the binary with an accelerator and without a machine; the other end of the socket is its monitor.
fn without_machine(
    invocation: &Invocation,
    accel: &[&str],
) -> Result<(Process, UnixStream), FindErrorKind> {
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
    let process = start(invocation, command, &inherit)?;
    Ok((process, ours))
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
            properties: BTreeMap::new(),
        },
    })
}

/// The first lines of what a program printed, as one, without what a terminal would obey.
fn abridged(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().map(str::trim).take(3).collect();
    let plain = |letter: &char| !letter.is_control();
    lines.join(" / ").chars().filter(plain).take(400).collect()
}

#[cfg(test)]
pub(crate) mod fake;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use rustix::io::Errno;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    use tempfile::TempDir;

    use super::fake::{FakeQemu, program};
    use super::*;
    use crate::process::readable;

    fn invocation(program: &Path) -> Invocation {
        Invocation {
            subject: program.to_owned(),
            program: program.to_owned(),
            leading_args: Vec::new(),
            env: Vec::new(),
        }
    }

    fn script(text: &str) -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("qemu-system-x86_64");
        program(&path, text);
        (directory, path)
    }

    fn asked(program: &Path) -> Result<Facts, FindErrorKind> {
        ask(&invocation(program), Duration::from_secs(10))
    }

    /// What is said of a program that is none, and that it is said at once.
    fn refusal(program: &Path) -> FindErrorKind {
        let begin = Instant::now();
        let error = asked(program).expect_err("it is no QEMU");
        let took = begin.elapsed();
        // A second is what is promised; half the patience tells even a busy machine from a hang.
        assert!(took < Duration::from_secs(5), "{took:?}");
        error
    }

    #[test]
    fn a_qemu_says_what_it_is_and_has() {
        let (_directory, path) = script(&FakeQemu::default().script());
        let facts = asked(&path).expect("answers");
        assert_eq!(facts.target, "x86_64");
        assert_eq!(facts.version.to_string(), "11.0.0 (fake)");
        let caps = facts.caps;
        assert!(caps.clock && caps.running && caps.qtest_accel && caps.monitor_qmp_object);
        let machines: Vec<&str> = caps.machines.iter().map(String::as_str).collect();
        assert_eq!(machines, ["none", "pc", "pc-1"]);
        assert_eq!(caps.ram_ids["pc"], "pc.ram");
        assert_eq!(caps.ram_ids["pc-1"], "pc.ram");
        assert!(!caps.ram_ids.contains_key("none"));
        assert!(caps.devices.contains("edu"));
    }

    #[test]
    fn without_the_accelerator_there_is_neither_clock_nor_running() {
        let fake = FakeQemu {
            qtest_accel: false,
            ..FakeQemu::default()
        };
        let (_directory, path) = script(&fake.script());
        let caps = asked(&path).expect("answers").caps;
        assert!(!caps.clock && !caps.running && !caps.qtest_accel);
        assert!(caps.machines.contains("pc"));
    }

    #[test]
    fn a_missing_file_is_missing() {
        let path = Path::new("/nonexistent/qemu-system-x86_64");
        assert!(matches!(refusal(path), FindErrorKind::Missing));
    }

    #[test]
    fn what_cannot_be_executed_is_told_from_what_is_missing() {
        let (_directory, path) = script("#!/nonexistent/interpreter\n");
        assert!(matches!(refusal(&path), FindErrorKind::NotExecutable(_)));

        let plain = path.with_extension("txt");
        fs::write(&plain, "not marked executable").expect("a writable directory");
        assert!(matches!(refusal(&plain), FindErrorKind::NotExecutable(_)));
    }

    #[test]
    fn of_what_is_no_qemu_its_own_words_are_quoted() {
        let (_directory, path) =
            script("#!/bin/sh\nprintf 'frobnicator\\033[2J 1.2\\n'\necho sorry >&2\n");
        match refusal(&path) {
            FindErrorKind::NotAQemu { printed } => {
                assert_eq!(printed, "frobnicator[2J 1.2 / sorry");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn of_a_qemu_that_exits_at_once_status_and_stderr_are_told() {
        let text = "#!/bin/sh\ncase $1 in --version) echo QEMU emulator version 9.9.9;; \
                    *) echo no room for this >&2; exit 3;; esac\n";
        let (_directory, path) = script(text);
        match refusal(&path) {
            FindErrorKind::Exited { status, stderr } => {
                assert_eq!(status, ExitStatus::Exited(3));
                assert_eq!(stderr, "no room for this");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_hangs_is_killed_at_the_deadline_with_its_children() {
        let text = "#!/bin/sh\necho $$ > \"$0.pids\"\nsleep 1000 &\necho $! >> \"$0.pids\"\n\
                    echo thinking\nwait\n";
        let (_directory, path) = script(text);
        let patience = Duration::from_millis(700);
        let begin = Instant::now();
        let error = ask(&invocation(&path), patience).expect_err("it never answers");
        let took = begin.elapsed();
        assert!(took >= patience && took < 10 * patience, "{took:?}");
        match error {
            FindErrorKind::Hung { after, printed } => {
                assert_eq!(after, patience);
                assert_eq!(printed, "thinking");
            }
            other => panic!("{other:?}"),
        }
        let pids = fs::read_to_string(path.with_extension("pids")).expect("it came that far");
        assert_eq!(pids.lines().count(), 2);
        for pid in pids.lines() {
            let pid = pid.parse().ok().and_then(Pid::from_raw).expect("a number");
            // It was killed; its end may take a moment, and whoever reaps it, another.
            let gone = match pidfd_open(pid, PidfdFlags::empty()) {
                Ok(pidfd) => readable(&pidfd, Instant::now() + Duration::from_secs(10)),
                Err(error) => error == Errno::SRCH,
            };
            assert!(gone, "{pid:?} is alive");
        }
    }

    #[test]
    fn nonsense_in_place_of_qmp_is_no_qemu() {
        let text = "#!/usr/bin/env bash\n[[ \"$*\" =~ fd=([0-9]+) ]] && echo hello >&\"${BASH_REMATCH[1]}\"\n";
        let (_directory, path) = script(text);
        assert!(matches!(refusal(&path), FindErrorKind::NotAQemu { .. }));
    }

    #[test]
    fn an_answer_that_does_not_fit_is_told() {
        let script_text = FakeQemu::default()
            .script()
            .replace("[{\"name\": \"edu\"}]", "7");
        let (_directory, path) = script(&script_text);
        match refusal(&path) {
            FindErrorKind::Answer(text) => assert!(text.contains("does not fit"), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}
