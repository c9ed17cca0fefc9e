//! A machine that waits for a person, and records that are kept.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// The name of some case that passes.
fn case() -> String {
    let list = Command::new(env!("CARGO_BIN_EXE_jig"))
        .args(["list", "rtc::", "--on", "x86_64/pc"])
        .output()
        .expect("jig starts");
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let first = list.lines().next().expect("there are cases");
    first.split("   ").next().unwrap_or(first).to_owned()
}

#[test]
fn a_stopped_machine_s_test_begins_when_it_is_let_go_on() {
    let mut jig = Command::new(env!("CARGO_BIN_EXE_jig"))
        .args(["run", "--stop", "--exact", &case()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("jig starts");
    let lines = BufReader::new(jig.stderr.take().expect("it is piped")).lines();
    let pid = lines
        .map_while(Result::ok)
        .find_map(|line| {
            let (_, rest) = line.split_once("the VMM is process ")?;
            rest.split(',').next().map(str::to_owned)
        })
        .expect("it says which process waits");

    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is there");
    assert!(stat.contains(") T "), "{stat}");
    let go_on = Command::new("kill").args(["-CONT", &pid]).status();
    assert!(go_on.expect("kill starts").success());

    assert!(jig.wait().expect("it ends").success());
}

#[test]
fn what_was_recorded_of_a_passing_case_is_kept_on_demand() {
    let target = tempfile::tempdir().unwrap();
    let run = |keep: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_jig"))
            .args(["run", "--exact", &case()])
            .args(keep)
            .env("CARGO_TARGET_DIR", target.path())
            .output()
            .expect("jig starts")
    };
    assert!(run(&[]).status.success());
    assert!(!target.path().join("testjig").exists());

    let kept = run(&["--keep"]);
    let text = String::from_utf8_lossy(&kept.stderr).into_owned();
    let directory = text
        .lines()
        .find_map(|line| line.strip_prefix("kept in "))
        .expect("it says where");
    let mut found = Vec::new();
    let mut directories = vec![directory.into()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir::<std::path::PathBuf>(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                found.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    assert!(found.contains(&"operations.log".to_owned()), "{found:?}");
}
