//! Guest tests among the others: `jig list`, `jig run`, reports and exit codes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use testjig::vm::{Cache, Silent};
use testjig_guest::Environment;

/// A project with these guest tests, each a name and a host half. None of them starts a machine.
fn project(tests: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path().join("guest-tests");
    fs::create_dir(&home).expect("writable");
    for (name, host) in tests {
        fs::write(home.join(name), format!("#!/bin/sh\n{host}\n")).expect("writable");
    }
    directory
}

fn jig(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jig"));
    command.args(arguments).current_dir(directory);
    command
}

fn told(command: &mut Command) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("jig runs");
    let text = [stdout, stderr].concat();
    (status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// Sees to it that there is a kernel.
fn provisioned() {
    let cache = Cache::open().expect("a cache");
    Environment::fetch(&Environment::default_suite(), &cache, &Silent).expect("an environment");
}

#[test]
fn they_are_listed_without_a_qemu_from_anywhere_in_the_project() {
    let project = project(&[("net.sh", ":"), ("boot.sh", ":")]);
    let below = project.path().join("deep/down");
    fs::create_dir_all(&below).expect("writable");
    let list = |arguments: &[&str]| {
        let mut all = vec!["list"];
        all.extend(arguments);
        let mut command = jig(&below, &all);
        told(
            command
                .env("XDG_CACHE_HOME", project.path())
                .env("PATH", "/nowhere"),
        )
    };
    let (status, text) = list(&["guest-tests/"]);
    assert_eq!(status, Some(0), "{text}");
    assert!(
        text.starts_with("guest-tests/boot.sh\nguest-tests/net.sh\n"),
        "{text}"
    );
    let (_, all) = list(&[]);
    assert!(all.contains("guest-tests/net.sh\n"), "{all}");
    let (_, json) = list(&["--json", "net.sh"]);
    let line = json.lines().next().expect("a line");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(line["name"], "guest-tests/net.sh");
    assert_eq!(line["decision"], "unknown");
    let (status, text) = list(&["guest-tests/", "--on", "x86_64/pc"]);
    assert_eq!(status, Some(4), "they are on no path: {text}");
}

#[test]
fn their_verdicts_are_in_reports_and_in_the_exit_status() {
    provisioned();
    let project = project(&[
        ("bad.sh", "exit 3"),
        ("good.sh", "test `named_choose color blue` = blue"),
        ("moot.sh", "skip 'for a reason'"),
    ]);
    let mut command = jig(
        project.path(),
        &[
            "run",
            "guest-tests/",
            "--junit",
            "junit.xml",
            "--tap",
            "tap",
            "--json",
            "json",
            "--forget",
        ],
    );
    let (status, text) = told(&mut command);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("1 passed, 1 skipped, 1 failed"), "{text}");
    let read = |name: &str| fs::read_to_string(project.path().join(name)).expect("a report");
    let junit = read("junit.xml");
    assert!(junit.contains(r#"tests="3" failures="1""#), "{junit}");
    assert!(junit.contains("guest-tests/good.sh@color=blue"), "{junit}");
    assert!(read("tap").contains("not ok"), "{text}");
    assert!(read("tap").starts_with("TAP version 14\n1..3\n"), "{text}");
    let json = read("json");
    let moot = json
        .lines()
        .find(|line| line.contains("guest-tests/moot.sh"));
    assert!(moot.is_some_and(|line| line.contains("SKIP")), "{json}");

    let (status, text) = told(&mut jig(project.path(), &["run", "good.sh", "--forget"]));
    assert_eq!(status, Some(0), "{text}");
    let (status, text) = told(&mut jig(project.path(), &["run", "moot.sh", "--forget"]));
    assert_eq!(status, Some(4), "nothing ran: {text}");
}

#[test]
fn they_run_behind_device_tests_as_one_run() {
    provisioned();
    let project = project(&[("good.sh", ":")]);
    let arguments = [
        "run",
        "fw_cfg::acpi::a_reset",
        "good.sh",
        "--arch",
        "x86_64",
        "--verbose",
        "--forget",
    ];
    let (status, text) = told(&mut jig(project.path(), &arguments));
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("guest-tests/good.sh"), "{text}");
    assert!(text.contains("fw_cfg::"), "{text}");
    assert_eq!(
        text.matches(" passed in ").count() + text.matches(" workers\n").count(),
        2,
        "one run: {text}"
    );
}

#[test]
fn what_failed_last_fails_again_with_the_same_choice() {
    provisioned();
    let project = project(&[("color.sh", "test `named_choose color red green blue` = red")]);
    let cache = own_cache();
    let run = |arguments: &[&str]| {
        let mut all = vec!["run", "guest-tests/"];
        all.extend(arguments);
        told(jig(project.path(), &all).env("XDG_CACHE_HOME", cache.path()))
    };
    // Of ten seeds some draw another color than red, and others red.
    let (status, text) = run(&["--repeat", "10", "--seed", "1"]);
    assert_eq!(status, Some(1), "{text}");
    let (status, text) = run(&["--last-failed", "--verbose"]);
    assert_eq!(status, Some(1), "{text}");
    assert!(
        text.contains("color.sh@color=blue") && !text.contains("color=red"),
        "{text}"
    );
}

#[test]
fn a_bare_run_fetches_no_kernel_and_boots_nothing() {
    provisioned();
    let project = project(&[("cold.sh", ":"), ("warm.sh", "# testjig: lane=warm\n:")]);
    let bare = |cache: &Path, part: &str| {
        let arguments = [
            "run",
            "--partition",
            part,
            "--forget",
            "--at-least",
            "0",
            "--verbose",
        ];
        told(jig(project.path(), &arguments).env("XDG_CACHE_HOME", cache)).1
    };
    let with = own_cache();
    let text = bare(with.path(), "2/3000");
    assert!(text.contains("guest-tests/warm.sh"), "{text}");
    let text = bare(with.path(), "1/3000");
    assert!(text.contains("not run: 1 more that boot a Linux"), "{text}");
    fs::remove_dir_all(with.path().join("testjig/guest")).expect("removable");
    let text = bare(with.path(), "2/3000");
    assert!(text.contains("not run: 1 more that boot a Linux"), "{text}");
    assert!(
        !with.path().join("testjig/guest").exists(),
        "nothing was fetched"
    );
}

/// A cache that has what the user's has, and a history of its own.
fn own_cache() -> TempDir {
    let cache = Cache::open().expect("a cache");
    let directory = tempfile::tempdir().expect("a directory");
    let own = directory.path().join("testjig");
    fs::create_dir_all(own.join("guest")).expect("writable");
    for place in ["qemu", "probe"] {
        std::os::unix::fs::symlink(cache.root().join(place), own.join(place)).expect("writable");
    }
    let guests = fs::read_dir(cache.root().join("guest")).expect("it is there");
    for entry in guests.flatten() {
        std::os::unix::fs::symlink(entry.path(), own.join("guest").join(entry.file_name()))
            .expect("writable");
    }
    directory
}
