//! Queued writes, guest memory and QMP are three roads to one machine: what a test does happens in the order it is written.
//!
//! The device is fw_cfg, whose DMA reads a descriptor from guest memory and writes the data there (QEMU,
//! docs/specs/fw_cfg: "Guest-side DMA Interface").

mod common;

use std::time::Duration;

use common::{pc, start};
use serde_json::Value;
use testjig_qtest::Journal;
use testjig_vm::{Chardev, Drive, Image, Launch, Pin, Vm, machine};

/// Where the descriptor of the DMA transfer is.
const DESCRIPTOR: u64 = 0x1000;
const BUFFER: u64 = 0x2000;
const OTHER: u64 = 0x3000;

/// A descriptor that selects item 0, "QEMU", and reads 4 bytes of it to `target`.
fn describe(vm: &Vm, target: u64) {
    const READ: u32 = 1 << 1;
    const SELECT: u32 = 1 << 3;
    let mut descriptor = [0; 16];
    descriptor[..4].copy_from_slice(&(READ | SELECT).to_be_bytes());
    descriptor[4..8].copy_from_slice(&4_u32.to_be_bytes());
    descriptor[8..].copy_from_slice(&target.to_be_bytes());
    vm.ram().write(DESCRIPTOR, &descriptor);
}

/// Queues the write that starts the transfer: the low half of the descriptor's address, most significant byte first.
fn ring(vm: &Vm) {
    vm.outl(0x518, (DESCRIPTOR as u32).swap_bytes());
}

#[test]
fn a_doorbell_queued_before_a_read_of_ram_has_rung() {
    let vm = pc();
    describe(&vm, BUFFER);
    ring(&vm);
    assert_eq!(
        vm.ram().read_be::<u32>(DESCRIPTOR),
        0,
        "the device has not cleared the control field"
    );
    assert_eq!(vm.ram().read_vec(BUFFER, 4), b"QEMU");
}

#[test]
fn ram_written_before_a_queued_write_is_seen_by_it_and_ram_written_after_is_not() {
    let vm = pc();
    describe(&vm, BUFFER);
    ring(&vm);
    describe(&vm, OTHER);
    assert_eq!(vm.ram().read_vec(BUFFER, 4), b"QEMU");
    assert_eq!(vm.ram().read_vec(OTHER, 4), [0; 4]);
    ring(&vm);
    assert_eq!(vm.ram().read_vec(OTHER, 4), b"QEMU");
}

#[test]
fn qmp_between_queued_writes_sees_those_before_and_not_those_after() {
    let vm = pc();
    for value in [0x11, 0x22, 0x33] {
        vm.writeb(BUFFER, value);
        let seen = vm.hmp(&format!("xp /1xb {BUFFER:#x}"));
        assert!(
            seen.trim_end().ends_with(&format!("{value:#04x}")),
            "{seen}"
        );
        vm.writeb(BUFFER, 0xff);
    }
}

#[test]
fn a_reset_comes_after_the_writes_queued_before_it() {
    let vm = pc();
    // The reset control register of the PIIX3 remembers that it was asked for a hard reset, and forgets it in one.
    vm.outb(0xcf9, 0x02);
    vm.reset();
    assert_eq!(vm.inb(0xcf9), 0);
}

#[test]
fn every_other_road_is_a_barrier() {
    let launch = Launch::new(&machine::PC)
        .drive(Drive::new("d", Image::zeroed(1 << 20)))
        .chardev(Chardev::socket("c"))
        .serial("c");
    let vm = start(&launch);
    let (ram, disk, channel) = (vm.ram(), vm.disk("d"), vm.channel("c"));
    let irq = vm.intercept(Pin::input("ioapic", 4));
    let roads: [(&str, &dyn Fn()); 17] = [
        ("read RAM", &|| ram.read(BUFFER, &mut [0])),
        ("write RAM", &|| ram.write(BUFFER, &[0])),
        ("fill RAM", &|| ram.fill(BUFFER, 1, 0)),
        ("read an integer", &|| {
            assert_eq!(ram.read_le::<u8>(BUFFER), 1);
        }),
        ("write an integer", &|| ram.write_le(BUFFER, 0_u8)),
        ("QMP", &|| drop(vm.qmp_raw("query-status", Value::Null))),
        ("HMP", &|| drop(vm.hmp("info status"))),
        ("reset", &|| vm.reset()),
        ("read a disk", &|| assert_eq!(disk.sector(0), [0; 512])),
        ("write a disk", &|| disk.write(0, &[0])),
        ("measure a disk", &|| assert_eq!(disk.len(), 1 << 20)),
        ("send", &|| channel.send(b"x")),
        ("receive", &|| assert_eq!(channel.try_recv(), None)),
        ("level", &|| assert!(!irq.level())),
        ("edges", &|| irq.clear()),
        ("clock", &|| vm.clock().step(Duration::ZERO)),
        ("pin", &|| drop(vm.intercept(irq.pin().clone()))),
    ];
    for (road, go) in roads {
        vm.writeb(BUFFER, 1);
        assert_eq!(vm.with_journal(Journal::unanswered), 1);
        go();
        assert_eq!(vm.with_journal(Journal::unanswered), 0, "{road}");
    }
}

#[test]
fn a_batch_larger_than_every_buffer_does_not_stop() {
    let vm = pc();
    // Three bytes of reply for each: more than both sockets' buffers together, many times over.
    for index in 0..200_000_u32 {
        vm.outb(0x80, index as u8);
    }
    vm.sync();
    assert_eq!(
        vm.operations(),
        200_001,
        "with the first question of the launch"
    );
}

#[test]
fn blocks_larger_than_every_buffer_go_over_the_wire() {
    let vm = pc();
    let mut bytes = vec![0; 3 << 20];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = (index / 251) as u8 ^ index as u8;
    }
    vm.write_mem(0x10_0001, &bytes);
    vm.memset(0x10_0001 + 100, 50, 0xaa);
    bytes[100..150].fill(0xaa);
    assert!(vm.ram().read_vec(0x10_0001, bytes.len()) == bytes);
    let mut back = vec![0; bytes.len()];
    vm.read_mem(0x10_0001, &mut back);
    assert!(back == bytes);
}

#[test]
fn both_roads_to_ram_see_the_same() {
    let vm = start(&Launch::new(&machine::PC).memory(6 << 30));
    for addr in [
        0,
        0x9fff8,
        0x10_0000,
        0xbfff_fff8,
        0x1_0000_0000,
        0x1_bfff_fff8,
    ] {
        vm.writeq(addr, addr | 0xabc << 48);
        assert_eq!(vm.ram().read_le::<u64>(addr), addr | 0xabc << 48);
        vm.ram().write_le(addr, !addr);
        assert_eq!(vm.readq(addr), !addr);
    }
}
