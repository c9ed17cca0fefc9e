//! The host bridges of the machines that testjig knows.

use testjig_qtest::Width;
use testjig_vm::{Arch, Vm};

use super::intx::Routing;
use super::{AddressMap, Bdf, ConfigSpace, Ecam, Pci, Ports, SpaprPhb, Window};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Ports that no device of a PC has by itself: above the fixed ones, below QEMU's hot-plug registers.
const PC_IO: std::ops::Range<u64> = 0x1000..0xa000;
/// Above any RAM, within 40 bits of address.
const PC_MEMORY64: Window = Window::identical(512 * GIB..1000 * GIB);

/// PCIEXBAR of the Q35's memory controller hub: base and enable of the configuration window.
const PCIEXBAR: u16 = 0x60;
/// Where it is put: above what RAM a `q35` has below 4 GiB.
const Q35_ECAM: u64 = 0xb000_0000;

impl Pci {
    /// Where [`Pci::q35`] puts the configuration window.
    pub const Q35_ECAM: u64 = Q35_ECAM;
    /// Where `virt` of 64-bit Arm has its configuration window, unless it is started without high memory.
    pub const ARM_VIRT_ECAM: u64 = 0x40_1000_0000;
    /// Where `virt` of RISC-V has its configuration window.
    pub const RISCV_VIRT_ECAM: u64 = 0x3000_0000;

    /// That of the machine, whichever it is; `None` if testjig knows none of it.
    #[track_caller]
    pub fn of(vm: &Vm) -> Option<Self> {
        let machine = vm.launch().machine();
        Some(match (machine.arch, machine.name) {
            (Arch::X86_64 | Arch::I386, "pc") => Self::pc(vm),
            (Arch::X86_64 | Arch::I386, "q35") => Self::q35(vm),
            (Arch::Aarch64, "virt") => Self::arm_virt(vm),
            (Arch::Riscv64, "virt") => Self::riscv_virt(vm),
            (Arch::Ppc64, "pseries") => Self::pseries(vm),
            _ => return None,
        })
    }

    /// That of a `pc`: an i440FX with a PIIX3. Touches nothing.
    pub fn pc(vm: &Vm) -> Self {
        let map = AddressMap {
            ports: Ports::Native,
            io: PC_IO,
            memory: Window::identical(0xe000_0000..0xfeb0_0000),
            memory64: PC_MEMORY64,
            intx: Routing::Piix3,
        };
        Self::with_mechanism1(ConfigSpace::new(vm), map)
    }

    /// That of a `q35`, whose configuration window is opened at 0xb0000000 for 256 buses (82Q35 data sheet, PCIEXBAR).
    #[track_caller]
    pub fn q35(vm: &Vm) -> Self {
        Self::open_q35(vm);
        let map = AddressMap {
            ports: Ports::Native,
            io: PC_IO,
            memory: Window::identical(0xc000_0000..0xfeb0_0000),
            memory64: PC_MEMORY64,
            intx: Routing::Ich9,
        };
        Self::with_ecam(Ecam::new(vm, Q35_ECAM), map)
    }

    /// Writes PCIEXBAR.
    #[track_caller]
    pub(super) fn open_q35(vm: &Vm) {
        const ENABLE: u32 = 1;
        let ports = ConfigSpace::new(vm);
        let hub = Bdf::new(0, 0, 0);
        ports.write(hub, PCIEXBAR + 4, Width::L, 0);
        ports.write(hub, PCIEXBAR, Width::L, Q35_ECAM as u32 | ENABLE);
    }

    /// That of `virt` of 64-bit Arm. Touches nothing.
    pub fn arm_virt(vm: &Vm) -> Self {
        let map = AddressMap {
            ports: Ports::Memory(0x3eff_0000),
            io: 0x1000..0x1_0000,
            memory: Window::identical(0x1000_0000..0x3eff_0000),
            memory64: Window::identical(512 * GIB..1024 * GIB),
            intx: Routing::Swizzled {
                controller: &["arm_gic", "arm-gicv3"],
                first: 3,
            },
        };
        Self::with_ecam(Ecam::new(vm, Self::ARM_VIRT_ECAM), map)
    }

    /// That of `virt` of RISC-V. Touches nothing.
    pub fn riscv_virt(vm: &Vm) -> Self {
        // The upper window begins at the next multiple of its own size above RAM.
        let ram_end = 2 * GIB + vm.launch().memory_size();
        let high = ram_end.next_multiple_of(16 * GIB);
        let map = AddressMap {
            ports: Ports::Memory(0x300_0000),
            io: 0x1000..0x1_0000,
            memory: Window::identical(GIB..2 * GIB),
            memory64: Window::identical(high..high + 16 * GIB),
            intx: Routing::Swizzled {
                controller: &["riscv.sifive.plic"],
                first: 32,
            },
        };
        Self::with_ecam(Ecam::new(vm, Self::RISCV_VIRT_ECAM), map)
    }

    /// That of a `pseries`: the host bridge that the machine has from the start. Touches nothing.
    pub fn pseries(vm: &Vm) -> Self {
        // 32 TiB and up: ports, then 2 GiB of memory whose addresses on the bus begin at 2 GiB, then 1 TiB of equal addresses.
        const BASE: u64 = 32 << 40;
        let map = AddressMap {
            ports: Ports::Memory(BASE),
            io: 0x1000..0x1_0000,
            memory: Window {
                base: 2 * GIB,
                len: 2 * GIB - MIB,
                cpu: BASE + 2 * GIB,
            },
            memory64: Window::identical(33 << 40..34 << 40),
            intx: Routing::Unseen(
                "the interrupt lines of a pseries lead to no pin that can be intercepted",
            ),
        };
        Self::with_spapr(SpaprPhb::new(vm), map)
    }
}
