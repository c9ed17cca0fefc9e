//! The monitor's messages: those that QEMU answers.

use serde_json::{Value, json};
use testjig_server::qmp::{Event, Manage, Monitor};

use crate::board::Board;

fn talk(monitor: &mut Monitor, board: &mut Board, text: &str) -> Vec<Value> {
    monitor.receive(board, text.as_bytes());
    let said = String::from_utf8(monitor.output().to_vec()).expect("text");
    monitor.sent(said.len());
    said.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn greeted() -> (Monitor, Board) {
    let mut board = Board::default();
    let mut monitor = Monitor::new(&board);
    let greeting = talk(&mut monitor, &mut board, "");
    assert!(greeting[0]["QMP"]["version"]["qemu"]["major"].is_u64());
    (monitor, board)
}

fn negotiated() -> (Monitor, Board) {
    let (mut monitor, mut board) = greeted();
    let reply = talk(
        &mut monitor,
        &mut board,
        r#"{"execute":"qmp_capabilities"}"#,
    );
    assert_eq!(reply, [json!({"return": {}})]);
    (monitor, board)
}

#[test]
fn commands_are_refused_before_the_negotiation() {
    let (mut monitor, mut board) = greeted();
    let reply = talk(&mut monitor, &mut board, r#"{"execute":"query-status"}"#);
    assert_eq!(reply[0]["error"]["class"], "CommandNotFound");
}

#[test]
fn a_reply_has_the_id_of_its_command() {
    let (mut monitor, mut board) = negotiated();
    let text = r#"{"execute":"query-status","id":{"a":1}} {"execute":"nonsense","id":2}"#;
    let reply = talk(&mut monitor, &mut board, text);
    assert_eq!(reply[0]["id"], json!({"a": 1}));
    assert_eq!(reply[0]["return"]["status"], "running");
    assert_eq!(reply[1]["id"], 2);
    assert_eq!(
        reply[1]["error"]["desc"],
        "The command nonsense has not been found"
    );
}

#[test]
fn a_message_may_come_in_pieces() {
    let (mut monitor, mut board) = negotiated();
    let mut said = Vec::new();
    for byte in r#"{"execute":"query-name"}"#.chars() {
        said.extend(talk(&mut monitor, &mut board, &byte.to_string()));
    }
    assert_eq!(said, [json!({"return": {}})]);
}

#[test]
fn what_is_no_json_is_refused_and_the_next_line_is_heard() {
    let (mut monitor, mut board) = negotiated();
    let reply = talk(
        &mut monitor,
        &mut board,
        "{\"execute\": x }\n{\"execute\":\"query-name\"}\n",
    );
    assert!(
        reply[0]["error"]["desc"]
            .as_str()
            .unwrap()
            .starts_with("JSON parse error")
    );
    assert_eq!(reply[1], json!({"return": {}}));
}

#[test]
fn arguments_are_checked() {
    let (mut monitor, mut board) = negotiated();
    for (text, expected) in [
        (
            r#"{"execute":"qom-get","arguments":{"path":"/"}}"#,
            "Parameter 'property' is missing",
        ),
        (
            r#"{"execute":"query-status","arguments":{"x":1}}"#,
            "Parameter 'x' is unexpected",
        ),
        (
            r#"{"execute":"qom-list","arguments":{"path":7}}"#,
            "Invalid parameter type for 'path', expected: string",
        ),
        (r#"{"arguments":{}}"#, "QMP input lacks member 'execute'"),
        ("[]", "QMP input must be a JSON object"),
        (
            r#"{"execute":"stop","x":1}"#,
            "QMP input member 'x' is unexpected",
        ),
    ] {
        let reply = talk(&mut monitor, &mut board, text);
        assert_eq!(reply[0]["error"]["desc"], expected, "{text}");
    }
}

#[test]
fn events_come_after_the_negotiation_only() {
    let (mut monitor, mut board) = greeted();
    monitor.event(&Event::new("RESET"));
    assert_eq!(talk(&mut monitor, &mut board, ""), [] as [Value; 0]);
    talk(
        &mut monitor,
        &mut board,
        r#"{"execute":"qmp_capabilities"}"#,
    );
    board.latch = 7;
    talk(&mut monitor, &mut board, r#"{"execute":"system_reset"}"#);
    assert_eq!(board.latch, 0);
    for event in board.events() {
        monitor.event(&event);
    }
    let said = talk(&mut monitor, &mut board, "");
    assert_eq!(said[0]["event"], "RESET");
    assert!(said[0]["timestamp"]["seconds"].as_u64() > Some(1_600_000_000));
    assert_eq!(said[0].get("data"), None);
}
