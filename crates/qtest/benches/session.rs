//! What a session costs where the server costs nothing: a fake in the same process that answers without
//! looking.
//!
//! The house's figure: at least 3,000,000 operations a second.

use std::io;
use std::time::Instant;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use testjig_qtest::{
    Command, Encoding, PortWidth, Progress, Reply, Session, Shape, Transport, Width,
};

fn main() {
    divan::main();
}

/// Answers by the first byte of each request.
#[derive(Default)]
struct Careless {
    first: Option<u8>,
    due: Vec<u8>,
}

impl Transport for Careless {
    fn exchange(&mut self, out: &[u8], input: &mut [u8], _: Instant) -> io::Result<Progress> {
        for line in out.split_inclusive(|byte| *byte == b'\n') {
            let first = *self.first.get_or_insert(line[0]);
            if line.ends_with(b"\n") {
                let reply: &[u8] = if first == b'i' {
                    b"OK 0x0080\n"
                } else {
                    b"OK\n"
                };
                self.due.extend_from_slice(reply);
                self.first = None;
            }
        }
        let read = self.due.len().min(input.len());
        input[..read].copy_from_slice(&self.due[..read]);
        self.due.drain(..read);
        Ok(Progress {
            written: out.len(),
            read,
            closed: false,
        })
    }
}

fn session() -> Session<Careless> {
    Session::new(Careless::default())
}

const READ: Command = Command::In {
    width: PortWidth::B,
    port: 0x71,
};

#[divan::bench]
fn round_trip(bencher: Bencher) {
    let mut session = session();
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| session.inb(black_box(0x71)));
}

#[divan::bench(args = [1, 16, 256, 4096])]
fn pipelined(bencher: Bencher, batch: usize) {
    let mut session = session();
    let commands = vec![READ; batch];
    bencher
        .counter(ItemsCount::new(batch))
        .bench_local(|| session.run(black_box(&commands)));
}

#[divan::bench]
fn queued_writes(bencher: Bencher) {
    const WRITES: u16 = 1000;
    let mut session = session();
    bencher.counter(ItemsCount::new(WRITES)).bench_local(|| {
        for nr in 0..WRITES {
            session.outw(black_box(0x70), nr)?;
        }
        session.sync()
    });
}

#[divan::bench]
fn queued_writes_without_a_journal(bencher: Bencher) {
    const WRITES: u16 = 1000;
    let mut session = session();
    session.journal_mut().set_capacity(0);
    bencher.counter(ItemsCount::new(WRITES)).bench_local(|| {
        for nr in 0..WRITES {
            session.outw(black_box(0x70), nr)?;
        }
        session.sync()
    });
}

#[divan::bench]
fn block_write(bencher: Bencher) {
    let mut session = session();
    let bytes = vec![0x5a; 64 * 1024];
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| {
            session.write(0, black_box(&bytes))?;
            session.sync()
        });
}

#[divan::bench]
fn encode(bencher: Bencher) {
    let command = Command::Write {
        width: Width::L,
        addr: 0xfebc_0000,
        value: 0x1234_5678,
    };
    let mut line = Vec::with_capacity(64);
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        line.clear();
        black_box(&command).encode(&mut line);
    });
}

#[divan::bench]
fn parse(bencher: Bencher) {
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| Command::parse(black_box(b"writel 0xfebc0000 0x12345678")));
}

#[divan::bench(args = ["hex", "base64"])]
fn block_reply(bencher: Bencher, encoding: &str) {
    let encoding = if encoding == "hex" {
        Encoding::Hex
    } else {
        Encoding::Base64
    };
    let bytes = vec![0x5a; 32 * 1024];
    let len = bytes.len().try_into().expect("a valid length");
    let shape = Shape::Bytes { len, encoding };
    let mut line = Vec::new();
    Reply::Bytes(bytes).encode(shape, &mut line);
    line.pop();
    bencher
        .counter(BytesCount::new(32_usize * 1024))
        .bench_local(|| Reply::parse(black_box(&line), shape));
}
