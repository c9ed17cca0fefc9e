//! [`Coverage`]: which lines of which source files each test reached, on a binary that was built with `--enable-gcov`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::tree::Tree;

/// What the tests of a run reached.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Coverage {
    /// By source file, relative to the source tree.
    pub files: BTreeMap<String, FileCoverage>,
}

/// What the tests reached of one file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FileCoverage {
    /// Its lines with code: whether one of the tests reached them.
    pub lines: BTreeMap<u32, bool>,
    /// Its branches, by line and place in that line: whether one of the tests took them.
    pub branches: BTreeMap<u32, Vec<bool>>,
    /// The lines that each test reached.
    pub tests: BTreeMap<String, BTreeSet<u32>>,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// How many were reached.
    pub reached: usize,
    /// How many there are.
    pub all: usize,
}

impl Share {
    /// In percent; 100 of nothing.
    pub fn percent(self) -> f64 {
        let (reached, all) = (to_f64(self.reached), to_f64(self.all));
        if self.all == 0 {
            100.0
        } else {
            100.0 * reached / all
        }
    }
}

fn to_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

impl FileCoverage {
    /// Lines reached.
    pub fn line_share(&self) -> Share {
        Share {
            reached: self.lines.values().filter(|&&reached| reached).count(),
            all: self.lines.len(),
        }
    }

    /// Branches taken.
    pub fn branch_share(&self) -> Share {
        let branches = || self.branches.values().flatten();
        Share {
            reached: branches().filter(|&&taken| taken).count(),
            all: branches().count(),
        }
    }

    /// The lines that no test reached, as ranges.
    pub fn unreached(&self) -> Vec<(u32, u32)> {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        let mut open = false;
        for (&line, &reached) in &self.lines {
            match ranges.last_mut() {
                _ if reached => open = false,
                Some(range) if open => range.1 = line,
                _ => {
                    ranges.push((line, line));
                    open = true;
                }
            }
        }
        ranges
    }
}

/// What `gcov --json-format` prints, as far as it is read here.
#[derive(Deserialize)]
struct Report {
    files: Vec<ReportFile>,
}

#[derive(Deserialize)]
struct ReportFile {
    file: String,
    lines: Vec<ReportLine>,
}

#[derive(Deserialize)]
struct ReportLine {
    line_number: u32,
    count: u64,
    #[serde(default)]
    branches: Vec<ReportBranch>,
}

#[derive(Deserialize)]
struct ReportBranch {
    count: u64,
}

impl Coverage {
    /// Takes in what one test reached, from the directory that `GCOV_PREFIX` named while it ran.
    ///
    /// # Errors
    /// If the binary wrote nothing there, because it was not built with `--enable-gcov` or was killed, or gcov declines.
    pub fn add(
        &mut self,
        tree: &Tree,
        files: &[String],
        test: &str,
        prefix: &Path,
    ) -> Result<(), Error> {
        let mut any = false;
        for file in files {
            let object = tree.object_path(file)?;
            let data = beside(&object, prefix, "gcda");
            if !data.exists() {
                continue;
            }
            any = true;
            let notes = data.with_extension("gcno");
            if !notes.exists() {
                symlink(object.with_extension("gcno"), &notes)
                    .map_err(|error| Error::read(&notes, error))?;
            }
            let name = Path::new(file).file_name().unwrap_or_default();
            for report in gcov(&data)?.files {
                if Path::new(&report.file).file_name() == Some(name) {
                    self.files
                        .entry(file.clone())
                        .or_default()
                        .add(test, &report);
                }
            }
        }
        if any {
            return Ok(());
        }
        Err(Error::Tool(
            test.to_owned(),
            format!(
                "{} wrote no coverage: build it with --enable-gcov",
                tree.target()
            ),
        ))
    }

    /// The tests that reached a file.
    pub fn tests_of(&self, file: &str) -> impl Iterator<Item = &str> {
        self.files
            .get(file)
            .into_iter()
            .flat_map(|file| &file.tests)
            .filter(|(_, lines)| !lines.is_empty())
            .map(|(test, _)| test.as_str())
    }

    /// Reads what [`Coverage::write`] wrote.
    ///
    /// # Errors
    /// If the file can't be read or is no such file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read(path).map_err(|error| Error::read(path, error))?;
        serde_json::from_slice(&text).map_err(|error| Error::read(path, error.into()))
    }

    /// Writes the map from files and lines to tests.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec(self).expect("the keys are text and numbers");
        fs::write(path, text).map_err(|error| Error::read(path, error))
    }
}

impl FileCoverage {
    fn add(&mut self, test: &str, report: &ReportFile) {
        let reached = self.tests.entry(test.to_owned()).or_default();
        for line in &report.lines {
            let seen = self.lines.entry(line.line_number).or_default();
            *seen |= line.count > 0;
            if line.count > 0 {
                reached.insert(line.line_number);
            }
            let branches = self.branches.entry(line.line_number).or_default();
            if branches.len() < line.branches.len() {
                branches.resize(line.branches.len(), false);
            }
            for (taken, branch) in branches.iter_mut().zip(&line.branches) {
                *taken |= branch.count > 0;
            }
        }
    }
}

/// Where a program with `GCOV_PREFIX` puts the counters of an object.
fn beside(object: &Path, prefix: &Path, extension: &str) -> PathBuf {
    let inside = object.strip_prefix("/").unwrap_or(object);
    prefix.join(inside).with_extension(extension)
}

fn gcov(data: &Path) -> Result<Report, Error> {
    let declined = |why: String| Error::Tool("gcov".to_owned(), why);
    let output = Command::new("gcov")
        .args(["--json-format", "--stdout", "--branch-probabilities"])
        .arg(data)
        .current_dir(data.parent().expect("a file is in a directory"))
        .output()
        .map_err(|error| declined(error.to_string()))?;
    if !output.status.success() {
        return Err(declined(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| declined(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(counts: &[(u32, u64, &[u64])]) -> ReportFile {
        ReportFile {
            file: "hw/a.c".to_owned(),
            lines: counts
                .iter()
                .map(|&(line_number, count, branches)| ReportLine {
                    line_number,
                    count,
                    branches: branches
                        .iter()
                        .map(|&count| ReportBranch { count })
                        .collect(),
                })
                .collect(),
        }
    }

    #[test]
    fn tests_add_up_and_each_keeps_its_own_lines() {
        let mut file = FileCoverage::default();
        file.add(
            "one",
            &report(&[(3, 1, &[1, 0]), (4, 0, &[]), (7, 0, &[]), (8, 0, &[])]),
        );
        file.add(
            "two",
            &report(&[(3, 1, &[0, 0]), (4, 2, &[]), (7, 0, &[]), (8, 0, &[])]),
        );

        assert_eq!(file.line_share(), Share { reached: 2, all: 4 });
        assert_eq!(file.branch_share(), Share { reached: 1, all: 2 });
        assert_eq!(file.unreached(), [(7, 8)]);
        assert_eq!(file.tests["one"], BTreeSet::from([3]));
        assert_eq!(file.tests["two"], BTreeSet::from([3, 4]));
    }

    #[test]
    fn counters_are_found_below_the_prefix() {
        let object = Path::new("/b/libcommon.a.p/hw_rtc.c.o");
        let found = beside(object, Path::new("/tmp/x"), "gcda");
        assert_eq!(found, Path::new("/tmp/x/b/libcommon.a.p/hw_rtc.c.gcda"));
    }
}
