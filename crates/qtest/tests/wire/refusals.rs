//! What the server refuses, and what the session refuses to send.

use std::time::Duration;

use testjig_qtest::{Command, Encoding, ErrorKind, Line, PortWidth, Reply, Session, Severity};

use crate::fake::{Fake, pattern, write_block};

/// Refuses each write of the value 0xbad.
fn picky() -> Session<Fake> {
    Fake::new(|command, out| match command {
        Command::Out {
            value: 0xbad, port, ..
        } => {
            Line::Failed(Severity::Err, format!("port {port:#x} is dry").as_bytes()).encode(out);
        }
        Command::In { .. } => out.extend(b"OK 0x0007\n"),
        _ => out.extend(b"OK\n"),
    })
    .session()
}

#[test]
fn a_refused_queued_write_is_reported_by_the_next_call_that_waits() {
    let mut session = picky();
    session.outw(0x70, 1).unwrap();
    session.outw(0x71, 0xbad).unwrap();
    let line = line!() - 1;
    session.outw(0x72, 0xbad).unwrap();
    session.outw(0x73, 1).unwrap();
    let error = session.inb(0x80).unwrap_err();
    assert_eq!(error.command(), Some("outw 0x71 0xbad"));
    assert_eq!(error.location().unwrap().line(), line);
    assert_eq!(error.location().unwrap().file(), file!());
    assert_eq!(error.seq(), Some(1));
    assert_eq!(error.others(), 1);
    assert!(matches!(error.kind(), ErrorKind::Failed { reason } if reason == "port 0x71 is dry"));
    assert!(
        error
            .to_string()
            .starts_with("failed to carry out `outw 0x71 0xbad` ("),
        "{error}"
    );
}

#[test]
fn a_session_goes_on_after_a_refusal() {
    let mut session = picky();
    session.outw(0x71, 0xbad).unwrap();
    assert!(!session.sync().unwrap_err().is_fatal());
    assert_eq!(session.inb(0x80).unwrap(), 7);
    assert_eq!(session.journal().unanswered(), 0);
    assert!(matches!(
        session.journal().entry(0).unwrap().reply,
        Some(Reply::Failed(_))
    ));
}

#[test]
fn a_refusal_among_many_is_kept_until_a_call_waits() {
    let mut session = picky();
    session.outw(0x71, 0xbad).unwrap();
    for _ in 0..10_000 {
        session.outw(0x72, 1).unwrap();
    }
    assert_eq!(session.sync().unwrap_err().seq(), Some(0));
    session.sync().unwrap();
}

#[test]
fn a_batch_with_a_refusal_is_carried_out_to_its_end() {
    let out = |value| Command::Out {
        width: PortWidth::W,
        port: 0x70,
        value,
    };
    let read = Command::In {
        width: PortWidth::B,
        port: 0x70,
    };
    let mut session = picky();
    let error = session
        .run(&[read.clone(), out(0xbad), out(1)])
        .unwrap_err();
    assert_eq!(error.seq(), Some(1));
    assert_eq!(session.transport().seen.len(), 3);

    let replies = session.run_each(&[out(1), out(0xbad), read]).unwrap();
    assert_eq!(replies[0], Reply::Done);
    assert_eq!(replies[1].to_string(), "ERR port 0x70 is dry");
    assert_eq!(replies[2], Reply::Value(7));
}

#[test]
fn a_refusal_before_a_batch_is_an_error_of_the_batch() {
    let mut session = picky();
    session.outw(0x71, 0xbad).unwrap();
    assert_eq!(session.run_each(&[]).unwrap_err().seq(), Some(0));
}

#[test]
fn a_block_write_of_which_a_part_is_refused_is_one_refusal() {
    let mut nr = 0;
    let mut session = Fake::new(move |_, out| {
        nr += 1;
        out.extend(if nr == 3 {
            &b"ERR no room\n"[..]
        } else {
            b"OK\n"
        });
    })
    .session();
    let block = write_block(0, &pattern(40_000), Encoding::Base64);
    let replies = session
        .run_each(&[
            Command::ModuleLoad {
                prefix: "a".parse().unwrap(),
                name: "b".parse().unwrap(),
            },
            block.clone(),
            block,
        ])
        .unwrap();
    assert_eq!(replies.len(), 3);
    assert_eq!(replies[0], Reply::Done);
    assert!(matches!(&replies[1], Reply::Failed(failure) if &*failure.reason == "no room"));
    assert_eq!(replies[2], Reply::Done);
}

#[test]
fn a_block_read_of_which_a_part_is_refused_leaves_the_rest_in_its_place() {
    let bytes = pattern(100_000);
    let mut memory = crate::fake::Machine::default();
    let mut nr = 0;
    let mut session = Fake::new(move |command, out| {
        if matches!(command, Command::ReadBlock { .. }) {
            nr += 1;
        }
        if nr == 2 {
            out.extend(b"FAIL no answer\n");
        } else {
            memory.answer(command, out);
        }
    })
    .session();
    session.write(0, &bytes).unwrap();
    let mut back = vec![0; bytes.len()];
    let error = session.read(0, &mut back).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Failed { reason } if reason == "no answer"));
    assert!(back[..32_768] == bytes[..32_768]);
    assert!(back[32_768..65_536].iter().all(|byte| *byte == 0));
    assert!(back[65_536..] == bytes[65_536..]);
}

#[test]
fn an_unknown_command_is_told_apart() {
    let mut session = Fake::saying(b"FAIL Unknown command 'clock_step'\n").session();
    let error = session.clock_step(Duration::from_nanos(1)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::UnknownCommand));
    assert!(error.to_string().contains("qtest accelerator"), "{error}");
}

#[test]
fn a_refusal_without_a_reason_is_one() {
    let error = Fake::machine()
        .session()
        .module_load("hw-", "none")
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Failed { reason } if reason.is_empty()));
}

#[test]
fn a_long_reason_is_shortened_and_need_not_be_text() {
    let mut line = b"FAIL ".to_vec();
    line.extend([0xff; 5000]);
    line.push(b'\n');
    let error = Fake::saying(&line).session().inb(0).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Failed { reason } if reason.chars().count() == 1024));
}

#[test]
fn the_clock_does_not_go_back() {
    let mut session = Fake::machine().session();
    session.clock_set(100).unwrap();
    let error = session.clock_set(99).unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::ClockBackwards { now: 100 }
    ));
    assert_eq!(session.clock_set(100).unwrap(), 100);
}

#[test]
fn an_unknown_device_is_told_apart() {
    let error = Fake::machine()
        .session()
        .irq_intercept_in("nobody")
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::UnknownDevice));
}

#[test]
fn what_would_abort_the_server_is_not_sent() {
    let mut session = Fake::machine().session();
    let refusals = [
        session.irq_intercept_in("").unwrap_err(),
        session.irq_intercept_in("two words").unwrap_err(),
        session.irq_intercept_out("ioapic", Some("")).unwrap_err(),
        session.irq_intercept_out("io\napic", None).unwrap_err(),
        session.set_irq_in("ioapic\n", None, 0, 0).unwrap_err(),
        session.set_irq_in("ioapic", Some("\0"), 0, 0).unwrap_err(),
        session.set_irq_in("ioapic", None, 0x1_0000, 0).unwrap_err(),
        session.module_load("", "").unwrap_err(),
        session.clock_set(1 << 63).unwrap_err(),
        session
            .clock_step(Duration::from_secs(9_223_372_037))
            .unwrap_err(),
        session.clock_step(Duration::MAX).unwrap_err(),
    ];
    for error in refusals {
        assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error}");
        assert!(!error.is_fatal());
        assert_eq!(error.location().unwrap().file(), file!());
    }
    session.sync().unwrap();
    assert_eq!(session.transport().seen, []);
    assert_eq!(session.inb(0).unwrap(), 0);
}
