//! A QEMU without the qtest accelerator: registers and memory work, the clock is missing and says so.

mod common;

use common::{fault_of, qemu, start_on};
use testjig_vm::{FaultKind, Launch, Qemu, machine};

/// The QEMU of these tests, used as one that has less.
fn lesser() -> Qemu {
    let mut qemu = qemu().clone();
    qemu.caps.clock = false;
    qemu.caps.running = false;
    qemu.caps.qtest_accel = false;
    qemu
}

#[test]
fn without_the_accelerator_registers_and_memory_work() {
    let vm = start_on(&lesser(), &Launch::new(&machine::PC));
    assert!(
        vm.command_line().contains("-accel tcg -S"),
        "{}",
        vm.command_line()
    );
    vm.outb(0x70, 0x0d);
    assert_eq!(vm.inb(0x71), 0x80);
    vm.writel(0x1000, 0x1122_3344);
    assert_eq!(vm.ram().read_le::<u32>(0x1000), 0x1122_3344);
    vm.outb(0xcf9, 0x02);
    vm.reset();
    assert_eq!(vm.inb(0xcf9), 0);
    let report = vm.stop();
    assert!(report.is_clean(), "{report}");
}

#[test]
fn without_the_accelerator_the_clock_is_a_missing_capability() {
    let vm = start_on(&lesser(), &Launch::new(&machine::PC));
    let line = line!() + 1;
    let fault = fault_of(|| vm.clock());
    assert!(
        matches!(fault.kind(), FaultKind::Capability(_)),
        "{fault:?}"
    );
    assert!(
        fault.to_string().contains("has no qtest accelerator"),
        "{fault}"
    );
    assert_eq!(fault.location().line(), line);
}

#[test]
fn an_older_monitor_option_serves_as_well() {
    let mut qemu = qemu().clone();
    qemu.caps.monitor_qmp_object = false;
    let vm = start_on(&qemu, &Launch::new(&machine::PC));
    assert!(vm.command_line().contains("-mon "), "{}", vm.command_line());
    assert!(vm.hmp("info version").contains('.'));
}

#[test]
fn a_machine_that_takes_no_backend_gets_its_ram_over_the_wire() {
    let mut qemu = qemu().clone();
    qemu.caps.ram_ids.clear();
    let vm = start_on(&qemu, &Launch::new(&machine::PC));
    assert!(
        !vm.command_line().contains("memory-backend"),
        "{}",
        vm.command_line()
    );
    vm.ram().write_le(0x1000, 0x1122_3344_u32);
    assert_eq!(vm.readl(0x1000), 0x1122_3344);
}
