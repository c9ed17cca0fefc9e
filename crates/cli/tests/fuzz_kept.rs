//! `jig fuzz` on a disk that is full, and when it is ended without warning.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Runs a shell line where `$1` is a file system of its own, of so many KiB, and `$2` is `jig`. `None` where the host lets nobody do
/// that.
fn on_a_disk_of(kibibytes: u32, directory: &Path, line: &str) -> Option<Output> {
    let run = |line: &str| {
        Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .arg(format!(
                "mount -t tmpfs -o size={kibibytes}k none \"$1\" && {line}"
            ))
            .args(["sh".as_ref(), directory.as_os_str()])
            .arg(env!("CARGO_BIN_EXE_jig"))
            .output()
    };
    let can = run("true").is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("skipped: this host has no user namespaces");
        return None;
    }
    Some(run(line).expect("a shell"))
}

fn text(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn a_full_disk_ends_it_with_a_message() {
    let directory = tempfile::tempdir().expect("a directory");
    // Inputs fill what is left when the room for findings is taken.
    let Some(output) = on_a_disk_of(
        1024 + 16,
        directory.path(),
        "\"$2\" fuzz --selftest --plant wrong-bit --time 60s --dir \"$1/fuzz\"",
    ) else {
        return;
    };
    let text = text(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("failed to keep inputs in"), "{text}");
    assert!(text.contains("what was found before is there"), "{text}");
    assert!(text.to_lowercase().contains("no space left"), "{text}");
}

/// An input of an earlier time meets the bug before any other is kept. Beside it and the room for findings there is one page.
#[test]
fn a_full_disk_loses_no_finding() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(output) = on_a_disk_of(
        1024 + 4 + 4,
        directory.path(),
        "mkdir -p \"$1/fuzz/corpus/0\" && \
         echo '{\"ops\":[{\"Write\":[{\"Region\":[1,0]},\"B\",{\"Number\":1}]}]}' > \"$1/fuzz/corpus/0/input\" && \
         \"$2\" fuzz --selftest --time 60s --dir \"$1/fuzz\" && \
         cat \"$1\"/fuzz/findings/*.qtr && cat \"$1\"/fuzz/findings/*.json",
    ) else {
        return;
    };
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("title: planted: signal"), "{text}");
    assert!(text.contains("outb 0x80"), "{text}");
    assert!(text.contains("\"confirmed\": true"), "{text}");
}

/// The processes below one, by id, with when they began.
fn below(root: u32) -> BTreeMap<u32, String> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if let Some((parent, began)) = stat(pid) {
            parents.insert(pid, (parent, began));
        }
    }
    let is_below = |mut pid: u32| {
        while let Some((parent, _)) = parents.get(&pid) {
            if *parent == root {
                return true;
            }
            pid = *parent;
        }
        false
    };
    parents
        .iter()
        .filter(|(pid, _)| is_below(**pid))
        .map(|(pid, (_, began))| (*pid, began.clone()))
        .collect()
}

/// [proc_pid_stat(5)] Parent (4) and start time (22) of a process that has not ended.
fn stat(pid: u32) -> Option<(u32, String)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    (fields[0] != "Z").then(|| Some((fields[1].parse().ok()?, fields[19].to_owned())))?
}

#[test]
fn a_fuzzer_that_is_killed_leaves_no_process() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut fuzzer = Command::new(env!("CARGO_BIN_EXE_jig"))
        .args(["fuzz", "rtc", "--time", "60s", "--jobs", "2", "--dir"])
        .arg(directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("jig starts");
    let end = Instant::now() + Duration::from_secs(60);
    let corpus = directory.path().join("corpus").join("0");
    let has_begun = || fs::read_dir(&corpus).is_ok_and(|entries| entries.count() > 3);
    while !has_begun() && Instant::now() < end {
        thread::sleep(Duration::from_millis(50));
    }
    assert!(has_begun(), "no input was kept in a minute");
    let mut processes = below(fuzzer.id());
    assert!(processes.len() >= 2, "{processes:?}");
    // Those that come and go, too.
    for _ in 0..20 {
        processes.extend(below(fuzzer.id()));
    }
    fuzzer.kill().expect("it can be killed");
    fuzzer.wait().expect("it ends");
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        processes.retain(|pid, began| stat(*pid).is_some_and(|(_, now)| now == *began));
        if processes.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "left behind: {processes:?}");
        thread::sleep(Duration::from_millis(20));
    }
}
