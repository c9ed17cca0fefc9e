//! `ivshmem-plain`: a PCI function with a piece of plain memory (QEMU's specification "Device Specification for Inter-VM shared memory
//! device"). BAR 0 are its registers, BAR 2 the memory, 64 bits and prefetchable.

use crate::board::{Board, Device, Range};
use crate::pci::{Bar, Config, Devfn, Id};

const REGISTERS: Bar = Bar::memory(0, 256);

pub(crate) struct Ivshmem {
    config: Config,
    memory: Vec<u8>,
    /// Register 0, the interrupt mask: kept, as there is nobody who could interrupt.
    mask: [u8; 4],
}

impl Ivshmem {
    /// With so many bytes, a power of two.
    pub(crate) fn new(devfn: Devfn, size: u64) -> Self {
        let id = Id {
            vendor: 0x1af4,
            device: 0x1110,
            revision: 1,
            class: 0x05_0000,
            subsystem: (0x1af4, 0x1100),
        };
        let config = Config::new(devfn, id)
            .with_bar(REGISTERS)
            .with_bar(Bar::memory64(2, size));
        Self {
            config,
            memory: vec![0; size as usize],
            mask: [0; 4],
        }
    }
}

impl Device for Ivshmem {
    fn name(&self) -> &'static str {
        "ivshmem-plain"
    }

    fn config(&mut self) -> Option<&mut Config> {
        Some(&mut self.config)
    }

    fn memory(&self) -> Vec<Range> {
        self.config.decoded(false)
    }

    fn memory_read(&mut self, _: &mut Board, region: u8, offset: u64, data: &mut [u8]) {
        if region == 2 {
            let at = offset as usize;
            data.copy_from_slice(&self.memory[at..at + data.len()]);
        } else {
            // Without a peer, interrupt status and doorbell are 0, and so is the identifier.
            for (at, byte) in (offset as usize..).zip(data) {
                *byte = self.mask.get(at).copied().unwrap_or(0);
            }
        }
    }

    fn memory_write(&mut self, _: &mut Board, region: u8, offset: u64, data: &[u8]) {
        if region == 2 {
            let at = offset as usize;
            self.memory[at..at + data.len()].copy_from_slice(data);
        } else {
            for (at, byte) in (offset as usize..).zip(data) {
                if let Some(register) = self.mask.get_mut(at) {
                    *register = *byte;
                }
            }
        }
    }

    fn reset(&mut self, _: &mut Board) {
        self.config.reset();
        self.mask = [0; 4];
    }
}
