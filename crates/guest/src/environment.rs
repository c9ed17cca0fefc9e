//! The kernel and the programs that guests run: [`Environment`].

mod built;
mod fetched;
mod sources;

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use testjig_vm::provision::{Package, ProvisionError, SourceFile};
use testjig_vm::{Cache, Suite};

use crate::initramfs::Archive;

pub use built::How;

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

/// How an environment came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Packages of a distribution, as they are.
    Fetched,
    /// Built on this machine from a distribution's source packages.
    Built,
}

impl std::str::FromStr for Lane {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fetched" => Ok(Self::Fetched),
            "built" => Ok(Self::Built),
            _ => Err("it is fetched or built".to_owned()),
        }
    }
}

/// What a guest environment is made of. It lies beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// How it came to be.
    pub lane: Lane,
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
    /// The source packages that it was built of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceFile>,
    /// The compiler that built it, as it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiler: Option<String>,
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
/// CACHE/guest/schemas/HASH.json                     what QEMUs' monitors can be told
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
    /// There is no such environment to do something with: what, and what to do.
    Missing(String),
    /// What a build needs is not on this machine: what, and the packages that have it.
    NoTools(Vec<String>, Vec<String>),
    /// A step of a build failed: which, where it said why, and the end of that.
    Build(String, PathBuf, String),
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
            Self::Missing(what) => f.write_str(what),
            Self::NoTools(what, packages) => write!(
                f,
                "failed to build a guest environment: this machine has no {}; `apt-get install {}` as root, or another compiler with --cc, \
                 or `jig guest fetch`, which needs none of it",
                what.join(", no "),
                packages.join(" ")
            ),
            Self::Build(step, log, said) => write!(
                f,
                "failed to build a guest environment: {step} failed; the log is {}\n{said}",
                log.display()
            ),
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

    /// The environment of that suite that guests boot: one that was built here, else the newest that was fetched.
    pub fn find(suite: &Suite, cache: &Cache) -> Option<Self> {
        Self::find_lane(Lane::Built, suite, cache)
            .or_else(|| Self::find_lane(Lane::Fetched, suite, cache))
    }

    /// The newest environment of that suite that came to be in that way.
    pub fn find_lane(lane: Lane, suite: &Suite, cache: &Cache) -> Option<Self> {
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
            .filter(|environment| environment.manifest.lane == lane)
            .max_by_key(|environment| environment.manifest.time)
    }

    /// Moves what was made in `staging` to its place, with its manifest.
    fn install(
        staging: tempfile::TempDir,
        name: &str,
        manifest: &Manifest,
        guest: &Path,
    ) -> Result<Self, EnvironmentError> {
        let place = staging.path();
        let text = serde_json::to_vec_pretty(manifest)
            .map_err(|error| EnvironmentError::Unusable(error.to_string()))?;
        attempt("write the manifest", fs::write(place.join(MANIFEST), text))?;
        let home = guest.join(format!("{}-{}", manifest.suite, manifest.dpkg_arch));
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
        Self::read(&to, guest).ok_or_else(|| {
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
            lane,
            ..
        } = &self.manifest;
        let whence = match lane {
            Lane::Fetched => format!("fetched from Debian {suite}, not built here"),
            Lane::Built => format!("built here from the sources of Debian {suite}"),
        };
        format!("guest: Linux {release} ({version}), {whence}")
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

    /// Whether it is what its manifest says, as far as guests would find out in a way that nobody understands: all files are there, and the
    /// kernel is the kernel. What else is read of it is compared when it is read.
    ///
    /// # Errors
    /// If not; the error says what is wrong and what to do.
    pub fn check(&self) -> Result<(), EnvironmentError> {
        let again = || {
            let how = match self.manifest.lane {
                Lane::Fetched => "jig guest fetch",
                Lane::Built => "jig guest build",
            };
            format!("remove {} and run `{how}`", self.directory.display())
        };
        let kernel = self.kernel();
        for (file, checksum) in &self.manifest.files {
            let path = self.directory.join(file);
            if !path.is_file() {
                return Err(EnvironmentError::Missing(format!(
                    "{} is missing, of which guests are made; {}",
                    path.display(),
                    again()
                )));
            }
            if path != kernel {
                continue;
            }
            let bytes = attempt(format_args!("read {}", path.display()), fs::read(&path))?;
            if hash(&bytes) != *checksum {
                return Err(EnvironmentError::Missing(format!(
                    "{} is another kernel than the manifest says; {}",
                    path.display(),
                    again()
                )));
            }
        }
        Ok(())
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

    /// Where it is kept what the monitors of QEMUs can be told.
    pub fn schemas(&self) -> PathBuf {
        self.cache.join("schemas")
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

/// Changes whenever the initramfs is laid out differently.
const LAYOUT: &str = "2";

/// What the driver of the 8255x network cards hands them before they are used. It checks the length and three offsets; QEMU's cards have
/// no processor that could run it, so zeros do, and no firmware that is not free is needed.
const E100_MICROCODE: [&str; 3] = ["d101m_ucode.bin", "d101s_ucode.bin", "d102e_ucode.bin"];
/// 134 words of code and three offsets.
const E100_BYTES: usize = 134 * 4 + 3;

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

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |time| time.as_secs())
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
