//! Tests for virtual hardware.
//!
//! A test is a function that plays the CPU: it pokes a device of a running QEMU register by register, moves its clock and watches its
//! interrupt lines. It needs no guest code, no root and no set-up:
//!
//! ```
//! use testjig::prelude::*;
//! use testjig::qos::dev::mc146818::Mc146818;
//!
//! /// MC146818A data sheet, Register D: "The valid RAM and time bit" reads one while the clock has power.
//! #[testjig::test(on = Mc146818)]
//! fn the_clock_has_power(rtc: Mc146818) {
//!     assert!(rtc.d().valid_ram_and_time());
//! }
//! # fn main() {}
//! ```
//!
//! `on` names the interface under test. Each path through the [graph](mod@graph) from a machine to that interface is a case of its own:
//! `…::the_clock_has_power@x86_64/pc/mc146818rtc`, `…@x86_64/q35/mc146818rtc`. A test binary is three lines:
//!
//! ```toml
//! [[test]]
//! name = "devices"
//! harness = false
//! ```
//! ```no_run
//! // tests/devices.rs, below the tests
//! testjig::main!();
//! ```
//!
//! `cargo test` then finds a QEMU, or fetches one, and runs the cases, each on a machine of its own.
//!
//! Register access does not return `Result`: see [`vm::Vm`]. What goes wrong with the machine ends the test, and the runner says what,
//! where and in which state the device was.

// The attribute and `graph!` name this crate by its full path; here, too, they must find it.
extern crate self as testjig;

pub mod case;
pub mod context;
pub mod devices;
pub mod embedded;
pub mod find;
pub mod graph;
pub mod history;
mod libtest;
pub mod machines;
pub mod order;
pub mod qemus;
pub mod records;
pub mod registry;
pub mod report;
pub mod runner;
pub mod timeline;
pub mod verdict;

pub use testjig_qmp as qmp;
pub use testjig_qos as qos;
pub use testjig_qtest as qtest;
pub use testjig_vm as vm;

/// Registers a function as a device test.
///
/// ```
/// use std::time::Duration;
/// use testjig::prelude::*;
/// use testjig::qos::dev::mc146818::Mc146818;
///
/// #[testjig::test(
///     on = Mc146818,                                  // the interface under test
///     needs(clock),                                   // it moves the virtual clock
///     launch = |launch| launch.memory(mib * MIB),     // adapts the machine
///     vary(mib = [64, 128]),                          // a case for each
///     deadline = Duration::from_secs(60),             // if the usual 30 s do not fit
/// )]
/// fn seconds_advance(rtc: Mc146818, vm: &Vm, mib: u64) {
///     vm.clock().step(Duration::from_secs(mib));
///     assert!(rtc.seconds() < 60);
/// }
/// # fn main() {}
/// ```
///
/// Parameters, in any order and number: the interface by value, or another one of the same path; [`&Vm`](vm::Vm), the running machine;
/// [`&Qemu`](vm::Qemu) and [`Launch`](vm::Launch), and with these two alone no machine is started: the test starts its own, which is
/// how a refused start is tested; a name of `vary` for its value. The function returns nothing, or a `Result` whose error fails it.
///
/// `xfail = "why, https://…"` marks a test of a property that does not hold because of a known bug of the VMM's: it is XFAIL, which is
/// good, as long as it fails, crashes, hangs or leaks, and XPASS, which is not, as soon as it passes.
///
/// The values of `vary` must implement `Debug`, from which the case's name is made.
pub use testjig_macros::test;

/// Makes a test binary of the crate's tests, with the command line of Rust's own test harness.
#[macro_export]
macro_rules! main {
    () => {
        fn main() -> ::std::process::ExitCode {
            $crate::__private::main()
        }
    };
}

/// What nearly every test uses.
pub mod prelude {
    pub use testjig_vm::{Device, Launch, Qemu, Vm};

    pub use crate::machines::{Pc, Q35};
    pub use crate::{GIB, KIB, MIB};
}

/// 1,024 bytes.
pub const KIB: u64 = 1 << 10;
/// 1,024 KiB.
pub const MIB: u64 = 1 << 20;
/// 1,024 MiB.
pub const GIB: u64 = 1 << 30;

/// Works, and returns its exit status, if this process was started by a runner as its worker. A `main` of one's own calls it first.
pub fn serve_if_worker() -> Option<std::process::ExitCode> {
    runner::serve()
}

#[doc(hidden)]
pub mod __private {
    pub use linkme;

    pub use crate::libtest::main;
    pub use crate::registry::{
        Capability, GRAPHS, NodeType, TESTS, TestDef, TestResult, axis, configure, pick,
    };
}
