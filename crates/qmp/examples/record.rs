//! Records the conversation of the tests with a live QEMU, for `tests/fixtures`.
//!
//! ```text
//! cargo run -p testjig-qmp --example record -- qemu-system-x86_64 > crates/qmp/tests/fixtures/qemu-11.1.jsonl
//! ```
//!
//! Each line is a message of the wire, those of both sides in the order in which the client met them. Long lists are shortened
//! to the entries that the conversation looks at, and members are sorted by name; everything else is as it came.

#[path = "../tests/connection/scenario.rs"]
mod scenario;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use testjig_qmp::Qmp;

/// A machine with a slot to plug into, and nothing that wants files.
const ARGUMENTS: &[&str] = &[
    "-machine",
    "q35",
    "-m",
    "16",
    "-nodefaults",
    "-display",
    "none",
    "-S",
    "-device",
    "pcie-root-port,id=port0,chassis=1",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let program = std::env::args_os().nth(1).ok_or("usage: record QEMU")?;
    let (ours, theirs) = UnixStream::pair()?;
    let mut qemu = Command::new(program)
        .args(ARGUMENTS)
        .args([
            "-chardev",
            "socket,id=monitor,fd=0",
            "-mon",
            "chardev=monitor,mode=control",
        ])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()?;

    let (record, recorded) = mpsc::channel();
    let mut handshake = Qmp::begin(ours);
    handshake.set_trace(move |_, message: &[u8]| drop(record.send(message.to_vec())));
    let qmp = handshake.finish(Instant::now() + Duration::from_secs(20))?;
    scenario::converse(qmp);
    qemu.wait()?;

    for message in recorded {
        let mut message: Value = serde_json::from_slice(&message)?;
        if let Some(Value::Array(list)) = message.get_mut("return") {
            shorten(list);
        }
        println!("{message}");
    }
    io::Write::flush(&mut io::stdout())?;
    Ok(())
}

/// Keeps what the conversation looks at.
fn shorten(list: &mut Vec<Value>) {
    const KEPT: &[&str] = &[
        "device_add",
        "object-add",
        "query-status",
        "RESET",
        "DEVICE_DELETED",
        "str",
        "isa-debug-exit",
        "isa-device",
        "iobase",
        "none",
        "q35",
        "pc",
        "memory",
        "peripheral",
        "type",
        "graphics",
    ];
    let is_one_of = |entry: &Value, names: &BTreeSet<String>| {
        ["name", "alias", "option"]
            .iter()
            .any(|key| entry[key].as_str().is_some_and(|name| names.contains(name)))
    };
    if list.len() < 8 {
        return;
    }
    let mut names: BTreeSet<String> = KEPT.iter().map(|&name| name.to_owned()).collect();
    // The types that entries of the schema refer to: arguments, and their types.
    for _ in 0..2 {
        let referred: Vec<String> = list
            .iter()
            .filter(|entry| is_one_of(entry, &names))
            .flat_map(|entry| {
                let qom_type = entry["members"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter(|member| member["name"] == "qom-type");
                [entry["arg-type"].as_str()]
                    .into_iter()
                    .chain(qom_type.map(|member| member["type"].as_str()))
            })
            .flatten()
            .map(str::to_owned)
            .collect();
        names.extend(referred);
    }
    list.retain(|entry| is_one_of(entry, &names));
}
