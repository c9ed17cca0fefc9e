//! Why there is no usable QEMU: [`FindError`].

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::provision::ProvisionError;
use crate::{Arch, CacheError, ExitStatus};

/// No QEMU, or not a usable one.
#[derive(Debug)]
pub struct FindError {
    kind: FindErrorKind,
    program: Option<PathBuf>,
    named: Option<String>,
}

/// What is wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum FindErrorKind {
    /// There is no file of that name.
    Missing,
    /// The file cannot be executed here: not marked executable, for another kind of machine, or a
    /// script without its interpreter.
    NotExecutable(io::Error),
    /// It ran, but neither speaks QMP nor calls itself a QEMU.
    NotAQemu {
        /// What it printed, standard output before standard error, cut to a few lines.
        printed: String,
    },
    /// It is a QEMU, but ended before it answered.
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// What it printed to standard error, cut to a few lines.
        stderr: String,
    },
    /// It started and answered nothing in time. It was killed.
    Hung {
        /// How long it was given.
        after: Duration,
        /// What it printed until then, cut to a few lines.
        printed: String,
    },
    /// It emulates another architecture.
    WrongArch {
        /// What was wanted.
        wanted: Arch,
        /// What the binary says it is, in QEMU's own name.
        found: String,
    },
    /// It answered a QMP command with an error or with something unexpected.
    Answer(String),
    /// It could not be started or listened to for a reason on this side.
    Io(io::Error),
    /// It was never asked what it is, and no QEMU is to be started for that now.
    NotProbed,
    /// There is none, and none was to be fetched.
    NotFound {
        /// For what.
        arch: Arch,
        /// What was looked at, and why it was not taken.
        passed_over: Vec<String>,
    },
    /// There is none, and none could be fetched.
    Provision {
        /// Why not.
        error: Box<ProvisionError>,
        /// What was looked at before, and why it was not taken.
        passed_over: Vec<String>,
    },
    /// There is no place for the cache.
    Cache(CacheError),
}

impl FindError {
    pub(crate) fn new(kind: FindErrorKind) -> Self {
        Self {
            kind,
            program: None,
            named: None,
        }
    }

    pub(crate) fn of(program: &Path, kind: FindErrorKind) -> Self {
        Self {
            kind,
            program: Some(program.to_owned()),
            named: None,
        }
    }

    pub(crate) fn named_by(mut self, by: &str) -> Self {
        self.named = Some(by.to_owned());
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> &FindErrorKind {
        &self.kind
    }

    /// The binary it is about, if it is about one.
    pub fn program(&self) -> Option<&Path> {
        self.program.as_deref()
    }

    /// What named the binary (`--qemu`, an environment variable), if the user did.
    pub fn named(&self) -> Option<&str> {
        self.named.as_deref()
    }
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            FindErrorKind::Cache(error) => return error.fmt(f),
            FindErrorKind::NotFound { arch, passed_over } => {
                write!(f, "failed to find a QEMU for {arch}: ")?;
                for reason in passed_over {
                    write!(f, "{reason}; ")?;
                }
                return write!(
                    f,
                    "none was to be fetched; run `jig setup --arch {arch}`, or name one with --qemu or {}",
                    arch.variable()
                );
            }
            FindErrorKind::Provision { error, passed_over } => {
                for reason in passed_over {
                    write!(f, "{reason}; ")?;
                }
                return error.fmt(f);
            }
            _ => {}
        }
        f.write_str("failed to use ")?;
        match &self.program {
            Some(program) => write!(f, "{}", program.display())?,
            None => f.write_str("a QEMU")?,
        }
        if let Some(by) = &self.named {
            write!(f, " (named by {by})")?;
        }
        f.write_str(" as a QEMU: ")?;
        match &self.kind {
            FindErrorKind::Missing => f.write_str("there is no such file"),
            FindErrorKind::NotExecutable(error) => write!(f, "it cannot be executed: {error}"),
            FindErrorKind::NotAQemu { printed } => {
                f.write_str("it does not answer as one; asked for its version it printed ")?;
                if printed.is_empty() {
                    f.write_str("nothing")
                } else {
                    write!(f, "{printed:?}")
                }
            }
            FindErrorKind::Exited { status, stderr } => {
                write!(f, "it ended at once ({status})")?;
                if !stderr.is_empty() {
                    write!(f, " and said {stderr:?}")?;
                }
                Ok(())
            }
            FindErrorKind::Hung { after, printed } => {
                write!(
                    f,
                    "it answered nothing within {} s and was killed",
                    after.as_secs_f32()
                )?;
                if !printed.is_empty() {
                    write!(f, "; until then it printed {printed:?}")?;
                }
                Ok(())
            }
            FindErrorKind::WrongArch { wanted, found } => {
                write!(f, "it emulates {found}, wanted is {wanted}")
            }
            FindErrorKind::NotProbed => {
                f.write_str("it was not probed yet; the first run with it does that")
            }
            FindErrorKind::Answer(text) => write!(f, "it answered {text}"),
            FindErrorKind::Io(error) => write!(f, "talking to it failed: {error}"),
            FindErrorKind::NotFound { .. }
            | FindErrorKind::Provision { .. }
            | FindErrorKind::Cache(_) => Ok(()),
        }
    }
}

impl std::error::Error for FindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            FindErrorKind::NotExecutable(error) | FindErrorKind::Io(error) => Some(error),
            FindErrorKind::Provision { error, .. } => Some(&**error),
            FindErrorKind::Cache(error) => Some(error),
            _ => None,
        }
    }
}
