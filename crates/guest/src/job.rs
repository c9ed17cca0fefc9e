//! What a runner tells a supervisor, and what it hears of it: [`Job`] and [`Report`].

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use testjig_vm::Qemu;

use crate::choice::{Choice, Policy};

/// One run of a test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The test's name.
    pub name: String,
    /// The file with both halves.
    pub script: PathBuf,
    /// The registered test whose functions are the halves, if they are no script's.
    pub function: Option<String>,
    /// The QEMU to run on.
    pub qemu: Qemu,
    /// The guest's kernel.
    pub kernel: PathBuf,
    /// The guest's initial file system.
    pub initramfs: PathBuf,
    /// The program that the words of a host half are made of.
    pub program: PathBuf,
    /// How choices are made.
    pub policy: Policy,
    /// How long the host half may take.
    pub deadline: Duration,
    /// What accelerates machines for which the test says nothing.
    pub accel: String,
    /// A directory of this run's own, which is removed with all that is in it.
    pub directory: PathBuf,
    /// Where it is kept what the monitors of QEMUs can be told.
    pub schemas: PathBuf,
    /// Where the states of booted machines are kept; none are used without.
    pub states: Option<PathBuf>,
    /// Where a golden file may be written anew instead of being compared with.
    pub bless: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The host half ended with status 0.
    Passed,
    /// It can't be tried here, and why.
    Skipped(String),
    /// A half failed.
    Failed(String),
    /// QEMU died.
    Crashed(String),
    /// QEMU, the guest or the host half came to no end.
    Hung(String),
    /// Nothing is known about what the test is for.
    Error(String),
}

/// What became of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// How it ended.
    pub ending: Ending,
    /// What was chosen.
    pub choices: Vec<Choice>,
    /// What the host half printed.
    pub output: String,
    /// The end of what the guests printed: console and guest half.
    pub log: String,
    /// The end of what QEMUs printed themselves.
    pub stderr: String,
    /// How the last QEMU was started.
    pub command_line: String,
    /// From the start of the first machine to its agent's hello.
    pub boot: Duration,
}
