use testjig_qos::dev::i8237::I8237;
use testjig_qos::dev::i82078::I82078;
use testjig_vm::{Device, Launch};

use crate::machines::{I386Pc, Pc, Q35};

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
        .edge("i8257", |pc: &Pc| I8237::new(pc.vm()))
        .describe(|| Box::new(I8237::decoder()));
    graph
        .edge("i8257", |pc: &Q35| I8237::new(pc.vm()))
        .describe(|| Box::new(I8237::decoder()));
});
