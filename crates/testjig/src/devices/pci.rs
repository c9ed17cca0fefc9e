use testjig_qos::pci::{Decoder, Pci};

use crate::machines::{ArmVirt, I386Pc, I386Q35, Pc, Pseries, Q35, RiscvVirt};

// A label is what QEMU calls the root bus: what a device's `bus` property takes.
crate::graph!(|graph| {
    graph
        .edge("pci.0", |pc: &Pc| Pci::pc(pc.vm()))
        .describe(|| Box::new(Decoder::default()));
    graph
        .edge("pci.0", |pc: &I386Pc| Pci::pc(pc.vm()))
        .describe(|| Box::new(Decoder::default()));
    graph
        .edge("pcie.0", |pc: &Q35| Pci::q35(pc.vm()))
        .describe(|| Box::new(Decoder::ecam(Pci::Q35_ECAM)));
    graph
        .edge("pcie.0", |pc: &I386Q35| Pci::q35(pc.vm()))
        .describe(|| Box::new(Decoder::ecam(Pci::Q35_ECAM)));
    graph
        .edge("pcie.0", |virt: &ArmVirt| Pci::arm_virt(virt.vm()))
        .describe(|| Box::new(Decoder::ecam(Pci::ARM_VIRT_ECAM)));
    graph
        .edge("pcie.0", |virt: &RiscvVirt| Pci::riscv_virt(virt.vm()))
        .describe(|| Box::new(Decoder::ecam(Pci::RISCV_VIRT_ECAM)));
    graph
        .edge("pci.0", |server: &Pseries| Pci::pseries(server.vm()))
        .describe(|| Box::new(Decoder::default()));
});
