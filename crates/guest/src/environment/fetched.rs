//! The fast lane: a distribution's own kernel and busybox.

use std::fs;
use std::path::{Path, PathBuf};

use testjig_vm::provision::{Unpacked, Wanted};
use testjig_vm::{Cache, Progress, Suite};

use super::{
    AGENT, BUSYBOX, Environment, EnvironmentError, Lane, MODULES, Manifest, VMLINUX, VMLINUZ,
    applets, attempt, checksums, now,
};
use crate::{kernel, modules};

impl Environment {
    /// Sees to it that there is an environment of that suite, and fetches it from the machine's Debian archive if there is none.
    ///
    /// # Errors
    /// If it can't be had; the error says why and what to do.
    pub fn fetch(
        suite: &Suite,
        cache: &Cache,
        progress: &dyn Progress,
    ) -> Result<Self, EnvironmentError> {
        match Self::find_lane(Lane::Fetched, suite, cache) {
            Some(found) => Ok(found),
            None => Self::fetch_unless(suite, cache, progress, || {
                Self::find_lane(Lane::Fetched, suite, cache).is_some()
            }),
        }
    }

    /// As [`fetch`](Self::fetch), but takes what the suite has now.
    ///
    /// # Errors
    /// As there.
    pub fn refresh(
        suite: &Suite,
        cache: &Cache,
        progress: &dyn Progress,
    ) -> Result<Self, EnvironmentError> {
        Self::fetch_unless(suite, cache, progress, || false)
    }

    fn fetch_unless(
        suite: &Suite,
        cache: &Cache,
        progress: &dyn Progress,
        is_there: impl FnOnce() -> bool,
    ) -> Result<Self, EnvironmentError> {
        if AGENT.is_empty() {
            return Err(EnvironmentError::NoAgent);
        }
        let wanted = Wanted {
            what: "a kernel and busybox for guests",
            names: &[kernel_package(), "busybox-static"],
            takes: |name| name == "busybox-static" || is_kernel(name),
            suite,
            directory: &cache.guests(),
        };
        let made = match wanted.unpack(is_there, progress)? {
            Some(unpacked) => Self::make(&unpacked, suite, cache)?,
            None => Self::find_lane(Lane::Fetched, suite, cache).ok_or_else(|| {
                EnvironmentError::Unusable("what another process fetched is gone again".to_owned())
            })?,
        };
        progress.done();
        Ok(made)
    }

    /// Takes what guests need out of the unpacked packages.
    fn make(unpacked: &Unpacked, suite: &Suite, cache: &Cache) -> Result<Self, EnvironmentError> {
        let guest = cache.guests();
        let root = unpacked.root();
        let (image, release) = kernel_image(&root.join("boot"))?;
        let module_tree = ["lib/modules", "usr/lib/modules"]
            .map(|place| root.join(place).join(&release))
            .into_iter()
            .find(|place| place.is_dir())
            .ok_or_else(|| {
                EnvironmentError::Unusable(format!("the package holds no modules of {release}"))
            })?;
        let busybox = ["bin/busybox", "usr/bin/busybox"]
            .map(|place| root.join(place))
            .into_iter()
            .find(|place| place.is_file())
            .ok_or_else(|| {
                EnvironmentError::Unusable("the package holds no bin/busybox".to_owned())
            })?;
        let kernel_package = unpacked
            .packages()
            .iter()
            .find(|package| is_kernel(&package.name))
            .ok_or_else(|| EnvironmentError::Unusable("no kernel was fetched".to_owned()))?;

        let staging = attempt(
            format_args!("make a directory in {}", guest.display()),
            tempfile::Builder::new()
                .prefix(".staging-")
                .tempdir_in(&guest),
        )?;
        let place = staging.path();
        let copy = |from: &Path, to: &str| {
            attempt(
                format_args!("copy {} to {}", from.display(), place.display()),
                fs::copy(from, place.join(to)).map(drop),
            )
        };
        copy(&image, VMLINUZ)?;
        copy(&busybox, BUSYBOX)?;
        let config = image.with_file_name(format!("config-{release}"));
        if config.is_file() {
            copy(&config, "config")?;
        }
        // Without it guests boot the image as it is, and take longer.
        if let Ok(elf) = kernel::uncompressed(&image) {
            attempt("write the kernel", fs::write(place.join(VMLINUX), elf))?;
        }
        let copied = modules::copy(&module_tree, modules::wanted, &place.join(MODULES));
        attempt(format_args!("copy the modules of {release}"), copied)?;
        let manifest = Manifest {
            lane: Lane::Fetched,
            suite: suite.clone(),
            dpkg_arch: unpacked.dpkg_arch().to_owned(),
            release,
            version: kernel_package.version.clone(),
            time: now(),
            source: unpacked.source().to_owned(),
            packages: unpacked.packages().to_vec(),
            sources: Vec::new(),
            compiler: None,
            applets: applets(&busybox)?,
            files: attempt("read what was made", checksums(place))?,
        };
        let name = manifest.version.replace(':', "-");
        Self::install(staging, &name, &manifest, &guest)
    }
}

fn kernel_package() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "linux-image-arm64",
        _ => "linux-image-amd64",
    }
}

/// The kernel's image and its release.
fn kernel_image(boot: &Path) -> Result<(PathBuf, String), EnvironmentError> {
    let entries = attempt(format_args!("read {}", boot.display()), fs::read_dir(boot))?;
    entries
        .flatten()
        .find_map(|entry| {
            let name = entry.file_name();
            let release = name.to_str()?.strip_prefix("vmlinuz-")?;
            Some((entry.path(), release.to_owned()))
        })
        .ok_or_else(|| EnvironmentError::Unusable("the package holds no boot/vmlinuz-…".to_owned()))
}

/// Whether a package is a kernel itself: `linux-image-6.1.0-50-amd64`, which `linux-image-amd64` only names.
fn is_kernel(package: &str) -> bool {
    let version = package.strip_prefix("linux-image-");
    version.is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()))
}
