//! [`Template`]: a machine that is started once, and forked for each test.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::time::Instant;

use rustix::fs::{SeekFrom, fstat, major, minor, seek};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, sendmsg};
use rustix::process::Pid;
use testjig_qtest::{Command, Reply, Session};

use crate::binary::Qemu;
use crate::inside::{Body, Wire};
use crate::launch::error::Attempt;
use crate::launch::resources::{Made, Own};
use crate::launch::start::{
    DEATH_TIME, Monitor, Prepared, contradiction, first_answer, prepare, regions, shell_line,
};
use crate::launch::{Launch, LaunchError, LaunchOptions};
use crate::mapping::Mapping;
use crate::preload::{self, wire};
use crate::process::{ExitStatus, Parent, Process, readable};
use crate::stderr::Stderr;
use crate::vm::{Parts, Vm};
use crate::zygote;

/// A started machine that nobody uses: each [`fork`](Self::fork) is a machine like it, in the time of a fork instead of a start.
///
/// A fork is a process of its own with its own guest memory, images, sockets and stderr, as [`Qemu::launch`] would have made them; it
/// differs in nothing that a test can see. Forks live on when the template is dropped. All end with the thread that started the template.
///
/// What a fork can't have, the first one tells: [`ForkError`] says why, and that [`Qemu::launch`] is the way.
#[derive(Debug)]
pub struct Template(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    process: RefCell<Process>,
    session: RefCell<Session<Wire>>,
    control: OwnedFd,
    /// Whether the library works in this QEMU.
    is_served: bool,
    /// The files of the template, in the order in which they are made, then its stderr.
    files: Vec<Entry>,
    ram: Option<File>,
    /// Kept open: the machine would see the end of a socket.
    _ends: Vec<OwnedFd>,
    qemu: Qemu,
    launch: Launch,
    options: LaunchOptions,
    command_line: String,
}

/// One file of the template, as the library knows it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    device: u64,
    inode: u64,
    own: Own,
}

/// Why a machine can't be forked. It can be started.
#[derive(Debug)]
pub struct ForkError {
    reason: String,
    source: Option<io::Error>,
}

impl ForkError {
    fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            source: None,
        }
    }

    fn host(what: &str, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        Self {
            reason: format!("the host did not give it {what}: {source}"),
            source: Some(source),
        }
    }

    /// What stands in the way, in one line.
    pub fn reason(&self) -> &str {
        self.reason.lines().next().unwrap_or_default()
    }
}

impl fmt::Display for ForkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to fork a machine: {}", self.reason)
    }
}

impl std::error::Error for ForkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|error| error as _)
    }
}

impl Qemu {
    /// Starts a machine to be forked, and waits until it answers.
    ///
    /// # Errors
    /// As of [`launch`](Self::launch). Whether the machine can be forked is not known yet.
    pub fn template(
        &self,
        launch: &Launch,
        options: &LaunchOptions,
    ) -> Result<Template, LaunchError> {
        self.begin_template(launch, options)?.finish()
    }

    /// Begins to start a machine to be forked, and does not wait.
    ///
    /// # Errors
    /// If there is nothing to execute, the launch contradicts itself, or the host declines memory or descriptors.
    pub fn begin_template(
        &self,
        launch: &Launch,
        options: &LaunchOptions,
    ) -> Result<Nascent, LaunchError> {
        Nascent::begin(self, launch, options)
    }

    /// Why no machine of this QEMU can be forked; `None` if some can, as far as is known without trying.
    pub fn unforkable(&self) -> Option<&'static str> {
        if self.is_embedded() {
            Some("the embedded machine is started as quickly")
        } else if !preload::is_there() {
            Some("there is no preload library for this host")
        } else if !self.caps.qtest_accel {
            Some("this QEMU has no qtest accelerator, and keeps guest memory from forks")
        } else {
            None
        }
    }
}

/// A template that starts, ahead of need: [`Qemu::begin_template`]. It goes when it is dropped.
#[derive(Debug)]
pub struct Nascent {
    process: Process,
    control: OwnedFd,
    qtest: OwnedFd,
    files: Vec<Entry>,
    ram: Option<File>,
    ends: Vec<OwnedFd>,
    qemu: Qemu,
    launch: Launch,
    options: LaunchOptions,
    command_line: String,
}

impl Nascent {
    fn begin(qemu: &Qemu, launch: &Launch, options: &LaunchOptions) -> Result<Self, LaunchError> {
        let mut attempt = Attempt {
            qemu,
            launch,
            command_line: String::new(),
        };
        if let Some(problem) = contradiction(launch) {
            return Err(attempt.invalid(problem));
        }
        let mut made = Made::default();
        let prepared = prepare(qemu, launch, &mut made, Monitor::Later)
            .map_err(|error| attempt.host("what it needs", error))?;
        attempt.command_line = shell_line(&prepared.command);
        let Prepared {
            mut command,
            qtest,
            monitor,
        } = prepared;
        let control = preload::ask_for_forks(&mut command, &mut made, options)
            .map_err(|error| attempt.host("a preload library", error))?;
        let files: io::Result<Vec<Entry>> = made
            .inherit
            .iter()
            .zip(&made.own)
            .map(|(fd, own)| Entry::of(fd, *own))
            .collect();
        let mut files = files.map_err(|error| attempt.host("its files", error))?;

        let process = zygote::spawn(qemu, command, &mut made, true, options.core)
            .map_err(|error| attempt.not_executed(error))?;
        made.inherit.clear();
        let stderr = Entry::of(process.stderr_pipe(), Own::File)
            .map_err(|error| attempt.host("its files", error))?;
        files.push(stderr);
        let mut ends: Vec<OwnedFd> = made.channels.into_iter().map(|(_, fd, _)| fd).collect();
        ends.push(monitor);
        let end = qtest
            .try_clone()
            .map_err(|error| attempt.host("a descriptor", error))?;
        ends.push(end);
        Ok(Self {
            process,
            control,
            qtest,
            files,
            ram: made.ram.map(|(fd, _)| fd.into()),
            ends,
            qemu: qemu.clone(),
            launch: launch.clone(),
            options: options.clone(),
            command_line: attempt.command_line,
        })
    }

    /// What its machines will be made from.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// The template's process number.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Waits until it answers; the deadline of its options begins now.
    ///
    /// # Errors
    /// As of [`Qemu::launch`].
    pub fn finish(self) -> Result<Template, LaunchError> {
        let mut process = self.process;
        let attempt = Attempt {
            qemu: &self.qemu,
            launch: &self.launch,
            command_line: self.command_line,
        };
        let (begin, within) = (Instant::now(), self.options.deadline);
        let session = first_answer(&attempt, self.qtest, &mut process, begin, within)?;
        // The library says so before QEMU begins, or never.
        let is_served = readable(&self.control, Instant::now())
            && recv(&self.control, &mut [0; 64], RecvFlags::empty()).is_ok_and(|(len, _)| len > 0);
        let command_line = attempt.command_line;
        Ok(Template(Rc::new(Inner {
            process: process.into(),
            session: session.into(),
            control: self.control,
            is_served,
            files: self.files,
            ram: self.ram,
            _ends: self.ends,
            qemu: self.qemu,
            launch: self.launch,
            options: self.options,
            command_line,
        })))
    }
}

impl Template {
    /// What its machines are made from.
    pub fn launch(&self) -> &Launch {
        &self.0.launch
    }

    /// The template's process number.
    pub fn pid(&self) -> u32 {
        self.0.process.borrow().pid()
    }

    /// Has all its machines begin where these commands have been carried out, refused ones too. To be called before the first
    /// [`fork`](Self::fork); none of them moves the clock.
    ///
    /// # Errors
    /// If it ends, or does not answer.
    pub fn prepare(&self, commands: &[Command]) -> Result<Vec<Reply>, testjig_qtest::Error> {
        let mut session = self.0.session.borrow_mut();
        session.set_deadline(None);
        session.run_each(commands)
    }

    /// A machine like this one, which answers already. With `clock_forbidden`, its launch is [so](Launch::forbid_clock).
    ///
    /// # Errors
    /// If the template declines, since its machine has what forks would share or lose; if it or the fork ends, or is silent until the
    /// deadline; and if the host declines memory or descriptors.
    pub fn fork(&self, clock_forbidden: bool) -> Result<Vm, ForkError> {
        self.fork_with(clock_forbidden, true)
    }

    /// As [`fork`](Self::fork), for one who sends much at once and does not use the monitor: the machine is there sooner, and its replies
    /// travel together, so that of one that ends some may be missing. Whatever needs a monitor ([`Vm::qmp`], [`Vm::hmp`], [`Vm::reset`])
    /// unwinds.
    ///
    /// # Errors
    /// As of [`fork`](Self::fork).
    pub fn fork_bare(&self) -> Result<Vm, ForkError> {
        self.fork_with(false, false)
    }

    fn fork_with(&self, clock_forbidden: bool, has_monitor: bool) -> Result<Vm, ForkError> {
        let inner = &self.0;
        if !inner.is_served {
            return Err(ForkError::new(
                "the preload library finds nothing in this QEMU that it could use",
            ));
        }
        let begin = Instant::now();
        let launch = inner.launch.clone().with_clock_forbidden(clock_forbidden);
        let mut made = Made::default();
        let Prepared { qtest, monitor, .. } =
            prepare(&inner.qemu, &launch, &mut made, Monitor::Later)
                .map_err(|error| ForkError::host("what it needs", error))?;
        let mapping = match (&inner.ram, made.ram.take()) {
            (Some(template), Some((file, size))) => {
                let file = File::from(file);
                copy(template, &file).map_err(|error| ForkError::host("its memory", error))?;
                let mapping = Mapping::new(file.into(), size);
                Some(mapping.map_err(|error| ForkError::host("its memory", error))?)
            }
            _ => None,
        };
        let (stderr, write_end) =
            Stderr::new().map_err(|error| ForkError::host("a pipe", error))?;
        stderr.begin_with(&inner.process.borrow().stderr());

        let mut fds: Vec<BorrowedFd<'_>> = Vec::new();
        for (fd, own) in made.inherit.iter().zip(&made.own) {
            if *own != Own::Nothing {
                fds.push(fd.as_fd());
            }
        }
        fds.push(write_end.as_fd());
        let monitor_kind = if !has_monitor {
            wire::MONITOR_NONE | wire::TOGETHER
        } else if inner.qemu.caps.monitor_qmp_object {
            wire::MONITOR_OBJECT
        } else {
            wire::MONITOR_CALL
        };
        let (pid, _) = inner.ask(wire::FORK, monitor_kind, &inner.files, &fds)?;
        drop(fds);
        made.inherit.clear();
        drop(write_end);

        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| ForkError::new("the template's answer makes no sense"))?;
        let parent = Rc::clone(inner) as Rc<dyn Parent>;
        let mut process = Process::adopt(pid, stderr, parent)
            .map_err(|error| ForkError::host("a descriptor", error))?;
        let attempt = Attempt {
            qemu: &inner.qemu,
            launch: &launch,
            command_line: inner.command_line.clone(),
        };
        let session = first_answer(&attempt, qtest, &mut process, begin, inner.options.deadline)
            .map_err(|error| ForkError::new(error.to_string()))?;
        let regions = regions(&launch);
        Ok(Vm::new(Parts {
            body: Body::Process(process),
            session,
            monitor,
            has_monitor,
            mapping,
            regions,
            disks: made.disks,
            channels: made.channels,
            qemu: inner.qemu.clone(),
            launch,
            command_line: inner.command_line.clone(),
        }))
    }
}

impl Entry {
    fn of(fd: impl AsFd, own: Own) -> io::Result<Self> {
        let stat = fstat(fd)?;
        Ok(Self {
            device: u64::from(major(stat.st_dev)) << 32 | u64::from(minor(stat.st_dev)),
            inode: stat.st_ino,
            own,
        })
    }

    fn words(self) -> [u64; 3] {
        let what = match self.own {
            Own::File => wire::REPLACED,
            Own::Memory => wire::MAPPED,
            Own::Nothing => wire::SHARED,
        };
        [self.device, self.inode, what]
    }
}

impl Inner {
    /// Asks the library, and waits for its answer: two numbers.
    fn ask(
        &self,
        what: u64,
        argument: u64,
        files: &[Entry],
        fds: &[BorrowedFd<'_>],
    ) -> Result<(i64, i64), ForkError> {
        if files.len() > wire::MOST {
            return Err(ForkError::new("it has too many files"));
        }
        let mut words = vec![what, argument, files.len() as u64];
        words.extend(files.iter().flat_map(|entry| entry.words()));
        let packet: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(wire::MOST))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(ForkError::new("it has too many files"));
        }
        sendmsg(
            &self.control,
            &[IoSlice::new(&packet)],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        )
        .map_err(|error| self.gone(error))?;
        if !readable(&self.control, Instant::now() + self.options.deadline) {
            return Err(ForkError::new(format!(
                "its template {}",
                self.process.borrow_mut().activity()
            )));
        }
        wire::answer(&self.control)
            .map_err(|error| self.gone(error))?
            .map_err(ForkError::new)
    }

    /// The template does not listen: it is dead, or never had the library.
    fn gone(&self, error: Errno) -> ForkError {
        let process = &mut *self.process.borrow_mut();
        // Its sockets close before it is gone.
        match process.wait(Instant::now() + DEATH_TIME) {
            Some(status) => ForkError::new(format!("its template has ended with {status}")),
            None => ForkError::host("an answer of the template", error),
        }
    }
}

impl Parent for Inner {
    fn reap(&self, child: Pid) -> ExitStatus {
        let pid = child.as_raw_nonzero().get().unsigned_abs();
        self.ask(wire::WAIT, pid.into(), &[], &[])
            .map_or(ExitStatus::Unknown, wire::ended)
    }
}

/// Copies what is in a file in memory to another of the same size, which is empty.
fn copy(from: &File, to: &File) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut position = 0;
    loop {
        let begin = match seek(from, SeekFrom::Data(position)) {
            Ok(begin) => begin,
            Err(Errno::NXIO) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let end = seek(from, SeekFrom::Hole(begin))?;
        position = begin;
        while position < end {
            let room = usize::try_from(end - position).unwrap_or(usize::MAX);
            let room = room.min(buffer.len());
            let part = &mut buffer[..room];
            from.read_exact_at(part, position)?;
            to.write_all_at(part, position)?;
            position += room as u64;
        }
    }
}
