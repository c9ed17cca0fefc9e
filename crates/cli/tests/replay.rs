//! `jig replay` on machines whose bugs are known, and on files that no machine should see.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn jig(words: &[&str], file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jig"))
        .env_remove("CARGO")
        .args(words)
        .arg(file)
        .output()
        .expect("jig")
}

struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, header: &str, steps: &str) -> PathBuf {
        let path = self.0.path().join("session.qtr");
        let text = format!("qtr 1\narch: x86_64\nmachine: pc\n{header}\n{steps}");
        fs::write(&path, text).unwrap();
        path
    }
}

/// Verdict and exit status on the embedded machine with a bug planted in it.
fn planted(plant: Option<&str>, header: &str, steps: &str) -> (String, Option<i32>) {
    let scene = Scene::new();
    let mut words = vec!["replay", "--vmm", "embedded"];
    words.extend(plant.iter().flat_map(|name| ["--plant", name]));
    let output = jig(&words, &scene.file(header, steps));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (text, output.status.code())
}

#[test]
fn each_kind_of_bug_has_its_verdict() {
    let trigger = "inb 0x71\noutb 0x80 0x1\n";
    let (text, status) = planted(None, "", trigger);
    assert!(
        text.starts_with("PASS") && text.contains("survived"),
        "{text}"
    );
    assert_eq!(status, Some(0));
    for (plant, verdict) in [
        ("crash", "crashed(signal 11)"),
        (
            "assertion",
            "crashed(signal 6: plant.rs: trigger: Assertion `!planted' failed.)",
        ),
        ("hang", "hung"),
    ] {
        let (text, status) = planted(Some(plant), "", trigger);
        assert!(
            text.starts_with("FAIL") && text.contains(verdict),
            "{plant}: {text}"
        );
        assert!(text.contains("of 2 operations"), "{plant}: {text}");
        assert_eq!(status, Some(1), "{plant}");
    }
    let (text, status) = planted(Some("memory-growth"), "", &"outb 0x80 0x1\n".repeat(600));
    assert!(text.contains("leaked memory: "), "{text}");
    assert_eq!(status, Some(1));
    // The second byte of the clock's memory loses bit 3.
    let (text, status) = planted(
        Some("wrong-bit"),
        "",
        "outb 0x70 0x41\noutb 0x71 0xff\ninb 0x71 -> 0xff\n",
    );
    assert!(
        text.contains("replied differently: operation 3, inb 0x71: 0xf7, not 0xff"),
        "{text}"
    );
    assert_eq!(status, Some(1));
}

#[test]
fn a_crash_that_is_expected_is_as_it_should_be_and_another_is_not() {
    let trigger = "outb 0x80 0x1\n";
    for (expect, status) in [
        ("expect: crash\n", 0),
        ("expect: crash(signal 11)\n", 0),
        ("expect: crash(signal 6)\n", 1),
        ("expect: survive\n", 1),
    ] {
        let (text, found) = planted(Some("crash"), expect, trigger);
        assert_eq!(found, Some(status), "{expect}: {text}");
    }
}

#[test]
fn what_a_machine_lacks_is_skipped() {
    let (text, status) = planted(None, "args: -device qxl\n", "inb 0x71\n");
    assert!(
        text.starts_with("SKIP") && text.contains("has no device qxl"),
        "{text}"
    );
    assert_eq!(status, Some(4));
    let (text, status) = planted(None, "requires: object rng-egd\n", "inb 0x71\n");
    assert!(text.starts_with("SKIP"), "{text}");
    assert_eq!(status, Some(4));
}

#[test]
fn a_foreign_file_is_refused_and_nothing_is_run() {
    for (header, why) in [
        (
            "args: -netdev tap,id=n,script=SCRIPT\n",
            "leaves the machine",
        ),
        ("args: -incoming 'exec:touch MARK'\n", "migration"),
        ("args: -drive file=MARK,if=none,id=d\n", "scratch"),
        ("args: -device 'e1000;touch MARK'\n", "shells"),
        ("args: -chardev file,id=c,path=MARK\n", "null"),
        ("args: -D MARK\n", "not among"),
    ] {
        let scene = Scene::new();
        let mark = scene.0.path().join("mark");
        let header = header.replace("MARK", mark.to_str().unwrap());
        // What would be started leaves a trace.
        let qemu = scene.0.path().join("qemu-system-x86_64");
        fs::write(&qemu, format!("#!/bin/sh\ntouch {}\n", mark.display())).unwrap();
        fs::set_permissions(&qemu, fs::Permissions::from_mode(0o755)).unwrap();
        let output = jig(
            &["replay", "--qemu", qemu.to_str().unwrap()],
            &scene.file(&header, "inb 0x71\n"),
        );
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            text.starts_with("REFUSED") && text.contains(why),
            "{header}: {text}"
        );
        assert_eq!(output.status.code(), Some(2), "{header}");
        assert!(!mark.exists(), "{header}");
    }
}

#[test]
fn a_file_that_is_none_is_told_with_its_place() {
    let scene = Scene::new();
    let path = scene.file("", "inb 0x71\noutb 0x70\n");
    let output = jig(&["replay", "--vmm", "embedded"], &path);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("session.qtr: line 6, column 1: `outb` takes 2 arguments, not 1"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(2));
    let output = jig(
        &["replay", "--vmm", "embedded"],
        Path::new("/nonexistent.qtr"),
    );
    assert_eq!(output.status.code(), Some(2));
}

/// With the addresses of each process others. A division by zero, a place without a message, a call of what is no function.
#[test]
#[ignore = "fetches three QEMUs of two architectures and starts 400 machines: `cargo test -p jig --test replay -- --ignored`"]
fn a_crash_has_the_same_signature_in_a_hundred_runs_and_another_crash_another() {
    let mut all = BTreeSet::new();
    for (suite, name) in [
        ("sid", "amd-iommu-command-buffer-length"),
        ("sid", "allwinner-r40-dram-write"),
        ("bookworm-backports", "exynos4210-combiner-offset"),
        ("bookworm", "bcm2835-thermal-halfword"),
    ] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("../../regressions/{name}.qtr"))
            .canonicalize()
            .unwrap();
        let file = file.to_str().unwrap();
        let words = [&["replay", "--suite", suite][..], &[file; 99]].concat();
        let output = jig(&words, Path::new(file));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let signatures: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("FAIL"))
            .filter_map(|line| line.split_once(": crashed("))
            .map(|(_, signature)| signature)
            .collect();
        assert_eq!(signatures.len(), 100, "{name}: {text}");
        let different: BTreeSet<&str> = signatures.into_iter().collect();
        assert_eq!(different.len(), 1, "{name}: {different:?}");
        println!("{name} on {suite}, 100 times: {different:?}");
        all.extend(different.into_iter().map(str::to_owned));
    }
    assert_eq!(all.len(), 4, "{all:?}");
}
