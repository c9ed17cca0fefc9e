//! Properties: whatever a peer sends, the client returns and does not panic; whatever way it is cut, it is understood.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use testjig_qmp::commands::{QueryQmpSchema, QueryStatus};
use testjig_qmp::{Error, ErrorKind, Event, Limits, Qmp};

use crate::fake::{GREETING, LONG, later};

/// The pieces that messages are made of, and some that they are not.
const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    " ",
    "\n",
    "\r\n",
    "\\",
    "\0",
    "null",
    "true",
    "0",
    "1",
    "-1",
    "1e400",
    "0x1",
    "\"QMP\"",
    "\"return\"",
    "\"id\"",
    "\"event\"",
    "\"error\"",
    "\"class\"",
    "\"desc\"",
    "\"data\"",
    "\"timestamp\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"é\"",
    "{\"return\":",
    "{\"event\":\"A\"",
    ",\"id\":1}\n",
];

/// Short text with what JSON escapes in it.
fn text() -> impl Strategy<Value = String> {
    vec(
        select(vec![
            'a', 'B', '"', '\\', '/', '\0', '\x1b', '\n', '\u{7f}', 'é', '\u{2028}', '😀',
            '\u{ffff}',
        ]),
        0..6,
    )
    .prop_map(String::from_iter)
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A message that a peer may send, if not necessarily now.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let id = prop_oneof![4 => (0..5_u64).prop_map(Value::from), 1 => json_value()];
    let value = prop_oneof![
        Just(json!({})),
        Just(json!({"running": true, "status": "running"})),
        Just(json!([{"name": "stop", "meta-type": "command"}])),
        json_value(),
    ];
    let message = prop_oneof![
        Just(serde_json::from_str(GREETING).unwrap()),
        (select(&["A", "B", "C"][..]), json_value())
            .prop_map(|(name, data)| json!({"event": name, "data": data})),
        (id.clone(), value).prop_map(|(id, value)| json!({"return": value, "id": id})),
        (id, text()).prop_map(
            |(id, desc)| json!({"error": {"class": "GenericError", "desc": desc}, "id": id})
        ),
        json_value(),
    ];
    message.prop_map(|message| (message.to_string() + "\r\n").into_bytes())
}

/// What a peer sends next: noise, words, a message, or a message with a byte changed or its end missing.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => vec(any::<u8>(), 0..32),
        3 => vec(select(TOKENS), 0..8).prop_map(|tokens| tokens.concat().into_bytes()),
        6 => message(),
        2 => (message(), any::<Index>(), any::<u8>()).prop_map(|(mut message, at, byte)| {
            let at = at.index(message.len());
            message[at] = byte;
            message
        }),
        1 => (message(), any::<Index>()).prop_map(|(mut message, at)| {
            message.truncate(at.index(message.len()));
            message
        }),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let small = (0..400_usize, 0..6_usize, 0..3_usize, 0..200_usize).prop_map(
        |(message_bytes, depth, events, event_bytes)| {
            let mut limits = Limits::default();
            limits.message_bytes = message_bytes;
            limits.depth = depth;
            limits.queued_events = events;
            limits.queued_event_bytes = event_bytes;
            limits
        },
    );
    prop_oneof![3 => Just(Limits::default()), 1 => small]
}

/// Does everything that a client can do. Returns what went wrong, in order.
fn exercise(socket: UnixStream, limits: Limits) -> Vec<Error> {
    let mut handshake = Qmp::begin(socket);
    handshake.set_limits(limits);
    let mut errors: Vec<Error> = handshake.step().err().into_iter().collect();
    let mut qmp = match handshake.finish(later()) {
        Ok(qmp) => qmp,
        Err(error) => {
            errors.push(error);
            return errors;
        }
    };
    qmp.set_timeout(LONG);
    errors.extend(qmp.execute(&QueryStatus).err());
    errors.extend(qmp.wait_event("A", later()).err());
    errors.extend(qmp.execute_raw("x", json!({"y": [1]})).err());
    errors.extend(qmp.poll().err());
    errors.extend(qmp.execute(&QueryQmpSchema).err());
    errors.extend(
        qmp.wait_event(|event: &Event| event.data().is_array(), later())
            .err(),
    );
    errors.extend(qmp.hmp("z").err());
    let events = qmp.events().count();
    assert_eq!(qmp.queued_events().count(), 0, "of {events}");
    errors
}

fn quiet(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// One peer that says this and nothing else.
fn listen_to(pieces: &[Vec<u8>], greets: bool, limits: Limits) -> Result<(), TestCaseError> {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut said = Vec::new();
    if greets {
        said.extend_from_slice(format!("{GREETING}\n{{\"return\": {{}}, \"id\": 0}}\n").as_bytes());
    }
    said.extend(pieces.concat());
    theirs.write_all(&said).unwrap();
    theirs.shutdown(Shutdown::Write).unwrap();

    let errors = exercise(ours, limits);
    // The peer has said all it had to say: whoever waits for more waits until the deadline.
    let waited = errors
        .iter()
        .find(|error| matches!(error.kind(), ErrorKind::TimedOut { .. }));
    prop_assert!(waited.is_none(), "{waited:?}");
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    for text in &texts {
        prop_assert!(
            text.starts_with("failed to ") && !text.contains(char::is_control),
            "{text:?}"
        );
        prop_assert!(text.len() < 3000, "{text:?}");
    }
    if let Some(fatal) = errors.iter().position(|error| error.kind().is_fatal()) {
        for later in &texts[fatal + 1..] {
            prop_assert!(
                later.contains(&texts[fatal]),
                "{later:?} does not name {:?}",
                texts[fatal]
            );
        }
    }
    Ok(())
}

/// How many conversations are made of the same pieces: they begin with another each time.
const ROTATIONS: usize = 8;

proptest! {
    // Times the rotations, more than a hundred thousand conversations.
    #![proptest_config(quiet(13_000))]

    #[test]
    fn nothing_that_a_peer_sends_makes_the_client_panic_or_wait(
        pieces in vec(piece(), 0..10),
        limits in limits(),
    ) {
        let mut pieces = pieces;
        for rotation in 0..ROTATIONS {
            if !pieces.is_empty() {
                pieces.rotate_left(1);
            }
            listen_to(&pieces, rotation != 0, limits.clone())?;
        }
    }
}

proptest! {
    #![proptest_config(quiet(2_000))]

    #[test]
    fn messages_are_understood_however_they_are_cut(
        events in vec((text(), json_value()), 0..20),
        cuts in vec(1..200_usize, 1..20),
    ) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(format!("{GREETING}\n{{\"return\": {{}}, \"id\": 0}}\n").as_bytes()).unwrap();
        let mut qmp = Qmp::connect(ours, later()).unwrap();

        let messages: Vec<String> = events
            .iter()
            .map(|(name, data)| json!({"event": name, "data": data}).to_string() + "\r\n")
            .collect();
        let messages = messages.concat();
        let mut rest = messages.as_bytes();
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            theirs.write_all(piece).unwrap();
            qmp.poll().unwrap();
            rest = tail;
        }
        let received: Vec<_> = qmp.events().map(|event| (event.name().to_owned(), event.data().clone())).collect();
        prop_assert_eq!(received, events);
    }
}
