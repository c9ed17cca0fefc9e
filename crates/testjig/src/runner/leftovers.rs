//! What a test left running. Runner and workers are subreapers, so whatever a test started and forgot is their child in the end; or it
//! is a zygote's, if it is a machine.

use std::fs;
use std::rc::Rc;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use testjig_vm::{Zygote, zygotes};

/// A process that a test left.
pub(super) struct Leftover {
    pid: u32,
    /// Whose child it is, if not of this process.
    parent: Option<Rc<Zygote>>,
    /// Its command, as the kernel shows it.
    pub(super) command: String,
}

/// The children of this process and of its zygotes, dead ones included, but for those that are `kept` and the zygotes.
pub(super) fn children(kept: &[u32]) -> Vec<Leftover> {
    let zygotes = zygotes();
    let tasks = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let own = tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_ascii_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<u32>>()
        })
        .filter(|pid| zygotes.iter().all(|zygote| zygote.pid() != *pid))
        .map(|pid| (pid, None));
    let theirs = zygotes.iter().flat_map(|zygote| {
        let children = zygote.children().into_iter();
        children.map(|pid| (pid, Some(Rc::clone(zygote))))
    });
    own.chain(theirs)
        .filter(|(pid, _)| !kept.contains(pid))
        .map(|(pid, parent)| Leftover {
            pid,
            parent,
            command: fs::read_to_string(format!("/proc/{pid}/comm"))
                .map(|comm| comm.trim_end().to_owned())
                .unwrap_or_default(),
        })
        .collect()
}

/// Kills all that are left but the `kept`, and their orphans after them, and waits until none is left.
pub(super) fn end(kept: &[u32]) {
    loop {
        let left = children(kept);
        if left.is_empty() {
            return;
        }
        for child in left {
            if let Some(zygote) = child.parent {
                zygote.end(child.pid);
            } else if let Some(pid) = i32::try_from(child.pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
                let _ = waitpid(Some(pid), WaitOptions::empty());
            }
        }
    }
}
