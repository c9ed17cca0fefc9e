//! Guests that were booted before: [`Snapshot`].
//!
//! A machine that has booted is written to a file, as a migration, and each later run of an equal machine begins there: it answers in the
//! time that QEMU takes to start and to read the file. What the state hangs on is in the file's name, so that whatever changes has another
//! file: QEMU's program and modules, its arguments, the kernel, the initial file system.

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

/// How long writing or reading a machine's state may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The fewest capabilities without which a file of a migration is large and slow, QEMU 9.0's. Older ones boot.
const CAPABILITIES: [&str; 2] = ["mapped-ram", "events"];

/// How many states are kept; each takes about 100 MB.
const MOST: usize = 24;
/// How long one is kept that nobody begins in.
const OLDEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// The place of a machine's state.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    path: PathBuf,
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
    ) -> io::Result<Self> {
        let mut key = Sha256::new();
        for file in [qemu.binary(), files[0], files[1]] {
            let data = fs::metadata(file)?;
            key.update(file.as_os_str().as_encoded_bytes());
            for number in [data.size(), data.ino()] {
                key.update(number.to_le_bytes());
            }
            for number in [data.mtime(), data.mtime_nsec()] {
                key.update(number.to_le_bytes());
            }
        }
        key.update(qemu.version.to_string());
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
        })
    }

    /// Whether there is a state.
    pub(crate) fn exists(&self) -> bool {
        self.path.is_file()
    }

    /// Forgets a state that was of no use.
    pub(crate) fn forget(&self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Has a machine that was started with `-incoming defer` go on from the state.
    pub(crate) fn restore(&self, qmp: &mut Qmp) -> Result<(), String> {
        prepare(qmp)?;
        let uri = format!("file:{}", self.path.display());
        migrate(qmp, "migrate-incoming", &uri)?;
        // So that the states that are used are the last to go.
        let _ = fs::File::options()
            .append(true)
            .open(&self.path)
            .and_then(|file| file.set_modified(SystemTime::now()));
        // It stood still when it was written.
        go_on(qmp)
    }

    /// Writes the state of a running machine, which stands still meanwhile.
    pub(crate) fn save(&self, qmp: &mut Qmp) -> Result<(), String> {
        let home = self.path.parent().unwrap_or(Path::new("/"));
        let failed = |error: io::Error| format!("failed to write to {}: {error}", home.display());
        fs::create_dir_all(home).map_err(failed)?;
        prepare(qmp)?;
        let file = tempfile::Builder::new()
            .prefix(".state-")
            .tempfile_in(home)
            .map_err(failed)?;
        execute(qmp, "stop", Value::Null)?;
        let uri = format!("file:{}", file.path().display());
        let written = migrate(qmp, "migrate", &uri);
        // It goes on in any case.
        go_on(qmp)?;
        written?;
        file.persist(&self.path)
            .map_err(|error| failed(error.error))?;
        // What can't be tidied now can be the next time.
        let _ = tidy(home, MOST, OLDEST);
        Ok(())
    }
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
            fs::remove_file(entry.path())?;
        } else if is_state {
            states.push((used, entry.path()));
        }
    }
    states.sort();
    for (_, path) in states.iter().rev().skip(most) {
        fs::remove_file(path)?;
    }
    Ok(())
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

fn prepare(qmp: &mut Qmp) -> Result<(), String> {
    let on: Vec<Value> = CAPABILITIES
        .iter()
        .map(|name| json!({"capability": name, "state": true}))
        .collect();
    execute(qmp, "migrate-set-capabilities", json!({"capabilities": on}))
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
            let file = fs::File::create(home.path().join(name)).expect("writable");
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
