//! PCI and PCI Express: configuration space by whatever host bridge the machine has, base address registers, capabilities, bridges,
//! interrupts.
//!
//! [`Pci`] is a machine's host bridge with the address windows behind it. It hands out [`Function`]s, whose configuration registers are
//! read and written alike on every machine, and maps their base address registers to [`Bar`]s.
//!
//! ```no_run
//! use testjig_qos::pci::Pci;
//! # fn example(vm: &testjig_vm::Vm) {
//! let pci = Pci::pc(vm);
//! let edu = pci.find_id(0x1234, 0x11e8).expect("the launch has one");
//! let registers = edu.iomap(0);
//! registers.write::<u32>(0x04, 0x55);
//! assert_eq!(registers.read::<u32>(0x04), !0x55);
//! # }
//! ```
//!
//! | host bridge | machines | how |
//! |---|---|---|
//! | [`ConfigSpace`] | `pc` | the ports 0xcf8 and 0xcfc |
//! | [`Ecam`] | `q35`, `virt` of Arm and RISC-V | 4 KiB of memory a function |
//! | [`SpaprPhb`] | `pseries` | run-time abstraction services |
//! | any other [`HostBridge`] | yours | [`Pci::new`] |
//!
//! Values are little-endian, as PCI is, whatever the byte order of the machine's processor.
//!
//! Sources: *PCI Local Bus Specification* 3.0 (PCI), *PCI-to-PCI Bridge Architecture Specification* 1.2 (P2P), *PCI Express Base
//! Specification* 3.1 (PCIe), *PCI Bus Power Management Interface Specification* 1.2 (PM).

mod address;
mod bar;
mod bridge;
pub mod capability;
pub(crate) mod decode;
mod ecam;
mod express;
mod function;
pub mod header;
mod host;
mod intx;
mod machines;
mod mechanism1;
mod msi;
mod msix;
mod power;
mod spapr;
mod value;
mod window;

pub use address::Bdf;
pub use bar::{Bar, BarInfo, BarKind};
pub use bridge::Bridge;
pub use capability::{BrokenList, Capability, ExtendedCapability};
pub use decode::{ConfigAccess, ConfigTrace, Decoder};
pub use ecam::Ecam;
pub use express::Express;
pub use function::Function;
pub use header::{Command, Status};
pub use host::{HostBridge, Pci};
pub use intx::Routing;
pub use mechanism1::{ConfigAddress, ConfigSpace};
pub use msi::{Msi, MsiControl, MsiMessage, MsiSlot};
pub use msix::{Msix, MsixControl, MsixEntry};
pub use power::{Power, PowerControl, PowerState};
pub use spapr::{RtasStatus, SpaprPhb};
pub use value::{BarValue, ConfigValue};
pub use window::{AddressMap, Ports, Window};
