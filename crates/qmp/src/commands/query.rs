//! What the peer is and can do.

use serde::{Deserialize, Serialize};

use super::plain_commands;
use crate::command::Command;
use crate::greeting::Version;
use crate::schema::Schema;

plain_commands! {
    /// The run state.
    QueryStatus = "query-status" -> Status;

    /// The version, as in the greeting.
    QueryVersion = "query-version" -> Version;

    /// The architecture of the binary.
    QueryTarget = "query-target" -> Target;

    /// All machine types of the binary.
    QueryMachines = "query-machines" -> Vec<Machine>;

    /// The virtual CPUs of the machine.
    QueryCpusFast = "query-cpus-fast" -> Vec<Cpu>;

    /// Everything that can be said over QMP.
    QueryQmpSchema = "query-qmp-schema" -> Schema;
}

/// The reply to [`QueryTarget`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Target {
    /// The architecture as QEMU names it: `x86_64` of `qemu-system-x86_64`.
    pub arch: String,
}

/// What the machine is doing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RunState {
    /// Under a debugger.
    Debug,
    /// Waiting for the end of an incoming migration.
    Inmigrate,
    /// Stopped by an internal error.
    InternalError,
    /// Stopped by an error of a block device.
    IoError,
    /// Stopped by `stop`.
    Paused,
    /// Stopped after an outgoing migration.
    Postmigrate,
    /// Started with `-S` and not yet running.
    Prelaunch,
    /// Stopped at the end of an outgoing migration.
    FinishMigrate,
    /// Restoring a snapshot.
    RestoreVm,
    /// Running.
    Running,
    /// Saving a snapshot.
    SaveVm,
    /// Shut down, and kept.
    Shutdown,
    /// Suspended (ACPI S3).
    Suspended,
    /// Stopped by a watchdog.
    Watchdog,
    /// Stopped by a panic of the guest.
    GuestPanicked,
    /// Saving or restoring for COLO.
    Colo,
    /// A state that this crate does not know, as it was spelt.
    #[serde(untagged)]
    Other(String),
}

/// The reply to [`QueryStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// Whether the virtual CPUs and the virtual clock run.
    pub running: bool,
    /// Why, or why not.
    pub status: RunState,
}

/// A machine type.
#[expect(
    clippy::struct_excessive_bools,
    reason = "the members are the schema's"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Machine {
    /// Its name, as `-machine` takes it.
    pub name: String,
    /// A second name: `pc` for the newest `pc-i440fx-…`.
    pub alias: Option<String>,
    /// Whether it is what a QEMU without `-machine` starts.
    #[serde(default)]
    pub is_default: bool,
    /// The most CPUs.
    pub cpu_max: u64,
    /// Whether CPUs can be plugged in while it runs.
    #[serde(default)]
    pub hotpluggable_cpus: bool,
    /// Whether it can have NUMA nodes.
    #[serde(default)]
    pub numa_mem_supported: bool,
    /// Whether it is deprecated.
    #[serde(default)]
    pub deprecated: bool,
    /// The type of its CPU if none is named.
    pub default_cpu_type: Option<String>,
    /// The id that its RAM has if no memory backend is named. Where it is absent, none can be.
    pub default_ram_id: Option<String>,
    /// Whether it has ACPI; not told by 7.2.
    pub acpi: Option<bool>,
}

/// A virtual CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Cpu {
    /// Its index, from 0.
    pub cpu_index: i64,
    /// Its QOM path.
    pub qom_path: String,
    /// The host's id of its thread.
    pub thread_id: i64,
    /// The name of the target: `x86_64`.
    pub target: String,
}

/// The options of the command line whose parameters QEMU can list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct QueryCommandLineOptions {
    /// Only this one, without its dash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
}

impl QueryCommandLineOptions {
    /// Asks for all of them.
    pub fn all() -> Self {
        Self::default()
    }

    /// Asks for one, named without its dash. Refused if there is no such option.
    pub fn of(option: impl Into<String>) -> Self {
        Self {
            option: Some(option.into()),
        }
    }
}

impl Command for QueryCommandLineOptions {
    const NAME: &'static str = "query-command-line-options";
    type Reply = Vec<CommandLineOption>;
}

/// An option of the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CommandLineOption {
    /// Its name, without the dash.
    pub option: String,
    /// Its parameters.
    pub parameters: Vec<CommandLineParameter>,
}

/// A parameter of a [`CommandLineOption`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CommandLineParameter {
    /// Its name.
    pub name: String,
    /// Its type: `string`, `boolean`, `number` or `size`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What QEMU says of it.
    pub help: Option<String>,
    /// Its value if it is not given.
    pub default: Option<String>,
}
