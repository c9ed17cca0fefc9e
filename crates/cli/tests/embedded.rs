//! The embedded machine under the runner, sound and with each bug that can be planted in it. Needs no QEMU and no network.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

fn jig(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jig"));
    command.arg("run").args(arguments).arg("--vmm=embedded");
    command.output().expect("jig starts")
}

fn text(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[track_caller]
fn assert_finds(plant: &str, case: &str, verdict: &str, words: &str) {
    let sound = jig(&["--exact", case]);
    assert_eq!(sound.status.code(), Some(0), "{}", text(&sound));
    let planted = jig(&["--exact", case, "--plant", plant, "--deadline", "2"]);
    let said = text(&planted);
    assert_eq!(planted.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{verdict} {case}")), "{said}");
    assert!(said.contains(words), "{said}");
}

const CHECKPOINT: &str = "post::a_checkpoint_is_taken@x86_64/pc";

/// How a case that passes was isolated.
fn isolation(arguments: &[&str]) -> String {
    let words = ["--exact", CHECKPOINT, "--json", "/dev/stdout"];
    let output = jig(&[&words, arguments].concat());
    let said = text(&output);
    let (_, rest) = said
        .split_once("\"isolation\":\"")
        .unwrap_or_else(|| panic!("{said}"));
    rest.split_once('"').expect("its end").0.to_owned()
}

#[test]
fn a_sound_machine_is_in_the_thread_of_its_test_and_one_that_may_crash_is_not() {
    assert_eq!(isolation(&[]), "in the worker's thread");
    assert_eq!(isolation(&["--isolation", "fresh"]), "fresh");
    let planted = isolation(&["--plant", "wrong-bit"]);
    assert!(planted.starts_with("fresh ("), "{planted}");
}

#[test]
fn a_crash_is_told_with_its_signal() {
    assert_finds("crash", CHECKPOINT, "CRASH", "SIGSEGV");
}

#[test]
fn an_assertion_is_told_with_its_words() {
    assert_finds(
        "assertion",
        CHECKPOINT,
        "CRASH",
        "Assertion `!planted' failed",
    );
}

#[test]
fn a_hang_ends_at_the_deadline() {
    let begin = Instant::now();
    assert_finds("hang", CHECKPOINT, "HANG", "outb 0x80");
    assert!(begin.elapsed() < Duration::from_secs(25));
}

#[test]
fn a_wrong_bit_is_found_by_the_test_of_the_ram() {
    let case = "rtc::ram::ram_bytes_keep_what_is_written@x86_64/pc/mc146818rtc";
    assert_finds("wrong-bit", case, "FAIL", "assertion");
}

#[test]
fn a_lost_interrupt_is_found_by_the_test_of_the_updates() {
    let case = "rtc::update::acknowledged_updates_interrupt_every_second@x86_64/pc/mc146818rtc";
    assert_finds("lost-interrupt", case, "FAIL", "");
}

#[test]
fn a_byte_too_many_is_found_by_the_test_of_dma() {
    let case = "fw_cfg::dma::a_read_copies_as_many_bytes_as_asked@x86_64/pc/fw_cfg_io";
    assert_finds("dma-off-by-one", case, "FAIL", "assertion");
}

#[test]
fn an_unknown_bug_is_named() {
    let output = jig(&["--plant", "gremlin", "rtc::ram"]);
    let said = text(&output);
    assert!(said.contains("there is no planted bug 'gremlin'"), "{said}");
    assert_ne!(output.status.code(), Some(0));
}

#[test]
fn a_machine_without_qemu_and_network_is_served_by_the_embedded_one() {
    let empty = std::env::temp_dir().join(format!("testjig-no-qemu-{}", std::process::id()));
    std::fs::create_dir_all(&empty).expect("a directory");
    let output = Command::new(env!("CARGO_BIN_EXE_jig"))
        .args(["run", "--offline", "rtc::ram", "--on", "x86_64/pc"])
        .env("PATH", &empty)
        .env("XDG_CACHE_HOME", &empty)
        .env_remove("QTEST_QEMU_BINARY")
        .output()
        .expect("jig starts");
    std::fs::remove_dir_all(&empty).expect("removed");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("the embedded machine, an x86_64 pc, for want of a QEMU"),
        "{said}"
    );
}
