//! What a test left running. Runner and workers are subreapers, so whatever a test started and forgot is their child in the end.

use std::fs;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// A process that a test left.
pub(super) struct Leftover {
    pid: Pid,
    /// Its command, as the kernel shows it.
    pub(super) command: String,
}

/// The children of this process, zombies included, but for those that are `kept`.
pub(super) fn children(kept: &[u32]) -> Vec<Leftover> {
    let tasks = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_ascii_whitespace()
                .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
                .filter(|pid| !kept.contains(&pid.as_raw_nonzero().get().unsigned_abs()))
                .collect::<Vec<_>>()
        })
        .map(|pid| Leftover {
            pid,
            command: fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero()))
                .map(|comm| comm.trim_end().to_owned())
                .unwrap_or_default(),
        })
        .collect()
}

/// Kills all children of this process but the `kept`, and their orphans after them, and waits until none is left.
pub(super) fn end(kept: &[u32]) {
    loop {
        let left = children(kept);
        if left.is_empty() {
            return;
        }
        for child in &left {
            let _ = kill_process(child.pid, Signal::KILL);
        }
        for child in left {
            let _ = waitpid(Some(child.pid), WaitOptions::empty());
        }
    }
}
