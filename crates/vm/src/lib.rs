//! VMM processes for tests: find or fetch one, launch it, map its guest's memory, stop it.

mod arch;
mod binary;
mod cache;
mod find;
mod launch;
pub mod machine;
mod probe;
mod process;
mod stderr;

pub use arch::{Arch, UnknownArch};
pub use binary::{Capabilities, Origin, Qemu, Version};
pub use cache::{Cache, CacheError};
pub use find::{FindError, FindErrorKind};
pub use launch::{Chardev, Device, Drive, Extent, FwCfg, Global, Image, Interface, Launch, Netdev, Object, Rtc, RtcBase};
pub use machine::{MachineType, RamBackend, RamRegion};
pub use process::{ExitReport, ExitStatus};
