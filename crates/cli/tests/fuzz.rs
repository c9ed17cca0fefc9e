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
