//! `jig list`, and the selection of cases that it shares with `jig run`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use testjig::case::{Case, Cases, Decision};
use testjig::find::{self, Wish};
use testjig::vm::{Arch, Suite};

use crate::fail;
use crate::guest::engine::Engine;
use crate::guest::select::{self, Selected};

/// Which cases.
#[derive(Args)]
pub(crate) struct Selection {
    /// Only cases whose name contains one of these: rtc, rtc::alarm, @x86_64/q35
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// A pattern is the whole name
    #[arg(long)]
    exact: bool,
    /// Only cases whose path through the graph contains this: x86_64/pc, virtio-blk-pci
    #[arg(long, value_name = "PATH")]
    on: Option<String>,
    /// Only cases of this architecture
    #[arg(long)]
    arch: Option<Arch>,
}

impl Selection {
    /// The architecture that was asked for: by the option, or anywhere in a pattern, where it need not be the only one.
    pub(crate) fn names_an_arch(&self) -> bool {
        let mut texts = self.patterns.iter().chain(&self.on);
        self.arch.is_some()
            || texts.any(|text| {
                Arch::ALL
                    .iter()
                    .any(|arch| text.contains(&format!("{arch}/")))
            })
    }

    pub(crate) fn selects(&self, case: &Case) -> bool {
        let matches = |pattern: &String| {
            if self.exact {
                case.name == *pattern
            } else {
                case.name.contains(pattern.as_str())
            }
        };
        (self.patterns.is_empty() || self.patterns.iter().any(matches))
            && self
                .on
                .as_ref()
                .is_none_or(|on| case.path_id().contains(on.as_str()))
            && self.arch.is_none_or(|arch| case.arch() == arch)
    }

    /// The guest tests among them, which are on no path.
    pub(crate) fn guests(&self) -> Vec<Selected> {
        if self.on.is_some() || self.arch.is_some_and(|arch| arch != Arch::X86_64) {
            return Vec::new();
        }
        select::among(&self.patterns, self.exact)
    }

    /// Whether anything was said of which cases.
    pub(crate) fn is_bare(&self) -> bool {
        self.patterns.is_empty() && self.on.is_none() && self.arch.is_none()
    }

    pub(crate) fn nothing_selected(&self, all: usize) -> ExitCode {
        let _ = fail(format_args!(
            "none of the {all} cases is selected by {:?}{}; `jig list` shows them all",
            self.patterns.join(" "),
            self.on
                .as_ref()
                .map_or_else(String::new, |on| format!(" on {on:?}")),
        ));
        ExitCode::from(4)
    }
}

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// Decide by what is known of this QEMU binary
    #[arg(long, value_name = "PATH")]
    qemu: Option<PathBuf>,
    /// Decide by what is known of the QEMU of this Debian suite
    #[arg(long, value_name = "NAME", conflicts_with = "qemu")]
    suite: Option<Suite>,
    /// One JSON object a line: name, place, architecture, machine, what it needs, whether it would run
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn wish(&self) -> Wish {
        Wish {
            qemu: self.qemu.clone(),
            suite: self.suite.clone(),
            offline: true,
            ..Wish::default()
        }
    }

    pub(crate) fn run(self) -> ExitCode {
        let Cases { cases, misfits } = Cases::collect();
        let all = cases.len();
        let cases: Vec<_> = cases
            .into_iter()
            .filter(|case| self.selection.selects(case))
            .collect();
        let guests = self.selection.guests();
        if cases.is_empty() && guests.is_empty() {
            return self.selection.nothing_selected(all);
        }
        let mut archs: BTreeSet<Arch> = cases.iter().map(Case::arch).collect();
        if !guests.is_empty() {
            archs.insert(Arch::X86_64);
        }
        let qemus = find::remembered(&archs, cases.iter().map(Case::launch), &self.wish());
        let mut text = String::new();
        for case in &cases {
            let decision = qemus.get(case.arch()).map(|qemu| case.decide(qemu));
            let (decision, reason) = match decision {
                Ok(Decision::Run) => ("run", None),
                Ok(Decision::Skip(reason)) => ("skip", Some(reason)),
                Err(_) => ("unknown", None),
            };
            if self.json {
                let line = serde_json::json!({
                    "decision": decision,
                    "reason": reason,
                    "name": case.name,
                    "place": format!("{}:{}", case.test.file, case.test.line),
                    "arch": case.arch().to_string(),
                    "path": case.path_id(),
                    "xfail": case.test.xfail,
                    "unstable": case.test.unstable,
                    "needs": case.test.needs.iter().map(|need| format!("{need:?}").to_lowercase()).collect::<Vec<_>>(),
                });
                text.push_str(&line.to_string());
            } else {
                text.push_str(&case.name);
                if let Some(reason) = reason {
                    let _ = write!(text, "   skip: {reason}");
                }
            }
            text.push('\n');
        }
        let is_known = qemus.get(Arch::X86_64).is_ok() && Engine::has_kernel();
        for guest in &guests {
            // What a guest test wants of its QEMU shows when its host half runs.
            text.push_str(&guest_line(guest, is_known, self.json));
            text.push('\n');
        }
        // A reader such as `head` may go away in the middle.
        let _ = io::stdout().write_all(text.as_bytes());
        if !self.json {
            let count = cases.len() + guests.len();
            eprintln!("{count} case{}", if count == 1 { "" } else { "s" });
        }
        if !self.json {
            let unknown = archs.iter().filter(|arch| qemus.get(**arch).is_err());
            let unknown: Vec<&str> = unknown.map(|arch| arch.name()).collect();
            if !unknown.is_empty() {
                eprintln!(
                    "which cases are skipped is not known on {}: no QEMU for it was used yet; `jig doctor` says more",
                    unknown.join(", ")
                );
            }
        }
        for misfit in &misfits {
            eprintln!(
                "{} ({}) can't run: {}",
                misfit.test, misfit.place, misfit.problem
            );
        }
        if misfits.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(5)
        }
    }
}

fn guest_line(guest: &Selected, is_known: bool, json: bool) -> String {
    if !json {
        return guest.title.clone();
    }
    let line = serde_json::json!({
        "decision": if is_known { "run" } else { "unknown" },
        "reason": null,
        "name": guest.title,
        "place": format!("{}:1", guest.title),
        "arch": Arch::X86_64.to_string(),
        "path": "",
        "xfail": null,
        "unstable": null,
        "needs": ["guest"],
    });
    line.to_string()
}
