//! The commands that testjig uses, with the types of their arguments and replies.
//!
//! Source: the QAPI schema (`query-qmp-schema`) and the replies of QEMU 7.2, 10.0 and 11.1. Members that are not in all
//! three are options; enumerations keep a value that they do not know; members that are not named here are ignored. Any other
//! command goes through [`Qmp::execute_raw`](crate::Qmp::execute_raw), or a [`Command`](crate::Command) of your own.

mod hotplug;
mod qom;
mod query;
mod run;

pub use hotplug::{
    AddFd, AddedFd, BlockdevAdd, BlockdevDel, DeviceAdd, DeviceDel, NetdevAdd, NetdevDel,
    ObjectAdd, ObjectDel, RemoveFd,
};
pub use qom::{
    DeviceListProperties, ObjectProperty, ObjectType, QomGet, QomList, QomListTypes, QomSet,
};
pub use query::{
    CommandLineOption, CommandLineParameter, Cpu, Machine, QueryCommandLineOptions, QueryCpusFast,
    QueryMachines, QueryQmpSchema, QueryStatus, QueryTarget, QueryVersion, RunState, Status,
    Target,
};
pub use run::{Cont, HumanMonitorCommand, Quit, Stop, SystemPowerdown, SystemReset};

use serde::{Deserialize, Serialize};

/// The reply of a command that has nothing to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Empty {}

/// Defines commands without arguments.
macro_rules! plain_commands {
    ($($(#[$doc:meta])+ $command:ident = $name:literal -> $reply:ty;)+) => {$(
        $(#[$doc])+
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
        pub struct $command;

        impl crate::Command for $command {
            const NAME: &'static str = $name;
            type Reply = $reply;
        }
    )+};
}
use plain_commands;
