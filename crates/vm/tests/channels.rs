//! Character and network devices with the test at their other end.

mod common;

use std::time::{Duration, Instant};

use common::{fault_of, process, start};
use rustix::process::{Signal, kill_process};
use testjig_vm::{Chardev, Device, FaultKind, Launch, Netdev, Vm, machine};

const SOON: Duration = Duration::from_secs(10);

/// A 16550 at 0x2f8 (data sheet: transmitter holding register and receiver buffer at offset 0, line status at 5).
fn serial() -> Vm {
    start(
        &Launch::new(&machine::PC)
            .chardev(Chardev::socket("s"))
            .device(
                Device::new("isa-serial")
                    .prop("chardev", "s")
                    .prop("iobase", 0x2f8)
                    .prop("irq", 3),
            ),
    )
}

#[test]
fn a_serial_port_talks_both_ways() {
    let vm = serial();
    let wire = vm.channel("s");
    assert_eq!(wire.try_recv(), None);
    vm.outb(0x2f8, b'x');
    assert_eq!(wire.recv(SOON), b"x");
    wire.send(b"y");
    let ready = testjig_vm::Condition::new("a byte is there", || vm.inb(0x2fd) & 1 != 0);
    vm.wait_until(ready, SOON);
    assert_eq!(vm.inb(0x2f8), b'y');
}

#[test]
fn nothing_received_is_told_with_the_channel() {
    let vm = serial();
    let line = line!() + 1;
    let fault = fault_of(|| vm.channel("s").recv(Duration::from_millis(50)));
    assert!(
        matches!(fault.kind(), FaultKind::Deadline { .. }),
        "{fault:?}"
    );
    assert!(
        fault.to_string().contains("\"s\" sends something"),
        "{fault}"
    );
    assert_eq!(fault.location().line(), line);
}

#[test]
fn a_machine_that_dies_ends_the_wait() {
    let vm = serial();
    let wire = vm.channel("s");
    let pid = process(&vm);
    let begin = Instant::now();
    let killer = std::thread::spawn(move || {
        let (_sender, never) = std::sync::mpsc::channel::<()>();
        let _ = never.recv_timeout(Duration::from_millis(50));
        kill_process(pid, Signal::KILL).expect("our own child");
    });
    let fault = fault_of(|| wire.recv(SOON));
    killer.join().unwrap();
    assert!(matches!(fault.kind(), FaultKind::Died(_)), "{fault:?}");
    assert!(begin.elapsed() < SOON / 2);
}

#[test]
fn a_ring_is_read_over_qmp() {
    let launch = Launch::new(&machine::PC)
        .chardev(Chardev::ring("r", 4096))
        .device(
            Device::new("isa-debugcon")
                .prop("chardev", "r")
                .prop("iobase", 0xe9),
        );
    let vm = start(&launch);
    for byte in *b"hello" {
        vm.outb(0xe9, byte);
    }
    let text = vm.qmp_raw(
        "ringbuf-read",
        serde_json::json!({"device": "r", "size": 100}),
    );
    assert_eq!(text, "hello");
}

#[test]
fn a_built_in_serial_port_finds_its_channel() {
    let launch = Launch::new(&machine::PC)
        .chardev(Chardev::socket("s"))
        .serial("s");
    let vm = start(&launch);
    vm.outb(0x3f8, b'z');
    assert_eq!(vm.channel("s").recv(SOON), b"z");
}

/// An Ethernet frame to nobody.
fn frame(fill: u8) -> Vec<u8> {
    let mut frame = vec![fill; 100];
    frame[..6].fill(0xff);
    frame
}

#[test]
fn frames_arrive_at_a_network_backend() {
    // A hub between a wire to the test and another: what goes in at one comes out at the other.
    let launch = Launch::new(&machine::PC)
        .netdev(Netdev::packets("a"))
        .netdev(Netdev::stream("b"))
        .netdev(
            Netdev::new("hubport", "pa")
                .option("hubid", 0)
                .option("netdev", "a"),
        )
        .netdev(
            Netdev::new("hubport", "pb")
                .option("hubid", 0)
                .option("netdev", "b"),
        );
    let vm = start(&launch);
    let (a, b) = (vm.channel("a"), vm.channel("b"));
    a.send(&frame(1));
    a.send(&frame(2));
    let mut seen = Vec::new();
    while seen.len() < 2 * 104 {
        seen.extend(b.recv(SOON));
    }
    let mut expected = Vec::new();
    for fill in [1, 2] {
        expected.extend(100_u32.to_be_bytes());
        expected.extend(frame(fill));
    }
    assert!(seen == expected);

    for fill in [3, 4] {
        b.send(&100_u32.to_be_bytes());
        b.send(&frame(fill));
    }
    assert!(a.recv(SOON) == frame(3));
    assert!(a.recv(SOON) == frame(4));
}
