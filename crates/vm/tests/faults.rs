//! What a test unwinds with when its machine fails it: the cause, the operation, the line.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{fault_of, pc, process, start};
use rustix::process::{Signal, kill_process};
use testjig_qtest::ErrorKind;
use testjig_vm::{ExitStatus, FaultKind, Launch, Pin, Vm, machine};

fn signal(vm: &Vm, signal: Signal) {
    kill_process(process(vm), signal).expect("our own child");
}

fn is_gone(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

const KILLED: ExitStatus = ExitStatus::Signal {
    signal: 9,
    core: false,
};

#[test]
fn killed_during_a_read() {
    let vm = pc();
    // Stopped, it can't answer before it is killed.
    signal(&vm, Signal::STOP);
    let pid = process(&vm);
    let begin = Instant::now();
    let killer = std::thread::spawn(move || {
        // The read has been sent, and waits, long before this.
        let (_sender, never) = std::sync::mpsc::channel::<()>();
        let _ = never.recv_timeout(Duration::from_millis(50));
        kill_process(pid, Signal::KILL).expect("our own child");
    });
    let line = line!() + 1;
    let fault = fault_of(|| vm.inb(0x71));
    killer.join().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(10));
    let FaultKind::Died(report) = fault.kind() else {
        panic!("{fault:?}");
    };
    assert_eq!(report.status, KILLED);
    assert_eq!(fault.operation(), Some("inb 0x71"));
    assert_eq!(
        (fault.location().file(), fault.location().line()),
        (file!(), line)
    );
    let text = fault.to_string();
    assert!(
        text.contains("signal 9 (SIGKILL)") && text.contains("inb 0x71"),
        "{text}"
    );
}

#[test]
fn killed_during_queued_writes() {
    let vm = pc();
    signal(&vm, Signal::STOP);
    let line = line!() + 1;
    vm.outb(0x80, 1);
    vm.outb(0x80, 2);
    signal(&vm, Signal::KILL);
    let fault = fault_of(|| vm.sync());
    let FaultKind::Died(report) = fault.kind() else {
        panic!("{fault:?}");
    };
    assert_eq!(report.status, KILLED);
    assert_eq!(
        fault.location().line(),
        line,
        "the first write that was not answered"
    );
    // And so on, for whoever asks again.
    let fault = fault_of(|| vm.outb(0x80, 3));
    assert!(matches!(fault.kind(), FaultKind::Died(_)), "{fault:?}");
    let fault = fault_of(|| vm.hmp("info version"));
    assert!(matches!(fault.kind(), FaultKind::Died(_)), "{fault:?}");
}

#[test]
fn killed_during_qmp() {
    let vm = pc();
    vm.hmp("info version");
    signal(&vm, Signal::KILL);
    let fault = fault_of(|| vm.hmp("info version"));
    assert!(
        matches!(fault.kind(), FaultKind::Died(report) if report.status == KILLED),
        "{fault:?}"
    );
    assert_eq!(fault.operation(), Some("QMP human-monitor-command"));
}

#[test]
fn a_crash_is_told_with_its_signal_and_its_words() {
    let vm = pc();
    // QEMU asserts that a device has the pin that is driven.
    let line = line!() + 1;
    vm.set_irq(&Pin::input("ioapic", 0).of_list("no-such-list"), true);
    let fault = fault_of(|| vm.inb(0x71));
    let FaultKind::Died(report) = fault.kind() else {
        panic!("{fault:?}");
    };
    assert_eq!(
        report.status,
        ExitStatus::Signal {
            signal: 6,
            core: false
        }
    );
    assert!(!report.stderr.is_empty());
    assert_eq!(fault.location().line(), line);
}

#[test]
fn stopped_is_a_hang_at_the_deadline_and_then_gone() {
    let vm = pc();
    signal(&vm, Signal::STOP);
    let begin = Instant::now();
    vm.set_deadline(begin + Duration::from_millis(200));
    vm.outb(0x70, 0);
    let fault = fault_of(|| vm.inb(0x71));
    let took = begin.elapsed();
    let FaultKind::Hang {
        activity,
        waiting_for,
        ..
    } = fault.kind()
    else {
        panic!("{fault:?}");
    };
    assert!(
        took >= Duration::from_millis(200) && took < Duration::from_secs(10),
        "{took:?}"
    );
    assert_eq!(activity, "is stopped by a signal or a debugger");
    assert!(waiting_for.contains("outb 0x70"), "{waiting_for}");
    let pid = vm.pid();
    drop(vm);
    assert!(is_gone(pid));
}

#[test]
fn stopped_is_a_hang_for_qmp_too() {
    let vm = pc();
    signal(&vm, Signal::STOP);
    vm.set_deadline(Instant::now() + Duration::from_millis(100));
    let fault = fault_of(|| vm.hmp("info version"));
    assert!(matches!(fault.kind(), FaultKind::Hang { .. }), "{fault:?}");
}

#[test]
fn a_timeout_ends_one_wait() {
    let vm = pc();
    signal(&vm, Signal::STOP);
    vm.set_timeout(Duration::from_millis(50));
    let begin = Instant::now();
    let fault = fault_of(|| vm.inb(0x71));
    assert!(matches!(fault.kind(), FaultKind::Hang { .. }), "{fault:?}");
    assert!(begin.elapsed() < Duration::from_secs(10));
    // The session is of no use any more, and still says why.
    let fault = fault_of(|| vm.inb(0x71));
    assert!(matches!(fault.kind(), FaultKind::Hang { .. }), "{fault:?}");
}

#[test]
fn a_refusal_names_the_operation_and_the_line() {
    let vm = pc();
    let line = line!() + 1;
    let fault = fault_of(|| vm.intercept(Pin::input("/no/such/device", 0)));
    let FaultKind::Qtest(error) = fault.kind() else {
        panic!("{fault:?}");
    };
    assert!(matches!(error.kind(), ErrorKind::UnknownDevice));
    assert_eq!(fault.location().line(), line);
    assert!(
        fault
            .to_string()
            .contains("irq_intercept_in /no/such/device"),
        "{fault}"
    );
}

#[test]
fn a_refused_queued_operation_is_reported_where_it_was_written() {
    let vm = pc();
    let line = line!() + 1;
    vm.set_irq(&Pin::input("/no/such/device", 0), true);
    vm.outb(0x70, 0);
    let fault = fault_of(|| vm.inb(0x71));
    assert!(matches!(fault.kind(), FaultKind::Qtest(_)), "{fault:?}");
    assert_eq!(fault.location().line(), line);
    // The machine goes on.
    vm.outb(0x70, 0x0d);
    assert_eq!(vm.inb(0x71), 0x80);
}

#[test]
fn memory_that_is_no_ram_is_a_mistake_of_the_test() {
    let vm = pc();
    let line = line!() + 1;
    let fault = fault_of(|| vm.ram().read_le::<u32>(0xa_0000));
    assert!(matches!(fault.kind(), FaultKind::Usage(_)), "{fault:?}");
    assert_eq!(fault.location().line(), line);
    let text = fault.to_string();
    assert!(
        text.contains("0xa0000") && text.contains("0x0–0x9ffff and 0x100000–0x7ffffff"),
        "{text}"
    );
    // Half in, half out; behind the end; around the end.
    for addr in [0x9_fffe, 0x7ff_fffe, 0x800_0000, u64::MAX] {
        let fault = fault_of(|| vm.ram().read_le::<u32>(addr));
        assert!(matches!(fault.kind(), FaultKind::Usage(_)), "{fault:?}");
    }
    assert!(vm.ram().contains(0x9_fffc, 4));
    assert!(!vm.ram().contains(0x9_fffd, 4));
}

#[test]
fn a_second_device_to_intercept_is_a_mistake_of_the_test() {
    let vm = pc();
    vm.intercept(Pin::input("ioapic", 8));
    vm.intercept(Pin::input("ioapic", 4));
    let fault = fault_of(|| vm.intercept(Pin::output("/machine/unattached/device[0]", 0)));
    let text = fault.to_string();
    assert!(matches!(fault.kind(), FaultKind::Usage(_)), "{fault:?}");
    assert!(
        text.contains("input 8 of ioapic is intercepted already"),
        "{text}"
    );
}

#[test]
fn an_unknown_drive_and_an_unknown_channel_are_mistakes_of_the_test() {
    use testjig_vm::{Chardev, Drive, Image};

    let launch = Launch::new(&machine::PC)
        .drive(Drive::new("d0", Image::zeroed(512)))
        .chardev(Chardev::socket("c0"));
    let vm = start(&launch);
    let text = fault_of(|| vm.disk("d1")).to_string();
    assert!(text.contains("\"d1\"") && text.contains("d0"), "{text}");
    let text = fault_of(|| vm.channel("n0")).to_string();
    assert!(text.contains("\"n0\"") && text.contains("c0"), "{text}");
}

#[test]
fn a_forbidden_clock_is_a_missing_capability() {
    let vm = start(&Launch::new(&machine::PC).forbid_clock());
    let fault = fault_of(|| vm.clock());
    assert!(
        matches!(fault.kind(), FaultKind::Capability(_)),
        "{fault:?}"
    );
}

#[test]
fn an_event_that_does_not_come_names_those_that_did() {
    let vm = pc();
    vm.qmp_raw("system_reset", serde_json::Value::Null);
    let fault = fault_of(|| vm.wait_event("SHUTDOWN", Duration::from_millis(50)));
    let FaultKind::Deadline { seen, .. } = fault.kind() else {
        panic!("{fault:?}");
    };
    assert!(seen.contains("RESET"), "{seen}");
    vm.wait_event("RESET", Duration::from_millis(50));
}
