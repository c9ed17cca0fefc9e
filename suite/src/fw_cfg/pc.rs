//! The device as PCs have it: behind I/O ports, with the items and files that a PC's firmware wants.

use std::ops::Deref;

use testjig::prelude::*;
use testjig::qos::bus::Pio;
use testjig::qos::dev::fw_cfg::{FwCfg, Window};

/// [`FwCfg`] of a PC.
pub(crate) struct PcFwCfg(FwCfg);

testjig::graph!(|graph| {
    graph
        .edge("fw_cfg_io", |pc: &Pc| PcFwCfg(FwCfg::io(pc.vm())))
        .describe(|| Box::new(FwCfg::decoder()));
    graph
        .edge("fw_cfg_io", |pc: &Q35| PcFwCfg(FwCfg::io(pc.vm())))
        .describe(|| Box::new(FwCfg::decoder()));
});

impl PcFwCfg {
    /// Its ports.
    pub(super) fn io(&self) -> &Pio {
        match self.0.window() {
            Window::Io(io) => io,
            Window::Mmio(_) | Window::Bytewise(..) => unreachable!("made with `FwCfg::io`"),
        }
    }
}

impl Deref for PcFwCfg {
    type Target = FwCfg;

    fn deref(&self) -> &FwCfg {
        &self.0
    }
}
