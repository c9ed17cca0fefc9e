//! PCI as every device of QEMU gets it from the bus: configuration space, base addresses, capabilities, interrupts, bridges.
//!
//! Section numbers are those of the *PCI Local Bus Specification* 3.0 (PCI), of the *PCI-to-PCI Bridge Architecture Specification* 1.2
//! (P2P), of the *PCI Bus Power Management Interface Specification* 1.2 (PM), and of the *PCI Express Base Specification* 3.1 (PCIe).

mod enumeration;
