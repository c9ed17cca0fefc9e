//! What keeping a test apart from the others costs, three ways beside each other: a forked machine, a started one, and a reset.
//!
//! Each sample is the life of the test's machine around one register access, from nothing to reaped. Wanted: a fork in 5 ms.

use divan::Bencher;
use testjig_vm::{Drive, Image, Interface, Launch, LaunchOptions, Template, Vm, machine};

use crate::plain::qemu;

/// The least, and what most tests have.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Bare,
    WithDisk,
}

const KINDS: [Kind; 2] = [Kind::Bare, Kind::WithDisk];

impl Kind {
    fn launch(self) -> Launch {
        let launch = Launch::new(&machine::PC);
        match self {
            Self::Bare => launch,
            Self::WithDisk => {
                let image = Image::zeroed(64 << 20);
                launch.drive(Drive::new("d", image).interface(Interface::Ide))
            }
        }
    }

    fn start(self) -> Vm {
        qemu()
            .launch(&self.launch(), &LaunchOptions::default())
            .expect("a machine")
    }

    fn template(self) -> Template {
        qemu()
            .template(&self.launch(), &LaunchOptions::default())
            .expect("a template")
    }
}

/// [MC146818A, Register D] The battery of the clock is well.
fn test(vm: &Vm) {
    vm.outb(0x70, 0xd);
    assert_eq!(vm.inb(0x71), 0x80);
}

fn end(vm: Vm) {
    let report = vm.stop();
    assert!(report.is_clean(), "{report}");
}

mod an_isolated_test {
    use super::{Bencher, KINDS, Kind, end, test};

    #[divan::bench(args = KINDS, sample_size = 1, sample_count = 200)]
    fn fork(bencher: Bencher, kind: Kind) {
        let template = kind.template();
        bencher.bench_local(|| {
            let vm = template.fork(false).expect("a fork");
            test(&vm);
            end(vm);
        });
    }

    #[divan::bench(args = KINDS, sample_size = 1, sample_count = 50)]
    fn fresh(bencher: Bencher, kind: Kind) {
        bencher.bench_local(|| {
            let vm = kind.start();
            test(&vm);
            end(vm);
        });
    }

    #[divan::bench(args = KINDS, sample_size = 1, sample_count = 200)]
    fn reset(bencher: Bencher, kind: Kind) {
        let vm = kind.start();
        bencher.bench_local(|| {
            vm.reset();
            test(&vm);
        });
    }
}

mod parts_of_a_fork {
    use super::{Bencher, KINDS, Kind, end};

    #[divan::bench(args = KINDS, sample_size = 1, sample_count = 200)]
    fn to_the_first_answer(bencher: Bencher, kind: Kind) {
        let template = kind.template();
        bencher.bench_local(|| template.fork(false).expect("a fork"));
    }

    #[divan::bench(args = KINDS, sample_size = 1, sample_count = 200)]
    fn orderly_end(bencher: Bencher, kind: Kind) {
        let template = kind.template();
        bencher
            .with_inputs(|| template.fork(false).expect("a fork"))
            .bench_local_values(end);
    }
}
