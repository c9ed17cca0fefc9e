//! A test while it runs: its host half, and what came of it. [`run`].

use std::env;
use std::fs;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use testjig_vm::{ExitStatus, Process, Qemu, Spawn};

use crate::choice::Chooser;
use crate::drive::{Ask, Handle, Log, Problem};
use crate::halves;
use crate::header::Header;
use crate::http::Server;
use crate::job::{Ending, Job, Report};
use crate::schemas::Schemas;
use crate::starter::Starter;
use crate::supervisor::SUPERVISE;
use crate::words::{FORWARD, SOCKET, WORDS};

/// What a host half exits with if it can't be tried here, as other harnesses have it.
const SKIP_STATUS: i32 = 77;
/// A test while it runs.
pub(crate) struct Test {
    pub(crate) job: Job,
    pub(crate) header: Header,
    pub(crate) script: Vec<u8>,
    pub(crate) port: u16,
    pub(crate) log: Mutex<Log>,
    pub(crate) chooser: Mutex<Chooser>,
    pub(crate) machines: Mutex<Vec<Handle>>,
    pub(crate) schemas: Arc<Schemas>,
    /// The QEMU of the job, whose temporary files are the test's.
    pub(crate) qemu: Qemu,
    pub(crate) starter: Starter,
    pub(crate) skip: Mutex<Option<String>>,
    /// What was wrong with starting a machine.
    pub(crate) declined: Mutex<Option<String>>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn run(job: &Arc<Job>) -> Report {
    let error = |text: String| Report {
        ending: Ending::Error(text),
        choices: Vec::new(),
        output: String::new(),
        log: String::new(),
        stderr: String::new(),
        command_line: String::new(),
        boot: Duration::ZERO,
    };
    if let Some(name) = &job.function {
        let Some(halves) = halves::registered(name) else {
            return error(format!("no test {name} is registered"));
        };
        return match set_up(job, halves.header(), Vec::new()) {
            Ok((test, _)) => halves::conduct(&test, halves),
            Err(problem) => error(format!("failed to set the test up: {problem}")),
        };
    }
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
    let mut qemu = job.qemu.clone();
    qemu.env.push(("TMPDIR".to_owned(), tmp.into()));
    let schemas = Arc::new(Schemas::new(&job.schemas, &job.qemu));
    let test = Arc::new(Test {
        header,
        script,
        port,
        log: Mutex::new(Log::new(log)),
        chooser: Mutex::new(Chooser::new(&job.name, job.policy.clone())),
        machines: Mutex::default(),
        schemas: Arc::clone(&schemas),
        starter: Starter::new(qemu.clone()),
        qemu,
        skip: Mutex::default(),
        declined: Mutex::default(),
        job: job.clone(),
    });
    // While the shell starts.
    thread::spawn(move || schemas.recall());
    thread::spawn(testjig_vm::tsc_khz);
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
    let ending = test.ending(status, deadline, None);
    test.end_machines();
    let output = process.stderr();
    test.report(ending, output)
}

impl Test {
    pub(crate) fn end_machines(&self) {
        for machine in lock(&self.machines).clone() {
            let over = machine.state().ended;
            if !over {
                let _ = machine.ask(Ask::End);
            }
        }
    }

    /// How it ended, given how its host half did; `said` is what a host half that is no process has said of its failure.
    pub(crate) fn ending(
        &self,
        status: Option<ExitStatus>,
        deadline: Duration,
        said: Option<String>,
    ) -> Ending {
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
                Ending::Failed(match (said, guest) {
                    (Some(said), _) => format!("the host half failed: {said}"),
                    (None, Some(guest)) => format!("the guest half failed: exit status {guest}"),
                    (None, None) => format!("the host half failed: {status}"),
                })
            }
        }
    }

    pub(crate) fn report(&self, ending: Ending, output: String) -> Report {
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
            boot: last.and_then(|state| state.answered).unwrap_or_default(),
        }
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
            } else if state.answered.is_none() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_is_the_files() {
        assert_eq!(interpreter(b"#!/bin/bash -e\n"), Path::new("/bin/bash"));
        assert_eq!(interpreter(b"#! /usr/bin/env bash\n"), Path::new("bash"));
        assert_eq!(interpreter(b"#!/usr/bin/python3\n"), Path::new("/bin/sh"));
        assert_eq!(interpreter(b"in_host\n"), Path::new("/bin/sh"));
    }
}
