//! The machines that testjig knows, and what each carries from the start.
#![expect(
    unsafe_code,
    reason = "registration places statics in a section of their own; crates that use the macro are not asked"
)]

use testjig_vm::{Vm, machine};

macro_rules! machine {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(Vm);

        impl $name {
            /// The machine's value for tests and edges.
            pub fn new(vm: &Vm) -> Self {
                Self(vm.clone())
            }

            /// The running machine.
            pub fn vm(&self) -> &Vm {
                &self.0
            }
        }
    };
}

machine! {
    /// The PC of 1996: Intel 440FX and PIIX3. QEMU's `pc`.
    Pc
}
machine! {
    /// The PC with PCI Express: Intel Q35 and ICH9. QEMU's `q35`.
    Q35
}
machine! {
    /// [`Pc`] with 32-bit processors. A type of its own, so that a driver says whether its tests are worth running on it too: the
    /// devices are the same, built for another target.
    I386Pc
}
machine! {
    /// [`Q35`] with 32-bit processors. A type of its own, as [`I386Pc`].
    I386Q35
}
machine! {
    /// The PC without PCI, whose devices sit on virtio-mmio and ISA. QEMU's `microvm`.
    Microvm
}
machine! {
    /// The board of 32- and 64-bit Arm that exists only in QEMU: its `virt`.
    ArmVirt
}
machine! {
    /// Freescale's i.MX25 product development kit. QEMU's `imx25-pdk`.
    Imx25Pdk
}
machine! {
    /// Arm's MPS2 board with the Cortex-M3 of AN385. QEMU's `mps2-an385`.
    Mps2An385
}
machine! {
    /// The board of RISC-V that exists only in QEMU: its `virt`.
    RiscvVirt
}
machine! {
    /// The paravirtual POWER server. QEMU's `pseries`.
    Pseries
}
machine! {
    /// The s390 machine with channel I/O. QEMU's `s390-ccw-virtio`.
    S390Ccw
}
machine! {
    /// The Power Mac of 1999. QEMU's `mac99`.
    Mac99
}
machine! {
    /// The PowerPC Reference Platform, with PCI and ISA. QEMU's `40p`.
    Prep
}
machine! {
    /// The SPARCstation 5, with SBus. QEMU's `SS-5`.
    SparcSs5
}
machine! {
    /// The PC-like Sun4u machine. QEMU's `sun4u`.
    Sun4u
}

crate::graph!(|graph| {
    graph.machine(&machine::PC, Pc::new);
    graph.machine(&machine::Q35, Q35::new);
    graph.machine(&machine::I386_PC, I386Pc::new);
    graph.machine(&machine::I386_Q35, I386Q35::new);
    graph.machine(&machine::MICROVM, Microvm::new);
    graph.machine(&machine::AARCH64_VIRT, ArmVirt::new);
    graph.machine(&machine::IMX25_PDK, Imx25Pdk::new);
    graph.machine(&machine::MPS2_AN385, Mps2An385::new);
    graph.machine(&machine::RISCV64_VIRT, RiscvVirt::new);
    graph.machine(&machine::PPC64_PSERIES, Pseries::new);
    graph.machine(&machine::PPC_MAC99, Mac99::new);
    graph.machine(&machine::PPC_40P, Prep::new);
    graph.machine(&machine::S390X_CCW, S390Ccw::new);
    graph.machine(&machine::SPARC_SS5, SparcSs5::new);
    graph.machine(&machine::SPARC64_SUN4U, Sun4u::new);
});
