use testjig_qos::dev::i8237::I8237;
use testjig_qos::dev::i82078::{Decoder, Fdtwo, I82078};
use testjig_qos::qom::board_device;
use testjig_vm::{Device, Launch, Pin};

use crate::machines::{I386Pc, Pc, Q35, SparcSs5};

/// Where the SPARCstation 5 has its floppy controller.
const SPARC_SS5_FDTWO: u64 = 0x7140_0000;

/// Q35 has a controller only when asked for; `pc` always has.
fn with_controller(launch: Launch) -> Launch {
    launch.device(Device::new("isa-fdc").id("fdc"))
}

crate::graph!(|graph| {
    graph
        .edge("isa-fdc", |pc: &Pc| I82078::pc(pc.vm()))
        .describe(|| Box::new(I82078::decoder()));
    graph
        .edge("isa-fdc", |pc: &I386Pc| I82078::pc(pc.vm()))
        .describe(|| Box::new(I82078::decoder()));
    graph
        .edge("isa-fdc", |pc: &Q35| I82078::pc(pc.vm()))
        .launch(with_controller)
        .describe(|| Box::new(I82078::decoder()));
    graph
        .edge("sun-fdtwo", |station: &SparcSs5| {
            let pin = Pin::output(board_device(station.vm(), "sun-fdtwo", 0), 0);
            Fdtwo::new(station.vm(), SPARC_SS5_FDTWO, pin.of_list("sysbus-irq"))
        })
        .describe(|| Box::new(Decoder::memory(SPARC_SS5_FDTWO)));
    graph
        .edge("i8257", |pc: &Pc| I8237::new(pc.vm()))
        .describe(|| Box::new(I8237::decoder()));
    graph
        .edge("i8257", |pc: &Q35| I8237::new(pc.vm()))
        .describe(|| Box::new(I8237::decoder()));
});
