//! `jig run --fail-fast`: what is expected to fail ends no run, what is not does.

use std::process::{Command, Output};

fn run(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jig"))
        .args(["run", "--fail-fast", "--forget"])
        .args(words)
        .output()
        .expect("jig starts")
}

/// Two failures that are expected on QEMU, a pass, in whatever order.
const CASES: [&str; 3] = [
    "floppy::configuration::the_mode_is_dumped@x86_64/pc/isa-fdc",
    "floppy::configuration::step_rate_and_unload_time_are_dumped@x86_64/pc/isa-fdc",
    "floppy::configuration::the_fifo_is_off_at_first@x86_64/pc/isa-fdc",
];

#[test]
fn an_expected_failure_ends_no_run() {
    let output = run(&[&["--exact"], &CASES[..]].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("1 passed, 2 failed as expected"), "{said}");
}

#[test]
fn a_failure_ends_the_run() {
    // The bit is wrong in all of them.
    let output = run(&[
        "--vmm",
        "embedded",
        "--plant",
        "wrong-bit",
        "--jobs",
        "1",
        "rtc::ram",
    ]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("1 failed"), "{said}");
}
