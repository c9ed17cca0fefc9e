//! Beginning and end of a machine, each beside the plain client.
//!
//! Wanted: the first answer within 1.2 times what the plain client needs; an orderly end in 10 ms.

use crate::plain::{Plain, jig};
use divan::Bencher;
use serde_json::Value;

mod launch_to_first_answer {
    use super::{Bencher, Plain, Value, jig};

    #[divan::bench(sample_size = 1, sample_count = 50)]
    fn testjig(bencher: Bencher) {
        bencher.bench_local(jig);
    }

    #[divan::bench(sample_size = 1, sample_count = 50)]
    fn testjig_with_qmp(bencher: Bencher) {
        bencher.bench_local(|| {
            let vm = jig();
            vm.qmp_raw("query-status", Value::Null);
            vm
        });
    }

    #[divan::bench(sample_size = 1, sample_count = 50)]
    fn plain(bencher: Bencher) {
        bencher.bench_local(Plain::start);
    }
}

mod stop {
    use super::{Bencher, Plain, jig};

    #[divan::bench(sample_size = 1, sample_count = 50)]
    fn testjig(bencher: Bencher) {
        bencher.with_inputs(jig).bench_local_values(|vm| {
            let report = vm.stop();
            assert!(report.is_clean(), "{report}");
        });
    }

    #[divan::bench(sample_size = 1, sample_count = 50)]
    fn testjig_dropped(bencher: Bencher) {
        bencher.with_inputs(jig).bench_local_values(drop);
    }

    #[divan::bench(sample_size = 1, sample_count = 50)]
    fn plain(bencher: Bencher) {
        bencher
            .with_inputs(Plain::start)
            .bench_local_values(Plain::stop);
    }
}

mod reset {
    use super::{Bencher, jig};

    #[divan::bench]
    fn testjig(bencher: Bencher) {
        let vm = jig();
        bencher.bench_local(|| vm.reset());
    }
}
