//! What a test does wrong with PCI is reported as what it is, at its own line.

use std::panic::{AssertUnwindSafe, catch_unwind};

use testjig::prelude::*;
use testjig::qos::pci::Pci;
use testjig::vm::{Fault, FaultKind};

use super::fixture::{Edu, TestDev};

/// What a call unwinds with, and whether it names this file.
#[track_caller]
fn problem(act: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(act)).expect_err("it is wrong");
    let fault = payload.downcast::<Fault>().expect("a fault");
    assert!(matches!(fault.kind(), FaultKind::Usage(_)), "{fault}");
    assert_eq!(fault.location().file(), file!());
    fault.to_string()
}

/// An access after the mapping's end, through any of its handles.
#[testjig::test(on = Edu)]
fn a_use_after_unmap_is_reported_as_one(edu: Edu) {
    let registers = edu.map();
    let other = registers.clone();
    registers.unmap();
    let read = problem(|| assert_eq!(other.read::<u32>(4), 0));
    assert!(
        read.starts_with(
            "use after unmap: failed to read at 0x4 of bar0 of 00:04.0: it was unmapped at "
        ),
        "{read}"
    );
    assert!(read.contains("misuse.rs"), "{read}");
    let write = problem(|| other.write::<u32>(4, 0));
    assert!(
        write.starts_with("use after unmap: failed to write"),
        "{write}"
    );
    let again = problem(|| other.unmap());
    assert!(
        again.starts_with("unmapped twice: bar0 of 00:04.0"),
        "{again}"
    );
}

/// An access beyond the end of what is mapped.
#[testjig::test(on = TestDev)]
fn an_access_beyond_the_end_is_reported(device: TestDev) {
    let ports = device.0.iomap(1);
    let beyond = problem(|| assert_eq!(ports.read::<u32>(254), 0));
    assert_eq!(
        beyond,
        "failed to read 4 bytes at 0xfe of bar1 of 00:04.0: it has 0x100 bytes"
    );
}

/// A base address register that the function does not have, and a function that is not there.
#[testjig::test(on = TestDev)]
fn what_is_not_there_can_t_be_mapped(device: TestDev, pci: &Pci) {
    let missing = problem(|| drop(device.0.iomap(3)));
    assert_eq!(
        missing,
        "failed to map base address register 3 of 00:04.0: the function does not implement it"
    );
    let absent = problem(|| drop(pci.device(9).iomap_rom()));
    assert!(absent.contains("the expansion ROM of 00:09.0"), "{absent}");
    let reset = problem(|| device.0.reset());
    assert_eq!(
        reset,
        "failed to reset 00:04.0: it has no function level reset"
    );
}

/// Windows have an end: what does not fit is refused, and room that was given back is used again.
#[testjig::test(on = Pci, launch = |l| l.device(super::fixture::testdev().prop("addr", "04.0").prop("membar", 64 * GIB * 1024)))]
fn what_does_not_fit_is_refused(pci: Pci) {
    let device = pci.device(4);
    let large = problem(|| drop(device.iomap(2)));
    assert!(
        large.contains("bytes of memory space are left on bus 0x00"),
        "{large}"
    );
    let first = device.iomap(0);
    let address = first.address();
    first.unmap();
    assert_eq!(device.iomap(0).address(), address);
}
