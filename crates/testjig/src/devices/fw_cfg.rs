use testjig_qos::dev::fw_cfg::FwCfg;

use crate::machines::{ArmVirt, Pc, Q35};

/// Where `virt` of Arm has its fw_cfg registers; the device tree that QEMU hands to its guest says the same.
pub const ARM_VIRT_FW_CFG: u64 = 0x0902_0000;

crate::graph!(|graph| {
    graph
        .edge("fw_cfg_io", |pc: &Pc| FwCfg::io(pc.vm()))
        .describe(|| Box::new(FwCfg::decoder()));
    graph
        .edge("fw_cfg_io", |pc: &Q35| FwCfg::io(pc.vm()))
        .describe(|| Box::new(FwCfg::decoder()));
    graph
        .edge("fw_cfg_mem", |virt: &ArmVirt| {
            FwCfg::mmio(virt.vm(), ARM_VIRT_FW_CFG)
        })
        .describe(|| Box::new(FwCfg::mmio_decoder(ARM_VIRT_FW_CFG)));
});
