//! Real sockets: full buffers both ways, peers that stop, go away or hang up halfway.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use testjig_qtest::{
    Command, Encoding, ErrorKind, Length, PortWidth, Reply, Session, Socket, Transport,
};

use crate::fake::{MOMENT, Machine, pattern, write_block};

/// Long enough for a loaded machine, short enough to end a deadlock.
const PATIENCE: Duration = Duration::from_secs(20);

fn pair() -> (Session<Socket>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut session = Session::new(Socket::from(ours));
    session.set_timeout(PATIENCE);
    (session, theirs)
}

/// Serves as QEMU does: reads at most 1 KiB, and while a reply finds no room, reads nothing.
fn serve(mut socket: UnixStream) -> JoinHandle<usize> {
    thread::spawn(move || {
        let (mut machine, mut request, mut served) = (Machine::default(), Vec::new(), 0);
        let mut bytes = [0; 1024];
        loop {
            let read = socket.read(&mut bytes).unwrap();
            if read == 0 {
                return served;
            }
            for byte in &bytes[..read] {
                if *byte != b'\n' {
                    request.push(*byte);
                    continue;
                }
                let mut reply = Vec::new();
                machine.answer(&Command::parse(&request).unwrap(), &mut reply);
                request.clear();
                served += 1;
                socket.write_all(&reply).unwrap();
            }
        }
    })
}

fn with_small_buffers(socket: impl AsFd) {
    set_socket_send_buffer_size(&socket, 1).unwrap();
    set_socket_recv_buffer_size(&socket, 1).unwrap();
}

#[test]
fn a_batch_larger_than_every_buffer_gets_through() {
    let (mut session, theirs) = pair();
    with_small_buffers(session.transport());
    with_small_buffers(&theirs);
    let server = serve(theirs);
    let commands: Vec<_> = (0..60_000)
        .map(|nr| match nr % 3 {
            0 => Command::Out {
                width: PortWidth::W,
                port: 0x70,
                value: nr & 0xffff,
            },
            1 => Command::In {
                width: PortWidth::W,
                port: 0x70,
            },
            _ => Command::Memset {
                addr: 0x1000,
                len: Length::new(2).unwrap(),
                value: nr as u8,
            },
        })
        .collect();
    let replies = session.run(&commands).unwrap();
    for (nr, replies) in (0..).zip(replies.chunks(3)) {
        assert_eq!(
            replies,
            [Reply::Done, Reply::Value((3 * nr) & 0xffff), Reply::Done]
        );
    }
    drop(session);
    assert_eq!(server.join().unwrap(), commands.len());
}

#[test]
fn blocks_larger_than_every_buffer_get_through_both_ways() {
    let (mut session, theirs) = pair();
    with_small_buffers(session.transport());
    with_small_buffers(&theirs);
    let server = serve(theirs);
    let bytes = pattern(300_000);
    // Reads that are answered while later writes are still on their way.
    let mut commands = Vec::new();
    for (addr, chunk) in (0..).step_by(60_000).zip(bytes.chunks(60_000)) {
        commands.push(write_block(addr, chunk, Encoding::Hex));
        let len = Length::try_from(chunk.len()).unwrap();
        commands.push(Command::ReadBlock {
            addr,
            len,
            encoding: Encoding::Hex,
        });
    }
    let replies = session.run(&commands).unwrap();
    for (chunk, replies) in bytes.chunks(60_000).zip(replies.chunks(2)) {
        assert!(replies[1] == Reply::Bytes(chunk.into()));
    }
    drop(session);
    server.join().unwrap();
}

#[test]
fn round_trips_pipelines_and_queued_writes_mix() {
    let (mut session, theirs) = pair();
    let server = serve(theirs);
    for nr in 0..2_000_u16 {
        session.outw(0x70, nr).unwrap();
        assert_eq!(session.inw(0x70).unwrap(), nr);
    }
    let reads = vec![
        Command::In {
            width: PortWidth::W,
            port: 0x70
        };
        3_000
    ];
    assert!(
        session
            .run(&reads)
            .unwrap()
            .iter()
            .all(|reply| *reply == Reply::Value(1_999))
    );
    drop(session);
    assert_eq!(server.join().unwrap(), 7_000);
}

#[test]
fn a_peer_that_is_silent_is_waited_for_until_the_timeout() {
    let (mut session, _theirs) = pair();
    session.set_timeout(MOMENT);
    let begin = Instant::now();
    let error = session.inb(0x71).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::TimedOut { .. }),
        "{error}"
    );
    assert!((MOMENT..PATIENCE / 2).contains(&begin.elapsed()));
}

#[test]
fn a_peer_that_takes_nothing_is_waited_for_until_the_timeout() {
    let (mut session, _theirs) = pair();
    session.set_timeout(MOMENT);
    let mut result = Ok(());
    while result.is_ok() {
        result = session.write(0, &[0; 8192]);
    }
    assert!(matches!(
        result.unwrap_err().kind(),
        ErrorKind::TimedOut { .. }
    ));
}

#[test]
fn a_peer_that_goes_away_is_told_at_once() {
    let (mut session, theirs) = pair();
    drop(theirs);
    let begin = Instant::now();
    session.outb(0x70, 1).unwrap();
    let error = session.inb(0x71).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Closed { unanswered: 2 }),
        "{error}"
    );
    assert!(begin.elapsed() < PATIENCE / 2);
}

#[test]
fn a_peer_that_goes_away_during_a_wait_is_told_at_once() {
    let (mut session, theirs) = pair();
    let killer = thread::spawn(move || {
        let mut bytes = [0; 9];
        (&theirs).read_exact(&mut bytes).unwrap();
        // A request that was not read makes the kernel report a reset.
        drop(theirs);
    });
    session.inb(0x71).unwrap_err();
    assert!(matches!(
        session.poison().unwrap().kind(),
        ErrorKind::Closed { unanswered: 1 }
    ));
    killer.join().unwrap();
}

#[test]
fn what_a_peer_said_before_it_went_away_counts() {
    let (mut session, mut theirs) = pair();
    theirs.write_all(b"OK\nIRQ raise 4\nOK\nOK 0x00").unwrap();
    drop(theirs);
    session.outb(0x70, 1).unwrap();
    session.outb(0x70, 2).unwrap();
    let error = session.inb(0x71).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Closed { unanswered: 1 }),
        "{error}"
    );
    assert_eq!(error.command(), Some("inb 0x71"));
    assert!(session.journal().level(4));
}

#[test]
fn a_peer_that_hangs_up_halfway_is_told_at_once() {
    let (mut session, theirs) = pair();
    theirs.shutdown(Shutdown::Read).unwrap();
    let begin = Instant::now();
    let error = session.inb(0x71).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Closed { .. }), "{error}");
    assert!(begin.elapsed() < PATIENCE / 2);

    let (mut session, theirs) = pair();
    theirs.shutdown(Shutdown::Write).unwrap();
    assert!(matches!(
        session.inb(0x71).unwrap_err().kind(),
        ErrorKind::Closed { .. }
    ));
}

#[test]
fn what_is_no_socket_fails() {
    let file = std::fs::File::open("/dev/null").unwrap();
    let error = Session::new(Socket::from(OwnedFd::from(file)))
        .inb(0x71)
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Io(_)), "{error}");
}

#[test]
fn the_descriptor_stays_as_it_was() {
    let (mut session, theirs) = pair();
    let server = serve(theirs);
    session.inb(0x71).unwrap();
    assert!(
        !fcntl_getfl(session.transport())
            .unwrap()
            .contains(OFlags::NONBLOCK)
    );
    let mut stream = UnixStream::from(OwnedFd::from(session.into_transport()));
    stream.write_all(b"inb 0x71\n").unwrap();
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"OK 0x0000\n");
    drop(stream);
    assert_eq!(server.join().unwrap(), 2);
}

#[test]
fn a_wait_for_an_edge_ends_when_it_arrives() {
    let (mut session, mut theirs) = pair();
    let device = thread::spawn(move || {
        thread::park_timeout(MOMENT);
        theirs.write_all(b"IRQ raise 1\n").unwrap();
        theirs
    });
    assert!(session.wait_for_edge(Instant::now() + PATIENCE).unwrap());
    assert!(session.journal().level(1));
    drop(device.join().unwrap());
}

#[test]
fn an_exchange_without_requests_waits_for_input_alone() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut socket = Socket::from(ours);
    let mut input = [0; 4];
    let begin = Instant::now();
    let progress = socket.exchange(b"", &mut input, begin + MOMENT).unwrap();
    assert_eq!(progress, testjig_qtest::Progress::default());
    assert!(begin.elapsed() >= MOMENT);
    theirs.write_all(b"12345").unwrap();
    let progress = socket
        .exchange(b"", &mut input, Instant::now() + PATIENCE)
        .unwrap();
    assert_eq!((progress.read, &input), (4, b"1234"));
    let progress = socket
        .exchange(b"", &mut input, Instant::now() + PATIENCE)
        .unwrap();
    assert_eq!((progress.read, input[0]), (1, b'5'));
}
