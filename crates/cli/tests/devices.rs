//! The gate that makes a new device come with a test.

use std::process::{Command, Output};

fn devices(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jig"))
        .arg("devices")
        .args(arguments)
        .output()
        .expect("jig starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_device_on_a_path_and_one_that_is_plugged_in_are_tested_others_are_not() {
    let untested = stdout(&devices(&["--untested"]));
    let untested: Vec<&str> = untested.lines().collect();

    assert!(untested.contains(&"cirrus-vga"), "{untested:?}");
    for tested in ["mc146818rtc", "fw_cfg_io", "pci-testdev", "pc", "q35"] {
        assert!(!untested.contains(&tested), "{tested}");
    }
}

#[test]
fn what_is_not_in_the_baseline_needs_a_test() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let untested = stdout(&devices(&["--untested"]));
    std::fs::write(&file, format!("# known gaps\n{untested}")).unwrap();
    let all_known = devices(&["--deny-new", path]);
    assert_eq!(all_known.status.code(), Some(0), "{all_known:?}");

    let without = untested.replace("cirrus-vga\n", "mc146818rtc # has a test by now\n");
    std::fs::write(&file, without).unwrap();
    let new = devices(&["--deny-new", path]);

    assert_eq!(new.status.code(), Some(1));
    assert!(stdout(&new).contains("device cirrus-vga has no test"));
    let note = String::from_utf8_lossy(&new.stderr).into_owned();
    assert!(note.contains("mc146818rtc is tested or gone"), "{note}");
}

#[test]
fn a_baseline_that_is_not_there_is_named() {
    let output = devices(&["--deny-new", "/nonexistent/baseline"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/baseline"));
}
