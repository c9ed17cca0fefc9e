//! Intel 8237A DMA controller, as IBM's PC wires it: four channels that move bytes between ISA devices and the lower 16 MiB.
//!
//! Source: *8237A High Performance Programmable DMA Controller*, Intel, data sheet; names of its registers and commands are cited in
//! brackets. The page registers, which hold the address bits that the chip does not have, are from the IBM PC/AT Technical Reference.
//!
//! | port | read | write |
//! |---|---|---|
//! | 0x00, 0x02, 0x04, 0x06 | current address of channels 0 to 3 | base and current address |
//! | 0x01, 0x03, 0x05, 0x07 | current word count of channels 0 to 3 | base and current word count |
//! | 0x08 | [`Status`] | [`Command`] |
//! | 0x09 | | request |
//! | 0x0a | | one mask bit |
//! | 0x0b | | [`Mode`] |
//! | 0x0c | | clear byte pointer flip-flop |
//! | 0x0d | | master clear |
//! | 0x0e | | clear mask |
//! | 0x0f | mask | all mask bits |
//! | 0x87, 0x83, 0x81, 0x82 | page of channels 0 to 3 | page |
//!
//! Addresses and counts are 16 bits wide, low byte first; a flip-flop says which byte is next. A count is one less than the number of
//! bytes. The address does not carry into the page: a transfer stays within 64 KiB.
//!
//! ```no_run
//! use testjig_qos::dev::i8237::{Direction, I8237, Mode};
//! # fn example(vm: &testjig_vm::Vm) {
//! let dma = I8237::new(vm);
//! dma.program(2, Mode::single(Direction::ToMemory), 0x1000, 512);
//! dma.unmask(2);
//! # }
//! ```

mod decode;

use bitfield_struct::bitfield;
use testjig_vm::Vm;

pub use self::decode::Decoder;

use crate::bus::Pio;

const STATUS_COMMAND: u16 = 0x08;
const REQUEST: u16 = 0x09;
const MASK_BIT: u16 = 0x0a;
const MODE: u16 = 0x0b;
const CLEAR_FLIP_FLOP: u16 = 0x0c;
const MASTER_CLEAR: u16 = 0x0d;
const CLEAR_MASK: u16 = 0x0e;
const MASK: u16 = 0x0f;
/// The page registers of channels 0 to 3.
const PAGES: [u16; 4] = [0x87, 0x83, 0x81, 0x82];

/// The controller of channels 0 to 3: 8-bit transfers.
#[derive(Clone, Debug)]
pub struct I8237 {
    io: Pio,
}

impl I8237 {
    /// Addresses that the page registers reach, and no more: 16 MiB.
    pub const REACH: u64 = 16 << 20;
    /// What a transfer can't cross, and the longest transfer: 64 KiB.
    pub const WINDOW: u64 = 64 << 10;

    /// The PC's first controller. Touches nothing.
    pub fn new(vm: &Vm) -> Self {
        Self {
            io: Pio::new(vm, 0),
        }
    }

    /// A decoder for the failure report.
    pub fn decoder() -> Decoder {
        Decoder::default()
    }

    /// The ports.
    pub fn io(&self) -> &Pio {
        &self.io
    }

    /// Makes a channel ready for a transfer of 1 to 65,536 bytes at an address below 16 MiB. The channel is masked, and stays so.
    ///
    /// Panics if the controller can't reach all of it.
    #[track_caller]
    pub fn program(&self, channel: u8, mode: Mode, address: u64, len: u64) {
        assert!(
            (1..=Self::WINDOW).contains(&len)
                && address + len <= Self::REACH
                && address / Self::WINDOW == (address + len - 1) / Self::WINDOW,
            "the 8237 can't move {len} bytes at {address:#x}: they must be below 16 MiB and not cross a multiple of 64 KiB"
        );
        self.mask(channel);
        self.set_mode(mode.with_channel(channel));
        self.set_address(channel, address as u16);
        self.set_page(channel, (address >> 16) as u8);
        self.set_count(channel, (len - 1) as u16);
    }

    /// Writes base and current address of a channel, after clearing the flip-flop.
    #[track_caller]
    pub fn set_address(&self, channel: u8, address: u16) {
        self.write_word(Self::pair(channel), address);
    }

    /// Writes base and current word count of a channel, one less than the number of bytes, after clearing the flip-flop.
    #[track_caller]
    pub fn set_count(&self, channel: u8, count: u16) {
        self.write_word(Self::pair(channel) + 1, count);
    }

    /// The current address of a channel, without its page.
    #[track_caller]
    pub fn address(&self, channel: u8) -> u16 {
        self.read_word(Self::pair(channel))
    }

    /// The current word count of a channel: 0xffff after terminal count.
    #[track_caller]
    pub fn count(&self, channel: u8) -> u16 {
        self.read_word(Self::pair(channel) + 1)
    }

    /// Writes a channel's page register: address bits 23 to 16.
    #[track_caller]
    pub fn set_page(&self, channel: u8, page: u8) {
        self.io.outb(Self::page_port(channel), page);
    }

    /// A channel's page register.
    #[track_caller]
    pub fn page(&self, channel: u8) -> u8 {
        self.io.inb(Self::page_port(channel))
    }

    /// Writes the mode of the channel that it names.
    #[track_caller]
    pub fn set_mode(&self, mode: Mode) {
        self.io.outb(MODE, mode.into());
    }

    /// Sets a channel's mask bit: its requests wait.
    #[track_caller]
    pub fn mask(&self, channel: u8) {
        Self::pair(channel);
        self.io.outb(MASK_BIT, 0x04 | channel);
    }

    /// Clears a channel's mask bit.
    #[track_caller]
    pub fn unmask(&self, channel: u8) {
        Self::pair(channel);
        self.io.outb(MASK_BIT, channel);
    }

    /// Writes the mask bits of all channels, channel 0 in bit 0.
    #[track_caller]
    pub fn set_masks(&self, masks: u8) {
        self.io.outb(MASK, masks);
    }

    /// Clears the mask bits of all channels.
    #[track_caller]
    pub fn clear_masks(&self) {
        self.io.outb(CLEAR_MASK, 0);
    }

    /// Requests a transfer of a channel by software, or takes the request back.
    #[track_caller]
    pub fn request(&self, channel: u8, on: bool) {
        Self::pair(channel);
        self.io.outb(REQUEST, u8::from(on) << 2 | channel);
    }

    /// The status register. Reading it clears the terminal count bits.
    #[track_caller]
    pub fn status(&self) -> Status {
        self.io.inb(STATUS_COMMAND).into()
    }

    /// Writes the command register.
    #[track_caller]
    pub fn command(&self, command: Command) {
        self.io.outb(STATUS_COMMAND, command.into());
    }

    /// As a hardware reset: command, status, request and flip-flop clear, all channels masked.
    #[track_caller]
    pub fn master_clear(&self) {
        self.io.outb(MASTER_CLEAR, 0);
    }

    /// Has the next byte of an address or a count be the low one.
    #[track_caller]
    pub fn clear_flip_flop(&self) {
        self.io.outb(CLEAR_FLIP_FLOP, 0);
    }

    #[track_caller]
    fn write_word(&self, port: u16, value: u16) {
        self.clear_flip_flop();
        let [low, high] = value.to_le_bytes();
        self.io.outb(port, low);
        self.io.outb(port, high);
    }

    #[track_caller]
    fn read_word(&self, port: u16) -> u16 {
        self.clear_flip_flop();
        let low = self.io.inb(port);
        let high = self.io.inb(port);
        u16::from_le_bytes([low, high])
    }

    /// The port of a channel's address; its count is the next one.
    #[track_caller]
    fn pair(channel: u8) -> u16 {
        assert!(channel < 4, "the 8237 has channels 0 to 3, not {channel}");
        2 * u16::from(channel)
    }

    #[track_caller]
    fn page_port(channel: u8) -> u16 {
        PAGES[usize::from(Self::pair(channel) / 2)]
    }
}

/// Which way a transfer goes, seen from memory [Mode Register].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Verify: addresses, and no data.
    Verify = 0,
    /// Write: from the device to memory.
    ToMemory = 1,
    /// Read: from memory to the device.
    FromMemory = 2,
    /// Not allowed.
    Illegal = 3,
}

impl Direction {
    const fn into_bits(self) -> u8 {
        self as u8
    }

    const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Verify,
            1 => Self::ToMemory,
            2 => Self::FromMemory,
            _ => Self::Illegal,
        }
    }
}

/// When the bus is given back [Mode Register].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// As long as the device asks.
    Demand = 0,
    /// After each byte: what PCs use.
    Single = 1,
    /// At terminal count.
    Block = 2,
    /// Never: another 8237 is behind the channel.
    Cascade = 3,
}

impl Kind {
    const fn into_bits(self) -> u8 {
        self as u8
    }

    const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Demand,
            1 => Self::Single,
            2 => Self::Block,
            _ => Self::Cascade,
        }
    }
}

/// The mode of a channel [Mode Register]. Write only.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Mode {
    /// Which channel, 0 to 3.
    #[bits(2)]
    pub channel: u8,
    /// Which way.
    #[bits(2, default = Direction::Verify)]
    pub direction: Direction,
    /// Address and count start anew after terminal count.
    pub autoinitialize: bool,
    /// Addresses go down.
    pub decrement: bool,
    /// When the bus is given back.
    #[bits(2, default = Kind::Demand)]
    pub kind: Kind,
}

impl Mode {
    /// Byte by byte, addresses going up: the usual mode of a PC's channel.
    pub const fn single(direction: Direction) -> Self {
        Self::new()
            .with_kind(Kind::Single)
            .with_direction(direction)
    }
}

/// The command register [Command Register]. Write only; zero after a reset, which is what PCs use.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Command {
    /// Channel 0 and 1 move memory to memory.
    pub memory_to_memory: bool,
    /// Channel 0 keeps its address.
    pub hold_address: bool,
    /// The controller is off.
    pub disable: bool,
    /// Compressed timing.
    pub compressed: bool,
    /// Channels take turns; else channel 0 is first.
    pub rotating: bool,
    /// Extended write.
    pub extended_write: bool,
    /// DREQ is active low.
    pub dreq_low: bool,
    /// DACK is active high.
    pub dack_high: bool,
}

/// The status register [Status Register].
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Status {
    /// Channels that reached terminal count since this was last read, channel 0 in bit 0.
    #[bits(4)]
    pub terminal_counts: u8,
    /// Channels that a device asks for, channel 0 in bit 0.
    #[bits(4)]
    pub requests: u8,
}

impl Status {
    /// Whether a channel reached terminal count.
    pub fn terminal_count(self, channel: u8) -> bool {
        self.terminal_counts() & 1 << channel != 0
    }

    /// Whether a device asks for a channel.
    pub fn requested(self, channel: u8) -> bool {
        self.requests() & 1 << channel != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [Mode Register], [Command Register], [Status Register]
    #[test]
    fn bits_are_where_the_data_sheet_has_them() {
        let to_memory = Mode::single(Direction::ToMemory).with_channel(2);
        assert_eq!(to_memory.into_bits(), 0x46);
        let from_memory = Mode::single(Direction::FromMemory).with_channel(2);
        assert_eq!(from_memory.into_bits(), 0x4a);
        assert_eq!(Mode::new().with_autoinitialize(true).into_bits(), 0x10);
        assert_eq!(Mode::new().with_decrement(true).into_bits(), 0x20);
        assert_eq!(Mode::new().with_kind(Kind::Cascade).into_bits(), 0xc0);
        assert_eq!(Command::new().with_disable(true).into_bits(), 0x04);
        assert_eq!(Command::new().with_dack_high(true).into_bits(), 0x80);
        let status = Status::from(0x24);
        assert!(status.terminal_count(2) && !status.terminal_count(1));
        assert!(status.requested(1) && !status.requested(2));
    }
}
