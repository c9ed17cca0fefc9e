//! A run that is spread over several machines: partitions, and their records made one.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

const CASES: &str = "rtc::ram::";

fn jig(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jig"))
        .args(arguments)
        .output()
        .expect("jig starts")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}

fn names(record: &Path) -> Vec<String> {
    std::fs::read_to_string(record)
        .expect("the record is there")
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line of JSON"))
        .filter(|event| event["event"] == "case")
        .map(|event| event["name"].as_str().expect("a name").to_owned())
        .collect()
}

fn make_equally_long(record: &Path) {
    let lines = std::fs::read_to_string(record).expect("the record is there");
    let events = lines.lines().map(|line| {
        let mut event: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        if event["event"] == "case" {
            event["seconds"] = 0.01.into();
            event["launch_seconds"] = 0.004.into();
        }
        format!("{event}\n")
    });
    let events: String = events.collect();
    std::fs::write(record, events).expect("the record is written");
}

#[test]
fn the_parts_of_a_run_are_disjoint_and_merge_into_the_whole() {
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("whole.jsonl");
    let run = jig(&["run", CASES, "--json", text(&whole)]);
    assert!(run.status.success(), "{run:?}");
    // Parts are made for equal times, and on a busy host one case may have taken as long as ten.
    make_equally_long(&whole);

    let parts = ["1/3", "2/3", "3/3"].map(|partition| {
        let part = directory
            .path()
            .join(partition.replace('/', "-"))
            .with_extension("jsonl");
        let arguments = [
            "run",
            CASES,
            "--partition",
            partition,
            "--timings",
            text(&whole),
            "--json",
            text(&part),
        ];
        let run = jig(&arguments);
        assert!(run.status.success(), "{run:?}");
        part
    });
    let merged = directory.path().join("merged.jsonl");
    let merge = jig(&[
        "merge",
        text(&parts[0]),
        text(&parts[1]),
        text(&parts[2]),
        "--json",
        text(&merged),
    ]);
    assert!(merge.status.success(), "{merge:?}");

    let together: Vec<String> = parts.iter().flat_map(|part| names(part)).collect();
    let distinct: BTreeSet<&String> = together.iter().collect();
    assert_eq!(distinct.len(), together.len(), "no case ran twice");
    assert_eq!(distinct, names(&whole).iter().collect());
    assert_eq!(distinct, names(&merged).iter().collect());
    let sizes = parts.each_ref().map(|part| names(part).len());
    assert!(
        sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= together.len() / 4,
        "{sizes:?}"
    );
}

#[test]
fn a_part_that_was_lost_in_the_middle_makes_the_whole_red() {
    let directory = tempfile::tempdir().unwrap();
    let part = directory.path().join("part.jsonl");
    let run = jig(&["run", CASES, "--json", text(&part)]);
    assert!(run.status.success(), "{run:?}");
    let lines = std::fs::read_to_string(&part).unwrap();
    let shorter: Vec<&str> = lines.lines().take(3).collect();
    std::fs::write(&part, shorter.join("\n")).unwrap();

    let merge = jig(&["merge", text(&part)]);

    assert_eq!(merge.status.code(), Some(1));
    let error = String::from_utf8_lossy(&merge.stderr);
    assert!(error.contains("ends early: 2 of "), "{error}");
}

#[test]
fn what_is_no_record_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("notes.txt");
    std::fs::write(&file, "not JSON\n").unwrap();

    let merge = jig(&["merge", text(&file)]);

    assert_eq!(merge.status.code(), Some(2));
    let error = String::from_utf8_lossy(&merge.stderr);
    assert!(
        error.contains("notes.txt") && error.contains("line 1"),
        "{error}"
    );
}
