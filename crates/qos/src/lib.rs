//! The mini operating system for tests: buses, device drivers with their registers, and decoders for the failure report.
//!
//! A driver is a value that owns its bus handle and knows its registers as types. It never hides a register from a test: next to
//! `rtc.set_time(…)` there is `rtc.read(Reg::B)`, and next to that the bus itself.
//!
//! ```no_run
//! use testjig_qos::dev::mc146818::{Mc146818, RegB};
//! # fn example(vm: &testjig_vm::Vm) {
//! let rtc = Mc146818::new(vm);
//! rtc.set_b(RegB::new().with_hour24(true).with_binary(true));
//! assert!(rtc.seconds() < 60);
//! # }
//! ```
//!
//! Register access does not return `Result`. A VMM that is dead, refuses an operation or does not answer in time unwinds with a
//! [`testjig_vm::Fault`] that names the operation and the line of the test that asked for it; every function on the way is
//! `#[track_caller]`.
//!
//! | module | what |
//! |---|---|
//! | [`bus`] | I/O ports and memory-mapped registers from a base |
//! | [`dev`] | the drivers, one module a device, named as its data sheet names it |
//! | [`i2c`] | I²C buses: controllers, targets |
//! | [`mem`] | guest memory: the allocator, owned buffers, structures with their byte order |
//! | [`pci`] | PCI and PCI Express: host bridges, functions, base addresses, capabilities, bridges, interrupts |
//! | [`rtas`], [`csr`] | services of POWER servers, registers of RISC-V harts |
//! | [`qom`] | devices that a board makes, found by type |
//! | [`virtio`] | virtio devices: transports, negotiation, split and packed virtqueues |
//! | [`describe`] | turns the log of operations back into register names and fields |

pub mod bus;
pub mod csr;
pub mod describe;
pub mod dev;
pub mod i2c;
pub mod mem;
pub mod pci;
pub mod qom;
pub mod rtas;
pub mod virtio;
