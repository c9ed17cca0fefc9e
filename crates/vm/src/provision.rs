//! QEMUs fetched from Debian's archive, without root rights and without installing anything.
//!
//! apt itself fetches them: [`install`] gives it a private state directory, an empty list of
//! installed packages (so that the closure is complete) and the Debian sources that this machine
//! is configured for, with another suite. The packages are unpacked below the cache directory and
//! run through their own loader, with their own libraries, modules and firmware. Signatures and
//! checksums are checked as always. [`remove`] is the deletion of directories.
//!
//! ```text
//! CACHE/qemu/lock
//! CACHE/qemu/SUITE-MACHINE/VERSION/manifest.json   what it is made of
//! CACHE/qemu/SUITE-MACHINE/VERSION/root/           the unpacked packages
//! CACHE/qemu/SUITE-MACHINE/.work/                  apt's state while fetching; what an interrupted
//!                                                  download left is used by the next
//! CACHE/qemu/SUITE-MACHINE/.staging-…/             a root in the making, renamed when complete
//! ```

mod apt;
mod complaint;
mod error;
mod fetch;
pub(crate) mod host;
mod installed;
mod lock;
mod manifest;
mod packages;
mod plan;
mod progress;
mod root;
mod source_packages;
mod sources;
pub(crate) mod space;
mod status;
mod suite;
#[cfg(test)]
mod tests;
mod tools;

pub use error::{ProvisionError, ProvisionErrorKind};
pub(crate) use installed::newest;
pub use installed::{Installed, RemoveError, Removed, list, remove};
pub use manifest::Manifest;
pub use packages::{Unpacked, Wanted};
pub use plan::Package;
pub use progress::{Progress, Silent};
pub use source_packages::{SourceFile, SourcePackages, WantedSources};
pub use suite::{InvalidSuite, Suite};

use std::path::PathBuf;

use crate::{Arch, Cache};

/// Sees to it that there is a provisioned QEMU of that suite for each of the architectures, all in
/// one root, and fetches what is missing.
///
/// What is there already is used as it is, however old; see [`refresh`]. If another process is
/// fetching, waits for it and uses the result.
///
/// # Errors
/// If it cannot be had; the error says why and what to do.
pub fn install(
    archs: &[Arch],
    suite: &Suite,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<Installed, ProvisionError> {
    provision(archs, suite, cache, progress, false)
}

/// As [`install`], but takes what the suite has now. Older versions stay until they are removed.
///
/// # Errors
/// As there.
pub fn refresh(
    archs: &[Arch],
    suite: &Suite,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<Installed, ProvisionError> {
    provision(archs, suite, cache, progress, true)
}

fn provision(
    archs: &[Arch],
    suite: &Suite,
    cache: &Cache,
    progress: &dyn Progress,
    fresh: bool,
) -> Result<Installed, ProvisionError> {
    if !fresh {
        if let Some(installed) = newest(cache, suite, archs) {
            return Ok(installed);
        }
    }
    let result = tools::Tools::of_this_machine().and_then(|tools| {
        let request = fetch::Request {
            archs,
            suite,
            tools: &tools,
            cache,
            progress,
            fresh,
        };
        request.fulfil()
    });
    progress.done();
    result.map_err(|error| error.about(archs, Some(suite)))
}

/// What this machine could provision from: Debian's name of its kind, and the URIs of the Debian
/// archives that its apt is configured for.
///
/// # Errors
/// If apt or the archives are missing.
pub(crate) fn possible() -> Result<(String, Vec<String>), ProvisionError> {
    let tools = tools::Tools::of_this_machine()?;
    let uris = tools.archives.into_iter().flat_map(|archive| archive.uris);
    Ok((tools.dpkg_arch, uris.collect()))
}

/// apt's state of interrupted downloads, if there is any.
pub(crate) fn unfinished(cache: &Cache) -> Vec<PathBuf> {
    let suites = std::fs::read_dir(cache.provisioned())
        .into_iter()
        .flatten()
        .flatten();
    suites
        .map(|suite| suite.path().join(fetch::WORK))
        .filter(|work| work.is_dir())
        .collect()
}
