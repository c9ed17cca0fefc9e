//! The embedded machine beside a real QEMU in the same run.
//!
//! The house's figures: 5 ms from start to the first answer; 400,000 pipelined operations a second over a socket, 3,000,000 in process.

use std::path::PathBuf;

use divan::Bencher;
use divan::counter::ItemsCount;
use testjig_qmp::Version;
use testjig_qtest::{Command, PortWidth, Session};
use testjig_vm::{Arch, Embedded, Launch, LaunchOptions, Qemu, Vm, machine};

fn main() {
    divan::main();
}

#[derive(Clone, Copy, Debug)]
enum Which {
    Embedded,
    Qemu,
}

const BOTH: [Which; 2] = [Which::Embedded, Which::Qemu];

fn vmm(which: Which) -> Qemu {
    match which {
        Which::Qemu => Qemu::find(Arch::X86_64).expect("a QEMU"),
        Which::Embedded => Embedded {
            program: PathBuf::from(env!("CARGO_BIN_EXE_testjig-machine")),
            leading_args: Vec::new(),
            version: Version::new(testjig_machine::VERSION, "the embedded machine"),
            machines: testjig_machine::MACHINES,
            devices: testjig_machine::DEVICES,
            objects: testjig_machine::OBJECTS,
            passed_over: Vec::new(),
        }
        .into_qemu(),
    }
}

fn start(vmm: &Qemu) -> Vm {
    let launch = Launch::new(&machine::PC);
    match vmm.launch(&launch, &LaunchOptions::default()) {
        Ok(vm) => vm,
        Err(error) => panic!("{error}"),
    }
}

/// Seconds of the clock: a device, and no undriven bus.
const DATA: u16 = 0x71;
const BATCH: usize = 4096;

fn reads() -> Vec<Command> {
    let read = Command::In {
        width: PortWidth::B,
        port: DATA,
    };
    vec![read; BATCH]
}

#[divan::bench(args = BOTH)]
fn start_to_first_answer(bencher: Bencher, which: Which) {
    let vmm = vmm(which);
    bencher.bench_local(|| {
        let vm = start(&vmm);
        vm.inb(DATA);
        // Its end is not part of the figure: it comes when the sample is dropped.
        vm
    });
}

#[divan::bench(args = BOTH)]
fn pipelined_reads(bencher: Bencher, which: Which) {
    let vm = start(&vmm(which));
    let batch = reads();
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench_local(|| vm.session(|session| session.run(&batch)).expect("answers"));
}

#[divan::bench(args = BOTH)]
fn round_trip(bencher: Bencher, which: Which) {
    let vm = start(&vmm(which));
    bencher.bench_local(|| vm.inb(DATA));
}

#[divan::bench]
fn pipelined_reads_in_process(bencher: Bencher) {
    let transport = testjig_machine::InProcess::new(["-m", "16M"]).expect("a machine");
    let mut session = Session::new(transport);
    let batch = reads();
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench_local(|| session.run(&batch).expect("answers"));
}
