//! National PC16550D UART with FIFOs, the serial port of every PC.
//!
//! Source: *PC16550D Universal Asynchronous Receiver/Transmitter with FIFOs*, National Semiconductor, data sheet (June 1995); its
//! sections and tables are cited in brackets. That OUT2 lets the interrupt through is from the IBM PC/AT Technical Reference.
//!
//! | offset | read | write | while [`Lcr::dlab`] is set |
//! |---|---|---|---|
//! | 0 | receiver buffer | transmitter holding | divisor latch, low |
//! | 1 | [`Ier`] | [`Ier`] | divisor latch, high |
//! | 2 | [`Iir`] | [`Fcr`] | |
//! | 3 | [`Lcr`] | [`Lcr`] | |
//! | 4 | [`Mcr`] | [`Mcr`] | |
//! | 5 | [`Lsr`] | | |
//! | 6 | [`Msr`] | | |
//! | 7 | scratch | scratch | |

use bitfield_struct::bitfield;
use testjig_qtest::Entry;
use testjig_vm::{Pin, Vm};

use crate::bus::Pio;
use crate::describe::{Access, Describe, Seen, Space, Transfer};

/// Interrupt enable register [8.7].
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Ier {
    /// Received data, and with FIFOs the character timeout.
    pub received_data: bool,
    /// The transmitter holding register is empty.
    pub transmitter_empty: bool,
    /// Receiver line status: errors and break.
    pub line_status: bool,
    /// Modem status.
    pub modem_status: bool,
    #[bits(4)]
    __: u8,
}

/// Interrupt identification register [8.6, Table IV].
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Iir {
    /// No interrupt is pending.
    pub none: bool,
    /// Which one is: see [`Cause`].
    #[bits(3)]
    pub cause: u8,
    #[bits(2)]
    __: u8,
    /// 3 while the FIFOs are enabled, else 0.
    #[bits(2)]
    pub fifos: u8,
}

/// What [`Iir::cause`] says, by falling priority [Table IV].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// Receiver line status; reading [`Lsr`] ends it.
    LineStatus = 3,
    /// Received data, or as many as the trigger level says; reading them ends it.
    ReceivedData = 2,
    /// Data in the receiver FIFO that nobody reads, for four characters' time; reading ends it.
    Timeout = 6,
    /// The transmitter holding register is empty; reading [`Iir`] or writing a character ends it.
    TransmitterEmpty = 1,
    /// Modem status; reading [`Msr`] ends it.
    ModemStatus = 0,
}

/// FIFO control register [8.5].
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Fcr {
    /// Enables both FIFOs.
    pub enable: bool,
    /// Empties the receiver's; clears itself.
    pub reset_receiver: bool,
    /// Empties the transmitter's; clears itself.
    pub reset_transmitter: bool,
    /// Changes two pins that no PC uses.
    pub dma_mode: bool,
    #[bits(2)]
    __: u8,
    /// 0 to 3: one, 4, 8 or 14 characters interrupt.
    #[bits(2)]
    pub trigger: u8,
}

/// Line control register [8.1].
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Lcr {
    /// Bits of a character, less 5.
    #[bits(2)]
    pub word_length: u8,
    /// Two stop bits, or one and a half for characters of 5.
    pub more_stop_bits: bool,
    /// A parity bit is sent and checked.
    pub parity: bool,
    /// It makes the number of ones even.
    pub even_parity: bool,
    /// It is the opposite of the bit before, whatever is sent.
    pub stick_parity: bool,
    /// The line is held low.
    pub set_break: bool,
    /// Divisor latch access.
    pub dlab: bool,
}

/// Modem control register [8.8].
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Mcr {
    /// Data terminal ready.
    pub dtr: bool,
    /// Request to send.
    pub rts: bool,
    /// An output that PCs do not use.
    pub out1: bool,
    /// On a PC: lets the interrupt through.
    pub out2: bool,
    /// Local loopback.
    pub loopback: bool,
    #[bits(3)]
    __: u8,
}

/// Line status register [8.4].
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Lsr {
    /// A character can be read.
    pub data_ready: bool,
    /// A character was lost; reading clears it.
    pub overrun: bool,
    /// The character has the wrong parity; reading clears it.
    pub parity_error: bool,
    /// It has no stop bit; reading clears it.
    pub framing_error: bool,
    /// The line was low for longer than a character; reading clears it.
    pub break_interrupt: bool,
    /// The transmitter takes a character.
    pub transmitter_empty: bool,
    /// Nothing is left to be sent.
    pub idle: bool,
    /// Of the characters in the FIFO one has an error.
    pub fifo_error: bool,
}

/// Modem status register [8.9].
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Msr {
    /// CTS has changed since the last reading.
    pub delta_cts: bool,
    /// DSR has changed since the last reading.
    pub delta_dsr: bool,
    /// RI has gone from low to high.
    pub trailing_ri: bool,
    /// DCD has changed since the last reading.
    pub delta_dcd: bool,
    /// Clear to send.
    pub cts: bool,
    /// Data set ready.
    pub dsr: bool,
    /// Ring indicator.
    pub ri: bool,
    /// Data carrier detect.
    pub dcd: bool,
}

/// Offsets of the registers.
pub mod reg {
    /// 8 bits: received characters, characters to be sent; the low half of the divisor.
    pub const DATA: u16 = 0;
    /// 8 bits: [`Ier`](super::Ier); the high half of the divisor.
    pub const IER: u16 = 1;
    /// 8 bits: [`Iir`](super::Iir) when read, [`Fcr`](super::Fcr) when written.
    pub const IIR_FCR: u16 = 2;
    /// 8 bits: [`Lcr`](super::Lcr).
    pub const LCR: u16 = 3;
    /// 8 bits: [`Mcr`](super::Mcr).
    pub const MCR: u16 = 4;
    /// 8 bits: [`Lsr`](super::Lsr).
    pub const LSR: u16 = 5;
    /// 8 bits: [`Msr`](super::Msr).
    pub const MSR: u16 = 6;
    /// 8 bits of no consequence.
    pub const SCRATCH: u16 = 7;
}

/// The UART on its eight ports.
#[derive(Clone, Debug)]
pub struct Pc16550d {
    io: Pio,
    irq: u32,
}

impl Pc16550d {
    /// Characters that each FIFO holds [8.5].
    pub const FIFO: usize = 16;
    /// Hz of the crystal that PCs have; a bit takes 16 times the divisor of its periods [8.3].
    pub const CRYSTAL: u32 = 1_843_200;
    /// Where PCs have the first serial port.
    pub const PORT: u16 = 0x3f8;
    /// The ISA interrupt of the first serial port.
    pub const IRQ: u32 = 4;

    /// The PC's first serial port, COM1. Touches nothing.
    pub fn com1(vm: &Vm) -> Self {
        Self {
            io: Pio::new(vm, Self::PORT),
            irq: Self::IRQ,
        }
    }

    /// A decoder for the failure report, of COM1.
    pub fn decoder() -> Decoder {
        Decoder::default()
    }

    /// The ports.
    pub fn io(&self) -> &Pio {
        &self.io
    }

    /// The pin that the interrupt drives.
    pub fn irq(&self) -> Pin {
        Pin::input("ioapic", self.irq)
    }

    /// Sends a character. Queued.
    #[track_caller]
    pub fn send(&self, character: u8) {
        self.io.outb(reg::DATA, character);
    }

    /// The next received character, whether there is one or not.
    #[track_caller]
    pub fn receive(&self) -> u8 {
        self.io.inb(reg::DATA)
    }

    /// Interrupt enable register.
    #[track_caller]
    pub fn ier(&self) -> Ier {
        self.io.inb(reg::IER).into()
    }

    /// Writes it. Queued, as all writes are.
    #[track_caller]
    pub fn set_ier(&self, ier: Ier) {
        self.io.outb(reg::IER, ier.into());
    }

    /// Interrupt identification register. Reading it ends the transmitter's interrupt.
    #[track_caller]
    pub fn iir(&self) -> Iir {
        self.io.inb(reg::IIR_FCR).into()
    }

    /// Writes the FIFO control register.
    #[track_caller]
    pub fn set_fcr(&self, fcr: Fcr) {
        self.io.outb(reg::IIR_FCR, fcr.into());
    }

    /// Line control register.
    #[track_caller]
    pub fn lcr(&self) -> Lcr {
        self.io.inb(reg::LCR).into()
    }

    /// Writes it.
    #[track_caller]
    pub fn set_lcr(&self, lcr: Lcr) {
        self.io.outb(reg::LCR, lcr.into());
    }

    /// Modem control register.
    #[track_caller]
    pub fn mcr(&self) -> Mcr {
        self.io.inb(reg::MCR).into()
    }

    /// Writes it.
    #[track_caller]
    pub fn set_mcr(&self, mcr: Mcr) {
        self.io.outb(reg::MCR, mcr.into());
    }

    /// Line status register. Reading it clears its errors.
    #[track_caller]
    pub fn lsr(&self) -> Lsr {
        self.io.inb(reg::LSR).into()
    }

    /// Modem status register. Reading it clears its changes.
    #[track_caller]
    pub fn msr(&self) -> Msr {
        self.io.inb(reg::MSR).into()
    }

    /// Sets the divisor latch [8.3], and [`Lcr::dlab`] for as long as that takes.
    #[track_caller]
    pub fn set_divisor(&self, divisor: u16) {
        let lcr = self.lcr();
        self.set_lcr(lcr.with_dlab(true));
        let [low, high] = divisor.to_le_bytes();
        self.io.outb(reg::DATA, low);
        self.io.outb(reg::IER, high);
        self.set_lcr(lcr.with_dlab(false));
    }

    /// The divisor latch.
    #[track_caller]
    pub fn divisor(&self) -> u16 {
        let lcr = self.lcr();
        self.set_lcr(lcr.with_dlab(true));
        let divisor = u16::from_le_bytes([self.io.inb(reg::DATA), self.io.inb(reg::IER)]);
        self.set_lcr(lcr.with_dlab(false));
        divisor
    }
}

/// Names the registers of COM1.
#[derive(Debug, Default)]
pub struct Decoder {
    dlab: bool,
    seen: Seen,
}

impl Describe for Decoder {
    fn name(&self) -> &'static str {
        "uart"
    }

    fn observe(&mut self, entry: &Entry) -> Option<String> {
        let access = Access::of(entry)?;
        let offset = access.address.checked_sub(Pc16550d::PORT.into())?;
        if access.space != Space::Port || offset > 7 {
            return None;
        }
        let (written, value) = match access.transfer {
            Transfer::Write(value) => (true, value as u8),
            Transfer::Read(Some(value)) => (false, value as u8),
            Transfer::Read(None) => return Some(format!("uart port {offset}→no answer")),
        };
        let plain = format!("{value:#04x}");
        let fields = |text: String| format!("{value:#04x} {text}");
        let (name, text) = match (offset as u16, written) {
            (reg::DATA, _) if self.dlab => ("DLL", plain),
            (reg::IER, _) if self.dlab => ("DLM", plain),
            (reg::DATA, true) => ("THR", plain),
            (reg::DATA, false) => ("RBR", plain),
            (reg::IER, _) => ("IER", fields(format!("{:?}", Ier::from(value)))),
            (reg::IIR_FCR, true) => ("FCR", fields(format!("{:?}", Fcr::from(value)))),
            (reg::IIR_FCR, false) => ("IIR", fields(format!("{:?}", Iir::from(value)))),
            (reg::LCR, _) => {
                self.dlab = Lcr::from(value).dlab();
                ("LCR", fields(format!("{:?}", Lcr::from(value))))
            }
            (reg::MCR, _) => ("MCR", fields(format!("{:?}", Mcr::from(value)))),
            (reg::LSR, _) => ("LSR", fields(format!("{:?}", Lsr::from(value)))),
            (reg::MSR, _) => ("MSR", fields(format!("{:?}", Msr::from(value)))),
            _ => ("SCR", plain),
        };
        let arrow = if written { '←' } else { '→' };
        Some(self.seen.note("uart", name, arrow, text))
    }

    fn state(&self) -> Vec<String> {
        self.seen.state()
    }
}
