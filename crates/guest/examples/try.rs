//! tmp
fn main() {
    let cache = testjig_vm::Cache::open().unwrap();
    struct P;
    impl testjig_vm::Progress for P {
        fn stage(&self, s: &str) {
            eprintln!("{s}");
        }
        fn bytes(&self, _: u64, _: u64) {}
        fn done(&self) {}
    }
    let e =
        testjig_guest::Environment::fetch(&testjig_guest::Environment::default_suite(), &cache, &P)
            .unwrap();
    println!(
        "{}\n{}\n{}",
        e.summary(),
        e.kernel().display(),
        e.initramfs().unwrap().display()
    );
}
