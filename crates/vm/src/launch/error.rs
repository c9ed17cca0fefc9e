//! [`LaunchError`]: why a machine did not start, in QEMU's words and ours.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use super::Launch;
use crate::binary::Qemu;
use crate::embedded::Embedded;
use crate::process::{ExitReport, ExitStatus, Quoted};

/// Failure to start a machine.
#[derive(Debug)]
pub struct LaunchError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: LaunchErrorKind,
    machine: String,
    /// What is wrong, as a sentence without its end.
    problem: String,
    /// What to try, if something is known to help.
    advice: Option<String>,
    command_line: String,
    exit: Option<ExitReport>,
    stderr: String,
    source: Option<io::Error>,
}

/// The reason of a [`LaunchError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LaunchErrorKind {
    /// There is no such file.
    NotFound,
    /// The file can't be executed: no permission, a directory.
    NotExecutable,
    /// It is no QEMU: it can't be executed on this host, or does not speak qtest.
    NotAQemu,
    /// This QEMU has no such machine.
    UnknownMachine,
    /// This QEMU has no such device.
    UnknownDevice,
    /// This QEMU declines something else that the launch asks for.
    BadOption,
    /// The embedded machine does not have what the launch asks for.
    Unsupported,
    /// It ended before it answered, without a reason that is known here.
    ExitedAtOnce,
    /// A signal ended it before it answered.
    Crashed,
    /// It lives and had not answered at the deadline.
    TimedOut,
    /// The launch contradicts itself.
    Invalid,
    /// The host declined a descriptor, memory or a process.
    Host,
}

impl LaunchError {
    /// What kind of failure it is.
    pub fn kind(&self) -> LaunchErrorKind {
        self.0.kind
    }

    /// The machine that was asked for, as in `x86_64/pc`.
    pub fn machine(&self) -> &str {
        &self.0.machine
    }

    /// What QEMU wrote to stderr.
    pub fn stderr(&self) -> &str {
        &self.0.stderr
    }

    /// How QEMU ended, if it had begun and ended by itself.
    pub fn exit(&self) -> Option<&ExitReport> {
        self.0.exit.as_ref()
    }

    /// The command that was executed, quoted for a shell.
    pub fn command_line(&self) -> &str {
        &self.0.command_line
    }
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        write!(f, "failed to start {}: {}", inner.machine, inner.problem)?;
        if let Some(advice) = &inner.advice {
            write!(f, "; {advice}")?;
        }
        if !inner.stderr.trim().is_empty() {
            write!(f, "\n  {}", Quoted(&inner.stderr))?;
        }
        Ok(())
    }
}

impl std::error::Error for LaunchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|error| error as _)
    }
}

/// What all failures of one launch have in common.
pub(crate) struct Attempt<'a> {
    pub(crate) qemu: &'a Qemu,
    pub(crate) launch: &'a Launch,
    pub(crate) command_line: String,
}

impl Attempt<'_> {
    fn error(&self, kind: LaunchErrorKind, problem: String) -> Inner {
        Inner {
            kind,
            machine: self.launch.machine.id(),
            problem,
            advice: None,
            command_line: self.command_line.clone(),
            exit: None,
            stderr: String::new(),
            source: None,
        }
    }

    /// The launch names one thing twice, or is wrong in some other way that needs no QEMU to tell.
    pub(crate) fn invalid(&self, problem: String) -> LaunchError {
        LaunchError(Box::new(self.error(LaunchErrorKind::Invalid, problem)))
    }

    /// The host did not give what the machine needs.
    pub(crate) fn host(&self, what: &str, source: io::Error) -> LaunchError {
        let problem = format!("the host did not give it {what}: {source}");
        LaunchError(Box::new(Inner {
            source: Some(source),
            ..self.error(LaunchErrorKind::Host, problem)
        }))
    }

    /// The program could not be executed.
    pub(crate) fn not_executed(&self, source: io::Error) -> LaunchError {
        let program = self.qemu.program.display();
        let (kind, problem) = match source.kind() {
            io::ErrorKind::NotFound => (LaunchErrorKind::NotFound, "does not exist"),
            io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory => {
                (LaunchErrorKind::NotExecutable, "can't be executed")
            }
            // ENOEXEC has no kind of its own.
            _ if source.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => (
                LaunchErrorKind::NotAQemu,
                "is not a program of this machine",
            ),
            _ => (LaunchErrorKind::Host, "could not be started"),
        };
        let problem = format!("{program} {problem} ({source})");
        LaunchError(Box::new(Inner {
            source: Some(source),
            ..self.error(kind, problem)
        }))
    }

    /// It ended before it answered.
    pub(crate) fn ended(&self, exit: ExitReport) -> LaunchError {
        let (kind, problem) = self.diagnose(&exit);
        let advice = self.advice(kind);
        LaunchError(Box::new(Inner {
            advice,
            stderr: exit.stderr.clone(),
            exit: Some(exit),
            ..self.error(kind, problem)
        }))
    }

    /// It lives and says nothing.
    pub(crate) fn silent(&self, after: Duration, activity: &str, stderr: String) -> LaunchError {
        let problem = format!(
            "{} has not answered within {after:.1?} and {activity}",
            self.qemu.program.display()
        );
        LaunchError(Box::new(Inner {
            stderr,
            ..self.error(LaunchErrorKind::TimedOut, problem)
        }))
    }

    /// It lives and speaks something else than qtest.
    pub(crate) fn not_qtest(&self, error: &dyn fmt::Display, stderr: String) -> LaunchError {
        let problem = format!(
            "{} does not answer as a QEMU does: {error}",
            self.qemu.program.display()
        );
        LaunchError(Box::new(Inner {
            stderr,
            ..self.error(LaunchErrorKind::NotAQemu, problem)
        }))
    }

    /// The phrases are those of QEMU 7.2, 10.0 and 11.1, as they were seen.
    fn diagnose(&self, exit: &ExitReport) -> (LaunchErrorKind, String) {
        let name = &self.qemu.version;
        let status = exit.status;
        if matches!(status, ExitStatus::Signal { .. }) {
            return (
                LaunchErrorKind::Crashed,
                format!("QEMU {name} died before it answered: {status}"),
            );
        }
        if exit.stderr.contains("unsupported machine type") {
            return (
                LaunchErrorKind::UnknownMachine,
                format!(
                    "QEMU {name} has no machine \"{}\"",
                    self.launch.machine.name
                ),
            );
        }
        if let Some(device) = unknown_device(&exit.stderr) {
            return (
                LaunchErrorKind::UnknownDevice,
                format!("QEMU {name} has no device \"{device}\""),
            );
        }
        // What QEMU declines, it declines in its own name and with status 1.
        match refusal(&exit.stderr) {
            Some(words) if words.contains(Embedded::LACKS) => {
                (LaunchErrorKind::Unsupported, words.trim().to_owned())
            }
            Some(words) if status == ExitStatus::Exited(1) => (
                LaunchErrorKind::BadOption,
                format!("QEMU {name} declines: {}", words.trim()),
            ),
            // The C library hands what the kernel does not take for a program to a shell, which then fails.
            _ if !is_program(&self.qemu.program) => (
                LaunchErrorKind::NotAQemu,
                format!("{} is not a program", self.qemu.program.display()),
            ),
            _ => (
                LaunchErrorKind::ExitedAtOnce,
                format!(
                    "{} ended before it answered: {status}",
                    self.qemu.program.display()
                ),
            ),
        }
    }

    fn advice(&self, kind: LaunchErrorKind) -> Option<String> {
        match kind {
            LaunchErrorKind::UnknownMachine => {
                let near = near(self.launch.machine.name, &self.qemu.caps.machines);
                Some(match near {
                    Some(near) => format!("did you mean \"{near}\"? `-machine help` lists them"),
                    None => "`-machine help` lists those it has".into(),
                })
            }
            LaunchErrorKind::UnknownDevice => self
                .launch
                .devices
                .iter()
                .map(|device| device.driver.as_str())
                .find(|driver| !self.qemu.caps.devices.contains(*driver))
                .and_then(|driver| near(driver, &self.qemu.caps.devices))
                .map(|near| format!("did you mean \"{near}\"?")),
            LaunchErrorKind::ExitedAtOnce => Some("is it a QEMU?".into()),
            _ => None,
        }
    }
}

/// What QEMU says in its own name, last, and not as a warning.
fn refusal(stderr: &str) -> Option<&str> {
    stderr
        .lines()
        .filter_map(|line| line.strip_prefix("qemu")?.split_once(": "))
        .map(|(_, words)| words)
        .rfind(|words| !words.starts_with("GLib") && !words.contains("warning: "))
}

/// Whether a file begins as programs and scripts do; also if that can't be told.
fn is_program(path: &Path) -> bool {
    let mut beginning = [0; 4];
    match File::open(path).and_then(|mut file| file.read_exact(&mut beginning)) {
        Ok(()) => beginning == *b"\x7fELF" || beginning.starts_with(b"#!"),
        Err(error) => error.kind() != io::ErrorKind::UnexpectedEof,
    }
}

/// The device that a message of QEMU says it does not know.
fn unknown_device(stderr: &str) -> Option<&str> {
    let (before, _) = stderr.split_once("' is not a valid device model name")?;
    before.rsplit_once('\'').map(|(_, device)| device)
}

/// The known name that a mistyped one is most likely meant for.
fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a String>) -> Option<&'a str> {
    let tolerance = name.len().div_ceil(4).min(3);
    known
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate.as_str()))
        .filter(|(distance, _)| *distance <= tolerance)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions and replacements of bytes that make one name of the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unknown_device_is_the_one_in_quotes() {
        let stderr =
            "qemu-system-x86_64: -device e1001: 'e1001' is not a valid device model name\n";
        assert_eq!(unknown_device(stderr), Some("e1001"));
        assert_eq!(unknown_device("'e1001' is fine"), None);
    }

    #[test]
    fn a_refusal_is_no_warning_and_no_noise_of_a_library() {
        let stderr = "qemu-system-x86_64: warning: something\n\
                      qemu-system-x86_64: -accel kvn: invalid accelerator kvn\n\
                      qemu-system-x86_64: GLib: g_timer_elapsed: assertion failed\n";
        assert_eq!(refusal(stderr), Some("-accel kvn: invalid accelerator kvn"));
        assert_eq!(refusal("cat: unrecognized option\n"), None);
    }

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_is_not() {
        let known = ["virtio-blk-pci", "virtio-net-pci", "e1000", "pc", "q35"].map(String::from);
        assert_eq!(near("virtio-blkpci", &known), Some("virtio-blk-pci"));
        assert_eq!(near("e100", &known), Some("e1000"));
        assert_eq!(near("q36", &known), Some("q35"));
        assert_eq!(near("sparcstation", &known), None);
    }

    #[test]
    fn distance_counts_single_changes() {
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("abc", "axc"), 1);
        assert_eq!(distance("abc", "ab"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
