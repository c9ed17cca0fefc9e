//! The guest tests in Rust that ship with testjig: one a file, beside those in shell.

pub mod hotplug_uevents;

use testjig_guest::halves::GuestTest;

/// All of them.
pub static TESTS: &[&GuestTest] = &[&hotplug_uevents::TEST];
