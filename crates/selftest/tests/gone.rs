//! Nothing outlives the runner, whichever way it ends.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// Set in the environment of a run, and so of everything that it starts.
const MARK: &str = "TESTJIG_MARK";

/// The processes that were started under a mark.
fn marked(mark: &str) -> Vec<Pid> {
    let wanted = format!("{MARK}={mark}");
    let is_marked = |process: &Path| {
        fs::read(process.join("environ")).is_ok_and(|environ| {
            environ
                .split(|&b| b == 0)
                .any(|word| word == wanted.as_bytes())
        })
    };
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| is_marked(&entry.path()))
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// Waits until a process is gone, or a deadline.
fn wait_gone(pid: Pid, deadline: Instant) {
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    let left = deadline
        .saturating_duration_since(Instant::now())
        .try_into()
        .expect("a short time");
    let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left));
}

/// How the machines of a run are made.
#[derive(Clone, Copy)]
enum How {
    Fresh,
    /// Forked from templates: for each worker a process more.
    Fork,
}

impl How {
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Fresh => &[],
            Self::Fork => &["--fork"],
        }
    }

    /// The processes of a run on two cores: the runner, and for each worker what it has.
    fn processes(self) -> usize {
        match self {
            Self::Fresh => 5,
            Self::Fork => 7,
        }
    }
}

fn start(how: How, mark: &str, scratch: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_planted"))
        .args(how.words())
        .args(["planted::waits", "planted::passes"])
        .env(MARK, mark)
        .env("PLANTED_LOG", scratch.join("log"))
        .env("TMPDIR", scratch)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the planted binary starts")
}

/// Waits until the machines of a run are there: a worker and a QEMU for each core.
fn wait_in_flight(runner: &mut Child, mark: &str, enough: usize) {
    let mut line = String::new();
    let stdout = runner.stdout.as_mut().expect("it is piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("a first line comes");
    let deadline = Instant::now() + Duration::from_secs(20);
    while marked(mark).len() < enough {
        assert!(Instant::now() < deadline, "no machine was started");
        std::thread::yield_now();
    }
}

fn files_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Ends a run with `signal`, `rounds` times, at ever different moments, and looks for what is left.
fn end_many_times(how: How, signal: Signal, rounds: usize) {
    for round in 0..rounds {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let mark = format!(
            "{}-{}-{}-{round}",
            std::process::id(),
            signal.as_raw(),
            how.processes()
        );
        let mut runner = start(how, &mark, scratch.path());
        // One process is the runner alone.
        wait_in_flight(&mut runner, &mark, 1 + round % how.processes());
        let started = marked(&mark);
        let pid = i32::try_from(runner.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a process id");
        kill_process(pid, signal).expect("it runs");
        runner.wait().expect("it ends");
        let mut said = String::new();
        let _ = runner
            .stdout
            .take()
            .map(|mut stdout| stdout.read_to_string(&mut said));

        let deadline = Instant::now() + Duration::from_secs(5);
        while let Some(&pid) = marked(&mark).first() {
            assert!(
                Instant::now() < deadline,
                "round {round}: {pid:?} of {started:?} is left"
            );
            wait_gone(pid, deadline);
        }
        assert_eq!(
            files_in(scratch.path()),
            Vec::<String>::new(),
            "round {round}: {said}"
        );
    }
}

#[test]
fn nothing_is_left_after_sigkill() {
    end_many_times(How::Fresh, Signal::KILL, 200);
}

#[test]
fn no_template_and_no_fork_is_left_after_sigkill() {
    end_many_times(How::Fork, Signal::KILL, 200);
}

#[test]
fn nothing_is_left_after_sigint() {
    end_many_times(How::Fresh, Signal::INT, 200);
}

#[test]
fn no_template_and_no_fork_is_left_after_sigint() {
    end_many_times(How::Fork, Signal::INT, 50);
}

#[test]
fn nothing_is_left_after_sigterm() {
    end_many_times(How::Fresh, Signal::TERM, 20);
}

#[test]
fn an_interrupted_run_says_so() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let mark = format!("{}-said", std::process::id());
    let mut runner = start(How::Fresh, &mark, scratch.path());
    wait_in_flight(&mut runner, &mark, 5);
    let pid = i32::try_from(runner.id())
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process id");
    kill_process(pid, Signal::INT).expect("it runs");
    assert_eq!(runner.wait().expect("it ends").code(), Some(130));
    assert!(
        marked(&mark).is_empty(),
        "the runner waits for what it ended"
    );
}
