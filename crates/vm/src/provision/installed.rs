//! The provisioned QEMUs that are there: [`list`], [`Installed`], [`remove`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::lock::Lock;
use super::manifest::Manifest;
use super::root::{Root, remove_tree};
use super::{Suite, space};
use crate::{Arch, Cache, FindError, FindErrorKind, Origin, Qemu};

/// A provisioned root: the QEMUs of one version from one suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    directory: PathBuf,
    manifest: Manifest,
}

impl Installed {
    /// The packages' tree within its directory.
    pub(super) const ROOT: &str = "root";

    pub(super) fn read(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            directory: directory.to_owned(),
            manifest: Manifest::read(directory)?,
        })
    }

    /// Its directory: the whole of it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What it is made of.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The architectures it has a QEMU for.
    pub fn archs(&self) -> Vec<Arch> {
        Root(&self.root()).archs()
    }

    /// Bytes it takes on disk.
    pub fn size(&self) -> u64 {
        space::used(&self.directory)
    }

    /// When it was fetched or last added to.
    pub fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.manifest.time)
    }

    /// Its QEMU for an architecture.
    ///
    /// # Errors
    /// If it has none, or one that does not run.
    pub fn qemu(&self, arch: Arch, cache: &Cache) -> Result<Qemu, FindError> {
        let origin = Origin::Provisioned {
            suite: self.manifest.suite.to_string(),
        };
        let invocation = Root(&self.root())
            .invocation(arch)
            .map_err(|error| FindError::of(&self.directory, FindErrorKind::Io(error)))?;
        invocation.probed(Some(arch), origin, cache)
    }

    /// A root whose QEMU is a script.
    #[cfg(test)]
    pub(crate) fn fake(cache: &Cache, suite: &Suite, fake: crate::probe::fake::FakeQemu) -> Self {
        let directory = cache.provisioned().join(format!("{suite}-any/1"));
        let root = directory.join(Self::ROOT);
        let libraries = root.join("usr/lib/x");
        fs::create_dir_all(&libraries).expect("writable");
        fs::write(libraries.join("libc.so.6"), "").expect("writable");
        fake.write(&libraries, "ld-x.so.2");
        fs::create_dir(root.join("usr/bin")).expect("writable");
        let binary = Arch::X86_64.binary_name();
        fs::write(root.join("usr/bin").join(binary), b"\x7fELF").expect("writable");
        let manifest = Manifest {
            suite: suite.clone(),
            dpkg_arch: "any".to_owned(),
            machine: std::env::consts::ARCH.to_owned(),
            version: "1".to_owned(),
            time: 0,
            source: String::new(),
            packages: Vec::new(),
        };
        manifest.write(&directory).expect("writable");
        Self {
            directory,
            manifest,
        }
    }

    pub(super) fn root(&self) -> PathBuf {
        self.directory.join(Self::ROOT)
    }

    pub(super) fn is_for(&self, suite: &Suite, dpkg_arch: &str) -> bool {
        self.manifest.suite == *suite && self.manifest.dpkg_arch == dpkg_arch
    }

    /// Whether its programs are for the kind of machine this is: a home directory may be shared
    /// among several kinds.
    fn is_for_this_machine(&self) -> bool {
        self.manifest.machine == std::env::consts::ARCH
    }
}

/// What is provisioned in a cache, the newest first.
pub fn list(cache: &Cache) -> Vec<Installed> {
    all(cache)
}

pub(super) fn all(cache: &Cache) -> Vec<Installed> {
    let below = |directory: &Path| entries(directory).unwrap_or_default();
    let mut found: Vec<Installed> = below(&cache.provisioned())
        .iter()
        .flat_map(|suite| below(suite))
        .filter(|root| !hidden(root))
        .filter_map(|root| Installed::read(&root).ok())
        .collect();
    found.sort_by(|one, other| {
        let key = |root: &Installed| (root.manifest.time, root.directory.clone());
        key(other).cmp(&key(one))
    });
    found
}

/// The newest root of a suite that has all of the architectures.
pub(crate) fn newest(cache: &Cache, suite: &Suite, archs: &[Arch]) -> Option<Installed> {
    all(cache).into_iter().find(|root| {
        let has = root.archs();
        root.manifest.suite == *suite
            && root.is_for_this_machine()
            && archs.iter().all(|arch| has.contains(arch))
    })
}

/// Beginnings and remains.
fn hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with('.')
}

/// What a removal took away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// The directories that are gone.
    pub directories: Vec<PathBuf>,
    /// The bytes they took.
    pub bytes: u64,
}

/// Removes provisioned QEMUs, those of one suite or all; with all of them goes what is remembered
/// of binaries, and what guests boot. What interrupted downloads left goes with its suite. Nothing outside the cache
/// directory is touched: symbolic links are removed, not followed.
///
/// # Errors
/// If another process is fetching, or something cannot be removed.
pub fn remove(cache: &Cache, suite: Option<&Suite>) -> Result<Removed, RemoveError> {
    let mut removed = Removed::default();
    remove_below(&cache.provisioned(), suite, &mut removed)?;
    if suite.is_none() {
        remove_below(&cache.guests(), None, &mut removed)?;
    }
    let probes = cache.probes();
    if suite.is_none() && fs::symlink_metadata(&probes).is_ok() {
        take(&probes, &mut removed)?;
    }
    Ok(removed)
}

/// Removes what was fetched to a directory, of one suite or all.
fn remove_below(
    directory: &Path,
    suite: Option<&Suite>,
    removed: &mut Removed,
) -> Result<(), RemoveError> {
    match fs::symlink_metadata(directory) {
        Ok(data) if data.is_dir() => {
            let lock = Lock::try_take(directory).map_err(RemoveError::of(directory))?;
            let _lock = lock.map_err(|holder| RemoveError::Busy { holder })?;
            for path in entries(directory).map_err(RemoveError::of(directory))? {
                let chosen = suite.is_none_or(|suite| is_of(&path, suite));
                if chosen && path.is_dir() {
                    take(&path, removed)?;
                }
            }
            if suite.is_none() {
                let lock = directory.join("lock");
                fs::remove_file(&lock).map_err(RemoveError::of(&lock))?;
                // Somebody else's things may be in it.
                let _ = fs::remove_dir(directory);
            }
        }
        // A link to elsewhere, or a file: not what is behind it.
        Ok(_) if suite.is_none() => take(directory, removed)?,
        _ => {}
    }
    Ok(())
}

/// Whether a directory is the home of a suite's roots: `SUITE-MACHINE`.
fn is_of(path: &Path, suite: &Suite) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.rsplit_once('-')
        .is_some_and(|(own, _)| own == suite.name())
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(directory)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect()
}

fn take(path: &Path, removed: &mut Removed) -> Result<(), RemoveError> {
    let bytes = space::used(path);
    remove_tree(path).map_err(RemoveError::of(path))?;
    removed.bytes += bytes;
    removed.directories.push(path.to_owned());
    Ok(())
}

/// Something could not be removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// Another process is fetching.
    #[error(
        "failed to remove what is provisioned: {holder} is fetching a QEMU; try again when it is done"
    )]
    Busy {
        /// Which one, as far as that is known.
        holder: String,
    },
    /// The system refused.
    #[error("failed to remove {}: {error}", path.display())]
    Io {
        /// What was to be removed.
        path: PathBuf,
        /// What came back.
        #[source]
        error: io::Error,
    },
}

impl RemoveError {
    fn of(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }
}
