//! How fast a session is carried out where no reply has to be looked at before the next operation.
//!
//! With a QEMU of x86_64 that is there already; without one nothing is measured.

use testjig_trace::{Replay, Trace};
use testjig_vm::{Arch, LaunchOptions, Qemu};

const OPERATIONS: usize = 100_000;

fn main() {
    divan::main();
}

/// A session of so many register accesses, a few of which have replies.
fn session() -> Trace {
    let mut text = String::from("qtr 1\narch: x86_64\nmachine: pc\n\n");
    for number in 0..OPERATIONS / 4 {
        text.push_str("outb 0x70 0xd\n");
        text.push_str("outb 0x80 0x55\n");
        text.push_str(if number % 64 == 0 {
            "inb 0x71 -> 0x80\n"
        } else {
            "inb 0x71\n"
        });
        text.push_str("writel 0x100000 0x12345678\n");
    }
    text.parse().expect("a session")
}

#[divan::bench(sample_count = 10)]
fn replay(bencher: divan::Bencher<'_, '_>) {
    let Ok(qemu) = Qemu::find(Arch::X86_64) else {
        return;
    };
    let trace = session();
    let launch = trace.header.launch(true);
    bencher
        .counter(divan::counter::ItemsCount::new(OPERATIONS))
        .with_inputs(|| {
            qemu.launch(&launch, &LaunchOptions::default())
                .expect("a machine")
        })
        .bench_local_values(|vm| {
            let outcome = Replay::default().on(&trace, &vm);
            assert_eq!(outcome.replies.len(), OPERATIONS);
            vm
        });
}

#[divan::bench(sample_count = 10)]
fn parse() -> Trace {
    session()
}
