//! The kernel and the programs that guests run: [`Environment`].

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use testjig_vm::provision::{Package, ProvisionError, Unpacked, Wanted};
use testjig_vm::{Cache, Progress, Suite};

use crate::initramfs::Archive;
use crate::{kernel, modules};

/// The agent, as the build script compiled it.
static AGENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/agent"));

/// What udhcpc has done with the lease that it got.
const UDHCPC_SCRIPT: &str = include_str!("udhcpc.sh");

/// What a guest half can print of its machine.
const FINGERPRINT: &str = include_str!("fingerprint.sh");

const MANIFEST: &str = "manifest.json";
/// The kernel's own ELF file, which boots without decompressing itself.
const VMLINUX: &str = "vmlinux";
const VMLINUZ: &str = "vmlinuz";
const BUSYBOX: &str = "busybox";
const MODULES: &str = "modules";

/// What a guest environment is made of. It lies beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// How it came to be: `fetched` from a distribution, as it is.
    pub lane: String,
    /// The suite it was taken from.
    pub suite: Suite,
    /// Debian's name of the kind of machine it is for.
    pub dpkg_arch: String,
    /// The kernel's release, as `uname -r` says.
    pub release: String,
    /// The kernel's package version.
    pub version: String,
    /// When it was fetched, in seconds since 1970.
    pub time: u64,
    /// The source that apt was given.
    pub source: String,
    /// The packages, with their checksums.
    pub packages: Vec<Package>,
    /// Where busybox's programs are expected to be.
    pub applets: Vec<String>,
    /// Its files with their SHA-256, in hexadecimal.
    pub files: Vec<(String, String)>,
}

/// A kernel, its modules and busybox, from which guests are booted. They lie in testjig's cache, below `guest`:
///
/// ```text
/// CACHE/guest/SUITE-MACHINE/VERSION/manifest.json   what it is made of
/// CACHE/guest/SUITE-MACHINE/VERSION/vmlinux         the kernel, uncompressed
/// CACHE/guest/SUITE-MACHINE/VERSION/vmlinuz         the kernel as it was packaged
/// CACHE/guest/SUITE-MACHINE/VERSION/busybox         all of a guest's programs but the agent
/// CACHE/guest/SUITE-MACHINE/VERSION/modules/…       the drivers that guests may want
/// CACHE/guest/initramfs/HASH.cpio                   what was made of them
/// CACHE/guest/states/HASH.state                     machines that have booted them
/// ```
#[derive(Clone, Debug)]
pub struct Environment {
    directory: PathBuf,
    cache: PathBuf,
    manifest: Manifest,
}

/// No environment for guests could be had.
#[derive(Debug)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// It could not be fetched.
    Provision(ProvisionError),
    /// What was fetched is not what was expected.
    Unusable(String),
    /// Something on this machine: what was attempted, and what came back.
    Io(String, io::Error),
    /// The agent is not built for this kind of machine.
    NoAgent,
}

impl fmt::Display for EnvironmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provision(error) => error.fmt(f),
            Self::Unusable(what) => write!(
                f,
                "failed to make a guest environment: {what}; take another suite (`jig guest fetch --suite NAME`)"
            ),
            Self::Io(what, error) => write!(f, "failed to {what}: {error}"),
            Self::NoAgent => write!(
                f,
                "failed to make a guest environment: there is no agent for {} machines",
                std::env::consts::ARCH
            ),
        }
    }
}

impl std::error::Error for EnvironmentError {}

impl From<ProvisionError> for EnvironmentError {
    fn from(error: ProvisionError) -> Self {
        Self::Provision(error)
    }
}

/// An error of this machine's while `what` was attempted.
fn attempt<T>(what: impl fmt::Display, result: io::Result<T>) -> Result<T, EnvironmentError> {
    result.map_err(|error| EnvironmentError::Io(what.to_string(), error))
}

impl Environment {
    /// The suite that is taken if nothing else is said.
    pub fn default_suite() -> Suite {
        Suite::new("bookworm").unwrap_or_else(|_| Suite::sid())
    }

    /// The newest environment of that suite that lies in the cache.
    pub fn find(suite: &Suite, cache: &Cache) -> Option<Self> {
        let cache = cache.guests();
        let homes = fs::read_dir(&cache).ok()?.flatten().filter(|home| {
            let name = home.file_name();
            let name = name.to_string_lossy().into_owned();
            name.rsplit_once('-')
                .is_some_and(|(its, _)| its == suite.name())
        });
        homes
            .flat_map(|home| fs::read_dir(home.path()).into_iter().flatten().flatten())
            .filter_map(|version| Self::read(&version.path(), &cache))
            .max_by_key(|environment| environment.manifest.time)
    }

    /// Sees to it that there is an environment of that suite, and fetches it from the machine's Debian archive if there is none.
    ///
    /// # Errors
    /// If it can't be had; the error says why and what to do.
    pub fn fetch(
        suite: &Suite,
        cache: &Cache,
        progress: &dyn Progress,
    ) -> Result<Self, EnvironmentError> {
        match Self::find(suite, cache) {
            Some(found) => Ok(found),
            None => Self::fetch_unless(suite, cache, progress, || {
                Self::find(suite, cache).is_some()
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
            None => Self::find(suite, cache).ok_or_else(|| {
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
        copy_modules(&module_tree, &release, &place.join(MODULES))?;
        let manifest = Manifest {
            lane: "fetched".to_owned(),
            suite: suite.clone(),
            dpkg_arch: unpacked.dpkg_arch().to_owned(),
            release,
            version: kernel_package.version.clone(),
            time: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| time.as_secs()),
            source: unpacked.source().to_owned(),
            packages: unpacked.packages().to_vec(),
            applets: applets(&busybox)?,
            files: attempt("read what was made", checksums(place))?,
        };
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| EnvironmentError::Unusable(error.to_string()))?;
        attempt("write the manifest", fs::write(place.join(MANIFEST), text))?;

        let home = guest.join(format!("{suite}-{}", manifest.dpkg_arch));
        let name = manifest.version.replace(':', "-");
        let to = home.join(name);
        attempt(
            format_args!("move it to {}", to.display()),
            fs::create_dir_all(&home)
                .and_then(|()| fs::set_permissions(place, fs::Permissions::from_mode(0o755)))
                .and_then(|()| match fs::remove_dir_all(&to) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => fs::rename(place, &to),
                }),
        )?;
        // It is where it belongs: nothing is left to remove.
        let _ = staging.keep();
        Self::read(&to, &guest).ok_or_else(|| {
            EnvironmentError::Unusable(format!("{} can't be read back", to.display()))
        })
    }

    fn read(directory: &Path, cache: &Path) -> Option<Self> {
        let text = fs::read(directory.join(MANIFEST)).ok()?;
        Some(Self {
            directory: directory.to_owned(),
            cache: cache.to_owned(),
            manifest: serde_json::from_slice(&text).ok()?,
        })
    }

    /// What it is made of.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where it lies.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// One line: what it is and where it comes from.
    pub fn summary(&self) -> String {
        let Manifest {
            release,
            version,
            suite,
            ..
        } = &self.manifest;
        format!("guest: Linux {release} ({version}), fetched from Debian {suite}, not built here")
    }

    /// The kernel to boot: uncompressed where it could be, for QEMU's PVH entry.
    pub fn kernel(&self) -> PathBuf {
        let uncompressed = self.directory.join(VMLINUX);
        if uncompressed.is_file() {
            uncompressed
        } else {
            self.directory.join(VMLINUZ)
        }
    }

    /// The initial file system: the agent, busybox, and the kernel's modules. It is made if no equal one lies in the cache.
    ///
    /// # Errors
    /// If a part of the environment is missing or not what the manifest says, or the file can't be written.
    pub fn initramfs(&self) -> Result<PathBuf, EnvironmentError> {
        let home = self.cache.join("initramfs");
        let mut key = Sha256::new();
        key.update(LAYOUT);
        key.update(AGENT);
        key.update(UDHCPC_SCRIPT);
        key.update(FINGERPRINT);
        for (file, checksum) in &self.manifest.files {
            key.update(file);
            key.update(checksum);
        }
        let key = const_hex::encode(key.finalize());
        let path = home.join(format!("{}.cpio", &key[..32]));
        if path.is_file() {
            return Ok(path);
        }
        let bytes = self.build_initramfs()?;
        attempt(
            format_args!("write {}", path.display()),
            fs::create_dir_all(&home)
                .and_then(|()| tempfile::NamedTempFile::new_in(&home))
                .and_then(|mut file| {
                    file.write_all(&bytes)?;
                    file.persist(&path).map_err(|error| error.error)
                }),
        )?;
        Ok(path)
    }

    /// Where the states of machines that booted it are kept.
    pub fn states(&self) -> PathBuf {
        self.cache.join("states")
    }

    fn build_initramfs(&self) -> Result<Vec<u8>, EnvironmentError> {
        let read = |name: &str| {
            let path = self.directory.join(name);
            let bytes = attempt(format_args!("read {}", path.display()), fs::read(&path))?;
            let expected = self.manifest.files.iter().find(|(file, _)| file == name);
            if expected.is_none_or(|(_, checksum)| *checksum != hash(&bytes)) {
                return Err(EnvironmentError::Unusable(format!(
                    "{} is not what the manifest says; remove {} and run again",
                    path.display(),
                    self.directory.display()
                )));
            }
            Ok(bytes)
        };
        let mut archive = Archive::new();
        for directory in [
            "/proc",
            "/sys",
            "/dev",
            "/tmp",
            "/run",
            "/root",
            "/mnt",
            "/var/run",
            "/etc/udhcpc",
        ] {
            archive.directory(directory);
        }
        archive.character_device("/dev/console", 5, 1);
        archive.file("/init", 0o755, AGENT);
        archive.file("/bin/busybox", 0o755, read(BUSYBOX)?);
        for applet in &self.manifest.applets {
            archive.link(applet, "/bin/busybox");
        }
        archive.link("/bin/busybox.static", "/bin/busybox");
        archive.link("/bin/wait_for", "/init");
        archive.file("/bin/fingerprint", 0o755, FINGERPRINT);
        archive.file("/etc/udhcpc/default.script", 0o755, UDHCPC_SCRIPT);
        archive.link(
            "/usr/share/udhcpc/default.script",
            "/etc/udhcpc/default.script",
        );
        archive.file("/etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n");
        archive.file("/etc/group", 0o644, "root:x:0:\n");
        archive.file("/etc/hosts", 0o644, "127.0.0.1 localhost\n");
        archive.file("/etc/nsswitch.conf", 0o644, "hosts: files dns\n");
        for name in E100_MICROCODE {
            archive.file(
                &format!("/lib/firmware/e100/{name}"),
                0o644,
                [0; E100_BYTES],
            );
        }
        let release = &self.manifest.release;
        for (file, _) in &self.manifest.files {
            if let Some(below) = file.strip_prefix(MODULES) {
                archive.file(
                    &format!("/lib/modules/{release}{below}"),
                    0o644,
                    read(file)?,
                );
            }
        }
        Ok(archive.to_bytes())
    }
}

/// Copies the modules that guests may want, and writes the lists of them.
fn copy_modules(tree: &Path, release: &str, to: &Path) -> Result<(), EnvironmentError> {
    let chosen = attempt(
        format_args!("choose among the modules of {release}"),
        modules::choose(tree),
    )?;
    for file in &chosen.files {
        let copy = to.join(file);
        attempt(
            format_args!("copy the module {file}"),
            fs::create_dir_all(copy.parent().unwrap_or(to))
                .and_then(|()| fs::copy(tree.join(file), &copy)),
        )?;
    }
    let lists = [
        ("modules.dep", &chosen.dependencies),
        ("modules.alias", &chosen.aliases),
        ("modules.softdep", &chosen.soft_dependencies),
        ("modules.manual", &(modules::MANUAL.join("\n") + "\n")),
    ];
    for (name, text) in lists {
        attempt(format_args!("write {name}"), fs::write(to.join(name), text))?;
    }
    for name in ["modules.builtin", "modules.order"] {
        let from = tree.join(name);
        if from.is_file() {
            attempt(format_args!("copy {name}"), fs::copy(&from, to.join(name)))?;
        }
    }
    Ok(())
}

/// Changes whenever the initramfs is laid out differently.
const LAYOUT: &str = "2";

/// What the driver of the 8255x network cards hands them before they are used. It checks the length and three offsets; QEMU's cards have
/// no processor that could run it, so zeros do, and no firmware that is not free is needed.
const E100_MICROCODE: [&str; 3] = ["d101m_ucode.bin", "d101s_ucode.bin", "d102e_ucode.bin"];
/// 134 words of code and three offsets.
const E100_BYTES: usize = 134 * 4 + 3;

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

/// The programs that a busybox can be, as paths. It is static and for this kind of machine, so it can be asked.
fn applets(busybox: &Path) -> Result<Vec<String>, EnvironmentError> {
    let output = attempt(
        format_args!("ask {}", busybox.display()),
        Command::new(busybox).arg("--list-full").output(),
    )?;
    let text = String::from_utf8_lossy(&output.stdout);
    let paths: Vec<String> = text
        .lines()
        .map(str::trim)
        // `linuxrc` would be found in place of the agent on a machine without an initramfs; nobody else wants it.
        .filter(|path| {
            !path.is_empty() && !path.ends_with("linuxrc") && !path.ends_with("bin/busybox")
        })
        .map(|path| format!("/{path}"))
        .collect();
    if !output.status.success() || !paths.iter().any(|path| path == "/bin/sh") {
        return Err(EnvironmentError::Unusable(
            "its busybox has no shell".to_owned(),
        ));
    }
    Ok(paths)
}

fn hash(bytes: &[u8]) -> String {
    const_hex::encode(Sha256::digest(bytes))
}

/// All files below a directory with their checksums, by name.
fn checksums(root: &Path) -> io::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                left.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap_or(&path);
                found.push((name.to_string_lossy().into_owned(), hash(&fs::read(&path)?)));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a package is a kernel itself: `linux-image-6.1.0-50-amd64`, which `linux-image-amd64` only names.
fn is_kernel(package: &str) -> bool {
    let version = package.strip_prefix("linux-image-");
    version.is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()))
}
