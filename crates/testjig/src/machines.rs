//! The machines that testjig knows, and what each carries from the start.
#![expect(
    unsafe_code,
    reason = "registration places statics in a section of their own; crates that use the macro are not asked"
)]

use testjig_qos::dev::fw_cfg::FwCfg;
use testjig_qos::dev::i440fx::I440fx;
use testjig_qos::dev::mc146818::Mc146818;
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
    /// The board of 64-bit Arm that exists only in QEMU: its `virt`.
    ArmVirt
}

crate::graph!(|graph| {
    graph.machine(&machine::PC, Pc::new);
    graph
        .edge("i440FX", |pc: &Pc| I440fx::new(pc.vm()))
        .describe(|| Box::new(I440fx::decoder()));
    graph
        .edge("mc146818rtc", |pc: &Pc| Mc146818::new(pc.vm()))
        .describe(|| Box::new(Mc146818::decoder()));
    graph
        .edge("fw_cfg_io", |pc: &Pc| FwCfg::io(pc.vm()))
        .describe(|| Box::new(FwCfg::decoder()));

    graph.machine(&machine::Q35, Q35::new);
    graph
        .edge("mc146818rtc", |pc: &Q35| Mc146818::new(pc.vm()))
        .describe(|| Box::new(Mc146818::decoder()));
    graph
        .edge("fw_cfg_io", |pc: &Q35| FwCfg::io(pc.vm()))
        .describe(|| Box::new(FwCfg::decoder()));

    graph.machine(&machine::AARCH64_VIRT, ArmVirt::new);
    graph
        .edge("fw_cfg_mem", |virt: &ArmVirt| {
            FwCfg::mmio(virt.vm(), ARM_VIRT_FW_CFG)
        })
        .describe(|| Box::new(FwCfg::mmio_decoder(ARM_VIRT_FW_CFG)));
});

/// Where `virt` has its fw_cfg registers; the device tree that QEMU hands to its guest says the same.
pub const ARM_VIRT_FW_CFG: u64 = 0x0902_0000;
