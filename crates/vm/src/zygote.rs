//! QEMUs that are loaded and wait before their `main`: [`spawn`] forks one instead of executing the program, where there is one.
//!
//! Half of the time of a start passes before `main`: some seventy libraries are loaded, linked and initialised, the same way each time.
//! So a thread that starts a program for the second time starts a *zygote* of it, of which all further ones are forked; they are told
//! what a program is told that is executed. `crates/preload` has the other side.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, sendmsg};
use rustix::process::{Pid, Signal, kill_process};

use crate::binary::Qemu;
use crate::launch::resources::Made;
use crate::preload::{self, wire};
use crate::process::{ExitStatus, Parent, Process, Spawn, readable};
use crate::stderr::Stderr;

/// How long a program may take to its `main`.
const LOAD_TIME: Duration = Duration::from_secs(10);
/// Room for the arguments of the children, which the host shows in place of the zygote's.
const SHOWN: usize = 8 << 10;

/// What is executed: as long as that is the same, so is what comes before `main`.
#[derive(PartialEq, Eq, Hash)]
struct Program {
    subject: PathBuf,
    executed: PathBuf,
    leading_args: Vec<OsString>,
    env: Vec<(String, OsString)>,
}

/// Which file a program is: device, inode, time of the last change in seconds and nanoseconds, size.
type Stamp = (u64, u64, i64, i64, u64);

enum State {
    /// It was executed once.
    Once,
    Ready(Rc<Zygote>),
    /// It can't be one.
    Never,
}

thread_local! {
    /// A process dies with the thread that started it, so each thread has its own.
    static ZYGOTES: RefCell<HashMap<Program, (Stamp, State)>> = RefCell::default();
}

impl Qemu {
    /// Starts a command that begins with [`command`](Self::command), as [`Process::spawn`] would: by executing it, or as a zygote's child.
    ///
    /// # Errors
    /// As of [`Process::spawn`].
    pub fn spawn(&self, command: Command, how: &Spawn<'_>) -> io::Result<Process> {
        match forked(self, &command, how) {
            Some(process) => Ok(process),
            None => Process::start(command, how, self.main()),
        }
    }

    /// Loads it ahead of need: what this thread [spawns](Self::spawn) of it is forked from the first time on. Where it can't be loaded so,
    /// it is executed when it is spawned.
    pub fn load_ahead(&self) {
        // The second time is when it pays by itself.
        for _ in 0..2 {
            drop(of(self));
        }
    }
}

/// The same, with the preload library in any case if that `is_needed`.
pub(crate) fn spawn(
    qemu: &Qemu,
    mut command: Command,
    made: &mut Made,
    is_needed: bool,
    core: bool,
) -> io::Result<Process> {
    let inherit = &made.inherit;
    if let Some(process) = forked(qemu, &command, &Spawn { inherit, core }) {
        return Ok(process);
    }
    if is_needed {
        preload::insert(&mut command, made)?;
    }
    let inherit = &made.inherit;
    Process::start(command, &Spawn { inherit, core }, qemu.main())
}

/// The command as a zygote's child; `None` where it is to be executed.
fn forked(qemu: &Qemu, command: &Command, how: &Spawn<'_>) -> Option<Process> {
    let arguments = command.get_args().skip(qemu.leading_args.len());
    // What it declines once it may take the next time: a directory that is gone, an environment of any size.
    of(qemu)?.start(arguments, command, how).ok()
}

/// The zygote of this program, if this is not the first time that the thread starts it and there can be one.
fn of(qemu: &Qemu) -> Option<Rc<Zygote>> {
    if qemu.is_embedded() || !preload::is_there() {
        return None;
    }
    let stamp = fs::metadata(qemu.binary()).ok()?;
    let stamp = (
        stamp.dev(),
        stamp.ino(),
        stamp.mtime(),
        stamp.mtime_nsec(),
        stamp.size(),
    );
    let program = Program {
        subject: qemu.binary().to_owned(),
        executed: qemu.program.clone(),
        leading_args: qemu.leading_args.clone(),
        env: qemu.env.clone(),
    };
    ZYGOTES.with_borrow_mut(|zygotes| {
        let entry = zygotes.entry(program);
        let mut is_new = false;
        let (known, state) = entry.or_insert_with(|| {
            is_new = true;
            (stamp, State::Once)
        });
        if *known != stamp {
            (*known, *state, is_new) = (stamp, State::Once, true);
        }
        if matches!(state, State::Once) && !is_new {
            let zygote = is_program(qemu).then(|| Zygote::begin(qemu).ok()).flatten();
            *state = zygote.map_or(State::Never, |zygote| State::Ready(Rc::new(zygote)));
        }
        let State::Ready(zygote) = state else {
            return None;
        };
        if zygote.is_lost.get() || zygote.process.borrow_mut().status().is_some() {
            *state = State::Never;
            return None;
        }
        Some(Rc::clone(zygote))
    })
}

/// Whether it is a program itself. A script may do what it wants before, and say it to the program in ways that are not seen here.
fn is_program(qemu: &Qemu) -> bool {
    let mut magic = [0; 4];
    File::open(&qemu.program).is_ok_and(|mut file| file.read_exact(&mut magic).is_ok())
        && magic == *b"\x7fELF"
}

/// The zygotes of this thread.
pub fn zygotes() -> Vec<Rc<Zygote>> {
    ZYGOTES.with_borrow(|zygotes| {
        let ready = zygotes.values().filter_map(|(_, state)| match state {
            State::Ready(zygote) => Some(Rc::clone(zygote)),
            State::Once | State::Never => None,
        });
        ready.collect()
    })
}

/// A QEMU that waits before its `main`, of which a thread has its machines forked from the second one on.
#[derive(Debug)]
pub struct Zygote {
    process: RefCell<Process>,
    control: OwnedFd,
    /// Whether it has owed an answer for too long: the next one that comes would be of another question.
    is_lost: Cell<bool>,
}

impl Zygote {
    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.process.borrow().pid()
    }

    /// The numbers of the processes that were forked from it, machines and templates, as long as nobody has taken their status.
    pub fn children(&self) -> Vec<u32> {
        let pid = self.pid();
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let list = list.unwrap_or_default();
        let numbers = list.split_ascii_whitespace();
        numbers.filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Ends one of its children, of which nobody here knows any more.
    pub fn end(&self, child: u32) {
        let child = i32::try_from(child).ok().and_then(Pid::from_raw);
        if let Some(child) = child.filter(|child| kill_process(*child, Signal::KILL).is_ok()) {
            self.reap(child);
        }
    }

    fn begin(qemu: &Qemu) -> io::Result<Self> {
        let mut made = Made::default();
        let mut command = qemu.command();
        // The program itself ignores the second, and ends.
        command.arg("--version").arg(" ".repeat(SHOWN));
        let control = preload::insert_zygote(&mut command, &mut made)?;
        let how = Spawn {
            inherit: &made.inherit,
            core: true,
        };
        let process = Process::spawn(command, &how)?;
        made.inherit.clear();
        let is_there = readable(&control, Instant::now() + LOAD_TIME)
            && recv(&control, &mut [0; 64], RecvFlags::empty()).is_ok_and(|(len, _)| len > 0);
        if !is_there {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Self {
            process: RefCell::new(process),
            control,
            is_lost: Cell::new(false),
        })
    }

    /// A child with these arguments, and what else the command and `how` say.
    fn start<'a>(
        self: &Rc<Self>,
        arguments: impl Iterator<Item = &'a OsStr>,
        command: &Command,
        how: &Spawn<'_>,
    ) -> io::Result<Process> {
        let (stderr, write_end) = Stderr::new()?;
        let mut fds: Vec<BorrowedFd<'_>> = vec![write_end.as_fd(); 2];
        let mut numbers = vec![1, 2];
        for fd in how.inherit {
            fds.push(fd.as_fd());
            numbers.push(fd.as_raw_fd());
        }

        let mut texts = Vec::new();
        let mut text = |parts: &[&OsStr]| {
            for part in parts {
                texts.extend_from_slice(part.as_bytes());
            }
            texts.push(0);
        };
        let mut directory = env::current_dir()?;
        directory.extend(command.get_current_dir());
        text(&[directory.as_os_str()]);
        let arguments = arguments.map(|argument| text(&[argument])).count();
        let mut variables: HashMap<OsString, OsString> = env::vars_os().collect();
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => variables.insert(name.to_owned(), value.to_owned()),
                None => variables.remove(name),
            };
        }
        for (name, value) in &variables {
            text(&[name, "=".as_ref(), value]);
        }
        let words = [
            wire::START,
            u64::from(how.core),
            numbers.len() as u64,
            arguments as u64,
            variables.len() as u64,
        ];
        let mut packet: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        packet.extend(numbers.iter().flat_map(|number| number.to_ne_bytes()));
        packet.extend(texts);

        let (pid, _) = self.ask(&packet, &fds)?;
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::InvalidData)?;
        let child = Process::adopt(pid, stderr, Rc::clone(self) as Rc<dyn Parent>);
        child.inspect_err(|_| self.end(pid.as_raw_nonzero().get().unsigned_abs()))
    }

    fn ask(&self, packet: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<(i64, i64)> {
        if self.is_lost.get() || fds.len() > wire::MOST {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(wire::MOST))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let packet = [IoSlice::new(packet)];
        sendmsg(&self.control, &packet, &mut ancillary, SendFlags::NOSIGNAL)?;
        if !readable(&self.control, Instant::now() + LOAD_TIME) {
            self.is_lost.set(true);
            return Err(io::ErrorKind::TimedOut.into());
        }
        wire::answer(&self.control)?.map_err(io::Error::other)
    }
}

impl Parent for Zygote {
    fn reap(&self, child: Pid) -> ExitStatus {
        let child = child.as_raw_nonzero().get().unsigned_abs();
        let words = [wire::WAIT, child.into(), 0, 0, 0];
        let packet: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.ask(&packet, &[])
            .map_or(ExitStatus::Unknown, wire::ended)
    }
}
