//! RAM layouts against what a real QEMU shows: `info mtree -f`, for memories around every boundary.

mod common;

use std::collections::BTreeSet;

use common::{present, start_on};
use testjig_vm::{Arch, Launch, MachineType, Qemu, RamBackend, Vm, machine};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A stretch of addresses: first, last, offset in the backend.
type Span = (u64, u64, u64);

/// Where the memory backend appears in the CPU's address space, out of `info mtree -f`.
///
/// The line of a section is `first-last (prio N, ram): NAME @OFFSET`, the offset left out if it is 0; the sections of an
/// address space come in ascending order after a line that names it.
fn sections(vm: &Vm) -> Vec<Span> {
    let tree = vm.hmp("info mtree -f");
    let mut spans = BTreeSet::new();
    let mut of_cpu = false;
    let mut after_names = false;
    for line in tree.lines().map(str::trim) {
        if line.starts_with("FlatView") {
            (of_cpu, after_names) = (false, false);
        } else if line.starts_with("AS ") && !after_names {
            of_cpu |= line.contains("\"cpu-memory-0\"");
        } else if let Some((range, what)) = line.split_once(" (prio ") {
            after_names = true;
            let Some((_, name)) = what.split_once("ram): ") else {
                continue;
            };
            let (name, offset) = name.split_once(" @").unwrap_or((name, "0"));
            if of_cpu && name == "ram" {
                let (first, last) = range.split_once('-').expect("a range");
                let number = |digits: &str| {
                    u64::from_str_radix(digits.split(' ').next().unwrap(), 16).expect("a number")
                };
                spans.insert((number(first), number(last), number(offset)));
            }
        }
    }
    assert!(!spans.is_empty(), "{tree}");
    spans.into_iter().collect()
}

/// Without the addresses that a PC's chipset routes at each access.
fn without_compatibility_area(spans: Vec<Span>) -> Vec<Span> {
    spans
        .into_iter()
        .map(|(first, last, offset)| {
            if first == 0 {
                (first, last.min(0x9_ffff), offset)
            } else {
                (first, last, offset)
            }
        })
        .collect()
}

fn compare(machine: &'static MachineType, sizes: &[u64]) {
    compare_on(common::qemu(), machine, sizes);
}

fn compare_on(qemu: &Qemu, machine: &'static MachineType, sizes: &[u64]) {
    for &size in sizes {
        let vm = start_on(qemu, &Launch::new(machine).memory(size));
        let shown = match machine.arch {
            Arch::X86_64 | Arch::I386 => without_compatibility_area(sections(&vm)),
            _ => sections(&vm),
        };
        let ours: Vec<Span> = vm
            .ram()
            .regions()
            .iter()
            .map(|region| (region.base, region.end() - 1, region.offset))
            .collect();
        assert_eq!(ours, shown, "{machine} with {size:#x} bytes");
    }
}

#[test]
fn i440fx() {
    let split = 3 * GIB + 512 * MIB;
    compare(
        &machine::PC,
        &[
            MIB,
            16 * MIB,
            128 * MIB,
            GIB,
            3 * GIB,
            split - MIB,
            split,
            split + MIB,
            4 * GIB,
            6 * GIB,
        ],
    );
}

#[test]
fn q35() {
    let split = 2 * GIB + 768 * MIB;
    compare(
        &machine::Q35,
        &[
            MIB,
            16 * MIB,
            128 * MIB,
            2 * GIB,
            split - MIB,
            split,
            split + MIB,
            3 * GIB,
            4 * GIB,
            6 * GIB,
        ],
    );
}

#[test]
fn microvm() {
    compare(
        &machine::MICROVM,
        &[16 * MIB, 3 * GIB - MIB, 3 * GIB, 3 * GIB + MIB, 4 * GIB],
    );
}

#[test]
fn isapc() {
    compare(&machine::ISAPC, &[MIB, 16 * MIB, GIB]);
}

/// The machines of all other architectures whose QEMU is there.
#[test]
fn other_architectures() {
    let cases: [(&'static MachineType, &[u64]); 9] = [
        (&machine::I386_PC, &[16 * MIB, 3 * GIB, 4 * GIB]),
        (&machine::I386_Q35, &[16 * MIB, 3 * GIB, 4 * GIB]),
        (&machine::AARCH64_VIRT, &[16 * MIB, GIB, 8 * GIB]),
        (&machine::ARM_VIRT, &[16 * MIB, GIB, 3 * GIB]),
        (&machine::RISCV64_VIRT, &[16 * MIB, GIB, 8 * GIB]),
        (&machine::SPARC_SS5, &[32 * MIB, 128 * MIB, 256 * MIB]),
        (&machine::S390X_CCW, &[128 * MIB, GIB]),
        (&machine::PPC64_PSERIES, &[256 * MIB, GIB]),
        (&machine::PPC_MAC99, &[128 * MIB, GIB]),
    ];
    for (machine, sizes) in cases {
        if let Some(qemu) = present(machine.arch) {
            compare_on(&qemu, machine, sizes);
        }
    }
}

/// What every machine promises: the first and the last word of each region, written here, read by the machine, and back.
#[test]
fn memory_is_the_same_from_both_sides() {
    for &machine in machine::ALL {
        let Some(qemu) = present(machine.arch) else {
            continue;
        };
        let vm = start_on(&qemu, &Launch::new(machine));
        assert!(!vm.ram().regions().is_empty());
        for region in vm.ram().regions().to_vec() {
            for addr in [region.base, region.end() - 8] {
                let bytes = (addr ^ 0x0123_4567_89ab_cdef).to_be_bytes();
                vm.ram().write(addr, &bytes);
                let mut seen = [0; 8];
                vm.read_mem(addr, &mut seen);
                assert_eq!(seen, bytes, "{machine} at {addr:#x}");
                vm.write_mem(addr, &[0x5a; 8]);
                assert_eq!(
                    vm.ram().read_le::<u64>(addr),
                    0x5a5a_5a5a_5a5a_5a5a,
                    "{machine} at {addr:#x}"
                );
            }
        }
        assert!(vm.stop().is_clean(), "{machine}");
        assert_ne!(machine.ram_backend, RamBackend::None);
    }
}
