//! The provisioned QEMUs that are there: [`list`], [`Installed`], [`remove`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::error::{ProvisionError, ProvisionErrorKind};
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
    let below = |directory: &Path| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
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

/// Removes provisioned QEMUs, those of one suite or all, with what interrupted downloads left and
/// what is remembered of binaries. Nothing outside the cache directory is touched: symbolic links
/// are removed, not followed.
///
/// # Errors
/// If another process is fetching, or something cannot be removed.
pub fn remove(cache: &Cache, suite: Option<&Suite>) -> Result<Removed, ProvisionError> {
    let directory = cache.provisioned();
    let mut removed = Removed::default();
    let failed = |path: &Path, error| ProvisionError::io("remove", path, error);
    // A link to elsewhere is not ours to empty.
    let own = fs::symlink_metadata(&directory).is_ok_and(|data| data.is_dir());
    if own {
        let lock = Lock::try_take(&directory).map_err(|error| failed(&directory, error))?;
        let _lock = lock.map_err(|holder| {
            let said = format!("{holder} is fetching a QEMU");
            ProvisionError::new(ProvisionErrorKind::Tool("the removal".to_owned(), said))
        })?;
        for entry in fs::read_dir(&directory).map_err(|error| failed(&directory, error))? {
            let path = entry.map_err(|error| failed(&directory, error))?.path();
            let is_directory = fs::symlink_metadata(&path).is_ok_and(|data| data.is_dir());
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let chosen = suite.is_none_or(|suite| {
                name.rsplit_once('-')
                    .is_some_and(|(own, _)| own == suite.name())
            });
            if is_directory && chosen {
                take(&path, &mut removed)?;
            }
        }
    } else if fs::symlink_metadata(&directory).is_ok() && suite.is_none() {
        fs::remove_file(&directory).map_err(|error| failed(&directory, error))?;
        removed.directories.push(directory.clone());
    }
    if suite.is_none() {
        let probes = cache.probes();
        if fs::symlink_metadata(&probes).is_ok_and(|data| data.is_dir()) {
            take(&probes, &mut removed)?;
        }
        if own {
            let lock = directory.join("lock");
            fs::remove_file(&lock).map_err(|error| failed(&lock, error))?;
            // Something of somebody else's may be in it.
            let _ = fs::remove_dir(&directory);
        }
    }
    Ok(removed)
}

fn take(path: &Path, removed: &mut Removed) -> Result<(), ProvisionError> {
    let bytes = space::used(path);
    remove_tree(path).map_err(|error| ProvisionError::io("remove", path, error))?;
    removed.bytes += bytes;
    removed.directories.push(path.to_owned());
    Ok(())
}
