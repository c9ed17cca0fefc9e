//! Runs the planted tests and reads what the runner says of them.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use serde_json::Value;

/// One case's record.
pub(crate) struct Record {
    value: Value,
}

impl Record {
    /// A text field.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.value[field].as_str().unwrap_or_default()
    }

    /// A number field.
    pub(crate) fn number(&self, field: &str) -> f64 {
        self.value[field].as_f64().unwrap_or_default()
    }

    /// A field of the evidence, as text.
    pub(crate) fn evidence(&self, field: &str) -> String {
        match &self.value["evidence"][field] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// A finished run.
pub(crate) struct Run {
    /// The exit status.
    pub(crate) status: Option<i32>,
    /// What it wrote to standard error.
    pub(crate) stderr: String,
    records: BTreeMap<String, Record>,
}

impl Run {
    /// Runs the cases whose names contain one of `patterns`.
    pub(crate) fn of(patterns: &[&str]) -> Self {
        Self::read(
            &Command::new(env!("CARGO_BIN_EXE_planted"))
                .args(patterns)
                .output()
                .expect("the planted binary starts"),
        )
    }

    /// Reads the JSON lines of a run.
    pub(crate) fn read(output: &Output) -> Self {
        let stdout = String::from_utf8_lossy(&output.stdout);
        let records = stdout
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|value| value["event"] == "case")
            .map(|value| {
                (
                    value["name"].as_str().unwrap_or_default().to_owned(),
                    Record { value },
                )
            })
            .collect();
        Self {
            status: output.status.code(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            records,
        }
    }

    /// The record of the one case whose name has this between its module and its path.
    pub(crate) fn case(&self, test: &str) -> &Record {
        let name = format!("planted::{test}@");
        let mut found = self
            .records
            .iter()
            .filter(|(case, _)| case.starts_with(&name) || **case == name[..name.len() - 1]);
        let Some((_, record)) = found.next() else {
            panic!(
                "{test} is not in the report, which has {:?}\n{}",
                self.records.keys(),
                self.stderr
            );
        };
        record
    }

    /// How many cases have a verdict.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }
}
