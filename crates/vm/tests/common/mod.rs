//! What all these tests need: a QEMU, a machine on it, and a look at what unwinds.

#![expect(dead_code, reason = "each test binary uses a part of it")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use testjig_vm::{Arch, Cache, Fault, Launch, LaunchOptions, MachineType, Qemu, Vm, machine};

/// The QEMU that the environment names, probed once.
pub fn qemu() -> &'static Qemu {
    static QEMU: OnceLock<Qemu> = OnceLock::new();
    QEMU.get_or_init(|| {
        let variable = Arch::X86_64.variable();
        let program =
            std::env::var_os(&variable).unwrap_or_else(|| panic!("{variable} names no QEMU"));
        let cache = Cache::open().expect("a cache");
        Qemu::from_binary(Arch::X86_64, Path::new(&program), &cache).expect("a QEMU")
    })
}

pub fn start(launch: &Launch) -> Vm {
    match qemu().launch(launch, &LaunchOptions::default()) {
        Ok(vm) => vm,
        Err(error) => panic!("{error}\n{}", error.command_line()),
    }
}

/// A bare PC.
pub fn pc() -> Vm {
    start(&Launch::new(&machine::PC))
}

pub fn bare(machine: &'static MachineType) -> Vm {
    start(&Launch::new(machine))
}

/// What `test` unwinds with.
pub fn fault_of<R>(test: impl FnOnce() -> R) -> Fault {
    match catch_unwind(AssertUnwindSafe(test)) {
        Ok(_) => panic!("it did not unwind"),
        Err(payload) => match payload.downcast::<Fault>() {
            Ok(fault) => *fault,
            Err(payload) => std::panic::resume_unwind(payload),
        },
    }
}

/// Tries again, without a pause, until it is so.
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !so() {
        assert!(Instant::now() < deadline, "{what} did not come true");
        std::thread::yield_now();
    }
}
