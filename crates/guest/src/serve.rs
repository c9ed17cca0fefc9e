//! What the words of a host half do: [`Test::call`].

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::args::Arguments;
use crate::drive::{self, Ask, Errand, Handle};
use crate::machine::{Boot, BootError, Machine};
use crate::test::{Test, lock};
use crate::words::{Call, Caller, FORWARD, Stream};

/// How long `wait_…` words wait unless they are told.
pub(crate) const WAIT_TIME: Duration = Duration::from_secs(60);

impl Test {
    /// Serves one word.
    pub(crate) fn call(self: Arc<Self>, stream: &UnixStream) {
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
            "qemu" => self.qemu(args, &call.directory, stream),
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
                let schemas = Arc::clone(&self.schemas);
                self.machine()?
                    .ask(Ask::Qmp(command.clone(), words.to_vec(), schemas))
            }
            "hmp" => self.machine()?.ask(Ask::Hmp(args.join(" "))),
            "guest" if !args.is_empty() => self.machine()?.ask(Ask::Guest(call.args.clone())),
            "guest" => Err("which program?".to_owned()),
            "wait_guest" => {
                let machine = self.machine()?;
                let limit = limit(args.first())?;
                let ready = |state: &drive::State| state.ready || state.ended;
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

    pub(crate) fn skipped(&self, reason: &str) {
        lock(&self.skip).get_or_insert_with(|| reason.to_owned());
    }

    /// The machine that was started last.
    pub(crate) fn machine(&self) -> Result<Handle, String> {
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
            let (ended, printed) = {
                let state = machine.state();
                (state.ended, state.printed)
            };
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
            // Another machine of the test may print it, too.
            let soon = deadline.min(Instant::now() + Duration::from_millis(50));
            machine.wait(soon, |state| state.ended || state.printed != printed);
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
            script: self.job.function.is_none().then_some(&*self.script),
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
        let directory = PathBuf::from(OsString::from_vec(directory.to_vec()));
        let boot = self.boot(args);
        Machine::start(&self.qemu, &boot, &directory).map_err(|error| {
            match &error {
                BootError::Lacks(reason) => self.skipped(reason),
                other => drop(lock(&self.declined).get_or_insert_with(|| other.to_string())),
            }
            error.to_string()
        })
    }

    /// A machine in the foreground: what it prints is the word's output, and the guest half's status the word's.
    fn qemu(
        self: &Arc<Self>,
        args: Vec<String>,
        directory: &[u8],
        stream: &UnixStream,
    ) -> drive::Answer {
        let began = Instant::now();
        let stream = stream.try_clone().map_err(|error| error.to_string())?;
        let (sender, ended) = std::sync::mpsc::channel();
        let (test, directory) = (Arc::clone(self), directory.to_vec());
        self.starter.run(move || {
            let foreground = || {
                let machine = test.start(args, &directory)?;
                let (handle, reins) = drive::pair().map_err(|error| error.to_string())?;
                lock(&test.machines).push(handle.clone());
                let caller = Caller(&stream);
                let mut echo = |bytes: &[u8]| caller.print(Stream::Output, bytes);
                let errand = Errand {
                    echo: Some(&mut echo),
                    abandoned: Some(&stream),
                    ..test.errand()
                };
                drive::drive(machine, began, &reins, errand);
                outcome(&handle)
            };
            let _ = sender.send(foreground());
        });
        let gone = || Err("its thread ended".to_owned());
        ended.recv().unwrap_or_else(|_| gone())
    }

    /// A machine in the background.
    pub(crate) fn start_qemu(
        self: &Arc<Self>,
        args: Vec<String>,
        directory: &[u8],
    ) -> drive::Answer {
        let (handle, reins) = drive::pair().map_err(|error| error.to_string())?;
        let (sender, started) = std::sync::mpsc::channel();
        let test = Arc::clone(self);
        let directory = directory.to_vec();
        // A thread of its own, with which QEMU ends.
        let began = Instant::now();
        self.starter
            .run(move || match test.start(args, &directory) {
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

/// Longer than any test.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(1 << 24);

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
        other => serde_json::to_string(other).is_ok_and(|text| text == wanted),
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
    fn differences_are_shown_by_line() {
        let text = differences(b"a\nb\nc\n", b"a\nc\nd\n");
        assert_eq!(text, "-b\n+d");
    }
}
