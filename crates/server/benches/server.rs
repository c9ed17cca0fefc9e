//! Operations a second, client and server together: in one process, and over a socket.
//!
//! The house's figures: 3,000,000 in process, 400,000 over a socket.

use std::os::unix::net::UnixStream;
use std::thread;

use divan::Bencher;
use divan::counter::ItemsCount;
use testjig_qtest::{Command, PortWidth, Session, Socket};
use testjig_server::qmp::Manage;
use testjig_server::serve::{Endpoint, Host, Protocol};
use testjig_server::{Clock, InProcess, Interrupts, Memory, Ports, Server, Vmm};

fn main() {
    divan::main();
}

#[derive(Default)]
struct Latch(u8);

impl Ports for Latch {
    fn port_read(&mut self, _: u16, data: &mut [u8]) {
        data.fill(self.0);
    }

    fn port_write(&mut self, _: u16, data: &[u8]) {
        self.0 = data[0];
    }
}

impl Memory for Latch {}
impl Clock for Latch {}
impl Interrupts for Latch {}
impl Vmm for Latch {}
impl Manage for Latch {}

const BATCH: usize = 4096;

fn reads() -> Vec<Command> {
    let read = Command::In {
        width: PortWidth::B,
        port: 0x71,
    };
    vec![read; BATCH]
}

#[divan::bench]
fn in_process(bencher: Bencher) {
    let mut session = InProcess::session(Latch::default());
    let commands = reads();
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench_local(|| session.run(&commands));
}

#[divan::bench]
fn in_process_one_by_one(bencher: Bencher) {
    let mut session = InProcess::session(Latch::default());
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| session.inb(0x71));
}

fn over_a_socket() -> Session<Socket> {
    let (ours, theirs) = UnixStream::pair().expect("sockets");
    thread::spawn(move || {
        let mut host = Host::new(Server::new(Latch::default()));
        host.connect(Endpoint::socket(theirs), Protocol::Qtest);
        host.run()
    });
    Session::new(Socket::from(ours))
}

#[divan::bench]
fn socket(bencher: Bencher) {
    let mut session = over_a_socket();
    let commands = reads();
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench_local(|| session.run(&commands));
}

#[divan::bench]
fn socket_one_by_one(bencher: Bencher) {
    let mut session = over_a_socket();
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| session.inb(0x71));
}
