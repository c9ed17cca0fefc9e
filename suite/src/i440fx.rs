//! Intel 440FX host bridge: the 82441FX PCI and memory controller, and the split of memory between DRAM and PCI that it makes.
//!
//! Names in brackets are registers or chapters of the data sheet, order number 290549. The tests hold QEMU's `pc` to it where QEMU
//! follows it. Where it does not, there is no test yet:
//!
//! | data sheet | QEMU 7.2, 10.0 and 11.1, where nothing else is said |
//! |---|---|
//! | \[PAM\] write-only: reads are from PCI | from DRAM |
//! | \[PAM\] read-only: writes go to PCI | are lost, and those that no CPU makes (DMA, the wire) reach DRAM |
//! | \[PAM\], \[SMRAM\], \[CONFADD\] have their default values after a hard reset | keep theirs (\[CONFADD\]: seen on 11.1) |
//! | \[SMRAM\] `D_LCK` clears `D_OPEN` and makes the register read-only | locks nothing |
//! | \[SMRAM\] `D_OPEN` counts only together with `G_SMRAME` | counts alone |
//! | \[SMRAM\] `C_BASE_SEG` and the reserved bits of \[PAM\] are read-only | keep what is written |
//! | \[PCICMD\] 0x0006, \[PCISTS\] 0x0280 after power-on | 0 and 0 |
//! | \[CONFDATA\] takes any access within its four bytes | 11.1 only aligned ones: a word at 0xcfd reads as 0, is not written |
//! | without a device there, a closed SMM space is nothing | is DRAM, as if it were open (seen on 11.1) |

mod address_map;
mod configuration;
mod junction;
mod memory;
mod migration;
mod pam;
mod pci_hole;
mod sides;
mod smram;

use std::ops::RangeInclusive;

use testjig::prelude::*;
use testjig::vm::LaunchOptions;

/// Starts a machine beside the one that a test is given, or in its place.
#[track_caller]
fn start(qemu: &Qemu, launch: &Launch) -> Vm {
    qemu.launch(launch, &LaunchOptions::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The bytes that an access sees at `range`.
#[track_caller]
fn visible(vm: &Vm, range: RangeInclusive<u64>) -> Vec<u8> {
    let mut bytes = vec![0; (range.end() - range.start() + 1) as usize];
    vm.read_mem(*range.start(), &mut bytes);
    bytes
}
