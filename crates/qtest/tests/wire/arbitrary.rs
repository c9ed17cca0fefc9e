//! Arbitrary bytes: whatever the peer says, a call ends, and ends in a value or a typed error.

use std::io;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngAlgorithm;
use testjig_qtest::{
    Command, Encoding, Endianness, Length, Line, PortWidth, Progress, Reply, Session, Shape,
    Transport, Width,
};

/// Answers each request as the next byte of its program says: well, or with nonsense. Hangs up
/// when it is waited for in vain.
struct Moody<'a> {
    program: &'a [u8],
    request: Vec<u8>,
    due: Vec<u8>,
    /// Most bytes that it says at once.
    piece: usize,
}

impl Moody<'_> {
    fn answer(&mut self, command: &Command) {
        let Some((mood, later)) = self.program.split_first() else {
            return;
        };
        self.program = later;
        let fragment = DICTIONARY[usize::from(mood % 32)];
        match *mood {
            0..208 => {
                if mood % 8 == 0 {
                    self.due.extend_from_slice(b"IRQ raise 3\nIRQ lower 3\n");
                }
                well(command.shape()).encode(command.shape(), &mut self.due);
                match mood % 32 {
                    9 | 17 => self.due.extend_from_slice(b"IRQ raise 4\n"),
                    25 => self.due.extend_from_slice(b"OK\n"),
                    _ => {}
                }
            }
            208..240 => self.due.extend_from_slice(fragment),
            _ => self.due.extend_from_slice(&[*mood, b'\n']),
        }
    }
}

impl Transport for Moody<'_> {
    fn exchange(&mut self, out: &[u8], input: &mut [u8], _: Instant) -> io::Result<Progress> {
        for byte in out {
            if *byte != b'\n' {
                self.request.push(*byte);
                continue;
            }
            let command =
                Command::parse(&self.request).expect("a request that a server understands");
            self.request.clear();
            self.answer(&command);
        }
        let read = self.piece.min(self.due.len()).min(input.len());
        input[..read].copy_from_slice(&self.due[..read]);
        self.due.drain(..read);
        // Who waits for more than it says, waits for nothing.
        let closed = out.is_empty() && read == 0;
        Ok(Progress {
            written: out.len(),
            read,
            closed,
        })
    }
}

/// A good reply.
fn well(shape: Shape) -> Reply {
    match shape {
        Shape::Port(_) | Shape::Value(_) => Reply::Value(0x7f),
        Shape::Bytes { len, .. } => Reply::Bytes(vec![0xa5; len.get() as usize]),
        Shape::Nanos => Reply::Nanos(1000.into()),
        Shape::Endianness => Reply::Endianness(Endianness::Big),
        Shape::Text => Reply::Text("0 a0".into()),
        _ => Reply::Done,
    }
}

/// What a server's lines are made of.
const DICTIONARY: [&[u8]; 32] = [
    b"OK",
    b"\n",
    b" ",
    b"OK\n",
    b"OK 0x0000\n",
    b"OK 0x",
    b"0",
    b"12",
    b"ff",
    b"AQIDBA==",
    b"01020304",
    b"little",
    b"FAIL",
    b"ERR",
    b"FAIL Unknown command 'x'\n",
    b"FAIL IRQ intercept already enabled\n",
    b"FAIL 7\n",
    b"FAIL\n",
    b"IRQ ",
    b"IRQ raise 3\n",
    b"IRQ lower 3\n",
    b"raise ",
    b"lower ",
    b"65535",
    b"65536",
    b"-1",
    b"OK 1000\n",
    b"OK big\n",
    b"OK 0x01020304\n",
    b"OK AQIDBA==\n",
    b"9223372036854775807",
    b"OK 0 a0\n",
];

/// Takes each byte for an entry of the dictionary if it is small, else for itself.
fn spell(program: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for byte in program {
        match DICTIONARY.get(usize::from(*byte / 4)) {
            Some(fragment) => bytes.extend_from_slice(fragment),
            None => bytes.push(byte.wrapping_mul(37)),
        }
    }
    bytes
}

/// A call of the kind that `which` chooses.
fn call(session: &mut Session<Moody<'_>>, which: u8) -> testjig_qtest::Result<()> {
    match which % 16 {
        0 => session.inb(0x71).map(drop),
        1 => session.outb(0x70, 1),
        2 => session.readq(0x1000).map(drop),
        3 => session.read(0x1000, &mut [0; 4]),
        4 => session.write(0x1000, &[0; 40]),
        5 => session.clock_step_next().map(drop),
        6 => session.clock_now().map(drop),
        7 => session.irq_intercept_in("ioapic"),
        8 => session.irq_intercept_out("ioapic", Some("a")),
        9 => session.set_irq_in("ioapic", None, 1, 1),
        10 => session.endianness().map(drop),
        11 => session
            .extension(&testjig_qtest::Csr::get(0, 0x300).unwrap())
            .map(drop),
        12 => session.sync(),
        13 => session.wait_for_edge(Instant::now()).map(drop),
        14 => session.run(&batch()).map(drop),
        _ => session.run_each(&batch()).map(drop),
    }
}

fn batch() -> [Command; 3] {
    let len = Length::new(4).unwrap();
    [
        Command::In {
            width: PortWidth::W,
            port: 1,
        },
        Command::ReadBlock {
            addr: 0,
            len,
            encoding: Encoding::Hex,
        },
        Command::ReadBlock {
            addr: 0,
            len,
            encoding: Encoding::Base64,
        },
    ]
}

fn feed(program: &[u8], calls: [u8; 6], piece: u8) -> Result<(), TestCaseError> {
    let piece = usize::from(piece % 24) + 1;
    let moody = Moody {
        program,
        request: Vec::new(),
        due: Vec::new(),
        piece,
    };
    let mut session = Session::new(moody);
    session.set_timeout(Duration::from_secs(1));
    session.journal_mut().set_capacity(8);
    session.journal_mut().set_edge_capacity(8);
    for which in calls {
        let usable = session.poison().is_none();
        let result = call(&mut session, which);
        if let Err(error) = result {
            prop_assert!(!error.to_string().is_empty());
            prop_assert_eq!(error.is_fatal(), session.poison().is_some());
        } else {
            prop_assert!(usable, "an unusable session did something");
        }
    }
    let journal = session.journal();
    prop_assert!(journal.answered() <= journal.issued());
    prop_assert!(journal.entries().len() as u64 <= journal.unanswered().max(8));
    prop_assert!(journal.edges().len() <= 8);
    Ok(())
}

fn parse(program: &[u8]) {
    let bytes = spell(program);
    let len = Length::new(4).unwrap();
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = Command::parse(line);
        let _ = Line::parse(line);
        for shape in [
            Shape::Done,
            Shape::Value(Width::L),
            Shape::Bytes {
                len,
                encoding: Encoding::Hex,
            },
            Shape::Bytes {
                len,
                encoding: Encoding::Base64,
            },
            Shape::Nanos,
            Shape::Endianness,
            Shape::Text,
        ] {
            if let Some(reply) = Reply::parse(line, shape) {
                let mut again = Vec::new();
                reply.encode(shape, &mut again);
                again.pop();
                assert_eq!(
                    Reply::parse(&again, shape).map(|reply| reply.to_string()),
                    Some(reply.to_string())
                );
            }
        }
    }
}

/// Many cases: with the cheaper generator, since the usual one would take most of the time.
fn many(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(many(1_000_000))]

    #[test]
    fn a_million_peers_that_say_anything(
        program in vec(any::<u8>(), 0..16),
        calls: [u8; 6],
        piece: u8,
    ) {
        feed(&program, calls, piece)?;
    }
}

proptest! {
    #![proptest_config(many(250_000))]

    #[test]
    fn a_quarter_million_lines_that_say_anything(program in vec(any::<u8>(), 0..16)) {
        parse(&program);
    }
}
