//! The other end of the qtest wire: a server for the devices of any VMM, without I/O of its own.
//!
//! A VMM implements four small traits, each method of which has a default: [`Ports`], [`Memory`], [`Clock`], [`Interrupts`]. A
//! [`Server`] then answers clients as QEMU would, so whatever talks to QEMU can test the VMM's devices: testjig's own suite, libqtest,
//! a script. No guest is booted.
//!
//! * In the same process: [`InProcess`] is the transport of a client's session. No system call, no thread.
//! * Over a socket, an inherited descriptor or standard input and output: [`serve`].
//! * In an event loop of one's own: [`Server::receive`] takes bytes, [`Connection::output`] has them.
//!
//! Where there is no VMM yet, a [`Workbench`] holds single devices; with the features `vm-device`, `vm-superio` and `vm-memory` it takes
//! those of the rust-vmm crates as they are. With `virtio-queue` it takes virtio devices that are built on rust-vmm's queues, behind the
//! registers of `VirtioMmio`.
//!
//! [`qmp`] is the monitor's side: what clients ask a QEMU before and besides qtest.
//!
//! No input makes the server panic, and none takes memory without bound.

#[cfg(any(feature = "vm-device", feature = "vm-superio", feature = "vm-memory"))]
mod adapters;
mod connection;
mod in_process;
mod log;
pub mod qmp;
#[cfg(feature = "serve")]
pub mod serve;
mod server;
mod tolerant;
#[cfg(feature = "virtio-queue")]
mod virtio;
mod vmm;
mod workbench;

pub use connection::{Connection, Limits};
pub use in_process::InProcess;
pub use log::{Log, Tag, TextLog};
pub use server::Server;
#[cfg(feature = "virtio-queue")]
pub use virtio::{VirtioDevice, VirtioMmio};
pub use vmm::{Clock, Interrupts, Lines, Memory, Ports, Refusal, Vmm};
pub use workbench::{ByteDevice, Pin, Workbench};
