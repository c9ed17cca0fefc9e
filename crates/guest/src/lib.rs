//! Guest tests: what no register test reaches, tried by a Linux inside the machine.

mod environment;
pub mod initramfs;
mod kernel;
mod modules;

pub use environment::{Environment, EnvironmentError, Manifest};
