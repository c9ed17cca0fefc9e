//! Machines that a test starts itself, or tries to.

use testjig::prelude::*;
use testjig::qos::dev::fw_cfg::FwCfg;
use testjig::vm::{Arch, LaunchError, LaunchErrorKind, LaunchOptions};

/// Starts the machine.
pub(super) fn start(qemu: &Qemu, launch: &Launch) -> (Vm, FwCfg) {
    match qemu.launch(launch, &LaunchOptions::default()) {
        Ok(vm) => {
            let fw = device(&vm);
            (vm, fw)
        }
        Err(error) => panic!("{error}"),
    }
}

/// The device of a machine that the graph did not make.
pub(super) fn device(vm: &Vm) -> FwCfg {
    match vm.launch().machine().arch {
        Arch::X86_64 | Arch::I386 => FwCfg::io(vm),
        _ => FwCfg::mmio(vm, VIRT),
    }
}

/// Where Arm's generic machine has it.
pub(super) const VIRT: u64 = 0x0902_0000;

/// Tries to start the machine, which QEMU is to decline with words that hold `reason`.
#[track_caller]
pub(super) fn assert_declined(qemu: &Qemu, launch: &Launch, reason: &str) {
    let Err(error) = qemu.launch(launch, &LaunchOptions::default()) else {
        panic!("the machine started: {}", launch.to_args().join(" "));
    };
    assert_eq!(error.kind(), LaunchErrorKind::BadOption, "{error}");
    assert!(says(&error, reason), "does not say {reason:?}: {error}");
}

fn says(error: &LaunchError, reason: &str) -> bool {
    error.stderr().contains(reason)
}
