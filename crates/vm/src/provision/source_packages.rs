//! Source packages of a suite, as they were uploaded: [`WantedSources`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::apt::Apt;
use super::error::{ProvisionError, ProvisionErrorKind};
use super::fetch::{LISTS, enough_room, fit_for_paths, of_archives};
use super::lock::Lock;
use super::plan;
use super::progress::Progress;
use super::root::{has_hash, remove_tree};
use super::suite::Suite;
use super::tools::Tools;

/// What is known of the files that lie in a directory.
const INDEX: &str = "index.json";
/// apt's state while fetching.
const WORK: &str = ".work-sources";

/// Source packages that are wanted, and where their files are to lie.
#[derive(Clone, Copy, Debug)]
pub struct WantedSources<'a> {
    /// What is fetched, for the error: "the sources of a guest's kernel".
    pub what: &'a str,
    /// The packages: `linux`, or `linux=6.1.0-1` for that version.
    pub names: &'a [&'a str],
    /// The suite they come from.
    pub suite: &'a Suite,
    /// A directory of the cache. One process at a time works in it.
    pub directory: &'a Path,
}

/// One file of a source package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// The package.
    pub package: String,
    /// Its version, without the epoch.
    pub version: String,
    /// The file's name.
    pub file: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256, in hexadecimal, as the signed index says.
    pub sha256: String,
}

/// Source packages that lie in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePackages {
    /// What was asked for.
    names: Vec<String>,
    /// All files, of which a `.dsc` names the others.
    pub files: Vec<SourceFile>,
    /// The source that apt was given.
    pub source: String,
}

impl WantedSources<'_> {
    /// Sees to it that the files lie in [`directory`](Self::directory), and fetches those that do not. What was fetched before is used
    /// as it is, without a network; `refresh` asks what the suite has now.
    ///
    /// # Errors
    /// If they can't be had; the error says why and what to do.
    pub fn fetch(
        &self,
        refresh: bool,
        progress: &dyn Progress,
    ) -> Result<SourcePackages, ProvisionError> {
        let result = self.lock_and_fetch(refresh, progress);
        progress.done();
        result.map_err(|error| {
            error
                .about(&[], Some(self.suite))
                .instead_of_a_qemu(self.what)
                .in_place(self.directory)
        })
    }

    fn lock_and_fetch(
        &self,
        refresh: bool,
        progress: &dyn Progress,
    ) -> Result<SourcePackages, ProvisionError> {
        let directory = self.directory;
        fit_for_paths(directory)?;
        fs::create_dir_all(directory)
            .map_err(|error| ProvisionError::io("create", directory, error))?;
        let _lock = Lock::take(directory, progress)?;
        let checked = |error| ProvisionError::io("check the files in", directory, error);
        if let Some(there) = self.there().filter(|_| !refresh) {
            progress.stage("checking the sources that are there");
            if there.are_whole(directory).map_err(checked)? {
                return Ok(there);
            }
        }
        let tools = Tools::of_this_machine()?;
        let work = directory.join(WORK);
        let fetched = of_archives(&tools, |archive| {
            let source = archive.source_paragraph(&self.suite.with_base());
            let apt = Apt::prepare(&tools, &work, &source, self.suite)?;
            enough_room(&work, LISTS)?;
            progress.stage(&format!("reading the lists of Debian {}", self.suite));
            apt.update().inspect_err(|_| apt.forget())?;
            let printed = apt.plan_sources(self.names).inspect_err(|_| apt.forget())?;
            let files = plan::sources(&printed).map_err(|line| {
                let said = format!("an answer that is not understood: {line}");
                ProvisionError::new(ProvisionErrorKind::Tool("apt-get".to_owned(), said))
            })?;
            if files.is_empty() {
                let said = "it names no files".to_owned();
                return Err(ProvisionError::new(ProvisionErrorKind::NoPackage(said)));
            }
            let fetched = SourcePackages {
                names: self.names.iter().map(|&name| name.to_owned()).collect(),
                files,
                source,
            };
            if fetched.are_whole(directory).map_err(checked)? {
                return Ok(fetched);
            }
            let total = fetched.files.iter().map(|file| file.size).sum();
            enough_room(&work, total)?;
            progress.stage("downloading sources");
            apt.download_sources(self.names, |status| {
                progress.bytes(total * status.millionths / 1_000_000, total);
            })
            .inspect_err(|_| apt.forget())?;
            for SourceFile { file, .. } in &fetched.files {
                let from = apt.debs().join(file);
                fs::rename(&from, directory.join(file))
                    .map_err(|error| ProvisionError::io("move", &from, error))?;
            }
            Ok(fetched)
        })?;
        if !fetched.are_whole(directory).map_err(checked)? {
            let said = "a file is not what the archive's index says".to_owned();
            return Err(ProvisionError::new(ProvisionErrorKind::MirrorMidUpdate(
                said,
            )));
        }
        let index = directory.join(INDEX);
        serde_json::to_vec_pretty(&fetched)
            .map_err(io::Error::from)
            .and_then(|text| fs::write(&index, text))
            .map_err(|error| ProvisionError::io("write", &index, error))?;
        // apt's lists have served; what can't be removed does no harm.
        let _ = remove_tree(&work);
        Ok(fetched)
    }

    /// What was fetched before, if it is what is wanted.
    fn there(&self) -> Option<SourcePackages> {
        let text = fs::read(self.directory.join(INDEX)).ok()?;
        let there: SourcePackages = serde_json::from_slice(&text).ok()?;
        (there.names == self.names).then_some(there)
    }
}

impl SourcePackages {
    /// The file of a package whose name has this in it: `.orig.tar`.
    pub fn file(&self, package: &str, part: &str) -> Option<&SourceFile> {
        let mut files = self.files.iter();
        files.find(|file| file.package == package && file.file.contains(part))
    }

    fn are_whole(&self, directory: &Path) -> io::Result<bool> {
        for file in &self.files {
            let path: PathBuf = directory.join(&file.file);
            if !has_hash(&path, file.size, &file.sha256)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::provision::Silent;

    /// A directory with one source package in it, as an earlier fetch left it.
    fn fetched() -> (tempfile::TempDir, SourcePackages) {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("a_1.dsc"), "source").expect("writable");
        let packages = SourcePackages {
            names: vec!["a".to_owned()],
            files: vec![SourceFile {
                package: "a".to_owned(),
                version: "1".to_owned(),
                file: "a_1.dsc".to_owned(),
                size: 6,
                sha256: const_hex::encode(Sha256::digest("source")),
            }],
            source: String::new(),
        };
        let text = serde_json::to_vec(&packages).expect("JSON");
        fs::write(directory.path().join(INDEX), text).expect("writable");
        (directory, packages)
    }

    #[test]
    fn what_was_fetched_is_used_without_asking_anybody() {
        let (directory, packages) = fetched();
        let suite = Suite::sid();
        let wanted = WantedSources {
            what: "a source",
            names: &["a"],
            suite: &suite,
            directory: directory.path(),
        };
        let found = wanted.fetch(false, &Silent).expect("it is there");
        assert_eq!(found, packages);
        assert_eq!(found.file("a", ".dsc"), Some(&packages.files[0]));
        let other = WantedSources {
            names: &["b"],
            ..wanted
        };
        assert_eq!(other.there(), None, "that is another package");
    }

    #[test]
    fn a_file_that_was_changed_is_not_used() {
        let (directory, packages) = fetched();
        assert!(packages.are_whole(directory.path()).expect("readable"));
        fs::write(directory.path().join("a_1.dsc"), "sourcE").expect("writable");
        assert!(!packages.are_whole(directory.path()).expect("readable"));
        fs::remove_file(directory.path().join("a_1.dsc")).expect("it is there");
        assert!(!packages.are_whole(directory.path()).expect("readable"));
    }
}
