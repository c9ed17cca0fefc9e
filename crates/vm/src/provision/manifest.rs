//! What a provisioned root is made of: [`Manifest`].

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Suite;
use super::plan::Package;

/// The record that lies beside a provisioned root. A root without one is not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// The suite it was taken from.
    pub suite: Suite,
    /// Debian's name of the kind of machine it runs on: `amd64`, `arm64`, …
    pub dpkg_arch: String,
    /// Rust's name of it: `x86_64`, `aarch64`, …
    pub machine: String,
    /// QEMU's package version there.
    pub version: String,
    /// When it was fetched or last added to, in seconds since 1970.
    pub time: u64,
    /// The source that apt was given, as it is in this machine's own configuration but for the
    /// suite.
    pub source: String,
    /// All its packages, by name.
    pub packages: Vec<Package>,
}

impl Manifest {
    const FILE: &str = "manifest.json";

    /// The package that all QEMU binaries of a root share, by whose version they are known.
    pub(super) const COMMON: &str = "qemu-system-common";

    pub(super) fn read(directory: &Path) -> io::Result<Self> {
        let text = fs::read(directory.join(Self::FILE))?;
        serde_json::from_slice(&text).map_err(io::Error::from)
    }

    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        let mut file = fs::File::create_new(directory.join(Self::FILE))?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()
    }

    /// Whether packages can be added to the root: none that both have differs in its version.
    pub(super) fn agrees_with(&self, packages: &[Package]) -> bool {
        packages.iter().all(|package| {
            let same = self.packages.iter().find(|own| own.name == package.name);
            same.is_none_or(|own| own.version == package.version)
        })
    }

    pub(super) fn has(&self, package: &Package) -> bool {
        let mut own = self.packages.iter();
        own.any(|own| own.name == package.name && own.version == package.version)
    }
}
