//! Scratch images, through an IDE disk in programmed I/O (ATA/ATAPI-4, §8.27 READ SECTORS, §8.45 WRITE SECTORS).

mod common;

use std::time::Duration;

use common::{fault_of, start};
use testjig_vm::{Condition, Device, Drive, FaultKind, Image, Interface, Launch, Vm, machine};

const DATA: u16 = 0x1f0;
const COUNT: u16 = 0x1f2;
const STATUS: u16 = 0x1f7;

const BUSY: u8 = 0x80;
const REQUEST: u8 = 0x08;
const ERROR: u8 = 0x01;

fn ide(image: Image) -> Launch {
    Launch::new(&machine::PC)
        .drive(Drive::new("d", image))
        .device(Device::new("ide-hd").prop("drive", "d").bus("ide.0"))
}

fn command(vm: &Vm, sector: u32, command: u8) {
    vm.outb(COUNT, 1);
    for (port, shift) in [(0x1f3, 0), (0x1f4, 8), (0x1f5, 16)] {
        vm.outb(port, (sector >> shift) as u8);
    }
    vm.outb(0x1f6, 0xe0 | (sector >> 24) as u8 & 0xf);
    vm.outb(STATUS, command);
}

fn wait(vm: &Vm, set: u8) -> u8 {
    let mut status = BUSY;
    let done = Condition::new("the disk is done", || {
        status = vm.inb(STATUS);
        status & BUSY == 0 && (set == 0 || status & (set | ERROR) != 0)
    });
    vm.wait_until(done, Duration::from_secs(10));
    status
}

fn read_sector(vm: &Vm, sector: u32) -> [u8; 512] {
    command(vm, sector, 0x20);
    assert_eq!(wait(vm, REQUEST) & ERROR, 0);
    let mut bytes = [0; 512];
    for pair in bytes.chunks_exact_mut(2) {
        pair.copy_from_slice(&vm.inw(DATA).to_le_bytes());
    }
    bytes
}

/// Writes and flushes; whether the disk took it.
fn write_sector(vm: &Vm, sector: u32, bytes: &[u8; 512]) -> bool {
    command(vm, sector, 0x30);
    if wait(vm, REQUEST) & ERROR != 0 {
        return false;
    }
    for pair in bytes.chunks_exact(2) {
        vm.outw(DATA, u16::from_le_bytes([pair[0], pair[1]]));
    }
    if wait(vm, 0) & ERROR != 0 {
        return false;
    }
    vm.outb(STATUS, 0xe7);
    wait(vm, 0) & ERROR == 0
}

fn pattern(seed: u8) -> [u8; 512] {
    std::array::from_fn(|index| (index as u8).wrapping_mul(7) ^ seed)
}

#[test]
fn what_the_guest_writes_is_in_the_image() {
    let vm = start(&ide(Image::zeroed(1 << 20)));
    assert!(write_sector(&vm, 5, &pattern(1)));
    let disk = vm.disk("d");
    assert_eq!(disk.sector(5), pattern(1));
    assert_eq!(disk.sector(4), [0; 512]);
    assert_eq!(disk.len(), 1 << 20);
}

#[test]
fn what_the_test_writes_is_on_the_disk() {
    let vm = start(&ide(Image::zeroed(1 << 20).with(512, pattern(2))));
    assert_eq!(read_sector(&vm, 1), pattern(2));
    vm.disk("d").set_sector(9, &pattern(3));
    assert_eq!(read_sector(&vm, 9), pattern(3));
    vm.disk("d").write(9 * 512 + 4, b"TEST");
    assert_eq!(
        read_sector(&vm, 9)[..10],
        [
            pattern(3)[0],
            pattern(3)[1],
            pattern(3)[2],
            pattern(3)[3],
            b'T',
            b'E',
            b'S',
            b'T',
            pattern(3)[8],
            pattern(3)[9]
        ]
    );
}

#[test]
fn a_large_disk_takes_no_room() {
    let size = 64 << 30;
    let vm = start(&ide(Image::zeroed(size)));
    let last = (size / 512 - 1) as u32;
    assert!(write_sector(&vm, last, &pattern(4)));
    let disk = vm.disk("d");
    assert_eq!(disk.sector(last.into()), pattern(4));
    assert_eq!(disk.len(), size);
    assert!(disk.allocated() < 1 << 20, "{}", disk.allocated());
}

#[test]
fn a_read_only_disk_refuses_the_guest_and_not_the_test() {
    let launch = Launch::new(&machine::PC)
        .drive(Drive::new("d", Image::bytes(pattern(5))).read_only(true))
        .device(Device::new("virtio-blk-pci").prop("drive", "d"));
    let vm = start(&launch);
    let info = vm.qmp_raw("query-named-block-nodes", serde_json::json!({"flat": true}));
    let node = info
        .as_array()
        .unwrap()
        .iter()
        .find(|node| node["node-name"] == "d")
        .unwrap();
    assert_eq!(node["ro"], true);
    vm.disk("d").set_sector(0, b"by the test");
    assert_eq!(&vm.disk("d").sector(0)[..12], b"by the test\0");
}

#[test]
fn built_in_interfaces_find_their_drives() {
    let launch = Launch::new(&machine::PC)
        .drive(
            Drive::new("hd", Image::bytes(pattern(6)))
                .interface(Interface::Ide)
                .index(0),
        )
        .drive(
            Drive::new("cd", Image::zeroed(4096))
                .interface(Interface::Ide)
                .index(2)
                .cdrom(),
        )
        .drive(Drive::new("fd", Image::zeroed(1440 << 10)).interface(Interface::Floppy));
    let vm = start(&launch);
    assert_eq!(read_sector(&vm, 0), pattern(6));
    assert!(write_sector(&vm, 0, &pattern(7)));
    assert_eq!(vm.disk("hd").sector(0), pattern(7));
    let blocks = vm.hmp("info block");
    for id in ["hd", "cd", "fd"] {
        assert!(blocks.contains(id), "{blocks}");
    }
}

#[test]
fn a_format_is_read_by_qemu_and_not_by_the_test() {
    // A qcow2 image, version 3, of 1 MiB with nothing in it: header, one L1 entry, one cluster of reference counts
    // (QEMU, docs/interop/qcow2: "Header").
    const CLUSTER: usize = 1 << 16;
    let mut image = vec![0; 4 * CLUSTER];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"QFI\xfb");
    put(4, &3_u32.to_be_bytes());
    put(20, &16_u32.to_be_bytes());
    put(24, &(1_u64 << 20).to_be_bytes());
    put(36, &1_u32.to_be_bytes());
    put(40, &(3 * CLUSTER as u64).to_be_bytes());
    put(48, &(CLUSTER as u64).to_be_bytes());
    put(56, &1_u32.to_be_bytes());
    put(96, &4_u32.to_be_bytes());
    put(100, &104_u32.to_be_bytes());
    put(CLUSTER, &(2 * CLUSTER as u64).to_be_bytes());
    for cluster in 0..4 {
        put(2 * CLUSTER + 2 * cluster, &1_u16.to_be_bytes());
    }
    let launch = Launch::new(&machine::PC)
        .drive(Drive::new("d", Image::bytes(image)).format("qcow2"))
        .device(Device::new("ide-hd").prop("drive", "d").bus("ide.0"));
    let vm = start(&launch);
    assert_eq!(read_sector(&vm, 0), [0; 512]);
    assert!(write_sector(&vm, 0, &pattern(8)));
    assert_eq!(read_sector(&vm, 0), pattern(8));
    assert_eq!(&vm.disk("d").sector(0)[..4], b"QFI\xfb");
    assert!(vm.disk("d").len() > 4 * CLUSTER as u64, "a cluster more");
}

#[test]
fn reading_past_the_end_is_a_mistake_of_the_test() {
    let vm = start(&ide(Image::zeroed(1024)));
    vm.disk("d").sector(1);
    let line = line!() + 1;
    let fault = fault_of(|| vm.disk("d").sector(2));
    assert!(matches!(fault.kind(), FaultKind::Usage(_)), "{fault:?}");
    assert_eq!(fault.location().line(), line);
    assert!(fault.to_string().contains("drive \"d\""), "{fault}");
    let fault = fault_of(|| vm.disk("d").set_sector(0, &[0; 513]));
    assert!(matches!(fault.kind(), FaultKind::Usage(_)), "{fault:?}");
}
