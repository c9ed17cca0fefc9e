//! Machine types: what `-machine` calls them, and where their RAM is.
//!
//! A [`MachineType`] knows how a memory of so many bytes is laid out in the guest's physical address space, so that
//! [`Ram`](crate::Ram) can map it. What a layout leaves out (video memory, ROM, the segments that PAM registers
//! route) is decoded by the machine at every access and reached over the wire instead.
//!
//! The layouts are those that `info mtree -f` of a running QEMU shows; `tests/machines.rs` compares them again.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Serialize, Serializer};

use crate::arch::Arch;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A machine that a VMM can be asked for: QEMU's name of it and its RAM.
///
/// The ones of this module are a start, not a limit: a crate with a machine of its own declares another `static`.
#[derive(Clone, Copy)]
pub struct MachineType {
    /// The architecture whose QEMU has this machine.
    pub arch: Arch,
    /// The name, as in `-machine`.
    pub name: &'static str,
    /// Bytes of RAM if the launch does not say.
    pub default_memory: u64,
    /// Where a memory of so many bytes is: the regions that are plain RAM whatever the devices do.
    pub ram: fn(u64) -> Vec<RamRegion>,
    /// How a test reaches that RAM.
    pub ram_backend: RamBackend,
}

/// A stretch of guest-physical addresses that is plain RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RamRegion {
    /// Its first guest-physical address.
    pub base: u64,
    /// Where it begins in the memory backend, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

impl RamRegion {
    /// The first address after the region.
    pub const fn end(&self) -> u64 {
        self.base + self.len
    }
}

/// How a test reaches a machine's RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RamBackend {
    /// The machine takes its RAM from a backend: an inherited memfd, mapped by the test as well.
    Memfd,
    /// The machine makes its own: the bytes travel over the wire.
    Wire,
    /// The machine has no RAM of its own.
    None,
}

impl MachineType {
    /// What a run calls it: architecture and name, as in `x86_64/pc`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.arch, self.name)
    }

    /// The machine of this architecture and name among those of this module.
    pub fn by_name(arch: Arch, name: &str) -> Option<&'static MachineType> {
        ALL.iter()
            .copied()
            .find(|machine| machine.arch == arch && machine.name == name)
    }
}

impl PartialEq for MachineType {
    fn eq(&self, other: &Self) -> bool {
        self.arch == other.arch && self.name == other.name
    }
}

impl Eq for MachineType {}

impl Hash for MachineType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.arch.hash(state);
        self.name.hash(state);
    }
}

impl fmt::Debug for MachineType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MachineType({}/{})", self.arch, self.name)
    }
}

impl fmt::Display for MachineType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.arch, self.name)
    }
}

impl Serialize for MachineType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.id())
    }
}

/// The i440FX and PIIX3 PC.
pub static PC: MachineType = memfd(Arch::X86_64, "pc", 128 * MIB, i440fx_ram);
/// The Q35 and ICH9 PC.
pub static Q35: MachineType = memfd(Arch::X86_64, "q35", 128 * MIB, q35_ram);
/// The PC without PCI, for virtio-mmio.
pub static MICROVM: MachineType = memfd(Arch::X86_64, "microvm", 128 * MIB, microvm_ram);
/// The ISA-only PC.
pub static ISAPC: MachineType = memfd(Arch::X86_64, "isapc", 16 * MIB, isapc_ram);
/// [`PC`] with 32-bit processors.
pub static I386_PC: MachineType = memfd(Arch::I386, "pc", 128 * MIB, i440fx_ram);
/// [`Q35`] with 32-bit processors.
pub static I386_Q35: MachineType = memfd(Arch::I386, "q35", 128 * MIB, q35_ram);
/// [`MICROVM`] with 32-bit processors.
pub static I386_MICROVM: MachineType = memfd(Arch::I386, "microvm", 128 * MIB, microvm_ram);
/// The generic 64-bit Arm machine; RAM begins at 1 GiB.
pub static AARCH64_VIRT: MachineType = memfd(Arch::Aarch64, "virt", 128 * MIB, at_1_gib);
/// The Raspberry Pi 3B; always 1 GiB, of which the peripherals cover the last 16 MiB.
pub static RASPI3B: MachineType = memfd(Arch::Aarch64, "raspi3b", GIB, raspi3_ram);
/// Freescale's i.MX25 board; RAM begins at 2 GiB and has at most 512 MiB.
pub static IMX25_PDK: MachineType = memfd(Arch::Aarch64, "imx25-pdk", 128 * MIB, at_2_gib);
/// Arm's MPS2 board with the Cortex-M3 of AN385; always 16 MiB, from 0x2100_0000 on.
pub static MPS2_AN385: MachineType = memfd(Arch::Aarch64, "mps2-an385", 16 * MIB, mps2_ram);
/// The generic 32-bit Arm machine; RAM begins at 1 GiB.
pub static ARM_VIRT: MachineType = memfd(Arch::Arm, "virt", 128 * MIB, at_1_gib);
/// The generic 64-bit RISC-V machine; RAM begins at 2 GiB.
pub static RISCV64_VIRT: MachineType = memfd(Arch::Riscv64, "virt", 128 * MIB, at_2_gib);
/// The SPARCstation 5; at most 256 MiB.
pub static SPARC_SS5: MachineType = memfd(Arch::Sparc, "SS-5", 128 * MIB, at_0);
/// The Sun4u PC-like machine, which makes its own RAM.
pub static SPARC64_SUN4U: MachineType = MachineType {
    ram_backend: RamBackend::Wire,
    ..memfd(Arch::Sparc64, "sun4u", 128 * MIB, at_0)
};
/// The s390 channel-I/O machine.
pub static S390X_CCW: MachineType = memfd(Arch::S390x, "s390-ccw-virtio", 128 * MIB, at_0);
/// The paravirtual POWER server; at least 256 MiB.
pub static PPC64_PSERIES: MachineType = memfd(Arch::Ppc64, "pseries", 512 * MIB, at_0);
/// The POWER9 bare-metal machine; more than 1 GiB.
pub static PPC64_POWERNV9: MachineType = memfd(Arch::Ppc64, "powernv9", 2 * GIB, at_0);
/// The PowerPC Reference Platform machine of IBM's RS/6000 7020 (40p), which makes its own RAM.
pub static PPC_40P: MachineType = MachineType {
    ram_backend: RamBackend::Wire,
    ..memfd(Arch::Ppc, "40p", 128 * MIB, at_0)
};
/// The New World PowerMac; at most 2 GiB.
pub static PPC_MAC99: MachineType = memfd(Arch::Ppc, "mac99", 128 * MIB, at_0);

/// All machines above.
pub static ALL: &[&MachineType] = &[
    &PC,
    &Q35,
    &MICROVM,
    &ISAPC,
    &I386_PC,
    &I386_Q35,
    &I386_MICROVM,
    &AARCH64_VIRT,
    &RASPI3B,
    &IMX25_PDK,
    &MPS2_AN385,
    &ARM_VIRT,
    &RISCV64_VIRT,
    &SPARC_SS5,
    &SPARC64_SUN4U,
    &S390X_CCW,
    &PPC64_PSERIES,
    &PPC64_POWERNV9,
    &PPC_40P,
    &PPC_MAC99,
];

/// A machine without anything on it, of any architecture: for questions about a binary.
pub const fn none(arch: Arch) -> MachineType {
    MachineType {
        ram_backend: RamBackend::None,
        ..memfd(arch, "none", 0, no_ram)
    }
}

const fn memfd(
    arch: Arch,
    name: &'static str,
    default_memory: u64,
    ram: fn(u64) -> Vec<RamRegion>,
) -> MachineType {
    MachineType {
        arch,
        name,
        default_memory,
        ram,
        ram_backend: RamBackend::Memfd,
    }
}

/// Conventional memory ends where a PC's video window begins (82441FX data sheet, §4.1.1 "compatibility area").
const CONVENTIONAL: u64 = 640 * KIB;

/// A PC's RAM: conventional memory, extended memory from 1 MiB up to `below_4g`, the rest from 4 GiB up.
fn pc_ram(memory: u64, below_4g: u64) -> Vec<RamRegion> {
    let mut regions = at(0, 0, memory.min(CONVENTIONAL));
    regions.extend(at(MIB, MIB, memory.min(below_4g).saturating_sub(MIB)));
    regions.extend(at(4 * GIB, below_4g, memory.saturating_sub(below_4g)));
    regions
}

/// i440FX: 3.5 GiB fit below 4 GiB; a larger memory is split at 3 GiB so that its pages stay aligned.
fn i440fx_ram(memory: u64) -> Vec<RamRegion> {
    let fits = memory < 3 * GIB + 512 * MIB;
    pc_ram(memory, if fits { memory } else { 3 * GIB })
}

/// Q35: 2.75 GiB fit below the configuration window; a larger memory is split at 2 GiB.
fn q35_ram(memory: u64) -> Vec<RamRegion> {
    let fits = memory < 2 * GIB + 768 * MIB;
    pc_ram(memory, if fits { memory } else { 2 * GIB })
}

fn microvm_ram(memory: u64) -> Vec<RamRegion> {
    pc_ram(memory, 3 * GIB)
}

fn isapc_ram(memory: u64) -> Vec<RamRegion> {
    pc_ram(memory, 3 * GIB + 512 * MIB)
}

fn raspi3_ram(memory: u64) -> Vec<RamRegion> {
    at(0, 0, memory.min(GIB - 16 * MIB))
}

fn at_0(memory: u64) -> Vec<RamRegion> {
    at(0, 0, memory)
}

fn at_1_gib(memory: u64) -> Vec<RamRegion> {
    at(GIB, 0, memory)
}

/// The MPS2's PSRAM (DAI 0385, memory map).
fn mps2_ram(memory: u64) -> Vec<RamRegion> {
    at(0x2100_0000, 0, memory)
}

fn at_2_gib(memory: u64) -> Vec<RamRegion> {
    at(2 * GIB, 0, memory)
}

fn no_ram(_memory: u64) -> Vec<RamRegion> {
    Vec::new()
}

fn at(base: u64, offset: u64, len: u64) -> Vec<RamRegion> {
    if len == 0 {
        return Vec::new();
    }
    vec![RamRegion { base, offset, len }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(machine: &MachineType, memory: u64) -> Vec<(u64, u64, u64)> {
        (machine.ram)(memory)
            .iter()
            .map(|region| (region.base, region.end(), region.offset))
            .collect()
    }

    #[test]
    fn a_pc_leaves_out_video_memory_and_firmware() {
        let expected = [(0, 0xa_0000, 0), (0x10_0000, 0x800_0000, 0x10_0000)];
        assert_eq!(spans(&PC, 128 * MIB), expected);
        assert_eq!(spans(&Q35, 128 * MIB), expected);
    }

    #[test]
    fn a_large_pc_continues_above_4_gib() {
        assert_eq!(
            spans(&PC, 6 * GIB)[1..],
            [(MIB, 3 * GIB, MIB), (4 * GIB, 7 * GIB, 3 * GIB)]
        );
        assert_eq!(
            spans(&Q35, 6 * GIB)[1..],
            [(MIB, 2 * GIB, MIB), (4 * GIB, 8 * GIB, 2 * GIB)]
        );
    }

    #[test]
    fn a_memory_smaller_than_the_hole_has_no_extended_part() {
        assert_eq!(spans(&PC, 512 * KIB), [(0, 512 * KIB, 0)]);
        assert_eq!(spans(&PC, MIB), [(0, 640 * KIB, 0)]);
    }

    #[test]
    fn regions_never_overlap_and_never_leave_the_backend() {
        let sizes = [
            0,
            KIB,
            640 * KIB,
            MIB,
            16 * MIB,
            GIB,
            3 * GIB - 1,
            3 * GIB,
            0xb000_0000,
            0xe000_0000,
            4 * GIB,
            64 * GIB,
        ];
        for machine in ALL {
            for memory in sizes {
                let regions = (machine.ram)(memory);
                for region in &regions {
                    assert!(region.offset + region.len <= memory, "{machine} {memory}");
                }
                for pair in regions.windows(2) {
                    assert!(pair[0].end() <= pair[1].base, "{machine} {memory}");
                    assert!(
                        pair[0].offset + pair[0].len <= pair[1].offset,
                        "{machine} {memory}"
                    );
                }
            }
        }
    }

    #[test]
    fn names_are_unique_and_found_again() {
        for machine in ALL {
            let found = MachineType::by_name(machine.arch, machine.name).unwrap();
            assert!(std::ptr::eq(found, *machine), "{machine} is there twice");
        }
        assert!(MachineType::by_name(Arch::X86_64, "no such machine").is_none());
    }
}
