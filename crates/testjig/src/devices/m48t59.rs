use testjig_qos::dev::m48t59::{Decoder, M48t59, Timekeeper, Window};
use testjig_qos::qom::board_device;
use testjig_vm::{Device, Pin, Vm};

use crate::machines::{Prep, SparcSs5, Sun4u};

/// Where the SPARCstation 5 has its M48T08.
pub const SPARC_SS5_M48T08: u64 = 0x7120_0000;
/// Sun's machines count years from here.
const SUN_YEAR_0: u16 = 1968;

/// Where `sun4u` shows I/O addresses of its PCI buses.
const SUN4U_IO: u64 = 0x1fe_0200_0000;
/// The I/O address of its M48T59, behind the bridge to the EBus.
const SUN4U_M48T59: u64 = SUN4U_IO + 0x2000;
/// The byte in that bridge's configuration space with the upper bits of the last I/O address that it passes on.
const SUN4U_BRIDGE_IO_LIMIT: u64 = 0x1fe_0100_091d;

/// Where `40p` shows its ISA ports.
const PREP_IO: u64 = 0x8000_0000;
const PREP_M48T59: u64 = PREP_IO + 0x74;
/// A line that no other device of `40p` drives: an input of the second interrupt controller.
const PREP_IRQ: u32 = 10;

/// What `sun4u`'s firmware does first: opens the bridge to the end of the M48T59. It comes up with 4 KiB.
fn open_bridge(vm: &Vm) {
    vm.writeb(SUN4U_BRIDGE_IO_LIMIT, 0x30);
}

crate::graph!(|graph| {
    graph
        .edge("sysbus-m48t08", |station: &SparcSs5| {
            Timekeeper::m48t08(Window::memory(station.vm(), SPARC_SS5_M48T08), SUN_YEAR_0)
        })
        .describe(|| Box::new(Decoder::m48t08(SPARC_SS5_M48T08)));
    graph
        .edge("sysbus-m48t59", |sun: &Sun4u| {
            let window = Window::memory(sun.vm(), SUN4U_M48T59);
            M48t59::new(window, SUN_YEAR_0, |vm| {
                Pin::output(board_device(vm, "sysbus-m48t59", 0), 0).of_list("sysbus-irq")
            })
            .behind(open_bridge)
        })
        .describe(|| Box::new(Decoder::memory(SUN4U_M48T59)));
    graph
        .edge("isa-m48t59", |prep: &Prep| {
            let window = Window::ports(prep.vm(), PREP_M48T59);
            M48t59::new(window, 2000, |vm| {
                Pin::input(board_device(vm, "isa-i8259", 1), PREP_IRQ - 8)
            })
        })
        .launch(|launch| launch.device(Device::new("isa-m48t59").prop("irq", PREP_IRQ)))
        .describe(|| Box::new(Decoder::ports(PREP_M48T59)));
    graph.edge("timekeeper", |chip: &M48t59| chip.timekeeper().clone());
});
