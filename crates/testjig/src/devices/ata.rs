use testjig_qos::dev::ata::Channel;

use crate::machines::Pc;

crate::graph!(|graph| {
    graph
        .edge("piix3-ide", |pc: &Pc| Channel::primary(pc.vm()))
        .describe(|| Box::new(Channel::decoder("ide0", Channel::PRIMARY)));
});
