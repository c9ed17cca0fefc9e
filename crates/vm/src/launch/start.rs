//! Starting a [`Launch`]: [`Qemu::launch`].

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::net::SocketType;
use testjig_qtest::{ErrorKind, Session, Socket};

use super::error::Attempt;
use super::resources::Made;
use super::{Launch, LaunchError, arguments};
use crate::binary::Qemu;
use crate::blocks::Blocks;
use crate::inside::{Body, DECLINED, Here, Wire};
use crate::machine::{RamBackend, RamRegion};
use crate::preload;
use crate::process::{ExitReport, Process};
use crate::vm::{Parts, Vm};
use crate::zygote;

/// How long a VMM that has closed its sockets may take to be gone.
pub(crate) const DEATH_TIME: Duration = Duration::from_secs(1);

/// How to start a machine; nothing that the machine itself can see.
#[derive(Clone, Debug)]
pub struct LaunchOptions {
    pub(crate) deadline: Duration,
    pub(crate) core: bool,
    pub(crate) blocks: Option<Blocks>,
    pub(crate) frames: bool,
}

impl Default for LaunchOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(20),
            core: false,
            blocks: None,
            frames: false,
        }
    }
}

impl LaunchOptions {
    /// How long the machine may take until it answers; 20 s unless set.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Lets the kernel write a core of a VMM that crashes, if the user's limits do.
    #[must_use]
    pub fn core(mut self, core: bool) -> Self {
        self.core = core;
        self
    }

    /// Has a machine that crashes write to its standard error where: for each frame of its stack a line `testjig: frame`, the module,
    /// its build id, the place in it, and the exported symbol there if there is one. Where the preload library is not there for this
    /// host, nothing is written.
    #[must_use]
    pub fn frames(mut self, frames: bool) -> Self {
        self.frames = frames;
        self
    }

    /// Notes there which basic blocks the machine reaches once it is built, and what is forked from it.
    #[must_use]
    pub fn blocks(mut self, blocks: &Blocks) -> Self {
        self.blocks = Some(blocks.clone());
        self
    }
}

impl Qemu {
    /// Starts a machine and waits until it answers.
    ///
    /// The machine ends with the calling thread, at the latest.
    ///
    /// # Errors
    ///
    /// If there is nothing to execute, if what there is declines the launch, ends, is silent until the deadline, or is no
    /// QEMU; and if the host declines memory or descriptors.
    pub fn launch(&self, launch: &Launch, options: &LaunchOptions) -> Result<Vm, LaunchError> {
        let begin = Instant::now();
        let mut attempt = Attempt {
            qemu: self,
            launch,
            command_line: String::new(),
        };
        if let Some(problem) = contradiction(launch) {
            return Err(attempt.invalid(problem));
        }

        let mut made = Made::default();
        let prepared = prepare(self, launch, &mut made, Monitor::FromTheStart)
            .map_err(|error| attempt.host("what it needs", error))?;
        attempt.command_line = shell_line(&prepared.command);
        let mut command = prepared.command;
        let is_needed = options.blocks.is_some() || options.frames && preload::is_there();
        if is_needed {
            preload::ask(&mut command, &mut made, options)
                .map_err(|error| attempt.host("a file of blocks", error))?;
        }

        let mut process = zygote::spawn(self, command, &mut made, is_needed, options.core)
            .map_err(|error| attempt.not_executed(error))?;
        // The child has them now. Kept open here, its end of the sockets would outlive it.
        made.inherit.clear();

        // While it starts, the memory.
        let mapping = made
            .mapping()
            .map_err(|error| attempt.host("a mapping of the guest's memory", error))?;

        let session = first_answer(
            &attempt,
            prepared.qtest,
            &mut process,
            begin,
            options.deadline,
        )?;
        let regions = regions(launch);
        Ok(Vm::new(Parts {
            has_monitor: true,
            body: Body::Process(process),
            session,
            monitor: prepared.monitor,
            mapping,
            regions,
            disks: made.disks,
            channels: made.channels,
            qemu: self.clone(),
            launch: launch.clone(),
            command_line: attempt.command_line,
        }))
    }
}

impl Qemu {
    /// Whether machines of this VMM can be in the thread that uses them.
    pub fn is_here(&self) -> bool {
        self.make().is_some()
    }

    /// Makes a machine in this thread: without a process and without a socket between test and machine, so nothing is between them
    /// either when the machine crashes, and one that hangs hangs its thread. Its process is this one.
    ///
    /// # Errors
    ///
    /// As of [`launch`](Self::launch); and if machines of this VMM [can't be](Self::is_here) in a thread.
    pub fn launch_here(&self, launch: &Launch) -> Result<Vm, LaunchError> {
        let mut attempt = Attempt {
            qemu: self,
            launch,
            command_line: String::new(),
        };
        if let Some(problem) = contradiction(launch) {
            return Err(attempt.invalid(problem));
        }
        let Some(build) = self.make() else {
            return Err(attempt.invalid("a machine of this VMM needs a process".to_owned()));
        };
        let mut made = Made::default();
        let prepared = prepare(self, launch, &mut made, Monitor::FromTheStart)
            .map_err(|error| attempt.host("what it needs", error))?;
        attempt.command_line = shell_line(&prepared.command);
        let words = prepared.command.get_args();
        let words: Vec<String> = words
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let machine = build(&words).map_err(|message| {
            attempt.ended(ExitReport {
                status: DECLINED,
                forced: false,
                stderr: message,
            })
        })?;
        // It has duplicates of them.
        made.inherit.clear();
        let mapping = made
            .mapping()
            .map_err(|error| attempt.host("a mapping of the guest's memory", error))?;
        let here = Here::new(machine);
        Ok(Vm::new(Parts {
            has_monitor: true,
            session: Session::new(Wire::here(here.clone())),
            body: Body::Here(here),
            monitor: prepared.monitor,
            mapping,
            regions: regions(launch),
            disks: made.disks,
            channels: made.channels,
            qemu: self.clone(),
            launch: launch.clone(),
            command_line: attempt.command_line,
        }))
    }
}

/// Waits until a started machine answers for the first time.
pub(crate) fn first_answer(
    attempt: &Attempt<'_>,
    qtest: OwnedFd,
    process: &mut Process,
    begin: Instant,
    within: Duration,
) -> Result<Session<Wire>, LaunchError> {
    let mut session = Session::new(Wire::socket(Socket::from(qtest)));
    session.set_timeout(within);
    session.set_deadline(Some(begin + within));
    let Err(error) = session.endianness() else {
        return Ok(session);
    };
    let end = match error.kind() {
        ErrorKind::Closed { .. } | ErrorKind::Io(_) => Instant::now() + DEATH_TIME,
        _ => Instant::now(),
    };
    Err(match process.wait(end) {
        Some(_) => attempt.ended(process.report(false)),
        None if matches!(error.kind(), ErrorKind::TimedOut { .. }) => {
            let activity = process.activity();
            attempt.silent(begin.elapsed(), &activity, process.stderr())
        }
        None => attempt.not_qtest(&error, process.stderr()),
    })
}

/// Where the machine's RAM is, as far as it is reached through a mapping or the wire.
pub(crate) fn regions(launch: &Launch) -> Vec<RamRegion> {
    match launch.machine.ram_backend {
        RamBackend::None => Vec::new(),
        _ => (launch.machine.ram)(launch.memory),
    }
}

/// A command with its sockets.
pub(crate) struct Prepared {
    pub(crate) command: Command,
    pub(crate) qtest: OwnedFd,
    pub(crate) monitor: OwnedFd,
}

/// When a machine gets its monitor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Monitor {
    FromTheStart,
    /// Forked machines make their own; only the socket is there.
    Later,
}

/// Makes what the machine needs, the same things in the same order each time.
pub(crate) fn prepare(
    qemu: &Qemu,
    launch: &Launch,
    made: &mut Made,
    with: Monitor,
) -> std::io::Result<Prepared> {
    let (qtest, qtest_fd) = made.socket(SocketType::STREAM)?;
    let (monitor, monitor_fd) = made.socket(SocketType::STREAM)?;
    let mut command = qemu.command();
    command.args(arguments(launch, ram_backend(qemu, launch), made)?);
    // QEMU 7.2 looks for the character device by this name, whatever the option says.
    command.args(["-chardev", &format!("socket,id=qtest,fd={qtest_fd}")]);
    command.args(["-qtest", "chardev:qtest", "-qtest-log", "none"]);
    command.args([
        "-chardev",
        &format!("socket,id=testjig-qmp,fd={monitor_fd}"),
    ]);
    if with == Monitor::Later {
    } else if qemu.caps.monitor_qmp_object {
        command.args([
            "-object",
            "monitor-qmp,id=testjig-monitor,chardev=testjig-qmp",
        ]);
    } else {
        command.args(["-mon", "chardev=testjig-qmp,mode=control"]);
    }
    if qemu.caps.qtest_accel {
        command.args(["-accel", "qtest"]);
    } else {
        command.args(["-accel", "tcg", "-S"]);
    }
    Ok(Prepared {
        command,
        qtest,
        monitor,
    })
}

/// How the machine gets its RAM: from here, if its type does that and this QEMU's machine does too.
fn ram_backend(qemu: &Qemu, launch: &Launch) -> RamBackend {
    let machine = launch.machine;
    let is_known = qemu.caps.machines.contains(machine.name);
    match machine.ram_backend {
        RamBackend::Memfd if is_known && !qemu.caps.ram_ids.contains_key(machine.name) => {
            RamBackend::Wire
        }
        backend => backend,
    }
}

/// What can be told to be wrong without asking QEMU, and would be told less clearly by it.
pub(crate) fn contradiction(launch: &Launch) -> Option<String> {
    let drives = launch.drives.iter().map(|drive| ("drive", &drive.id));
    let netdevs = launch.netdevs.iter().map(|netdev| ("netdev", &netdev.id));
    let chardevs = launch
        .chardevs
        .iter()
        .map(|chardev| ("chardev", &chardev.id));
    let mut seen: Vec<(&str, &String)> = Vec::new();
    for (what, id) in drives.chain(netdevs).chain(chardevs) {
        // Network and character devices share the namespace of `Vm::channel`.
        if let Some((other, _)) = seen.iter().find(|(_, known)| *known == id) {
            return Some(format!(
                "the launch has a {other} \"{id}\" and a {what} \"{id}\""
            ));
        }
        seen.push((what, id));
    }
    None
}

/// The command as a shell would take it.
pub(crate) fn shell_line(command: &Command) -> String {
    let mut line = String::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            let _ = write!(line, "{}={} ", name.to_string_lossy(), quoted(value));
        }
    }
    line += &quoted(command.get_program());
    for word in command.get_args() {
        line.push(' ');
        line += &quoted(word);
    }
    line
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+.,/:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::{Drive, Image, Netdev};
    use crate::machine;

    #[test]
    fn an_id_that_is_there_twice_is_a_contradiction() {
        let launch = Launch::new(&machine::PC)
            .drive(Drive::new("x", Image::zeroed(512)))
            .netdev(Netdev::packets("x"));
        let problem = contradiction(&launch).unwrap();
        assert!(
            problem.contains("drive \"x\"") && problem.contains("netdev \"x\""),
            "{problem}"
        );
        assert_eq!(contradiction(&Launch::new(&machine::PC)), None);
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        let mut command = Command::new("/usr/bin/qemu");
        command.args([
            "-m",
            "size=1B",
            "-fw_cfg",
            "name=opt/a,string=it's here",
            "",
        ]);
        command.env("DIR", "/a b");
        assert_eq!(
            shell_line(&command),
            r"DIR='/a b' /usr/bin/qemu -m size=1B -fw_cfg 'name=opt/a,string=it'\''s here' ''"
        );
    }
}
