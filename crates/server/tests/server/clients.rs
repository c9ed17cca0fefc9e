//! Clients over real sockets: several, one that dies, one that never reads.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use testjig_qtest::{Session, Socket};
use testjig_server::serve::{Endpoint, Host, Protocol};
use testjig_server::{InProcess, Server};

use crate::board::Board;

const PATIENCE: Duration = Duration::from_secs(20);

/// A board that is served until its last client is gone.
fn served(clients: usize) -> (Vec<UnixStream>, JoinHandle<()>) {
    let (ours, theirs): (Vec<_>, Vec<_>) = (0..clients)
        .map(|_| UnixStream::pair().expect("sockets"))
        .unzip();
    let thread = thread::spawn(move || {
        let mut host = Host::new(Server::new(Board::default()));
        for stream in theirs {
            host.connect(Endpoint::socket(stream), Protocol::Qtest);
        }
        host.run().expect("serves");
    });
    for stream in &ours {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    }
    (ours, thread)
}

fn ask(stream: &mut UnixStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).expect("takes it");
    let mut answer = String::new();
    BufReader::new(stream)
        .read_line(&mut answer)
        .expect("an answer");
    answer
}

#[test]
fn two_clients_share_the_machine_and_not_their_lines() {
    let (mut clients, thread) = served(2);
    clients[0].write_all(b"outb 0x80").expect("half a line");
    assert_eq!(ask(&mut clients[1], "inb 0x80\n"), "OK 0x0000\n");
    assert_eq!(ask(&mut clients[0], " 0x33\n"), "OK\n");
    assert_eq!(ask(&mut clients[1], "inb 0x80\n"), "OK 0x0033\n");
    drop(clients);
    thread.join().expect("ends with its last client");
}

#[test]
fn only_who_asked_is_told_of_interrupts() {
    let (mut clients, thread) = served(2);
    assert_eq!(ask(&mut clients[0], "irq_intercept_in pic\n"), "OK\n");
    assert_eq!(ask(&mut clients[1], "outb 0x80 1\n"), "OK\n");
    assert_eq!(ask(&mut clients[0], "outb 0x82 1\n"), "IRQ raise 3\n");
    assert_eq!(ask(&mut clients[1], "inb 0x80\n"), "OK 0x0001\n");
    drop(clients);
    thread.join().expect("ends");
}

#[test]
fn a_client_that_dies_mid_line_takes_nobody_with_it() {
    let (mut clients, thread) = served(2);
    let mut dying = clients.remove(0);
    dying
        .write_all(b"outb 0x80 0x11\noutb 0x80 0x2")
        .expect("takes it");
    drop(dying);
    let answer = loop {
        let answer = ask(&mut clients[0], "inb 0x80\n");
        if answer != "OK 0x0000\n" {
            break answer;
        }
    };
    assert_eq!(answer, "OK 0x0011\n");
    drop(clients);
    thread.join().expect("ends");
}

#[test]
fn a_client_that_never_reads_does_not_stop_the_others() {
    let (mut clients, thread) = served(2);
    let mut deaf = clients.remove(0);
    deaf.set_write_timeout(Some(Duration::from_millis(200)))
        .expect("a timeout");
    let flood = b"read 0 0x1000\n".repeat(1000);
    while deaf.write(&flood).is_ok() {}
    assert_eq!(ask(&mut clients[0], "endianness\n"), "OK little\n");
    drop(deaf);
    assert_eq!(ask(&mut clients[0], "endianness\n"), "OK little\n");
    drop(clients);
    thread.join().expect("ends");
}

#[test]
fn a_listener_takes_one_client_after_the_other() {
    let directory = std::env::temp_dir().join(format!("testjig-server-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join("qtest.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let (stop, stopped) = UnixStream::pair().expect("sockets");
    let thread = thread::spawn(move || {
        let mut host = Host::new(Server::new(Board::default()));
        host.listen(listener, Protocol::Qtest);
        host.stop_on(stopped.into());
        host.run().expect("serves");
    });
    for value in 1..4_u8 {
        let mut session = Session::new(Socket::from(UnixStream::connect(&path).expect("connects")));
        session.outb(0x80, value).expect("queued");
        assert_eq!(session.inb(0x80).expect("answers"), value);
    }
    drop(stop);
    thread.join().expect("stops when told");
    std::fs::remove_dir_all(directory).expect("removed");
}

#[test]
fn a_monitor_and_a_test_see_one_machine() {
    let (mut qtest, theirs) = UnixStream::pair().expect("sockets");
    let (mut qmp, monitor) = UnixStream::pair().expect("sockets");
    let thread = thread::spawn(move || {
        let mut host = Host::new(Server::new(Board::default()));
        host.stay(true);
        host.connect(Endpoint::socket(theirs), Protocol::Qtest);
        host.connect(Endpoint::socket(monitor), Protocol::Qmp);
        host.run().expect("serves");
    });
    assert_eq!(ask(&mut qtest, "outb 0x80 9\n"), "OK\n");
    qmp.write_all(b"{\"execute\":\"qmp_capabilities\"}{\"execute\":\"system_reset\"}")
        .expect("takes it");
    let mut said = String::new();
    let mut reader = BufReader::new(qmp.try_clone().expect("a clone"));
    while !said.contains("RESET") {
        assert_ne!(reader.read_line(&mut said).expect("says something"), 0);
    }
    assert_eq!(ask(&mut qtest, "inb 0x80\n"), "OK 0x0000\n");
    qmp.write_all(b"{\"execute\":\"quit\"}").expect("takes it");
    thread.join().expect("quits");
    let mut rest = String::new();
    reader.read_to_string(&mut rest).expect("the end");
    assert!(rest.contains("\"return\""), "{rest}");
}

#[test]
fn a_monitor_is_attended_to_by_the_thread_that_is_a_client_too() {
    let (mut qmp, monitor) = UnixStream::pair().expect("sockets");
    qmp.set_nonblocking(true).expect("a flag");
    let said = |qmp: &mut UnixStream| {
        let mut text = Vec::new();
        // What is there; then it would block.
        let _ = qmp.read_to_end(&mut text);
        String::from_utf8(text).expect("text")
    };
    let mut host = Host::new(Server::new(Board::default()));
    host.connect(Endpoint::socket(monitor), Protocol::Qmp);
    let mut inside = host.inside();
    assert!(inside.attend().expect("looks"));
    assert!(said(&mut qmp).contains("\"QMP\""));

    let mut session = Session::new(inside);
    session.outb(0x80, 9).expect("queued");
    assert_eq!(session.inb(0x80).expect("answers"), 9);
    qmp.write_all(b"{\"execute\":\"qmp_capabilities\"}{\"execute\":\"system_reset\"}")
        .expect("takes it");
    // Not before it is attended to.
    assert_eq!(session.inb(0x80).expect("answers"), 9);
    assert_eq!(said(&mut qmp), "");
    assert!(session.transport_mut().attend().expect("looks"));
    assert_eq!(session.inb(0x80).expect("answers"), 0);
    assert!(said(&mut qmp).contains("RESET"));

    qmp.write_all(b"{\"execute\":\"quit\"}").expect("takes it");
    assert!(!session.transport_mut().attend().expect("looks"));
    assert!(said(&mut qmp).contains("\"return\""));
    assert!(
        session.inb(0x80).is_ok(),
        "it answers what was asked before its end"
    );
    assert!(session.inb(0x80).is_err());
}

#[test]
fn a_wait_in_the_same_thread_has_its_end() {
    let mut session = Session::new(Host::new(Server::new(Board::default())).inside());
    session.irq_intercept_in("pic").expect("watched");
    let until = Instant::now() + Duration::from_millis(20);
    assert!(!session.wait_for_edge(until).expect("waits"));
    assert!(Instant::now() >= until);
}

#[test]
fn a_session_in_the_same_process_queues_and_waits_as_over_a_socket() {
    let mut session = InProcess::session(Board::default());
    session.irq_intercept_in("pic").expect("watched");
    for value in 0..100_000_u32 {
        session.outl(0x80, value).expect("queued");
    }
    assert_eq!(session.inl(0x80).expect("answers"), 99_999);
    session.outb(0x82, 1).expect("queued");
    session.sync().expect("answers");
    assert_eq!(session.journal().edge_count(), 2);
    let mut bytes = vec![0; 60_000];
    session.write(0, &vec![0x5a; 60_000]).expect("queued");
    session.read(0, &mut bytes).expect("answers");
    assert!(bytes.iter().all(|byte| *byte == 0x5a));
}
