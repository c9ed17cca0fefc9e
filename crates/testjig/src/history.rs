//! [`History`]: how long each case took and how it ended when it last ran on this machine.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use testjig_vm::Cache;

use crate::report::Reporter;
use crate::runner::Summary;
use crate::verdict::{Outcome, Verdict};

/// What is known of earlier runs of one test binary. It lives in the cache: losing it loses nothing but time.
#[derive(Default)]
pub struct History {
    file: Option<PathBuf>,
    cases: BTreeMap<String, Past>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Past {
    seconds: f64,
    good: bool,
}

impl History {
    /// The history of the test binary of this name; empty where there is none, or no cache to keep it in.
    pub fn open(binary: &str) -> Self {
        let Ok(cache) = Cache::open() else {
            return Self::default();
        };
        let file = cache.root().join("history").join(format!("{binary}.json"));
        let cases = std::fs::read(&file)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        Self {
            file: Some(file),
            cases,
        }
    }

    /// How long a case took.
    pub fn duration(&self, case: &str) -> Option<Duration> {
        let past = self.cases.get(case)?;
        Duration::try_from_secs_f64(past.seconds).ok()
    }

    /// Whether a case did not end well when it last ran.
    pub fn failed(&self, case: &str) -> bool {
        self.cases.get(case).is_some_and(|past| !past.good)
    }

    /// The names of all cases that did not end well when they last ran.
    pub fn failures(&self) -> impl Iterator<Item = &str> {
        let bad = self.cases.iter().filter(|(_, past)| !past.good);
        bad.map(|(name, _)| name.as_str())
    }

    /// Writes it, in one step: two runs that end at once leave the history of one of them.
    fn save(&self) -> std::io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let directory = file.parent().expect("the file is in a directory");
        std::fs::create_dir_all(directory)?;
        let mut new = tempfile::NamedTempFile::new_in(directory)?;
        new.write_all(&serde_json::to_vec(&self.cases)?)?;
        new.persist(file)?;
        Ok(())
    }
}

impl Reporter for History {
    fn finished(&mut self, case: &str, _: &str, outcome: &Outcome) {
        if outcome.verdict == Verdict::Skip || outcome.is_unrun_error() {
            return;
        }
        let past = Past {
            seconds: outcome.duration.as_secs_f64(),
            good: outcome.verdict.is_good(),
        };
        self.cases.insert(case.to_owned(), past);
    }

    fn end(&mut self, _: &Summary) {
        // A full or read-only cache is told of where it matters.
        let _ = self.save();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(verdict: Verdict, millis: u64) -> Outcome {
        Outcome {
            duration: Duration::from_millis(millis),
            ..Outcome::without_run(verdict, "")
        }
    }

    #[test]
    fn what_was_saved_is_known_again_and_a_skip_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("history/jig.json");
        let mut history = History {
            file: Some(file.clone()),
            ..History::default()
        };
        history.finished("a@x", "", &outcome(Verdict::Pass, 40));
        history.finished("b@x", "", &outcome(Verdict::Crash, 7));
        history.finished("b@x", "", &outcome(Verdict::Skip, 0));
        history.save().unwrap();

        let cases = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let again = History { file: None, cases };
        assert_eq!(again.duration("a@x"), Some(Duration::from_millis(40)));
        assert!(!again.failed("a@x"));
        assert!(again.failed("b@x"));
        assert_eq!(again.failures().collect::<Vec<_>>(), ["b@x"]);
        assert_eq!(again.duration("c@x"), None);
    }
}
