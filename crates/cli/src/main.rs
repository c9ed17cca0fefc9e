//! `jig`: run device tests against a real QEMU.

mod changed;
mod clean;
mod compare;
mod convert;
mod coverage;
mod devices;
mod diff;
mod doctor;
mod fuzz;
mod graph;
mod guest;
mod list;
mod merge;
mod minimise;
mod mutate;
mod replay;
mod reports;
mod run;
mod setup;
mod shell;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
// The linker keeps the tests of a crate that is used.
use testjig_suite as _;

/// Tests for virtual hardware, on stock QEMU binaries.
#[derive(Parser)]
#[command(name = "jig", version, arg_required_else_help = true)]
struct Jig {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the tests
    Run(Box<run::Arguments>),
    /// List the tests; starts no QEMU
    List(list::Arguments),
    /// List the devices and machines of a QEMU with the tests that reach them
    Devices(devices::Arguments),
    /// Show machines, what sits on them, the tests, and what is out of reach; starts no QEMU
    Graph(graph::Arguments),
    /// Make one report of the records of several runs
    Merge(merge::Arguments),
    /// Run the tests on a QEMU that was built to tell which lines they reach
    Coverage(coverage::Arguments),
    /// Plant changes in a device of a QEMU source tree and see which the tests notice
    Mutate(mutate::Arguments),
    /// Say what was found on this machine, and what to do about what was not
    Doctor(doctor::Arguments),
    /// Drive a machine by hand, a line at a time
    Shell(shell::Arguments),
    /// Look for what a guest can do to a device and should not be able to
    Fuzz(fuzz::Arguments),
    /// Carry out recorded sessions, and say what becomes of the machine
    Replay(replay::Arguments),
    /// Tests with a host half and a guest half, on a Linux in the machine
    Guest(guest::Arguments),
    /// Show the first difference between two recorded sessions, registers decoded
    Diff(diff::Arguments),
    /// Make a session that shows a bug as short and plain as it can be
    Minimise(minimise::Arguments),
    /// Read a session from a shell line, a mail, a log or a C test
    Import(convert::ImportArguments),
    /// Write a session as a shell line, a C test or a Rust test
    Export(convert::ExportArguments),
    /// Fetch a QEMU ahead of need
    Setup(setup::Arguments),
    /// Remove what was fetched and probed
    Clean(clean::Arguments),
}

fn main() -> ExitCode {
    testjig_guest::register(testjig_guest_tests::TESTS);
    let serve_guest_test =
        || testjig_guest::serve_if_word().or_else(testjig_guest::serve_if_supervisor);
    if let Some(status) = serve_guest_test().or_else(testjig::serve_if_worker) {
        return status;
    }
    match Jig::parse().command {
        Command::Run(arguments) => arguments.run(),
        Command::List(arguments) => arguments.run(),
        Command::Graph(arguments) => arguments.run(),
        Command::Merge(arguments) => arguments.run(),
        Command::Coverage(arguments) => arguments.run(),
        Command::Devices(arguments) => arguments.run(),
        Command::Mutate(arguments) => arguments.run(),
        Command::Doctor(arguments) => arguments.run(),
        Command::Shell(arguments) => arguments.run(),
        Command::Fuzz(arguments) => arguments.run(),
        Command::Replay(arguments) => arguments.run(),
        Command::Guest(arguments) => arguments.run(),
        Command::Diff(arguments) => arguments.run(),
        Command::Minimise(arguments) => arguments.run(),
        Command::Import(arguments) => arguments.run(),
        Command::Export(arguments) => arguments.run(),
        Command::Setup(arguments) => arguments.run(),
        Command::Clean(arguments) => arguments.run(),
    }
}

/// How the user called this program, for the commands that it suggests.
fn me() -> &'static str {
    if std::env::var_os("CARGO").is_some() {
        "cargo run --release --"
    } else {
        "jig"
    }
}

/// Says what went wrong, as the last line of a command that could not do its work.
fn fail(error: impl std::fmt::Display) -> ExitCode {
    eprintln!("jig: {error}");
    ExitCode::from(2)
}
