//! How long guests take: `cargo bench -p jig --bench guest`. Each figure is a median, beside what is wanted of it on 2 cores without KVM.
//!
//! `TESTJIG_BENCH_ROUNDS` says how many runs one is the median of; 11 if it is not set.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

/// What of a run is measured.
#[derive(Clone, Copy)]
enum What {
    /// From QEMU's start to the agent's first answer, which does not wait for the drivers of all devices.
    Answer,
    /// The whole test.
    Whole,
}

fn main() {
    // Cargo passes words of its own harness, and runs benches as tests, too.
    if env::args().any(|word| word == "--test") {
        return;
    }
    let rounds = env::var("TESTJIG_BENCH_ROUNDS").ok();
    let rounds = rounds.and_then(|text| text.parse().ok()).unwrap_or(11);
    let directory = tempfile::tempdir().expect("a directory");
    // A machine that does nothing but boot.
    let script = |name: &str, lane: &str, words: &str| {
        let path = directory.path().join(name);
        let text = format!(
            "#!/bin/sh\n# testjig: lane={lane}\nin_host() {{ qemu -M q35 {words}; }}\nin_guest() {{ :; }}\nif test $QEMU_TEST; then in_host; else in_guest; fi\n"
        );
        fs::write(&path, text).expect("writable");
        path
    };
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest-tests");
    let hotplug = |machine: &str| {
        let file = shipped.join("hotplug-blk.sh").display().to_string();
        PathBuf::from(format!("{file}@machine={machine}"))
    };
    println!("{:<52} {:>9} {:>9} {:>9}", "", "median", "least", "wanted");
    let figure = |what: &str, of: What, test: &Path, wanted: u64| {
        let mut times = measured(test, of, rounds);
        times.sort_unstable();
        tell(what, &times, Duration::from_millis(wanted));
    };
    let warm = script("warm.sh", "warm", "");
    let cold = script("cold.sh", "cold", "");
    figure(
        "start of QEMU to the guest's answer, warm q35",
        What::Answer,
        &warm,
        120,
    );
    figure(
        "start of QEMU to the guest's answer, cold q35",
        What::Answer,
        &cold,
        1000,
    );
    figure(
        "a test that does nothing, whole, cold q35",
        What::Whole,
        &cold,
        0,
    );
    let bare = script("bare.sh", "cold", "-nodefaults");
    figure(
        "the same without default devices",
        What::Answer,
        &bare,
        1000,
    );
    figure(
        "hot-plug of a disk, whole test, warm pc",
        What::Whole,
        &hotplug("pc"),
        400,
    );
    figure(
        "hot-plug of a disk, whole test, warm q35",
        What::Whole,
        &hotplug("q35"),
        400,
    );
    let all = jig(&[
        shipped.as_os_str().to_str().expect("a path"),
        "--exhaustive",
    ]);
    let end = all.last().expect("a run ends");
    let whole = Duration::from_secs_f64(end["seconds"].as_f64().unwrap_or_default());
    tell(
        &format!("guest-tests/, all {} cases", all.len() - 2),
        &[whole],
        Duration::from_secs(60),
    );
}

fn tell(what: &str, sorted: &[Duration], wanted: Duration) {
    let millis = |time: Duration| format!("{:.0} ms", time.as_secs_f64() * 1000.0);
    let (median, least) = (sorted[sorted.len() / 2], sorted[0]);
    let wanted = if wanted.is_zero() {
        "-".to_owned()
    } else {
        millis(wanted)
    };
    println!(
        "{what:<52} {:>9} {:>9} {wanted:>9}",
        millis(median),
        millis(least)
    );
}

fn measured(test: &Path, what: What, rounds: usize) -> Vec<Duration> {
    let test = test.to_str().expect("a path");
    // The first makes the state that the others begin in.
    let lines = jig(&[test, "--jobs", "1", "--repeat", &(rounds + 1).to_string()]);
    let member = match what {
        What::Answer => "launch_seconds",
        What::Whole => "seconds",
    };
    let cases = lines.iter().filter(|line| line["event"] == "case").skip(1);
    cases
        .map(|line| Duration::from_secs_f64(line[member].as_f64().unwrap_or_default()))
        .collect()
}

/// Runs guest tests; what the record says.
fn jig(arguments: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_jig"))
        .args(["guest", "run", "--json", "-"])
        .args(arguments)
        .output()
        .expect("jig runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{arguments:?} failed:\n{text}");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}
