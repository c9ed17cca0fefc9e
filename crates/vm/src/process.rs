//! [`Process`]: a child that can't outlive the test, and how it ended.

mod child;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, getpid, kill_process_group,
    pidfd_open, pidfd_send_signal, waitid,
};
use serde::{Deserialize, Serialize};

use crate::stderr::Stderr;
use child::{become_main, prepare};

/// How long the kernel may take to end a process that was killed. It is not a matter of the process any more.
const KILL_TIME: Duration = Duration::from_secs(10);

/// What a program does with its arguments, and its exit status.
pub type Main = fn(&[String]) -> u8;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ExitStatus {
    /// It ended by itself with this status, 0 to 255.
    Exited(i32),
    /// A signal ended it.
    Signal {
        /// The signal's number.
        signal: i32,
        /// Whether the kernel wrote a core.
        core: bool,
    },
    /// Somebody else took the status: the process is gone, and nobody knows how.
    Unknown,
}

impl ExitStatus {
    /// Whether it ended by itself with status 0.
    pub fn success(&self) -> bool {
        *self == Self::Exited(0)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(status) => write!(f, "exit status {status}"),
            Self::Signal { signal, core } => {
                write!(f, "signal {signal}")?;
                if let Some(name) = signal_name(signal) {
                    write!(f, " ({name})")?;
                }
                f.write_str(if core { ", core dumped" } else { "" })
            }
            Self::Unknown => f.write_str("an exit status that something else took"),
        }
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    let names = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::XFSZ, "SIGXFSZ"),
        (Signal::SYS, "SIGSYS"),
    ];
    names
        .iter()
        .find(|(known, _)| known.as_raw() == signal)
        .map(|(_, name)| *name)
}

/// A VMM's end, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitReport {
    /// How it ended.
    pub status: ExitStatus,
    /// Whether it had to be killed because it did not end when asked.
    pub forced: bool,
    /// What it wrote to stderr: its beginning and its end, if it was much.
    pub stderr: String,
}

impl ExitReport {
    /// Whether it ended by itself, when asked, with status 0.
    pub fn is_clean(&self) -> bool {
        self.status.success() && !self.forced
    }

    /// Whether it was asked to end, did not, and had to be killed.
    pub fn was_killed(&self) -> bool {
        self.forced
    }
}

impl fmt::Display for ExitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.forced {
            f.write_str("did not end when asked and was killed")?;
        } else {
            write!(f, "{}", self.status)?;
        }
        write!(f, "; {}", Quoted(&self.stderr))
    }
}

/// stderr in a sentence: its last lines.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LINES: usize = 12;
        let lines: Vec<&str> = self
            .0
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        if lines.is_empty() {
            return f.write_str("its stderr is empty");
        }
        f.write_str("its stderr ends:")?;
        for line in &lines[lines.len().saturating_sub(LINES)..] {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

/// How to start a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spawn<'a> {
    /// Descriptors the child keeps, by the numbers they have here.
    pub inherit: &'a [OwnedFd],
    /// Whether the kernel may write a core.
    pub core: bool,
}

/// A running or ended child.
///
/// It dies with the thread that started it, with this value, and when told to; whichever comes first. It is the leader
/// of a process group of its own, and takes that group with it.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    pidfd: OwnedFd,
    status: Option<ExitStatus>,
    stderr: Stderr,
    /// Who gets its status from the kernel, if it is no child of this process.
    parent: Option<Rc<dyn Parent>>,
}

/// The parent of a process that is not a child of this one. The parent lives as long as anything here wants to know of its child.
pub(crate) trait Parent: fmt::Debug {
    /// Takes the status of a child that has ended.
    fn reap(&self, child: Pid) -> ExitStatus;
}

impl Process {
    /// A child of another process.
    pub(crate) fn adopt(pid: Pid, stderr: Stderr, parent: Rc<dyn Parent>) -> io::Result<Self> {
        // The parent takes its status only when it is told to, so the number is not reused before.
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        Ok(Self {
            pid,
            pidfd,
            status: None,
            stderr,
            parent: Some(parent),
        })
    }

    /// The file that it writes to.
    pub(crate) fn stderr_pipe(&self) -> BorrowedFd<'_> {
        self.stderr.pipe()
    }

    /// Starts `command` with nothing on stdin, and stdout and stderr collected.
    ///
    /// # Errors
    /// If there is nothing to execute, or the host declines a process or its descriptors.
    pub fn spawn(command: Command, how: &Spawn<'_>) -> io::Result<Self> {
        Self::start(command, how, None)
    }

    /// Starts `command`, or instead of its program a function of this one.
    ///
    /// # Errors
    /// As of [`spawn`](Self::spawn).
    pub(crate) fn start(
        mut command: Command,
        how: &Spawn<'_>,
        main: Option<Main>,
    ) -> io::Result<Self> {
        let (stderr, write_end) = Stderr::new()?;
        let inherit: Vec<RawFd> = how.inherit.iter().map(AsRawFd::as_raw_fd).collect();
        let parent = getpid();
        let core = how.core;
        let main = main.map(|main| {
            let words = command.get_args().map(|word| word.to_string_lossy());
            (main, words.map(Cow::into_owned).collect::<Vec<String>>())
        });
        command
            .stdin(Stdio::null())
            .stdout(write_end.try_clone()?)
            .stderr(write_end)
            .process_group(0);
        #[expect(
            unsafe_code,
            reason = "between fork and exec there is no safe interface"
        )]
        // SAFETY: `prepare` makes system calls on values that were there before the fork: it does not allocate, lock
        // or panic. The descriptors stay open until `spawn` has returned, since `how` borrows them. `become_main` does allocate, which
        // the C library allows after a fork, and takes no lock that another thread may hold.
        unsafe {
            command.pre_exec(move || {
                prepare(&inherit, parent, core)?;
                match &main {
                    Some((main, words)) => become_main(*main, words),
                    None => Ok(()),
                }
            });
        }
        let child = command.spawn()?;
        // The command holds the write end of the pipe: while it lives, stderr has no end.
        drop(command);
        let pid = Pid::from_child(&child);
        // Nothing else waits for this child, so its number is not reused before it is waited for.
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(error) => {
                let mut child = child;
                let _ = child.kill();
                let _ = child.wait();
                return Err(error.into());
            }
        };
        Ok(Self {
            pid,
            pidfd,
            status: None,
            stderr,
            parent: None,
        })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// What it wrote so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Readable once the process has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// How it ended, if it did. Does not wait.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.wait(Instant::now())
    }

    /// Waits for its end until `deadline`; collects what is left on stderr, and what is left of its group.
    pub fn wait(&mut self, deadline: Instant) -> Option<ExitStatus> {
        if self.status.is_some() {
            return self.status;
        }
        if !readable(&self.pidfd, deadline) {
            return None;
        }
        // The group goes while its leader is still there to keep the number from being reused.
        let _ = kill_process_group(self.pid, Signal::KILL);
        self.status = Some(match &self.parent {
            None => reap(&self.pidfd),
            Some(parent) => parent.reap(self.pid),
        });
        self.stderr.finish();
        self.status
    }

    /// Asks it to end and waits until `deadline`, then kills it.
    pub fn stop(&mut self, deadline: Instant) -> ExitReport {
        let asked = self.status().is_none();
        if asked {
            let _ = pidfd_send_signal(&self.pidfd, Signal::TERM);
        }
        let forced = self.wait(deadline).is_none();
        if forced {
            self.kill();
        }
        self.report(forced)
    }

    /// Has it end, and does not wait until it has.
    pub(crate) fn doom(&mut self) {
        if self.status.is_none() {
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        }
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if self.status().is_none() {
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
            self.wait(Instant::now() + KILL_TIME);
        }
    }

    pub(crate) fn report(&self, forced: bool) -> ExitReport {
        ExitReport {
            status: self.status.unwrap_or(ExitStatus::Unknown),
            forced,
            stderr: self.stderr(),
        }
    }

    /// What the process does now, in words, for reports about one that gives no answer.
    pub(crate) fn activity(&mut self) -> String {
        if let Some(status) = self.status() {
            return format!("has ended with {status}");
        }
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()));
        // The name in the second field may hold anything, parentheses included; the state follows its last one.
        let state = stat.ok().and_then(|stat| {
            let after = stat.rfind(')')? + 1;
            stat[after..].trim_start().chars().next()
        });
        match state {
            Some('T' | 't') => "is stopped by a signal or a debugger".into(),
            Some('R') => "is running".into(),
            Some('S') => "is sleeping".into(),
            Some('D') => "waits for a disk or the kernel".into(),
            _ => "is alive".into(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until `fd` is readable; `false` if the deadline passed first.
pub(crate) fn readable(fd: impl AsFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match poll(
            &mut [PollFd::new(&fd, PollFlags::IN)],
            Some(&timespec(left)),
        ) {
            Ok(0) => return false,
            Ok(_) => return true,
            // With the time used up there is one more look and no more.
            Err(_) if left.is_zero() => return false,
            Err(_) => {}
        }
    }
}

/// A span as `poll` wants it.
pub(crate) fn timespec(span: Duration) -> Timespec {
    Timespec {
        tv_sec: span.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: span.subsec_nanos().into(),
    }
}

fn reap(pidfd: &OwnedFd) -> ExitStatus {
    loop {
        match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
            Ok(Some(status)) => return ended(&status),
            Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return ExitStatus::Unknown,
        }
    }
}

fn ended(status: &WaitIdStatus) -> ExitStatus {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(status), _) => ExitStatus::Exited(status),
        (None, Some(signal)) => ExitStatus::Signal {
            signal,
            core: status.dumped(),
        },
        (None, None) => ExitStatus::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsRawFd;

    use rustix::io::fcntl_dupfd_cloexec;

    use super::*;

    fn sh(script: &str, inherit: &[OwnedFd]) -> Process {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script);
        let how = Spawn {
            inherit,
            core: false,
        };
        Process::spawn(command, &how).expect("a shell")
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn exit_status_and_both_outputs_are_collected() {
        let mut process = sh("echo out; echo err >&2; exit 7", &[]);
        assert_eq!(process.wait(soon()), Some(ExitStatus::Exited(7)));
        assert_eq!(process.stderr(), "out\nerr\n");
        assert_eq!(process.status(), Some(ExitStatus::Exited(7)));
    }

    #[test]
    fn a_signal_is_told_from_a_status() {
        let mut process = sh("kill -SEGV $$", &[]);
        let status = process.wait(soon()).expect("an end");
        let expected = ExitStatus::Signal {
            signal: 11,
            core: false,
        };
        assert_eq!(status, expected);
        assert_eq!(status.to_string(), "signal 11 (SIGSEGV)");
    }

    #[test]
    fn the_child_has_what_it_was_given_and_not_what_it_was_not() {
        let file = fs::File::open("/dev/null").expect("/dev/null");
        let given = fcntl_dupfd_cloexec(&file, 200).expect("a descriptor");
        let withheld = fcntl_dupfd_cloexec(&file, 200).expect("a descriptor");
        let expected = format!("{} given", given.as_raw_fd());
        let script = format!(
            "cd /proc/self/fd; [ -e {} ] && echo {expected}; [ -e {} ] && echo withheld",
            given.as_raw_fd(),
            withheld.as_raw_fd()
        );
        let mut process = sh(&script, &[given]);
        process.wait(soon()).expect("an end");
        assert_eq!(process.stderr().trim(), expected);
    }

    #[test]
    fn a_child_that_ignores_the_request_is_killed_at_the_deadline() {
        let mut process = sh("trap '' TERM; echo ready; while :; do sleep 5; done", &[]);
        while !process.stderr().contains("ready") {
            std::thread::yield_now();
        }
        let report = process.stop(Instant::now() + Duration::from_millis(50));
        assert!(report.forced);
        assert_eq!(
            report.status,
            ExitStatus::Signal {
                signal: 9,
                core: false
            }
        );
        assert!(
            report.to_string().contains("did not end when asked"),
            "{report}"
        );
    }

    #[test]
    fn a_child_that_ends_when_asked_was_not_forced() {
        let mut process = sh("trap 'exit 3' TERM; echo ready; sleep 1000 & wait", &[]);
        while !process.stderr().contains("ready") {
            std::thread::yield_now();
        }
        let report = process.stop(soon());
        assert!(!report.forced);
        assert_eq!(report.status, ExitStatus::Exited(3));
        assert!(!report.is_clean());
    }

    /// Started instead of a program: a panic, or which of descriptors it has and what became of its arguments.
    fn in_place(words: &[String]) -> Process {
        fn main(words: &[String]) -> u8 {
            assert_ne!(words[0], "panic", "as told");
            let there = |fd: &&String| fs::exists(format!("/proc/self/fd/{fd}")).unwrap();
            let text = format!("{:?}", words.iter().filter(there).collect::<Vec<_>>());
            // Not by way of the standard library, which keeps what tests print.
            rustix::io::write(rustix::stdio::stderr(), text.as_bytes()).unwrap();
            words.len() as u8
        }
        let mut command = Command::new("/no/such/program");
        command.args(words);
        let file = fs::File::open("/dev/null").expect("/dev/null");
        let mut inherit = Vec::new();
        if let [fd, ..] = words {
            let fd = fd.parse().unwrap_or(300);
            inherit.push(fcntl_dupfd_cloexec(&file, fd).expect("a descriptor"));
        }
        let how = Spawn {
            inherit: &inherit,
            core: false,
        };
        Process::start(command, &how, Some(main)).expect("a fork")
    }

    #[test]
    fn a_function_is_a_process_with_the_descriptors_of_a_program() {
        let file = fs::File::open("/dev/null").expect("/dev/null");
        let withheld = fcntl_dupfd_cloexec(&file, 400).expect("a descriptor");
        let withheld = withheld.as_raw_fd().to_string();
        let mut process = in_place(&["310".to_owned(), withheld, "1".to_owned()]);
        assert_eq!(process.wait(soon()), Some(ExitStatus::Exited(3)));
        assert_eq!(process.stderr(), "[\"310\", \"1\"]");
        assert_ne!(process.pid(), std::process::id());
    }

    #[test]
    fn a_panic_of_a_function_aborts_its_process() {
        let mut process = in_place(&["panic".to_owned()]);
        let expected = ExitStatus::Signal {
            signal: 6,
            core: false,
        };
        assert_eq!(process.wait(soon()), Some(expected));
    }

    #[test]
    fn its_group_goes_with_it() {
        let mut process = sh("sleep 1000 & echo $!; kill -KILL $$", &[]);
        process.wait(soon()).expect("an end");
        let text = process.stderr();
        let orphan: i32 = text.trim().parse().expect("a number");
        let orphan = Pid::from_raw(orphan).expect("a process id");
        // Init reaps it in its own time; until then it is a zombie.
        let deadline = soon();
        loop {
            let stat = fs::read_to_string(format!("/proc/{}/stat", orphan.as_raw_nonzero()));
            match stat {
                Err(_) => break,
                Ok(stat) if stat.contains(") Z ") => break,
                Ok(stat) => assert!(Instant::now() < deadline, "still there: {stat}"),
            }
        }
    }

    #[test]
    fn dropping_kills_and_reaps() {
        let process = sh("sleep 1000", &[]);
        let path = format!("/proc/{}", process.pid());
        assert!(std::path::Path::new(&path).exists());
        drop(process);
        assert!(
            !std::path::Path::new(&path).exists(),
            "{path} is still there"
        );
    }

    #[test]
    fn a_missing_program_is_an_error_of_the_start() {
        let how = Spawn {
            inherit: &[],
            core: false,
        };
        let error = Process::spawn(Command::new("/no/such/program"), &how).expect_err("no program");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn activity_tells_a_stopped_process() {
        let mut process = sh("kill -STOP $$; sleep 1000", &[]);
        let deadline = soon();
        while !process.activity().contains("stopped") {
            assert!(Instant::now() < deadline, "{}", process.activity());
        }
    }
}
