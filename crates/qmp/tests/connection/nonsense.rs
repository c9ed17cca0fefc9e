//! Peers that send what they should not, or too much, or not all of it.

use serde_json::{Value, json};
use testjig_qmp::commands::{Cont, QomGet, Stop};
use testjig_qmp::{Error, ErrorKind, Limits};

use crate::fake::{connected, failure};

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

/// What comes of a reply that is this JSON, where messages may be nested ten deep.
fn at_most_ten_deep(reply: String) -> Result<Value, Error> {
    let (mut qmp, script) = connected(move |mut peer| {
        let command = peer.command("qom-get");
        peer.line(format!(r#"{{"return": {reply}, "id": {}}}"#, command["id"]));
        peer.until_closed();
    });
    let mut limits = Limits::default();
    limits.depth = 10;
    qmp.set_limits(limits);
    let result = qmp.execute(&QomGet::new("/", "a"));
    drop(qmp);
    script.join();
    result
}

#[test]
fn nesting_is_limited() {
    // The message itself is one level, the reply's arrays are the others.
    for (depth, fits) in [(9, true), (10, false), (100_000, false)] {
        let result = at_most_ten_deep("[".repeat(depth) + &"]".repeat(depth));
        assert_eq!(result.is_ok(), fits, "{depth}: {result:?}");
        if let Err(error) = result {
            assert!(
                matches!(error.kind(), ErrorKind::TooDeep { limit: 10, .. }),
                "{error:?}"
            );
        }
    }
}

#[test]
fn brackets_in_text_are_not_nesting() {
    let opening = format!(r#"["{0}\"{0}", "\\", {{"{0}": 1}}]"#, "[{".repeat(10));
    at_most_ten_deep(opening).expect("it is three deep");
    let closing = r#""]]]]\"]]]]", "#;
    let deep = format!("[{closing}{}{}]", "[".repeat(9), "]".repeat(9));
    let error = at_most_ten_deep(deep).expect_err("it is eleven deep");
    assert!(
        matches!(error.kind(), ErrorKind::TooDeep { .. }),
        "{error:?}"
    );
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
