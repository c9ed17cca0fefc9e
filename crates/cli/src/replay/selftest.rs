//! `jig replay --selftest`: bugs that are known to be there are found, each as what it is.

use std::collections::BTreeSet;
use std::process::ExitCode;

use testjig::vm::Arch;
use testjig_trace::{Expect, Replay, Trace, Verdict};

use super::On;
use crate::fail;

/// A 16-bit read that aborts the QEMU 7.2 that Debian 12 has, and no later one.
const REAL: &str = include_str!("../../../../regressions/bcm2835-thermal-halfword.qtr");

/// What is planted in the embedded machine, what sets it off, and the verdict's first words.
const PLANTED: [(&str, &str, &str); 5] = [
    ("crash", "outb 0x80 0x1\n", "crashed(signal 11"),
    ("assertion", "outb 0x80 0x1\n", "crashed(signal 6: "),
    ("hang", "outb 0x80 0x1\n", "hung"),
    (
        "wrong-bit",
        "outb 0x70 0x41\noutb 0x71 0xff\ninb 0x71 -> 0xff\n",
        "replied differently",
    ),
    ("memory-growth", "", "leaked memory"),
];

pub(super) fn run(offline: bool) -> ExitCode {
    match planted().and_then(|kinds| Ok((kinds, real(offline)?))) {
        Ok((kinds, real)) => {
            println!(
                "this installation can find a bug: {kinds} kinds on the embedded machine, none where none is; {real}"
            );
            ExitCode::SUCCESS
        }
        Err(error) => fail(format!("this installation finds no bugs: {error}")),
    }
}

/// Each planted bug, and the same session without it; how many there are.
fn planted() -> Result<usize, String> {
    for (plant, steps, words) in PLANTED {
        let steps = if steps.is_empty() {
            "outb 0x80 0x1\n".repeat(600)
        } else {
            steps.to_owned()
        };
        let trace: Trace = format!("qtr 1\narch: x86_64\nmachine: pc\n\n{steps}")
            .parse()
            .map_err(|error| format!("the session for {plant} is none: {error}"))?;
        for (plants, words) in [(&[plant][..], words), (&[][..], "survived")] {
            let qemus = On::planted(plants).qemus(BTreeSet::from([Arch::X86_64]));
            let outcome = Replay::default()
                .run(&trace, qemus.get(Arch::X86_64)?)
                .map_err(|error| error.to_string())?;
            let verdict = outcome.verdict.to_string();
            if !verdict.starts_with(words) {
                return Err(format!(
                    "with {plants:?} planted, a session ended as “{verdict}” and not as “{words}”"
                ));
            }
        }
    }
    Ok(PLANTED.len())
}

/// A bug of a QEMU that is packaged; in words.
fn real(offline: bool) -> Result<String, String> {
    let trace: Trace = REAL
        .parse()
        .map_err(|error| format!("the session of the real bug is none: {error}"))?;
    let suite = "bookworm".parse().map_err(|_| "no suite bookworm")?;
    let old = On {
        suite: Some(suite),
        offline,
        ..On::default()
    };
    let qemus = old.qemus(BTreeSet::from([trace.header.arch]));
    let qemu = match qemus.get(trace.header.arch) {
        Ok(qemu) => qemu,
        Err(error) => {
            let first = error.lines().next().unwrap_or_default();
            return Ok(format!("the real one was not tried: {first}"));
        }
    };
    let outcome = Replay::default()
        .run(&trace, qemu)
        .map_err(|error| error.to_string())?;
    match &outcome.verdict {
        Verdict::Crashed { signature, .. }
            if signature.contains("bcm2835_thermal")
                && outcome.verdict.is_as(&Expect::Crash(String::new())) =>
        {
            Ok(format!("and the one of QEMU {}: {signature}", qemu.version))
        }
        other => Err(format!("QEMU {} should abort and {other}", qemu.version)),
    }
}
