//! PCI as every device of QEMU gets it from the bus: configuration space, base addresses, capabilities, interrupts, bridges.
//!
//! Section numbers are those of the *PCI Local Bus Specification* 3.0 (PCI), of the *PCI-to-PCI Bridge Architecture Specification* 1.2
//! (P2P), of the *PCI Bus Power Management Interface Specification* 1.2 (PM), and of the *PCI Express Base Specification* 3.1 (PCIe).
//! The devices are stand-ins for any: `edu`, `pci-testdev` and `e1000e` because they interrupt on demand or have registers of each kind.
//! Where QEMU departs from the specifications, there is no test:
//!
//! | specification | QEMU 7.2, 10.0 and 11.1 |
//! |---|---|
//! | P2P §3.2.5.1: a bridge that is no bus master forwards no requests of what is behind it | it does |
//! | PCI §4.3.2: a reset lowers INTx# | the PIIX3 forgets its routing first: the input of the I/O APIC stays high (`pc`, seen on 11.1) |
//! | PCI §6.1, byte order: registers are little-endian | those of `edu` have the processor's |

mod bars;
mod bridge;
mod capabilities;
mod enumeration;
mod express;
mod fixture;
mod header;
mod hotplug;
mod intx;
mod migration;
mod misuse;
mod monitor;
mod msi;
mod msix;
mod reset;
mod rom;
