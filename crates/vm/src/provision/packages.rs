//! Single packages of a suite, for whoever wants files out of them and nothing that runs here: [`Wanted`].

use std::fs;
use std::path::{Path, PathBuf};

use super::apt::Apt;
use super::error::{ProvisionError, ProvisionErrorKind};
use super::fetch::{
    LISTS, STAGING, WORK, download, enough_room, fit_for_paths, of_archives, sweep,
};
use super::lock::Lock;
use super::plan::{self, Package};
use super::progress::Progress;
use super::root::{Root, remove_tree};
use super::suite::Suite;
use super::tools::Tools;

/// Packages that are wanted, and where they are to be worked on.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What is fetched, for the error: "a guest's kernel".
    pub what: &'a str,
    /// What apt is asked to install.
    pub names: &'a [&'a str],
    /// Which of the packages that this needs are taken, by name.
    pub takes: fn(&str) -> bool,
    /// The suite they come from.
    pub suite: &'a Suite,
    /// A directory of the cache that no other kind of fetching uses. One process at a time works in it.
    pub directory: &'a Path,
}

/// Packages that lie unpacked, until this is dropped.
#[derive(Debug)]
pub struct Unpacked {
    root: tempfile::TempDir,
    work: PathBuf,
    packages: Vec<Package>,
    source: String,
    dpkg_arch: String,
    _lock: Lock,
}

impl Unpacked {
    /// The tree of all of them. On the same file system as [`Wanted::directory`].
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// What they are.
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// The source that apt was given.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Debian's name of the kind of machine that they are for.
    pub fn dpkg_arch(&self) -> &str {
        &self.dpkg_arch
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // What was downloaded has served; a tree with directories that can't be written to is more than `TempDir` can remove.
        let _ = remove_tree(self.root.path());
        let _ = remove_tree(&self.work);
    }
}

impl Wanted<'_> {
    /// Fetches and unpacks them, as the QEMUs are fetched; `is_there` is asked once it is this process's turn: if another has fetched
    /// them meanwhile, there is nothing to do, and `None` is returned.
    ///
    /// # Errors
    /// If they can't be had; the error says why and what to do.
    pub fn unpack(
        &self,
        is_there: impl FnOnce() -> bool,
        progress: &dyn Progress,
    ) -> Result<Option<Unpacked>, ProvisionError> {
        let result = self.fetch(is_there, progress);
        progress.done();
        result.map_err(|error| {
            error
                .about(&[], Some(self.suite))
                .instead_of_a_qemu(self.what)
                .in_place(self.directory)
        })
    }

    fn fetch(
        &self,
        is_there: impl FnOnce() -> bool,
        progress: &dyn Progress,
    ) -> Result<Option<Unpacked>, ProvisionError> {
        let tools = Tools::of_this_machine()?;
        let directory = self.directory;
        fit_for_paths(directory)?;
        fs::create_dir_all(directory)
            .map_err(|error| ProvisionError::io("create", directory, error))?;
        let lock = Lock::take(directory, progress)?;
        if is_there() {
            return Ok(None);
        }
        sweep(directory)?;
        let work = directory.join(WORK);
        let (packages, source) = of_archives(&tools, |archive| {
            let source = archive.paragraph(&self.suite.with_base(), &tools.dpkg_arch);
            let apt = Apt::prepare(&tools, &work, &source, self.suite)?;
            enough_room(&work, LISTS)?;
            progress.stage(&format!(
                "reading the package lists of Debian {}",
                self.suite
            ));
            apt.update().inspect_err(|_| apt.forget())?;
            let printed = apt.plan(self.names).inspect_err(|_| apt.forget())?;
            let mut packages = plan::packages(&printed).map_err(|line| {
                let said = format!("an answer that is not understood: {line}");
                ProvisionError::new(ProvisionErrorKind::Tool("apt-get".to_owned(), said))
            })?;
            packages.retain(|package| (self.takes)(&package.name));
            packages.sort_by(|one, other| one.name.cmp(&other.name));
            download(&apt, &packages.iter().collect::<Vec<_>>(), &work, progress)?;
            Ok((packages, source))
        })?;
        let root = tempfile::Builder::new()
            .prefix(STAGING)
            .tempdir_in(directory)
            .map_err(|error| ProvisionError::io("write to", directory, error))?;
        progress.stage(&format!("unpacking {} packages", packages.len()));
        Root(root.path()).unpack(
            &packages.iter().collect::<Vec<_>>(),
            &work.join("debs"),
            &tools.dpkg_deb,
            progress,
        )?;
        Ok(Some(Unpacked {
            root,
            work,
            packages,
            source,
            dpkg_arch: tools.dpkg_arch,
            _lock: lock,
        }))
    }
}
