//! Which QEMU a run uses, and why: [`Finder`].

mod error;
#[cfg(test)]
mod tests;

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

pub use error::{FindError, FindErrorKind};

use crate::provision::host::in_directories;
use crate::provision::{
    self, Installed, Progress, ProvisionError, ProvisionErrorKind, Silent, Suite,
};
use crate::{Arch, Cache, Origin, Qemu};

/// The variable by which QEMU's own tests are given a binary.
const QTEST_QEMU_BINARY: &str = "QTEST_QEMU_BINARY";

/// Finds a QEMU, in this order:
///
/// 1. what the user named: the option, `TESTJIG_QEMU_<ARCH>`, `QTEST_QEMU_BINARY`;
/// 2. one on `PATH` that has the qtest accelerator;
/// 3. a provisioned one, which is fetched if it is not there yet;
/// 4. one without the accelerator, on `PATH` or provisioned, if that was asked for.
///
/// A named binary is used or is an error: neither is another taken in its place, nor is the network
/// asked. A suite that is named leaves only what is provisioned from it, with the accelerator or
/// without.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finder {
    /// What it is to emulate.
    pub arch: Arch,
    /// The binary that the user named by an option.
    pub explicit: Option<PathBuf>,
    /// Whether one may be fetched.
    pub allow_network: bool,
    /// The suite of Debian that the user named.
    pub suite: Option<Suite>,
    /// Whether one without the qtest accelerator will do if there is none that has it.
    pub without_accel_ok: bool,
}

impl Finder {
    /// Names nothing, allows the network and wants the accelerator.
    pub fn new(arch: Arch) -> Self {
        Self {
            arch,
            explicit: None,
            allow_network: true,
            suite: None,
            without_accel_ok: false,
        }
    }

    /// The binary that the user named by an option.
    #[must_use]
    pub fn explicit(mut self, program: Option<PathBuf>) -> Self {
        self.explicit = program;
        self
    }

    /// Whether one may be fetched.
    #[must_use]
    pub fn allow_network(mut self, allow: bool) -> Self {
        self.allow_network = allow;
        self
    }

    /// The suite of Debian that the user named.
    #[must_use]
    pub fn suite(mut self, suite: Option<Suite>) -> Self {
        self.suite = suite;
        self
    }

    /// Whether one without the qtest accelerator will do if there is none that has it.
    #[must_use]
    pub fn without_accel_ok(mut self, ok: bool) -> Self {
        self.without_accel_ok = ok;
        self
    }

    /// Finds one. What was looked at before it and not taken is in [`Qemu::passed_over`].
    ///
    /// # Errors
    /// If there is none; the error says what was looked at and what to do.
    pub fn find(&self, cache: &Cache, progress: &dyn Progress) -> Result<Qemu, FindError> {
        let environment = Environment::of_this_process(self.arch);
        let fetch = |suite: &Suite| provision::install(&[self.arch], suite, cache, progress);
        self.find_in(&environment, cache, &fetch)
    }

    fn find_in(
        &self,
        environment: &Environment,
        cache: &Cache,
        fetch: &Fetch<'_>,
    ) -> Result<Qemu, FindError> {
        let mut search = Search {
            finder: self,
            environment,
            cache,
            fetch,
            passed_over: Vec::new(),
            second_best: None,
        };
        let mut qemu = search.run()?;
        qemu.passed_over = search.passed_over;
        Ok(qemu)
    }
}

impl Qemu {
    /// Finds one for an architecture as a [`Finder`] does that was told nothing else, with the
    /// user's cache and without showing progress.
    ///
    /// # Errors
    /// As [`Finder::find`].
    pub fn find(arch: Arch) -> Result<Self, FindError> {
        let cache = Cache::open().map_err(|error| FindError::new(FindErrorKind::Cache(error)))?;
        Finder::new(arch).find(&cache, &Silent)
    }
}

/// What of the environment matters.
struct Environment {
    path: Option<OsString>,
    /// `TESTJIG_QEMU_<ARCH>`.
    own: Option<OsString>,
    /// `QTEST_QEMU_BINARY`.
    qtest: Option<OsString>,
}

impl Environment {
    fn of_this_process(arch: Arch) -> Self {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        Self {
            path: env::var_os("PATH"),
            own: set(&arch.variable()),
            qtest: set(QTEST_QEMU_BINARY),
        }
    }
}

/// The binary that the user named: by its path, or by a name on `PATH` as shells look for it.
pub(crate) fn named(
    arch: Option<Arch>,
    program: &Path,
    by: &str,
    path: Option<&OsStr>,
    cache: &Cache,
) -> Result<Qemu, FindError> {
    let mut program = program.to_owned();
    if program.components().count() == 1 && !program.exists() {
        let name = program.to_string_lossy().into_owned();
        if let Some(found) = in_directories(path, &name).next() {
            program = found;
        }
    }
    let origin = Origin::Named { by: by.to_owned() };
    Qemu::from_binary_of(arch, &program, origin, cache).map_err(|error| error.named_by(by))
}

/// Fetches the root of a suite, or finds that it is there.
type Fetch<'a> = dyn Fn(&Suite) -> Result<Installed, ProvisionError> + 'a;

struct Search<'a> {
    finder: &'a Finder,
    environment: &'a Environment,
    cache: &'a Cache,
    fetch: &'a Fetch<'a>,
    passed_over: Vec<String>,
    /// One without the accelerator.
    second_best: Option<Qemu>,
}

impl Search<'_> {
    fn run(&mut self) -> Result<Qemu, FindError> {
        let arch = self.finder.arch;
        if let Some(program) = &self.finder.explicit {
            return self.named(program, "--qemu");
        }
        if let Some(program) = &self.environment.own {
            return self.named(program.as_ref(), &arch.variable());
        }
        let mut allow_network = self.finder.allow_network;
        if let Some(program) = &self.environment.qtest {
            match self.named(program.as_ref(), QTEST_QEMU_BINARY) {
                // It can name one binary only, and a run may need several.
                Err(error) if matches!(error.kind(), FindErrorKind::WrongArch { .. }) => {
                    self.passed_over.push(error.to_string());
                    allow_network = false;
                }
                result => return result,
            }
        }
        if self.finder.suite.is_none() {
            if let Some(qemu) = self.on_path() {
                return Ok(qemu);
            }
        }
        if let Some(qemu) = self.installed() {
            return Ok(qemu);
        }
        let fetched = if allow_network {
            self.fetched().map_err(Some)
        } else {
            Err(None)
        };
        let error = match fetched {
            Ok(qemu) => return Ok(qemu),
            Err(error) => error,
        };
        if let (true, Some(qemu)) = (self.finder.without_accel_ok, self.second_best.take()) {
            self.passed_over
                .extend(error.map(|error| error.to_string()));
            return Ok(qemu);
        }
        let passed_over = std::mem::take(&mut self.passed_over);
        Err(FindError::new(match error {
            Some(error) => FindErrorKind::Provision {
                error: Box::new(error),
                passed_over,
            },
            None => FindErrorKind::NotFound { arch, passed_over },
        }))
    }

    fn named(&self, program: &Path, by: &str) -> Result<Qemu, FindError> {
        let arch = Some(self.finder.arch);
        let path = self.environment.path.as_deref();
        named(arch, program, by, path, self.cache)
    }

    fn on_path(&mut self) -> Option<Qemu> {
        let name = self.finder.arch.binary_name();
        let candidates: Vec<PathBuf> =
            in_directories(self.environment.path.as_deref(), &name).collect();
        if candidates.is_empty() {
            self.passed_over.push(format!("there is no {name} on PATH"));
        }
        for program in candidates {
            let found =
                Qemu::from_binary_of(Some(self.finder.arch), &program, Origin::Path, self.cache);
            match found {
                Ok(qemu) if qemu.caps.qtest_accel => return Some(qemu),
                Ok(qemu) => self.keep_for_later(qemu, &program.display().to_string()),
                Err(error) => self.passed_over.push(error.to_string()),
            }
        }
        None
    }

    /// The suites to look at, in order.
    fn suites(&self) -> Vec<Suite> {
        match &self.finder.suite {
            Some(suite) => vec![suite.clone()],
            None => Suite::defaults().to_vec(),
        }
    }

    fn installed(&mut self) -> Option<Qemu> {
        for suite in self.suites() {
            let Some(installed) = provision::newest(self.cache, &suite, &[self.finder.arch]) else {
                continue;
            };
            match self.of(&installed) {
                Ok(qemu) => return Some(qemu),
                Err(Some(error)) => self.passed_over.push(error.to_string()),
                Err(None) => {}
            }
        }
        None
    }

    /// The QEMU of a root, if it will do; one that does only if need be is kept for later.
    fn of(&mut self, installed: &Installed) -> Result<Qemu, Option<FindError>> {
        let qemu = installed.qemu(self.finder.arch, self.cache).map_err(Some)?;
        // Who names a suite wants what is in it.
        if qemu.caps.qtest_accel || self.finder.suite.is_some() {
            return Ok(qemu);
        }
        let what = format!(
            "the provisioned one of Debian {}",
            installed.manifest().suite
        );
        self.keep_for_later(qemu, &what);
        Err(None)
    }

    fn keep_for_later(&mut self, qemu: Qemu, what: &str) {
        self.passed_over.push(format!(
            "{what} (QEMU {}) has no qtest accelerator",
            qemu.version
        ));
        self.second_best.get_or_insert(qemu);
    }

    /// Fetches one: from the first suite that is in order and whose QEMU has the accelerator.
    fn fetched(&mut self) -> Result<Qemu, ProvisionError> {
        let archs = [self.finder.arch];
        let mut first_error = None;
        for suite in self.suites() {
            let about = |kind| ProvisionError::new(kind).about(&archs, Some(&suite));
            let error = match (self.fetch)(&suite) {
                Ok(installed) => match self.of(&installed) {
                    Ok(qemu) => {
                        self.passed_over
                            .extend(first_error.map(|error: ProvisionError| error.to_string()));
                        return Ok(qemu);
                    }
                    Err(Some(error)) => about(ProvisionErrorKind::Unusable(Box::new(error))),
                    Err(None) => {
                        let version = &installed.manifest().version;
                        about(ProvisionErrorKind::NoAccelerator(format!(
                            "its QEMU ({version})"
                        )))
                    }
                },
                Err(error) => error,
            };
            let go_on = error.another_suite_may_do();
            first_error = first_error.or(Some(error));
            if !go_on {
                break;
            }
        }
        Err(first_error.unwrap_or_else(|| ProvisionError::new(ProvisionErrorKind::NotDebian)))
    }
}
