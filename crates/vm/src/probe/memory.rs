//! What a binary said the last time, as long as it is certain to be the same one: [`Memory`].

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::Facts;
use crate::Cache;
use crate::binary::Invocation;

/// Changes with the questions that are asked, and with what the answers mean.
const QUESTIONS: u32 = 1;
/// How much of a binary's beginning and end goes into its fingerprint. The beginning holds the
/// headers and, as linkers place it, the build id; the end the section table.
const EDGE: usize = 4096;
/// A file written this recently could be written again without its time showing it.
const SETTLED: Duration = Duration::from_secs(1);
/// As many binaries are remembered; mutation tools make one for each change.
const REMEMBERED: usize = 64;

/// The place of what one binary said.
///
/// It is named by a fingerprint of everything that the answers depend on, taken before the binary
/// was asked. Where that cannot be had, nothing is remembered: a script decides anew each time
/// what it starts, and asking costs a tenth of a second.
pub(super) struct Memory<'a> {
    invocation: &'a Invocation,
    directory: PathBuf,
    fingerprint: Option<Fingerprint>,
    settled: Duration,
}

/// The names of properties, by device type.
type Properties = BTreeMap<String, BTreeSet<String>>;

#[derive(Clone, PartialEq, Eq)]
struct Fingerprint {
    digest: String,
    changed: SystemTime,
}

impl<'a> Memory<'a> {
    pub(super) fn of(invocation: &'a Invocation, cache: &Cache) -> Self {
        Self {
            invocation,
            directory: cache.probes(),
            fingerprint: fingerprint(invocation),
            settled: SETTLED,
        }
    }

    /// What it said, if it was asked before. What does not read as that is as good as nothing.
    pub(super) fn recall(&self) -> Option<Facts> {
        serde_json::from_slice(&fs::read(self.file()?).ok()?).ok()
    }

    /// Remembers what it said. A cache that takes nothing costs the next run its time, no more.
    pub(super) fn keep(&self, facts: &Facts) {
        let _ = self.try_keep(facts);
    }

    fn try_keep(&self, facts: &Facts) -> io::Result<()> {
        let (Some(file), Some(before)) = (self.file(), &self.fingerprint) else {
            return Ok(());
        };
        let after = fingerprint(self.invocation);
        let settled = before
            .changed
            .elapsed()
            .is_ok_and(|age| age >= self.settled);
        if after.as_ref() != Some(before) || !settled {
            return Ok(());
        }
        fs::create_dir_all(&self.directory)?;
        self.forget_old_ones()?;
        let mut new = tempfile::NamedTempFile::new_in(&self.directory)?;
        new.write_all(&serde_json::to_vec(facts)?)?;
        new.persist(file)?;
        Ok(())
    }

    fn file(&self) -> Option<PathBuf> {
        self.named("json")
    }

    fn named(&self, extension: &str) -> Option<PathBuf> {
        let fingerprint = self.fingerprint.as_ref()?;
        let name = format!("{}.{extension}", fingerprint.digest);
        Some(self.directory.join(name))
    }

    /// The properties of the device types that it was asked about.
    pub(super) fn recall_properties(&self) -> Properties {
        let file = self.named("properties");
        let bytes = file.and_then(|file| fs::read(file).ok());
        bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Remembers them, if what it said of itself is remembered: a binary that is certain to be the same one.
    pub(super) fn keep_properties(&self, properties: &Properties) {
        let _ = self.try_keep_properties(properties);
    }

    fn try_keep_properties(&self, properties: &Properties) -> io::Result<()> {
        let (Some(facts), Some(file)) = (self.file(), self.named("properties")) else {
            return Ok(());
        };
        if !facts.exists() || fingerprint(self.invocation) != self.fingerprint {
            return Ok(());
        }
        let mut new = tempfile::NamedTempFile::new_in(&self.directory)?;
        new.write_all(&serde_json::to_vec(properties)?)?;
        new.persist(file)?;
        Ok(())
    }

    fn forget_old_ones(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.directory)?
            .filter_map(Result::ok)
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        files.sort();
        for (_, file) in files.iter().rev().skip(REMEMBERED - 1) {
            fs::remove_file(file)?;
        }
        Ok(())
    }
}

/// Everything the answers depend on: the binary, how it is started, the modules it may load.
fn fingerprint(invocation: &Invocation) -> Option<Fingerprint> {
    let subject = invocation.subject.canonicalize().ok()?;
    let file = File::open(&subject).ok()?;
    let data = file.metadata().ok()?;
    let edges = edges(&file, data.len()).ok()?;
    if !edges.starts_with(b"\x7fELF") {
        return None;
    }
    let mut digest = Sha256::new();
    let mut add = |part: &[u8]| {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    };
    add(&QUESTIONS.to_le_bytes());
    add(env!("CARGO_PKG_VERSION").as_bytes());
    add(subject.as_os_str().as_bytes());
    add(&identity(&data));
    add(&edges);
    add(invocation.program.as_os_str().as_bytes());
    for arg in &invocation.leading_args {
        add(arg.as_bytes());
    }
    let given = |name: &str| {
        let own = invocation.env.iter().find(|(own, _)| own == name);
        own.map(|(_, value)| value.clone())
            .or_else(|| env::var_os(name))
    };
    for name in ["LD_LIBRARY_PATH", "LD_PRELOAD", "QEMU_MODULE_DIR"] {
        add(given(name).as_deref().map_or(b"unset", OsStrExt::as_bytes));
    }
    let mut changed = change(&data);
    for directory in module_directories(&subject, given("QEMU_MODULE_DIR").as_deref()) {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        add(directory.as_os_str().as_bytes());
        let mut modules: Vec<(PathBuf, Metadata)> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| Some((entry.path(), fs::metadata(entry.path()).ok()?)))
            .filter(|(path, _)| path.extension() == Some(OsStr::new("so")))
            .collect();
        modules.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (path, data) in modules {
            add(path.as_os_str().as_bytes());
            add(&identity(&data));
            changed = changed.max(change(&data));
        }
    }
    let digest = const_hex::encode(&digest.finalize()[..16]);
    Some(Fingerprint { digest, changed })
}

/// The beginning and the end of a file.
fn edges(file: &File, length: u64) -> io::Result<Vec<u8>> {
    let mut edges = vec![0; 2 * EDGE];
    let (beginning, end) = edges.split_at_mut(EDGE);
    let read = file.read_at(beginning, 0)?;
    file.read_at(end, length.saturating_sub(EDGE as u64))?;
    // A file shorter than an edge is in it whole, and again in the other.
    edges.truncate(if read < EDGE { read } else { 2 * EDGE });
    Ok(edges)
}

/// What tells one state of a file from any other. The time of the last change of the inode cannot
/// be set back by those who set the time of the last write.
fn identity(data: &Metadata) -> [u8; 56] {
    let numbers = [
        data.dev() as i64,
        data.ino() as i64,
        data.len() as i64,
        data.mtime(),
        data.mtime_nsec(),
        data.ctime(),
        data.ctime_nsec(),
    ];
    let mut bytes = [0; 56];
    for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

fn change(data: &Metadata) -> SystemTime {
    let since = Duration::new(
        data.ctime().try_into().unwrap_or(0),
        data.ctime_nsec().try_into().unwrap_or(0),
    );
    SystemTime::UNIX_EPOCH + since
}

/// Where a QEMU looks for modules: where it is told to, else in the directory its builder chose,
/// which it does not tell. So all that packagers choose, beside the binary and below `/usr`.
fn module_directories(subject: &Path, told: Option<&OsStr>) -> BTreeSet<PathBuf> {
    if let Some(told) = told {
        return BTreeSet::from([PathBuf::from(told)]);
    }
    let beside = subject.parent();
    let prefixes = [
        beside.and_then(Path::parent),
        Some(Path::new("/usr")),
        Some(Path::new("/usr/local")),
    ];
    let mut directories: BTreeSet<PathBuf> = beside.map(Path::to_owned).into_iter().collect();
    for prefix in prefixes.into_iter().flatten() {
        directories.insert(prefix.join("lib64/qemu"));
        directories.insert(prefix.join("lib/qemu"));
        let triplets = fs::read_dir(prefix.join("lib"))
            .into_iter()
            .flatten()
            .flatten();
        directories.extend(
            triplets
                .map(|entry| entry.path().join("qemu"))
                .filter(|directory| directory.is_dir()),
        );
    }
    directories
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;
    use crate::binary::{Capabilities, Version};

    struct Trial {
        directory: TempDir,
        invocation: Invocation,
        cache: Cache,
    }

    impl Trial {
        /// A binary beside an empty directory for its modules.
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let program = directory.path().join("qemu");
            fs::write(&program, b"\x7fELF one").expect("a writable directory");
            let modules = directory.path().join("modules");
            fs::create_dir(&modules).expect("a writable directory");
            Self {
                invocation: Invocation {
                    subject: program.clone(),
                    program,
                    leading_args: Vec::new(),
                    env: vec![("QEMU_MODULE_DIR".to_owned(), modules.into())],
                },
                cache: Cache::at(directory.path().join("cache")).expect("writable"),
                directory,
            }
        }

        /// As it is now; what was written just now counts.
        fn memory(&self) -> Memory<'_> {
            Memory {
                settled: Duration::ZERO,
                ..Memory::of(&self.invocation, &self.cache)
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }
    }

    fn facts() -> Facts {
        Facts {
            target: "x86_64".to_owned(),
            version: serde_json::from_str::<Version>(
                r#"{"qemu": {"major": 11, "minor": 1, "micro": 3}, "package": ""}"#,
            )
            .expect("a version"),
            caps: Capabilities {
                clock: true,
                running: true,
                qtest_accel: true,
                monitor_qmp_object: true,
                machines: BTreeSet::from(["pc".to_owned()]),
                ram_ids: BTreeMap::new(),
                devices: BTreeSet::new(),
                objects: BTreeSet::new(),
                properties: BTreeMap::new(),
            },
        }
    }

    #[test]
    fn what_was_said_is_remembered() {
        let trial = Trial::new();
        assert_eq!(trial.memory().recall(), None);
        trial.memory().keep(&facts());
        assert_eq!(trial.memory().recall(), Some(facts()));
    }

    #[test]
    fn another_content_of_the_same_length_and_time_is_another_binary() {
        let trial = Trial::new();
        trial.memory().keep(&facts());
        let program = trial.path("qemu");
        let time = fs::metadata(&program)
            .and_then(|data| data.modified())
            .expect("a time");
        fs::write(&program, b"\x7fELF two").expect("writable");
        let file = File::options()
            .write(true)
            .open(&program)
            .expect("writable");
        file.set_modified(time).expect("our file");
        assert_eq!(trial.memory().recall(), None);
    }

    #[test]
    fn a_replaced_file_is_another_binary() {
        let trial = Trial::new();
        trial.memory().keep(&facts());
        fs::write(trial.path("new"), b"\x7fELF one").expect("writable");
        fs::rename(trial.path("new"), trial.path("qemu")).expect("writable");
        assert_eq!(trial.memory().recall(), None);
    }

    #[test]
    fn a_link_that_points_elsewhere_now_is_another_binary() {
        let mut trial = Trial::new();
        fs::write(trial.path("other"), b"\x7fELF one").expect("writable");
        let link = trial.path("link");
        symlink(trial.path("qemu"), &link).expect("writable");
        trial.invocation.subject.clone_from(&link);
        trial.memory().keep(&facts());
        assert_eq!(trial.memory().recall(), Some(facts()));
        fs::remove_file(&link).expect("writable");
        symlink(trial.path("other"), &link).expect("writable");
        assert_eq!(trial.memory().recall(), None);
    }

    #[test]
    fn a_module_that_comes_or_changes_makes_the_answers_unknown() {
        let trial = Trial::new();
        trial.memory().keep(&facts());
        let module = trial.path("modules/accel-qtest.so");
        fs::write(&module, "one").expect("writable");
        assert_eq!(trial.memory().recall(), None);
        trial.memory().keep(&facts());
        assert_eq!(trial.memory().recall(), Some(facts()));
        fs::write(&module, "two").expect("writable");
        assert_eq!(trial.memory().recall(), None);
    }

    #[test]
    fn how_it_is_started_is_part_of_what_it_is() {
        let mut trial = Trial::new();
        trial.memory().keep(&facts());
        trial.invocation.leading_args.push("-L".into());
        assert_eq!(trial.memory().recall(), None);
        trial.invocation.leading_args.clear();
        trial
            .invocation
            .env
            .push(("LD_PRELOAD".to_owned(), "x.so".into()));
        assert_eq!(trial.memory().recall(), None);
    }

    #[test]
    fn a_script_is_never_remembered() {
        let trial = Trial::new();
        fs::write(trial.path("qemu"), "#!/bin/sh\n").expect("writable");
        trial.memory().keep(&facts());
        assert_eq!(trial.memory().recall(), None);
    }

    #[test]
    fn a_file_that_was_written_just_now_is_not_remembered() {
        let trial = Trial::new();
        Memory::of(&trial.invocation, &trial.cache).keep(&facts());
        assert_eq!(trial.memory().recall(), None);
    }

    #[test]
    fn what_changed_while_it_was_asked_is_not_remembered() {
        let trial = Trial::new();
        let before = trial.memory();
        fs::write(trial.path("qemu"), b"\x7fELF two").expect("writable");
        before.keep(&facts());
        assert!(!trial.cache.probes().exists());
    }

    #[test]
    fn a_damaged_record_is_as_good_as_none_and_is_replaced() {
        let trial = Trial::new();
        let memory = trial.memory();
        memory.keep(&facts());
        let file = memory.file().expect("an ELF file");
        for damage in ["", "{", "{\"target\": 7}"] {
            fs::write(&file, damage).expect("writable");
            assert_eq!(memory.recall(), None);
        }
        memory.keep(&facts());
        assert_eq!(memory.recall(), Some(facts()));
    }

    #[test]
    fn a_cache_that_takes_nothing_is_no_error() {
        let trial = Trial::new();
        fs::write(trial.cache.probes(), "a file where the directory should be").expect("writable");
        trial.memory().keep(&facts());
        assert_eq!(trial.memory().recall(), None);
    }

    #[test]
    fn of_many_binaries_the_oldest_are_forgotten() {
        let trial = Trial::new();
        let probes = trial.cache.probes();
        fs::create_dir(&probes).expect("writable");
        for number in 0..REMEMBERED + 10 {
            fs::write(probes.join(format!("{number}.json")), "").expect("writable");
        }
        trial.memory().keep(&facts());
        let left = fs::read_dir(&probes).expect("it is there").count();
        assert_eq!(left, REMEMBERED);
        assert_eq!(trial.memory().recall(), Some(facts()));
    }
}
