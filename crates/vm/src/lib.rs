//! VMM processes for tests: find or fetch one, launch it, map its guest's memory, stop it.

mod arch;
mod binary;
mod cache;
mod channel;
mod clock;
mod condition;
mod disk;
pub mod doctor;
mod fault;
mod find;
mod irq;
mod launch;
pub mod machine;
mod mapping;
mod probe;
mod process;
pub mod provision;
mod ram;
mod stderr;
mod vm;

pub use arch::{Arch, UnknownArch};
pub use binary::{Capabilities, Origin, Qemu, Version};
pub use cache::{Cache, CacheError};
pub use find::{FindError, FindErrorKind, Finder};
pub use provision::{Progress, Silent, Suite};
pub use channel::Channel;
pub use clock::Clock;
pub use condition::Condition;
pub use disk::{SECTOR, ScratchDisk};
pub use fault::{ClockKind, Fault, FaultKind};
pub use irq::{Direction, EdgeKind, Irq, Pin};
pub use launch::{
    Chardev, Device, Drive, Extent, FwCfg, Global, Image, Interface, Launch, LaunchError, LaunchErrorKind, LaunchOptions, Netdev,
    Object, Rtc, RtcBase,
};
pub use machine::{MachineType, RamBackend, RamRegion};
pub use process::{ExitReport, ExitStatus};
pub use ram::{Ram, Scalar};
pub use vm::Vm;
