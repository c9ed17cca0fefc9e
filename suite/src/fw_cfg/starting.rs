//! Machines that a test starts itself, or tries to.

use testjig::prelude::*;
use testjig::qos::dev::fw_cfg::FwCfg;
use testjig::vm::{LaunchError, LaunchErrorKind, LaunchOptions};

/// Starts the machine.
pub(super) fn start(qemu: &Qemu, launch: &Launch) -> (Vm, FwCfg) {
    match qemu.launch(launch, &LaunchOptions::default()) {
        Ok(vm) => {
            let fw = FwCfg::io(&vm);
            (vm, fw)
        }
        Err(error) => panic!("{error}"),
    }
}

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
