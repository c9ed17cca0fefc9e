//! `jig replay --table`: each session on the QEMUs of several suites, as a table.

use std::path::PathBuf;
use std::process::ExitCode;

use testjig::vm::Suite;
use testjig_trace::{Red, Trace, Verdict};

use super::On;

/// Prints the table in Markdown: a row for each session, a column for each QEMU.
pub(super) fn run(traces: &[(PathBuf, Trace)], suites: &[Suite], on: &On) -> ExitCode {
    let archs = || traces.iter().map(|(_, trace)| trace.header.arch).collect();
    let columns: Vec<_> = suites
        .iter()
        .map(|suite| {
            let of_suite = On {
                suite: Some(suite.clone()),
                ..on.clone()
            };
            of_suite.qemus(archs())
        })
        .collect();
    let heads = columns.iter().zip(suites).map(|(qemus, suite)| {
        let version = qemus.iter().next().map(|qemu| &qemu.version);
        version.map_or_else(
            || suite.to_string(),
            |version| format!("{}.{}.{}", version.major, version.minor, version.micro),
        )
    });
    let heads: Vec<String> = heads.collect();
    println!(
        "| session | fixed in | {} | seen to find it |",
        heads.join(" | ")
    );
    println!("|---|---{}|---|", "|---".repeat(heads.len()));
    let mut unexpected = 0;
    for (path, trace) in traces {
        let header = &trace.header;
        let cells = columns.iter().map(|qemus| {
            let Ok(qemu) = qemus.get(header.arch) else {
                return "no QEMU".to_owned();
            };
            match on.how().run(trace, qemu) {
                Err(_) => "error".to_owned(),
                Ok(outcome) => match &outcome.verdict {
                    Verdict::Skipped(_) => "skip".to_owned(),
                    verdict if verdict.is_as(&header.expect) => "pass".to_owned(),
                    _ if header.affects(&qemu.version) => "**red**, as documented".to_owned(),
                    verdict => {
                        unexpected += 1;
                        format!("**{verdict}**")
                    }
                },
            }
        });
        let cells: Vec<String> = cells.collect();
        let fixed = header
            .fixed
            .map_or_else(|| "–".to_owned(), |version| version.to_string());
        let red = match &header.red {
            Some(Red::Shown(_)) => "yes",
            Some(Red::Undone(_)) => "with the fix undone",
            _ => "no",
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        println!("| {name} | {fixed} | {} | {red} |", cells.join(" | "));
    }
    ExitCode::from(u8::from(unexpected > 0))
}
