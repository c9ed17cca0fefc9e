//! Which guest tests a command line means: [`at`] by their files, [`among`] as any other test.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use testjig_guest::Test;

/// The directory of a project's guest tests.
const HOME: &str = "guest-tests";

/// A test with the values that its name pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selected {
    /// What reports call it: its file, from where the project begins.
    pub(crate) title: String,
    pub(crate) test: Test,
    pub(crate) pinned: BTreeMap<String, String>,
}

impl Selected {
    /// As it is in these names of reports: with the values that were chosen there, once for each.
    pub(crate) fn as_in(&self, names: &[&str]) -> Vec<Self> {
        let values = names.iter().filter_map(|name| {
            let (title, values) = name.split_once('@').unwrap_or((name, ""));
            let mut values = (title == self.title).then(|| pins(values).ok())??;
            values.extend(self.pinned.clone());
            Some(values)
        });
        let values: BTreeSet<_> = values.collect();
        let with = |pinned| Self {
            pinned,
            ..self.clone()
        };
        values.into_iter().map(with).collect()
    }
}

/// A value of a choice, as it is written.
pub(crate) fn pin(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it is written NAME=VALUE".to_owned()),
    }
}

/// The values behind the @ of a test's name.
fn pins(values: &str) -> Result<BTreeMap<String, String>, String> {
    let values = values.split(',').filter(|value| !value.is_empty());
    values
        .map(|value| pin(value).map_err(|error| format!("{value:?} is no choice: {error}")))
        .collect()
}

/// The tests at these places, each as reports name it.
///
/// # Errors
/// If a place can't be read or a value is not understood, or there is no test.
pub(crate) fn at(
    places: &[PathBuf],
    pinned: &BTreeMap<String, String>,
) -> Result<Vec<Selected>, String> {
    let mut selected = Vec::new();
    for place in places {
        let mut pinned = pinned.clone();
        let text = place.to_string_lossy().into_owned();
        let place = match text.split_once('@') {
            Some((file, values)) if !place.exists() => {
                pinned.extend(pins(values).map_err(|error| format!("{text}: {error}"))?);
                PathBuf::from(file)
            }
            _ => place.clone(),
        };
        for test in testjig_guest::find(&[place])? {
            selected.push(Selected {
                title: test.path.display().to_string(),
                test,
                pinned: pinned.clone(),
            });
        }
    }
    if selected.is_empty() {
        return Err(
            "no file that ends in .sh is there, and none in .rs with a test that this program has"
                .to_owned(),
        );
    }
    Ok(selected)
}

/// The tests of the project that this directory is in: those of the nearest `guest-tests`, here or above.
fn of_project() -> Vec<Selected> {
    let here = env::current_dir().unwrap_or_default();
    here.ancestors()
        .map(|directory| directory.join(HOME))
        .find(|home| home.is_dir())
        .map_or_else(Vec::new, |home| below(&home, Path::new(HOME)))
}

/// The tests of a directory, named as if it were `called`.
fn below(directory: &Path, called: &Path) -> Vec<Selected> {
    let tests = testjig_guest::find(&[directory.to_owned()]).unwrap_or_default();
    tests
        .into_iter()
        .map(|test| Selected {
            title: called
                .join(test.path.file_name().unwrap_or_default())
                .display()
                .to_string(),
            test,
            pinned: BTreeMap::new(),
        })
        .collect()
}

/// The project's tests whose names contain one of these, all if there are none; and the files and directories that are named, wherever
/// they lie.
pub(crate) fn among(patterns: &[String], exact: bool) -> Vec<Selected> {
    let of_project = of_project();
    if patterns.is_empty() {
        return of_project;
    }
    let mut selected: Vec<Selected> = Vec::new();
    for pattern in patterns {
        for found in matching(pattern, exact, &of_project) {
            if !selected.contains(&found) {
                selected.push(found);
            }
        }
    }
    selected
}

fn matching(pattern: &str, exact: bool, of_project: &[Selected]) -> Vec<Selected> {
    let (file, values) = pattern.split_once('@').unwrap_or((pattern, ""));
    // A pattern of other tests: rtc@x86_64/q35, or only a path.
    let (Ok(pinned), false) = (pins(values), file.is_empty()) else {
        return Vec::new();
    };
    let is_meant = |title: &str| {
        if exact {
            title == file
        } else {
            title.contains(file)
        }
    };
    let mut found: Vec<Selected> = of_project
        .iter()
        .filter(|selected| is_meant(&selected.title))
        .cloned()
        .collect();
    if found.is_empty() && is_place(file) {
        found = at(&[PathBuf::from(file)], &BTreeMap::new()).unwrap_or_default();
        let known = |selected: &Selected| {
            let path = fs::canonicalize(&selected.test.path).ok();
            let mut others = of_project.iter();
            others.find(|other| path.is_some() && fs::canonicalize(&other.test.path).ok() == path)
        };
        for selected in &mut found {
            if let Some(other) = known(selected) {
                *selected = other.clone();
            }
        }
    }
    for selected in &mut found {
        selected.pinned = pinned.clone();
    }
    found
}

/// Whether a word names a file or a directory, and is no part of a name that happens to be a file's, too.
fn is_place(word: &str) -> bool {
    let path = Path::new(word);
    (word.contains('/') || path.extension().is_some_and(|end| end == "sh")) && path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> (tempfile::TempDir, Vec<Selected>) {
        let directory = tempfile::tempdir().expect("a directory");
        let home = directory.path().join(HOME);
        fs::create_dir(&home).expect("writable");
        for name in ["net.sh", "hotplug-nic.sh", "boot.sh", "notes.txt"] {
            fs::write(home.join(name), "").expect("writable");
        }
        let all = below(&home, Path::new(HOME));
        (directory, all)
    }

    fn titles(selected: &[Selected]) -> Vec<&str> {
        let titles = selected.iter().map(|selected| selected.title.as_str());
        titles.collect()
    }

    #[test]
    fn a_part_of_the_name_selects_and_values_are_pinned() {
        let (_directory, all) = project();
        assert_eq!(
            titles(&matching("n", false, &all)),
            ["guest-tests/hotplug-nic.sh", "guest-tests/net.sh"]
        );
        let net = matching("guest-tests/net.sh@nic=e1000", true, &all);
        assert_eq!(titles(&net), ["guest-tests/net.sh"]);
        assert_eq!(net[0].pinned["nic"], "e1000");
        assert_eq!(matching("net.sh", true, &all), []);
    }

    #[test]
    fn patterns_of_other_tests_select_none() {
        let (_directory, all) = project();
        for pattern in ["rtc", "boot@x86_64/q35", "@nic=e1000", "@x86_64/pc"] {
            assert_eq!(matching(pattern, false, &all), [], "{pattern}");
        }
    }

    #[test]
    fn what_failed_is_selected_as_it_failed() {
        let (_directory, all) = project();
        let net = all.last().expect("a test");
        let failures = [
            "a@x",
            "guest-tests/net.sh@nic=e1000",
            "guest-tests/net.sh@nic=a",
        ];
        let again = net.as_in(&failures);
        let nics: Vec<&str> = again.iter().map(|test| &*test.pinned["nic"]).collect();
        assert_eq!(nics, ["a", "e1000"]);
        assert_eq!(all[0].as_in(&failures), []);
    }

    #[test]
    fn a_file_is_known_by_the_project_s_name_for_it() {
        let (directory, all) = project();
        let path = directory.path().join(HOME).join("net.sh");
        let found = matching(&path.display().to_string(), false, &all);
        assert_eq!(titles(&found), ["guest-tests/net.sh"]);
        let elsewhere = directory.path().join("other.sh");
        fs::write(&elsewhere, "").expect("writable");
        let found = matching(&elsewhere.display().to_string(), false, &all);
        assert_eq!(titles(&found), [&*elsewhere.display().to_string()]);
    }
}
