//! A peer that goes away, at every point of a conversation.

use testjig_qtest::{ErrorKind, Session};

use crate::fake::Fake;

fn talk(session: &mut Session<Fake>) -> testjig_qtest::Result<()> {
    session.outb(0x70, 1)?;
    session.set_irq_in("ioapic", None, 3, 1)?;
    session.inw(0x70)?;
    session.writel(0x1000, 7)?;
    session.read(0x1000, &mut [0; 8])?;
    session.clock_step_next()?;
    Ok(())
}

#[test]
fn a_close_after_any_byte_is_told_with_what_was_not_answered() {
    let whole = b"OK\nIRQ raise 3\nOK\nOK 0x0001\nOK\nOK BwAAAAAAAAA=\nOK 1000000\n";
    let requests = [
        (3, "outb 0x70 0x1"),
        (18, "set_irq_in ioapic unnamed-gpio-in 3 1"),
        (28, "inw 0x70"),
        (31, "writel 0x1000 0x7"),
        (47, "b64read 0x1000 0x8"),
        (58, "clock_step"),
    ];
    assert_eq!(whole.len(), 58);
    for (closing_after, _) in whole.iter().enumerate() {
        let mut session = Fake::machine().closing_after(closing_after).session();
        let error = talk(&mut session).unwrap_err();
        let expected = requests
            .iter()
            .find(|(end, _)| closing_after < *end)
            .unwrap()
            .1;
        // What is answered before the session knows of the end counts; then nothing may be pending.
        let named = error.command().or_else(|| match error.kind() {
            ErrorKind::Poisoned { first } => first.command(),
            _ => None,
        });
        assert_eq!(
            named,
            Some(expected),
            "closed after {closing_after}: {error}"
        );
        assert!(
            matches!(error.kind(), ErrorKind::Closed { .. }),
            "closed after {closing_after}: {error}"
        );
        assert!(matches!(
            talk(&mut session).unwrap_err().kind(),
            ErrorKind::Poisoned { .. }
        ));
    }
    let mut session = Fake::machine().closing_after(whole.len()).session();
    talk(&mut session).unwrap();
    assert!(matches!(
        session.inb(0).unwrap_err().kind(),
        ErrorKind::Closed { unanswered: 1 }
    ));
}

#[test]
fn a_close_counts_what_was_not_answered() {
    let mut session = Fake::machine().closing_after(3).session();
    for nr in 0..5 {
        session.outb(0x70, nr).unwrap();
    }
    let error = session.sync().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Closed { unanswered: 4 }),
        "{error}"
    );
    assert_eq!(error.command(), Some("outb 0x70 0x1"));
    assert_eq!(error.seq(), Some(1));
    assert!(error.to_string().contains("3 later operations"), "{error}");
}

#[test]
fn the_last_reply_before_a_close_counts() {
    let mut session = Fake::machine().closing_after(10).session();
    assert_eq!(session.inb(0x70).unwrap(), 0);
    assert!(matches!(
        session
            .outb(0x70, 1)
            .and_then(|()| session.sync())
            .unwrap_err()
            .kind(),
        ErrorKind::Closed { .. }
    ));
}

#[test]
fn a_close_at_once_is_told_without_an_operation() {
    let mut session = Fake::machine().closing_after(0).session();
    let error = session
        .wait_for_edge(std::time::Instant::now() + std::time::Duration::from_secs(60))
        .unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Closed { unanswered: 0 }),
        "{error}"
    );
    assert_eq!(error.command(), None);
    assert_eq!(
        error.to_string(),
        "qtest session failed: the server closed the connection"
    );
}
