use testjig_qos::csr::Hart;
use testjig_qos::rtas::Services;

use crate::machines::{Pseries, RiscvVirt};

crate::graph!(|graph| {
    graph.edge("rtas", |server: &Pseries| Services::new(server.vm()));
    graph.edge("hart0", |virt: &RiscvVirt| Hart::new(virt.vm(), 0));
});
