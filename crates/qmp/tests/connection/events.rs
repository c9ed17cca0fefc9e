//! The event queue: nothing lost, nothing out of order, nothing without an end.

use std::time::{Duration, Instant};

use crate::fake::{LONG, Peer, SHORT, connected, later, soon};
use serde_json::json;
use testjig_qmp::commands::{Cont, Quit, Stop, SystemReset};
use testjig_qmp::events::Shutdown;
use testjig_qmp::{Awaited, ErrorKind, Event, Limits, Qmp};

fn names(events: impl Iterator<Item = Event>) -> Vec<String> {
    events.map(|event| event.name().to_owned()).collect()
}

/// Receives what is on its way until there are so many events.
fn collect(qmp: &mut Qmp, count: usize) {
    let until = later();
    while qmp.queued_events().count() < count {
        assert!(
            Instant::now() < until,
            "only {} events came",
            qmp.queued_events().count()
        );
        qmp.poll().expect("the peer is there");
    }
}

#[test]
fn events_before_between_and_after_replies_keep_their_order() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.event("BEFORE");
        let stop = peer.command("stop");
        peer.event("BETWEEN_1");
        peer.event("BETWEEN_2");
        peer.reply(&stop, &json!({}));
        peer.event("BETWEEN_3");
        peer.serve("cont", &json!({}));
        peer.event("AFTER");
        peer.until_closed();
    });
    qmp.execute(&Stop).unwrap();
    qmp.execute(&Cont).unwrap();
    assert_eq!(qmp.wait_event("AFTER", later()).unwrap().seq(), 4);
    assert_eq!(
        names(qmp.events()),
        ["BEFORE", "BETWEEN_1", "BETWEEN_2", "BETWEEN_3"]
    );
    assert_eq!(names(qmp.events()), [""; 0]);
    drop(qmp);
    script.join();
}

#[test]
fn events_in_the_same_packet_as_a_reply_are_kept() {
    let (mut qmp, script) = connected(|mut peer| {
        let stop = peer.command("stop");
        peer.bytes(format!(
            "{{\"event\":\"A\"}}\n{{\"return\":{{}},\"id\":{}}}\n{{\"event\":\"B\"}}\n{{\"event\":",
            stop["id"]
        ));
        peer.serve("cont", &json!({}));
    });
    qmp.execute(&Stop).unwrap();
    assert_eq!(
        names(qmp.events()),
        ["A"],
        "what follows the reply is not yet taken"
    );
    qmp.poll().unwrap();
    assert_eq!(names(qmp.events()), ["B"]);
    let error = qmp
        .execute(&Cont)
        .expect_err("the half event makes nonsense of the reply");
    assert!(
        matches!(error.kind(), ErrorKind::Malformed { .. }),
        "{error:?}"
    );
    script.join();
}

#[test]
fn wait_takes_one_and_leaves_the_others() {
    let (mut qmp, script) = connected(|mut peer| {
        for name in ["A", "B", "A", "C", "B"] {
            peer.event(name);
        }
        peer.until_closed();
    });
    assert_eq!(qmp.wait_event("B", later()).unwrap().seq(), 1);
    assert_eq!(qmp.wait_event("B", later()).unwrap().seq(), 4);
    assert_eq!(qmp.wait_event("A", later()).unwrap().seq(), 0);
    assert_eq!(names(qmp.events()), ["A", "C"]);
    drop(qmp);
    script.join();
}

#[test]
fn a_wait_does_not_read_beyond_its_event() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.bytes("{\"event\": \"A\"}\nnonsense\n");
        peer.until_closed();
    });
    qmp.wait_event("A", later())
        .expect("it came before the nonsense");
    let error = qmp.wait_event("B", later()).expect_err("that is nonsense");
    assert!(
        matches!(error.kind(), ErrorKind::Malformed { .. }),
        "{error:?}"
    );
    drop(qmp);
    script.join();
}

#[test]
fn filters_look_at_names_and_data() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.line(r#"{"event": "DEVICE_DELETED", "data": {"path": "/machine/peripheral/n0/virtio-backend"}}"#);
        peer.line(r#"{"event": "DEVICE_DELETED", "data": {"device": "n0", "path": "/machine/peripheral/n0"}}"#);
        peer.event("STOP");
        peer.until_closed();
    });
    let event = qmp
        .wait_event(|event: &Event| event.data()["device"] == "n0", later())
        .unwrap();
    assert_eq!(event.seq(), 1);
    assert_eq!(
        qmp.wait_event(["RESUME", "STOP"], later()).unwrap().name(),
        "STOP"
    );
    let by_path = |event: &Event| event.data()["path"].is_string();
    assert_eq!(
        qmp.wait_event(("with a path", by_path), later())
            .unwrap()
            .seq(),
        0
    );
    drop(qmp);
    script.join();
}

#[test]
fn a_filter_sees_each_event_once() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.event("A");
        peer.serve("stop", &json!({}));
        for name in ["B", "C", "D"] {
            peer.event(name);
        }
        peer.until_closed();
    });
    qmp.execute(&Stop).unwrap();
    let mut seen = Vec::new();
    let filter = |event: &Event| {
        seen.push(event.seq());
        event.name() == "D"
    };
    qmp.wait_event(filter, later()).unwrap();
    assert_eq!(seen, [0, 1, 2, 3]);
    drop(qmp);
    script.join();
}

#[test]
fn only_events_from_now_on_count() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.event("RESET");
        peer.serve("system_reset", &json!({}));
        peer.event("RESET");
        peer.until_closed();
    });
    collect(&mut qmp, 1);
    let from = qmp.next_event_seq();
    qmp.execute(&SystemReset).unwrap();
    let new_reset = |event: &Event| event.name() == "RESET" && event.seq() >= from;
    assert_eq!(
        qmp.wait_event(("RESET", new_reset), later()).unwrap().seq(),
        1
    );
    assert_eq!(names(qmp.events()), ["RESET"]);
    drop(qmp);
    script.join();
}

#[test]
fn data_and_timestamp_are_kept() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.line(
            r#"{"timestamp": {"seconds": 5, "microseconds": 6}, "event": "RESET", "data": {"guest": true, "reason": "guest-reset"}}"#,
        );
        peer.line(r#"{"timestamp": {"seconds": -1, "microseconds": -1}, "event": "ODD", "data": [null, 1.5, "é"]}"#);
        peer.until_closed();
    });
    let reset = qmp.wait_event("RESET", later()).unwrap();
    assert_eq!(
        (reset.timestamp().seconds, reset.timestamp().microseconds),
        (5, 6)
    );
    let data: Shutdown = reset.decode().unwrap();
    assert!(data.guest);
    assert_eq!(data.reason, "guest-reset");
    let odd = qmp.wait_event("ODD", later()).unwrap();
    assert_eq!(
        (odd.timestamp().seconds, odd.timestamp().microseconds),
        (-1, -1)
    );
    assert_eq!(odd.data(), &json!([null, 1.5, "é"]));
    let error = odd.decode::<Shutdown>().expect_err("it is no Shutdown");
    assert!(
        matches!(error.kind(), ErrorKind::Mismatch { .. }),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .starts_with("failed to decode the data of the event ODD: "),
        "{error}"
    );
    drop(qmp);
    script.join();
}

#[test]
fn a_timeout_says_what_was_seen_instead() {
    let (mut qmp, script) = connected(|mut peer| {
        for name in ["STOP", "RESUME", "STOP", "STOP"] {
            peer.event(name);
        }
        peer.until_closed();
    });
    collect(&mut qmp, 4);
    let error = qmp
        .wait_event("RESET", soon())
        .expect_err("there is no such event");
    let ErrorKind::TimedOut {
        after,
        awaited,
        seen,
        unsent: false,
        partial: None,
    } = error.kind()
    else {
        panic!("{error:?}");
    };
    assert!((SHORT..LONG).contains(after), "{after:?}");
    assert_eq!(*awaited, Awaited::Event("event RESET".to_owned()));
    assert_eq!(*seen, [("STOP".to_owned(), 3), ("RESUME".to_owned(), 1)]);
    let text = error.to_string();
    assert!(
        text.starts_with("failed to wait for the event RESET: no event RESET within "),
        "{text}"
    );
    assert!(text.ends_with("; seen instead: STOP ×3, RESUME"), "{text}");
    assert_eq!(
        names(qmp.events()),
        ["STOP", "RESUME", "STOP", "STOP"],
        "they stay"
    );
    drop(qmp);
    script.join();
}

#[test]
fn a_timeout_without_any_event_says_so() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.bytes("{\"eve");
        peer.until_closed();
    });
    let error = qmp
        .wait_event(["STOP", "RESET"], soon())
        .expect_err("there is no event");
    let text = error.to_string();
    assert!(
        text.starts_with("failed to wait for the event STOP or RESET: "),
        "{text}"
    );
    assert!(
        text.ends_with("; no event was seen; an unfinished message begins `{\"eve`"),
        "{text}"
    );
    drop(qmp);
    script.join();
}

#[test]
fn a_timeout_names_only_some_of_many() {
    let (mut qmp, script) = connected(|mut peer| {
        for number in 0..100 {
            peer.event(&format!("E{number}"));
        }
        peer.until_closed();
    });
    collect(&mut qmp, 100);
    let error = qmp
        .wait_event("RESET", soon())
        .expect_err("there is no such event");
    assert!(
        error.to_string().ends_with(", E14, E15, others ×84"),
        "{error}"
    );
    drop(qmp);
    script.join();
}

#[test]
fn what_arrived_by_the_deadline_counts() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.event("A");
        peer.serve("stop", &json!({}));
        peer.until_closed();
    });
    let past = Instant::now();
    qmp.execute(&Stop).unwrap();
    qmp.wait_event("A", past).expect("it has been received");
    drop(qmp);
    script.join();
}

#[test]
fn the_connections_deadline_ends_a_wait_for_an_event() {
    let (mut qmp, script) = connected(Peer::until_closed);
    qmp.set_deadline(Some(soon()));
    let error = qmp.wait_event("A", later()).expect_err("there is no event");
    assert!(
        matches!(error.kind(), ErrorKind::TimedOut { after, .. } if *after < LONG),
        "{error:?}"
    );
    drop(qmp);
    script.join();
}

#[test]
fn the_timeout_does_not_shorten_a_wait_for_an_event() {
    let (mut qmp, script) = connected(|mut peer| {
        assert!(peer.is_silent());
        peer.event("A");
        peer.until_closed();
    });
    qmp.set_timeout(Duration::ZERO);
    qmp.wait_event("A", later())
        .expect("it has a deadline of its own");
    drop(qmp);
    script.join();
}

#[test]
fn a_flood_by_number_is_an_error_and_loses_nothing() {
    let (mut qmp, script) = connected(|mut peer| {
        let stop = peer.command("stop");
        for number in 0..25 {
            peer.event(&format!("E{number}"));
        }
        peer.reply(&stop, &json!({}));
        peer.serve("cont", &json!({}));
    });
    let mut limits = Limits::default();
    limits.queued_events = 10;
    qmp.set_limits(limits);

    let error = qmp.execute(&Stop).expect_err("ten fit");
    let ErrorKind::Flood {
        events: 10, last, ..
    } = error.kind()
    else {
        panic!("{error:?}");
    };
    assert_eq!(last, "E10");
    assert_eq!(error.command(), Some("stop"));
    let error = qmp.poll().expect_err("still");
    assert!(
        matches!(error.kind(), ErrorKind::Flood { events: 10, .. }),
        "{error:?}"
    );

    let mut all = names(qmp.events());
    assert_eq!(all.len(), 10);
    let error = qmp.wait_event("none", later()).expect_err("ten more fit");
    assert!(
        matches!(error.kind(), ErrorKind::Flood { events: 10, .. }),
        "{error:?}"
    );
    all.extend(names(qmp.events()));
    qmp.execute(&Cont)
        .expect("there is room again, and the reply to `stop` is not taken for this one's");
    all.extend(names(qmp.events()));
    let expected: Vec<_> = (0..25).map(|number| format!("E{number}")).collect();
    assert_eq!(all, expected);
    script.join();
}

#[test]
fn a_flood_by_size_is_an_error() {
    let (mut qmp, script) = connected(|mut peer| {
        let event = json!({"event": "BIG", "data": "x".repeat(1000)}).to_string();
        for _ in 0..5 {
            peer.line(&event);
        }
        peer.until_closed();
    });
    let mut limits = Limits::default();
    limits.queued_event_bytes = 3000;
    qmp.set_limits(limits);
    let error = qmp.wait_event("none", later()).expect_err("two fit");
    let ErrorKind::Flood {
        events: 2, bytes, ..
    } = error.kind()
    else {
        panic!("{error:?}");
    };
    assert!((2000..3000).contains(bytes), "{bytes}");
    qmp.wait_event("BIG", later()).expect("they are queued");
    let error = qmp.wait_event("none", later()).expect_err("one more fits");
    assert!(
        matches!(error.kind(), ErrorKind::Flood { events: 2, .. }),
        "{error:?}"
    );
    assert_eq!(qmp.events().count(), 2);
    collect(&mut qmp, 2);
    assert_eq!(qmp.events().count(), 2);
    drop(qmp);
    script.join();
}

#[test]
fn one_event_always_fits() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.event("A");
        peer.event("B");
        peer.until_closed();
    });
    let mut limits = Limits::default();
    (limits.queued_events, limits.queued_event_bytes) = (0, 0);
    qmp.set_limits(limits);
    qmp.wait_event("A", later())
        .expect("what is waited for needs no room");
    qmp.wait_event("B", later()).expect("nor does the next");
    drop(qmp);
    script.join();
}

#[test]
fn a_match_comes_before_the_flood_that_follows_it() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.bytes("{\"event\": \"A\"}\n{\"event\": \"B\"}\n{\"event\": \"C\"}\n");
        peer.until_closed();
    });
    let mut limits = Limits::default();
    limits.queued_events = 2;
    qmp.set_limits(limits);
    qmp.wait_event("B", later()).expect("it fits");
    drop(qmp);
    script.join();
}

#[test]
fn a_peer_that_never_pauses_cannot_put_off_the_deadline() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.command("stop");
        peer.flood("{\"event\": \"NOISE\"}\n".repeat(1000).as_bytes());
    });
    let mut limits = Limits::default();
    (limits.queued_events, limits.queued_event_bytes) = (usize::MAX, usize::MAX);
    qmp.set_limits(limits);
    qmp.set_timeout(SHORT);
    let error = qmp.execute(&Stop).expect_err("there is no reply");
    let ErrorKind::TimedOut {
        after,
        unsent: false,
        ..
    } = error.kind()
    else {
        panic!("{error:?}");
    };
    assert!(*after < LONG / 2, "{after:?}");
    drop(qmp);
    script.join();
}

#[test]
fn events_are_there_after_the_peer_has_closed() {
    let (mut qmp, script) = connected(|mut peer| {
        let quit = peer.command("quit");
        peer.line(r#"{"event": "SHUTDOWN", "data": {"guest": false, "reason": "host-qmp-quit"}}"#);
        peer.reply(&quit, &json!({}));
        peer.event("LAST");
    });
    qmp.execute(&Quit).unwrap();
    script.join();
    assert_eq!(qmp.wait_event("LAST", later()).unwrap().seq(), 1);
    let error = qmp
        .wait_event("RESET", later())
        .expect_err("the peer is gone");
    assert_eq!(
        error.to_string(),
        "failed to wait for the event RESET: the peer closed the connection; seen instead: SHUTDOWN"
    );
    qmp.wait_event("SHUTDOWN", later())
        .expect("it is still queued");
    let error = qmp
        .wait_event("SHUTDOWN", later())
        .expect_err("it was taken");
    assert!(
        matches!(error.kind(), ErrorKind::Broken { first } if first.contains("closed")),
        "{error:?}"
    );
}

#[test]
fn events_that_came_before_a_failed_send_are_kept() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.event("LAST");
        // Closes with something unread, so that the client's end is reset.
        peer.wait_for_input();
    });
    // What it reads nothing of.
    let error = qmp.execute(&Stop).expect_err("the peer closes");
    assert!(
        matches!(error.kind(), ErrorKind::Closed { .. }),
        "{error:?}"
    );
    script.join();
    let error = qmp.execute(&Stop).expect_err("the peer has closed");
    assert!(
        matches!(error.kind(), ErrorKind::Broken { .. }),
        "{error:?}"
    );
    assert_eq!(names(qmp.events()), ["LAST"]);
}

#[test]
fn sending_to_a_peer_that_has_gone_tells_what_it_said_last() {
    let (mut qmp, script) = connected(|mut peer| peer.event("SHUTDOWN"));
    script.join();
    let error = qmp.execute(&Stop).expect_err("the peer has closed");
    assert_eq!(
        error.to_string(),
        "failed to execute `stop`: the peer closed the connection; seen instead: SHUTDOWN"
    );
}

#[test]
fn poll_takes_all_that_has_arrived() {
    let (ask, asked) = std::sync::mpsc::channel();
    let (mut qmp, script) = connected(move |mut peer| {
        asked.recv().unwrap();
        // More than is received at once.
        let event = json!({"event": "BIG", "data": "x".repeat(1000)}).to_string() + "\r\n";
        peer.bytes(event.repeat(100));
    });
    qmp.poll().expect("nothing has arrived");
    assert_eq!(qmp.events().count(), 0);
    ask.send(()).unwrap();
    script.join();
    qmp.poll().expect("events have arrived");
    assert_eq!(qmp.events().count(), 100);
    let error = qmp.poll().expect_err("the peer has closed");
    assert_eq!(
        error.to_string(),
        "failed to receive events: the peer closed the connection"
    );
}

#[test]
fn an_odd_name_is_shown_shortened_and_printable() {
    let name = format!("\x1b[2J{}", "x".repeat(1000));
    let odd = name.clone();
    let (mut qmp, script) = connected(move |mut peer| {
        peer.event(&odd);
        peer.until_closed();
    });
    collect(&mut qmp, 1);
    let error = qmp
        .wait_event("RESET", soon())
        .expect_err("there is no such event");
    let text = error.to_string();
    assert!(text.contains("seen instead: \\u{1b}[2Jxxx"), "{text}");
    assert!(text.ends_with("xxx… (1004 bytes)"), "{text}");
    assert!(text.len() < 400, "{text}");
    assert_eq!(qmp.events().next().unwrap().name(), name);
    drop(qmp);
    script.join();
}
