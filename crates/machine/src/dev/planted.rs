//! A device that no machine has, at ports 0xe80 to 0xe8f: only there if a planted bug is to be set off by more than one write.
//!
//! | port | access |
//! |---|---|
//! | 0xe80 | key: the right bytes, one after the other, set off the bugs `…-sequence`; reads as how many were right |
//! | 0xe84 | where the descriptors are in memory, 32 bits, little-endian |
//! | 0xe88 | a write has the device follow the descriptors from number 0 on; reads as how many there were |
//! | 0xe89 | flags of the last one |
//!
//! Descriptors are those of a split virtqueue [Virtio 1.2, 2.7.5]: address, length, flags, next. A chain whose second descriptor is to
//! be written by the device and is a sector long, or longer, sets off the bugs `…-chain`.

use crate::board::{Board, Device, Range};

const PORTS: Range = Range::new(0xe80, 16, 0);
const KEY: [u8; 3] = [0x20, 0x40, 0x80];
/// [Virtio 1.2, 2.7.5] Flags of a descriptor.
const NEXT: u16 = 1;
const WRITE: u16 = 2;
const SECTOR: u32 = 512;
/// The most descriptors of a chain.
const MOST: u8 = 8;

#[derive(Default)]
pub(crate) struct Planted {
    right: u8,
    table: [u8; 4],
    followed: u8,
    flags: u8,
    /// What the planted memory growth keeps.
    kept: Vec<Vec<u8>>,
}

impl Planted {
    fn key(&mut self, board: &Board, value: u8) {
        if value != KEY[usize::from(self.right)] {
            self.right = u8::from(value == KEY[0]);
            return;
        }
        self.right += 1;
        if usize::from(self.right) == KEY.len() {
            self.right = 0;
            board.plant.after_sequence.set_off(&mut self.kept);
        }
    }

    fn follow(&mut self, board: &Board) {
        let table = u64::from(u32::from_le_bytes(self.table));
        (self.followed, self.flags) = (0, 0);
        let mut index = 0_u16;
        while self.followed < MOST {
            let mut bytes = [0; 16];
            if !board.ram.read(table + 16 * u64::from(index), &mut bytes) {
                return;
            }
            self.followed += 1;
            let len = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
            let flags = u16::from_le_bytes([bytes[12], bytes[13]]);
            self.flags = flags as u8;
            if self.followed == 2 && flags & WRITE != 0 && len >= SECTOR {
                board.plant.behind_chain.set_off(&mut self.kept);
            }
            if flags & NEXT == 0 {
                return;
            }
            index = u16::from_le_bytes([bytes[14], bytes[15]]);
        }
    }
}

impl Device for Planted {
    fn name(&self) -> &'static str {
        "planted"
    }

    fn ports(&self) -> Vec<Range> {
        vec![PORTS]
    }

    fn read8(&mut self, _: &mut Board, _: u8, offset: u16) -> u8 {
        match offset {
            0 => self.right,
            4..=7 => self.table[usize::from(offset - 4)],
            8 => self.followed,
            9 => self.flags,
            _ => 0xff,
        }
    }

    fn write8(&mut self, board: &mut Board, _: u8, offset: u16, value: u8) {
        match offset {
            0 => self.key(board, value),
            4..=7 => self.table[usize::from(offset - 4)] = value,
            8 => self.follow(board),
            _ => {}
        }
    }

    fn reset(&mut self, _: &mut Board) {
        *self = Self::default();
    }
}
