//! Conversations with real QEMUs, played back: what the typed commands make of each version's replies and events.

use std::path::Path;

use serde_json::Value;
use testjig_qmp::Qmp;

use crate::fake::{Peer, later, peer};
use crate::scenario::converse;

/// Says what the recorded QEMU said, when it is told what that was told.
fn play(mut peer: Peer, record: &str) {
    for line in record.lines() {
        let message: Value = serde_json::from_str(line).expect("the record is JSON lines");
        match message["execute"].as_str() {
            Some(name) => assert_eq!(peer.command(name), message),
            None => peer.line(line),
        }
    }
}

fn play_back(file: &str, version: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(file);
    let record = std::fs::read_to_string(&path).expect("the record is there");
    let (socket, script) = peer(move |peer| play(peer, &record));
    let qmp = Qmp::connect(socket, later()).expect("it greets");
    let greeted = &qmp.greeting().version;
    assert_eq!(format!("{}.{}", greeted.major, greeted.minor), version);
    converse(qmp);
    script.join();
}

#[test]
fn qemu_7_2_is_understood() {
    play_back("qemu-7.2.jsonl", "7.2");
}

#[test]
fn qemu_10_0_is_understood() {
    play_back("qemu-10.0.jsonl", "10.0");
}

#[test]
fn qemu_11_1_is_understood() {
    play_back("qemu-11.1.jsonl", "11.1");
}
