//! Commands and their replies: the right one to each, whatever else comes.

use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use testjig_qmp::commands::{
    Cont, DeviceAdd, Empty, HumanMonitorCommand, QomGet, QueryStatus, Stop, SystemReset,
};
use testjig_qmp::{Awaited, Command, Direction, Error, ErrorClass, ErrorKind, Limits, Qmp};

use crate::fake::{LONG, Peer, SHORT, connected, later};

/// What comes of a command that is answered with this.
fn failure(answer: impl FnOnce(&mut Peer, &Value) + Send + 'static) -> Error {
    let (mut qmp, script) = connected(|mut peer| {
        let command = peer.command("stop");
        answer(&mut peer, &command);
        peer.until_closed();
    });
    let error = qmp.execute(&Stop).expect_err("it must not succeed");
    drop(qmp);
    script.join();
    error
}

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
fn a_late_reply_is_not_taken_for_another() {
    let (mut qmp, script) = connected(|mut peer| {
        let slow = peer.command("qom-get");
        let next = peer.command("qom-get");
        peer.event("BETWEEN");
        peer.reply(&slow, &json!("slow"));
        peer.reply(&next, &json!("next"));
    });
    qmp.set_timeout(SHORT);
    let error = qmp
        .execute(&QomGet::new("/", "slow"))
        .expect_err("there is no reply yet");
    let ErrorKind::TimedOut {
        after,
        awaited: Awaited::Reply,
        unsent: false,
        ..
    } = error.kind()
    else {
        panic!("{error:?}");
    };
    assert!((SHORT..LONG).contains(after), "{after:?}");
    assert!(
        error
            .to_string()
            .starts_with("failed to execute `qom-get`: no reply within "),
        "{error}"
    );
    qmp.set_timeout(LONG);
    assert_eq!(qmp.execute(&QomGet::new("/", "next")).unwrap(), "next");
    assert_eq!(qmp.events().count(), 1);
    script.join();
}

#[test]
fn a_late_refusal_is_not_taken_for_another() {
    let (mut qmp, script) = connected(|mut peer| {
        let slow = peer.command("qom-get");
        let next = peer.command("stop");
        peer.refuse(&slow, "GenericError", "slow");
        peer.reply(&next, &json!({}));
    });
    qmp.set_timeout(SHORT);
    qmp.execute(&QomGet::new("/", "slow"))
        .expect_err("there is no reply yet");
    qmp.set_timeout(LONG);
    qmp.execute(&Stop).expect("the refusal is not this one's");
    script.join();
}

#[test]
fn a_late_reply_is_not_taken_for_an_event() {
    let (mut qmp, script) = connected(|mut peer| {
        let slow = peer.command("stop");
        assert!(peer.is_silent());
        peer.reply(&slow, &json!({}));
        peer.event("STOP");
        peer.serve("cont", &json!({}));
    });
    qmp.set_timeout(Duration::from_millis(5));
    qmp.execute(&Stop).expect_err("there is no reply yet");
    qmp.set_timeout(LONG);
    qmp.wait_event("STOP", later())
        .expect("the reply is dropped");
    qmp.execute(&Cont).expect("its reply is the next");
    script.join();
}

#[test]
fn a_reply_that_never_comes_is_not_waited_for_again() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.command("system_reset");
        peer.serve("stop", &json!({}));
    });
    qmp.set_timeout(SHORT);
    qmp.execute(&SystemReset).expect_err("there is no reply");
    qmp.set_timeout(LONG);
    qmp.execute(&Stop).expect("this one is answered");
    script.join();
}

#[test]
fn an_error_without_id_is_about_the_oldest_command() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.command("stop");
        peer.line(r#"{"error": {"class": "GenericError", "desc": "parse error"}}"#);
        peer.command("stop");
        let cont = peer.command("cont");
        peer.line(r#"{"error": {"class": "GenericError", "desc": "about the late one"}}"#);
        peer.reply(&cont, &json!({}));
    });
    let error = qmp.execute(&Stop).expect_err("it is refused");
    assert_eq!(error.refusal().unwrap().desc, "parse error");
    qmp.set_timeout(SHORT);
    qmp.execute(&Stop).expect_err("there is no reply yet");
    qmp.set_timeout(LONG);
    qmp.execute(&Cont).expect("the error is about the other");
    script.join();
}

#[test]
fn a_reply_to_nothing_is_an_error() {
    for reply in [
        r#"{"return": {}, "id": 2}"#,
        r#"{"return": {}, "id": 0}"#,
        r#"{"return": {}, "id": -1}"#,
        r#"{"return": {}, "id": 1.0}"#,
        r#"{"return": {}, "id": 18446744073709551615}"#,
        r#"{"return": {}, "id": "1"}"#,
        r#"{"return": {}, "id": null}"#,
        r#"{"error": {"class": "GenericError", "desc": ""}, "id": [1]}"#,
    ] {
        let error = failure(move |peer, _| peer.line(reply));
        assert!(
            matches!(error.kind(), ErrorKind::UnexpectedReply { line } if line == reply),
            "{reply}: {error:?}"
        );
        assert!(error.kind().is_fatal());
    }
}

#[test]
fn a_second_reply_is_an_error() {
    let (mut qmp, script) = connected(|mut peer| {
        let command = peer.command("stop");
        peer.reply(&command, &json!({}));
        peer.reply(&command, &json!({}));
        peer.until_closed();
    });
    qmp.execute(&Stop).unwrap();
    let error = qmp
        .execute(&Cont)
        .expect_err("there was one reply too many");
    assert!(
        matches!(error.kind(), ErrorKind::UnexpectedReply { .. }),
        "{error:?}"
    );
    drop(qmp);
    script.join();
}

#[test]
fn nonsense_breaks_the_connection() {
    for nonsense in [
        "",
        " ",
        "hello",
        "{",
        "{}",
        "[]",
        "42",
        r#"{"return": {}, "id": 1"#,
        r#"{"return": {}, "id": 1}}"#,
        r#"{"return": {}, "id": 1} {"event": "A"}"#,
        r#"{"return": {}, "return": {}, "id": 1}"#,
        r#"{"return": {}, "error": {"class": "GenericError", "desc": ""}, "id": 1}"#,
        r#"{"event": "A", "return": {}, "id": 1}"#,
        r#"{"event": 5}"#,
        r#"{"event": "A", "timestamp": 5}"#,
        r#"{"event": "A", "data": "\ud800"}"#,
        r#"{"error": "no", "id": 1}"#,
        r#"{"return": {"a": nul}, "id": 1}"#,
        "{\"return\": \"\x01\", \"id\": 1}",
    ] {
        let (mut qmp, script) = connected(move |mut peer| {
            peer.command("stop");
            peer.line(nonsense);
            peer.until_closed();
        });
        let error = qmp.execute(&Stop).expect_err("that is nonsense");
        assert!(
            matches!(error.kind(), ErrorKind::Malformed { .. }),
            "{nonsense:?}: {error:?}"
        );
        let again = qmp.execute(&Cont).expect_err("the connection is broken");
        let ErrorKind::Broken { first } = again.kind() else {
            panic!("{again:?}");
        };
        assert_eq!(*first, error.to_string());
        assert_eq!(again.command(), Some("cont"));
        assert!(qmp.poll().is_err());
        drop(qmp);
        script.join();
    }
}

#[test]
fn bytes_that_are_no_text_break_the_connection() {
    let error = failure(|peer, _| peer.line(b"{\"return\": \"\xff\xfe\", \"id\": 1}"));
    let ErrorKind::Malformed { line, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!(line, "{\"return\": \"\u{fffd}\u{fffd}\", \"id\": 1}");
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
fn a_message_of_just_the_limit_is_taken_and_one_more_byte_is_not() {
    for (excess, fits) in [(0, true), (1, false)] {
        let (mut qmp, script) = connected(move |mut peer| {
            let command = peer.command("qom-get");
            let empty = json!({"return": "", "id": command["id"]}).to_string();
            let fill = "x".repeat(1000 - empty.len() + excess);
            peer.line(json!({"return": fill, "id": command["id"]}).to_string());
            peer.until_closed();
        });
        let mut limits = Limits::default();
        limits.message_bytes = 1000;
        qmp.set_limits(limits);
        let result = qmp.execute(&QomGet::new("/", "a"));
        assert_eq!(result.is_ok(), fits, "{result:?}");
        if let Err(error) = result {
            let ErrorKind::TooLong { limit: 1000, line } = error.kind() else {
                panic!("{error:?}");
            };
            assert!(line.starts_with(r#"{"id":1,"return":"xxx"#), "{line}");
            assert!(line.len() < 250, "{line}");
        }
        drop(qmp);
        script.join();
    }
}

#[test]
fn a_line_without_an_end_is_given_up_at_the_limit() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.command("stop");
        peer.flood(&[b'x'; 4096]);
    });
    let mut limits = Limits::default();
    limits.message_bytes = 1 << 20;
    qmp.set_limits(limits);
    let error = qmp.execute(&Stop).expect_err("it never ends");
    assert!(
        matches!(
            error.kind(),
            ErrorKind::TooLong {
                limit: 1_048_576,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.kind().is_fatal());
    drop(qmp);
    script.join();
}

#[test]
fn nesting_is_limited() {
    // The message itself is one level, the reply's arrays are the others.
    for (depth, fits) in [(9, true), (10, false), (100_000, false)] {
        let (mut qmp, script) = connected(move |mut peer| {
            let command = peer.command("qom-get");
            let nested = format!("{}\"]}}\\\"[\"{}", "[".repeat(depth), "]".repeat(depth));
            peer.line(format!(
                r#"{{"return": {nested}, "id": {}}}"#,
                command["id"]
            ));
            peer.until_closed();
        });
        let mut limits = Limits::default();
        limits.depth = 10;
        qmp.set_limits(limits);
        let result = qmp.execute(&QomGet::new("/", "a"));
        assert_eq!(result.is_ok(), fits, "{depth}: {result:?}");
        if let Err(error) = result {
            assert!(
                matches!(error.kind(), ErrorKind::TooDeep { limit: 10, .. }),
                "{error:?}"
            );
        }
        drop(qmp);
        script.join();
    }
}

#[test]
fn the_deepest_limit_is_within_what_can_be_parsed() {
    let (mut qmp, script) = connected(|mut peer| {
        for name in ["qom-get", "stop"] {
            let command = peer.command(name);
            let depth = if name == "qom-get" { 119 } else { 120 };
            peer.line(format!(
                r#"{{"return": {}{}, "id": {}}}"#,
                "[".repeat(depth),
                "]".repeat(depth),
                command["id"]
            ));
        }
        peer.until_closed();
    });
    let mut limits = Limits::default();
    limits.depth = usize::MAX;
    qmp.set_limits(limits);
    qmp.execute(&QomGet::new("/", "a")).expect("it is 120 deep");
    let error = qmp.execute(&Stop).expect_err("it is 121 deep");
    assert!(
        matches!(error.kind(), ErrorKind::TooDeep { limit: 120, .. }),
        "{error:?}"
    );
    drop(qmp);
    script.join();
}

#[test]
fn a_peer_that_closes_is_told() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.command("stop");
    });
    let error = qmp.execute(&Stop).expect_err("the peer closes");
    assert_eq!(
        error.to_string(),
        "failed to execute `stop`: the peer closed the connection"
    );
    script.join();
}

#[test]
fn a_peer_that_closes_within_a_message_is_told_with_it() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.command("stop");
        peer.bytes(r#"{"return": "#);
    });
    let error = qmp.execute(&Stop).expect_err("the peer closes");
    assert!(
        error
            .to_string()
            .ends_with("; an unfinished message begins `{\"return\": `"),
        "{error}"
    );
    script.join();
}

#[test]
fn half_a_reply_at_the_deadline_is_completed_later() {
    let (mut qmp, script) = connected(|mut peer| {
        let slow = peer.command("stop");
        peer.bytes(r#"{"return": {}"#);
        let next = peer.command("cont");
        peer.bytes(format!(r#", "id": {}}}{}"#, slow["id"], "\r\n"));
        peer.reply(&next, &json!({}));
    });
    qmp.set_timeout(SHORT);
    let error = qmp.execute(&Stop).expect_err("there is half a reply");
    let ErrorKind::TimedOut {
        partial: Some(partial),
        ..
    } = error.kind()
    else {
        panic!("{error:?}");
    };
    assert_eq!(partial, r#"{"return": {}"#);
    qmp.set_timeout(LONG);
    qmp.execute(&Cont).expect("the pieces belong together");
    script.join();
}

#[test]
fn after_the_deadline_nothing_is_sent() {
    let (mut qmp, script) = connected(|mut peer| {
        assert!(peer.is_silent());
        let command = peer.command("cont");
        assert_eq!(command["id"], 1, "no id is skipped");
        peer.reply(&command, &json!({}));
    });
    qmp.set_deadline(Some(Instant::now()));
    let error = qmp.execute(&Stop).expect_err("it is too late");
    assert!(
        matches!(error.kind(), ErrorKind::TimedOut { unsent: true, .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("the command was not sent"),
        "{error}"
    );
    qmp.set_deadline(None);
    // Gives the peer its time to be sure that nothing was sent.
    let _ = qmp.wait_event("none", Instant::now() + 3 * SHORT);
    qmp.execute(&Cont).expect("there is no deadline any more");
    script.join();
}

#[test]
fn the_earlier_of_timeout_and_deadline_ends_a_wait() {
    let (mut qmp, script) = connected(Peer::until_closed);
    for (timeout, deadline) in [(SHORT, LONG), (LONG, SHORT)] {
        qmp.set_timeout(timeout);
        qmp.set_deadline(Some(Instant::now() + deadline));
        let error = qmp.execute(&Stop).expect_err("there is no reply");
        let ErrorKind::TimedOut { after, .. } = error.kind() else {
            panic!("{error:?}");
        };
        assert!((SHORT / 2..LONG).contains(after), "{after:?}");
    }
    drop(qmp);
    script.join();
}

#[test]
fn an_endless_timeout_is_one() {
    let (mut qmp, script) = connected(|mut peer| {
        let command = peer.command("stop");
        assert!(peer.is_silent());
        peer.reply(&command, &json!({}));
    });
    qmp.set_timeout(Duration::MAX);
    qmp.execute(&Stop).unwrap();
    script.join();
}

/// Sends commands that nobody reads until one does not fit any more.
fn clog(qmp: &mut Qmp) -> Vec<Error> {
    let text = "x".repeat(50_000);
    let mut errors = Vec::new();
    qmp.set_timeout(Duration::from_millis(5));
    loop {
        let error = qmp.hmp(&text).expect_err("nobody reads");
        let ErrorKind::TimedOut { unsent, .. } = *error.kind() else {
            panic!("{error:?}");
        };
        errors.push(error);
        if unsent {
            return errors;
        }
        assert!(errors.len() < 1000, "the socket takes everything");
    }
}

#[test]
fn a_peer_that_reads_nothing_gets_whole_commands_later() {
    let (release, released) = std::sync::mpsc::channel();
    let (mut qmp, script) = connected(move |mut peer| {
        let sent: usize = released.recv().unwrap();
        let sent: Vec<_> = (0..sent)
            .map(|_| peer.command("human-monitor-command"))
            .collect();
        let stop = peer.command("stop");
        for command in &sent {
            peer.reply(command, &json!("late"));
        }
        peer.reply(&stop, &json!({}));
    });
    let sent = clog(&mut qmp).len() - 1;
    assert!(sent > 1);
    let again = clog(&mut qmp).len() - 1;
    assert_eq!(again, 0, "nothing more fits");
    release.send(sent).unwrap();
    qmp.set_timeout(LONG);
    qmp.execute(&Stop).expect("the peer reads again");
    script.join();
}

#[test]
fn a_peer_that_writes_before_it_reads_does_not_block() {
    let (mut qmp, script) = connected(|mut peer| {
        // More than the socket holds, in both directions at once.
        let event = json!({"event": "BIG", "data": "y".repeat(1000)}).to_string();
        peer.wait_for_input();
        for _ in 0..4000 {
            peer.line(&event);
        }
        peer.serve("human-monitor-command", &json!("done"));
    });
    assert_eq!(qmp.hmp(&"x".repeat(4_000_000)).unwrap(), "done");
    assert_eq!(qmp.events().count(), 4000);
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
