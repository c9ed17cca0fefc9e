//! Guests that were booted before: [`Snapshot`].
//!
//! A machine that has booted is written to a directory, as a migration and beside it its [memory](crate::memory), and each later run of an
//! equal machine begins there: it answers in the time that QEMU takes to start. What the state hangs on is in the directory's name, so that
//! whatever changes has another: QEMU's program and modules, its arguments, the kernel, the initial file system. Memory of which a test
//! says more than its size is part of the migration.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testjig_qmp::{Event, Qmp};
use testjig_vm::Qemu;

use crate::memory::Memory;

/// How long writing or reading a machine's state may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Without these a file of a migration with a machine's memory is large and slow; they came with QEMU 9.0. Older ones boot.
const WITH_MEMORY: [&str; 2] = ["mapped-ram", "events"];
/// Leaves out what is in a file of its own.
const WITHOUT_MEMORY: [&str; 2] = ["x-ignore-shared", "events"];
/// What is in the directory of a state.
const MACHINE: &str = "machine";
const MEMORY: &str = "memory";

/// How many states are kept; each takes about 100 MB.
const MOST: usize = 24;
/// How long one is kept that nobody begins in.
const OLDEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// The place of a machine's state.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    path: PathBuf,
    /// The size of the machine's memory, if it lies beside the rest.
    memory: Option<u64>,
}

impl Snapshot {
    /// The place of the state of a machine that is started so. `variable` is what differs in the arguments of equal machines: the
    /// directory of a run.
    pub(crate) fn of(
        home: &Path,
        qemu: &Qemu,
        words: &[String],
        files: [&Path; 2],
        variable: &[&str],
        memory: Option<u64>,
    ) -> io::Result<Self> {
        let mut key = Sha256::new();
        add_program(&mut key, qemu)?;
        for file in files {
            add_file(&mut key, file)?;
        }
        key.update(memory.unwrap_or_default().to_le_bytes());
        for word in words {
            let mut word = word.clone();
            for part in variable {
                word = word.replace(part, "\0");
            }
            key.update(word);
            key.update([0xff]);
        }
        let key = const_hex::encode(key.finalize());
        Ok(Self {
            path: home.join(format!("{}.state", &key[..32])),
            memory,
        })
    }

    /// Memory for a machine whose state is to be kept.
    pub(crate) fn new_memory(&self) -> io::Result<Option<Memory>> {
        self.memory.map(Memory::new).transpose()
    }

    /// The memory of a machine that is to begin here; what is wrong with it shows when it is restored.
    pub(crate) fn memory(&self) -> Option<Memory> {
        let file = fs::File::open(self.path.join(MEMORY)).ok()?;
        Memory::copied(file, self.memory?).ok()
    }

    fn capabilities(&self) -> [&'static str; 2] {
        if self.memory.is_some() {
            WITHOUT_MEMORY
        } else {
            WITH_MEMORY
        }
    }

    /// Whether there is a state.
    pub(crate) fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// Forgets a state that was of no use.
    pub(crate) fn forget(&self) {
        let _ = fs::remove_dir_all(&self.path);
    }

    /// Has a machine that was started with `-incoming defer` go on from the state.
    pub(crate) fn restore(&self, qmp: &mut Qmp) -> Result<(), String> {
        if self.memory.is_some() && self.memory().is_none() {
            return Err("its memory is not there, or not whole".to_owned());
        }
        self.prepare(qmp)?;
        let uri = format!("file:{}", self.path.join(MACHINE).display());
        migrate(qmp, "migrate-incoming", &uri)?;
        // So that the states that are used are the last to go.
        let _ = fs::File::open(&self.path).and_then(|file| file.set_modified(SystemTime::now()));
        // It stood still when it was written.
        go_on(qmp)
    }

    /// Writes the state of a running machine, which stands still meanwhile.
    pub(crate) fn save(&self, qmp: &mut Qmp, memory: Option<&Memory>) -> Result<(), String> {
        let home = self.path.parent().unwrap_or(Path::new("/"));
        let failed = |error: io::Error| format!("failed to write to {}: {error}", home.display());
        fs::create_dir_all(home).map_err(failed)?;
        self.prepare(qmp)?;
        let made = tempfile::Builder::new()
            .prefix(".state-")
            .tempdir_in(home)
            .map_err(failed)?;
        execute(qmp, "stop", Value::Null)?;
        let uri = format!("file:{}", made.path().join(MACHINE).display());
        let mut written = migrate(qmp, "migrate", &uri);
        if let Some(memory) = memory {
            let copied = fs::File::create(made.path().join(MEMORY)).and_then(|to| memory.copy(&to));
            written = written.and(copied.map_err(failed));
        }
        // It goes on in any case.
        go_on(qmp)?;
        written?;
        // Where another run was faster, its state stays: both parts of a state are of one machine.
        match fs::rename(made.path(), &self.path) {
            Ok(()) => drop(made.keep()),
            Err(_) if self.exists() => {}
            Err(error) => return Err(failed(error)),
        }
        // What can't be tidied now can be the next time.
        let _ = tidy(home, MOST, OLDEST);
        Ok(())
    }

    fn prepare(&self, qmp: &mut Qmp) -> Result<(), String> {
        let on: Vec<Value> = self
            .capabilities()
            .iter()
            .map(|name| json!({"capability": name, "state": true}))
            .collect();
        execute(qmp, "migrate-set-capabilities", json!({"capabilities": on}))
    }
}

/// Adds to a key what it hangs on if it hangs on a QEMU.
pub(crate) fn add_program(key: &mut Sha256, qemu: &Qemu) -> io::Result<()> {
    add_file(key, qemu.binary())?;
    key.update(qemu.version.to_string());
    Ok(())
}

/// The same of a file, as far as that is told without reading it.
fn add_file(key: &mut Sha256, file: &Path) -> io::Result<()> {
    let data = fs::metadata(file)?;
    key.update(file.as_os_str().as_encoded_bytes());
    for number in [data.size(), data.ino()] {
        key.update(number.to_le_bytes());
    }
    for number in [data.mtime(), data.mtime_nsec()] {
        key.update(number.to_le_bytes());
    }
    Ok(())
}

/// Removes the states that were not used for longest, and what writers that were ended have left.
fn tidy(home: &Path, most: usize, oldest: Duration) -> io::Result<()> {
    let now = SystemTime::now();
    let mut states = Vec::new();
    for entry in fs::read_dir(home)? {
        let entry = entry?;
        let used = entry.metadata()?.modified()?;
        let age = now.duration_since(used).unwrap_or_default();
        let is_state = entry.path().extension().is_some_and(|end| end == "state");
        if age > if is_state { oldest } else { 2 * PATIENCE } {
            remove(&entry.path())?;
        } else if is_state {
            states.push((used, entry.path()));
        }
    }
    states.sort();
    for (_, path) in states.iter().rev().skip(most) {
        remove(path)?;
    }
    Ok(())
}

/// Removes a state, or what an earlier version of testjig has left: a file.
fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

/// Lets a machine run again. That its migration is complete is told a moment before it is so, and nothing tells of that moment.
fn go_on(qmp: &mut Qmp) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match execute(qmp, "cont", Value::Null) {
            Err(problem) if problem.contains("not finalized") && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(1));
            }
            result => return result,
        }
    }
}

fn finished(event: &Event) -> bool {
    let status = &event.data()["status"];
    event.name() == "MIGRATION" && (status == "completed" || status == "failed")
}

fn migrate(qmp: &mut Qmp, command: &str, uri: &str) -> Result<(), String> {
    execute(qmp, command, json!({"uri": uri}))?;
    let event = qmp
        .wait_event(finished, Instant::now() + PATIENCE)
        .map_err(|error| format!("{command}: {error}"))?;
    if event.data()["status"] == "completed" {
        return Ok(());
    }
    let info = execute_raw(qmp, "query-migrate", Value::Null)?;
    Err(format!(
        "{command} failed: {}",
        info["error-desc"].as_str().unwrap_or("no reason is given")
    ))
}

fn execute(qmp: &mut Qmp, command: &str, arguments: Value) -> Result<(), String> {
    execute_raw(qmp, command, arguments).map(drop)
}

fn execute_raw(qmp: &mut Qmp, command: &str, arguments: Value) -> Result<Value, String> {
    qmp.execute_raw(command, arguments)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_that_were_not_used_for_longest_go_first() {
        let home = tempfile::tempdir().expect("a directory");
        let minutes = |count: u64| Duration::from_secs(60 * count);
        for (name, age) in [
            ("a.state", 5),
            ("b.state", 1),
            ("c.state", 3),
            ("d.state", 100),
            (".state-new", 1),
            (".state-old", 10),
        ] {
            let path = home.path().join(name);
            // Earlier versions had files.
            if name == "d.state" {
                fs::write(&path, "").expect("writable");
            } else {
                fs::create_dir(&path).expect("writable");
                fs::write(path.join(MACHINE), "").expect("writable");
            }
            let file = fs::File::open(path).expect("it is there");
            let then = SystemTime::now() - minutes(age);
            file.set_modified(then).expect("it can be set");
        }
        tidy(home.path(), 2, minutes(50)).expect("tidied");
        let mut left: Vec<_> = fs::read_dir(home.path())
            .expect("it is there")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        left.sort();
        assert_eq!(left, [".state-new", "b.state", "c.state"]);
    }
}
