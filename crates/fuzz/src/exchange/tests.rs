use std::sync::atomic::{AtomicBool, Ordering};

use testjig_blocks::Program;

use super::*;
use crate::fuzz::{Settings, Status, fuzz};
use crate::input::{Op, Place, Size};
use crate::machines::tests::{qemu, read_sector, target};
use crate::recording::tests::floppy;

struct Side {
    exchange: Exchange,
    directory: tempfile::TempDir,
}

impl Side {
    fn new(peers: Peers) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(directory.path().join("corpus/0")).expect("writable");
        let exchange = Exchange::new(peers, &floppy(), directory.path()).expect("a socket");
        Self {
            exchange,
            directory,
        }
    }

    fn listening() -> (Self, SocketAddr) {
        let side = Self::new(Peers::Listen(([127, 0, 0, 1], 0).into()));
        let listener = side.exchange.listener.as_ref().expect("it listens");
        let address = listener.local_addr().expect("an address");
        (side, address)
    }

    fn keeps(&self, input: &Input) {
        let path = self.directory.path().join("corpus/0/one");
        input.to_file(path).expect("writable");
    }

    fn of_others(&self) -> Vec<Input> {
        let entries = fs::read_dir(directory_of_others(self.directory.path())).expect("readable");
        entries
            .map(|entry| Input::from_file(entry.expect("an entry").path()).expect("an input"))
            .collect()
    }
}

fn input(port: u16) -> Input {
    Input {
        on: 0,
        ops: vec![Op::Read(Place::Port(port), Size::B)],
    }
}

/// Gives each a turn until it is so, for some seconds.
fn until(sides: &mut [&mut Side], is_so: impl Fn(&[&mut Side]) -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so(sides) {
        if Instant::now() > end {
            return false;
        }
        for side in &mut *sides {
            side.exchange.turn().expect("a turn");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// A connection that says what it likes, and what becomes of it.
fn refused(words: &[u8]) -> String {
    let (mut side, address) = Side::listening();
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(words).expect("it reads");
    until(&mut [&mut side], |sides| {
        sides[0].exchange.exchanged.refused.is_some()
    });
    assert_eq!(side.of_others(), []);
    let refused = side.exchange.exchanged.refused.clone();
    let refused = refused.expect("it is refused");
    let why = refused.split_once(" was refused: ").expect("an address");
    why.1.to_owned()
}

fn greeting() -> Vec<u8> {
    format!("{}\n", what(&floppy())).into_bytes()
}

#[test]
fn what_one_keeps_the_others_get_by_way_of_the_one_that_listens() {
    let (mut hub, address) = Side::listening();
    let mut one = Side::new(Peers::Join(address));
    let mut other = Side::new(Peers::Join(address));
    one.keeps(&input(0x3f0));
    let all = &mut [&mut hub, &mut one, &mut other];
    assert!(until(all, |sides| !sides[2].of_others().is_empty()));
    assert_eq!(hub.of_others(), [input(0x3f0)]);
    assert_eq!(other.of_others(), [input(0x3f0)]);
    assert_eq!(one.of_others(), [], "it does not come back");
    assert_eq!(other.exchange.exchanged.received, 1);
    assert_eq!(hub.exchange.exchanged.peers, 2);
}

#[test]
fn findings_go_as_well() {
    let (mut hub, address) = Side::listening();
    let mut one = Side::new(Peers::Join(address));
    let findings = one.directory.path().join("findings");
    fs::create_dir_all(&findings).expect("writable");
    let finding = serde_json::json!({ "signature": "SIGSEGV", "input": input(0x3f5) });
    fs::write(findings.join("a.json"), finding.to_string()).expect("writable");
    let all = &mut [&mut hub, &mut one];
    assert!(until(all, |sides| !sides[0].of_others().is_empty()));
    assert_eq!(hub.of_others(), [input(0x3f5)]);
}

#[test]
fn one_that_listens_later_is_joined_then() {
    let (hub, address) = Side::listening();
    drop(hub);
    let mut one = Side::new(Peers::Join(address));
    one.exchange.turn().expect("nobody is there");
    assert_eq!(one.exchange.exchanged, Exchanged::default());
    let mut hub = Side::new(Peers::Listen(address));
    let all = &mut [&mut hub, &mut one];
    assert!(until(all, |sides| sides[0].exchange.exchanged.peers == 1));
}

#[test]
fn who_fuzzes_something_else_is_refused_and_told() {
    let (mut hub, address) = Side::listening();
    let mut one = Side::new(Peers::Join(address));
    one.exchange.what = "testjig-fuzz 1 e1000".to_owned();
    let end = Instant::now() + Duration::from_secs(20);
    let error = loop {
        assert!(Instant::now() < end, "it goes on");
        hub.exchange.turn().expect("a turn");
        if let Err(error) = one.exchange.turn() {
            break error.to_string();
        }
    };
    assert!(error.contains("isa-fdc"), "{error}");
    assert!(error.contains("e1000"), "{error}");
}

#[test]
fn what_is_no_input_is_refused() {
    assert_eq!(
        refused(&[b'x'; GREETING + 1]),
        "it is no fuzzer of this version"
    );
    let after = |length: u32, bytes: &[u8]| {
        let mut words = greeting();
        words.extend(length.to_le_bytes());
        words.extend(bytes);
        refused(&words)
    };
    assert!(after(u32::MAX, b"").ends_with("is too long"));
    let why = after(9, b"{\"ops\":1}");
    assert!(why.starts_with("what it sent is no input"), "{why}");
    let why = after(0, b"");
    assert!(why.starts_with("what it sent is no input"), "{why}");
    let mut elsewhere = input(1);
    elsewhere.on = 3;
    let text = serde_json::to_vec(&elsewhere).expect("serializable");
    assert_eq!(
        after(text.len() as u32, &text),
        "its input is for a machine of its own"
    );
}

#[test]
fn there_is_an_end_to_what_is_kept_of_others() {
    let (mut hub, address) = Side::listening();
    hub.exchange.exchanged.received = MOST_INPUTS - 1;
    let mut stream = TcpStream::connect(address).expect("it listens");
    let mut words = greeting();
    for port in 1..=2 {
        let text = serde_json::to_vec(&input(port)).expect("serializable");
        words.extend((text.len() as u32).to_le_bytes());
        words.extend(text);
    }
    stream.write_all(&words).expect("it reads");
    let all = &mut [&mut hub];
    assert!(until(all, |sides| {
        sides[0].exchange.exchanged.refused.is_some()
    }));
    assert_eq!(hub.of_others(), [input(1)]);
}

/// The disk of `pc`, fuzzed from nothing but these inputs until the directory has what is sought, or for a minute.
fn fuzz_disk(
    directory: &Path,
    peers: Peers,
    beginnings: Vec<Input>,
    is_over: &AtomicBool,
) -> Status {
    let (qemu, target) = (qemu(), target("ide"));
    let program = Program::read(qemu.binary()).expect("a program");
    let types: Vec<&str> = target.types.iter().map(String::as_str).collect();
    let device = program.device(&types).expect("its blocks are known");
    let settings = Settings {
        time: Some(Duration::from_secs(60)),
        workers: 1,
        directory: directory.to_owned(),
        beginnings,
        sessions: Vec::new(),
        dictionary: Vec::new(),
        seed: 1,
        stop_at_finding: false,
        replay_corpus: false,
        peers: Some(peers),
    };
    let known = Some((&program, &device));
    fuzz(&qemu, &target, known, &settings, is_over, |_| {
        let entries = fs::read_dir(directory.join("corpus/0"));
        let mut kept = entries.expect("readable").flatten();
        if matches!(peers, Peers::Join(_)) && kept.any(|entry| is_read(&entry.path())) {
            is_over.store(true, Ordering::Relaxed);
        }
    })
    .expect("it runs")
}

/// Whether it comes from the one that was given: nothing else names a port by its number.
fn is_read(path: &Path) -> bool {
    let is_command = |op: &Op| matches!(op, Op::Write(Place::Port(0x1f7), ..));
    Input::from_file(path).is_ok_and(|input| input.ops.iter().any(is_command))
}

/// A sector is read by one who was told how; the other, who was not, keeps that input, or one that came of it, since it leads where its
/// own do not.
#[test]
fn what_one_was_given_the_other_carries_out_and_keeps() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let (one, other) = (tempfile::tempdir(), tempfile::tempdir());
    let (one, other) = (one.expect("a directory"), other.expect("a directory"));
    let is_over = AtomicBool::new(false);
    let joined = std::thread::scope(|scope| {
        scope.spawn(|| {
            let peers = Peers::Listen(address);
            fuzz_disk(one.path(), peers, vec![read_sector()], &is_over)
        });
        let joined = scope.spawn(|| {
            let peers = Peers::Join(address);
            fuzz_disk(other.path(), peers, Vec::new(), &is_over)
        });
        joined.join().expect("no panic")
    });
    let exchanged = joined.exchanged.expect("it joined");
    assert!(exchanged.received > 0, "{exchanged:?}");
    assert!(joined.elapsed < Duration::from_secs(60), "it was not kept");
}
