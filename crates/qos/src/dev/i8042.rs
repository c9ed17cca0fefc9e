//! The keyboard controller of PCs, an 8042 with IBM's program, and the keyboard behind it.
//!
//! Sources: IBM PC/AT Technical Reference, "Keyboard Controller" and "Keyboard"; IBM PS/2 Hardware Interface Technical Reference,
//! "Keyboard and Auxiliary Device Controller", for the second device.
//!
//! | port | read | write |
//! |---|---|---|
//! | 0x60 | output buffer | data for the keyboard, or what a command waits for |
//! | 0x64 | [`Status`] | a command, see [`command`] |

use std::time::Duration;

use bitfield_struct::bitfield;
use testjig_qtest::Entry;
use testjig_vm::{Condition, Pin, Vm};

use crate::bus::Pio;
use crate::describe::{Access, Describe, Seen, Space, Transfer};

/// Status register.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Status {
    /// Port 0x60 has a byte for the processor.
    pub output_full: bool,
    /// The controller has not yet taken what was written last.
    pub input_full: bool,
    /// Set by the self-test or through the command byte: this is no cold start.
    pub system: bool,
    /// What was written last was a command.
    pub command: bool,
    /// The keyboard is not locked.
    pub unlocked: bool,
    /// The byte is the auxiliary device's.
    pub auxiliary: bool,
    /// The keyboard did not answer in time.
    pub timeout: bool,
    /// The keyboard's last byte had even parity.
    pub parity_error: bool,
}

/// Command byte, the first of the controller's memory.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Mode {
    /// Interrupt 1 while the keyboard's byte waits.
    pub keyboard_irq: bool,
    /// Interrupt 12 while the auxiliary device's byte waits.
    pub auxiliary_irq: bool,
    /// [`Status::system`].
    pub system: bool,
    __: bool,
    /// The keyboard's clock is held: it sends nothing.
    pub keyboard_disabled: bool,
    /// The same for the auxiliary device.
    pub auxiliary_disabled: bool,
    /// Scan codes are translated to those of the PC.
    pub translate: bool,
    __: bool,
}

/// Commands of the controller, for port 0x64.
pub mod command {
    /// Reads the command byte.
    pub const READ_MODE: u8 = 0x20;
    /// The next byte written to port 0x60 is the command byte.
    pub const WRITE_MODE: u8 = 0x60;
    /// Sets [`Mode::auxiliary_disabled`](super::Mode::auxiliary_disabled).
    pub const DISABLE_AUXILIARY: u8 = 0xa7;
    /// Clears it.
    pub const ENABLE_AUXILIARY: u8 = 0xa8;
    /// Tests the lines of the auxiliary device; 0 for no error.
    pub const TEST_AUXILIARY: u8 = 0xa9;
    /// Tests the controller; 0x55 for no error.
    pub const SELF_TEST: u8 = 0xaa;
    /// Tests the lines of the keyboard; 0 for no error.
    pub const TEST_KEYBOARD: u8 = 0xab;
    /// Sets [`Mode::keyboard_disabled`](super::Mode::keyboard_disabled).
    pub const DISABLE_KEYBOARD: u8 = 0xad;
    /// Clears it.
    pub const ENABLE_KEYBOARD: u8 = 0xae;
    /// Reads the output port.
    pub const READ_OUTPUT_PORT: u8 = 0xd0;
    /// The next byte written to port 0x60 goes to the output port.
    pub const WRITE_OUTPUT_PORT: u8 = 0xd1;
    /// The next byte written to port 0x60 is read there as if the keyboard had sent it.
    pub const WRITE_KEYBOARD_BUFFER: u8 = 0xd2;
    /// The next byte written to port 0x60 is read there as if the auxiliary device had sent it.
    pub const WRITE_AUXILIARY_BUFFER: u8 = 0xd3;
    /// Pulses bit 0 of the output port: the processor is reset.
    pub const PULSE_RESET: u8 = 0xfe;
}

/// Commands of the keyboard, for port 0x60, and its answers.
pub mod keyboard {
    /// Lights, by the bits of a parameter: scroll lock, num lock, caps lock.
    pub const SET_INDICATORS: u8 = 0xed;
    /// Answered with itself.
    pub const ECHO: u8 = 0xee;
    /// Answered with two bytes.
    pub const IDENTIFY: u8 = 0xf2;
    /// Rate and delay of repetition, by a parameter.
    pub const SET_TYPEMATIC: u8 = 0xf3;
    /// Begins to scan.
    pub const ENABLE: u8 = 0xf4;
    /// As after a reset.
    pub const SET_DEFAULT: u8 = 0xf6;
    /// Resets and tests itself.
    pub const RESET: u8 = 0xff;
    /// Answer: understood.
    pub const ACK: u8 = 0xfa;
    /// Answer: say that again.
    pub const RESEND: u8 = 0xfe;
    /// Answer: the keyboard's own test has found nothing wrong.
    pub const TEST_PASSED: u8 = 0xaa;
}

const DATA: u16 = 0;
const COMMAND: u16 = 4;
/// More of the host's time than any answer takes.
const SOON: Duration = Duration::from_secs(10);

/// The controller on its two ports.
#[derive(Clone, Debug)]
pub struct I8042 {
    io: Pio,
}

impl I8042 {
    /// The PC's own. Touches nothing.
    pub fn new(vm: &Vm) -> Self {
        Self {
            io: Pio::new(vm, 0x60),
        }
    }

    /// A decoder for the failure report.
    pub fn decoder() -> Decoder {
        Decoder::default()
    }

    /// The pin that the keyboard's bytes drive.
    pub fn keyboard_irq(&self) -> Pin {
        Pin::input("ioapic", 1)
    }

    /// The pin that the auxiliary device's bytes drive.
    pub fn auxiliary_irq(&self) -> Pin {
        Pin::input("ioapic", 12)
    }

    /// Status register.
    #[track_caller]
    pub fn status(&self) -> Status {
        self.io.inb(COMMAND).into()
    }

    /// Writes a command. Queued.
    #[track_caller]
    pub fn command(&self, command: u8) {
        self.io.outb(COMMAND, command);
    }

    /// Writes a byte for the keyboard, or for the command before. Queued.
    #[track_caller]
    pub fn write(&self, data: u8) {
        self.io.outb(DATA, data);
    }

    /// Reads port 0x60, whether there is a byte or not.
    #[track_caller]
    pub fn read(&self) -> u8 {
        self.io.inb(DATA)
    }

    /// Waits for a byte and reads it.
    #[track_caller]
    pub fn wait(&self) -> u8 {
        let full = Condition::new("the output buffer is full", || self.status().output_full());
        self.io.vm().wait_until(full, SOON);
        self.read()
    }

    /// Writes a command and waits for its answer.
    #[track_caller]
    pub fn ask(&self, command: u8) -> u8 {
        self.command(command);
        self.wait()
    }

    /// The command byte.
    #[track_caller]
    pub fn mode(&self) -> Mode {
        self.ask(command::READ_MODE).into()
    }

    /// Writes the command byte. Queued.
    #[track_caller]
    pub fn set_mode(&self, mode: Mode) {
        self.command(command::WRITE_MODE);
        self.write(mode.into());
    }
}

/// Names the two ports.
#[derive(Debug, Default)]
pub struct Decoder {
    seen: Seen,
}

impl Describe for Decoder {
    fn name(&self) -> &'static str {
        "i8042"
    }

    fn observe(&mut self, entry: &Entry) -> Option<String> {
        let access = Access::of(entry)?;
        if access.space != Space::Port {
            return None;
        }
        let (written, value) = match access.transfer {
            Transfer::Write(value) => (true, value as u8),
            Transfer::Read(Some(value)) => (false, value as u8),
            Transfer::Read(None) => return None,
        };
        let (name, text) = match (access.address, written) {
            (0x60, true) => ("data", format!("{value:#04x}")),
            (0x60, false) => ("buffer", format!("{value:#04x}")),
            (0x64, true) => ("command", format!("{value:#04x}")),
            (0x64, false) => ("status", format!("{value:#04x} {:?}", Status::from(value))),
            _ => return None,
        };
        let arrow = if written { '←' } else { '→' };
        Some(self.seen.note("i8042", name, arrow, text))
    }

    fn state(&self) -> Vec<String> {
        self.seen.state()
    }
}
