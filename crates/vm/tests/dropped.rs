//! How a machine ends that a test just lets go.

mod common;

use std::path::PathBuf;

use common::{fault_of, start};
use tempfile::TempDir;
use testjig_vm::{Launch, Vm, machine};

/// A machine with a file that QEMU removes when it ends by itself, as it then writes coverage counters, and leaves when it is killed.
fn with_mark(directory: &TempDir) -> (Vm, PathBuf) {
    let mark = directory.path().join("pid");
    let path = mark.to_str().expect("a path of plain letters");
    let vm = start(&Launch::new(&machine::PC).arg("-pidfile").arg(path));
    assert!(mark.exists());
    (vm, mark)
}

#[test]
fn a_dropped_machine_ends_by_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    let (vm, mark) = with_mark(&directory);
    vm.outb(0x80, 0);
    drop(vm);
    assert!(!mark.exists());
}

#[test]
fn a_machine_dropped_while_a_panic_unwinds_is_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    let (vm, mark) = with_mark(&directory);
    fault_of(move || vm.ram().read_le::<u8>(u64::MAX));
    assert!(mark.exists());
}
