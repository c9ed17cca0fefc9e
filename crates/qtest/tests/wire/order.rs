//! One order: operations reach the server as they were called, and replies their callers.

use std::time::Duration;

use testjig_qtest::{Command, Encoding, Endianness, Length, PortWidth, Reply, Width};

use crate::fake::{Fake, pattern, write_block};

fn inb(port: u16) -> Command {
    Command::In {
        width: PortWidth::B,
        port,
    }
}

fn outb(port: u16, value: u8) -> Command {
    Command::Out {
        width: PortWidth::B,
        port,
        value: value.into(),
    }
}

#[test]
fn each_width_reads_back_what_it_wrote() {
    let mut session = Fake::machine().session();
    session.outb(0x10, 0xff).unwrap();
    session.outw(0x20, 0xfffe).unwrap();
    session.outl(0x30, 0xffff_fffd).unwrap();
    session.writeb(0x1000, 0xfc).unwrap();
    session.writew(0x2000, 0xfffb).unwrap();
    session.writel(0x3000, 0xffff_fffa).unwrap();
    session.writeq(0x4000, u64::MAX - 6).unwrap();
    assert_eq!(session.inb(0x10).unwrap(), 0xff);
    assert_eq!(session.inw(0x20).unwrap(), 0xfffe);
    assert_eq!(session.inl(0x30).unwrap(), 0xffff_fffd);
    assert_eq!(session.readb(0x1000).unwrap(), 0xfc);
    assert_eq!(session.readw(0x2000).unwrap(), 0xfffb);
    assert_eq!(session.readl(0x3000).unwrap(), 0xffff_fffa);
    assert_eq!(session.readq(0x4000).unwrap(), u64::MAX - 6);
}

#[test]
fn a_queued_write_travels_with_the_next_read() {
    let mut session = Fake::machine().session();
    session.outb(0x70, 1).unwrap();
    session.outb(0x70, 2).unwrap();
    assert_eq!(session.transport().exchanges, 0);
    assert_eq!(session.inb(0x70).unwrap(), 2);
    assert_eq!(session.transport().exchanges, 1);
    assert_eq!(
        session.transport().seen,
        [outb(0x70, 1), outb(0x70, 2), inb(0x70)]
    );
}

#[test]
fn sync_sends_what_is_queued_and_waits_for_the_answers() {
    let mut session = Fake::machine().in_pieces_of(1).session();
    session.writel(0x1000, 7).unwrap();
    assert_eq!(session.journal().unanswered(), 1);
    session.sync().unwrap();
    assert_eq!(session.journal().unanswered(), 0);
    assert_eq!(
        session.transport().seen,
        [Command::Write {
            width: Width::L,
            addr: 0x1000,
            value: 7
        }]
    );
}

#[test]
fn a_dropped_session_sends_nothing() {
    let mut fake = Fake::machine();
    let mut session = testjig_qtest::Session::new(&mut fake);
    session.outb(0x70, 1).unwrap();
    drop(session);
    assert_eq!(fake.exchanges, 0);
}

#[test]
fn a_batch_answers_each_command_in_its_place() {
    let mut session = Fake::machine().session();
    session.outb(0x70, 3).unwrap();
    let replies = session
        .run(&[
            inb(0x70),
            outb(0x70, 4),
            inb(0x70),
            Command::ClockStep(None),
            Command::Endianness,
            write_block(0x1000, &[1, 2, 3], Encoding::Hex),
            Command::ReadBlock {
                addr: 0x1001,
                len: Length::new(3).unwrap(),
                encoding: Encoding::Base64,
            },
        ])
        .unwrap();
    assert_eq!(
        replies,
        [
            Reply::Value(3),
            Reply::Done,
            Reply::Value(4),
            Reply::Nanos(1_000_000.into()),
            Reply::Endianness(Endianness::Big),
            Reply::Done,
            Reply::Bytes(vec![2, 3, 0]),
        ]
    );
}

#[test]
fn an_empty_batch_has_no_replies_but_waits_for_what_is_queued() {
    let mut session = Fake::machine().session();
    session.outb(0x70, 3).unwrap();
    assert_eq!(session.run(&[]).unwrap(), []);
    assert_eq!(session.journal().unanswered(), 0);
}

#[test]
fn a_batch_larger_than_the_window_keeps_its_order() {
    let commands: Vec<_> = (0..10_000)
        .flat_map(|nr| [outb(0x70, nr as u8), inb(0x70)])
        .collect();
    let mut session = Fake::machine()
        .impatient_at(100)
        .in_pieces_of(333)
        .session();
    let replies = session.run(&commands).unwrap();
    let expected: Vec<_> = (0..10_000_u64)
        .flat_map(|nr| [Reply::Done, Reply::Value(nr & 0xff)])
        .collect();
    assert!(replies == expected);
    assert!(session.transport().seen == commands);
}

#[test]
fn queued_writes_beyond_the_window_are_sent_meanwhile() {
    let mut session = Fake::machine().session();
    for nr in 0..100_000 {
        session.outw(0x70, nr as u16).unwrap();
        assert!(session.journal().unanswered() <= 1024);
    }
    assert_eq!(session.inw(0x70).unwrap(), 99_999_u32 as u16);
    assert_eq!(session.transport().seen.len(), 100_001);
}

#[test]
fn replies_in_pieces_of_any_size_are_put_together() {
    for grain in 1..40 {
        let mut session = Fake::machine().in_pieces_of(grain).session();
        session.writeq(0x1000, 0x0123_4567_89ab_cdef).unwrap();
        session.set_irq_in("ioapic", None, 3, 1).unwrap();
        let mut bytes = [0; 5];
        session.read(0x1002, &mut bytes).unwrap();
        assert_eq!(bytes, [0xab, 0x89, 0x67, 0x45, 0x23], "{grain}");
        assert_eq!(
            session.clock_step(Duration::from_nanos(5)).unwrap(),
            5,
            "{grain}"
        );
        assert!(session.journal().level(3), "{grain}");
    }
}

#[test]
fn blocks_of_any_length_read_back() {
    for len in [
        0, 1, 2, 3, 16, 4095, 8191, 8192, 8193, 32_768, 32_769, 200_000,
    ] {
        let mut session = Fake::machine().session();
        let bytes = pattern(len);
        session.write(0x10_0000, &bytes).unwrap();
        let mut back = vec![0xff; len];
        session.read(0x10_0000, &mut back).unwrap();
        assert!(back == bytes, "{len}");
    }
}

#[test]
fn a_block_may_wrap_at_the_end_of_the_address_space() {
    let mut session = Fake::machine().session();
    let bytes = pattern(20_000);
    session.write(u64::MAX - 9_999, &bytes).unwrap();
    assert_eq!(session.readb(0).unwrap(), bytes[10_000]);
    let mut back = vec![0; bytes.len()];
    session.read(u64::MAX - 9_999, &mut back).unwrap();
    assert!(back == bytes);
    session.memset(u64::MAX, 3, 0x5a).unwrap();
    assert_eq!(session.readb(1).unwrap(), 0x5a);
}

#[test]
fn no_line_of_a_block_write_exceeds_16_kib() {
    let bytes = pattern(100_000);
    for encoding in [Encoding::Hex, Encoding::Base64] {
        let mut session = Fake::machine().session();
        let replies = session
            .run(&[inb(1), write_block(0x1000, &bytes, encoding), inb(2)])
            .unwrap();
        assert_eq!(replies, [Reply::Value(0), Reply::Done, Reply::Value(0)]);
        for command in &session.transport().seen {
            let mut line = Vec::new();
            command.encode(&mut line);
            assert!(line.len() <= 16 * 1024, "{}", line.len());
        }
        let mut back = vec![0; bytes.len()];
        session.read(0x1000, &mut back).unwrap();
        assert!(back == bytes);
    }
}

#[test]
fn a_long_fill_is_split() {
    let mut session = Fake::new(|_, out| out.extend(b"OK\n")).session();
    session.memset(0x1000, 0, 9).unwrap();
    session.memset(0x1000, (2 << 20) + 5, 9).unwrap();
    session.sync().unwrap();
    let fill = |addr, len| Command::Memset {
        addr,
        len: Length::new(len).unwrap(),
        value: 9,
    };
    assert_eq!(
        session.transport().seen,
        [
            fill(0x1000, 1 << 20),
            fill(0x10_1000, 1 << 20),
            fill(0x20_1000, 5)
        ]
    );
}

#[test]
fn the_clock_moves_and_tells_its_time() {
    let mut session = Fake::machine().session();
    assert_eq!(session.clock_now().unwrap(), 0);
    assert_eq!(session.clock_step(Duration::from_micros(3)).unwrap(), 3_000);
    assert_eq!(session.clock_now().unwrap(), 3_000);
    assert_eq!(session.clock_step_next().unwrap(), 1_003_000);
    assert_eq!(session.clock_set(2_000_000).unwrap(), 2_000_000);
    assert_eq!(session.clock_step(Duration::ZERO).unwrap(), 2_000_000);
}

#[test]
fn the_byte_order_is_the_servers() {
    assert_eq!(
        Fake::saying(b"OK little\n").session().endianness().unwrap(),
        Endianness::Little
    );
    assert_eq!(
        Fake::saying(b"OK big\n").session().endianness().unwrap(),
        Endianness::Big
    );
}

#[test]
fn the_journal_tells_what_was_done_where() {
    let mut session = Fake::machine().session();
    session.outb(0x70, 0x0b).unwrap();
    let line = line!() - 1;
    session.inb(0x70).unwrap();
    session.write(0x1000, &pattern(100)).unwrap();
    session.sync().unwrap();
    let entries: Vec<_> = session.journal().entries().collect();
    assert_eq!(
        entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    assert_eq!(entries[0].command, outb(0x70, 0x0b));
    assert_eq!(entries[0].reply, Some(Reply::Done));
    assert_eq!(entries[0].location.file(), file!());
    assert_eq!(entries[0].location.line(), line);
    assert_eq!(entries[1].to_string(), "inb 0x70 → 0xb");
    assert_eq!(entries[2].elided, 100 - 32);
    assert_eq!(
        entries[2].command,
        write_block(0x1000, &pattern(32), Encoding::Base64)
    );
}

#[test]
fn the_journal_keeps_the_last_operations_and_counts_the_others() {
    let mut session = Fake::machine().session();
    session.journal_mut().set_capacity(3);
    for nr in 0..10 {
        session.outb(0x70, nr).unwrap();
    }
    assert_eq!(
        session.journal().entries().len(),
        10,
        "none is answered yet"
    );
    session.sync().unwrap();
    assert_eq!(session.journal().dropped(), 7);
    assert_eq!(
        session
            .journal()
            .entries()
            .map(|entry| entry.seq)
            .collect::<Vec<_>>(),
        [7, 8, 9]
    );
    assert!(session.journal().entry(6).is_none());
    assert_eq!(session.journal().entry(8).unwrap().command, outb(0x70, 8));
    session.journal_mut().set_capacity(0);
    assert_eq!(session.inb(0x70).unwrap(), 9);
    assert_eq!(session.journal().entries().len(), 0);
    assert_eq!(session.journal().issued(), 11);
}
