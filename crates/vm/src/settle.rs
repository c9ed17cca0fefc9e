//! [`Vm::settle`]: waits until a machine has done what it does in its own time.

use std::fs;
use std::time::{Duration, Instant};

use crate::recording::Noted;
use crate::vm::Vm;

/// How long to leave the host to a machine that is busy.
const PAUSE: Duration = Duration::from_micros(50);
/// How long a machine that is recorded may be busy; after that, what it answers is a matter of chance.
const PATIENCE: Duration = Duration::from_secs(1);

impl Vm {
    /// Waits, at most so long of the host's time, until the machine rests: all that is queued is answered, every thread of its process
    /// sleeps, and the edges of interrupt lines are taken. Whether it came to that.
    ///
    /// Then it has done what it began: queues that it was notified of, transfers to and from images. It goes on when it is asked
    /// something, when the host sends it something, or when a timer of the host's time runs out.
    #[track_caller]
    pub fn settle(&self, within: Duration) -> bool {
        self.sync();
        if self.is_here() {
            // It does nothing by itself.
            return true;
        }
        let end = Instant::now() + within;
        let rests = loop {
            let one = asleep(self.pid());
            // None of them ran between the two looks, so there was a moment at which all slept.
            if one.is_some() && one == asleep(self.pid()) {
                break true;
            }
            if Instant::now() >= end {
                break false;
            }
            std::thread::sleep(PAUSE);
        };
        self.wait_for_edge(Instant::now());
        rests
    }

    /// A barrier; of a machine that is [recorded](Self::record) one at which it rests, so that what is seen next is not decided by how
    /// fast it is. A replay rests there, too.
    #[track_caller]
    pub(crate) fn rest(&self) {
        self.sync();
        let issued = self.with_journal(testjig_qtest::Journal::issued);
        match &mut *self.recorder().borrow_mut() {
            Some(recording) if recording.obstacle.is_none() && recording.rested != Some(issued) => {
                recording.rested = Some(issued);
            }
            _ => return,
        }
        if self.settle(PATIENCE) {
            self.note(|| Noted::Rests);
        } else {
            self.note_obstacle(|| "its machine does not come to rest".into());
        }
    }
}

/// How often each thread of a process went to sleep, if all of them sleep.
fn asleep(pid: u32) -> Option<Vec<(String, u64)>> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut counts = Vec::new();
    for thread in threads {
        let path = thread.ok()?.path();
        // A thread that has ended since is no thread; the second look shows whether another began.
        let status = fs::read_to_string(path.join("status")).ok()?;
        let mut lines = status.lines();
        let mut value = |name: &str| {
            let line = lines.find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().to_owned())
        };
        // proc(5): S sleeps until something comes.
        if !value("State:")?.starts_with('S') {
            return None;
        }
        let count = value("voluntary_ctxt_switches:")?.parse().ok()?;
        counts.push((path.file_name()?.to_string_lossy().into_owned(), count));
    }
    counts.sort_unstable();
    Some(counts)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_asleep_when_all_of_it_is() {
        let mut idle = Command::new("sleep")
            .arg("1000")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut busy = Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        while asleep(idle.id()).is_none() && Instant::now() < end {
            std::thread::sleep(PAUSE);
        }
        let seen = asleep(idle.id());
        let always = (0..1000).all(|_| asleep(busy.id()).is_none());
        for child in [&mut idle, &mut busy] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(seen.is_some_and(|threads| threads.len() == 1));
        assert!(always);
        assert_eq!(asleep(idle.id()), None, "it has ended");
    }
}
