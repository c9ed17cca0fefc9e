//! Control and status registers of a RISC-V hart, as machine mode sees them after reset. Sections of the privileged specification
//! (version 1.13) stand in brackets. A field that is "WARL" takes any value and reads as a legal one; one that is "WPRI" is to be kept.
//!
//! Under the qtest accelerator QEMU's hart has none of its instruction sets, not even the base: `misa` has no letters, and what belongs to
//! supervisor and user mode is not there. What the specification says of a hart with all three modes, which `rv64` is, is tested and is an
//! expected failure.
//!
//! An access that the specification answers with an exception (a register that is not there, a write to a read-only one) has no answer on
//! QEMU's wire: QEMU ends. The tests of that are expected failures.

use testjig::machines::RiscvVirt;
use testjig::prelude::*;
use testjig::qos::csr::{Csr, Hart};

const NO_SETS: &str = "under the qtest accelerator the hart has no instruction sets and only machine mode (target/riscv/tcg/tcg-cpu.c is not asked); no report known";

const MIE: u64 = 1 << 3;
const MPP: u64 = 3 << 11;
const FS: u64 = 3 << 13;
const MPRV: u64 = 1 << 17;
const UXL: u64 = 3 << 32;
const SD: u64 = 1 << 63;

/// [§3.1.5] Harts are numbered, and one of them is 0.
#[testjig::test(on = RiscvVirt, launch = |l| l.cpus(2))]
fn harts_know_their_numbers(vm: &Vm) {
    assert_eq!(Hart::new(vm, 0).get(Csr::MHARTID), 0);
    assert_eq!(Hart::new(vm, 1).get(Csr::MHARTID), 1);
}

/// [§3.1.2] The manufacturer is a number of 32 bits.
#[testjig::test(on = Hart)]
fn the_manufacturer_has_32_bits(hart: Hart) {
    assert_eq!(hart.get(Csr::MVENDORID) >> 32, 0);
}

/// [§3.1.17] Without a description of the machine its address is 0.
#[testjig::test(on = Hart)]
fn no_configuration_is_0(hart: Hart) {
    assert_eq!(hart.get(Csr::MCONFIGPTR), 0);
}

/// [§3.1.13] The scratch register holds anything.
#[testjig::test(on = Hart)]
fn the_scratch_register_holds_anything(hart: Hart) {
    for value in [0, 1, 0x0123_4567_89ab_cdef, 1 << 63, u64::MAX] {
        assert_eq!(hart.legalized(Csr::MSCRATCH, value), value);
    }
}

/// [§4.1.3] So does that of supervisor mode.
#[testjig::test(on = Hart, xfail = NO_SETS)]
fn the_supervisors_scratch_register_holds_anything(hart: Hart) {
    for value in [0, 1, 0x0123_4567_89ab_cdef, 1 << 63, u64::MAX] {
        assert_eq!(hart.legalized(Csr::SSCRATCH, value), value);
    }
}

/// [§3.1.13] Each hart has its own.
#[testjig::test(on = RiscvVirt, launch = |l| l.cpus(2))]
fn each_hart_has_its_own_registers(vm: &Vm) {
    let (first, second) = (Hart::new(vm, 0), Hart::new(vm, 1));
    first.set(Csr::MSCRATCH, 1);
    second.set(Csr::MSCRATCH, 2);
    assert_eq!(
        (first.get(Csr::MSCRATCH), second.get(Csr::MSCRATCH)),
        (1, 2)
    );
}

/// [§3.1.1] MXL is 2 where registers have 64 bits; a bit a letter for the instruction sets, I or E always among them.
#[testjig::test(on = Hart, xfail = NO_SETS)]
fn misa_tells_64_bits_and_the_base(hart: Hart) {
    let misa = hart.get(Csr::MISA);
    let has = |letter: u8| misa >> (letter - b'A') & 1 == 1;
    assert_eq!(misa >> 62, 2);
    assert_ne!(has(b'I'), has(b'E'));
    assert!(has(b'S') && has(b'U'), "{misa:#x}");
}

/// [§3.1.1] An instruction set that the hart does not have can't be turned on.
#[testjig::test(on = Hart)]
fn misa_has_no_more_than_the_hart(hart: Hart) {
    let misa = hart.get(Csr::MISA);
    let after = hart.legalized(Csr::MISA, u64::MAX);
    assert_eq!(after & !misa, 0, "{after:#x} from {misa:#x}");
    assert_eq!(after >> 62, 2);
}

/// [§3.4] After reset interrupts are off, and loads and stores are machine mode's.
#[testjig::test(on = Hart)]
fn reset_clears_mie_and_mprv(hart: Hart, vm: &Vm) {
    hart.set(Csr::MSTATUS, MIE | MPRV);
    assert_eq!(hart.get(Csr::MSTATUS) & (MIE | MPRV), MIE | MPRV);
    vm.reset();
    assert_eq!(hart.get(Csr::MSTATUS) & (MIE | MPRV), 0);
}

/// [§3.1.6.1] MPP holds 0, 1 and 3 where there are three modes; 2 is reserved, and what was there stays legal.
#[testjig::test(on = Hart, xfail = NO_SETS)]
fn the_previous_mode_is_a_mode(hart: Hart) {
    for mode in [0, 1, 3] {
        assert_eq!(hart.legalized(Csr::MSTATUS, mode << 11) & MPP, mode << 11);
    }
    assert_ne!(hart.legalized(Csr::MSTATUS, 2 << 11) & MPP, 2 << 11);
}

/// [§3.1.6.6] SD says that FS, VS or XS is dirty, and can't be written.
#[testjig::test(on = Hart, xfail = NO_SETS)]
fn sd_is_a_summary(hart: Hart) {
    for (state, dirty) in [(0, false), (1, false), (2, false), (3, true)] {
        let status = hart.legalized(Csr::MSTATUS, state << 13);
        assert_eq!((status & FS) >> 13, state);
        assert_eq!(status & SD != 0, dirty, "FS = {state}");
    }
    assert_eq!(hart.legalized(Csr::MSTATUS, SD) & SD, 0);
}

/// [§3.1.6.3] UXL is 2 where user mode has 64 bits.
#[testjig::test(on = Hart)]
fn user_mode_has_64_bits(hart: Hart) {
    assert_eq!(hart.get(Csr::MSTATUS) & UXL, 2 << 32);
}

/// [§4.1.1] `sstatus` is a part of `mstatus`: written on one side, read on the other; machine mode's bits are not in it.
#[testjig::test(on = Hart, xfail = NO_SETS)]
fn sstatus_is_a_view_of_mstatus(hart: Hart) {
    const SIE: u64 = 1 << 1;
    const SUM: u64 = 1 << 18;
    hart.set(Csr::MSTATUS, MIE | SUM);
    assert_eq!(hart.get(Csr::SSTATUS) & (MIE | MPP | SUM | SIE), SUM);
    hart.set(Csr::SSTATUS, SIE);
    assert_eq!(hart.get(Csr::MSTATUS) & (MIE | SUM | SIE), MIE | SIE);
}

/// [§3.1.7] The two lowest bits of `mtvec` are a mode, 0 or 1; above 1 it is reserved.
#[testjig::test(on = Hart)]
fn the_trap_vector_has_two_modes(hart: Hart) {
    for value in [0x8000_0000, 0x8000_0001] {
        assert_eq!(hart.legalized(Csr::MTVEC, value), value);
    }
    for mode in [2, 3] {
        assert!(hart.legalized(Csr::MTVEC, 0x8000_0100 | mode) & 3 < 2);
    }
}

/// [§3.1.14] "The low bit of mepc (mepc[0]) is always zero."
#[testjig::test(on = Hart)]
fn the_trapped_address_is_even(hart: Hart) {
    for value in [1, 0x8000_0003, u64::MAX] {
        assert_eq!(hart.legalized(Csr::MEPC, value) & 1, 0);
    }
    assert_eq!(hart.legalized(Csr::MEPC, 0x8000_1234), 0x8000_1234);
}

/// [§3.1.8] What can't happen in a less privileged mode is not delegated: a call from machine mode.
#[testjig::test(on = Hart, xfail = NO_SETS)]
fn a_call_from_machine_mode_is_not_delegated(hart: Hart) {
    const ECALL_FROM_U: u64 = 1 << 8;
    const ECALL_FROM_M: u64 = 1 << 11;
    let delegated = hart.legalized(Csr::MEDELEG, u64::MAX);
    assert_eq!(delegated & (ECALL_FROM_U | ECALL_FROM_M), ECALL_FROM_U);
}

/// [§3.1.9] MSIP, MTIP and MEIP show what devices ask for: they can't be written. MSIE, MTIE and MEIE can.
#[testjig::test(on = Hart)]
fn machine_interrupts_are_enabled_but_not_made_by_software(hart: Hart) {
    const MACHINE: u64 = 1 << 3 | 1 << 7 | 1 << 11;
    assert_eq!(hart.legalized(Csr::MIP, MACHINE) & MACHINE, 0);
    assert_eq!(hart.legalized(Csr::MIE, MACHINE) & MACHINE, MACHINE);
    assert_eq!(hart.legalized(Csr::MIE, 0), 0);
}

/// [§3.1.9] Software can make the supervisor's interrupts pending.
#[testjig::test(on = Hart)]
fn the_supervisors_software_interrupt_is_made_by_software(hart: Hart) {
    const SSIP: u64 = 1 << 1;
    assert_eq!(hart.legalized(Csr::MIP, SSIP) & SSIP, SSIP);
    assert_eq!(hart.legalized(Csr::MIP, 0) & SSIP, 0);
}

/// [§4.1.11] A write of `satp` with a mode that there is not "has no effect".
#[testjig::test(on = Hart, xfail = NO_SETS)]
fn an_unknown_translation_is_not_taken(hart: Hart) {
    const SV39: u64 = 8 << 60;
    let before = hart.legalized(Csr::SATP, SV39 | 0x1234);
    assert_eq!(before, SV39 | 0x1234);
    for mode in [1, 7, 11, 15] {
        assert_eq!(
            hart.legalized(Csr::SATP, mode << 60 | 0x5678),
            before,
            "mode {mode}"
        );
    }
}

/// [§3.7.1.2] A locked region can't be changed until the hart is reset.
#[testjig::test(on = Hart)]
fn a_locked_region_stays_until_reset(hart: Hart, vm: &Vm) {
    const LOCKED_NAPOT_READ: u64 = 0x99;
    hart.set(Csr::PMPADDR0, 0x2000_00ff);
    hart.set(Csr::PMPCFG0, LOCKED_NAPOT_READ);
    assert_eq!(hart.legalized(Csr::PMPCFG0, 0x1f) & 0xff, LOCKED_NAPOT_READ);
    assert_eq!(hart.legalized(Csr::PMPADDR0, 0), 0x2000_00ff);
    vm.reset();
    assert_eq!(hart.legalized(Csr::PMPCFG0, 0x1f) & 0xff, 0x1f);
    assert_eq!(hart.legalized(Csr::PMPADDR0, 0), 0);
}

/// [§2.1] A write to a read-only register is an exception, and the register stays.
#[testjig::test(on = Hart, xfail = "QEMU's wire has no answer for an exception and QEMU aborts (hw/riscv/riscv_hart.c, csr_call); no report known")]
fn a_read_only_register_is_not_written(hart: Hart) {
    assert!(Csr::MHARTID.is_read_only());
    hart.set(Csr::MHARTID, 1);
    assert_eq!(hart.get(Csr::MHARTID), 0);
}

/// [§2.1] An access to a register that is not there is an exception, and the hart goes on.
#[testjig::test(on = Hart, xfail = "QEMU's wire has no answer for an exception and QEMU aborts (hw/riscv/riscv_hart.c, csr_call); no report known")]
fn an_unknown_register_is_no_end(hart: Hart) {
    hart.get(Csr(0x5ff));
    assert_eq!(hart.get(Csr::MHARTID), 0);
}
