use testjig_qos::dev::pc16550d::Pc16550d;
use testjig_vm::{Chardev, Device, Launch};

use crate::machines::{Pc, Q35};

/// Id of the channel at the other end of the graph's serial port.
pub const PC16550D_WIRE: &str = "serial";

fn with_port(launch: Launch) -> Launch {
    launch
        .chardev(Chardev::socket(PC16550D_WIRE))
        .device(Device::new("isa-serial").prop("chardev", PC16550D_WIRE))
}

crate::graph!(|graph| {
    graph
        .edge("isa-serial", |pc: &Pc| Pc16550d::com1(pc.vm()))
        .launch(with_port)
        .describe(|| Box::new(Pc16550d::decoder()));
    graph
        .edge("isa-serial", |pc: &Q35| Pc16550d::com1(pc.vm()))
        .launch(with_port)
        .describe(|| Box::new(Pc16550d::decoder()));
});
