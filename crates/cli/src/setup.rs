//! `jig setup`.
use std::process::ExitCode;
#[derive(clap::Args)]
pub(crate) struct Arguments {}
impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        ExitCode::FAILURE
    }
}
