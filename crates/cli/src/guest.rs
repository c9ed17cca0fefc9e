//! `jig guest`.

mod build;
pub(crate) mod engine;
mod fetch;
pub(crate) mod joined;
mod outcome;
mod run;
pub(crate) mod select;

use std::process::ExitCode;

use clap::{Args, Subcommand};

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run tests that have a host half and a guest half
    Run(Box<run::Arguments>),
    /// Fetch the kernel and the programs of guests ahead of need
    Fetch(fetch::Arguments),
    /// Build the kernel and the programs of guests from Debian's source packages
    Build(build::Arguments),
    /// Pack the complete source of the kernel and the programs of guests
    Source(build::SourceArguments),
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        match self.command {
            Command::Run(arguments) => arguments.run(),
            Command::Fetch(arguments) => arguments.run(),
            Command::Build(arguments) => arguments.run(),
            Command::Source(arguments) => arguments.run(),
        }
    }
}
