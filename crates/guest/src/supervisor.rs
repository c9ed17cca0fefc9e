//! The process that a test's host half runs under: [`serve_if_supervisor`].
//!
//! It is a subreaper and has a socket to the runner. When that closes, whichever way the runner ended, it ends everything that the test
//! started, removes the test's directory and goes.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid,
};

use crate::job::Job;
use crate::test;

/// Set for a process that is to be a supervisor.
pub(crate) const SUPERVISE: &str = "TESTJIG_GUEST_SUPERVISE";
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
    let report = test::run(&Arc::new(job));
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
