//! Deadlines, replies that come after them, and peers that do not keep up.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use serde_json::json;
use testjig_qmp::commands::{Cont, QomGet, Stop, SystemReset};
use testjig_qmp::{Awaited, ErrorKind};

use crate::fake::{LONG, Peer, SHORT, clog, connected, later};

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
fn a_withdrawn_command_is_not_answered() {
    let (release, released) = std::sync::mpsc::channel();
    let (mut qmp, script) = connected(move |mut peer| {
        let sent: usize = released.recv().unwrap();
        for _ in 0..sent {
            peer.serve("human-monitor-command", &json!("late"));
        }
        peer.command("stop");
        peer.line(r#"{"error": {"class": "GenericError", "desc": "without id"}}"#);
    });
    let sent = clog(&mut qmp).len() - 1;
    release.send(sent).unwrap();
    qmp.set_timeout(LONG);
    let error = qmp.execute(&Stop).expect_err("it is refused");
    assert_eq!(error.refusal().unwrap().desc, "without id");
    script.join();
}

#[test]
fn a_peer_that_will_never_read_is_not_waited_for() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (mut qmp, script) = connected(move |peer| {
        peer.socket().shutdown(Shutdown::Read).unwrap();
        // Stays open until the test ends.
        assert!(released.recv().is_err());
    });
    let until = later();
    // The first may be sent before the peer shuts down.
    qmp.set_timeout(SHORT);
    loop {
        let error = qmp.execute(&Stop).expect_err("nobody reads");
        if matches!(error.kind(), ErrorKind::Closed { .. }) {
            break;
        }
        assert!(
            matches!(error.kind(), ErrorKind::TimedOut { .. }),
            "{error:?}"
        );
        assert!(Instant::now() < until, "{error:?}");
    }
    drop(release);
    script.join();
}
