//! The I²C controller of NXP's i.MX: a byte at a time, with an interrupt after each.
//!
//! Source: *i.MX25 Multimedia Applications Processor Reference Manual* (IMX25RM), chapter "I²C"; its sections are named in brackets. All
//! registers have 16 bits, of which the lower 8 are used.
//!
//! | offset | register |
//! |---|---|
//! | 0x00 | IADR, the controller's own address as a target |
//! | 0x04 | IFDR, the frequency divider |
//! | 0x08 | I2CR, control |
//! | 0x0c | I2SR, status |
//! | 0x10 | I2DR, data |

use std::fmt;
use std::time::Duration;

use bitfield_struct::bitfield;
use testjig_vm::{Condition, Vm};

use super::{Adapter, Direction};
use crate::bus::Mmio;

/// A register, by its offset in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum Reg {
    /// The controller's own address, bits 7:1.
    Iadr = 0x00,
    /// Frequency divider, bits 5:0.
    Ifdr = 0x04,
    /// [`Control`].
    I2cr = 0x08,
    /// [`Status`].
    I2sr = 0x0c,
    /// Data.
    I2dr = 0x10,
}

/// I2CR, the control register.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct Control {
    #[bits(2)]
    __: u8,
    /// RSTA: a repeated START. Read as 0.
    pub repeat_start: bool,
    /// TXAK: no acknowledgement after the next byte that is received.
    pub no_acknowledge: bool,
    /// MTX: it sends.
    pub transmit: bool,
    /// MSTA: it drives the bus. Set it for START, clear it for STOP.
    pub controller: bool,
    /// IIEN: it interrupts.
    pub interrupts: bool,
    /// IEN: it is on.
    pub enable: bool,
    __: u8,
}

/// I2SR, the status register.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct Status {
    /// RXAK: the last byte was not acknowledged.
    pub not_acknowledged: bool,
    /// IIF: a byte was moved, or arbitration was lost. Cleared by writing 0.
    pub interrupt: bool,
    /// SRW: as a target, it is to send.
    pub target_sends: bool,
    __: bool,
    /// IAL: arbitration was lost. Cleared by writing 0.
    pub arbitration_lost: bool,
    /// IBB: the bus is busy, between START and STOP.
    pub busy: bool,
    /// IAAS: it was addressed as a target.
    pub addressed: bool,
    /// ICF: no byte is on its way.
    pub complete: bool,
    __: u8,
}

/// A controller at an address of guest memory.
#[derive(Clone)]
pub struct ImxI2c(Mmio);

/// More of the host's time than a byte takes.
const PATIENCE: Duration = Duration::from_secs(5);

impl ImxI2c {
    /// The controller whose registers begin at `base`. Touches nothing.
    pub fn new(vm: &Vm, base: u64) -> Self {
        Self(Mmio::new(vm, base))
    }

    /// The machine.
    pub fn vm(&self) -> &Vm {
        self.0.vm()
    }

    /// Reads a register.
    #[track_caller]
    pub fn read_reg(&self, reg: Reg) -> u16 {
        self.0.readw(reg as u64)
    }

    /// Writes a register.
    #[track_caller]
    pub fn write_reg(&self, reg: Reg, value: u16) {
        self.0.writew(reg as u64, value);
    }

    /// I2CR.
    #[track_caller]
    pub fn control(&self) -> Control {
        self.read_reg(Reg::I2cr).into()
    }

    /// Writes I2CR.
    #[track_caller]
    pub fn set_control(&self, control: Control) {
        self.write_reg(Reg::I2cr, control.into());
    }

    /// I2SR.
    #[track_caller]
    pub fn status(&self) -> Status {
        self.read_reg(Reg::I2sr).into()
    }

    /// Waits until a byte was moved, and takes the note of it; the status before. Of a byte that nobody has acknowledged no note is waited
    /// for.
    #[track_caller]
    pub fn finish(&self) -> Status {
        let moved = Condition::new("a byte was moved", || {
            let status = self.status();
            status.interrupt() || status.complete() && status.not_acknowledged()
        });
        self.vm().wait_until(moved, PATIENCE);
        let status = self.status();
        self.write_reg(Reg::I2sr, 0);
        status
    }

    const SENDING: Control = Control::new()
        .with_enable(true)
        .with_controller(true)
        .with_transmit(true);
}

impl fmt::Debug for ImxI2c {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImxI2c({:#x})", self.0.base())
    }
}

impl Adapter for ImxI2c {
    fn vm(&self) -> &Vm {
        self.vm()
    }

    fn start(&self, address: u8, direction: Direction) -> bool {
        let is_busy = self.control().controller();
        if !is_busy {
            // [Initialization sequence] It is on before it drives the bus.
            self.set_control(Control::new().with_enable(true));
        }
        self.set_control(Self::SENDING.with_repeat_start(is_busy));
        self.write(direction.with(address))
    }

    fn write(&self, byte: u8) -> bool {
        self.write_reg(Reg::I2dr, byte.into());
        !self.finish().not_acknowledged()
    }

    fn read(&self, bytes: &mut [u8]) {
        let receiving = Self::SENDING.with_transmit(false);
        let len = bytes.len();
        self.set_control(receiving.with_no_acknowledge(len == 1));
        // [Generation of START, "dummy read"] A read gives the byte before, and has the next one sent.
        self.read_reg(Reg::I2dr);
        for (index, byte) in bytes.iter_mut().enumerate() {
            self.finish();
            if index + 1 == len {
                // Before the last is read, or there would be one more.
                self.stop();
            } else if index + 2 == len {
                self.set_control(receiving.with_no_acknowledge(true));
            }
            *byte = self.read_reg(Reg::I2dr) as u8;
        }
    }

    fn stop(&self) {
        self.set_control(Control::new().with_enable(true));
    }
}
