//! A machine that waits for a person with a debugger.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use testjig_vm::Vm;

use crate::runner::Debug;

/// How long a person does not notice.
const PERSONS_PACE: Duration = Duration::from_millis(100);

/// In the worker: tells the runner, and returns when the VMM was held and let go on, or is gone.
pub(super) fn wait(debug: Debug, vm: &Vm, tell: impl FnOnce()) {
    if debug == Debug::Stop {
        if let Some(pid) = i32::try_from(vm.pid()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::STOP);
        }
    }
    // Who is told may be quick: what was stopped counts as held from here on.
    let mut was_held = debug == Debug::Stop;
    while was_held && vm.is_alive() && !is_held(vm.pid()) {
        std::thread::yield_now();
    }
    tell();
    while vm.is_alive() {
        let held = is_held(vm.pid());
        if was_held && !held {
            return;
        }
        was_held |= held;
        std::thread::park_timeout(PERSONS_PACE);
    }
}

/// Whether a process is stopped, by a signal or by a debugger.
fn is_held(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        state.starts_with(['T', 't'])
    })
}

/// In the runner: says what to do, or does it.
pub(super) fn hand_over(debug: Debug, pid: u32) {
    match debug {
        Debug::Stop => eprintln!(
            "the VMM is process {pid}, and stopped; `gdb -p {pid}` attaches to it, `kill -CONT {pid}` lets the test begin"
        ),
        Debug::Gdb => {
            eprintln!("set breakpoints; `continue` lets the test begin");
            let ended = Command::new("gdb")
                .args(["-q", "-p", &pid.to_string()])
                .status();
            if let Err(error) = ended {
                eprintln!("failed to start gdb: {error}");
                let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
                let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
            }
        }
    }
}
