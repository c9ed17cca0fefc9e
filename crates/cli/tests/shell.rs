//! The shell, driven through a pipe.

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn shell(arguments: &[&str], lines: &str) -> Output {
    let mut jig = Command::new(env!("CARGO_BIN_EXE_jig"))
        .arg("shell")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("jig starts");
    let mut input = jig.stdin.take().expect("it is piped");
    input.write_all(lines.as_bytes()).expect("it reads");
    drop(input);
    jig.wait_with_output().expect("it ends")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn accesses_are_answered_and_decoded() {
    let output = shell(&[], "outb 0x70 0xb\ninb 0x71\ndump rtc\n");
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(
        text.contains("0x2\n") && text.contains("rtc.B→0x02 {hour24}"),
        "{text}"
    );
    assert!(text.contains("rtc       B=0x02 {hour24}"), "{text}");
}

#[test]
fn a_watched_line_shows_its_edges_in_virtual_time() {
    let output = shell(&[], "watch irq 8\noutb 0x70 0xb\noutb 0x71 0x12\nstep 2s\n");
    let text = stdout(&output);
    assert!(text.contains("clock 2000000000 ns"), "{text}");
    assert!(text.contains("input 8 of ioapic raised"), "{text}");
}

#[test]
fn pci_functions_of_a_machine_with_a_device_plugged_in_are_listed() {
    let output = shell(&["x86_64/q35", "--device", "edu,addr=4"], "lspci\n");
    let text = stdout(&output);
    assert!(text.contains("00:04.0 1234:11e8"), "{text}");
    assert!(
        !text.contains("vendor→"),
        "looking around is not decoded: {text}"
    );
}

#[test]
fn a_session_is_saved_as_a_test_without_what_only_looked_around() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines = format!(
        "outb 0x70 0xb\ninb 0x71\nlspci\nwrite 0x1000 0xdead\nsave {}\n",
        file.path().display()
    );
    let output = shell(&[], &lines);
    assert!(output.status.success(), "{}", stderr(&output));

    let test = std::fs::read_to_string(&file).unwrap();
    assert!(test.contains("#[testjig::test(on = Pc)]"), "{test}");
    assert!(test.contains("assert_eq!(vm.inb(0x71), 0x2);"), "{test}");
    assert!(
        test.contains("vm.write_mem(0x1000, &[0xde, 0xad]);"),
        "{test}"
    );
    assert!(!test.contains("0xcf8"), "{test}");
}

#[test]
fn what_can_t_be_done_is_said_and_the_session_goes_on() {
    let output = shell(
        &[],
        "inb 0x12345\ninb\nfrobnicate\nstep 5\nqmp no-such-command\ninb 0x70 7\ninb 0x71\n",
    );
    assert_eq!(output.status.code(), Some(1));
    let errors = stderr(&output);
    for part in [
        "the port 0x12345 is too large here",
        "the port is missing",
        "no command \"frobnicate\"",
        "the span is a span such as",
        "no-such-command",
        "\"7\" is too much",
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    assert!(stdout(&output).starts_with("0x"), "{}", stdout(&output));
}

#[test]
fn a_machine_that_is_not_there_is_named_with_those_that_are() {
    let output = shell(&["x86_64/pdp11"], "");
    assert_eq!(output.status.code(), Some(2));
    let errors = stderr(&output);
    assert!(
        errors.contains("x86_64/pdp11") && errors.contains("x86_64/q35"),
        "{errors}"
    );
}

#[test]
fn a_machine_that_ends_ends_the_shell() {
    let output = shell(&[], "qmp quit\ninb 0x71\n");
    assert_eq!(output.status.code(), Some(1));
    let errors = stderr(&output);
    assert!(
        errors.contains("gone") || errors.contains("ended"),
        "{errors}"
    );
}
