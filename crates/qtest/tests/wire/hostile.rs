//! Peers that talk nonsense: typed errors, no panic, bounded memory, and nothing is believed
//! afterwards.

use std::io;
use std::time::{Duration, Instant};

use testjig_qtest::{Command, Encoding, ErrorKind, Length, Limits, Progress, Session, Transport};

use crate::fake::Fake;

fn read_block(len: u32, encoding: Encoding) -> Command {
    Command::ReadBlock {
        addr: 0,
        len: Length::new(len).unwrap(),
        encoding,
    }
}

#[track_caller]
fn assert_malformed(
    says: &[u8],
    ask: impl FnOnce(&mut Session<Fake>) -> testjig_qtest::Result<()>,
) {
    let mut session = Fake::saying(says).session();
    let error = ask(&mut session).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Malformed { .. }),
        "{}: {error}",
        says.escape_ascii()
    );
    assert!(error.is_fatal());
    let after = session.inb(0).unwrap_err();
    let ErrorKind::Poisoned { first } = after.kind() else {
        panic!("{after}")
    };
    assert!(matches!(first.kind(), ErrorKind::Malformed { .. }));
}

#[test]
fn a_line_that_is_no_reply_ends_the_session() {
    for line in [
        "",
        " ",
        "ok",
        "OKAY",
        "OK\r",
        "0x12",
        "FAILURE",
        "ERROR 5",
        "IRQ",
        "IRQ raise",
        "IRQ raise ",
        "IRQ raise x",
        "IRQ raise -1",
        "IRQ raise 65536",
        "IRQ raise 99999999999999999999",
        "IRQ toggle 3",
        "IRQ raise 3 ",
        "\0",
        "\u{ff}",
        " OK 0x0000",
        "OK 0x0000\0",
    ] {
        assert_malformed(format!("{line}\n").as_bytes(), |session| {
            session.inb(0).map(drop)
        });
    }
}

#[test]
fn a_reply_to_another_command_ends_the_session() {
    for line in [
        "OK",
        "OK ",
        "OK 5",
        "OK 0x",
        "OK 0xg",
        "OK 0x100",
        "OK 0x10000000000000000",
        "OK 0x5 ",
        "OK  0x5",
        "OK little",
        "OK -0x5",
    ] {
        assert_malformed(format!("{line}\n").as_bytes(), |session| {
            session.inb(0).map(drop)
        });
    }
    assert_malformed(b"OK 0x5\n", |session| {
        session.outb(0, 0)?;
        session.sync()
    });
    for line in ["OK", "OK -1", "OK 0x5", "OK 9223372036854775808", "OK 5ns"] {
        let step = |session: &mut Session<Fake>| session.clock_step_next().map(drop);
        assert_malformed(format!("{line}\n").as_bytes(), step);
    }
    for line in ["OK", "OK Little", "OK middle"] {
        assert_malformed(format!("{line}\n").as_bytes(), |session| {
            session.endianness().map(drop)
        });
    }
}

#[test]
fn a_block_has_the_length_that_was_asked_for() {
    for line in [
        "OK",
        "OK 0x",
        "OK 0x01",
        "OK 0x010",
        "OK 0102",
        "OK 0x0102 ",
        "OK 0x010203",
        "OK 0x01zz",
        "OK 0x0x0102",
    ] {
        assert_malformed(format!("{line}\n").as_bytes(), |session| {
            session.run(&[read_block(2, Encoding::Hex)]).map(drop)
        });
    }
    for line in [
        "OK",
        "OK AQ==",
        "OK AQI",
        "OK AQI= ",
        "OK AQID",
        "OK AQIDBA==",
        "OK ====",
        "OK A?I=",
        "OK AQJ=",
    ] {
        assert_malformed(format!("{line}\n").as_bytes(), |session| {
            session.run(&[read_block(2, Encoding::Base64)]).map(drop)
        });
    }
    let mut buffer = [0; 2];
    assert_malformed(b"OK AQID\n", |session| session.read(0, &mut buffer));
}

#[test]
fn a_reply_that_nobody_asked_for_ends_the_session() {
    for line in ["OK", "OK 0x5", "FAIL no", "ERR"] {
        let mut session = Fake::saying(format!("OK 0x0001\n{line}\n").as_bytes()).session();
        let error = session.inb(0).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::UnexpectedReply { line: it } if it == line),
            "{error}"
        );
    }
}

#[test]
fn a_reply_too_few_is_waited_for() {
    let mut session = Fake::saying(b"OK\nOK 0x0001\n").session();
    session.set_timeout(crate::fake::MOMENT);
    session.outb(1, 0).unwrap();
    session.outb(2, 0).unwrap();
    // The value of the read comes as the answer to the second write.
    assert!(matches!(
        session.inb(3).unwrap_err().kind(),
        ErrorKind::Malformed { .. }
    ));

    let mut session = Fake::saying(b"OK\n").session();
    session.set_timeout(crate::fake::MOMENT);
    session.outb(1, 0).unwrap();
    session.outb(2, 0).unwrap();
    let error = session.sync().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::TimedOut { .. }),
        "{error}"
    );
    assert_eq!(error.command(), Some("outb 0x2 0x0"));
}

/// Says one byte for ever, and counts.
struct Endless {
    says: &'static [u8],
    said: usize,
    /// Most bytes that were wanted at once.
    room: usize,
}

impl Endless {
    fn saying(says: &'static [u8]) -> Session<Self> {
        Session::new(Self {
            says,
            said: 0,
            room: 0,
        })
    }
}

impl Transport for Endless {
    fn exchange(&mut self, out: &[u8], input: &mut [u8], _: Instant) -> io::Result<Progress> {
        self.room = self.room.max(input.len());
        for byte in &mut *input {
            *byte = self.says[self.said % self.says.len()];
            self.said += 1;
        }
        Ok(Progress {
            written: out.len(),
            read: input.len(),
            closed: false,
        })
    }
}

#[test]
fn a_line_without_end_ends_the_session() {
    for says in [&b"A"[..], b"O", b"\0", b"\xff"] {
        let mut session = Endless::saying(says);
        let error = session.inb(0).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::TooLong { limit: 65_536, .. }),
            "{error}"
        );
        assert!(
            session.transport().said <= 65_537 + 32_768,
            "{}",
            session.transport().said
        );
    }
}

#[test]
fn a_line_is_as_long_as_the_request_suggests() {
    let mut session = Endless::saying(b"A");
    let error = session
        .run(&[read_block(1 << 20, Encoding::Hex)])
        .unwrap_err();
    let limit = "OK 0x".len() + (2 << 20);
    assert!(
        matches!(error.kind(), ErrorKind::TooLong { limit: it, .. } if *it == limit),
        "{error}"
    );
    assert!(session.transport().said <= limit + 1);

    let mut session = Endless::saying(b"A");
    session.set_limits(Limits {
        line: 10,
        ..Limits::default()
    });
    assert!(matches!(
        session.inb(0).unwrap_err().kind(),
        ErrorKind::TooLong { limit: 10, .. }
    ));
    let mut session = Fake::saying(b"FAIL 1234567\n").session();
    session.set_limits(Limits {
        line: 11,
        ..Limits::default()
    });
    assert!(matches!(
        session.inb(0).unwrap_err().kind(),
        ErrorKind::TooLong { limit: 11, .. }
    ));
}

#[test]
fn the_longest_reply_is_taken_even_so() {
    for encoding in [Encoding::Hex, Encoding::Base64] {
        let mut session = Fake::machine().in_pieces_of(10_000).session();
        session.set_limits(Limits {
            line: 5,
            ..Limits::default()
        });
        let replies = session.run(&[read_block(1 << 20, encoding)]).unwrap();
        assert_eq!(replies, [testjig_qtest::Reply::Bytes(vec![0; 1 << 20])]);
    }
}

#[test]
fn edges_without_end_end_the_session_in_bounded_memory() {
    let mut session = Endless::saying(b"IRQ raise 65535\nIRQ lower 7\n");
    let error = session.inb(0).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Flood { limit: 1_048_576 }),
        "{error}"
    );
    assert_eq!(session.journal().edges().len(), 65_536);
    assert!(session.transport().room <= 32 * 1024);
}

#[test]
fn lines_without_end_end_the_session_at_the_first_too_many() {
    let error = Endless::saying(b"OK 0x0000\n").inb(0).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::UnexpectedReply { .. }),
        "{error}"
    );
}

/// Claims to have moved bytes that it was not given.
struct Liar(Progress);

impl Transport for Liar {
    fn exchange(&mut self, _: &[u8], _: &mut [u8], _: Instant) -> io::Result<Progress> {
        Ok(self.0)
    }
}

#[test]
fn a_transport_that_lies_ends_the_session() {
    let (written, read) = (usize::MAX, usize::MAX);
    for progress in [
        Progress {
            written,
            ..Progress::default()
        },
        Progress {
            read,
            ..Progress::default()
        },
    ] {
        let error = Session::new(Liar(progress)).inb(0).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Io(_)), "{error}");
    }
}

/// Fails each time.
struct Broken;

impl Transport for Broken {
    fn exchange(&mut self, _: &[u8], _: &mut [u8], _: Instant) -> io::Result<Progress> {
        Err(io::Error::other("cable pulled"))
    }
}

#[test]
fn a_transport_that_fails_ends_the_session() {
    let mut session = Session::new(Broken);
    let error = session.inb(0x71).unwrap_err();
    assert!(error.to_string().contains("cable pulled"), "{error}");
    assert_eq!(error.command(), Some("inb 0x71"));
    let line = line!() + 1;
    let later = session.outb(0x70, 1).unwrap_err();
    assert_eq!(later.command(), Some("outb 0x70 0x1"));
    assert_eq!(later.location().unwrap().line(), line);
    assert!(later.to_string().contains("`inb 0x71`"), "{later}");
}

#[test]
fn an_unusable_session_refuses_every_call() {
    type Call<'a> = &'a dyn Fn(&mut Session<Fake>) -> testjig_qtest::Result<()>;

    let mut session = Fake::saying(b"nonsense\n").session();
    session.inb(0).unwrap_err();
    let deadline = Instant::now() + Duration::from_secs(60);
    let calls: [Call<'_>; 14] = [
        &|it| it.sync(),
        &|it| it.outb(0, 0),
        &|it| it.readq(0).map(drop),
        &|it| it.writeq(0, 0),
        &|it| it.read(0, &mut [0; 4]),
        &|it| it.read(0, &mut []),
        &|it| it.write(0, &[0; 4]),
        &|it| it.memset(0, 4, 0),
        &|it| it.clock_now().map(drop),
        &|it| it.irq_intercept_in("ioapic"),
        &|it| it.set_irq_in("ioapic", None, 0, 0),
        &|it| it.run(&[]).map(drop),
        &|it| it.run_each(&[Command::Endianness]).map(drop),
        &|it| it.wait_for_edge(deadline).map(drop),
    ];
    for (nr, call) in calls.iter().enumerate() {
        let error = call(&mut session).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Poisoned { .. }),
            "{nr}: {error}"
        );
    }
}
