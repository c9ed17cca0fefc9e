//! Waits: each has an end, and says what it waited for and what it saw.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use testjig_qtest::{ErrorKind, Progress, Session, Transport};

use crate::fake::{Fake, MOMENT};

#[test]
fn a_wait_ends_at_its_timeout_and_says_so() {
    let mut session = Fake::new(|_, _| ()).session();
    session.set_timeout(MOMENT);
    session.outb(0x70, 1).unwrap();
    let begin = Instant::now();
    let error = session.inb(0x71).unwrap_err();
    assert!(begin.elapsed() >= MOMENT);
    let ErrorKind::TimedOut {
        after,
        waiting_for,
        saw,
    } = error.kind()
    else {
        panic!("{error}")
    };
    assert!((MOMENT..500 * MOMENT).contains(after), "{after:?}");
    assert_eq!(waiting_for, "its reply, the first of 2");
    assert_eq!(saw, "nothing");
    assert_eq!(error.command(), Some("outb 0x70 0x1"));
}

#[test]
fn a_timeout_shows_the_half_line_that_came() {
    let mut session = Fake::saying(b"OK 0x0").session();
    session.set_timeout(MOMENT);
    let error = session.inb(0x71).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::TimedOut { saw, .. } if saw == "half a line, `OK 0x0`"),
        "{error}"
    );
}

#[test]
fn a_timeout_shows_the_edges_that_came() {
    let mut session = Fake::saying(b"IRQ raise 1\nIRQ lower 1\n").session();
    session.set_timeout(MOMENT);
    let error = session.inb(0x71).unwrap_err();
    let ErrorKind::TimedOut { saw, .. } = error.kind() else {
        panic!("{error}");
    };
    assert_eq!(saw, "2 interrupt edges and no reply");
    assert_eq!(session.journal().edges().len(), 2);
}

#[test]
fn a_reply_after_the_timeout_is_not_believed() {
    let mut session = Fake::new(|_, _| ()).session();
    session.set_timeout(MOMENT);
    session.inb(0x71).unwrap_err();
    session.transport_mut().say(b"OK 0x0001\n");
    let error = session.inb(0x71).unwrap_err();
    let ErrorKind::Poisoned { first } = error.kind() else {
        panic!("{error}")
    };
    assert!(matches!(first.kind(), ErrorKind::TimedOut { .. }));
    assert_eq!(session.poison().unwrap().to_string(), first.to_string());
}

#[test]
fn a_deadline_ends_a_wait_before_its_timeout() {
    let mut session = Fake::new(|_, _| ()).session();
    session.set_deadline(Some(Instant::now() + MOMENT));
    let error = session.inb(0x71).unwrap_err();
    let ErrorKind::TimedOut { after, .. } = error.kind() else {
        panic!("{error}");
    };
    assert!(*after < Duration::from_secs(5), "{after:?}");
}

#[test]
fn what_is_answered_at_once_does_not_mind_a_deadline_in_the_past() {
    let mut session = Fake::machine().session();
    session.set_deadline(Some(Instant::now()));
    assert_eq!(session.inb(0x71).unwrap(), 0);
}

#[test]
fn the_longest_timeout_overflows_nothing() {
    let mut session = Fake::machine().session();
    session.set_timeout(Duration::MAX);
    assert_eq!(session.inb(0x71).unwrap(), 0);
}

/// Sends one piece of what it says each 10 ms.
struct Slow {
    pieces: Vec<&'static [u8]>,
}

impl Transport for Slow {
    fn exchange(
        &mut self,
        out: &[u8],
        input: &mut [u8],
        deadline: Instant,
    ) -> io::Result<Progress> {
        if !out.is_empty() {
            return Ok(Progress {
                written: out.len(),
                ..Progress::default()
            });
        }
        let piece = if self.pieces.is_empty() {
            &b""[..]
        } else {
            self.pieces.remove(0)
        };
        let next = (Instant::now() + Duration::from_millis(10)).min(deadline);
        while let Some(left) = next
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        {
            thread::park_timeout(left);
        }
        input[..piece.len()].copy_from_slice(piece);
        Ok(Progress {
            read: piece.len(),
            ..Progress::default()
        })
    }
}

#[test]
fn each_reply_has_a_timeout_of_its_own() {
    let mut session = Session::new(Slow {
        pieces: vec![b"OK\n"; 20],
    });
    session.set_timeout(Duration::from_millis(100));
    for nr in 0..20 {
        session.outb(0x70, nr).unwrap();
    }
    session.sync().unwrap();
}

#[test]
fn a_line_that_comes_in_drops_is_no_reply() {
    let mut session = Session::new(Slow {
        pieces: vec![b"O"; 1000],
    });
    session.set_timeout(Duration::from_millis(50));
    let begin = Instant::now();
    let error = session.inb(0x70).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::TimedOut { .. }),
        "{error}"
    );
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn edges_are_no_reply() {
    let mut session = Session::new(Slow {
        pieces: vec![b"IRQ raise 1\n"; 1000],
    });
    session.set_timeout(Duration::from_millis(50));
    assert!(matches!(
        session.inb(0x70).unwrap_err().kind(),
        ErrorKind::TimedOut { .. }
    ));
}

#[test]
fn a_deadline_ends_a_batch_that_goes_on() {
    let mut session = Session::new(Slow {
        pieces: vec![b"OK\n"; 1000],
    });
    session.set_deadline(Some(Instant::now() + Duration::from_millis(100)));
    for _ in 0..500 {
        session.outb(0x70, 0).unwrap();
    }
    let begin = Instant::now();
    let error = session.sync().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::TimedOut { .. }),
        "{error}"
    );
    assert!(begin.elapsed() < Duration::from_secs(4));
    assert!(session.journal().answered() > 0);
}
