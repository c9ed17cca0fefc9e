//! tmp
use std::collections::BTreeMap;
fn main() -> std::process::ExitCode {
    if let Some(s) = testjig_guest::serve_if_word().or_else(testjig_guest::serve_if_supervisor) {
        return s;
    }
    let cache = testjig_vm::Cache::open().unwrap();
    let e = testjig_guest::Environment::fetch(
        &testjig_guest::Environment::default_suite(),
        &cache,
        &testjig_vm::Silent,
    )
    .unwrap();
    let qemu = testjig_vm::Finder::new(testjig_vm::Arch::X86_64)
        .allow_network(false)
        .find(&cache, &testjig_vm::Silent)
        .unwrap();
    let mut args = std::env::args().skip(1);
    let script: std::path::PathBuf = args.next().unwrap().into();
    let pinned: BTreeMap<String, String> = args
        .filter_map(|a| a.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned())))
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let job = testjig_guest::Job {
        name: "t".into(),
        script,
        qemu,
        kernel: e.kernel(),
        initramfs: e.initramfs().unwrap(),
        program: std::env::current_exe().unwrap(),
        policy: testjig_guest::choice::Policy {
            seed: std::process::id().into(),
            pinned,
            ..Default::default()
        },
        deadline: std::time::Duration::from_secs(400),
        accel: "tcg".into(),
        directory: dir.path().into(),
        bless: std::env::var("BLESS").is_ok(),
    };
    let t = std::time::Instant::now();
    let r = testjig_guest::supervise(&job).unwrap().wait();
    println!(
        "--- output\n{}\n--- log\n{}\n--- stderr\n{}\n{:?} boot {:?} total {:?}\n{:?}",
        r.output,
        r.log,
        r.stderr,
        r.choices,
        r.boot,
        t.elapsed(),
        r.ending
    );
    if std::env::var("CMD").is_ok() {
        println!("{}", r.command_line);
    }
    std::process::ExitCode::SUCCESS
}
