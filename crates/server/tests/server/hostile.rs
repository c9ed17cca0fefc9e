//! Input that nobody should send: no panic, and no memory without bound.
//!
//! `TESTJIG_HOSTILE_INPUTS` says how many inputs; 200,000 unless set.

use testjig_server::qmp::Monitor;
use testjig_server::{Limits, Server};

use crate::board::Board;

/// xorshift64: the same inputs every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

fn inputs() -> usize {
    std::env::var("TESTJIG_HOSTILE_INPUTS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(200_000)
}

const WORDS: &[&str] = &[
    "inb",
    "inl",
    "outb",
    "outw",
    "readb",
    "readq",
    "writel",
    "writeq",
    "read",
    "write",
    "b64read",
    "b64write",
    "memset",
    "clock_step",
    "clock_set",
    "irq_intercept_in",
    "irq_intercept_out",
    "set_irq_in",
    "module_load",
    "endianness",
    "rtas",
    "csr",
    "pic",
    "bare",
    "unnamed-gpio-in",
    "0",
    "1",
    "-1",
    "0x80",
    "0x81",
    "0x82",
    "0x10",
    "0xffff",
    "0x10000",
    "0xffffffffffffffff",
    "0x10000000000000000",
    "-9223372036854775808",
    "1048576",
    "1048577",
    "2000000",
    "0x0102",
    "AQID",
    "====",
    "",
    " ",
    "\n",
    "\n",
    "\n",
    "\n",
    "\r",
    "\0",
    "\u{fffd}",
];

fn input(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=dice.roll(8) {
        if dice.roll(20) == 0 {
            let noise = dice.roll(40);
            bytes.extend((0..noise).map(|_| dice.roll(256) as u8));
        } else {
            bytes.extend_from_slice(WORDS[dice.roll(WORDS.len())].as_bytes());
            bytes.push(b' ');
        }
    }
    if dice.roll(3) > 0 {
        bytes.pop();
        bytes.push(b'\n');
    }
    if !bytes.is_empty() && dice.roll(10) == 0 {
        let at = dice.roll(bytes.len());
        bytes[at] = dice.roll(256) as u8;
    }
    bytes
}

#[test]
fn no_input_panics_and_memory_stays_bounded() {
    let limits = Limits::default();
    let mut dice = Dice(0x5eed_5eed_5eed_5eed);
    let mut server = Server::new(Board::default());
    let mut client = server.connect(limits);
    for count in 0..inputs() {
        server.receive(&mut client, &input(&mut dice));
        let pending = client.output().len();
        client.sent(if dice.roll(2) == 0 {
            pending
        } else {
            dice.roll(pending + 1)
        });
        server.resume(&mut client);
        assert!(
            client.memory() < 16 << 20,
            "{} bytes after {count} inputs",
            client.memory()
        );
        if dice.roll(1000) == 0 {
            // In the middle of a line, or not.
            server.disconnect(std::mem::replace(&mut client, server_connection(limits)));
        }
    }
}

fn server_connection(limits: Limits) -> testjig_server::Connection {
    testjig_server::Connection::with_limits(limits)
}

#[test]
fn a_line_without_end_is_not_kept() {
    let mut server = Server::new(Board::default());
    let mut client = server.connect(Limits::default());
    for _ in 0..1000 {
        server.receive(&mut client, &vec![b'x'; 64 << 10]);
        assert!(client.memory() < 16 << 20);
    }
    server.receive(&mut client, b"\nendianness\n");
    assert_eq!(
        client.output(),
        b"FAIL a line of this length is refused\nOK little\n"
    );
}

#[test]
fn a_client_that_never_reads_is_not_listened_to() {
    let mut server = Server::new(Board::default());
    let mut client = server.connect(Limits::default());
    let mut fed = 0;
    while client.wants_input() {
        server.receive(&mut client, &b"read 0 0x1000\n".repeat(100));
        fed += 1;
        assert!(fed < 100);
    }
    assert!(client.memory() < 8 << 20 && !client.is_lost());
    // Once it reads, the requests that were put off are answered, in order and all of them.
    let mut replies = 0;
    while !client.output().is_empty() {
        replies += client.output().split(|byte| *byte == b'\n').count() - 1;
        client.sent(client.output().len());
        server.resume(&mut client);
    }
    assert_eq!(replies, fed * 100);
}

#[test]
fn no_message_panics_the_monitor() {
    const PIECES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"execute\"",
        "\"arguments\"",
        "\"id\"",
        "\"qmp_capabilities\"",
        "\"query-status\"",
        "\"qom-get\"",
        "\"device_add\"",
        "\"system_reset\"",
        "\"query-commands\"",
        "\"path\"",
        "1",
        "null",
        "1e999",
        "\"\\ud800\"",
        "\n",
        " ",
        "{\"execute\":\"qmp_capabilities\"}\n",
        "{\"execute\":\"query-version\",\"id\":1}\n",
        "\u{0}",
    ];
    let mut dice = Dice(0x0123_4567_89ab_cdef);
    let mut board = Board::default();
    let mut monitor = Monitor::new(&board);
    for _ in 0..inputs() / 10 {
        let mut bytes = Vec::new();
        for _ in 0..=dice.roll(6) {
            bytes.extend_from_slice(PIECES[dice.roll(PIECES.len())].as_bytes());
        }
        monitor.receive(&mut board, &bytes);
        let pending = monitor.output().len();
        assert!(pending < 1 << 20);
        monitor.sent(pending);
    }
    monitor.receive(&mut board, &vec![b'['; 8 << 20]);
    assert!(monitor.output().len() < 1 << 20);
}
