//! `jig fuzz`: on the embedded machine with a planted bug, and on a stock QEMU.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn jig(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jig"));
    command
        .arg("fuzz")
        .args(arguments)
        .output()
        .expect("jig starts")
}

fn text(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&all).into_owned()
}

/// Fuzzes the clock for some seconds, in this directory.
fn clock(directory: &Path, more: &[&str]) -> Output {
    let directory = directory.to_str().expect("a path of text");
    jig(&[
        &["rtc", "--time", "4s", "--jobs", "2", "--dir", directory],
        more,
    ]
    .concat())
}

#[test]
fn the_planted_bug_is_found() {
    let output = jig(&["--selftest"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("shortened to 1 operation"));
}

#[test]
fn planted_bugs_of_each_kind_are_found_behind_one_write() {
    for plant in ["crash", "hang", "memory-growth"] {
        let output = jig(&["--selftest", "--plant", plant]);
        assert_eq!(output.status.code(), Some(0), "{plant}: {}", text(&output));
    }
}

/// Three bytes in the right order, of which the device tells how many were right; two descriptors in memory, the second of them long
/// and for the device to write, at an address that one register holds, and a write to another.
#[test]
fn planted_bugs_are_found_behind_a_sequence_and_behind_a_chain_of_descriptors() {
    for plant in ["crash-sequence", "assertion-chain"] {
        let output = jig(&["--selftest", "--plant", plant, "--time", "10m"]);
        assert_eq!(output.status.code(), Some(0), "{plant}: {}", text(&output));
    }
}

#[test]
fn a_plant_that_is_none_is_told() {
    let output = jig(&["--selftest", "--plant", "crash-somewhere"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("crash-chain"), "{}", text(&output));
}

/// [MC146818A, Register Map] The session reads the seconds, sets the index register to A and reads that.
#[test]
fn sessions_are_carried_out_with_blocks_watched() {
    let directory = tempfile::tempdir().expect("a directory");
    let sessions = directory.path().join("sessions");
    fs::create_dir(&sessions).expect("writable");
    let session = |name: &str, answer: &str| {
        let text = format!(
            "qtr 1\ntitle: {name}\narch: x86_64\nmachine: pc\n\n\
             outb 0x70 0xa\ninb 0x71 -> {answer}\nclock_step 1000000\n"
        );
        fs::write(sessions.join(name).with_extension("qtr"), text).expect("writable");
    };
    session("right", "0x26");
    session("wrong", "0x27");
    let path = |path: &Path| path.to_str().expect("a path of text").to_owned();
    let kept = path(&directory.path().join("fuzz"));
    let output = jig(&[
        "rtc",
        "--replay-corpus",
        "--seeds",
        &path(&sessions),
        "--dir",
        &kept,
    ]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.contains("1 sessions with the replies that they have, 0 skipped, 1 not"),
        "{text}"
    );
    assert!(text.contains("wrong: replied differently"), "{text}");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(!told.contains(" 0 of the device's"), "{text}");
}

#[test]
fn a_dictionary_that_is_none_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let words = directory.path().join("words");
    fs::write(&words, "no quotes\n").expect("writable");
    let words = words.to_str().expect("a path of text");
    let output = clock(directory.path(), &["--dictionary", words]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("no quotes"), "{}", text(&output));
    fs::write(words, "a=\"\\x0a\"\n").expect("writable");
    let output = clock(directory.path(), &["--dictionary", words]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

/// The clock's file has more than 300 blocks, and sixteen random operations reach 50 of them.
#[test]
fn blocks_of_the_device_are_reached_and_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let coverage = directory.path().join("coverage.json");
    let coverage_name = coverage.to_str().expect("a path of text");
    let output = clock(directory.path(), &["--export-coverage", coverage_name]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let told: serde_json::Value =
        serde_json::from_slice(&fs::read(&coverage).expect("a file")).expect("JSON");
    let number = |name: &str| told[name].as_u64().expect("a number");
    assert!(number("blocks") > 300, "{told}");
    assert!(
        (50..number("blocks")).contains(&number("reached")),
        "{told}"
    );
    let functions = told["functions"].as_array().expect("a list");
    let sum: u64 = functions
        .iter()
        .filter_map(|function| function["reached"].as_u64())
        .sum();
    assert_eq!(sum, number("reached"));
    let plot = fs::read_to_string(directory.path().join("coverage.svg")).expect("a plot");
    assert!(plot.contains("<polyline"), "{plot}");
}

#[test]
fn a_run_goes_on_where_the_last_one_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let kept = || {
        let workers = ["0", "1"].map(|worker| directory.path().join("corpus").join(worker));
        let count = |directory| fs::read_dir(directory).map_or(0, Iterator::count);
        workers.map(count).into_iter().sum::<usize>()
    };
    let first = clock(directory.path(), &[]);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first));
    let before = kept();
    assert!(before > 10, "{}", text(&first));
    let second = clock(directory.path(), &["--seed", "1"]);
    assert_eq!(second.status.code(), Some(0), "{}", text(&second));
    // What leads nowhere new any more is not kept again.
    assert!(kept() >= before / 3, "{before}: {}", text(&second));
    assert!(!directory.path().join("corpus.old").exists());
}

#[test]
fn what_is_not_there_is_named() {
    let output = jig(&["no-such-device", "--offline"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(
        text(&output).contains("no no-such-device"),
        "{}",
        text(&output)
    );
    let output = jig(&["rtc", "--machine", "pc"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("x86_64/pc"), "{}", text(&output));
    let output = jig(&["rtc", "--time", "soon"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("10m"), "{}", text(&output));
}

#[test]
fn a_directory_that_takes_nothing_is_told_at_once() {
    let output = jig(&["rtc", "--time", "4s", "--dir", "/proc/none"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("/proc/none"), "{}", text(&output));
}
