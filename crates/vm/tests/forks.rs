//! A machine forked from a template is the machine that would have been started.

mod common;

use std::time::Duration;

use common::{eventually, fault_of, process, qemu};
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};
use testjig_qtest::{Command, PortWidth, Reply};
use testjig_vm::{
    Chardev, Device, Drive, ExitStatus, FaultKind, Image, Interface, Launch, LaunchOptions, Netdev,
    Object, Pin, Template, Vm, doctor, machine,
};

fn template(launch: &Launch) -> Template {
    match qemu().template(launch, &LaunchOptions::default()) {
        Ok(template) => template,
        Err(error) => panic!("{error}"),
    }
}

fn fork(template: &Template) -> Vm {
    match template.fork(false) {
        Ok(vm) => vm,
        Err(error) => panic!("{error}"),
    }
}

/// A PC with a disk on its first IDE channel.
fn with_disk() -> Launch {
    let image = Image::zeroed(1 << 20).with(512, *b"sector one");
    Launch::new(&machine::PC).drive(Drive::new("d", image).interface(Interface::Ide))
}

/// [ATA, READ SECTORS and WRITE SECTORS] The command block registers of the first channel, LBA, one sector.
fn command(vm: &Vm, sector: u8, command: u8) {
    for (port, value) in [
        (0x1f6, 0xe0),
        (0x1f2, 1),
        (0x1f3, sector),
        (0x1f4, 0),
        (0x1f5, 0),
        (0x1f7, command),
    ] {
        vm.outb(port, value);
    }
}

fn wait_for_drive(vm: &Vm) {
    const BUSY: u8 = 0x80;
    eventually("the drive's readiness", || vm.inb(0x1f7) & BUSY == 0);
}

fn read_sector(vm: &Vm, sector: u8) -> Vec<u8> {
    command(vm, sector, 0x20);
    wait_for_drive(vm);
    (0..256).flat_map(|_| vm.inw(0x1f0).to_le_bytes()).collect()
}

fn write_sector(vm: &Vm, sector: u8, byte: u8) {
    command(vm, sector, 0x30);
    wait_for_drive(vm);
    for _ in 0..256 {
        vm.outw(0x1f0, u16::from_ne_bytes([byte; 2]));
    }
    wait_for_drive(vm);
}

#[test]
fn memory_is_its_own_and_the_window_shows_it() {
    let template = template(&Launch::new(&machine::PC));
    let (one, other) = (fork(&template), fork(&template));
    one.ram().write_le(0x10_0000, 0x1234_5678_u32);
    assert_eq!(one.readl(0x10_0000), 0x1234_5678);
    one.writel(0x20_0000, 0x9abc_def0);
    assert_eq!(one.ram().read_le::<u32>(0x20_0000), 0x9abc_def0);
    for vm in [&other, &fork(&template)] {
        assert_eq!(vm.readl(0x10_0000), 0);
        assert_eq!(vm.ram().read_le::<u32>(0x20_0000), 0);
    }
}

#[test]
fn memory_begins_as_a_fresh_machine_s() {
    let launch = Launch::new(&machine::PC);
    let fresh = common::start(&launch);
    let forked = fork(&template(&launch));
    let mut pages = [vec![0; 1 << 20], vec![0; 1 << 20]];
    fresh.read_mem(0, &mut pages[0]);
    forked.read_mem(0, &mut pages[1]);
    assert!(pages[0] == pages[1], "the first megabyte differs");
}

#[test]
fn a_disk_is_its_own_and_pristine() {
    let template = template(&with_disk());
    let (one, other) = (fork(&template), fork(&template));
    write_sector(&one, 1, 0xee);
    assert_eq!(read_sector(&one, 1), [0xee; 512]);
    for vm in [&other, &fork(&template)] {
        assert_eq!(&read_sector(vm, 1)[..10], b"sector one");
        assert_eq!(&vm.disk("d").sector(1)[..10], b"sector one");
    }
}

#[test]
fn what_the_machine_writes_to_a_disk_is_in_the_image() {
    let vm = fork(&template(&with_disk()));
    write_sector(&vm, 3, 0x77);
    assert_eq!(vm.disk("d").sector(3), [0x77; 512]);
    vm.disk("d").set_sector(4, &[0x11; 512]);
    assert_eq!(read_sector(&vm, 4), [0x11; 512]);
}

#[test]
fn each_has_a_monitor_from_the_start() {
    let template = template(&Launch::new(&machine::PC));
    for _ in 0..3 {
        let vm = fork(&template);
        let status = vm.qmp_raw("query-status", Value::Null);
        assert_eq!(status["running"], true);
        assert!(
            vm.hmp("info version")
                .contains(&qemu().version.to_string()[..2])
        );
    }
}

/// [82441FX, TRC register at 0xcf9] Bits 1 and 2: a hard reset. It waits for the CPUs' threads.
#[test]
fn it_begins_where_its_template_was_brought() {
    let template = template(&Launch::new(&machine::PC));
    let width = PortWidth::B;
    let commands = [
        Command::Out {
            width,
            port: 0x70,
            value: 0x0a,
        },
        Command::Out {
            width,
            port: 0x71,
            value: 0x2c,
        },
    ];
    let replies = template.prepare(&commands).expect("it answers");
    assert_eq!(replies, [Reply::Done, Reply::Done]);
    for vm in [fork(&template), fork(&template)] {
        vm.outb(0x70, 0x0a);
        assert_eq!(vm.inb(0x71), 0x2c);
        vm.outb(0x71, 0x26);
    }
}

/// Many replies at once, more than are kept, and such as come while the main loop waits for a disk.
#[test]
fn a_bare_one_answers_and_has_no_monitor() {
    let template = template(&with_disk());
    let vm = template.fork_bare().expect("a machine");
    assert_eq!(&read_sector(&vm, 1)[..10], b"sector one");
    let reads = vec![
        Command::In {
            width: PortWidth::B,
            port: 0x1f7
        };
        5000
    ];
    let replies = vm.session(|session| session.run_each(&reads));
    let replies = replies.expect("it answers");
    assert!(replies.iter().all(|reply| *reply == Reply::Value(0x50)));
    let fault = fault_of(|| {
        vm.qmp_raw("query-status", json!({}));
    });
    assert!(fault.to_string().contains("without one"), "{fault}");
    assert!(vm.is_alive());
    vm.doom();
    assert!(vm.has_ended(Duration::from_secs(10)));
}

#[test]
fn a_reset_by_a_device_comes_to_its_end_and_is_an_event() {
    let template = template(&Launch::new(&machine::PC).cpus(2));
    for _ in 0..5 {
        let vm = fork(&template);
        vm.outb(0xcf9, 6);
        vm.wait_event("RESET", Duration::from_secs(10));
        vm.reset();
    }
}

/// A CPU that waits in the template, as one that was stopped or is halted does, waits anew in the fork.
#[test]
fn cpus_that_waited_before_a_fork_can_be_stopped_after_it() {
    let reset = Command::Out {
        width: PortWidth::B,
        port: 0xcf9,
        value: 6,
    };
    for _ in 0..20 {
        let template = template(&Launch::new(&machine::PC).cpus(4));
        template
            .prepare(std::slice::from_ref(&reset))
            .expect("it answers");
        let vm = fork(&template);
        vm.reset();
    }
}

#[test]
fn stopping_waits_for_the_cpus() {
    let vm = fork(&template(&Launch::new(&machine::PC).cpus(2)));
    vm.qmp_raw("stop", Value::Null);
    assert_eq!(vm.qmp_raw("query-status", Value::Null)["running"], false);
    vm.qmp_raw("cont", Value::Null);
    assert_eq!(vm.qmp_raw("query-status", Value::Null)["running"], true);
}

#[test]
fn a_thread_that_starts_in_it_is_its_own() {
    let template = template(&with_disk());
    let (one, other) = (fork(&template), fork(&template));
    one.qmp_raw("object-add", json!({"qom-type": "iothread", "id": "io0"}));
    one.qmp_raw(
        "blockdev-add",
        json!({"driver": "null-co", "node-name": "n", "size": 512}),
    );
    let device = json!({"driver": "virtio-blk-pci", "drive": "n", "iothread": "io0", "id": "v"});
    one.qmp_raw("device_add", device);
    assert_eq!(one.qmp_raw("query-iothreads", Value::Null)[0]["id"], "io0");
    let none = other.qmp_raw("query-iothreads", Value::Null);
    assert_eq!(none, json!([]));
    assert!(one.stop().is_clean());
}

#[test]
fn it_migrates_to_a_started_machine() {
    let launch = Launch::new(&machine::PC);
    let target = common::start(&launch.clone().arg("-incoming").arg("tcp:127.0.0.1:0"));
    let status = target.hmp("info migrate");
    let mut words = status.split_whitespace();
    let address = words
        .find(|word| word.starts_with("tcp:"))
        .expect("an address");
    let vm = fork(&template(&launch));
    vm.outb(0x70, 0x30);
    vm.outb(0x71, 0x5a);
    vm.hmp(&format!("migrate -d {address}"));
    target.wait_event("RESUME", Duration::from_secs(30));
    assert_eq!(target.inb(0x71), 0x5a);
}

#[test]
fn the_clock_begins_at_zero_and_is_its_own() {
    let template = template(&Launch::new(&machine::PC));
    let (one, other) = (fork(&template), fork(&template));
    one.clock().step(Duration::from_secs(5));
    assert_eq!(one.clock().now(), 5_000_000_000);
    let start = other.session(|session| session.clock_now()).unwrap();
    assert_eq!(start, 0);
}

#[test]
fn interrupts_are_its_own() {
    let template = template(&Launch::new(&machine::PC));
    let (one, other) = (fork(&template), fork(&template));
    let pin = |vm: &Vm| vm.intercept(Pin::input("ioapic", 8));
    let (irq, quiet) = (pin(&one), pin(&other));
    for (register, value) in [(0x0a, 0x2f), (0x0b, 0x46)] {
        one.outb(0x70, register);
        one.outb(0x71, value);
    }
    one.clock().step_until(irq.raised(), Duration::from_secs(1));
    other.clock().step(Duration::from_secs(1));
    assert!(quiet.edges().is_empty());
}

#[test]
fn channels_are_its_own() {
    let launch = Launch::new(&machine::PC)
        .chardev(Chardev::socket("c"))
        .device(Device::new("isa-serial").prop("chardev", "c"))
        .netdev(Netdev::packets("n"))
        .device(Device::new("e1000").prop("netdev", "n"));
    let template = template(&launch);
    let (one, other) = (fork(&template), fork(&template));
    one.outb(0x3f8, b'1');
    other.outb(0x3f8, b'2');
    let within = Duration::from_secs(10);
    assert_eq!(one.channel("c").recv(within), b"1");
    assert_eq!(other.channel("c").recv(within), b"2");
    one.channel("c").send(b"x");
    eventually("the byte at the port", || one.inb(0x3fd) & 1 != 0);
    assert_eq!(one.inb(0x3f8), b'x');
    assert_eq!(other.inb(0x3fd) & 1, 0);
}

#[test]
fn an_orderly_end_is_reported() {
    let report = fork(&template(&with_disk())).stop();
    assert!(report.is_clean(), "{report}");
}

#[test]
fn a_signal_and_what_was_said_before_it_are_reported() {
    let template = template(&Launch::new(&machine::PC));
    let (vm, other) = (fork(&template), fork(&template));
    kill_process(process(&vm), Signal::SEGV).unwrap();
    let fault = fault_of(|| vm.inb(0x71));
    let FaultKind::Died(report) = fault.kind() else {
        panic!("{fault}");
    };
    let expected = ExitStatus::Signal {
        signal: 11,
        core: false,
    };
    assert_eq!(report.status, expected);
    assert!(other.is_alive());
    other.sync();
}

#[test]
fn it_outlives_its_template_by_name_and_nothing_outlives_it() {
    let template = template(&Launch::new(&machine::PC));
    let parent = template.pid();
    let vm = fork(&template);
    drop(template);
    vm.outb(0x70, 0);
    vm.inb(0x71);
    let child = vm.pid();
    drop(vm);
    for pid in [parent, child] {
        assert!(
            !std::path::Path::new(&format!("/proc/{pid}")).exists(),
            "{pid} is there"
        );
    }
}

#[test]
fn it_dies_with_its_template() {
    let template = template(&Launch::new(&machine::PC));
    let vm = fork(&template);
    let parent = rustix::process::Pid::from_raw(template.pid() as i32).unwrap();
    kill_process(parent, Signal::KILL).unwrap();
    eventually("the machine's end", || !vm.is_alive());
    let error = template.fork(false).expect_err("a dead template");
    assert!(error.to_string().contains("signal 9"), "{error}");
}

/// [QEMU, docs/specs/edu] A number written to 0x08 becomes its factorial, which a thread computes; bit 0 at 0x20 is set meanwhile.
#[test]
fn the_thread_of_an_edu_computes_in_each() {
    const BASE: u64 = 0xfe00_0000;
    let launch = Launch::new(&machine::PC).device(Device::new("edu").prop("addr", "4"));
    let template = template(&launch);
    let forks: Vec<Vm> = (0..4).map(|_| fork(&template)).collect();
    for (vm, number) in forks.iter().zip(3..) {
        let config = |register: u32, value: u32| {
            vm.outl(0xcf8, 1 << 31 | 4 << 11 | register);
            vm.outl(0xcfc, value);
        };
        config(0x10, BASE as u32);
        config(4, 2);
        vm.writel(BASE + 8, number);
    }
    for (vm, factorial) in forks.into_iter().zip([6, 24, 120, 720]) {
        eventually("the end of the computation", || {
            vm.readl(BASE + 0x20) & 1 == 0
        });
        assert_eq!(vm.readl(BASE + 8), factorial);
        assert!(vm.stop().is_clean());
    }
}

#[test]
fn a_template_that_begins_ahead_of_need_serves_or_goes() {
    let begin = || {
        qemu()
            .begin_template(&with_disk(), &LaunchOptions::default())
            .unwrap_or_else(|error| panic!("{error}"))
    };
    let template = begin().finish().unwrap();
    assert_eq!(&read_sector(&fork(&template), 1)[..10], b"sector one");

    let unused = begin();
    let pid = unused.pid();
    drop(unused);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_thread_that_would_be_lost_is_a_reason() {
    let launch = Launch::new(&machine::PC).object(Object::new("iothread", "io0"));
    let error = template(&launch).fork(false).expect_err("a refusal");
    assert!(error.reason().contains("thread"), "{error}");
    assert!(error.reason().contains("io0"), "{error}");
}

#[test]
fn memory_that_would_be_shared_is_a_reason() {
    let object = Object::new("memory-backend-ram", "m")
        .prop("size", "1M")
        .prop("share", "on");
    let error = template(&Launch::new(&machine::PC).object(object))
        .fork(false)
        .expect_err("a refusal");
    assert!(error.reason().contains("share"), "{error}");
}

#[test]
fn the_forbidden_clock_is_forbidden() {
    let vm = template(&Launch::new(&machine::PC)).fork(true).unwrap();
    let fault = fault_of(|| vm.clock());
    assert!(matches!(fault.kind(), FaultKind::Capability(_)), "{fault}");
}

#[test]
fn doctor_tries_and_tells() {
    let found = doctor::forks(qemu(), &machine::PC);
    assert_eq!(found.state, doctor::State::Good, "{}", found.found);
    let mut without = qemu().clone();
    without.caps.qtest_accel = false;
    let found = doctor::forks(&without, &machine::PC);
    assert_eq!(found.state, doctor::State::Note);
    assert!(found.found.contains("accelerator"), "{}", found.found);
    without.caps.qtest_accel = true;
    without.program = "/bin/false".into();
    let found = doctor::forks(&without, &machine::PC);
    assert!(found.found.contains("did not start"), "{}", found.found);
}
