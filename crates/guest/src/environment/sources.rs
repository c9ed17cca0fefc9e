//! What is handed on together with a kernel and busybox: their complete source. [`Environment::pack_sources`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testjig_vm::provision::WantedSources;
use testjig_vm::{Cache, Progress};

use super::built::{CONFIG, RECIPE};
use super::{Environment, EnvironmentError, Lane, MANIFEST, attempt};

impl Environment {
    /// Packs the complete corresponding source of what guests run: the packages' files, and of an environment that was built here how it
    /// was configured and built. The archive's bytes hang on nothing else.
    ///
    /// # Errors
    /// If the sources can't be had, or the archive can't be written.
    pub fn pack_sources(
        &self,
        to: &Path,
        cache: &Cache,
        progress: &dyn Progress,
    ) -> Result<(), EnvironmentError> {
        let manifest = &self.manifest;
        let version = |wanted: fn(&str) -> bool| {
            let package = manifest
                .packages
                .iter()
                .find(|package| wanted(&package.name));
            package.map_or_else(String::new, |package| {
                format!("={}", of_source(&package.version))
            })
        };
        let (directory, names) = match manifest.lane {
            Lane::Built => (
                manifest.suite.name().to_owned(),
                ["linux".to_owned(), "busybox".to_owned()],
            ),
            // A package's version is its source's, for these, or that of a rebuild of it.
            Lane::Fetched => (
                format!("{}-{}", manifest.suite, manifest.version),
                [
                    format!("linux{}", version(|name| name.starts_with("linux-image"))),
                    format!("busybox{}", version(|name| name == "busybox-static")),
                ],
            ),
        };
        let home = cache.guests().join("sources").join(directory);
        let wanted = WantedSources {
            what: "the sources of what guests run",
            names: &names.each_ref().map(String::as_str),
            suite: &manifest.suite,
            directory: &home,
        };
        let packages = wanted.fetch(false, progress)?;
        if manifest.lane == Lane::Built && packages.files != manifest.sources {
            return Err(EnvironmentError::Missing(format!(
                "the sources in {} are newer than those that {} was built of; `jig guest build` builds it anew",
                home.display(),
                self.directory.display()
            )));
        }
        let about = attempt("make a directory", tempfile::tempdir())?;
        let mut names = vec![MANIFEST.to_owned(), "config".to_owned()];
        if manifest.lane == Lane::Built {
            names.push("config.busybox".to_owned());
        }
        for name in &names {
            let from = self.directory.join(name);
            if from.is_file() {
                let copied = fs::copy(&from, about.path().join(name));
                attempt(format_args!("copy {}", from.display()), copied)?;
            }
        }
        if manifest.lane == Lane::Built {
            for (name, text) in [("build.sh", RECIPE), ("config.over-tinyconfig", CONFIG)] {
                attempt(
                    format_args!("write {name}"),
                    fs::write(about.path().join(name), text),
                )?;
            }
        }
        progress.stage("packing the sources");
        let mut tar = Command::new("tar");
        // The same inputs, the same bytes.
        tar.args([
            "--sort=name",
            "--mtime=@0",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
        ])
        .args(["--mode=u=rwX,go=rX", "--format=ustar", "-cf"])
        .arg(std::path::absolute(to).unwrap_or_else(|_| to.to_owned()))
        .arg("-C")
        .arg(about.path())
        .arg(".")
        .arg("-C")
        .arg(&home)
        .args(packages.files.iter().map(|file| PathBuf::from(&file.file)));
        let output = attempt("start tar", tar.output())?;
        progress.done();
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(EnvironmentError::Unusable(format!("tar failed: {said}")))
    }
}

/// The version of the source that a package of this version was built of: a rebuild of the same source adds `+b` and a number (Debian's
/// policy, §3.2.2 and "binary NMU").
fn of_source(version: &str) -> &str {
    match version.rsplit_once("+b") {
        Some((source, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => source,
        _ => version,
    }
}

#[cfg(test)]
mod tests {
    use super::of_source;

    #[test]
    fn a_rebuild_has_the_source_of_what_was_built_before() {
        assert_eq!(of_source("1:1.35.0-4+deb12u1+b1"), "1:1.35.0-4+deb12u1");
        assert_eq!(of_source("1:1.35.0-4+deb12u1"), "1:1.35.0-4+deb12u1");
        assert_eq!(of_source("6.1.176-1"), "6.1.176-1");
        assert_eq!(of_source("7.0-1+bpo12"), "7.0-1+bpo12");
    }
}
