use testjig_qos::dev::i440fx::I440fx;

use crate::machines::Pc;

crate::graph!(|graph| {
    graph
        .edge("i440FX", |pc: &Pc| I440fx::new(pc.vm()))
        .describe(|| Box::new(I440fx::decoder()));
});
