//! What all these tests need: a QEMU, a machine on it, and a look at what unwinds.

#![expect(dead_code, reason = "each test binary uses a part of it")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use testjig_vm::{
    Arch, Cache, Fault, Finder, Launch, LaunchOptions, MachineType, Qemu, Silent, Vm, machine,
};

/// The QEMU for x86_64 that a run would use, found once; fetched if there is none.
pub(crate) fn qemu() -> &'static Qemu {
    static QEMU: OnceLock<Qemu> = OnceLock::new();
    QEMU.get_or_init(|| Qemu::find(Arch::X86_64).unwrap_or_else(|error| panic!("{error}")))
}

/// A QEMU for an architecture, if there is one already.
pub(crate) fn present(arch: Arch) -> Option<Qemu> {
    let cache = Cache::open().expect("a cache");
    Finder::new(arch)
        .allow_network(false)
        .find(&cache, &Silent)
        .ok()
}

pub(crate) fn start(launch: &Launch) -> Vm {
    start_on(qemu(), launch)
}

pub(crate) fn start_on(qemu: &Qemu, launch: &Launch) -> Vm {
    match qemu.launch(launch, &LaunchOptions::default()) {
        Ok(vm) => vm,
        Err(error) => panic!("{error}\n{}", error.command_line()),
    }
}

/// A bare PC.
pub(crate) fn pc() -> Vm {
    start(&Launch::new(&machine::PC))
}

pub(crate) fn bare(machine: &'static MachineType) -> Vm {
    start(&Launch::new(machine))
}

/// What `test` unwinds with.
pub(crate) fn fault_of<R>(test: impl FnOnce() -> R) -> Fault {
    match catch_unwind(AssertUnwindSafe(test)) {
        Ok(_) => panic!("it did not unwind"),
        Err(payload) => match payload.downcast::<Fault>() {
            Ok(fault) => *fault,
            Err(payload) => std::panic::resume_unwind(payload),
        },
    }
}

/// The machine's process, to send it signals.
pub(crate) fn process(vm: &Vm) -> Pid {
    Pid::from_raw(vm.pid() as i32).expect("a process number")
}

/// Tries again, without a pause, until it is so.
pub(crate) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !so() {
        assert!(Instant::now() < deadline, "{what} did not come true");
        std::thread::yield_now();
    }
}
