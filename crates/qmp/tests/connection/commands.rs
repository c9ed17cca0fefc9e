//! What is sent as a command, and what is made of its reply.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use testjig_qmp::commands::{
    Cont, DeviceAdd, Empty, HumanMonitorCommand, QomGet, QueryStatus, Stop,
};
use testjig_qmp::{Command, Direction, ErrorClass, ErrorKind, Qmp};

use crate::fake::{connected, failure, later};

/// How a command looks on the wire.
fn wire<C: Command>(command: &C) -> Value
where
    C::Reply: std::fmt::Debug,
{
    let (mut qmp, script) = connected(|mut peer| {
        let command = peer.command(C::NAME);
        // Shows the command to the client's side.
        peer.refuse(&command, "GenericError", &command.to_string());
    });
    let error = qmp.execute(command).expect_err("it is refused");
    script.join();
    serde_json::from_str(&error.refusal().expect("it is refused").desc).unwrap()
}

#[test]
fn arguments_are_sent_as_declared() {
    let command = DeviceAdd::new("virtio-net-pci")
        .id("n0")
        .prop("mq", true)
        .prop("vectors", 4);
    assert_eq!(
        wire(&command),
        json!({
            "execute": "device_add",
            "arguments": {"driver": "virtio-net-pci", "id": "n0", "mq": true, "vectors": 4},
            "id": 1,
        })
    );
    assert_eq!(
        wire(&HumanMonitorCommand::new("info registers").on_cpu(1))["arguments"],
        json!({"command-line": "info registers", "cpu-index": 1})
    );
}

#[test]
fn no_arguments_are_not_sent() {
    assert_eq!(wire(&Stop), json!({"execute": "stop", "id": 1}));
}

#[test]
fn a_raw_command_goes_as_it_is() {
    let (mut qmp, script) = connected(|mut peer| {
        let first = peer.command("x-odd");
        assert_eq!(first["arguments"], json!({"a": [1, {"b": null}]}));
        peer.reply(&first, &json!([1, "two", {"three": 3.5}]));
        let second = peer.command("x-plain");
        assert!(second.get("arguments").is_none(), "{second}");
        peer.reply(&second, &Value::Null);
    });
    let reply = qmp
        .execute_raw("x-odd", json!({"a": [1, {"b": null}]}))
        .unwrap();
    assert_eq!(reply, json!([1, "two", {"three": 3.5}]));
    assert_eq!(
        qmp.execute_raw("x-plain", Value::Null).unwrap(),
        Value::Null
    );
    script.join();
}

#[test]
fn a_name_is_data_and_not_syntax() {
    let (mut qmp, script) = connected(|mut peer| peer.serve("a\",\"id\":7,\"\n", &json!({})));
    qmp.execute_raw("a\",\"id\":7,\"\n", Value::Null).unwrap();
    script.join();
}

#[test]
fn a_refusal_keeps_class_description_and_command() {
    let error =
        failure(|peer, command| peer.refuse(command, "DeviceNotFound", "Device 'n0' not found"));
    assert_eq!(error.command(), Some("stop"));
    let refusal = error.refusal().expect("it is a refusal");
    assert_eq!(refusal.class, ErrorClass::DeviceNotFound);
    assert_eq!(refusal.desc, "Device 'n0' not found");
    assert_eq!(
        error.to_string(),
        "failed to execute `stop`: Device 'n0' not found (DeviceNotFound)"
    );
    assert!(!error.kind().is_fatal());
}

#[test]
fn an_unknown_class_is_kept() {
    let error = failure(|peer, command| peer.refuse(command, "Novel", "what is that?"));
    assert_eq!(
        error.refusal().unwrap().class,
        ErrorClass::Other("Novel".to_owned())
    );
    assert!(
        error.to_string().ends_with("what is that? (Novel)"),
        "{error}"
    );
}

#[test]
fn a_description_cannot_play_with_the_terminal() {
    let error =
        failure(|peer, command| peer.refuse(command, "GenericError", "\x1b[2Jgone\r\nnext"));
    assert_eq!(error.refusal().unwrap().desc, "\x1b[2Jgone\r\nnext");
    assert_eq!(
        error.to_string(),
        "failed to execute `stop`: \\u{1b}[2Jgone\\r\\nnext (GenericError)"
    );
    let error = failure(|peer, command| peer.refuse(command, "\x1bc", ""));
    assert_eq!(error.to_string(), "failed to execute `stop`:  (\\u{1b}c)");
}

#[test]
fn a_reply_of_another_shape_is_told_and_the_connection_lives() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.serve("query-status", &json!({"running": "maybe"}));
        peer.serve("stop", &json!({}));
    });
    let error = qmp.execute(&QueryStatus).expect_err("that is no status");
    let ErrorKind::Mismatch { problem, reply } = error.kind() else {
        panic!("{error:?}");
    };
    assert!(problem.contains("expected a boolean"), "{problem}");
    assert_eq!(reply, r#"{"running":"maybe"}"#);
    assert_eq!(error.command(), Some("query-status"));
    qmp.execute(&Stop).expect("the connection lives");
    script.join();
}

#[test]
fn members_that_are_not_known_are_ignored() {
    let (mut qmp, script) = connected(|mut peer| {
        let reply = json!({"running": false, "status": "prelaunch", "singlestep": false, "new": {"deep": [1]}});
        peer.serve("query-status", &reply);
        let command = peer.command("stop");
        peer.line(format!(
            r#"{{"new": [1], "id": {}, "return": {{"more": 1}}}}"#,
            command["id"]
        ));
    });
    qmp.execute(&QueryStatus).unwrap();
    assert_eq!(qmp.execute(&Stop).unwrap(), Empty {});
    script.join();
}

/// Arguments that are what they say.
struct Odd(Value);

impl Serialize for Odd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == "fail" {
            return Err(serde::ser::Error::custom("no shape for that"));
        }
        self.0.serialize(serializer)
    }
}

impl Command for Odd {
    const NAME: &'static str = "odd";
    type Reply = Empty;
}

#[test]
fn arguments_that_are_no_object_are_not_sent() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.serve("odd", &json!({}));
        peer.until_closed();
    });
    for odd in [
        json!([1]),
        json!("text"),
        json!(5),
        json!(false),
        json!("fail"),
    ] {
        let error = qmp.execute(&Odd(odd)).expect_err("that can't be said");
        assert!(
            matches!(error.kind(), ErrorKind::Invalid { .. }),
            "{error:?}"
        );
        assert_eq!(error.command(), Some("odd"));
    }
    let error = qmp
        .execute_raw("odd", json!([1, 2]))
        .expect_err("that can't be said");
    assert_eq!(
        error.to_string(),
        "failed to execute `odd`: the command was not sent: its arguments are not an object but `[1,2]`"
    );
    qmp.execute(&Odd(json!({"a": 1}))).expect("this can");
    drop(qmp);
    script.join();
}

#[test]
fn half_a_surrogate_is_a_mismatch() {
    let (mut qmp, script) = connected(|mut peer| {
        let command = peer.command("human-monitor-command");
        peer.line(format!(
            r#"{{"return": "\ud83d", "id": {}}}"#,
            command["id"]
        ));
        peer.serve("stop", &json!({}));
    });
    let error = qmp.hmp("odd").expect_err("that is no text");
    assert!(
        matches!(error.kind(), ErrorKind::Mismatch { .. }),
        "{error:?}"
    );
    qmp.execute(&Stop).expect("the connection lives");
    script.join();
}

#[test]
fn text_survives_both_ways() {
    const TEXT: &str = "é 😀 \u{0} \u{1} \u{7f} \u{2028} \" \\ / \r\n \t {}[],:";
    let (mut qmp, script) = connected(|mut peer| {
        let command = peer.command("human-monitor-command");
        assert_eq!(command["arguments"]["command-line"], TEXT);
        peer.reply(&command, &json!(TEXT));
        let command = peer.command("human-monitor-command");
        peer.line(format!(
            r#"{{"return": "\u00E9 \uD83D\uDE00 \/ \b\f\u0000", "id": {}}}"#,
            command["id"]
        ));
    });
    assert_eq!(qmp.hmp(TEXT).unwrap(), TEXT);
    assert_eq!(qmp.hmp("").unwrap(), "é 😀 / \u{8}\u{c}\u{0}");
    script.join();
}

#[test]
fn numbers_survive() {
    let (mut qmp, script) = connected(|mut peer| {
        let command = peer.command("qom-get");
        peer.reply(&command, &json!([u64::MAX, i64::MIN, 0, -1, 1.5]));
    });
    let numbers = qmp.execute(&QomGet::new("/", "a")).unwrap();
    assert_eq!(
        numbers,
        json!([
            18_446_744_073_709_551_615_u64,
            -9_223_372_036_854_775_808_i64,
            0,
            -1,
            1.5
        ])
    );
    script.join();
}

#[test]
fn any_line_end_will_do() {
    let (mut qmp, script) = connected(|mut peer| {
        let command = peer.command("stop");
        peer.bytes(format!("{{\"return\": {{}}, \"id\": {}}}\n", command["id"]));
        let command = peer.command("cont");
        peer.bytes(format!(
            "  {{\"return\": {{}}, \"id\": {}}} \t\r\n",
            command["id"]
        ));
    });
    qmp.execute(&Stop).unwrap();
    qmp.execute(&Cont).unwrap();
    script.join();
}

#[test]
fn a_large_reply_in_small_pieces_arrives_whole() {
    let (mut qmp, script) = connected(|mut peer| {
        let command = peer.command("qom-get");
        let entries: Vec<_> = (0..20_000)
            .map(|n| json!({"name": n, "meta-type": "\u{e9}"}))
            .collect();
        let reply = json!({"return": entries, "id": command["id"]}).to_string();
        for piece in reply.as_bytes().chunks(1013) {
            peer.bytes(piece);
        }
        peer.bytes("\r\n");
        peer.serve("stop", &json!({}));
    });
    let reply = qmp.execute(&QomGet::new("/", "a")).unwrap();
    let entries = reply.as_array().unwrap();
    assert_eq!(entries.len(), 20_000);
    assert_eq!(entries[19_999]["name"], 19_999);
    qmp.execute(&Stop).unwrap();
    script.join();
}

#[test]
fn every_message_is_traced() {
    let (send, traced) = std::sync::mpsc::channel();
    let (socket, script) = crate::fake::peer(|mut peer| {
        peer.greet();
        peer.event("A");
        peer.serve("stop", &json!({}));
        peer.line("nonsense");
    });
    let mut handshake = Qmp::begin(socket);
    handshake.set_trace(move |direction, message: &[u8]| {
        send.send((direction, String::from_utf8(message.to_vec()).unwrap()))
            .unwrap();
    });
    let mut qmp = handshake.finish(later()).unwrap();
    qmp.execute(&Stop).unwrap();
    script.join();
    qmp.poll().expect_err("that is nonsense");
    drop(qmp);
    let traced: Vec<_> = traced.iter().collect();
    let expected = [
        (Direction::Received, crate::fake::GREETING),
        (Direction::Sent, r#"{"execute":"qmp_capabilities","id":0}"#),
        (Direction::Received, r#"{"id":0,"return":{}}"#),
        (
            Direction::Received,
            r#"{"event":"A","timestamp":{"microseconds":2,"seconds":1}}"#,
        ),
        (Direction::Sent, r#"{"execute":"stop","id":1}"#),
        (Direction::Received, r#"{"id":1,"return":{}}"#),
        (Direction::Received, "nonsense"),
    ];
    let mut expected = expected
        .map(|(direction, message)| (direction, message.to_owned()))
        .to_vec();
    // The event may be looked at before or after `stop` is sent, never out of order with what is received.
    let at = traced
        .iter()
        .position(|(direction, message)| *direction == Direction::Sent && message.contains("stop"));
    let stop = expected.remove(4);
    expected.insert(at.unwrap(), stop);
    assert_eq!(traced, expected);
}
