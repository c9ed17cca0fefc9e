//! The device tests under Rust's own harness.

use testjig_suite as _;

testjig::main!();
