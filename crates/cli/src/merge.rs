//! `jig merge`: the records of several runs as one.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use testjig::report::{All, Record, Reporter, Start};
use testjig::runner::Summary;

use crate::fail;
use crate::reports::Reports;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Records of runs: what `jig run --json FILE` wrote
    #[arg(value_name = "RECORD", required = true)]
    records: Vec<PathBuf>,
    #[command(flatten)]
    reports: Reports,
    /// Give passing cases a line too
    #[arg(short, long)]
    verbose: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        let mut records = Vec::new();
        for path in &self.records {
            let record = File::open(path)
                .map_err(|error| error.to_string())
                .and_then(|file| {
                    Record::read(BufReader::new(file)).map_err(|error| error.to_string())
                });
            match record {
                Ok(record) => records.push((path, record)),
                Err(error) => {
                    return fail(format_args!("failed to read {}: {error}", path.display()));
                }
            }
        }
        // A machine that was lost in the middle of its part must not look like one that had less to do.
        let mut incomplete = false;
        for (path, record) in &records {
            let (got, expected) = (record.cases.len(), record.start.cases);
            if record.interrupted || record.duration.is_none() || got != expected {
                incomplete = true;
                eprintln!(
                    "jig: {} ends early: {got} of {expected} cases",
                    path.display()
                );
            }
        }
        let mut reporters = match self.reports.open(self.verbose) {
            Ok(reporters) => All(reporters),
            Err(error) => return fail(error),
        };
        reporters.start(&start(records.iter().map(|(_, record)| &record.start)));
        let mut summary = Summary {
            duration: records
                .iter()
                .filter_map(|(_, record)| record.duration)
                .max()
                .unwrap_or_default(),
            interrupted: records.iter().any(|(_, record)| record.interrupted),
            ..Summary::default()
        };
        for (_, record) in records {
            for (name, place, outcome) in record.cases {
                reporters.finished(&name, &place, &outcome);
                summary.outcomes.push((name, outcome));
            }
        }
        reporters.end(&summary);
        match summary.exit_status() {
            0 if incomplete => ExitCode::from(1),
            status => ExitCode::from(status),
        }
    }
}

/// The parts' beginnings as one: each QEMU once.
fn start<'a>(parts: impl Iterator<Item = &'a Start>) -> Start {
    let mut whole = Start::default();
    for part in parts {
        whole.version.clone_from(&part.version);
        whole.rerun.clone_from(&part.rerun);
        whole.cases += part.cases;
        whole.jobs += part.jobs;
        for qemu in &part.qemus {
            if !whole.qemus.contains(qemu) {
                whole.qemus.push(qemu.clone());
            }
        }
        for reason in &part.missing {
            if !whole.missing.contains(reason) {
                whole.missing.push(reason.clone());
            }
        }
    }
    whole
}
