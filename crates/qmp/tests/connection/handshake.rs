//! From the socket to the first command.

use std::os::unix::net::UnixStream;
use std::time::Instant;

use crate::fake::{GREETING, LONG, Peer, connected, later, peer, soon};
use serde_json::json;
use testjig_qmp::commands::QueryStatus;
use testjig_qmp::{Awaited, Error, ErrorClass, ErrorKind, Limits, Qmp};

/// What comes of connecting to a peer that does this and then waits.
fn failure(script: impl FnOnce(&mut Peer) + Send + 'static) -> Error {
    let (socket, script) = peer(|mut peer| {
        script(&mut peer);
        peer.until_closed();
    });
    let error = Qmp::connect(socket, later()).expect_err("it must not succeed");
    script.join();
    error
}

#[test]
fn the_greeting_is_kept() {
    let (qmp, script) = connected(Peer::until_closed);
    let version = &qmp.greeting().version;
    assert_eq!((version.major, version.minor, version.micro), (11, 1, 3));
    assert_eq!(version.to_string(), "11.1.3");
    assert_eq!(qmp.greeting().capabilities, ["oob"]);
    drop(qmp);
    script.join();
}

#[test]
fn no_capability_is_enabled() {
    let (socket, script) = peer(|mut peer| {
        peer.line(GREETING);
        let command = peer.command("qmp_capabilities");
        assert!(command.get("arguments").is_none(), "{command}");
        peer.reply(&command, &json!({}));
    });
    Qmp::connect(socket, later()).expect("the peer agrees");
    script.join();
}

#[test]
fn nothing_is_sent_before_the_greeting() {
    let (socket, script) = peer(|mut peer| {
        assert!(peer.is_silent());
        peer.greet();
    });
    Qmp::connect(socket, later()).expect("the peer greets in the end");
    script.join();
}

#[test]
fn a_greeting_in_pieces_is_put_together() {
    let (socket, script) = peer(|mut peer| {
        for piece in GREETING.as_bytes().chunks(7) {
            peer.bytes(piece);
        }
        peer.bytes("\n");
        peer.serve("qmp_capabilities", &json!({}));
    });
    Qmp::connect(socket, later()).expect("the peer greets");
    script.join();
}

#[test]
fn steps_never_wait() {
    let (socket, mut peer) = UnixStream::pair().unwrap();
    let mut send = |text: &str| std::io::Write::write_all(&mut peer, text.as_bytes()).unwrap();
    let mut handshake = Qmp::begin(socket);
    let started = Instant::now();
    assert!(!handshake.step().unwrap());
    assert!(handshake.greeting().is_none());

    let (first, second) = GREETING.split_at(20);
    send(first);
    assert!(!handshake.step().unwrap());
    assert!(handshake.greeting().is_none());
    send(second);
    send("\r\n");
    assert!(!handshake.step().unwrap());
    assert_eq!(handshake.greeting().unwrap().version.major, 11);

    send("{\"return\": {}, \"id\": 0}\r\n");
    assert!(handshake.step().unwrap());
    assert!(handshake.step().unwrap(), "once ready, it stays so");
    assert!(started.elapsed() < LONG, "it waited");
    let qmp = handshake
        .finish(Instant::now())
        .expect("nothing is left to wait for");
    assert_eq!(qmp.greeting().version.major, 11);
}

#[test]
fn capabilities_are_negotiated_once() {
    let (socket, script) = peer(|mut peer| {
        peer.line(GREETING);
        let command = peer.command("qmp_capabilities");
        assert!(peer.is_silent());
        peer.reply(&command, &json!({}));
    });
    let mut handshake = Qmp::begin(socket);
    while handshake.greeting().is_none() {
        handshake.step().unwrap();
    }
    handshake.step().unwrap();
    handshake.finish(later()).expect("the peer agrees");
    script.join();
}

#[test]
fn an_event_before_the_reply_is_kept() {
    let (socket, script) = peer(|mut peer| {
        peer.line(GREETING);
        let command = peer.command("qmp_capabilities");
        peer.event("STOP");
        peer.reply(&command, &json!({}));
    });
    let mut qmp = Qmp::connect(socket, later()).expect("the peer agrees");
    assert_eq!(
        qmp.events()
            .map(|event| event.name().to_owned())
            .collect::<Vec<_>>(),
        ["STOP"]
    );
    script.join();
}

#[test]
fn an_error_instead_of_the_greeting_is_told() {
    let error =
        failure(|peer| peer.line(r#"{"error": {"class": "GenericError", "desc": "no room"}}"#));
    assert_eq!(error.refusal().unwrap().desc, "no room");
    assert_eq!(
        error.to_string(),
        "failed to open the QMP connection: no room (GenericError)"
    );
}

#[test]
fn an_error_to_the_capabilities_is_told_with_the_command() {
    let error = failure(|peer| {
        peer.line(GREETING);
        let command = peer.command("qmp_capabilities");
        peer.refuse(
            &command,
            "CommandNotFound",
            "negotiation is already complete",
        );
    });
    assert_eq!(error.command(), Some("qmp_capabilities"));
    assert_eq!(error.refusal().unwrap().class, ErrorClass::CommandNotFound);
    assert_eq!(
        error.to_string(),
        "failed to execute `qmp_capabilities`: negotiation is already complete (CommandNotFound)"
    );
}

#[test]
fn a_human_monitor_is_named() {
    let error = failure(|peer| peer.line("QEMU 11.1.3 monitor - type 'help' for more information"));
    assert!(
        matches!(error.kind(), ErrorKind::NotQmp { .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("it is a human monitor (HMP)"),
        "{error}"
    );
    assert!(error.to_string().contains("mode=control"), "{error}");
}

#[test]
fn a_qtest_server_is_named() {
    let error = failure(|peer| peer.line("IRQ raise 8"));
    assert!(error.to_string().contains("a qtest server"), "{error}");
}

#[test]
fn what_is_not_json_is_shown() {
    let error = failure(|peer| peer.line("SSH-2.0-OpenSSH_9.9"));
    assert_eq!(
        error.to_string(),
        "failed to open the QMP connection: the peer does not speak QMP: its first message is no greeting \
         (expected value at line 1 column 1); it sent `SSH-2.0-OpenSSH_9.9`"
    );
}

#[test]
fn json_that_is_no_greeting_is_refused() {
    for line in [
        "{}",
        "[]",
        "null",
        r#"{"hello": 1}"#,
        r#"{"QMP": {}}"#,
        r#"{"QMP": null}"#,
    ] {
        let error = failure(move |peer| peer.line(line));
        assert!(
            matches!(error.kind(), ErrorKind::NotQmp { .. }),
            "{line}: {error:?}"
        );
    }
}

#[test]
fn a_pretty_monitor_is_named() {
    let error = failure(|peer| peer.bytes("{\r\n    \"QMP\": {\r\n"));
    assert!(error.to_string().contains("pretty=on"), "{error}");
}

#[test]
fn an_event_instead_of_the_greeting_is_refused() {
    let error = failure(|peer| peer.event("STOP"));
    assert!(
        error
            .to_string()
            .contains("has the connection been used before?"),
        "{error}"
    );
}

#[test]
fn a_reply_instead_of_the_greeting_is_refused() {
    let error = failure(|peer| peer.line(r#"{"return": {}, "id": 0}"#));
    assert!(
        matches!(error.kind(), ErrorKind::UnexpectedReply { .. }),
        "{error:?}"
    );
}

#[test]
fn a_second_greeting_is_refused() {
    let error = failure(|peer| {
        peer.line(GREETING);
        peer.line(GREETING);
    });
    assert!(error.to_string().contains("second greeting"), "{error}");
}

#[test]
fn a_peer_that_closes_at_once_is_told() {
    let (socket, script) = peer(drop);
    let error = Qmp::connect(socket, later()).expect_err("the peer is gone");
    assert_eq!(
        error.to_string(),
        "failed to open the QMP connection: the peer closed the connection"
    );
    script.join();
}

#[test]
fn a_peer_that_closes_within_the_greeting_is_told() {
    let (socket, script) = peer(|mut peer| peer.bytes("{\"QMP\": "));
    let error = Qmp::connect(socket, later()).expect_err("the peer is gone");
    assert!(
        matches!(error.kind(), ErrorKind::Closed { partial: Some(partial), .. } if partial == "{\"QMP\": ")
    );
    script.join();
}

#[test]
fn a_peer_that_closes_instead_of_the_reply_is_told() {
    let (socket, script) = peer(|mut peer| {
        peer.line(GREETING);
        peer.command("qmp_capabilities");
    });
    let error = Qmp::connect(socket, later()).expect_err("the peer is gone");
    assert_eq!(error.command(), Some("qmp_capabilities"));
    assert!(
        matches!(error.kind(), ErrorKind::Closed { partial: None, .. }),
        "{error:?}"
    );
    script.join();
}

#[test]
fn a_silent_peer_is_given_up_at_the_deadline() {
    let (socket, script) = peer(Peer::until_closed);
    let error = Qmp::connect(socket, soon()).expect_err("the peer says nothing");
    let ErrorKind::TimedOut {
        awaited: Awaited::Greeting,
        partial: None,
        ..
    } = error.kind()
    else {
        panic!("{error:?}");
    };
    assert!(
        error
            .to_string()
            .starts_with("failed to open the QMP connection: no greeting within "),
        "{error}"
    );
    script.join();
}

#[test]
fn a_prompt_without_an_end_is_shown_at_the_deadline() {
    let (socket, script) = peer(|mut peer| {
        peer.bytes("login: ");
        peer.until_closed();
    });
    let error = Qmp::connect(socket, soon()).expect_err("there is no greeting");
    assert!(
        error
            .to_string()
            .ends_with("an unfinished message begins `login: `"),
        "{error}"
    );
    script.join();
}

#[test]
fn a_machine_that_is_never_built_is_given_up_at_the_deadline() {
    let (socket, script) = peer(|mut peer| {
        peer.line(GREETING);
        peer.command("qmp_capabilities");
        peer.until_closed();
    });
    let error = Qmp::connect(socket, soon()).expect_err("there is no reply");
    assert_eq!(error.command(), Some("qmp_capabilities"));
    assert!(
        matches!(
            error.kind(),
            ErrorKind::TimedOut {
                awaited: Awaited::Reply,
                unsent: false,
                ..
            }
        ),
        "{error:?}"
    );
    script.join();
}

#[test]
fn a_failed_handshake_stays_failed() {
    let (socket, script) = peer(|mut peer| peer.line("nonsense"));
    let mut handshake = Qmp::begin(socket);
    script.join();
    handshake.step().expect_err("it is nonsense");
    let error = handshake.finish(later()).expect_err("it was nonsense");
    let ErrorKind::Broken { first } = error.kind() else {
        panic!("{error:?}");
    };
    assert!(first.contains("does not speak QMP"), "{first}");
}

#[test]
fn limits_hold_from_the_first_message() {
    let (socket, script) = peer(|mut peer| peer.line(GREETING));
    let mut handshake = Qmp::begin(socket);
    let mut limits = Limits::default();
    limits.message_bytes = GREETING.len() - 1;
    handshake.set_limits(limits);
    let error = handshake
        .finish(later())
        .expect_err("the greeting is too long");
    assert!(
        matches!(error.kind(), ErrorKind::TooLong { .. }),
        "{error:?}"
    );
    script.join();
}

#[test]
fn a_descriptor_that_is_no_socket_is_an_error() {
    let file = std::fs::File::open("/dev/null").unwrap();
    let error = Qmp::connect(file, later()).expect_err("it is a file");
    assert!(matches!(error.kind(), ErrorKind::Io(_)), "{error:?}");
}

#[test]
fn commands_follow_the_handshake() {
    let (mut qmp, script) = connected(|mut peer| {
        peer.serve(
            "query-status",
            &json!({"running": true, "status": "running"}),
        );
    });
    assert!(qmp.execute(&QueryStatus).expect("the peer answers").running);
    script.join();
}

#[test]
fn a_connection_can_go_to_another_thread() {
    fn is_send<T: Send + 'static>(_: &T) {}
    let (qmp, script) = connected(Peer::until_closed);
    is_send(&qmp);
    drop(qmp);
    script.join();
}
