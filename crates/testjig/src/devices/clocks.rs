use testjig_qos::dev::goldfish_rtc::GoldfishRtc;
use testjig_qos::dev::pl031::Pl031;
use testjig_qos::qom::board_device;
use testjig_vm::Pin;

use crate::machines::{ArmVirt, RiscvVirt};

/// Where the two `virt` boards have their clocks; the device trees that QEMU hands to its guests say the same.
const ARM_VIRT_PL031: u64 = 0x0901_0000;
const RISCV_VIRT_RTC: u64 = 0x0010_1000;

crate::graph!(|graph| {
    graph
        .edge("pl031", |virt: &ArmVirt| {
            Pl031::new(virt.vm(), ARM_VIRT_PL031, |vm| {
                Pin::output(board_device(vm, "pl031", 0), 0).of_list("sysbus-irq")
            })
        })
        .describe(|| Box::new(Pl031::decoder(ARM_VIRT_PL031)));
    graph
        .edge("goldfish_rtc", |virt: &RiscvVirt| {
            GoldfishRtc::new(virt.vm(), RISCV_VIRT_RTC, |vm| {
                Pin::output(board_device(vm, "goldfish_rtc", 0), 0).of_list("sysbus-irq")
            })
        })
        .describe(|| Box::new(GoldfishRtc::decoder(RISCV_VIRT_RTC)));
});
