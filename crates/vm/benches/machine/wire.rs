//! Registers, memory and QMP of a running machine, each beside the plain client.
//!
//! Wanted: pipelined reads of a port at 300,000 a second and four times the plain client's; 1 MiB of guest memory written
//! at 1 GB/s.

use crate::plain::{Plain, jig};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use serde_json::Value;
use testjig_qtest::{Command, PortWidth};

/// A port that costs a device nothing to answer.
const PORT: u16 = 0x80;
const ADDR: u64 = 0x20_0000;
const SIZES: [usize; 2] = [4 << 10, 1 << 20];

mod round_trip {
    use super::{Bencher, PORT, Plain, jig};

    #[divan::bench]
    fn testjig(bencher: Bencher) {
        let vm = jig();
        bencher.bench_local(|| vm.inb(PORT));
    }

    #[divan::bench]
    fn plain(bencher: Bencher) {
        let mut plain = Plain::start();
        bencher.bench_local(|| plain.inb(PORT));
    }
}

mod pipelined_reads {
    use super::{Bencher, Command, ItemsCount, PORT, Plain, PortWidth, black_box, jig};

    #[divan::bench(args = [1, 16, 256])]
    fn testjig(bencher: Bencher, count: usize) {
        let vm = jig();
        let read = Command::In {
            width: PortWidth::B,
            port: PORT,
        };
        let batch = vec![read; count];
        bencher
            .counter(ItemsCount::new(count))
            .bench_local(|| vm.session(|session| session.run(&batch)).expect("answers"));
    }

    #[divan::bench(args = [1, 16, 256])]
    fn plain(bencher: Bencher, count: usize) {
        let mut plain = Plain::start();
        bencher.counter(ItemsCount::new(count)).bench_local(|| {
            for _ in 0..count {
                black_box(plain.inb(PORT));
            }
        });
    }
}

mod queued_writes {
    use super::{Bencher, ItemsCount, Plain, jig};

    const COUNT: usize = 256;

    #[divan::bench]
    fn testjig(bencher: Bencher) {
        let vm = jig();
        bencher.counter(ItemsCount::new(COUNT)).bench_local(|| {
            for _ in 0..COUNT {
                vm.outb(0x80, 1);
            }
            vm.sync();
        });
    }

    #[divan::bench]
    fn plain(bencher: Bencher) {
        let mut plain = Plain::start();
        bencher.counter(ItemsCount::new(COUNT)).bench_local(|| {
            for _ in 0..COUNT {
                plain.ask("outb 0x80 0x1");
            }
        });
    }
}

mod memory_write {
    use super::{ADDR, Bencher, BytesCount, Engine, Plain, SIZES, STANDARD, jig};

    #[divan::bench(args = SIZES)]
    fn testjig_mapped(bencher: Bencher, size: usize) {
        let vm = jig();
        let bytes = vec![0x5a; size];
        let ram = vm.ram();
        bencher
            .counter(BytesCount::new(size))
            .bench_local(|| ram.write(ADDR, &bytes));
    }

    #[divan::bench(args = SIZES)]
    fn testjig_wire(bencher: Bencher, size: usize) {
        let vm = jig();
        let bytes = vec![0x5a; size];
        bencher.counter(BytesCount::new(size)).bench_local(|| {
            vm.write_mem(ADDR, &bytes);
            vm.sync();
        });
    }

    #[divan::bench(args = SIZES)]
    fn plain_base64(bencher: Bencher, size: usize) {
        let mut plain = Plain::start();
        let bytes = vec![0x5a; size];
        bencher.counter(BytesCount::new(size)).bench_local(|| {
            let text = STANDARD.encode(&bytes);
            plain.ask(&format!("b64write {ADDR:#x} {size:#x} {text}"));
        });
    }
}

mod memory_read {
    use super::{ADDR, Bencher, BytesCount, Engine, Plain, SIZES, STANDARD, jig};

    #[divan::bench(args = SIZES)]
    fn testjig_mapped(bencher: Bencher, size: usize) {
        let vm = jig();
        let mut bytes = vec![0; size];
        let ram = vm.ram();
        ram.fill(ADDR, size, 0x5a);
        bencher
            .counter(BytesCount::new(size))
            .bench_local(|| ram.read(ADDR, &mut bytes));
    }

    #[divan::bench(args = SIZES)]
    fn testjig_wire(bencher: Bencher, size: usize) {
        let vm = jig();
        let mut bytes = vec![0; size];
        bencher
            .counter(BytesCount::new(size))
            .bench_local(|| vm.read_mem(ADDR, &mut bytes));
    }

    #[divan::bench(args = SIZES)]
    fn plain_base64(bencher: Bencher, size: usize) {
        let mut plain = Plain::start();
        bencher.counter(BytesCount::new(size)).bench_local(|| {
            let reply = plain.ask(&format!("b64read {ADDR:#x} {size:#x}"));
            STANDARD.decode(reply[3..].trim_end()).expect("base64")
        });
    }
}

mod qmp {
    use super::{Bencher, Plain, Value, jig};

    #[divan::bench]
    fn testjig(bencher: Bencher) {
        let vm = jig();
        vm.qmp_raw("query-status", Value::Null);
        bencher.bench_local(|| vm.qmp_raw("query-status", Value::Null));
    }

    #[divan::bench]
    fn plain(bencher: Bencher) {
        let mut plain = Plain::start();
        plain.qmp("qmp_capabilities");
        bencher.bench_local(|| plain.qmp("query-status").to_owned());
    }
}
