//! Basic blocks of a stock QEMU that a machine reaches.

mod common;

use std::collections::BTreeSet;

use common::qemu;
use testjig_blocks::Program;
use testjig_vm::{Blocks, BlocksState, Launch, LaunchOptions, Vm, machine};

/// A directory with a file of the QEMU's blocks, its blocks, and the program.
fn watched() -> (tempfile::TempDir, Blocks, Program) {
    let program = Program::read(qemu().binary()).expect("a program");
    let places: Vec<(u64, u8)> = program
        .blocks()
        .iter()
        .map(|block| (block.address, block.byte))
        .collect();
    let directory = tempfile::tempdir().expect("a directory");
    let blocks = Blocks::create(&directory.path().join("blocks"), &places).expect("a file");
    (directory, blocks, program)
}

/// How many blocks of the device types' files were reached, and how many there are.
fn of_device(program: &Program, blocks: &Blocks, types: &[&str]) -> (usize, usize) {
    let device = program.device(types).expect("a description of the type");
    let its: BTreeSet<usize> = device
        .functions
        .iter()
        .flat_map(|index| program.functions()[*index].blocks.clone())
        .collect();
    let reached = blocks.order(0);
    let reached = reached.iter().filter(|index| its.contains(index)).count();
    (reached, its.len())
}

/// [MC146818A, Register Map] Reads the seconds.
fn read_rtc(vm: &Vm) -> u8 {
    vm.outb(0x70, 0x00);
    vm.inb(0x71)
}

#[test]
fn what_a_started_machine_reaches_is_noted() {
    let (_directory, blocks, program) = watched();
    let options = LaunchOptions::default().blocks(&blocks);
    let vm = qemu()
        .launch(&Launch::new(&machine::PC), &options)
        .expect("a machine");
    assert_eq!(blocks.state(), BlocksState::Armed);
    let (before, of) = of_device(&program, &blocks, &["mc146818rtc"]);
    read_rtc(&vm);
    let (after, _) = of_device(&program, &blocks, &["mc146818rtc"]);
    assert!(before < after && after < of, "{before}, {after} of {of}");
    let reached = blocks.reached();
    read_rtc(&vm);
    // The main loop goes its own ways meanwhile.
    assert!(blocks.reached() < reached + 40, "{reached}, {blocks:?}");
    assert_eq!(
        blocks.order(0).len(),
        blocks.order(0).iter().collect::<BTreeSet<_>>().len()
    );
    assert!(vm.stop().is_clean());
}

#[test]
fn what_one_fork_reaches_no_other_notes() {
    let (_directory, blocks, program) = watched();
    let options = LaunchOptions::default().blocks(&blocks);
    let template = qemu()
        .template(&Launch::new(&machine::PC), &options)
        .expect("a template");
    let mut counts = Vec::new();
    for _ in 0..3 {
        let vm = template.fork(false).expect("a fork");
        read_rtc(&vm);
        assert!(vm.stop().is_clean());
        counts.push(of_device(&program, &blocks, &["mc146818rtc"]).0);
    }
    assert!(counts[0] > 0);
    assert_eq!(counts[0], counts[1]);
    assert_eq!(counts[1], counts[2]);
    let vm = template.fork(false).expect("a fork");
    vm.outb(0x70, 0x0b);
    vm.outb(0x71, 0x42);
    let seconds = read_rtc(&vm);
    assert!(seconds <= 0x59);
    assert!(of_device(&program, &blocks, &["mc146818rtc"]).0 > counts[2]);
}

#[test]
fn the_places_of_another_program_are_not_used() {
    let program = Program::read(qemu().binary()).expect("a program");
    let places: Vec<(u64, u8)> = program
        .blocks()
        .iter()
        .map(|block| (block.address + 1, block.byte))
        .collect();
    let directory = tempfile::tempdir().expect("a directory");
    let blocks = Blocks::create(&directory.path().join("blocks"), &places).expect("a file");
    let options = LaunchOptions::default().blocks(&blocks);
    let vm = qemu()
        .launch(&Launch::new(&machine::PC), &options)
        .expect("a machine");
    read_rtc(&vm);
    assert_eq!(blocks.state(), BlocksState::OtherProgram);
    assert_eq!(blocks.reached(), 0);
    assert!(vm.stop().is_clean());
}

#[test]
fn a_device_is_the_functions_of_its_file() {
    let (_directory, _blocks, program) = watched();
    let names = |types: &[&str]| {
        let device = program.device(types).expect("a description of the type");
        let named = device.functions.iter();
        let named = named.filter_map(|index| program.functions()[*index].name.as_deref());
        named.map(ToOwned::to_owned).collect::<BTreeSet<_>>()
    };
    let floppy = names(&["floppy"]);
    assert!(floppy.contains("fdctrl_read") && floppy.contains("fdctrl_realize_common"));
    assert!(
        floppy.iter().all(|name| name.starts_with("fdctrl_")),
        "{floppy:?}"
    );
    assert!(names(&["virtio-blk-device"]).contains("virtio_blk_handle_vq"));
    assert_eq!(program.device(&["no-such-type"]), None);
    // The PCI function's file, and those that know AHCI and ATA.
    let ahci = names(&["ich9-ahci", "IDE"]);
    for name in [
        "ahci_realize",
        "ide_bus_exec_cmd",
        "ide_transfer_start",
        "ide_atapi_cmd",
    ] {
        assert!(ahci.contains(name), "{name}: {ahci:?}");
    }
    assert!(
        !ahci
            .iter()
            .any(|name| name.starts_with("blk_") || name.starts_with("pci_")),
        "{ahci:?}"
    );
}
