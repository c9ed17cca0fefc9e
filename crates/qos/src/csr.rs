//! Control and status registers of RISC-V harts.
//!
//! Source: *The RISC-V Instruction Set Manual, Volume II: Privileged Architecture*, chapters "Control and Status Registers" and
//! "Machine-Level ISA". Accesses are those of machine mode.

use testjig_qtest::Csr as Access;
use testjig_vm::Vm;

/// The number of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Csr(pub u16);

impl Csr {
    /// Status of supervisor mode: a part of `mstatus`.
    pub const SSTATUS: Self = Self(0x100);
    /// A register of supervisor mode without meaning.
    pub const SSCRATCH: Self = Self(0x140);
    /// Address translation.
    pub const SATP: Self = Self(0x180);
    /// Status of the hart.
    pub const MSTATUS: Self = Self(0x300);
    /// The instruction sets that the hart has.
    pub const MISA: Self = Self(0x301);
    /// Exceptions that supervisor mode handles.
    pub const MEDELEG: Self = Self(0x302);
    /// Interrupts that are enabled.
    pub const MIE: Self = Self(0x304);
    /// Where traps go.
    pub const MTVEC: Self = Self(0x305);
    /// A register of machine mode without meaning.
    pub const MSCRATCH: Self = Self(0x340);
    /// The address of the trapped instruction.
    pub const MEPC: Self = Self(0x341);
    /// The cause of the trap.
    pub const MCAUSE: Self = Self(0x342);
    /// Interrupts that are pending.
    pub const MIP: Self = Self(0x344);
    /// Kinds of protection of the first eight physical regions.
    pub const PMPCFG0: Self = Self(0x3a0);
    /// The first physical region.
    pub const PMPADDR0: Self = Self(0x3b0);
    /// The manufacturer, read-only.
    pub const MVENDORID: Self = Self(0xf11);
    /// The number of the hart, read-only.
    pub const MHARTID: Self = Self(0xf14);
    /// Where the machine is described, read-only.
    pub const MCONFIGPTR: Self = Self(0xf15);

    /// Whether its number says that it can't be written: bits 11 and 10 are set [CSR Address Mapping Conventions].
    pub const fn is_read_only(self) -> bool {
        self.0 >> 10 == 0b11
    }
}

/// A hart of a machine.
#[derive(Clone, Debug)]
pub struct Hart {
    vm: Vm,
    number: u32,
}

impl Hart {
    /// The hart of this number. Touches nothing.
    pub fn new(vm: &Vm, number: u32) -> Self {
        Self {
            vm: vm.clone(),
            number,
        }
    }

    /// The machine.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// Reads a register. QEMU ends with SIGABRT if there is none of this number.
    #[track_caller]
    pub fn get(&self, csr: Csr) -> u64 {
        let access = Access::get(self.number, csr.0);
        self.vm
            .call(&access.unwrap_or_else(|error| panic!("{error}")))
    }

    /// Writes a register. QEMU ends with SIGABRT if there is none of this number, or if it is read-only.
    #[track_caller]
    pub fn set(&self, csr: Csr, value: u64) {
        let access = Access::set(self.number, csr.0, value);
        self.vm
            .call(&access.unwrap_or_else(|error| panic!("{error}")));
    }

    /// Writes a register and reads what is in it then.
    #[track_caller]
    pub fn legalized(&self, csr: Csr, value: u64) -> u64 {
        self.set(csr, value);
        self.get(csr)
    }
}
