//! [`Msix`]: the table of messages of a function and the bits of those that wait (PCI 3.0 §6.8.2).

use crate::board::Board;

/// Bytes of the table's and the bits' page.
pub(crate) const PAGE: u64 = 4096;
/// Where the bits are in it.
const PENDING: u64 = 0x800;
/// The most entries that fit before them.
pub(crate) const MOST: u16 = (PENDING / ENTRY) as u16;
const ENTRY: u64 = 16;
/// [6.8.2.9] Vector control, bit 0.
const MASKED: u8 = 1;

/// The structures behind an MSI-X capability.
pub(crate) struct Msix {
    table: Vec<[u8; ENTRY as usize]>,
    pending: Vec<bool>,
}

impl Msix {
    pub(crate) fn new(entries: u16) -> Self {
        let mut this = Self {
            table: vec![[0; ENTRY as usize]; usize::from(entries)],
            pending: vec![false; usize::from(entries)],
        };
        this.reset();
        this
    }

    /// Every vector is masked.
    pub(crate) fn reset(&mut self) {
        for entry in &mut self.table {
            *entry = [0; ENTRY as usize];
            entry[12] = MASKED;
        }
        self.pending.fill(false);
    }

    /// The capability [6.8.2.1], with table and bits in a base address register.
    pub(crate) fn capability(&self, bar: u8) -> Vec<u8> {
        let size = (self.table.len() as u16 - 1).to_le_bytes();
        let mut bytes = vec![0x11, 0, size[0], size[1]];
        bytes.extend(u32::from(bar).to_le_bytes());
        bytes.extend((PENDING as u32 | u32::from(bar)).to_le_bytes());
        bytes
    }

    pub(crate) fn entries(&self) -> u16 {
        self.table.len() as u16
    }

    pub(crate) fn read(&self, offset: u64, data: &mut [u8]) {
        for (at, byte) in (offset..).zip(data) {
            *byte = match at.checked_sub(PENDING) {
                None => self.byte(at).copied().unwrap_or(0),
                Some(at) => {
                    let bits = self.pending.chunks(8).nth(at as usize).unwrap_or_default();
                    bits.iter()
                        .rev()
                        .fold(0, |byte, &bit| byte << 1 | u8::from(bit))
                }
            };
        }
    }

    /// The bits of those that wait are read-only.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) {
        for (at, &value) in (offset..).zip(data) {
            let entry = self.table.get_mut((at / ENTRY) as usize);
            if let (Some(entry), true) = (entry, at < PENDING) {
                // [6.8.2.9] All bits of the control but the first are reserved.
                entry[(at % ENTRY) as usize] = match at % ENTRY {
                    12 => value & MASKED,
                    13.. => 0,
                    _ => value,
                };
            }
        }
    }

    fn byte(&self, at: u64) -> Option<&u8> {
        self.table
            .get((at / ENTRY) as usize)?
            .get((at % ENTRY) as usize)
    }

    /// Sends a vector's message, or keeps it in mind while it is masked.
    pub(crate) fn send(&mut self, board: &Board, vector: u16, function_masked: bool) {
        if let Some(pending) = self.pending.get_mut(usize::from(vector)) {
            *pending = true;
            self.catch_up(board, function_masked);
        }
    }

    /// Sends what waits and is masked no more.
    pub(crate) fn catch_up(&mut self, board: &Board, function_masked: bool) {
        if function_masked {
            return;
        }
        for (entry, pending) in self.table.iter().zip(&mut self.pending) {
            if *pending && entry[12] & MASKED == 0 {
                *pending = false;
                let (addr, data) = (&entry[..8], &entry[8..12]);
                let addr = u64::from_le_bytes(addr.try_into().expect("8 bytes"));
                // Without a processor there is no local APIC that would take it elsewhere.
                board.ram.write(addr, data);
            }
        }
    }
}
