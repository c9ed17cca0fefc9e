//! The planted failures. What the runner must say of each stands in `tests/verdicts.rs`.

use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use testjig::prelude::*;
use testjig::qos::dev::mc146818::Mc146818;
use testjig::qos::mem::GuestAlloc;
use testjig::vm::{LaunchOptions, MachineType, Pin, machine};

const SECOND: Duration = Duration::from_secs(1);

#[testjig::test(on = Mc146818)]
fn passes(rtc: Mc146818) {
    assert!(rtc.seconds() < 60);
}

#[testjig::test(on = Pc)]
fn asserts(vm: &Vm) {
    vm.outb(0x70, 0x0d);
    assert_eq!(vm.inb(0x71), 0x17, "register D is not what it is not");
}

#[testjig::test(on = Mc146818)]
fn asserts_on_a_device(rtc: Mc146818) {
    rtc.set_b(rtc.b().with_alarm_irq(true));
    assert!(rtc.c().alarm(), "no alarm was set");
}

#[testjig::test(on = Pc)]
fn returns_an_error(_vm: &Vm) -> Result<(), std::num::ParseIntError> {
    "0x".parse::<u32>().map(drop)
}

#[testjig::test(on = Pc)]
fn is_refused(vm: &Vm) {
    vm.intercept(Pin::input("no-such-device", 8));
}

#[testjig::test(on = Pc)]
fn is_refused_in_the_queue(vm: &Vm) {
    vm.set_irq(&Pin::input("no-such-device", 0), true);
    vm.outb(0x80, 1);
    assert_eq!(vm.inb(0x71), vm.inb(0x71));
}

#[testjig::test(on = Pc)]
fn uses_the_clock_undeclared(vm: &Vm) {
    vm.clock().step(SECOND);
}

fn signal(vm: &Vm, signal: Signal) {
    let pid = i32::try_from(vm.pid()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process id"), signal).expect("it is ours");
}

#[testjig::test(on = Pc)]
fn crashes_before_a_read(vm: &Vm) {
    signal(vm, Signal::SEGV);
    vm.inb(0x71);
}

#[testjig::test(on = Pc)]
fn crashes_under_queued_writes(vm: &Vm) {
    signal(vm, Signal::KILL);
    for _ in 0..100_000 {
        vm.outb(0x80, 1);
    }
}

#[testjig::test(on = Pc)]
fn crashes_at_the_end(vm: &Vm) {
    signal(vm, Signal::ABORT);
}

#[testjig::test(on = Pc, deadline = SECOND)]
fn hangs(vm: &Vm) {
    signal(vm, Signal::STOP);
    vm.inb(0x71);
}

#[testjig::test(on = Pc, deadline = SECOND)]
fn hangs_at_the_end(vm: &Vm) {
    vm.sync();
    signal(vm, Signal::STOP);
}

#[testjig::test(on = Pc, deadline = SECOND)]
#[expect(
    clippy::empty_loop,
    reason = "a test that never ends is what is planted"
)]
fn loops(_vm: &Vm) {
    loop {}
}

#[testjig::test(on = Pc)]
fn leaves_a_process(_vm: &Vm) {
    let child = Command::new("tail").args(["-f", "/dev/null"]).spawn();
    std::mem::forget(child.expect("tail is everywhere"));
}

/// The third that the worker starts, so a zygote's child.
#[testjig::test(on = Pc)]
fn leaves_a_machine(qemu: &Qemu, launch: &Launch) {
    for _ in 0..3 {
        let vm = qemu.launch(launch, &LaunchOptions::default());
        std::mem::forget(vm.expect("a machine"));
    }
}

const KNOWN: &str = "register D is not what it is not, https://example.org/bug/1";

#[testjig::test(on = Pc, xfail = KNOWN)]
fn is_known_to_fail(vm: &Vm) {
    asserts(vm);
}

#[testjig::test(on = Pc, xfail = "dies of a signal, https://example.org/bug/2")]
fn is_known_to_die(vm: &Vm) {
    crashes_before_a_read(vm);
}

#[testjig::test(on = Mc146818, xfail = "the second has 61 parts, https://example.org/bug/3")]
fn is_known_to_fail_and_does_not(rtc: Mc146818) {
    passes(rtc);
}

#[testjig::test(on = Pc, xfail = KNOWN, launch = |launch| launch.device(Device::new("no-such-device")))]
fn is_to_fail_on_an_unknown_device(_vm: &Vm) {}

#[testjig::test(on = Pc, xfail = KNOWN, launch = |launch| launch.arg("-no-such-option"))]
fn is_to_fail_and_never_starts(_vm: &Vm) {}

/// Fails the first time only; what tells the times apart is a file that the caller names.
#[testjig::test(on = Pc, unstable = "the first time is different")]
fn is_unstable(_vm: &Vm) {
    let state = std::env::var_os("PLANTED_STATE").expect("the caller names a file");
    if let Ok(file) = std::fs::File::create_new(state) {
        drop(file);
        panic!("the first time");
    }
}

#[testjig::test(on = Pc, unstable = "it never was anything else")]
fn is_unstable_and_never_passes(vm: &Vm) {
    asserts(vm);
}

#[testjig::test(on = Pc)]
fn exits(_vm: &Vm) {
    std::process::exit(0);
}

#[testjig::test(on = Pc)]
fn aborts(_vm: &Vm) {
    std::process::abort();
}

#[testjig::test(on = Pc)]
fn keeps_its_guest_memory_in_order(vm: &Vm) {
    let alloc = GuestAlloc::of(vm);
    let buf = alloc.copy_of(b"all of it, to the last byte");
    assert_eq!(buf.to_vec(), b"all of it, to the last byte");
    buf.free();
    drop(alloc.buf(4096));
}

#[testjig::test(on = Pc)]
fn leaks_a_guest_buffer(vm: &Vm) {
    let buf = GuestAlloc::of(vm).buf(300);
    std::mem::forget(buf);
}

#[testjig::test(on = Pc)]
fn frees_a_guest_buffer_twice(vm: &Vm) {
    let alloc = GuestAlloc::of(vm);
    let addr = alloc.buf(300).into_addr();
    alloc.free(addr);
    alloc.free(addr);
}

#[testjig::test(on = Pc)]
fn frees_what_it_never_had(vm: &Vm) {
    GuestAlloc::of(vm).free(0x1234);
}

#[testjig::test(on = Pc)]
fn overruns_a_guest_buffer(vm: &Vm) {
    let buf = GuestAlloc::of(vm).buf(300);
    vm.write_mem(buf.addr() + 298, b"four");
}

#[testjig::test(on = Pc)]
fn underruns_a_guest_buffer_and_frees_it(vm: &Vm) {
    let buf = GuestAlloc::of(vm).buf(300);
    vm.ram().write(buf.addr() - 2, b"two");
    buf.free();
}

#[testjig::test(on = Pc)]
fn writes_into_a_guest_buffer_after_it_is_dropped(vm: &Vm) {
    let addr = GuestAlloc::of(vm).buf(300).addr();
    vm.writeb(addr + 7, 0x5a);
}

#[testjig::test(on = Pc)]
fn writes_beyond_a_guest_buffer_by_its_own_methods(vm: &Vm) {
    GuestAlloc::of(vm).buf(300).write(298, b"four");
}

#[testjig::test(on = Pc)]
fn asserts_with_an_overrun_guest_buffer(vm: &Vm) {
    let buf = GuestAlloc::of(vm).buf(300);
    vm.ram().write(buf.addr() + 298, b"four");
    assert_eq!(buf.read_le::<u8>(299), 0, "the buffer was written");
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("while another panic unwinds");
    }
}

#[testjig::test(on = Pc)]
fn panics_twice(_vm: &Vm) {
    let _guard = PanicsInDrop;
    panic!("the first");
}

#[testjig::test(on = Pc)]
fn prints_and_fails(vm: &Vm) {
    println!("to standard output");
    eprintln!("to standard error");
    assert!(
        vm.is_alive() && std::io::stdin().lines().next().is_some(),
        "standard input is empty"
    );
}

#[testjig::test(on = Pc, launch = |launch| launch.device(Device::new("no-such-device")))]
fn wants_an_unknown_device(_vm: &Vm) {}

#[testjig::test(on = Pc, launch = |launch| launch.arg("-no-such-option"))]
fn wants_an_unknown_option(_vm: &Vm) {}

#[testjig::test(on = Pc, launch = |launch| launch.machine_option("no-such-property", "on"))]
fn wants_an_unknown_property(_vm: &Vm) {}

/// A machine that no QEMU has.
struct Imaginary;

static IMAGINARY: MachineType = MachineType {
    name: "imaginary",
    ..machine::PC
};

/// A type that nothing gives.
struct Nowhere;

testjig::graph!(|graph| graph.machine(&IMAGINARY, |_| Imaginary));

#[testjig::test(on = Imaginary)]
fn wants_an_unknown_machine(_machine: Imaginary) {}

#[testjig::test(on = Nowhere)]
fn is_on_nothing(_nothing: Nowhere) {}

/// Many tests in flight for whoever kills the runner: each waits for a machine that was stopped.
#[testjig::test(on = Pc, vary(number = 0..64), deadline = Duration::from_secs(600))]
fn waits(vm: &Vm, number: u32) {
    vm.ram().write(0x1000, &number.to_le_bytes());
    signal(vm, Signal::STOP);
    vm.inb(0x71);
}
