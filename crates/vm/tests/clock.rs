//! The virtual clock and intercepted pins, on the PC's MC146818 clock (periodic interrupt: data sheet, Register A, RS) and
//! its 8254 timer.

mod common;

use std::time::Duration;

use common::{bare, fault_of, pc};
use testjig_vm::{Arch, Condition, EdgeKind, FaultKind, MachineType, Pin, Vm, machine};

fn cmos(vm: &Vm, register: u8, value: u8) {
    vm.outb(0x70, register);
    vm.outb(0x71, value);
}

fn cmos_read(vm: &Vm, register: u8) -> u8 {
    vm.outb(0x70, register);
    vm.inb(0x71)
}

/// Periodic interrupts of the clock, 2 a second (rate 15), in 24 h and binary mode.
fn periodic(vm: &Vm) {
    cmos(vm, 0x0a, 0x2f);
    cmos(vm, 0x0b, 0x46);
}

const RTC: u32 = 8;

#[test]
fn time_begins_at_0_and_moves_by_what_it_is_told() {
    let vm = pc();
    let clock = vm.clock();
    assert_eq!(clock.now(), 0);
    clock.step(Duration::from_nanos(1500));
    assert_eq!(clock.now(), 1500);
    clock.step(Duration::ZERO);
    assert_eq!(clock.now(), 1500);
    clock.set(1_000_000);
    assert_eq!(clock.now(), 1_000_000);
    clock.set(1_000_000);
    vm.session(|session| session.clock_step(Duration::from_nanos(5)))
        .unwrap();
    assert_eq!(clock.now(), 1_000_005, "moved behind its back");
    let fault = fault_of(|| clock.set(0));
    assert!(matches!(fault.kind(), FaultKind::Usage(_)), "{fault:?}");
    assert_eq!(clock.now(), 1_000_005);
}

#[test]
fn a_step_to_the_next_timer_says_how_far_it_was() {
    let vm = pc();
    let moved = vm.clock().step_next();
    assert!(!moved.is_zero());
    assert_eq!(u128::from(vm.clock().now()), moved.as_nanos());
}

#[test]
fn waiting_ends_at_the_timer_that_makes_it_true() {
    let vm = pc();
    let irq = vm.intercept(Pin::input("ioapic", RTC));
    assert_eq!(irq.edges(), []);
    periodic(&vm);
    let moved = vm.clock().step_until(irq.raised(), Duration::from_secs(2));
    assert!(moved <= Duration::from_millis(501), "{moved:?}");
    assert_eq!(vm.clock().now(), moved.as_nanos() as u64);
    assert!(irq.level());
    assert_eq!(irq.edges(), [EdgeKind::Raise]);
    // It holds as long as the pin is high.
    assert_eq!(
        vm.clock().step_until(irq.raised(), Duration::from_secs(2)),
        Duration::ZERO
    );

    assert_eq!(cmos_read(&vm, 0x0c) & 0xc0, 0xc0);
    assert!(!irq.level());
    assert_eq!(irq.edges(), [EdgeKind::Raise, EdgeKind::Lower]);
    irq.clear();
    let moved = vm.clock().step_until(irq.raised(), Duration::from_secs(2));
    assert_eq!(moved, Duration::from_millis(500));
    assert_eq!(irq.edges(), [EdgeKind::Raise]);
}

#[test]
fn a_condition_remembers_what_happened_after_it_was_made() {
    let vm = pc();
    let irq = vm.intercept(Pin::input("ioapic", RTC));
    periodic(&vm);
    let raised = irq.raised();
    vm.clock().step(Duration::from_secs(1));
    cmos_read(&vm, 0x0c);
    assert!(!irq.level());
    assert_eq!(
        vm.clock().step_until(raised, Duration::from_secs(1)),
        Duration::ZERO
    );
    // One made now does not know of it.
    assert_ne!(
        vm.clock().step_until(irq.raised(), Duration::from_secs(1)),
        Duration::ZERO
    );
    assert_eq!(
        vm.clock()
            .step_until(irq.lowered().or(irq.raised()), Duration::from_secs(1)),
        Duration::ZERO
    );
}

#[test]
fn what_does_not_come_true_is_told_with_the_pin_and_the_clock() {
    let vm = pc();
    let irq = vm.intercept(Pin::input("ioapic", RTC));
    let line = line!() + 1;
    let fault = fault_of(|| vm.clock().step_until(irq.raised(), Duration::from_secs(4)));
    let FaultKind::Deadline {
        condition,
        seen,
        within,
        moved,
        ..
    } = fault.kind()
    else {
        panic!("{fault:?}");
    };
    assert_eq!(condition, "input 8 of ioapic raised");
    assert_eq!(seen, "low, no edges");
    assert_eq!(*within, Duration::from_secs(4));
    // The next timer of this machine is never far.
    assert!(
        *moved >= *within && *moved < Duration::from_secs(5),
        "{moved:?}"
    );
    assert_eq!(fault.location().line(), line);
    assert!(
        fault.to_string().contains("the virtual clock moved 4."),
        "{fault}"
    );
}

#[test]
fn what_comes_true_too_late_is_too_late() {
    let vm = pc();
    let irq = vm.intercept(Pin::input("ioapic", RTC));
    periodic(&vm);
    let within = Duration::from_millis(100);
    let fault = fault_of(|| vm.clock().step_until(irq.raised(), within));
    let FaultKind::Deadline { moved, .. } = fault.kind() else {
        panic!("{fault:?}");
    };
    assert!(
        *moved >= within && *moved < Duration::from_millis(160),
        "{moved:?}"
    );
}

#[test]
fn what_comes_true_at_the_last_moment_is_in_time() {
    let vm = pc();
    let irq = vm.intercept(Pin::input("ioapic", RTC));
    periodic(&vm);
    vm.clock().step_until(irq.raised(), Duration::from_secs(1));
    cmos_read(&vm, 0x0c);
    let period = Duration::from_millis(500);
    let just_less = Duration::from_nanos(499_999_999);
    assert_eq!(vm.clock().step_until(irq.raised(), period), period);
    cmos_read(&vm, 0x0c);
    let fault = fault_of(|| vm.clock().step_until(irq.raised(), just_less));
    assert!(
        matches!(fault.kind(), FaultKind::Deadline { .. }),
        "{fault:?}"
    );
}

#[test]
fn a_machine_without_timers_is_waited_for_to_the_end() {
    static NONE: MachineType = machine::none(Arch::X86_64);
    let vm = bare(&NONE);
    let fault = fault_of(|| vm.clock().step_next());
    assert!(matches!(fault.kind(), FaultKind::Qtest(_)), "{fault:?}");
    let never = Condition::new("the end of days", || false);
    let fault = fault_of(|| vm.clock().step_until(never, Duration::from_secs(3)));
    let FaultKind::Deadline { seen, moved, .. } = fault.kind() else {
        panic!("{fault:?}");
    };
    assert_eq!(seen, "no timer of a device is pending");
    assert_eq!(*moved, Duration::from_secs(3));
    assert_eq!(vm.clock().now(), 3_000_000_000);
}

#[test]
fn a_condition_of_registers_is_asked_as_often_as_it_wants() {
    let vm = pc();
    // An update of the clock is in progress: 244 µs before each second (data sheet, "Update cycle").
    cmos(&vm, 0x0a, 0x26);
    let updating = || {
        Condition::new("update in progress", || cmos_read(&vm, 0x0a) & 0x80 != 0)
            .seeing(|| format!("A={:#04x}", cmos_read(&vm, 0x0a)))
    };
    let step = Duration::from_micros(100);
    let moved = vm
        .clock()
        .step_until(updating().every(step), Duration::from_secs(2));
    assert_eq!(moved.as_nanos() % step.as_nanos(), 0);
    assert_eq!(cmos_read(&vm, 0x0a) & 0x80, 0x80);

    vm.clock().step(Duration::from_millis(500));
    let fault = fault_of(|| vm.clock().step_until(updating().every(step * 7), step * 10));
    let FaultKind::Deadline { seen, moved, .. } = fault.kind() else {
        panic!("{fault:?}");
    };
    assert_eq!((seen.as_str(), *moved), ("A=0x26", step * 10));
}

#[test]
fn an_edge_knows_the_operations_around_it() {
    let vm = pc();
    let irq = vm.intercept(Pin::input("ioapic", 4));
    vm.set_irq(&Pin::input("ioapic", 4), true);
    vm.outb(0x80, 1);
    vm.set_irq(&Pin::input("ioapic", 4), false);
    assert_eq!(irq.edges(), [EdgeKind::Raise, EdgeKind::Lower]);
    let places = vm.with_journal(|journal| {
        let edges: Vec<_> = journal.edges().map(|edge| edge.before).collect();
        let commands: Vec<_> = edges
            .iter()
            .map(|&at| journal.entry(at).unwrap().command.to_string())
            .collect();
        commands
    });
    assert_eq!(
        places,
        [
            "set_irq_in ioapic unnamed-gpio-in 4 1",
            "set_irq_in ioapic unnamed-gpio-in 4 0",
        ]
    );
}

#[test]
fn pins_beside_each_other_are_told_apart() {
    let vm = pc();
    let four = vm.intercept(Pin::input("ioapic", 4));
    let five = vm.intercept(Pin::input("ioapic", 5));
    vm.set_irq(four.pin(), true);
    assert!(four.level());
    assert!(!five.level());
    assert_eq!(five.edges(), []);
    // One that is intercepted later knows its level and not its past.
    let again = vm.intercept(Pin::input("ioapic", 4));
    assert!(again.level());
    assert_eq!(again.edges(), []);
}

#[test]
fn the_time_of_the_test_ends_every_wait() {
    let vm = pc();
    vm.set_deadline(std::time::Instant::now());
    let never = Condition::new("the end of days", || false);
    let fault = fault_of(|| vm.clock().step_until(never, Duration::from_secs(1 << 30)));
    assert!(matches!(fault.kind(), FaultKind::Hang { .. }), "{fault:?}");
    let fault = fault_of(|| {
        vm.wait_until(
            Condition::new("the end of days", || false),
            Duration::from_secs(100),
        );
    });
    assert!(matches!(fault.kind(), FaultKind::Hang { .. }), "{fault:?}");
}

#[test]
fn waiting_of_the_host_ends_at_an_edge_or_in_time() {
    let vm = pc();
    let irq = vm.intercept(Pin::input("ioapic", 4));
    let raised = irq.raised();
    vm.set_irq(irq.pin(), true);
    vm.wait_until(raised, Duration::from_secs(5));
    let begin = std::time::Instant::now();
    let fault = fault_of(|| vm.wait_until(irq.lowered(), Duration::from_millis(50)));
    assert!(
        begin.elapsed() >= Duration::from_millis(50) && begin.elapsed() < Duration::from_secs(10)
    );
    let FaultKind::Deadline { seen, .. } = fault.kind() else {
        panic!("{fault:?}");
    };
    assert_eq!(seen, "high, no edges after the wait began, 1 before");
    let text = fault.to_string();
    assert!(
        text.contains("input 4 of ioapic lowered") && text.contains("the host's clock"),
        "{text}"
    );
}

#[test]
fn a_reset_leaves_the_clock_alone() {
    let vm = pc();
    vm.clock().step(Duration::from_secs(1));
    vm.reset();
    vm.reset();
    assert_eq!(vm.clock().now(), 1_000_000_000);
    assert_eq!(
        vm.session(|session| session.clock_now()).unwrap(),
        1_000_000_000
    );
}
