//! Each planted failure gets its own verdict, names its cause, and takes no other test with it.

mod common;

use std::process::Command;

use common::{Record, Run};

/// Runs one planted test beside one that passes, and says that this one was not harmed.
fn beside_a_passing_one(test: &str) -> Run {
    let run = Run::of(&[
        "planted::passes@x86_64/pc/",
        &format!("planted::{test}@x86_64/pc"),
    ]);
    assert_eq!(run.case("passes").text("verdict"), "PASS");
    run
}

fn expect(record: &Record, verdict: &str, reason: &str) {
    assert_eq!(
        record.text("verdict"),
        verdict,
        "{}",
        record.evidence("message")
    );
    let message = record.evidence("message");
    assert!(
        message.contains(reason) || record.text("reason").contains(reason),
        "{message}"
    );
}

#[test]
fn an_assertion_fails_with_its_message_place_and_last_operations() {
    let run = beside_a_passing_one("asserts");
    let record = run.case("asserts");
    expect(record, "FAIL", "register D is not what it is not");
    assert!(
        record.evidence("place").contains("planted.rs:"),
        "{}",
        record.evidence("place")
    );
    assert!(
        record.evidence("facts").contains("outb 0x70 0xd"),
        "{}",
        record.evidence("facts")
    );
    assert_eq!(run.status, Some(1));
}

#[test]
fn a_failure_decodes_the_device_on_its_path() {
    let run = Run::of(&["planted::asserts_on_a_device@x86_64/pc"]);
    let facts = run.case("asserts_on_a_device").evidence("facts");
    assert!(facts.contains("alarm_irq"), "{facts}");
}

#[test]
fn a_returned_error_fails() {
    expect(
        beside_a_passing_one("returns_an_error").case("returns_an_error"),
        "FAIL",
        "invalid digit",
    );
}

#[test]
fn a_refused_operation_names_itself_and_its_line() {
    let run = beside_a_passing_one("is_refused");
    let record = run.case("is_refused");
    expect(record, "FAIL", "no-such-device");
    assert!(
        record.evidence("place").contains("planted.rs:"),
        "{}",
        record.evidence("place")
    );
}

#[test]
fn a_refused_queued_operation_names_the_line_that_queued_it() {
    let run = beside_a_passing_one("is_refused_in_the_queue");
    let record = run.case("is_refused_in_the_queue");
    expect(record, "FAIL", "no-such-device");
    let source = include_str!("../src/planted.rs");
    let queued = source
        .lines()
        .position(|line| line.contains("set_irq(&Pin::input(\"no-such-device\""))
        .expect("it is there")
        + 1;
    assert!(
        record
            .evidence("place")
            .ends_with(&format!("planted.rs:{queued}")),
        "{}",
        record.evidence("place")
    );
}

#[test]
fn an_undeclared_clock_is_refused_on_every_qemu() {
    expect(
        beside_a_passing_one("uses_the_clock_undeclared").case("uses_the_clock_undeclared"),
        "FAIL",
        "needs(clock)",
    );
}

#[test]
fn a_qemu_that_dies_is_a_crash_with_its_signal() {
    let run = beside_a_passing_one("crashes_before_a_read");
    expect(run.case("crashes_before_a_read"), "CRASH", "SIGSEGV");
    assert!(run.case("crashes_before_a_read").number("seconds") < 10.0);
}

#[test]
fn a_qemu_that_dies_under_queued_writes_is_a_crash() {
    expect(
        beside_a_passing_one("crashes_under_queued_writes").case("crashes_under_queued_writes"),
        "CRASH",
        "SIGKILL",
    );
}

#[test]
fn a_qemu_that_dies_after_the_last_operation_is_a_crash() {
    expect(
        beside_a_passing_one("crashes_at_the_end").case("crashes_at_the_end"),
        "CRASH",
        "SIGABRT",
    );
}

#[test]
fn a_qemu_that_does_not_answer_is_a_hang_at_the_deadline() {
    let run = beside_a_passing_one("hangs");
    expect(run.case("hangs"), "HANG", "inb 0x71");
    assert!(run.case("hangs").number("seconds") >= 1.0);
}

#[test]
fn a_qemu_that_does_not_end_is_a_hang() {
    expect(
        beside_a_passing_one("hangs_at_the_end").case("hangs_at_the_end"),
        "HANG",
        "",
    );
}

#[test]
fn a_test_that_never_ends_is_a_hang() {
    expect(
        beside_a_passing_one("loops").case("loops"),
        "HANG",
        "the test itself did not come to an end",
    );
}

#[test]
fn a_process_left_behind_is_a_leak_and_is_ended() {
    expect(
        beside_a_passing_one("leaves_a_process").case("leaves_a_process"),
        "LEAK",
        "tail",
    );
}

#[test]
fn machines_left_behind_are_a_leak_and_are_ended() {
    expect(
        beside_a_passing_one("leaves_a_machine").case("leaves_a_machine"),
        "LEAK",
        "the test left 3 process(es) running",
    );
}

/// The line of a planted test, so many behind its head.
fn line_in(test: &str, line: usize) -> String {
    let source = include_str!("../src/planted.rs");
    let head = format!("fn {test}(");
    let index = source.lines().position(|line| line.starts_with(&head));
    format!("planted.rs:{}", index.expect("it is there") + 1 + line)
}

#[test]
fn guest_memory_in_order_is_no_failure() {
    let run = beside_a_passing_one("keeps_its_guest_memory_in_order");
    let record = run.case("keeps_its_guest_memory_in_order");
    assert_eq!(record.text("verdict"), "PASS", "{}", record.text("reason"));
}

#[test]
fn a_guest_buffer_that_is_not_freed_is_a_leak_with_size_and_origin() {
    let test = "leaks_a_guest_buffer";
    let run = beside_a_passing_one(test);
    let record = run.case(test);
    expect(record, "LEAK", "leak: guest buffer of 300 bytes at 0x");
    assert!(record.evidence("place").ends_with(&line_in(test, 1)));
}

#[test]
fn a_double_free_names_the_block_and_its_first_end() {
    let test = "frees_a_guest_buffer_twice";
    let run = beside_a_passing_one(test);
    let record = run.case(test);
    expect(
        record,
        "FAIL",
        "double free: of a guest buffer of 300 bytes at 0x",
    );
    let message = record.evidence("message");
    assert!(message.contains(&format!(
        "allocated at crates/selftest/src/{}",
        line_in(test, 2)
    )));
    assert!(message.contains(&format!(
        "freed at crates/selftest/src/{}",
        line_in(test, 3)
    )));
    assert!(record.evidence("place").ends_with(&line_in(test, 4)));
}

#[test]
fn a_free_of_nothing_is_refused() {
    expect(
        beside_a_passing_one("frees_what_it_never_had").case("frees_what_it_never_had"),
        "FAIL",
        "no guest buffer begins there",
    );
}

#[test]
fn an_overrun_names_the_byte_and_the_block() {
    let test = "overruns_a_guest_buffer";
    let run = beside_a_passing_one(test);
    expect(
        run.case(test),
        "FAIL",
        "overrun: byte 1 behind the end of a guest buffer of 300 bytes at 0x",
    );
    assert!(run.case(test).evidence("message").contains("with 0x75"));
    assert!(
        run.case(test)
            .evidence("place")
            .ends_with(&line_in(test, 1))
    );
}

#[test]
fn an_underrun_is_found_when_the_block_is_freed() {
    let test = "underruns_a_guest_buffer_and_frees_it";
    let run = beside_a_passing_one(test);
    expect(
        run.case(test),
        "FAIL",
        "underrun: byte 1 before the start of a guest buffer of 300 bytes at 0x",
    );
    assert!(
        run.case(test)
            .evidence("place")
            .ends_with(&line_in(test, 3))
    );
}

#[test]
fn a_write_after_free_is_a_use_after_free() {
    let test = "writes_into_a_guest_buffer_after_it_is_dropped";
    let run = beside_a_passing_one(test);
    expect(
        run.case(test),
        "FAIL",
        "use after free: byte 0x7 of a guest buffer of 300 bytes at 0x",
    );
    assert!(run.case(test).evidence("message").contains("with 0x5a"));
}

#[test]
fn an_access_beyond_a_guest_buffer_is_refused_where_it_is_made() {
    let test = "writes_beyond_a_guest_buffer_by_its_own_methods";
    let run = beside_a_passing_one(test);
    expect(run.case(test), "FAIL", "4 bytes at offset 0x12a");
    assert!(
        run.case(test)
            .evidence("place")
            .ends_with(&line_in(test, 1))
    );
}

#[test]
fn damaged_memory_is_evidence_of_another_failure() {
    let test = "asserts_with_an_overrun_guest_buffer";
    let run = beside_a_passing_one(test);
    expect(run.case(test), "FAIL", "the buffer was written");
    assert!(run.case(test).evidence("facts").contains("overrun: byte 1"));
}

#[test]
fn a_test_that_exits_fails_and_the_next_one_runs() {
    expect(
        beside_a_passing_one("exits").case("exits"),
        "FAIL",
        "exited with status 0",
    );
}

#[test]
fn a_test_that_aborts_fails_and_the_next_one_runs() {
    expect(
        beside_a_passing_one("aborts").case("aborts"),
        "FAIL",
        "signal 6",
    );
}

#[test]
fn a_panic_within_a_panic_fails_and_the_next_one_runs() {
    let run = beside_a_passing_one("panics_twice");
    expect(run.case("panics_twice"), "FAIL", "signal 6");
    assert!(
        run.case("panics_twice")
            .evidence("output")
            .contains("while another panic unwinds")
    );
}

#[test]
fn what_a_failed_test_printed_is_in_its_report() {
    let run = beside_a_passing_one("prints_and_fails");
    let record = run.case("prints_and_fails");
    expect(record, "FAIL", "standard input is empty");
    assert_eq!(
        record.evidence("output"),
        "to standard output\nto standard error\n"
    );
}

#[test]
fn an_expected_failure_is_good_and_keeps_its_evidence() {
    let test = "is_known_to_fail";
    let run = beside_a_passing_one(test);
    let record = run.case(test);
    expect(record, "XFAIL", "register D is not what it is not");
    assert!(
        record.text("reason").ends_with("https://example.org/bug/1"),
        "{}",
        record.text("reason")
    );
    assert!(record.evidence("facts").contains("outb 0x70 0xd"));
    assert_eq!(run.status, Some(0));
}

#[test]
fn an_expected_crash_is_an_expected_failure() {
    let run = beside_a_passing_one("is_known_to_die");
    expect(run.case("is_known_to_die"), "XFAIL", "SIGSEGV");
    assert_eq!(run.status, Some(0));
}

#[test]
fn a_pass_of_what_should_fail_is_red() {
    let test = "is_known_to_fail_and_does_not";
    let run = beside_a_passing_one(test);
    let record = run.case(test);
    expect(record, "XPASS", "take `xfail` off the test");
    assert!(record.text("reason").contains("https://example.org/bug/3"));
    assert!(
        record.evidence("place").contains("planted.rs:"),
        "{}",
        record.evidence("place")
    );
    assert_eq!(run.status, Some(1));
}

#[test]
fn what_never_ran_is_no_expected_failure() {
    let run = Run::of(&["planted::is_to_fail"]);
    expect(
        run.case("is_to_fail_on_an_unknown_device"),
        "SKIP",
        "no-such-device",
    );
    expect(
        run.case("is_to_fail_and_never_starts"),
        "ERROR",
        "no-such-option",
    );
    assert_eq!(run.status, Some(5));
}

#[test]
fn an_unstable_test_that_passes_again_is_flaky_with_its_rate() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_planted"))
        .arg("planted::is_unstable@")
        .env("PLANTED_STATE", directory.path().join("state"))
        .output()
        .expect("the planted binary starts");
    let run = Run::read(&output);
    let record = run.case("is_unstable");
    expect(record, "FLAKY", "the first time");
    assert_eq!(
        record.text("reason"),
        "passed 4 of 5 times: the first time is different"
    );
    assert_eq!(
        (run.len(), run.status),
        (1, Some(0)),
        "it is one case, and good"
    );
}

#[test]
fn an_unstable_test_that_never_passes_fails() {
    let run = beside_a_passing_one("is_unstable_and_never_passes");
    let record = run.case("is_unstable_and_never_passes");
    expect(record, "FAIL", "register D is not what it is not");
    assert_eq!(run.status, Some(1));
}

#[test]
fn a_device_that_the_qemu_lacks_is_a_skip() {
    expect(
        beside_a_passing_one("wants_an_unknown_device").case("wants_an_unknown_device"),
        "SKIP",
        "no-such-device",
    );
}

#[test]
fn a_machine_that_the_qemu_lacks_is_a_skip() {
    let run = Run::of(&["planted::wants_an_unknown_machine"]);
    expect(run.case("wants_an_unknown_machine"), "SKIP", "imaginary");
    assert_eq!(run.status, Some(4), "nothing ran");
}

#[test]
fn a_refused_launch_is_an_error_with_the_words_of_qemu() {
    for test in ["wants_an_unknown_option", "wants_an_unknown_property"] {
        let run = beside_a_passing_one(test);
        expect(run.case(test), "ERROR", "no-such");
        assert!(run.case(test).number("seconds") < 10.0);
        assert_eq!(run.status, Some(5));
    }
}

#[test]
fn a_test_on_what_nothing_gives_is_an_error() {
    let run = Run::of(&["planted::is_on_nothing"]);
    expect(
        run.case("is_on_nothing"),
        "ERROR",
        "no machine gives Nowhere",
    );
    assert_eq!(run.status, Some(5));
}

#[test]
fn all_of_them_together_get_a_verdict_each() {
    let run = Run::of(&[
        "planted::asserts",
        "planted::crashes",
        "planted::exits",
        "planted::aborts",
        "planted::passes",
        "planted::leaves",
    ]);
    assert_eq!(run.len(), 13, "{}", run.stderr);
}
