//! What a binary said the last time, as long as it is certain to be the same one: [`Memory`].

use std::collections::BTreeSet;
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
}

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
        let settled = before.changed.elapsed().is_ok_and(|age| age > SETTLED);
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
        let fingerprint = self.fingerprint.as_ref()?;
        Some(self.directory.join(format!("{}.json", fingerprint.digest)))
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
