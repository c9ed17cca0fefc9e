//! The tests of what changed in a QEMU source tree.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use testjig::case::Case;
use testjig_strength::Coverage;

use crate::coverage::usual_map;

#[derive(Args)]
pub(crate) struct Changed {
    /// Only cases that reach a file which differs from this revision of QEMU's sources
    #[arg(long, value_name = "REV", requires = "qemu_src")]
    changed_since: Option<String>,
    /// QEMU's source tree, a git checkout
    #[arg(long, value_name = "DIR", requires = "changed_since")]
    qemu_src: Option<PathBuf>,
}

impl Changed {
    /// Whether anybody asked.
    pub(crate) fn is_asked(&self) -> bool {
        self.changed_since.is_some()
    }

    /// The cases that reach what changed, or all if nobody asked.
    ///
    /// What reaches a file is known from `jig coverage`; of a file that it did not look at, from its name in the names of cases.
    pub(crate) fn select(&self, cases: Vec<Case>) -> Result<Vec<Case>, String> {
        let (Some(revision), Some(tree)) = (&self.changed_since, &self.qemu_src) else {
            return Ok(cases);
        };
        let coverage = Coverage::read(&usual_map()).unwrap_or_default();
        let mut reached = HashSet::new();
        for file in changed_files(tree, revision)? {
            let before = reached.len();
            if coverage.files.contains_key(&file) {
                reached.extend(coverage.tests_of(&file).map(str::to_owned));
            } else {
                let named = cases
                    .iter()
                    .filter(|case| is_named_after(&case.name, &file));
                reached.extend(named.map(|case| case.name.clone()));
            }
            if reached.len() == before && is_source(&file) {
                eprintln!("jig: no further test is known to reach {file}");
            }
        }
        Ok(cases
            .into_iter()
            .filter(|case| reached.contains(&case.name))
            .collect())
    }
}

fn changed_files(tree: &Path, revision: &str) -> Result<Vec<String>, String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(tree)
        .args(["diff", "--name-only", "--end-of-options", revision, "--"])
        .output()
        .map_err(|error| format!("failed to run git: {error}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "git can't tell what changed in {} since {revision}: {}",
            tree.display(),
            complaint.lines().next().unwrap_or_default()
        ));
    }
    let names = String::from_utf8_lossy(&output.stdout);
    Ok(names.lines().map(str::to_owned).collect())
}

fn is_source(file: &str) -> bool {
    [".c", ".h", ".rs"]
        .iter()
        .any(|suffix| file.ends_with(suffix))
}

/// Whether a case's name has that of the file: `virtio-blk.c` is in `…/virtio-blk-pci` and in `virtio_blk::…`.
fn is_named_after(case: &str, file: &str) -> bool {
    let stem = Path::new(file)
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    is_source(file)
        && stem.len() > 2
        && case
            .replace('_', "-")
            .to_lowercase()
            .contains(&stem.replace('_', "-").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_s_name_is_found_in_either_spelling() {
        let case = "virtio_blk::reads@x86_64/q35/pcie.0/virtio-blk-pci";
        assert!(is_named_after(case, "hw/block/virtio-blk.c"));
        assert!(is_named_after(case, "include/hw/virtio/virtio_blk.h"));
        assert!(!is_named_after(case, "hw/block/fdc.c"));
        assert!(!is_named_after(case, "docs/virtio-blk.rst"));
    }
}
