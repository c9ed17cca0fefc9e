//! Where a stock QEMU crashed is told, the same each time, in forks too.

mod common;

use std::fs;
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use testjig_vm::{ExitStatus, Launch, LaunchOptions, Vm, machine};

use common::{eventually, process, qemu};

/// The number of the system call that the main loop sleeps in.
const PPOLL: &str = if cfg!(target_arch = "x86_64") {
    "271"
} else {
    "73"
};

fn options() -> LaunchOptions {
    LaunchOptions::default().frames(true)
}

/// The lines about the crash of a machine that gets a signal while its main loop sleeps.
fn frames(vm: &Vm, signal: Signal) -> Vec<String> {
    vm.sync();
    // It has answered, and sleeps until the next request: not for a lock, which a thread that begins may still hold.
    let call = format!("/proc/{}/syscall", vm.pid());
    eventually("the main loop sleeps", || {
        fs::read_to_string(&call).is_ok_and(|text| text.split(' ').next() == Some(PPOLL))
    });
    kill_process(process(vm), signal).expect("a signal");
    assert!(vm.has_ended(Duration::from_secs(10)));
    let report = vm.kill();
    let expected = ExitStatus::Signal {
        signal: signal.as_raw(),
        core: false,
    };
    assert_eq!(report.status, expected, "{}", report.stderr);
    let lines = report
        .stderr
        .lines()
        .filter(|line| line.starts_with("testjig: frame "));
    lines.map(ToOwned::to_owned).collect()
}

#[test]
fn a_crash_is_told_by_modules_and_places_that_are_the_same_each_time() {
    let launch = Launch::new(&machine::PC);
    let start = || qemu().launch(&launch, &options()).expect("a machine");
    let first = frames(&start(), Signal::SEGV);
    let own: Vec<&String> = first
        .iter()
        .filter(|line| line.starts_with("testjig: frame program "))
        .collect();
    assert!(own.len() >= 3, "{first:#?}");
    for line in &own {
        let words: Vec<&str> = line.split(' ').collect();
        let is_hex = |word: &str| word.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(
            words[3].len() == 20 && is_hex(words[3]) && words[3] != "0".repeat(20),
            "{line}"
        );
        assert!(words[4].starts_with("0x"), "{line}");
    }
    // The library's own frame has a name too, whatever descriptor the library was loaded from.
    assert!(
        first
            .iter()
            .any(|line| line.starts_with("testjig: frame testjig ")),
        "{first:#?}"
    );
    // Exported functions have their names.
    assert!(
        own.iter().any(|line| line.contains(" main_loop_wait+0x")),
        "{first:#?}"
    );
    // SIGBUS is QEMU's own matter: it tells memory that went bad by it.
    for signal in [Signal::SEGV, Signal::ABORT, Signal::FPE] {
        assert_eq!(frames(&start(), signal), first, "{signal:?}");
    }
}

#[test]
fn a_fork_tells_it_too() {
    let launch = Launch::new(&machine::PC);
    let template = qemu().template(&launch, &options()).expect("a template");
    let told: Vec<Vec<String>> = (0..3)
        .map(|_| frames(&template.fork(false).expect("a fork"), Signal::SEGV))
        .collect();
    assert!(
        told[0].iter().any(|line| line.contains("frame program")),
        "{told:#?}"
    );
    assert_eq!(told[0], told[1]);
    assert_eq!(told[1], told[2]);
}

#[test]
fn without_being_asked_nothing_is_told() {
    let launch = Launch::new(&machine::PC);
    let vm = qemu()
        .launch(&launch, &LaunchOptions::default())
        .expect("a machine");
    assert_eq!(frames(&vm, Signal::SEGV), [""; 0]);
}
