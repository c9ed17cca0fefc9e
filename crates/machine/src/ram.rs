//! [`Ram`]: the guest's DRAM, below and above the hole that PCI and the APICs have below 4 GiB.

use std::fs::File;
use std::ops::Range;

use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryMmap};

const GIB: u64 = 1 << 30;

/// Guest memory, shared with the test if it came as a file.
pub(crate) struct Ram {
    memory: GuestMemoryMmap<()>,
    size: u64,
    below_4g: u64,
}

impl Ram {
    /// So many bytes of DRAM, of which `below_4g` lie below 4 GiB: from a file, or the process's own.
    pub(crate) fn new(size: u64, below_4g: u64, file: Option<File>) -> Result<Self, String> {
        let below_4g = size.min(below_4g);
        let mut spans = vec![(GuestAddress(0), below_4g, 0)];
        if size > below_4g {
            spans.push((GuestAddress(4 * GIB), size - below_4g, below_4g));
        }
        let file = file.map(std::sync::Arc::new);
        let ranges: Vec<_> = spans
            .into_iter()
            .map(|(at, len, offset)| {
                let part = file
                    .as_ref()
                    .map(|file| FileOffset::from_arc(file.clone(), offset));
                (at, len as usize, part)
            })
            .collect();
        let memory = GuestMemoryMmap::from_ranges_with_files(&ranges)
            .map_err(|error| format!("cannot set up guest memory: {error}"))?;
        Ok(Self {
            memory,
            size,
            below_4g,
        })
    }

    /// Bytes of DRAM.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The address after the DRAM below 4 GiB.
    pub(crate) fn below_4g(&self) -> u64 {
        self.below_4g
    }

    /// The stretch of DRAM that an address is in.
    pub(crate) fn stretch(&self, addr: u64) -> Option<Range<u64>> {
        let high = 4 * GIB..4 * GIB + (self.size - self.below_4g);
        [0..self.below_4g, high]
            .into_iter()
            .find(|stretch| stretch.contains(&addr))
    }

    /// Copies from DRAM; `false` if not all of it is there, and then as much as there is.
    pub(crate) fn read(&self, addr: u64, data: &mut [u8]) -> bool {
        self.memory.read_slice(data, GuestAddress(addr)).is_ok()
    }

    /// Copies to DRAM; `false` if not all of it is there, and then as much as there is.
    pub(crate) fn write(&self, addr: u64, data: &[u8]) -> bool {
        self.memory.write_slice(data, GuestAddress(addr)).is_ok()
    }

    /// Reads a little-endian number; `None` if it is not in DRAM.
    pub(crate) fn load<const N: usize>(&self, addr: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.read(addr, &mut bytes).then_some(bytes)
    }
}
