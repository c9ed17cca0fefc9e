//! Why no QEMU could be fetched, and what to do: [`ProvisionError`].

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::Suite;
use super::host::Distribution;
use crate::{Arch, FindError};

/// No QEMU could be fetched.
#[derive(Debug)]
pub struct ProvisionError {
    kind: ProvisionErrorKind,
    archs: Vec<Arch>,
    suite: Option<Suite>,
    /// What was to be fetched, if no QEMU.
    what: Option<Box<str>>,
}

/// What went wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProvisionErrorKind {
    /// A tool is missing on this machine: `apt-get` or `dpkg-deb`.
    NoApt(String),
    /// apt is here, but no archive of Debian's is configured.
    NotDebian,
    /// The archive could not be reached. What apt said.
    NoNetwork(String),
    /// The archive asked for credentials, or refused the ones that are configured. What apt said.
    Refused(String),
    /// The archive does not have the suite. What apt said.
    NoSuite(String),
    /// The suite does not have the package, or not for this kind of machine. What apt said.
    NoPackage(String),
    /// The archive's parts do not fit together, as while it is being updated. What apt said.
    MirrorMidUpdate(String),
    /// A signature is missing, wrong, expired or by an unknown key. What apt said.
    Signature(String),
    /// There is no room.
    NoSpace {
        /// Where.
        path: PathBuf,
        /// How many bytes would be needed, where that was known beforehand.
        needed: Option<u64>,
        /// How many bytes were free.
        free: u64,
    },
    /// The cache directory, or something in it, cannot be written to.
    CacheNotWritable {
        /// What was to be written.
        path: PathBuf,
        /// What came back.
        error: io::Error,
    },
    /// The cache's path holds a colon or a semicolon, at which the loader would cut it, or what
    /// apt's configuration cannot express.
    CachePath(PathBuf),
    /// Nothing moved for so many seconds while this was going on.
    Stalled(u64, String),
    /// A tool failed for another reason: which one, and what it said.
    Tool(String, String),
    /// What was fetched does not run.
    Unusable(Box<FindError>),
    /// What was fetched lacks the qtest accelerator, and nothing else was allowed.
    NoAccelerator(String),
    /// Something on this machine that is none of the above.
    Io(String, io::Error),
}

impl ProvisionError {
    pub(crate) fn new(kind: ProvisionErrorKind) -> Self {
        Self {
            kind,
            archs: Vec::new(),
            suite: None,
            what: None,
        }
    }

    /// Says that something else than a QEMU was to be fetched.
    pub(super) fn instead_of_a_qemu(mut self, what: &str) -> Self {
        self.what = Some(what.into());
        self
    }

    /// Says what was to be fetched, unless it is known already.
    pub(crate) fn about(mut self, archs: &[Arch], suite: Option<&Suite>) -> Self {
        if self.archs.is_empty() {
            archs.clone_into(&mut self.archs);
        }
        if self.suite.is_none() {
            self.suite = suite.cloned();
        }
        self
    }

    /// An error of this machine's while `what` was attempted on `path`.
    pub(super) fn io(what: &str, path: &Path, error: io::Error) -> Self {
        Self::new(match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => {
                return Self::no_space(path, None);
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                ProvisionErrorKind::CacheNotWritable {
                    path: path.to_owned(),
                    error,
                }
            }
            _ => ProvisionErrorKind::Io(format!("to {what} {}", path.display()), error),
        })
    }

    pub(super) fn no_space(path: &Path, needed: Option<u64>) -> Self {
        Self::new(ProvisionErrorKind::NoSpace {
            path: path.to_owned(),
            needed,
            free: super::space::free(path).unwrap_or(0),
        })
    }

    /// Names the directory that stays, where the error names one that is gone by now.
    pub(super) fn in_place(mut self, directory: &Path) -> Self {
        if let ProvisionErrorKind::NoSpace { path, .. } = &mut self.kind {
            directory.clone_into(path);
        }
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> &ProvisionErrorKind {
        &self.kind
    }

    /// What went wrong, for those who have no use for the rest.
    pub fn into_kind(self) -> ProvisionErrorKind {
        self.kind
    }

    /// The suite it was to come from, if it came to that.
    pub fn suite(&self) -> Option<&Suite> {
        self.suite.as_ref()
    }

    /// Whether it is about this suite, just now or for good: another one may do.
    pub(crate) fn another_suite_may_do(&self) -> bool {
        use ProvisionErrorKind::{
            MirrorMidUpdate, NoAccelerator, NoPackage, NoSuite, Stalled, Unusable,
        };
        matches!(
            self.kind,
            MirrorMidUpdate(_)
                | NoAccelerator(_)
                | NoPackage(_)
                | NoSuite(_)
                | Stalled(..)
                | Unusable(_)
        )
    }

    /// What was attempted and what came back. `Display` adds the [`advice`](Self::advice).
    pub fn cause(&self) -> impl fmt::Display {
        Cause(self)
    }

    /// What to do about it.
    pub fn advice(&self) -> String {
        use ProvisionErrorKind as Kind;
        let arch = self.archs.first().copied().unwrap_or(Arch::X86_64);
        let name_one = match &self.what {
            None => format!("name a QEMU with --qemu or {}", arch.variable()),
            Some(_) => "copy the directory `guest` of testjig's cache from a machine that has it"
                .to_owned(),
        };
        let distribution = Distribution::of_this_machine();
        match &self.kind {
            Kind::NoApt(_) | Kind::NotDebian => {
                format!("{}; or {name_one}", distribution.own_way())
            }
            Kind::NoNetwork(_) | Kind::Stalled(..) => format!(
                "check the network and apt's proxy settings (`apt-get update` should work) and run again, \
                 what is there already is kept; or {name_one}"
            ),
            Kind::Refused(_) => format!(
                "check apt's credentials for this archive (apt_auth.conf(5)); this user must be able to read them; or {name_one}"
            ),
            Kind::NoSuite(_) | Kind::NoPackage(_) => {
                format!(
                    "take another suite (`jig setup --suite NAME`; its QEMU may lack the qtest accelerator); or {name_one}"
                )
            }
            Kind::MirrorMidUpdate(_) => format!(
                "run again in some minutes, what is there already is kept; or take another suite \
                 (`jig setup --suite NAME`; its QEMU may lack the qtest accelerator, without which tests that need the clock are skipped); or {name_one}"
            ),
            Kind::Signature(_) => format!(
                "update the package debian-archive-keyring and check this machine's clock and the Signed-By of its Debian sources; or {name_one}"
            ),
            Kind::NoSpace { .. } => {
                "make room there, or set XDG_CACHE_HOME to a directory on a larger file system"
                    .to_owned()
            }
            Kind::CacheNotWritable { .. } => {
                "make it writable, or set XDG_CACHE_HOME to a directory that is".to_owned()
            }
            Kind::CachePath(_) => {
                "set XDG_CACHE_HOME to a directory without such in its path".to_owned()
            }
            Kind::Unusable(_) => format!("`jig clean` and run again; or {name_one}"),
            Kind::NoAccelerator(_) => {
                format!("build QEMU (own builds have the accelerator); {name_one}")
            }
            Kind::Tool(..) | Kind::Io(..) => format!("run `jig doctor`; or {name_one}"),
        }
    }
}

impl fmt::Display for ProvisionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause(), self.advice())
    }
}

/// What was attempted and what came back.
struct Cause<'a>(&'a ProvisionError);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ProvisionErrorKind as Kind;
        let Self(error) = self;
        let what = error.what.as_deref().unwrap_or("a QEMU");
        write!(f, "failed to fetch {what}")?;
        let archs: Vec<&str> = error.archs.iter().map(|arch| arch.name()).collect();
        if !archs.is_empty() {
            write!(f, " for {}", archs.join(", "))?;
        }
        if let Some(suite) = &error.suite {
            write!(f, " from Debian's {suite}")?;
        }
        f.write_str(": ")?;
        match &error.kind {
            Kind::NoApt(tool) => write!(
                f,
                "there is no {tool} on this machine ({})",
                Distribution::of_this_machine().name()
            ),
            Kind::NotDebian => write!(
                f,
                "apt is not configured for any archive of Debian's ({})",
                Distribution::of_this_machine().name()
            ),
            Kind::NoNetwork(said) => write!(f, "the archive cannot be reached ({said})"),
            Kind::Refused(said) => write!(f, "the archive refuses this user ({said})"),
            Kind::NoSuite(said) => write!(f, "the archive has no such suite ({said})"),
            Kind::NoPackage(said) => write!(f, "the suite does not have it ({said})"),
            Kind::MirrorMidUpdate(said) => {
                write!(f, "the archive is being updated just now ({said})")
            }
            Kind::Signature(said) => write!(f, "the archive's signature was not accepted ({said})"),
            Kind::NoSpace { path, needed, free } => {
                write!(f, "no space is left in {}", path.display())?;
                match needed {
                    Some(needed) => write!(
                        f,
                        " ({} MB are needed, {} MB are free)",
                        needed.div_ceil(1_000_000),
                        free / 1_000_000
                    ),
                    None => write!(f, " ({} MB are free now)", free / 1_000_000),
                }
            }
            Kind::CacheNotWritable { path, error } => {
                write!(f, "{} cannot be written to ({error})", path.display())
            }
            Kind::CachePath(path) => write!(
                f,
                "its place, {}, has a character in its path that the dynamic loader or apt cannot bear (a colon, a semicolon, a quotation mark, or one that is not UTF-8)",
                path.display()
            ),
            Kind::Stalled(seconds, what) => write!(f, "{what}: nothing moved for {seconds} s"),
            Kind::Tool(tool, said) => write!(f, "{tool} failed ({said})"),
            Kind::Unusable(error) => write!(f, "what was fetched does not run ({error})"),
            Kind::NoAccelerator(what) => write!(f, "{what} has no qtest accelerator"),
            Kind::Io(what, error) => write!(f, "could not manage {what} ({error})"),
        }
    }
}

impl std::error::Error for ProvisionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            ProvisionErrorKind::CacheNotWritable { error, .. }
            | ProvisionErrorKind::Io(_, error) => Some(error),
            ProvisionErrorKind::Unusable(error) => Some(&**error),
            _ => None,
        }
    }
}
