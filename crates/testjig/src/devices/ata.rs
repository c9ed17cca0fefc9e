use testjig_qos::dev::ata::Channel;
use testjig_qos::dev::piix_ide::PiixIde;
use testjig_qos::pci::Pci;

use crate::machines::Pc;

crate::graph!(|graph| {
    graph
        .edge("piix3-ide", |pc: &Pc| Channel::primary(pc.vm()))
        .describe(|| Box::new(Channel::decoder("ide0", Channel::PRIMARY)));
    graph
        .edge("piix3-ide", |pc: &Pc| PiixIde::find(&Pci::pc(pc.vm())))
        .describe(|| Box::new(PiixIde::decoder()));
});
