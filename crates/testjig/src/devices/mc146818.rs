use testjig_qos::dev::mc146818::Mc146818;

use crate::machines::{Pc, Q35};

crate::graph!(|graph| {
    graph
        .edge("mc146818rtc", |pc: &Pc| Mc146818::new(pc.vm()))
        .describe(|| Box::new(Mc146818::decoder()));
    graph
        .edge("mc146818rtc", |pc: &Q35| Mc146818::new(pc.vm()))
        .describe(|| Box::new(Mc146818::decoder()));
});
