//! The process that a test's host half runs under: [`serve_if_supervisor`].
//!
//! It is a subreaper and has a socket to the runner. When that closes, whichever way the runner ended, it ends everything that the test
//! started, removes the test's directory and goes.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid,
};
use serde_json::Value;
use testjig_vm::{ExitStatus, Process, Spawn};

use crate::args::Arguments;
use crate::choice::Chooser;
use crate::drive::{self, Ask, Errand, Handle, Log, Problem};
use crate::http::Server;
use crate::job::{Ending, Job, Report};
use crate::machine::{Boot, BootError, ChannelKind, Machine};
use crate::words::{Call, Caller, FORWARD, SOCKET, Stream, WORDS};

/// Set for a process that is to be a supervisor.
pub(crate) const SUPERVISE: &str = "TESTJIG_GUEST_SUPERVISE";
/// What a host half exits with if it can't be tried here, as other harnesses have it.
const SKIP_STATUS: i32 = 77;
/// How long `wait_…` words wait unless they are told.
const WAIT_TIME: Duration = Duration::from_secs(60);

/// Does what this process was started for, if it is to be a supervisor; `None` if not. To be called at the start of `main`.
pub fn serve_if_supervisor() -> Option<ExitCode> {
    env::var_os(SUPERVISE)?;
    Some(match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the supervisor of a guest test failed: {error}");
            ExitCode::FAILURE
        }
    })
}

fn serve() -> io::Result<()> {
    // A test's processes are this one's in the end, however they left their parents.
    set_child_subreaper(Some(getpid()))?;
    let mut line = String::new();
    let mut input = BufReader::new(io::stdin());
    input.read_line(&mut line)?;
    let job: Job = serde_json::from_str(&line)?;
    let directory = job.directory.clone();
    let its = directory.clone();
    thread::spawn(move || {
        // The runner says nothing more. When it is gone, so is the test.
        let mut rest = Vec::new();
        let _ = input.read_to_end(&mut rest);
        end_all();
        let _ = fs::remove_dir_all(its);
        std::process::exit(1);
    });
    let report = run(&Arc::new(job));
    end_all();
    // Of a runner that is gone this may be the last thread to do it.
    let _ = fs::remove_dir_all(directory);
    let mut line = serde_json::to_vec(&report)?;
    line.push(b'\n');
    io::stdout().write_all(&line)?;
    io::stdout().flush()
}

/// Kills all children of this process, and their orphans after them, until none is left.
fn end_all() {
    loop {
        let children = children();
        if children.is_empty() {
            return;
        }
        for &child in &children {
            let _ = kill_process(child, Signal::KILL);
        }
        for child in children {
            // Another thread may have taken the status.
            let _ = waitpid(Some(child), WaitOptions::empty());
        }
    }
}

fn children() -> Vec<Pid> {
    let tasks = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_ascii_whitespace()
                .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// What a test's file says in comments of the form `# testjig: name=value …`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Header {
    pub(crate) channel: ChannelKind,
    pub(crate) deadline: Option<Duration>,
    /// Whether machines may begin where an equal one has booted to.
    pub(crate) warm: bool,
}

impl Header {
    pub(crate) fn of(script: &[u8]) -> Result<Self, String> {
        let mut header = Self::default();
        let text = String::from_utf8_lossy(script);
        let words = text
            .lines()
            .filter_map(|line| line.strip_prefix("# testjig:"))
            .flat_map(str::split_whitespace);
        for word in words {
            match word.split_once('=') {
                Some(("agent", "virtio")) => header.channel = ChannelKind::Virtio,
                Some(("agent", "isa")) => header.channel = ChannelKind::Isa,
                Some(("lane", "warm")) => header.warm = true,
                Some(("lane", "cold")) => header.warm = false,
                Some(("deadline", seconds)) if seconds.parse::<u32>().is_ok() => {
                    header.deadline = seconds.parse().ok().map(Duration::from_secs);
                }
                _ => {
                    return Err(format!(
                        "the comment `# testjig: {word}` is not understood; there are agent=virtio, agent=isa, lane=warm, lane=cold and deadline=SECONDS"
                    ));
                }
            }
        }
        Ok(header)
    }
}

/// A test while it runs.
struct Test {
    job: Job,
    header: Header,
    script: Vec<u8>,
    port: u16,
    log: Mutex<Log>,
    chooser: Mutex<Chooser>,
    machines: Mutex<Vec<Handle>>,
    skip: Mutex<Option<String>>,
    /// What was wrong with starting a machine.
    declined: Mutex<Option<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(job: &Arc<Job>) -> Report {
    let error = |text: String| Report {
        ending: Ending::Error(text),
        choices: Vec::new(),
        output: String::new(),
        log: String::new(),
        stderr: String::new(),
        command_line: String::new(),
        boot: Duration::ZERO,
    };
    let script = match fs::read(&job.script) {
        Ok(script) => script,
        Err(problem) => {
            return error(format!(
                "failed to read {}: {problem}",
                job.script.display()
            ));
        }
    };
    let header = match Header::of(&script) {
        Ok(header) => header,
        Err(problem) => return error(problem),
    };
    match set_up(job, header, script) {
        Ok((test, shell)) => conduct(&test, shell),
        Err(problem) => error(format!("failed to set the test up: {problem}")),
    }
}

/// All that the host half finds when it begins, and the command that begins it.
fn set_up(job: &Job, header: Header, script: Vec<u8>) -> io::Result<(Arc<Test>, Command)> {
    let tmp = &job.directory;
    let own = tmp.join(".testjig");
    let words = own.join("words");
    fs::create_dir_all(&words)?;
    for word in WORDS.into_iter().chain([FORWARD]) {
        std::os::unix::fs::symlink(&job.program, words.join(word))?;
    }
    let prelude = own.join("prelude.sh");
    fs::write(&prelude, include_str!("prelude.sh"))?;
    let log_path = tmp.join("log");
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log_path)?;
    let port = Server::start(tmp)?.port();
    let socket = own.join("socket");
    let listener = UnixListener::bind(&socket)?;
    let test = Arc::new(Test {
        header,
        script,
        port,
        log: Mutex::new(Log::new(log)),
        chooser: Mutex::new(Chooser::new(&job.name, job.policy.clone())),
        machines: Mutex::default(),
        skip: Mutex::default(),
        declined: Mutex::default(),
        job: job.clone(),
    });
    let serving = Arc::clone(&test);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let test = Arc::clone(&serving);
            thread::spawn(move || test.call(&stream));
        }
    });

    let interpreter = interpreter(&test.script);
    let mut path = words.into_os_string();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
    let script = std::path::absolute(&job.script)?;
    let mut shell = Command::new(interpreter);
    shell
        .args(["-c", r#". "$TESTJIG_PRELUDE"; . "$0""#])
        .arg(&script)
        .current_dir(script.parent().unwrap_or(Path::new("/")))
        .env("PATH", path)
        .env("TESTJIG_PRELUDE", prelude)
        .env(SOCKET, socket)
        .env("QEMU_TEST", "1")
        .env("HTTP_PORT", port.to_string())
        .env("tmpdir", tmp)
        .env("tmplog", log_path)
        .env("TMPDIR", tmp)
        .env_remove(SUPERVISE);
    Ok((test, shell))
}

/// The shell that a file asks for in its first line. Another program than a shell could not read the prelude.
fn interpreter(script: &[u8]) -> PathBuf {
    let first = script
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = String::from_utf8_lossy(first);
    let program = line
        .strip_prefix("#!")
        .and_then(|line| line.split_whitespace().find(|word| !word.ends_with("/env")));
    match program {
        Some(program) if program.ends_with("sh") => PathBuf::from(program),
        _ => PathBuf::from("/bin/sh"),
    }
}

/// Runs the host half to its end, and says how it was.
fn conduct(test: &Arc<Test>, shell: Command) -> Report {
    let deadline = test.header.deadline.unwrap_or(test.job.deadline);
    let ends = Instant::now() + deadline;
    let mut process = match Process::spawn(shell, &Spawn::default()) {
        Ok(process) => process,
        Err(error) => {
            return test.report(
                Ending::Error(format!("failed to start the test's shell: {error}")),
                String::new(),
            );
        }
    };
    let status = process.wait(ends);
    if status.is_none() {
        process.kill();
    }
    let ending = test.ending(status, deadline);
    for machine in lock(&test.machines).clone() {
        let over = machine.state().ended;
        if !over {
            let _ = machine.ask(Ask::End);
        }
    }
    let output = process.stderr();
    test.report(ending, output)
}

impl Test {
    fn ending(&self, status: Option<ExitStatus>, deadline: Duration) -> Ending {
        if let Some(reason) = lock(&self.skip).clone() {
            return Ending::Skipped(reason);
        }
        let machines = lock(&self.machines);
        let problem = machines
            .iter()
            .find_map(|machine| machine.state().problem.clone());
        match (status, problem) {
            (_, Some(Problem::Crash(text))) => Ending::Crashed(text),
            (_, Some(Problem::Hang(text))) => Ending::Hung(text),
            (_, Some(Problem::Guest(text))) => Ending::Failed(text),
            (None, None) => Ending::Hung(hang(&machines, deadline)),
            (Some(ExitStatus::Exited(0)), None) => Ending::Passed,
            (Some(ExitStatus::Exited(SKIP_STATUS)), None) => {
                Ending::Skipped(format!("the test says so, by exit status {SKIP_STATUS}"))
            }
            (Some(status), None) => {
                if let Some(declined) = lock(&self.declined).clone() {
                    return Ending::Error(declined);
                }
                let guest = machines
                    .iter()
                    .filter_map(|machine| machine.state().status)
                    .find(|status| *status != 0);
                Ending::Failed(match guest {
                    Some(guest) => format!("the guest half failed: exit status {guest}"),
                    None => format!("the host half failed: {status}"),
                })
            }
        }
    }

    fn report(&self, ending: Ending, output: String) -> Report {
        let machines = lock(&self.machines);
        let last = machines.last().map(Handle::state);
        let mut log = fs::read(self.job.directory.join("log")).unwrap_or_default();
        log.drain(..log.len().saturating_sub(16 << 10));
        Report {
            ending,
            choices: lock(&self.chooser).made().to_vec(),
            output,
            log: String::from_utf8_lossy(&log).into_owned(),
            stderr: last
                .as_ref()
                .map(|state| state.stderr.clone())
                .unwrap_or_default(),
            command_line: last
                .as_ref()
                .map(|state| state.command_line.clone())
                .unwrap_or_default(),
            boot: last.and_then(|state| state.ready).unwrap_or_default(),
        }
    }

    /// Serves one word.
    fn call(self: Arc<Self>, stream: &UnixStream) {
        let mut line = Vec::new();
        let read = BufReader::new(stream).read_until(b'\n', &mut line);
        let Some(call) = read
            .ok()
            .and_then(|_| serde_json::from_slice::<Call>(&line).ok())
        else {
            return;
        };
        let caller = Caller(stream);
        let status = match self.word(&call, stream) {
            Ok((text, status)) => {
                caller.print(Stream::Output, &text);
                status
            }
            Err(problem) => {
                caller.print(
                    Stream::Error,
                    format!("{}: {problem}\n", call.word).as_bytes(),
                );
                1
            }
        };
        caller.exit(status);
    }

    fn word(self: &Arc<Self>, call: &Call, stream: &UnixStream) -> drive::Answer {
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let args: Vec<String> = call.args.iter().map(text).collect();
        let done = || Ok((Vec::new(), 0));
        match call.word.as_str() {
            "qemu" => self.qemu(&args, &call.directory, stream),
            "start_qemu" => self.start_qemu(args, &call.directory),
            "qemu_is_okay" => {
                let machine = self.machine()?;
                let state = machine.state();
                Ok((
                    Vec::new(),
                    i32::from(state.ended || state.problem.is_some()),
                ))
            }
            "get_qemu_status" => {
                let machine = self.machine()?;
                machine.release();
                machine.wait(Instant::now() + FOR_EVER, |state| state.ended);
                outcome(&machine)
            }
            "stop_qemu" => self.machine()?.ask(Ask::End),
            "qmp" => {
                let (command, words) = args.split_first().ok_or("which command?")?;
                self.machine()?
                    .ask(Ask::Qmp(command.clone(), words.to_vec()))
            }
            "hmp" => self.machine()?.ask(Ask::Hmp(args.join(" "))),
            "guest" if !args.is_empty() => self.machine()?.ask(Ask::Guest(call.args.clone())),
            "guest" => Err("which program?".to_owned()),
            "wait_guest" => {
                let machine = self.machine()?;
                let limit = limit(args.first())?;
                let ready = |state: &drive::State| state.ready.is_some() || state.ended;
                if machine.wait(Instant::now() + limit, ready) && !machine.state().ended {
                    done()
                } else {
                    Err(format!(
                        "the guest was not ready after {} s",
                        limit.as_secs()
                    ))
                }
            }
            "wait_log" => {
                let wanted = args.first().ok_or("for which text?")?;
                let limit = limit(args.get(1))?;
                self.wait_log(wanted, limit)?;
                done()
            }
            "wait_event" => {
                let wanted = args.first().ok_or("for which event?")?;
                let machine = self.machine()?;
                let (members, rest): (Vec<&String>, Vec<&String>) =
                    args[1..].iter().partition(|word| word.contains('='));
                let limit = limit(rest.first().copied())?;
                let is_it = |(name, data): &(String, Value)| {
                    name == wanted && members.iter().all(|member| has_member(data, member))
                };
                let came = |state: &drive::State| state.ended || state.events.iter().any(is_it);
                machine.wait_alive(Instant::now() + limit, came);
                let state = machine.state();
                match state.events.iter().find(|event| is_it(event)) {
                    Some((_, data)) => Ok((format!("{data}\n").into_bytes(), 0)),
                    None if state.ended => {
                        Err(format!("no event {wanted} came before the machine ended"))
                    }
                    None => Err(format!("no event {wanted} within {} s", limit.as_secs())),
                }
            }
            "choose" => {
                let value = lock(&self.chooser).choose(None, &args)?;
                Ok((format!("{value}\n").into_bytes(), 0))
            }
            "named_choose" => {
                let (name, options) = args.split_first().ok_or("which name?")?;
                let value = lock(&self.chooser).choose(Some(name), options);
                // Which this test can't do is no failure of what it tests.
                let value = value.inspect_err(|problem| self.skipped(problem))?;
                Ok((format!("{value}\n").into_bytes(), 0))
            }
            "skip" => {
                self.skipped(&args.join(" "));
                done()
            }
            "golden" => self.golden(&args, call),
            other => Err(format!("{other} is no word")),
        }
    }

    fn skipped(&self, reason: &str) {
        lock(&self.skip).get_or_insert_with(|| reason.to_owned());
    }

    /// The machine that was started last.
    fn machine(&self) -> Result<Handle, String> {
        let machines = lock(&self.machines);
        machines
            .last()
            .cloned()
            .ok_or_else(|| "no machine was started; use start_qemu first".to_owned())
    }

    fn wait_log(&self, wanted: &str, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        let machine = self.machine()?;
        let path = self.job.directory.join("log");
        let found = || {
            let log = fs::read(&path).unwrap_or_default();
            String::from_utf8_lossy(&log).contains(wanted)
        };
        loop {
            let ended = machine.state().ended;
            if found() {
                return Ok(());
            }
            if ended {
                return Err(format!(
                    "{wanted:?} was not printed before the machine ended"
                ));
            }
            if Instant::now() >= deadline {
                return Err(format!(
                    "{wanted:?} was not printed within {} s",
                    limit.as_secs()
                ));
            }
            // Woken by whatever the machine does, printing included.
            let soon = deadline.min(Instant::now() + Duration::from_millis(50));
            machine.wait(soon, |state| state.ended);
        }
    }

    /// Compares standard input with a file that lies beside the test, or writes that anew.
    fn golden(&self, args: &[String], call: &Call) -> drive::Answer {
        let name = args.first().ok_or("which file?")?;
        let path = PathBuf::from(OsString::from_vec(call.directory.clone())).join(name);
        if self.job.bless {
            let made = fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))
                .and_then(|()| fs::write(&path, &call.input));
            made.map_err(|error| format!("failed to write {}: {error}", path.display()))?;
            return Ok((format!("{} was written\n", path.display()).into_bytes(), 0));
        }
        let expected = fs::read(&path).map_err(|error| {
            format!(
                "failed to read {}: {error}; `jig guest run --bless` writes it",
                path.display()
            )
        })?;
        if expected == call.input {
            return Ok((Vec::new(), 0));
        }
        Err(format!(
            "it differs from {}; if it should, `jig guest run --bless`\n{}",
            path.display(),
            differences(&expected, &call.input)
        ))
    }

    fn boot(&self, args: Vec<String>) -> Boot {
        let forward = format!(
            "{} {}",
            self.job
                .directory
                .join(".testjig/words")
                .join(FORWARD)
                .display(),
            self.port
        );
        Boot {
            arguments: Arguments::of(args, &forward),
            kernel: self.job.kernel.clone(),
            initramfs: self.job.initramfs.clone(),
            channel: self.header.channel,
            accel: self.job.accel.clone(),
            warm: self.job.states.clone().filter(|_| self.header.warm),
            variable: vec![forward, self.job.directory.display().to_string()],
        }
    }

    fn errand(&self) -> Errand<'_> {
        let variable = |name: &str, value: &str| format!("{name}={value}").into_bytes();
        Errand {
            script: &self.script,
            env: vec![
                variable("PATH", "/sbin:/usr/sbin:/bin:/usr/bin"),
                variable("HOME", "/root"),
                variable("TERM", "vt100"),
                variable("HTTP_PORT", &self.port.to_string()),
            ],
            log: &self.log,
            echo: None,
            abandoned: None,
        }
    }

    /// Starts a machine in the calling thread, whose it then is.
    fn start(&self, args: Vec<String>, directory: &[u8]) -> Result<Machine, String> {
        // Files that the test names are where it is.
        let mut qemu = self.job.qemu.clone();
        let directory = PathBuf::from(OsString::from_vec(directory.to_vec()));
        let boot = self.boot(args);
        qemu.env
            .push(("TMPDIR".to_owned(), self.job.directory.clone().into()));
        Machine::start(&qemu, &boot, &directory).map_err(|error| {
            match &error {
                BootError::Lacks(reason) => self.skipped(reason),
                other => drop(lock(&self.declined).get_or_insert_with(|| other.to_string())),
            }
            error.to_string()
        })
    }

    /// A machine in the foreground: what it prints is the word's output, and the guest half's status the word's.
    fn qemu(&self, args: &[String], directory: &[u8], stream: &UnixStream) -> drive::Answer {
        let started = Instant::now();
        let machine = self.start(args.to_vec(), directory)?;
        let (handle, reins) = drive::pair().map_err(|error| error.to_string())?;
        lock(&self.machines).push(handle.clone());
        let caller = Caller(stream);
        let mut echo = |bytes: &[u8]| caller.print(Stream::Output, bytes);
        let errand = Errand {
            echo: Some(&mut echo),
            abandoned: Some(stream),
            ..self.errand()
        };
        drive::drive(machine, started, &reins, errand);
        outcome(&handle)
    }

    /// A machine in the background.
    fn start_qemu(self: &Arc<Self>, args: Vec<String>, directory: &[u8]) -> drive::Answer {
        let (handle, reins) = drive::pair().map_err(|error| error.to_string())?;
        let (sender, started) = std::sync::mpsc::channel();
        let test = Arc::clone(self);
        let directory = directory.to_vec();
        // A thread of its own, with which QEMU ends.
        let began = Instant::now();
        thread::spawn(move || match test.start(args, &directory) {
            Ok(machine) => {
                let pid = machine.pid();
                lock(&test.machines).push(handle);
                let _ = sender.send(Ok(pid));
                drive::drive(machine, began, &reins, test.errand());
            }
            Err(problem) => drop(sender.send(Err(problem))),
        });
        let pid = started
            .recv()
            .unwrap_or_else(|_| Err("its thread ended".to_owned()))?;
        Ok((format!("{pid}\n").into_bytes(), 0))
    }
}

/// What was going on when the time was up.
fn hang(machines: &[Handle], deadline: Duration) -> String {
    let seconds = deadline.as_secs();
    let what = match machines.last() {
        None => "no machine was started".to_owned(),
        Some(machine) => {
            let state = machine.state();
            if state.ended {
                "its machine had ended".to_owned()
            } else if state.ready.is_none() {
                "the guest had not booted: its agent did not say hello".to_owned()
            } else if state.status.is_none() {
                "the guest half was still running".to_owned()
            } else {
                "its machine was about to end".to_owned()
            }
        }
    };
    format!("the test was not over after {seconds} s; {what}")
}

/// Longer than any test.
const FOR_EVER: Duration = Duration::from_secs(1 << 24);

/// The status of a machine that has ended: its guest half's, or 1 if something else was wrong.
fn outcome(machine: &Handle) -> drive::Answer {
    let state = machine.state();
    match (&state.problem, state.status) {
        (Some(problem), _) => Err(problem.text().to_owned()),
        (None, status) => Ok((Vec::new(), status.unwrap_or(1))),
    }
}

/// Whether an event's data has a member of that value: `device=blk`.
fn has_member(data: &Value, member: &str) -> bool {
    let (name, wanted) = member.split_once('=').unwrap_or((member, ""));
    match &data[name] {
        Value::String(text) => text == wanted,
        Value::Null => false,
        other => other.to_string() == wanted,
    }
}

fn limit(word: Option<&String>) -> Result<Duration, String> {
    word.map_or(Ok(WAIT_TIME), |word| {
        let seconds = word.parse::<u32>();
        seconds
            .map(|seconds| Duration::from_secs(seconds.into()))
            .map_err(|_| format!("{word:?} is no number of seconds"))
    })
}

/// The lines that only one of two texts has, the first few.
fn differences(expected: &[u8], found: &[u8]) -> String {
    let (expected, found) = (
        String::from_utf8_lossy(expected),
        String::from_utf8_lossy(found),
    );
    let gone = expected
        .lines()
        .filter(|line| !found.lines().any(|other| other == *line))
        .map(|line| format!("-{line}"));
    let new = found
        .lines()
        .filter(|line| !expected.lines().any(|other| other == *line))
        .map(|line| format!("+{line}"));
    let lines: Vec<String> = gone.chain(new).take(40).collect();
    if lines.is_empty() {
        "the same lines, in another order or number".to_owned()
    } else {
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_how_it_wants_to_be_run() {
        let header =
            Header::of(b"#!/bin/sh\n# testjig: agent=isa deadline=7\n").expect("it is understood");
        assert_eq!(header.channel, ChannelKind::Isa);
        assert_eq!(header.deadline, Some(Duration::from_secs(7)));
        let error = Header::of(b"# testjig: lane=fast\n").expect_err("there is no such");
        assert!(error.contains("lane=fast"), "{error}");
    }

    #[test]
    fn the_shell_is_the_files() {
        assert_eq!(interpreter(b"#!/bin/bash -e\n"), Path::new("/bin/bash"));
        assert_eq!(interpreter(b"#! /usr/bin/env bash\n"), Path::new("bash"));
        assert_eq!(interpreter(b"#!/usr/bin/python3\n"), Path::new("/bin/sh"));
        assert_eq!(interpreter(b"in_host\n"), Path::new("/bin/sh"));
    }

    #[test]
    fn differences_are_shown_by_line() {
        let text = differences(b"a\nb\nc\n", b"a\nc\nd\n");
        assert_eq!(text, "-b\n+d");
    }
}
