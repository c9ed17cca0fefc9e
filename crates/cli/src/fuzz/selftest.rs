//! `jig fuzz --selftest`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use testjig::find::{self, Vmm, Wish};
use testjig::vm::{Arch, Launch, machine};
use testjig_fuzz::{Region, Settings, Space, Status, Target, fuzz};

use crate::fail;

/// The planted bug is found within the time, or it is said what is broken.
/// What is found is kept in `directory`, if that is given.
pub(super) fn run(plant: &str, time: Duration, seed: u64, directory: Option<&Path>) -> ExitCode {
    match find_planted(plant, time, seed, directory) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(format!("this installation finds no bugs: {error}")),
    }
}

/// Looks for a bug that is planted in the embedded machine, behind a port next to the clock's, or in a device that only it has.
fn find_planted(
    plant: &str,
    time: Duration,
    seed: u64,
    directory: Option<&Path>,
) -> Result<String, String> {
    let wish = Wish {
        vmm: Some(Vmm::Embedded),
        plants: vec![plant.to_owned()],
        ..Wish::default()
    };
    let qemus = find::for_archs(BTreeSet::from([Arch::X86_64]), &wish);
    let qemu = qemus.get(Arch::X86_64)?;
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    let settings = Settings {
        time: Some(time),
        workers: 1,
        directory: directory.unwrap_or(scratch.path()).to_owned(),
        beginnings: Vec::new(),
        sessions: Vec::new(),
        dictionary: Vec::new(),
        seed,
        stop_at_finding: true,
        replay_corpus: false,
        peers: None,
    };
    std::panic::set_hook(Box::new(|_| {}));
    let stop = AtomicBool::new(false);
    let status = fuzz(qemu, &target(plant), None, &settings, &stop, |_| {})
        .map_err(|error| error.to_string())?;
    told(plant, &status)
}

fn target(plant: &str) -> Target {
    let ports = |start, len, name: &str| Region {
        space: Space::Ports,
        start,
        len,
        name: name.to_owned(),
    };
    let regions = if plant.contains("-sequence") || plant.contains("-chain") {
        vec![ports(0xe80, 16, "planted")]
    } else {
        vec![ports(0x70, 2, "clock"), ports(0x80, 1, "POST code")]
    };
    Target {
        name: "planted".to_owned(),
        kind: "planted".to_owned(),
        others: Vec::new(),
        launch: Launch::new(&machine::PC),
        types: Vec::new(),
        regions,
        function: None,
        prelude: Vec::new(),
        scratch: 1 << 20,
        scratch_len: 1 << 20,
        plug: None,
        lines: Vec::new(),
        has_clock: true,
    }
}

/// What was found, if that is what was planted.
fn told(plant: &str, status: &Status) -> Result<String, String> {
    let Some(finding) = status.findings.first() else {
        return Err(format!(
            "{} inputs did not meet the planted {plant}",
            status.executions
        ));
    };
    let kind = plant.split("-sequence").next().unwrap_or_default();
    let word = match kind.split("-chain").next().unwrap_or_default() {
        "crash" => "signal",
        "assertion" => "ssert",
        "hang" => "hang",
        _ => "memory",
    };
    let operations = finding.input.ops.len();
    // The planted assertion is one write away.
    let is_short = plant != "assertion" || operations == 1;
    if !finding.is_confirmed || !is_short || !finding.signature.contains(word) {
        return Err(format!("the planted {plant} became {finding:?}"));
    }
    Ok(format!(
        "this installation can find a bug: the planted {plant} was met within {} inputs and {:.1} s, and shortened to {operations} \
         operation{}",
        status.executions,
        status.elapsed.as_secs_f64(),
        if operations == 1 { "" } else { "s" }
    ))
}
