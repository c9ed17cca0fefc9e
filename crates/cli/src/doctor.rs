//! `jig doctor`.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Args;
use testjig::vm::Cache;
use testjig::vm::doctor::{self, State};

#[derive(Args)]
#[command(after_help = "Exit status: 0 if nothing is bad, 1 otherwise.")]
pub(crate) struct Arguments {}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        let Self {} = self;
        let findings = doctor::findings(&Cache::open());
        let widest = findings
            .iter()
            .map(|finding| finding.what.len())
            .max()
            .unwrap_or(0);
        let advice = if std::io::stdout().is_terminal() {
            "→"
        } else {
            "->"
        };
        for finding in &findings {
            println!(
                "{:4}  {:widest$}  {}",
                finding.state, finding.what, finding.found
            );
            if let Some(text) = &finding.advice {
                println!("{:4}  {:widest$}  {advice} {text}", "", "");
            }
        }
        let bad = findings.iter().any(|finding| finding.state == State::Bad);
        ExitCode::from(u8::from(bad))
    }
}
