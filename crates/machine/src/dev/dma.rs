//! Intel 8237A DMA controllers (data sheet 231466), two in cascade, with the page registers of the PC/AT.
//!
//! Devices on the ISA bus ask for a transfer of their channel; the controller says where in memory the bytes are. There is no
//! memory-to-memory transfer: the PC does not wire it.

use crate::board::{Board, Device, Range};
use crate::ram::Ram;

#[derive(Clone, Copy, Default)]
struct Channel {
    base_address: u16,
    base_count: u16,
    address: u16,
    count: u16,
    mode: u8,
    page: u8,
}

#[derive(Clone, Copy, Default)]
struct Chip {
    channels: [Channel; 4],
    command: u8,
    /// Bits 3:0 terminal counts, bits 7:4 requests.
    status: u8,
    mask: u8,
    flip_flop: bool,
}

/// Both controllers.
pub(crate) struct Dma8237 {
    chips: [Chip; 2],
    /// A register was written: a device that waits may be served now.
    pub(crate) changed: bool,
}

impl Default for Dma8237 {
    /// Master clear masks all channels.
    fn default() -> Self {
        let chip = Chip {
            mask: 0x0f,
            ..Chip::default()
        };
        Self {
            chips: [chip; 2],
            changed: false,
        }
    }
}

/// [Mode register] Bits 3:2: 1 writes memory, 2 reads memory, 0 verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Verify,
    ToMemory,
    FromMemory,
}

/// What became of a transfer.
pub(crate) struct Done {
    /// Bytes that were moved.
    pub(crate) moved: usize,
    /// The channel has reached its terminal count.
    pub(crate) terminal: bool,
}

impl Dma8237 {
    /// The direction that a channel is programmed for; `None` if it is masked or its chip is disabled.
    pub(crate) fn direction(&self, channel: usize) -> Option<Direction> {
        let chip = &self.chips[channel / 4];
        let enabled = chip.mask & 1 << (channel % 4) == 0 && chip.command & 0x04 == 0;
        enabled.then(|| match chip.channels[channel % 4].mode >> 2 & 3 {
            1 => Direction::ToMemory,
            2 => Direction::FromMemory,
            _ => Direction::Verify,
        })
    }

    /// A device asserts or releases its request.
    pub(crate) fn request(&mut self, channel: usize, level: bool) {
        let bit = 0x10 << (channel % 4);
        let status = &mut self.chips[channel / 4].status;
        *status = if level { *status | bit } else { *status & !bit };
    }

    /// Bytes that a channel still expects.
    pub(crate) fn left(&self, channel: usize) -> usize {
        let scale = channel / 4;
        (usize::from(self.chips[scale].channels[channel % 4].count) + 1) << scale
    }

    /// Moves bytes between a device and the channel's memory, as many as both have.
    pub(crate) fn transfer(&mut self, ram: &Ram, channel: usize, data: &mut [u8]) -> Done {
        let Some(direction) = self.direction(channel) else {
            return Done {
                moved: 0,
                terminal: false,
            };
        };
        // Channels 5 to 7 count words.
        let wide = channel / 4;
        let moved = data.len().min(self.left(channel));
        let chip = &mut self.chips[wide];
        let state = &mut chip.channels[channel % 4];
        let decrement = state.mode & 0x20 != 0;
        for byte in &mut data[..moved] {
            let page = u64::from(if wide == 1 {
                state.page & !1
            } else {
                state.page
            }) << 16;
            let address = page + (u64::from(state.address) << wide);
            let _ = match direction {
                Direction::ToMemory => ram.write(address, &[*byte]),
                Direction::FromMemory => ram.read(address, std::slice::from_mut(byte)),
                Direction::Verify => true,
            };
            state.address = if decrement {
                state.address.wrapping_sub(1)
            } else {
                state.address.wrapping_add(1)
            };
            state.count = state.count.wrapping_sub(1);
        }
        let terminal = moved > 0 && state.count == 0xffff;
        if terminal {
            chip.status |= 1 << (channel % 4);
            if state.mode & 0x10 != 0 {
                // Autoinitialize.
                state.address = state.base_address;
                state.count = state.base_count;
            } else {
                chip.mask |= 1 << (channel % 4);
            }
        }
        Done { moved, terminal }
    }
}

impl Chip {
    /// The flip-flop chooses the byte of a 16-bit register: which, before it turns.
    fn flip(&mut self) -> bool {
        let high = self.flip_flop;
        self.flip_flop = !high;
        high
    }

    fn read(&mut self, register: u16) -> u8 {
        match register {
            0..=7 => {
                let channel = &self.channels[usize::from(register / 2)];
                let value = if register % 2 == 0 {
                    channel.address
                } else {
                    channel.count
                };
                let high = self.flip();
                value.to_le_bytes()[usize::from(high)]
            }
            // A read of the status clears the terminal counts.
            8 => {
                let status = self.status;
                self.status &= 0xf0;
                status
            }
            _ => 0,
        }
    }

    fn write(&mut self, register: u16, value: u8) {
        let channel = usize::from(value & 3);
        match register {
            0..=7 => {
                let high = self.flip();
                let state = &mut self.channels[usize::from(register / 2)];
                let base = if register % 2 == 0 {
                    &mut state.base_address
                } else {
                    &mut state.base_count
                };
                let mut bytes = base.to_le_bytes();
                bytes[usize::from(high)] = value;
                *base = u16::from_le_bytes(bytes);
                if register % 2 == 0 {
                    state.address = state.base_address;
                } else {
                    state.count = state.base_count;
                }
            }
            8 => self.command = value,
            10 if value & 4 != 0 => self.mask |= 1 << channel,
            10 => self.mask &= !(1 << channel),
            11 => self.channels[channel].mode = value,
            12 => self.flip_flop = false,
            13 => {
                self.flip_flop = false;
                (self.command, self.status, self.mask) = (0, 0, 0x0f);
            }
            14 => self.mask = 0,
            15 => self.mask = value & 0x0f,
            _ => {}
        }
    }
}

/// [PC/AT] Which channel a page register from port 0x80 on belongs to.
const PAGES: [Option<usize>; 16] = [
    None,
    Some(2),
    Some(3),
    Some(1),
    None,
    None,
    None,
    Some(0),
    None,
    Some(6),
    Some(7),
    Some(5),
    None,
    None,
    None,
    Some(4),
];

/// The ports: 0x00 and 0xc0 (every second one), page registers from 0x81 on.
#[derive(Default)]
pub(crate) struct Registers {
    /// Page registers that no channel has: plain memory.
    spare: [u8; 16],
}

impl Device for Registers {
    fn name(&self) -> &'static str {
        "i8257"
    }

    fn ports(&self) -> Vec<Range> {
        vec![
            Range::new(0x00, 16, 0),
            Range::new(0xc0, 32, 1),
            Range::new(0x81, 15, 2),
        ]
    }

    fn read8(&mut self, board: &mut Board, region: u8, offset: u16) -> u8 {
        match region {
            0 => board.dma.chips[0].read(offset),
            1 => board.dma.chips[1].read(offset / 2),
            _ => {
                let at = usize::from(offset) + 1;
                PAGES[at].map_or(self.spare[at], |channel| {
                    board.dma.chips[channel / 4].channels[channel % 4].page
                })
            }
        }
    }

    fn write8(&mut self, board: &mut Board, region: u8, offset: u16, value: u8) {
        board.dma.changed = true;
        match region {
            0 => board.dma.chips[0].write(offset, value),
            1 => board.dma.chips[1].write(offset / 2, value),
            _ => {
                let at = usize::from(offset) + 1;
                match PAGES[at] {
                    Some(channel) => {
                        board.dma.chips[channel / 4].channels[channel % 4].page = value;
                    }
                    None => self.spare[at] = value,
                }
            }
        }
    }

    fn reset(&mut self, board: &mut Board) {
        board.dma = Dma8237::default();
    }
}
