//! VMM processes for tests: find or fetch one, launch it, map its guest's memory, stop it.
//!
//! A test takes the place of the CPU: it reads and writes registers and memory of a running QEMU, moves its clock, and
//! watches its pins.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use testjig_vm::{Arch, EdgeKind, Launch, LaunchOptions, Pin, Qemu, machine};
//!
//! let qemu = Qemu::find(Arch::X86_64)?;
//! let vm = qemu.launch(&Launch::new(&machine::PC), &LaunchOptions::default())?;
//!
//! let irq = vm.intercept(Pin::input("ioapic", 8));
//! for (register, value) in [(0x0a, 0x2f), (0x0b, 0x46)] {
//!     vm.outb(0x70, register); // queued, like every write
//!     vm.outb(0x71, value);
//! }
//! vm.clock().step_until(irq.raised(), Duration::from_secs(1));
//! assert_eq!(irq.edges(), [EdgeKind::Raise]);
//!
//! vm.ram().write_le(0x1000, 0x1234_5678_u32);
//! assert_eq!(vm.readl(0x1000), 0x1234_5678);
//! assert!(vm.stop().is_clean());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Calls on a [`Vm`] return no errors: what goes wrong unwinds with a [`Fault`]. Finding ([`Finder`]) and launching
//! ([`Qemu::launch`]) do.

mod arch;
mod binary;
mod blocks;
mod cache;
mod channel;
mod clock;
mod condition;
mod disk;
pub mod doctor;
mod embedded;
mod fault;
mod find;
mod inside;
mod irq;
mod launch;
pub mod machine;
mod mapping;
mod preload;
mod probe;
mod process;
pub mod provision;
mod ram;
mod recording;
mod settle;
mod stderr;
mod template;
mod tsc;
mod vm;
mod zygote;

pub use arch::{Arch, UnknownArch};
pub use binary::{Capabilities, Origin, Qemu, Version};
pub use blocks::{Blocks, BlocksState};
pub use cache::{Cache, CacheError};
pub use channel::Channel;
pub use clock::Clock;
pub use condition::Condition;
pub use disk::{SECTOR, ScratchDisk};
pub use embedded::Embedded;
pub use fault::{ClockKind, Fault, FaultKind};
pub use find::{FindError, FindErrorKind, Finder};
pub use inside::{Inside, Make, Wire};
pub use irq::{Direction, EdgeKind, Irq, Pin};
pub use launch::{
    Chardev, Device, Drive, Extent, FwCfg, Global, Image, Interface, Launch, LaunchError,
    LaunchErrorKind, LaunchOptions, Netdev, Object, Portable, PortableDrive, Rtc, RtcBase,
};
pub use machine::{MachineType, RamBackend, RamRegion};
pub use process::{ExitReport, ExitStatus, Main, Process, Spawn};
pub use provision::{Progress, Silent, Suite};
pub use ram::{Ram, Scalar};
pub use recording::{Note, Noted, Recording};
pub use template::{ForkError, Nascent, Template};
pub use tsc::tsc_khz;
pub use vm::Vm;
pub use zygote::{Zygote, zygotes};
