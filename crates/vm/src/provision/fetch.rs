//! From a suite's name to a root that is in place: [`Request`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::apt::Apt;
use super::error::{ProvisionError, ProvisionErrorKind};
use super::installed::{self, Installed};
use super::lock::Lock;
use super::manifest::Manifest;
use super::plan::{self, Package};
use super::progress::Progress;
use super::root::{Root, has_checksum, linked_copy, remove_tree};
use super::sources::Archive;
use super::suite::packages;
use super::tools::Tools;
use super::{Suite, space};
use crate::{Arch, Cache};

/// apt's state while fetching.
pub(super) const WORK: &str = ".work";
/// What a root in the making is called until it is complete.
pub(super) const STAGING: &str = ".staging-";
/// How often a mirror that is being updated is asked for its lists anew.
const ATTEMPTS: usize = 3;
/// Bytes for apt's lists and what it makes of them (sid's, November 2026: 75 MB).
pub(super) const LISTS: u64 = 100_000_000;
/// Bytes for a first root besides: packages and what they unpack to (sid's for x86: 38 and 181 MB).
const FIRST_ROOT: u64 = 240_000_000;
/// Unpacked, packages take up to five times their size.
const UNPACKED: u64 = 5;

/// What is wanted, and with what it is to be had.
pub(super) struct Request<'a> {
    pub(super) archs: &'a [Arch],
    pub(super) suite: &'a Suite,
    pub(super) tools: &'a Tools,
    pub(super) cache: &'a Cache,
    pub(super) progress: &'a dyn Progress,
    /// Whether to look for newer versions though there is one.
    pub(super) fresh: bool,
}

/// Packages that lie ready, all of a closure.
struct Fetched {
    source: String,
    closure: Vec<Package>,
    /// A root that has some of them in the same versions.
    base: Option<Installed>,
    debs: PathBuf,
}

impl Request<'_> {
    pub(super) fn fulfil(&self) -> Result<Installed, ProvisionError> {
        let directory = self.cache.provisioned();
        fit_for_paths(&directory)?;
        let made = |path: &Path| {
            fs::create_dir_all(path).map_err(|error| ProvisionError::io("create", path, error))
        };
        made(&directory)?;
        let _lock = Lock::take(&directory, self.progress)?;
        // Whoever had the lock before may have fetched just this.
        if !self.fresh {
            if let Some(installed) = installed::newest(self.cache, self.suite, self.archs) {
                return Ok(installed);
            }
        }
        let home = directory.join(format!("{}-{}", self.suite, self.tools.dpkg_arch));
        made(&home)?;
        sweep(&home)?;
        let work = home.join(WORK);
        let result = self
            .fetch(&work)
            .and_then(|fetched| self.build(&home, &fetched));
        // Packages that are there are kept for the next attempt, unless they would be in its way.
        let keep = match &result {
            Ok(_) => false,
            Err(error) => !matches!(error.kind(), ProvisionErrorKind::NoSpace { .. }),
        };
        let worth_keeping =
            || fs::read_dir(work.join("debs")).is_ok_and(|mut debs| debs.next().is_some());
        if !(keep && worth_keeping()) {
            remove_tree(&work).map_err(|error| ProvisionError::io("remove", &work, error))?;
        }
        // Fails if it is not empty, which is well.
        let _ = fs::remove_dir(&home);
        result.map_err(|error| error.in_place(&directory))
    }

    fn fetch(&self, work: &Path) -> Result<Fetched, ProvisionError> {
        of_archives(self.tools, |archive| self.fetch_from(archive, work))
    }

    fn fetch_from(&self, archive: &Archive, work: &Path) -> Result<Fetched, ProvisionError> {
        let source = archive.paragraph(&self.suite.with_base(), &self.tools.dpkg_arch);
        let apt = Apt::prepare(self.tools, work, &source, self.suite)?;
        let roots = installed::all(self.cache);
        let first = !roots
            .iter()
            .any(|root| root.is_for(self.suite, &self.tools.dpkg_arch));
        enough_room(work, LISTS + if first { FIRST_ROOT } else { 0 })?;
        self.progress.stage(&format!(
            "reading the package lists of Debian {}",
            self.suite
        ));
        apt.update().inspect_err(|_| apt.forget())?;
        let closure = self.closure(&apt).inspect_err(|_| apt.forget())?;

        let base = roots
            .into_iter()
            .filter(|root| root.is_for(self.suite, &self.tools.dpkg_arch))
            .find(|root| root.manifest().agrees_with(&closure));
        let wanted = |package: &&Package| {
            !base
                .as_ref()
                .is_some_and(|base| base.manifest().has(package))
        };
        let missing: Vec<&Package> = closure.iter().filter(wanted).collect();
        download(&apt, &missing, work, self.progress)?;
        Ok(Fetched {
            source,
            closure,
            base,
            debs: apt.debs(),
        })
    }

    /// All packages that the architectures' QEMUs need. Where a suite does not have a package, the
    /// one that held the QEMU in other releases is tried.
    fn closure(&self, apt: &Apt) -> Result<Vec<Package>, ProvisionError> {
        let mut guess = 0;
        let printed = loop {
            let mut names: Vec<&str> = Vec::new();
            for arch in self.archs {
                let packages = packages(*arch);
                let name = packages[guess.min(packages.len() - 1)];
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            let guesses = self.archs.iter().map(|arch| packages(*arch).len()).max();
            match apt.plan(&names) {
                Ok(printed) => break printed,
                Err(error)
                    if matches!(error.kind(), ProvisionErrorKind::NoPackage(_))
                        && Some(guess + 1) < guesses =>
                {
                    guess += 1;
                }
                Err(error) => return Err(error),
            }
        };
        let mut closure = plan::packages(&printed).map_err(|line| {
            let said = format!("an answer that is not understood: {line}");
            ProvisionError::new(ProvisionErrorKind::Tool("apt-get".to_owned(), said))
        })?;
        // Nothing in a root starts services.
        closure.retain(|package| package.name != "systemd");
        closure.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(closure)
    }

    /// Unpacks beside the place and then moves it there in one step.
    fn build(&self, home: &Path, fetched: &Fetched) -> Result<Installed, ProvisionError> {
        let failed = |error| ProvisionError::io("write to", home, error);
        let staging = tempfile::Builder::new()
            .prefix(STAGING)
            .tempdir_in(home)
            .map_err(failed)?;
        let tree = staging.path().join(Installed::ROOT);
        match &fetched.base {
            Some(base) => linked_copy(&base.root(), &tree).map_err(failed)?,
            None => fs::create_dir(&tree).map_err(failed)?,
        }
        let new: Vec<&Package> = fetched
            .closure
            .iter()
            .filter(|package| {
                !fetched
                    .base
                    .as_ref()
                    .is_some_and(|base| base.manifest().has(package))
            })
            .collect();
        self.progress
            .stage(&format!("unpacking {} packages", new.len()));
        let root = Root(&tree);
        root.unpack(&new, &fetched.debs, &self.tools.dpkg_deb, self.progress)?;
        let archs = root.archs();
        if let Some(missing) = self.archs.iter().find(|arch| !archs.contains(arch)) {
            let said = format!("its packages hold no {}", missing.binary_name());
            return Err(ProvisionError::new(ProvisionErrorKind::NoPackage(said)));
        }
        let manifest = self.manifest(fetched);
        manifest.write(staging.path()).map_err(failed)?;
        let staged = staging.path().to_owned();
        let place = if let Some(base) = &fetched.base {
            exchange(&staged, base.directory()).map_err(failed)?;
            base.directory().to_owned()
        } else {
            let place = free_name(home, &manifest.version);
            fs::rename(staging.keep(), &place).map_err(failed)?;
            place
        };
        Installed::read(&place).map_err(failed)
    }

    fn manifest(&self, fetched: &Fetched) -> Manifest {
        let mut packages = fetched.closure.clone();
        if let Some(base) = &fetched.base {
            let own =
                |package: &&Package| !fetched.closure.iter().any(|new| new.name == package.name);
            packages.extend(base.manifest().packages.iter().filter(own).cloned());
            packages.sort_by(|one, other| one.name.cmp(&other.name));
        }
        let version_of = |wanted: &str| {
            let mut packages = packages.iter();
            packages
                .find(|package| package.name == wanted)
                .map(|package| package.version.clone())
        };
        let version = version_of(Manifest::COMMON)
            .or_else(|| version_of(super::suite::packages(self.archs[0])[0]))
            .unwrap_or_else(|| "unknown".to_owned());
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Manifest {
            suite: self.suite.clone(),
            dpkg_arch: self.tools.dpkg_arch.clone(),
            machine: std::env::consts::ARCH.to_owned(),
            version,
            time: now.map_or(0, |now| now.as_secs()),
            source: fetched.source.clone(),
            packages,
        }
    }
}

/// Asks each archive in turn, and an archive that is being updated several times.
pub(super) fn of_archives<T>(
    tools: &Tools,
    fetch: impl Fn(&Archive) -> Result<T, ProvisionError>,
) -> Result<T, ProvisionError> {
    let mut first_error = None;
    for archive in &tools.archives {
        let mut attempts = 0;
        let error = loop {
            attempts += 1;
            let error = match fetch(archive) {
                Ok(fetched) => return Ok(fetched),
                Err(error) => error,
            };
            let again = matches!(error.kind(), ProvisionErrorKind::MirrorMidUpdate(_));
            if !again || attempts == ATTEMPTS {
                break error;
            }
        };
        if matches!(
            error.kind(),
            ProvisionErrorKind::NoSpace { .. }
                | ProvisionErrorKind::CacheNotWritable { .. }
                | ProvisionErrorKind::Io(..)
        ) {
            return Err(error);
        }
        first_error = first_error.or(Some(error));
    }
    Err(first_error.unwrap_or_else(|| ProvisionError::new(ProvisionErrorKind::NotDebian)))
}

/// Downloads those of the packages that do not lie ready, whole and as the index says; there is room to unpack all of them then.
pub(super) fn download(
    apt: &Apt,
    packages: &[&Package],
    work: &Path,
    progress: &dyn Progress,
) -> Result<(), ProvisionError> {
    let size = |packages: &[&Package]| packages.iter().map(|package| package.size).sum::<u64>();
    let to_unpack = size(packages);
    let mut to_download = Vec::new();
    for &package in packages {
        let file = apt.debs().join(&package.file);
        let failed = |error| ProvisionError::io("check", &file, error);
        if has_checksum(&file, package).map_err(failed)? {
            continue;
        }
        // apt goes on with a part of a file, but takes one of the right length for the file.
        if fs::metadata(&file).is_ok_and(|file| file.len() >= package.size) {
            fs::remove_file(&file).map_err(failed)?;
        }
        to_download.push(package);
    }
    let total = size(&to_download);
    enough_room(work, total + UNPACKED * to_unpack)?;
    if to_download.is_empty() {
        return Ok(());
    }
    progress.stage(&format!("downloading {} packages", to_download.len()));
    let names: Vec<String> = to_download
        .iter()
        .map(|package| format!("{}={}", package.name, package.version))
        .collect();
    apt.download(&names, |status| {
        progress.bytes(total * status.millionths / 1_000_000, total);
    })
    .inspect_err(|_| apt.forget())
}

/// The loader cuts its paths at colons and semicolons; apt's configuration has no way to write a
/// quotation mark.
pub(super) fn fit_for_paths(directory: &Path) -> Result<(), ProvisionError> {
    match directory.to_str() {
        Some(path) if !path.contains([':', ';', '"', '\n']) => Ok(()),
        _ => Err(ProvisionError::new(ProvisionErrorKind::CachePath(
            directory.to_owned(),
        ))),
    }
}

pub(super) fn enough_room(path: &Path, needed: u64) -> Result<(), ProvisionError> {
    let free = space::free(path).map_err(|error| ProvisionError::io("look at", path, error))?;
    if free < needed {
        return Err(ProvisionError::no_space(path, Some(needed)));
    }
    Ok(())
}

/// Removes the roots in the making that an interrupted process left.
pub(super) fn sweep(home: &Path) -> Result<(), ProvisionError> {
    let failed = |error| ProvisionError::io("tidy", home, error);
    for entry in fs::read_dir(home).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with(STAGING) {
            remove_tree(&entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

/// The version without its epoch, with a number if there is a root of that name with other
/// libraries.
fn free_name(home: &Path, version: &str) -> PathBuf {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let mut number = 1;
    loop {
        let place = home.join(match number {
            1 => version.to_owned(),
            _ => format!("{version}.{number}"),
        });
        if !place.exists() {
            return place;
        }
        number += 1;
    }
}

/// Swaps two directories; whoever looks at either sees one or the other, whole.
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // A file system that cannot: for a moment there is none.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            let aside = one.with_extension("old");
            fs::rename(other, &aside)?;
            fs::rename(one, other)?;
            fs::rename(aside, one)
        }
        Err(error) => Err(error.into()),
    }
}
