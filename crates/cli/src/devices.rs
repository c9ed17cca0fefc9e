//! `jig devices`: what of a QEMU do the tests reach, and the gate that makes a new device come with a test.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use testjig::case::Cases;
use testjig::find::{self, Wish};
use testjig::vm::{Arch, Qemu, Suite};

use crate::fail;

#[derive(Args)]
#[command(
    after_help = "A baseline is what `jig devices --untested` prints: a name a line; `#` begins a comment.

Exit status:
  0  all is well
  1  with --deny-new: a device or machine has no test and is not in the baseline
  2  wrong usage
  5  no QEMU could be had"
)]
pub(crate) struct Arguments {
    /// The QEMU binary to look at; nothing is fetched then
    #[arg(long, value_name = "PATH")]
    qemu: Option<PathBuf>,
    /// The Debian suite to fetch a QEMU from
    #[arg(long, value_name = "NAME", conflicts_with = "qemu")]
    suite: Option<Suite>,
    /// The architecture [default: the named binary's, or x86_64]
    #[arg(long)]
    arch: Option<Arch>,
    /// Fetch nothing
    #[arg(long)]
    offline: bool,
    /// Only those that no test reaches, a name a line
    #[arg(long)]
    untested: bool,
    /// Fail if a device or machine has no test and is not in this file
    #[arg(long, value_name = "BASELINE")]
    deny_new: Option<PathBuf>,
    /// One JSON object a line: kind, name, tests
    #[arg(long, conflicts_with = "untested")]
    json: bool,
}

/// A device or machine, and the cases that reach it.
struct Row {
    kind: &'static str,
    name: String,
    cases: usize,
    tests: BTreeSet<String>,
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        let wish = Wish {
            qemu: self.qemu.clone(),
            suite: self.suite.clone(),
            offline: self.offline,
            ..Wish::default()
        };
        let arch = self
            .arch
            .or_else(|| find::named_arch(&wish))
            .unwrap_or(Arch::X86_64);
        let qemus = find::for_archs(BTreeSet::from([arch]), &wish);
        let qemu = match qemus.get(arch) {
            Ok(qemu) => qemu,
            Err(reason) => {
                let _ = fail(reason);
                return ExitCode::from(5);
            }
        };
        let rows = rows(qemu);
        if let Some(path) = &self.deny_new {
            return match baseline(path) {
                Ok(known) => deny(&rows, &known, path),
                Err(error) => fail(error),
            };
        }
        let mut text = String::new();
        for row in &rows {
            if self.untested {
                if row.cases == 0 {
                    let _ = writeln!(text, "{}", row.name);
                }
            } else if self.json {
                let line = serde_json::json!({
                    "kind": row.kind, "name": row.name, "cases": row.cases, "tests": row.tests,
                });
                let _ = writeln!(text, "{line}");
            } else {
                let modules: BTreeSet<&str> = row
                    .tests
                    .iter()
                    .map(|test| test.split("::").next().unwrap_or(test))
                    .collect();
                let modules = modules.into_iter().collect::<Vec<_>>().join(", ");
                let _ = writeln!(
                    text,
                    "{:8} {:5}  {:36} {modules}",
                    row.kind, row.cases, row.name
                );
            }
        }
        // A reader such as `head` may go away in the middle.
        let _ = io::stdout().write_all(text.as_bytes());
        let reached = rows.iter().filter(|row| row.cases > 0).count();
        eprintln!(
            "{}: {reached} of {} devices and machines have tests",
            qemu.summary(),
            rows.len()
        );
        ExitCode::SUCCESS
    }
}

/// Devices and machines of a binary, each with what reaches it: the case's machine, the devices that its launch plugs in, and those on its
/// path, which are named as QEMU names them.
fn rows(qemu: &Qemu) -> Vec<Row> {
    let mut reached: BTreeMap<String, (usize, BTreeSet<String>)> = BTreeMap::new();
    for case in Cases::collect().cases {
        if case.arch() != qemu.arch {
            continue;
        }
        let path = case.path_id();
        let launch = case.launch();
        let names: BTreeSet<&str> = path
            .split('/')
            .skip(1)
            .chain(launch.device_types())
            .collect();
        for name in names {
            let (cases, tests) = reached.entry(name.to_owned()).or_default();
            *cases += 1;
            tests.insert(case.test.title());
        }
    }
    let kinds = [
        ("machine", &qemu.caps.machines),
        ("device", &qemu.caps.devices),
    ];
    kinds
        .into_iter()
        .flat_map(|(kind, names)| names.iter().map(move |name| (kind, name)))
        .map(|(kind, name)| {
            let (cases, tests) = reached.get(name).cloned().unwrap_or_default();
            Row {
                kind,
                name: name.clone(),
                cases,
                tests,
            }
        })
        .collect()
}

fn baseline(path: &Path) -> Result<BTreeSet<String>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("failed to read {}: {error}", path.display()))?;
    Ok(text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect())
}

fn deny(rows: &[Row], known: &BTreeSet<String>, path: &Path) -> ExitCode {
    let without = |row: &&Row| row.cases == 0;
    let new: Vec<&Row> = rows
        .iter()
        .filter(without)
        .filter(|row| !known.contains(&row.name))
        .collect();
    for row in &new {
        println!("{} {} has no test", row.kind, row.name);
    }
    let untested: BTreeSet<&str> = rows
        .iter()
        .filter(without)
        .map(|row| row.name.as_str())
        .collect();
    for name in known {
        if !untested.contains(name.as_str()) {
            eprintln!(
                "note: {name} is tested or gone; take it out of {}",
                path.display()
            );
        }
    }
    if new.is_empty() {
        println!("nothing is new without a test");
        return ExitCode::SUCCESS;
    }
    println!(
        "Write a test of it (docs/first-test.md), or add its name to {}.",
        path.display()
    );
    ExitCode::from(1)
}
