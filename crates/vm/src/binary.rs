//! A QEMU that was found, and what it can do: [`Qemu`].

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};
pub use testjig_qmp::Version;

use crate::probe::{self, Facts};
use crate::{Arch, Cache, FindError, FindErrorKind};

/// A QEMU binary that was found and has answered: how to start it, what it is, what it can do.
///
/// Plain data, so that a worker process can be told by JSON what its runner found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Qemu {
    /// What it emulates.
    pub arch: Arch,
    /// How it was found.
    pub origin: Origin,
    /// What to execute: the binary, or the loader of a provisioned root.
    pub program: PathBuf,
    /// What comes before QEMU's own arguments.
    pub leading_args: Vec<OsString>,
    /// What to add to the environment.
    pub env: Vec<(String, OsString)>,
    /// Its version, as it says.
    pub version: Version,
    /// What it can do, as it showed.
    pub caps: Capabilities,
    /// What was looked at before it and why that was not taken, one sentence each.
    pub passed_over: Vec<String>,
    /// The binary itself, also where a loader is what is executed.
    pub(crate) subject: PathBuf,
}

/// How a QEMU came to be the one that is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Origin {
    /// The user named it.
    Named {
        /// Where: an option or an environment variable.
        by: String,
    },
    /// It is on `PATH`.
    Path,
    /// testjig fetched it.
    Provisioned {
        /// From which suite of Debian.
        suite: String,
    },
    /// It is the machine that comes with testjig.
    Embedded,
}

/// What a QEMU can do, found out by starting it once without a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each named where a test asks for it"
)]
pub struct Capabilities {
    /// The virtual clock can be moved (`clock_step`, `clock_set`).
    pub clock: bool,
    /// Time passes, packets and entropy flow. Not so in a virtual machine that is never started.
    pub running: bool,
    /// It starts with the qtest accelerator; without it, tests use `-accel tcg -S`.
    pub qtest_accel: bool,
    /// `-object monitor-qmp` exists, the successor of `-mon`.
    pub monitor_qmp_object: bool,
    /// The machine types, by name and by alias.
    pub machines: BTreeSet<String>,
    /// The identifier of each machine's RAM backend, by the machine's name and by its alias.
    /// A machine that is missing here does not take `memory-backend`.
    pub ram_ids: BTreeMap<String, String>,
    /// The device types that `-device` and the machines know, abstract ones left out.
    pub devices: BTreeSet<String>,
    /// The types that `-object` knows.
    pub objects: BTreeSet<String>,
    /// The properties of those device types that were [asked about](Qemu::learn_properties), by type.
    #[serde(default)]
    pub properties: BTreeMap<String, BTreeSet<String>>,
}

impl Qemu {
    /// Starts the binary once, unless what it answered the last time is still known, and records
    /// what it is. Takes the time of one start without a machine (50 to 100 ms) or almost none.
    ///
    /// The binary is recorded as named by its path.
    ///
    /// # Errors
    /// If the file is missing, cannot be executed, is not a QEMU, ends at once, answers nothing
    /// within 10 s, or emulates another architecture.
    pub fn from_binary(arch: Arch, program: &Path, cache: &Cache) -> Result<Self, FindError> {
        let by = program.display().to_string();
        Self::from_binary_of(Some(arch), program, Origin::Named { by }, cache)
    }

    /// As [`from_binary`](Self::from_binary), whatever the binary emulates.
    ///
    /// # Errors
    /// As there; [`FindErrorKind::Answer`] if it emulates what testjig has no name for.
    pub fn from_any_binary(program: &Path, cache: &Cache) -> Result<Self, FindError> {
        let by = program.display().to_string();
        Self::from_binary_of(None, program, Origin::Named { by }, cache)
    }

    pub(crate) fn from_binary_of(
        arch: Option<Arch>,
        program: &Path,
        origin: Origin,
        cache: &Cache,
    ) -> Result<Self, FindError> {
        let program = std::path::absolute(program)
            .map_err(|error| FindError::of(program, FindErrorKind::Io(error)))?;
        let invocation = Invocation {
            subject: program.clone(),
            program,
            leading_args: Vec::new(),
            env: Vec::new(),
        };
        invocation.probed(arch, origin, cache)
    }

    /// Finds out the properties of these device types, into [`Capabilities::properties`]: from the cache, and of types that are new to it
    /// by one start without a machine. Types that this QEMU does not have, or does not tell about, are left out.
    pub fn learn_properties<'a>(
        &mut self,
        devices: impl IntoIterator<Item = &'a str>,
        cache: &Cache,
    ) {
        let devices: BTreeSet<String> = devices
            .into_iter()
            .filter(|&device| self.caps.devices.contains(device))
            .map(str::to_owned)
            .collect();
        if devices.is_empty() {
            return;
        }
        let invocation = Invocation {
            subject: self.subject.clone(),
            program: self.program.clone(),
            leading_args: self.leading_args.clone(),
            env: self.env.clone(),
        };
        self.caps.properties = probe::properties(&invocation, &devices, cache);
    }

    /// The program itself, also where a loader is what is executed.
    pub fn binary(&self) -> &Path {
        &self.subject
    }

    /// One line: what it is, where it comes from, and what was not taken in its place.
    pub fn summary(&self) -> String {
        let Self {
            arch,
            version,
            origin,
            ..
        } = self;
        let program = self.program.display();
        let place = match origin {
            Origin::Named { by } if *by == program.to_string() => by.clone(),
            Origin::Named { by } => format!("{program} (named by {by})"),
            Origin::Path => format!("{program} (on PATH)"),
            Origin::Provisioned { suite } => format!("provisioned from Debian {suite}"),
            Origin::Embedded => {
                let mut summary = "the embedded machine, an x86_64 pc".to_owned();
                if !self.passed_over.is_empty() {
                    summary.push_str(", for want of a QEMU: ");
                    summary.push_str(&self.passed_over.join("; "));
                }
                return summary;
            }
        };
        let mut summary = format!("QEMU {version} for {arch}, {place}");
        if !self.caps.qtest_accel {
            summary.push_str(", without the qtest accelerator: no virtual clock");
        }
        if !self.passed_over.is_empty() {
            summary.push_str("; ");
            summary.push_str(&self.passed_over.join("; "));
        }
        summary
    }

    /// A command that starts it: QEMU's own arguments go behind what is there.
    pub fn command(&self) -> Command {
        command(&self.program, &self.leading_args, &self.env)
    }
}

/// How to start a binary that has not been asked yet.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    /// The QEMU binary itself, also where a loader is what is executed.
    pub(crate) subject: PathBuf,
    pub(crate) program: PathBuf,
    pub(crate) leading_args: Vec<OsString>,
    pub(crate) env: Vec<(String, OsString)>,
}

impl Invocation {
    pub(crate) fn command(&self) -> Command {
        command(&self.program, &self.leading_args, &self.env)
    }

    /// Asks the binary, or the cache, what it is.
    pub(crate) fn probed(
        self,
        arch: Option<Arch>,
        origin: Origin,
        cache: &Cache,
    ) -> Result<Qemu, FindError> {
        let Facts {
            target,
            version,
            caps,
        } = probe::facts(&self, cache)?;
        let found: Result<Arch, _> = target.parse();
        let arch = match (arch, found) {
            (Some(wanted), Ok(found)) if wanted == found => found,
            (None, Ok(found)) => found,
            (Some(wanted), _) => {
                let kind = FindErrorKind::WrongArch {
                    wanted,
                    found: target,
                };
                return Err(FindError::of(&self.subject, kind));
            }
            (None, Err(error)) => {
                let kind = FindErrorKind::Answer(error.to_string());
                return Err(FindError::of(&self.subject, kind));
            }
        };
        Ok(Qemu {
            arch,
            origin,
            program: self.program,
            leading_args: self.leading_args,
            env: self.env,
            version,
            caps,
            passed_over: Vec::new(),
            subject: self.subject,
        })
    }
}

fn command(program: &Path, leading_args: &[OsString], env: &[(String, OsString)]) -> Command {
    let mut command = Command::new(program);
    command.args(leading_args);
    command.envs(env.iter().map(|(name, value)| (name, value)));
    command
}
