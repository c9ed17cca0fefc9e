//! `jig run --record` and what becomes of its files: they replay with equal answers, and their first difference is shown.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn jig(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jig"))
        .env_remove("CARGO")
        .args(words)
        .output()
        .expect("jig")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn sessions(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "qtr"))
        .collect();
    files.sort();
    files
}

#[test]
fn recorded_cases_replay_with_equal_answers() {
    let directory = tempfile::tempdir().unwrap();
    let there = directory.path().to_str().unwrap();
    let words = [
        "run", "--vmm", "embedded", "--forget", "rtc::", "--record", there,
    ];
    let run = jig(&words);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let files = sessions(directory.path());
    assert!(files.len() > 50, "{} sessions", files.len());
    let requires_clock = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.contains("\nrequires: clock\n")
    };
    assert!(files.iter().any(requires_clock));
    let replay = jig(&["replay", "--vmm", "embedded", there]);
    let text = said(&replay);
    assert_eq!(replay.status.code(), Some(0), "{text}");
    let passed = text.lines().filter(|line| line.starts_with("PASS")).count();
    assert_eq!(passed, files.len(), "{text}");
    // The answers are looked at: on a machine that loses a bit, not all are equal.
    let replay = jig(&["replay", "--vmm", "embedded", "--plant", "wrong-bit", there]);
    assert_eq!(replay.status.code(), Some(1), "{}", said(&replay));
    let reasons = fs::read_to_string(directory.path().join("not-recorded.txt")).unwrap_or_default();
    assert!(
        reasons.lines().all(|line| line.contains(": it")),
        "{reasons}"
    );
}

#[test]
fn a_wrong_answer_is_told_where_the_machine_rests_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let there = directory.path().to_str().unwrap();
    let words = [
        "run",
        "--vmm",
        "embedded",
        "--forget",
        "virtio_blk::requests::",
        "--record",
        there,
    ];
    let run = jig(&words);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let files = sessions(directory.path());
    assert!(files.len() > 10, "{} sessions", files.len());
    let replay = jig(&["replay", "--vmm", "embedded", there]);
    assert_eq!(replay.status.code(), Some(0), "{}", said(&replay));
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.starts_with("qtr 2\n") && text.contains("\nsettle\n"));
        fs::write(path, with_another_answer(&text)).unwrap();
    }
    let replay = jig(&["replay", "--vmm", "embedded", there]);
    let text = said(&replay);
    let failed = text.lines().filter(|line| line.starts_with("FAIL"));
    assert_eq!(failed.count(), files.len(), "{text}");
}

/// The session with the last bit of its last answer in bytes turned.
fn with_another_answer(text: &str) -> String {
    let answer = text.rfind(" -> 0x").unwrap();
    let end = answer + text[answer..].find('\n').unwrap();
    let digit = text[end - 1..end].chars().next().unwrap();
    let turned = digit.to_digit(16).unwrap() ^ 1;
    format!("{}{turned:x}{}", &text[..end - 1], &text[end..])
}

#[test]
fn the_first_difference_is_shown_with_registers_decoded() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (
        directory.path().join("one.qtr"),
        directory.path().join("other.qtr"),
    );
    let header = "qtr 1\narch: x86_64\nmachine: pc\n\n";
    fs::write(
        &one,
        format!("{header}outb 0x70 0xb\noutb 0x71 0x26\ninb 0x71 -> 0x26\ninb 0x20\n"),
    )
    .unwrap();
    fs::write(
        &other,
        format!("{header}# the same until here\noutb 0x70 0xb\noutb 0x71 0x26\ninb 0x71 -> 0x2\n"),
    )
    .unwrap();
    let diff =
        |one: &Path, other: &Path| jig(&["diff", one.to_str().unwrap(), other.to_str().unwrap()]);
    let output = diff(&one, &other);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in [
        "operation 3 differs",
        "outb 0x71 0x26   rtc.B←0x26 {alarm_irq",
        "- inb 0x71 -> 0x26   rtc.B→0x26 {alarm_irq",
        "+ inb 0x71 -> 0x2   rtc.B→0x02 {hour24}",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let table = jig(&[
        "diff",
        "--by-register",
        one.to_str().unwrap(),
        other.to_str().unwrap(),
    ]);
    let text = said(&table);
    assert!(
        text.contains("| `rtc.B` | 1 | `inb 0x71 -> 0x26   rtc.B"),
        "{text}"
    );
    let output = diff(&one, &one);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let output = diff(&one, Path::new("/nonexistent.qtr"));
    assert_eq!(output.status.code(), Some(2));
}
