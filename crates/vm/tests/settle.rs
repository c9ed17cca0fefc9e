//! A machine rests when it has done what it was asked; one that is recorded does so before its memory is looked at.

mod common;

use std::time::Duration;

use common::{pc, process};
use rustix::process::{Signal, kill_process};
use testjig_vm::{Noted, Vm};

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(50);

#[test]
fn an_idle_machine_rests_and_one_that_can_not_sleep_does_not() {
    let vm = pc();
    vm.outb(0x80, 1);
    assert!(vm.settle(LONG));
    assert!(vm.is_quiet(), "what was queued is answered");
    kill_process(process(&vm), Signal::STOP).expect("our own child");
    while vm.settle(SHORT) {}
    kill_process(process(&vm), Signal::CONT).expect("our own child");
    assert!(vm.settle(LONG));
}

fn rests(vm: &Vm) -> usize {
    let notes = vm.recording().expect("it is recorded").notes;
    let rests = notes.iter().filter(|note| note.what == Noted::Rests);
    rests.count()
}

#[test]
fn a_recorded_machine_rests_once_between_an_operation_and_memory() {
    let vm = pc();
    vm.record();
    vm.outb(0x80, 1);
    assert_eq!(rests(&vm), 0);
    vm.ram().write_le(0x1000, 1_u32);
    assert_eq!(vm.ram().read_le::<u32>(0x1000), 1);
    assert_eq!(rests(&vm), 1, "nothing was asked in between");
    vm.inb(0x80);
    vm.ram().read_le::<u32>(0x1000);
    assert_eq!(rests(&vm), 2);
    let seen = vm.by_chance(|| vm.ram().read_le::<u32>(0x1000));
    assert_eq!(seen, 1);
    let notes = vm.recording().expect("it is recorded").notes;
    let last: Vec<_> = notes.iter().rev().take(3).map(|note| &note.what).collect();
    assert!(
        matches!(last[..], [Noted::Sure, Noted::Read { .. }, Noted::Chance]),
        "{last:?}"
    );
}
