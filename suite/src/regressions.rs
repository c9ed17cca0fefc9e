//! Known bugs of devices, CVEs among them, as sessions that must not come back: the files in `regressions`.
//!
//! A file says what the fixed device does; a QEMU of a version that is documented to have the bug may have it.

use std::fmt;

use testjig::machines::ArmVirt;
use testjig::prelude::*;
use testjig::vm::{Fault, LaunchErrorKind};
use testjig_trace::{Replay, ReplayError, Trace, Verdict};

include!(concat!(env!("OUT_DIR"), "/regressions.rs"));

/// A known bug.
#[derive(Clone, Copy)]
struct Bug {
    name: &'static str,
    text: &'static str,
}

impl fmt::Debug for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Each session ends as its file expects: the machine lives, has answered what the file says, and answers what is asked of it last.
#[testjig::test(on = Pc, vary(bug = X86_64))]
fn a_known_bug_is_not_met(qemu: &Qemu, bug: Bug) -> Result<(), ReplayError> {
    replay(qemu, bug)
}

/// As on x86_64, on boards of Arm. That a session needs another board than `virt` is its own matter.
#[testjig::test(on = ArmVirt, vary(bug = AARCH64))]
fn a_known_bug_of_arm_is_not_met(qemu: &Qemu, bug: Bug) -> Result<(), ReplayError> {
    replay(qemu, bug)
}

fn replay(qemu: &Qemu, bug: Bug) -> Result<(), ReplayError> {
    let trace: Trace = match bug.text.parse() {
        Ok(trace) => trace,
        Err(error) => panic!("{} is no session: {error}", bug.name),
    };
    // The files are our own, and a QEMU that was built without seccomp has no sandbox.
    let replay = Replay {
        trust: true,
        ..Replay::default()
    };
    let outcome = match replay.run(&trace, qemu) {
        Err(ReplayError::Launch(error)) if error.kind() == LaunchErrorKind::Unsupported => {
            Fault::skip(error.to_string()).raise()
        }
        other => other?,
    };
    if let Verdict::Skipped(reason) = &outcome.verdict {
        Fault::skip(reason.clone()).raise();
    }
    if outcome.verdict.is_as(&trace.header.expect) {
        return Ok(());
    }
    let said = format!("{}: {}", trace.header.title, outcome.verdict);
    if trace.header.affects(&qemu.version) {
        Fault::known(format!(
            "QEMU {}.{} is known to have it: {said}",
            qemu.version.major, qemu.version.minor
        ))
        .raise();
    }
    panic!("{said}; operations answered: {}", outcome.answered);
}
