use testjig_qos::dev::ahci::Ahci;
use testjig_qos::pci::Pci;

use crate::machines::Q35;

crate::graph!(|graph| {
    graph
        .edge("ich9-ahci", |pc: &Q35| Ahci::find(&Pci::q35(pc.vm())))
        .describe(|| Box::new(Ahci::decoder()));
});
