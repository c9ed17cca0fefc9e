use testjig_qos::dev::i8042::I8042;

use crate::machines::{Pc, Q35};

crate::graph!(|graph| {
    graph
        .edge("i8042", |pc: &Pc| I8042::new(pc.vm()))
        .describe(|| Box::new(I8042::decoder()));
    graph
        .edge("i8042", |pc: &Q35| I8042::new(pc.vm()))
        .describe(|| Box::new(I8042::decoder()));
});
