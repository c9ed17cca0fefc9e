//! Inputs a second: `cargo bench -p testjig-fuzz --bench executions -- [SECONDS] [DEVICE…]`.
//!
//! Each device is fuzzed from nothing by one worker. The first inputs, and what it takes to start a machine, are not counted. The last
//! column is the time of processors that an input took, the fuzzer's and its machines' together: on a host that is busy with something
//! else, that is what can be compared.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts of some seconds are small"
)]

use std::fs;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use testjig_blocks::Program;
use testjig_fuzz::{Settings, Target, fuzz};
use testjig_vm::{Arch, Cache, Qemu, machine};

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let seconds = words.first().and_then(|word| word.parse().ok());
    let named = words.get(usize::from(seconds.is_some())..);
    let named = named.unwrap_or_default().iter().map(String::as_str);
    let mut devices: Vec<&str> = named.collect();
    if devices.is_empty() {
        devices = vec!["virtio-blk", "fdc", "e1000"];
    }
    let mut qemu = Qemu::find(Arch::X86_64).expect("a QEMU");
    let cache = Cache::open().expect("a cache");
    let program = Program::read(qemu.binary()).expect("a program");
    for name in devices {
        let target = Target::find(&mut qemu, name, &machine::PC, &cache).expect("the device");
        let types: Vec<&str> = target.types.iter().map(String::as_str).collect();
        let device = program.device(&types);
        let directory = tempfile::tempdir().expect("a directory");
        let settings = Settings {
            time: Some(Duration::from_secs(seconds.unwrap_or(20))),
            workers: 1,
            directory: directory.path().to_owned(),
            beginnings: Vec::new(),
            sessions: Vec::new(),
            dictionary: Vec::new(),
            seed: 1,
            stop_at_finding: false,
            replay_corpus: false,
            peers: None,
        };
        let known = device.as_ref().map(|device| (&program, device));
        let stop = AtomicBool::new(false);
        let mut looks = Vec::new();
        let status = fuzz(&qemu, &target, known, &settings, &stop, |status| {
            if status.executions > FIRST {
                looks.push((status.elapsed, status.executions, processor()));
            }
        })
        .expect("it runs");
        let blocks = status.reached.len();
        let (Some(first), Some(last)) = (looks.first(), looks.last()) else {
            println!("{name}: {} inputs", status.executions);
            continue;
        };
        let inputs = (last.1 - first.1).max(1) as f64;
        println!(
            "{name}: {inputs} inputs, {:.0} a second, {blocks} blocks, {:.2} ms of processors each",
            inputs / (last.0 - first.0).as_secs_f64(),
            (last.2 - first.2) / inputs,
        );
    }
}

/// How many inputs are tried before it is measured.
const FIRST: u64 = 60;

/// What this process and what it has started have used by now, in milliseconds: `utime` to `cstime` of proc(5), in units of 10 ms.
fn processor() -> f64 {
    let mut ours = vec![std::process::id().to_string()];
    let mut others: Vec<Vec<String>> = fs::read_dir("/proc")
        .expect("proc")
        .filter_map(|entry| {
            let stat = fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
            let (before, after) = stat.rsplit_once(')')?;
            let number = before.split(' ').next()?.to_owned();
            let words = after.split_whitespace().map(ToOwned::to_owned);
            Some([number].into_iter().chain(words).collect())
        })
        .collect();
    let mut sum = 0.0;
    while let Some(number) = ours.pop() {
        others.retain(|words| {
            if words[2] == number {
                ours.push(words[0].clone());
            }
            if words[0] != number {
                return true;
            }
            let times = words[12..16].iter();
            sum += times
                .filter_map(|word| word.parse::<f64>().ok())
                .sum::<f64>()
                * 10.0;
            false
        });
    }
    sum
}
