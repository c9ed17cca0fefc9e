//! What becomes of tests in Rust whose halves go wrong: this program has some, supervises them, and looks at their reports.

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use testjig_guest::choice::Policy;
use testjig_guest::halves::*;
use testjig_guest::register;
use testjig_guest::{Ending, Environment, Job, Report};
use testjig_vm::{Arch, Cache, Finder, Qemu, Silent};

/// A test of this program, with a name of its own.
macro_rules! halves {
    ($name:literal, $host:path, $guest:path) => {
        GuestTest {
            name: $name,
            ..guest_test!($host, $guest, warm)
        }
    };
}

static PASSES: GuestTest = halves!("passes", passes, greets);
static HOST_FAILS: GuestTest = halves!("host fails", host_fails, waits_for_ever);
static GUEST_FAILS: GuestTest = halves!("guest fails", waits_for_the_guest, guest_fails);
static GUEST_CAN_NOT: GuestTest = halves!("guest can't", waits_for_the_guest, guest_can_not);
static SKIPS: GuestTest = halves!("skips", skips, nothing);
static LACKS: GuestTest = halves!("lacks", lacks, nothing);
static CRASHES: GuestTest = halves!("crashes", crashes, waits_for_ever);
static HANGS: GuestTest = halves!("hangs", waits_for_the_guest, waits_for_ever);

static TESTS: &[&GuestTest] = &[
    &PASSES,
    &HOST_FAILS,
    &GUEST_FAILS,
    &GUEST_CAN_NOT,
    &SKIPS,
    &LACKS,
    &CRASHES,
    &HANGS,
];

fn start(test: &Host) -> Running<'_> {
    let machine = test.machine(Board::Pc).args(&["-nodefaults", "-no-hpet"]);
    machine.start()
}

fn passes(test: &Host) {
    let number = test.choose("number", &[7, 8]);
    println!("printed {number}");
    let machine = start(test);
    machine.wait_told("hello");
    assert!(machine.execute(testjig_qmp::commands::QueryStatus).running);
}

fn greets(guest: &Guest) {
    guest.write("/tmp/file", "line\n");
    assert_eq!(guest.read("/tmp/file"), "line");
    assert!(guest.exists("/tmp/file") && !guest.exists("/tmp/other"));
    assert_eq!(guest.run(&["sh", "-c", "echo out; exit 3"]).status, 3);
    assert_eq!(guest.sh("cat /tmp/file"), "line");
    guest.tell("hello");
}

fn host_fails(test: &Host) {
    let _machine = start(test);
    assert_eq!(1 + 1, 3, "arithmetic");
}

fn waits_for_the_guest(test: &Host) {
    start(test).wait_told("never");
}

fn guest_fails(_: &Guest) {
    panic!("no canary");
}

fn guest_can_not(guest: &Guest) {
    guest.read("/no/such/file");
}

fn skips(test: &Host) {
    test.skip("it is Monday");
}

fn lacks(test: &Host) {
    let machine = test.machine(Board::Pc).args(&["-device", "no-such-card"]);
    machine.start();
}

fn crashes(test: &Host) {
    let machine = start(test);
    let pid = machine.pid().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-SEGV", &pid])
        .status();
    assert!(killed.expect("a program").success());
    machine.wait_told("never");
}

fn waits_for_ever(guest: &Guest) {
    guest.wait_for("/never");
}

fn nothing(_: &Guest) {}

fn main() -> ExitCode {
    register(TESTS);
    let serve = || testjig_guest::serve_if_word().or_else(testjig_guest::serve_if_supervisor);
    if let Some(status) = serve() {
        return status;
    }
    // Cargo asks for a list, too.
    if env::args().any(|word| word == "--list") {
        return ExitCode::SUCCESS;
    }
    let cache = Cache::open().expect("a cache");
    let suite = Environment::default_suite();
    let environment = Environment::fetch(&suite, &cache, &Silent).expect("an environment");
    let qemu = Finder::new(Arch::X86_64)
        .find(&cache, &Silent)
        .expect("a QEMU");
    let run = |name: &str| run(name, &qemu, &environment);

    let report = run("passes");
    assert_eq!(report.ending, Ending::Passed);
    assert_eq!(report.choices[0].options, ["7", "8"]);
    let printed = format!("printed {}\n", report.choices[0].value);
    assert_eq!(
        report.output, printed,
        "what it prints is not lost, and no report"
    );

    expect(
        &run("host fails").ending,
        &["host half failed", "arithmetic", "halves.rs:"],
    );
    expect(
        &run("guest fails").ending,
        &["guest half failed", "no canary", "halves.rs:"],
    );
    expect(
        &run("guest can't").ending,
        &["failed to read /no/such/file", "halves.rs:"],
    );
    assert_eq!(
        run("skips").ending,
        Ending::Skipped("it is Monday".to_owned())
    );
    let lack = run("lacks").ending;
    assert!(
        matches!(&lack, Ending::Skipped(why) if why.contains("no-such-card")),
        "{lack:?}"
    );
    let crash = run("crashes").ending;
    assert!(
        matches!(&crash, Ending::Crashed(how) if how.contains("SIGSEGV")),
        "{crash:?}"
    );
    let hang = run("hangs").ending;
    assert!(
        matches!(&hang, Ending::Hung(what) if what.contains("guest half was still running")),
        "{hang:?}"
    );
    assert!(matches!(run("no such test").ending, Ending::Error(_)));
    println!("tests in Rust end as they should");
    ExitCode::SUCCESS
}

#[track_caller]
fn expect(ending: &Ending, parts: &[&str]) {
    let Ending::Failed(text) = ending else {
        panic!("it failed otherwise: {ending:?}");
    };
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

fn run(name: &str, qemu: &Qemu, environment: &Environment) -> Report {
    let directory = tempfile::tempdir().expect("a directory");
    let job = Job {
        name: name.to_owned(),
        script: file!().into(),
        function: Some(name.to_owned()),
        qemu: qemu.clone(),
        kernel: environment.kernel(),
        initramfs: environment.initramfs().expect("an initramfs"),
        program: env::current_exe().expect("a program"),
        policy: Policy::default(),
        // All but one are over long before.
        deadline: Duration::from_secs(if name == "hangs" { 20 } else { 120 }),
        accel: "tcg".to_owned(),
        directory: directory.path().to_owned(),
        schemas: environment.schemas(),
        states: Some(environment.states()),
        bless: false,
    };
    testjig_guest::supervise(&job).expect("a supervisor").wait()
}
