//! Interrupt edges: their place in the order of operations, their levels, what is intercepted.

use std::time::{Duration, Instant};

use testjig_qtest::{Edge, Error, ErrorKind, Limits, Session};

use crate::fake::{Fake, MOMENT};

fn edge(line: u32, level: bool, before: u64) -> Edge {
    Edge {
        line,
        level,
        before,
    }
}

fn edges(session: &Session<Fake>) -> Vec<Edge> {
    session.journal().edges().copied().collect()
}

#[track_caller]
fn assert_second(error: &Error, first: &str) {
    let ErrorKind::SecondIntercept { installed } = error.kind() else {
        panic!("{error}");
    };
    assert_eq!(installed.as_deref(), Some(first));
}

#[test]
fn an_edge_stands_before_the_reply_it_preceded() {
    let mut session = Fake::machine().session();
    session.outb(0x70, 1).unwrap();
    session.set_irq_in("ioapic", None, 5, 1).unwrap();
    session.outb(0x70, 2).unwrap();
    session.set_irq_in("ioapic", None, 5, 0).unwrap();
    session.set_irq_in("ioapic", None, 5, 0).unwrap();
    session.set_irq_in("ioapic", None, 9, -1).unwrap();
    session.sync().unwrap();
    assert_eq!(
        edges(&session),
        [edge(5, true, 1), edge(5, false, 3), edge(9, true, 5)]
    );
    assert!(!session.journal().level(5));
    assert!(session.journal().level(9));
    assert_eq!(
        session.journal().levels().collect::<Vec<_>>(),
        [(5, false), (9, true)]
    );
}

#[test]
fn an_edge_without_an_operation_stands_before_the_next() {
    let mut session = Fake::saying(b"OK\nIRQ raise 0\nIRQ lower 65535\n").session();
    session.outb(0x70, 1).unwrap();
    session.sync().unwrap();
    assert_eq!(edges(&session), [edge(0, true, 1), edge(65_535, false, 1)]);
    assert!(session.journal().level(0));
    assert!(!session.journal().level(65_535));
    assert!(!session.journal().level(70_000));
}

#[test]
fn edges_since_a_mark_are_those_that_came_later() {
    let mut session = Fake::machine().session();
    session.set_irq_in("ioapic", None, 1, 1).unwrap();
    session.sync().unwrap();
    let mark = session.journal().edge_count();
    assert_eq!(session.journal().edges_since(mark).count(), 0);
    session.set_irq_in("ioapic", None, 1, 0).unwrap();
    session.sync().unwrap();
    assert_eq!(
        session
            .journal()
            .edges_since(mark)
            .copied()
            .collect::<Vec<_>>(),
        [edge(1, false, 1)]
    );
    assert_eq!(session.journal().edges_since(99).count(), 0);
}

#[test]
fn old_edges_are_forgotten_and_counted() {
    let mut session = Fake::machine().session();
    session.journal_mut().set_edge_capacity(4);
    for nr in 0..10 {
        session
            .set_irq_in("ioapic", None, 1, i32::from(nr % 2 == 0))
            .unwrap();
    }
    session.sync().unwrap();
    assert_eq!(session.journal().edge_count(), 10);
    assert_eq!(session.journal().edges_dropped(), 6);
    assert_eq!(
        session
            .journal()
            .edges_since(0)
            .map(|edge| edge.before)
            .collect::<Vec<_>>(),
        [6, 7, 8, 9]
    );
    assert_eq!(
        session
            .journal()
            .edges_since(8)
            .map(|edge| edge.before)
            .collect::<Vec<_>>(),
        [8, 9]
    );
    session.journal_mut().set_edge_capacity(0);
    session.set_irq_in("ioapic", None, 1, 1).unwrap();
    session.sync().unwrap();
    assert_eq!(session.journal().edges().len(), 0);
    assert!(session.journal().level(1));
}

#[test]
fn a_second_device_is_refused_by_the_server() {
    let mut session = Fake::machine().session();
    session.irq_intercept_in("ioapic").unwrap();
    let error = session.irq_intercept_in("i8259").unwrap_err();
    assert_second(&error, "irq_intercept_in ioapic");
}

#[test]
fn a_device_intercepted_by_another_session_is_told_apart() {
    let error = Fake::saying(b"FAIL IRQ intercept already enabled\n")
        .session()
        .irq_intercept_in("i8259")
        .unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::SecondIntercept { installed: None }),
        "{error}"
    );
}

#[test]
fn a_second_list_of_the_same_device_is_an_error_although_the_server_says_ok() {
    let mut session = Fake::machine().session();
    session.irq_intercept_out("ioapic", Some("a")).unwrap();
    for name in [None, Some("b")] {
        let error = session.irq_intercept_out("ioapic", name).unwrap_err();
        assert_second(&error, "irq_intercept_out ioapic a");
    }
    assert!(session.irq_intercept_in("ioapic").is_err());
    session.irq_intercept_out("ioapic", Some("a")).unwrap();
}

#[test]
fn an_intercept_that_failed_does_not_count() {
    let mut session = Fake::machine().session();
    session.irq_intercept_in("nobody").unwrap_err();
    session.irq_intercept_in("ioapic").unwrap();
}

#[test]
fn a_wait_for_an_edge_ends_with_it() {
    let mut session = Fake::machine().session();
    session.outb(0x70, 1).unwrap();
    session.sync().unwrap();
    session.transport_mut().say(b"IRQ raise 3\n");
    assert!(
        session
            .wait_for_edge(Instant::now() + Duration::from_secs(60))
            .unwrap()
    );
    assert_eq!(edges(&session), [edge(3, true, 1)]);
}

#[test]
fn a_wait_for_an_edge_sends_what_is_queued() {
    let mut session = Fake::machine().session();
    session.set_irq_in("ioapic", None, 3, 1).unwrap();
    assert!(
        session
            .wait_for_edge(Instant::now() + Duration::from_secs(60))
            .unwrap()
    );
}

#[test]
fn a_wait_for_an_edge_that_does_not_come_ends_at_its_deadline() {
    let mut session = Fake::machine().session();
    assert!(!session.wait_for_edge(Instant::now() + MOMENT).unwrap());
    session.set_deadline(Some(Instant::now() + MOMENT));
    assert!(
        !session
            .wait_for_edge(Instant::now() + Duration::from_secs(60))
            .unwrap()
    );
    session.set_deadline(None);
    assert_eq!(
        session.inb(0x70).unwrap(),
        0,
        "an edge that did not come breaks nothing"
    );
}

#[test]
fn edges_that_are_waited_for_are_no_flood() {
    let mut session = Fake::machine().session();
    session.set_limits(Limits {
        edges: 2,
        ..Limits::default()
    });
    for _ in 0..10 {
        session.transport_mut().say(b"IRQ raise 1\nIRQ lower 1\n");
        assert!(session.wait_for_edge(Instant::now() + MOMENT).unwrap());
    }
}

#[test]
fn a_flood_of_edges_ends_the_session() {
    let mut session = Fake::new(|_, out| {
        for _ in 0..60 {
            out.extend(b"IRQ raise 1\nIRQ lower 1\n");
        }
        out.extend(b"OK\n");
    })
    .session();
    session.set_limits(Limits {
        edges: 120,
        ..Limits::default()
    });
    session.outb(0x70, 1).unwrap();
    session.sync().unwrap();
    session.outb(0x70, 1).unwrap();
    session.sync().unwrap();
    session.set_limits(Limits {
        edges: 119,
        ..Limits::default()
    });
    session.outb(0x70, 1).unwrap();
    let error = session.sync().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Flood { limit: 119 }),
        "{error}"
    );
    assert_eq!(error.command(), Some("outb 0x70 0x1"));
    assert!(session.poison().is_some());
}
