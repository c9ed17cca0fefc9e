//! The keyboard controller of the PC/AT and PS/2, an 8042 with IBM's program, and the keyboard behind it.
//!
//! Sources: IBM PC/AT Technical Reference, "Keyboard Controller" and "Keyboard"; IBM PS/2 Hardware Interface Technical Reference,
//! "Keyboard and Auxiliary Device Controller", for the second device, which nobody has plugged in here.

use std::collections::VecDeque;

use crate::board::{Board, Device, Range};
use crate::lines::Source;

const SOURCE: Source = 4;
const KEYBOARD_IRQ: usize = 1;
const AUXILIARY_IRQ: usize = 12;

/// [Status Register]
mod status {
    pub(super) const OUTPUT_FULL: u8 = 1 << 0;
    pub(super) const SYSTEM: u8 = 1 << 2;
    pub(super) const COMMAND: u8 = 1 << 3;
    pub(super) const UNLOCKED: u8 = 1 << 4;
    pub(super) const AUXILIARY: u8 = 1 << 5;
}

/// [Command Byte]
mod mode {
    pub(super) const KEYBOARD_IRQ: u8 = 1 << 0;
    pub(super) const AUXILIARY_IRQ: u8 = 1 << 1;
    pub(super) const SYSTEM: u8 = 1 << 2;
    pub(super) const NO_KEYBOARD: u8 = 1 << 4;
    pub(super) const NO_AUXILIARY: u8 = 1 << 5;
    pub(super) const TRANSLATE: u8 = 1 << 6;
}

/// [Output Port] Bit 0 low resets the processor, bit 1 is A20.
const NOT_RESET: u8 = 1 << 0;
const A20: u8 = 1 << 1;

/// Keyboard's answers.
const ACK: u8 = 0xfa;
const RESEND: u8 = 0xfe;

/// Where the next byte for the data port goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Keyboard,
    Ram(u8),
    OutputPort,
    KeyboardBuffer,
    AuxiliaryBuffer,
    Auxiliary,
}

/// The controller.
pub(crate) struct I8042 {
    /// The controller's memory; byte 0 is the command byte.
    ram: [u8; 32],
    output_port: u8,
    /// What the processor reads next, and whether it is the auxiliary device's.
    buffer: Option<(u8, bool)>,
    data: u8,
    next: Next,
    was_command: bool,
    /// What the keyboard has to say.
    keyboard: VecDeque<u8>,
    /// The keyboard's command that waits for its parameter.
    parameter_of: Option<u8>,
}

impl I8042 {
    pub(crate) fn new() -> Self {
        Self {
            ram: [0; 32],
            output_port: NOT_RESET | A20,
            buffer: None,
            data: 0,
            next: Next::Keyboard,
            was_command: false,
            keyboard: VecDeque::new(),
            parameter_of: None,
        }
    }

    fn mode(&self) -> u8 {
        self.ram[0]
    }

    fn answer(&mut self, value: u8) {
        self.buffer = Some((value, false));
    }

    /// [Command Byte] Moves the keyboard's next byte to the processor, and has the lines say so.
    fn update(&mut self, board: &mut Board) {
        if self.buffer.is_none() && self.mode() & mode::NO_KEYBOARD == 0 {
            self.buffer = self.keyboard.pop_front().map(|byte| (byte, false));
        }
        let full = |auxiliary| self.buffer.is_some_and(|(_, is)| is == auxiliary);
        let keyboard = full(false) && self.mode() & mode::KEYBOARD_IRQ != 0;
        let auxiliary = full(true) && self.mode() & mode::AUXILIARY_IRQ != 0;
        board.lines.set(KEYBOARD_IRQ, SOURCE, keyboard);
        board.lines.set(AUXILIARY_IRQ, SOURCE, auxiliary);
    }

    /// [Commands] Written to port 64h.
    fn command(&mut self, board: &mut Board, command: u8) {
        self.next = Next::Keyboard;
        match command {
            0x20..=0x3f => self.answer(self.ram[usize::from(command & 0x1f)]),
            0x60..=0x7f => self.next = Next::Ram(command & 0x1f),
            0xa7 => self.ram[0] |= mode::NO_AUXILIARY,
            0xa8 => self.ram[0] &= !mode::NO_AUXILIARY,
            // [Interface Test] 00h: no error detected; [Read Test Inputs] both are low.
            0xa9 | 0xab | 0xe0 => self.answer(0x00),
            // [Self-Test] 55h: no errors.
            0xaa => {
                self.ram[0] |= mode::SYSTEM;
                self.answer(0x55);
            }
            0xad => self.ram[0] |= mode::NO_KEYBOARD,
            0xae => self.ram[0] &= !mode::NO_KEYBOARD,
            // [Input Port] Bit 7: the keyboard is not locked.
            0xc0 => self.answer(0x80),
            0xd0 => {
                let full = |auxiliary| self.buffer.is_some_and(|(_, is)| is == auxiliary);
                let port =
                    self.output_port | u8::from(full(false)) << 4 | u8::from(full(true)) << 5;
                self.answer(port);
            }
            0xd1 => self.next = Next::OutputPort,
            0xd2 => self.next = Next::KeyboardBuffer,
            0xd3 => self.next = Next::AuxiliaryBuffer,
            0xd4 => self.next = Next::Auxiliary,
            // [Pulse Output Port] Bits that are 0 are pulsed; bit 0 resets.
            0xf0..=0xff => board.reset |= command & NOT_RESET == 0,
            _ => {}
        }
    }

    fn data(&mut self, board: &mut Board, value: u8) {
        match std::mem::replace(&mut self.next, Next::Keyboard) {
            Next::Keyboard => self.keyboard_command(value),
            Next::Ram(index) => self.ram[usize::from(index)] = value,
            Next::OutputPort => {
                self.output_port = value & (NOT_RESET | A20);
                board.reset |= value & NOT_RESET == 0;
            }
            Next::KeyboardBuffer => self.buffer = Some((value, false)),
            Next::AuxiliaryBuffer => self.buffer = Some((value, true)),
            // Nobody is there to take it.
            Next::Auxiliary => {}
        }
    }

    /// [Keyboard: Commands from the System]
    fn keyboard_command(&mut self, value: u8) {
        // [Enable] A byte for the keyboard enables its interface.
        self.ram[0] &= !mode::NO_KEYBOARD;
        if self.parameter_of.take().is_some() {
            self.keyboard.push_back(ACK);
            return;
        }
        let identity = if self.mode() & mode::TRANSLATE == 0 {
            0x83
        } else {
            // [Scan Code Translation] 83h is set 1's 41h.
            0x41
        };
        let answer: &[u8] = match value {
            0xed | 0xf0 | 0xf3 => {
                self.parameter_of = Some(value);
                &[ACK]
            }
            0xee => &[0xee],
            0xf2 => &[ACK, 0xab, identity],
            0xf4..=0xfa => &[ACK],
            0xfe => &[],
            0xff => {
                self.keyboard.clear();
                &[ACK, 0xaa]
            }
            _ => &[RESEND],
        };
        self.keyboard.extend(answer);
    }
}

impl Device for I8042 {
    fn name(&self) -> &'static str {
        "i8042"
    }

    fn ports(&self) -> Vec<Range> {
        vec![Range::new(0x60, 1, 0), Range::new(0x64, 1, 1)]
    }

    fn read8(&mut self, board: &mut Board, region: u8, _: u16) -> u8 {
        if region == 1 {
            let mut value = status::UNLOCKED;
            value |= match self.buffer {
                None => 0,
                Some((_, false)) => status::OUTPUT_FULL,
                Some((_, true)) => status::OUTPUT_FULL | status::AUXILIARY,
            };
            if self.mode() & mode::SYSTEM != 0 {
                value |= status::SYSTEM;
            }
            if self.was_command {
                value |= status::COMMAND;
            }
            return value;
        }
        if let Some((value, _)) = self.buffer.take() {
            self.data = value;
        }
        // The line falls before what comes next raises it.
        board.lines.set(KEYBOARD_IRQ, SOURCE, false);
        board.lines.set(AUXILIARY_IRQ, SOURCE, false);
        self.update(board);
        self.data
    }

    fn write8(&mut self, board: &mut Board, region: u8, _: u16, value: u8) {
        self.was_command = region == 1;
        if region == 1 {
            self.command(board, value);
        } else {
            self.data(board, value);
        }
        self.update(board);
    }

    fn reset(&mut self, board: &mut Board) {
        *self = Self::new();
        self.update(board);
    }
}
