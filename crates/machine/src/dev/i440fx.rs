//! Intel 82441FX PCI and memory controller (data sheet 290549): host bridge, and the split of memory between DRAM and PCI.

use serde_json::{Value, json};

use crate::board::{Board, Device};
use crate::pci::{Config, Devfn, Id};

const GIB: u64 = 1 << 30;
/// Where PCI memory ends below 4 GiB: the I/O APIC.
const IO_APIC: u64 = 0xfec0_0000;

/// [PAM] Programmable attribute map, seven bytes.
const PAM: u8 = 0x59;
/// [DRB] DRAM row boundaries, eight bytes.
const DRB: u8 = 0x60;
/// [SMRAM] System management RAM control.
const SMRAM: u8 = 0x72;
/// Not in the data sheet: where coreboot's port to QEMU finds the size of memory, in units of 8 MiB.
const MEMORY_SIZE: u8 = 0x57;

const D_OPEN: u8 = 1 << 6;
const D_LCK: u8 = 1 << 4;
const G_SMRAME: u8 = 1 << 3;

/// [PAM] Read enable and write enable, in either nibble.
const RE: u8 = 1 << 0;
const WE: u8 = 1 << 1;

pub(crate) struct I440fx {
    config: Config,
    /// For `pci-hole64-size` and the like: whether the upper hole is that of newer machine types.
    pub(crate) fixed_hole: bool,
    pub(crate) hole64_size: u64,
    /// What else decodes addresses above 4 GiB, told by the machine.
    pub(crate) resources: Vec<(u64, u64)>,
    pub(crate) hotplug_end: u64,
}

/// Where an access goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Dram,
    Pci,
}

impl I440fx {
    pub(crate) fn new(memory: u64) -> Self {
        let id = Id {
            vendor: 0x8086,
            device: 0x1237,
            revision: 2,
            class: 0x06_0000,
            subsystem: (0x1af4, 0x1100),
        };
        let mut config = Config::new(Devfn::new(0, 0), id);
        // [PCICMD] SERR# enable, parity and the master and memory bits; the others are hardwired to 0.
        config.allow(0x04, &[0x46, 0x01]);
        config.fix(SMRAM, &[0x02]);
        config.allow(SMRAM, &[0x78]);
        config.allow(PAM, &[0x33; 7]);
        config.allow(PAM, &[0x30]);
        config.allow(DRB, &[0xff; 8]);
        let units = (memory >> 23).min(255) as u8;
        config.fix(MEMORY_SIZE, &[units]);
        Self {
            config,
            fixed_hole: true,
            hole64_size: 2 * GIB,
            resources: Vec::new(),
            hotplug_end: 0,
        }
    }

    /// Where a read or write between 0xa0000 and 0xfffff goes, and the address after the last that goes the same way.
    pub(crate) fn side(&self, addr: u64, write: bool) -> (Side, u64) {
        if addr < 0xc_0000 {
            // [SMRAM] Open to all while D_OPEN and G_SMRAME are set; else PCI, as no access here comes from system management mode.
            let smram = self.config.byte(SMRAM);
            let open = smram & (D_OPEN | G_SMRAME) == D_OPEN | G_SMRAME;
            return (if open { Side::Dram } else { Side::Pci }, 0xc_0000);
        }
        let (nibble, end) = if addr >= 0xf_0000 {
            (self.config.byte(PAM) >> 4, 0x10_0000)
        } else {
            // PAM1 to PAM6: twelve segments of 16 KiB, the lower one of a pair in bits 3:0.
            let segment = (addr - 0xc_0000) / 0x4000;
            let byte = self.config.byte(PAM + 1 + (segment / 2) as u8);
            let nibble = if segment % 2 == 0 { byte } else { byte >> 4 };
            (nibble, 0xc_0000 + (segment + 1) * 0x4000)
        };
        let enabled = nibble & if write { WE } else { RE } != 0;
        (if enabled { Side::Dram } else { Side::Pci }, end)
    }

    /// The upper hole: the resources that are there, or a size above memory.
    fn hole64(&self, board: &Board) -> (u64, u64) {
        let first = self.resources.iter().map(|(start, _)| *start).min();
        let last = self.resources.iter().map(|(_, end)| *end).max();
        let above = 4 * GIB + (board.ram.size() - board.ram.below_4g());
        match (first, last, self.fixed_hole) {
            (Some(first), Some(last), false) => (first, last),
            (_, _, false) => (0, 0),
            (first, last, true) => {
                let above = above.max(self.hotplug_end);
                let start = first.unwrap_or(above.next_multiple_of(GIB));
                let end = (start + self.hole64_size).next_multiple_of(GIB);
                (start, last.unwrap_or(start).max(end))
            }
        }
    }
}

impl Device for I440fx {
    fn name(&self) -> &'static str {
        "i440FX"
    }

    fn config(&mut self) -> Option<&mut Config> {
        Some(&mut self.config)
    }

    fn configured(&mut self, _: &mut Board, _: u8, _: u8) {
        // [SMRAM] D_LCK: "When D_LCK is set to 1 then D_OPEN is reset to 0 and D_LCK, D_OPEN, C_BASE_SEG, and G_SMRAME become read only."
        let smram = self.config.byte(SMRAM);
        if smram & D_LCK != 0 {
            self.config.put(SMRAM, smram & !D_OPEN);
            self.config.allow(SMRAM, &[0]);
        }
    }

    fn reset(&mut self, _: &mut Board) {
        self.config.allow(SMRAM, &[0x78]);
        self.config.reset();
    }

    fn property(&mut self, board: &Board, name: &str) -> Option<Value> {
        let (start, end) = self.hole64(board);
        Some(match name {
            "pci-hole-start" => json!(board.ram.below_4g()),
            "pci-hole-end" => json!(IO_APIC),
            "pci-hole64-start" => json!(start),
            "pci-hole64-end" => json!(end),
            "pci-hole64-size" => json!(self.hole64_size),
            _ => return None,
        })
    }
}
