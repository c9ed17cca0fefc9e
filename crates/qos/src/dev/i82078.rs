//! Intel 82078 floppy disk controller: registers, commands and their results.
//!
//! Source: *82078 CHMOS Single-Chip Floppy Disk Controller*, Intel, data sheet; names of its registers, commands and tables are cited
//! in brackets. The three scan commands are from the data sheet of its forerunner, the 8272A.
//!
//! | offset | read | write |
//! |---|---|---|
//! | 0 | [`Sra`], not decoded by QEMU's PCs | |
//! | 1 | [`Srb`] | |
//! | 2 | [`Dor`] | [`Dor`] |
//! | 3 | [`Tdr`] | [`Tdr`] |
//! | 4 | [`Msr`] | [`Dsr`] |
//! | 5 | FIFO | FIFO |
//! | 7 | [`Dir`] | [`Ccr`] |
//!
//! A command has three phases [Controller Phases]: its bytes are written to the FIFO, it executes, its result is read from the FIFO.
//! [`I82078::run`] goes through all three; [`send`](I82078::send) and [`result`](I82078::result) go through the first and the last, and
//! [`write_fifo`](I82078::write_fifo) and [`fifo`](I82078::fifo) move single bytes and check nothing.
//!
//! ```no_run
//! use testjig_qos::dev::i82078::{Chs, I82078, SenseInterrupt, Seek, Transfer};
//! # fn example(vm: &testjig_vm::Vm) {
//! let fdc = I82078::pc(vm);
//! fdc.run(Seek::to(3));
//! assert_eq!(fdc.run(SenseInterrupt).cylinder, 3);
//! let sector = fdc.pio_read(&Transfer::read(Chs::new(3, 0, 1)), 512);
//! # }
//! ```

mod chs;
mod command;
mod decode;
pub mod regs;
mod result;

use std::ops::Deref;
use std::time::Duration;

use testjig_vm::{Condition, Pin, Vm};

pub use self::chs::{Chs, Geometry};
pub use self::command::{
    Command, Configure, DriveSpecification, DumpRegisters, FormatTrack, Invalid, Iso, Lock,
    Operation, PartId, Perpendicular, ReadId, Recalibrate, RelativeSeek, Seek, SenseDrive,
    SenseInterrupt, Specify, Transfer, Version,
};
pub use self::decode::Decoder;
pub use self::regs::{
    Ccr, DataRate, Dir, Dor, Dsr, InterruptCode, Msr, Reg, Sra, Srb, St0, St1, St2, St3, Tdr,
};
pub use self::result::{DriveSpecifications, Dump, Outcome, Saved, Sensed, TransferStatus};

use crate::bus::{Mmio, Pio};

/// Bytes of a sector of the usual disks: N is 2.
pub const SECTOR: usize = 512;

/// How long, of the host's time, a phase may take: it waits for an image of the host, not for the virtual clock.
const PATIENCE: Duration = Duration::from_secs(10);

/// The controller and its registers.
#[derive(Clone, Debug)]
pub struct I82078 {
    window: Window,
    irq: Pin,
}

/// How the registers are reached.
#[derive(Clone, Debug)]
pub enum Window {
    /// By I/O ports, as PCs have them.
    Ports(Pio),
    /// In memory, a byte each, as Sun's boards have them.
    Memory(Mmio),
}

/// The controller of Sun's sun4m boards, QEMU's `sun-fdtwo`: an 82077 in memory, without DMA. Its SRA can be read.
#[derive(Clone, Debug)]
pub struct Fdtwo(I82078);

impl Fdtwo {
    /// With its registers from this guest-physical address on, and its interrupt on this pin. Touches nothing.
    pub fn new(vm: &Vm, base: u64, irq: Pin) -> Self {
        Self(I82078 {
            window: Window::Memory(Mmio::new(vm, base)),
            irq,
        })
    }
}

impl Deref for Fdtwo {
    type Target = I82078;

    fn deref(&self) -> &I82078 {
        &self.0
    }
}

impl I82078 {
    /// Where PCs have the first controller.
    pub const PORT: u16 = 0x3f0;
    /// The ISA interrupt of the first controller.
    pub const IRQ: u32 = 6;
    /// The ISA DMA channel of the first controller.
    pub const DMA: u8 = 2;

    /// The PC's own: ports 0x3f0 to 0x3f7, IRQ 6, DMA channel 2. Touches nothing.
    pub fn pc(vm: &Vm) -> Self {
        Self::at(vm, Self::PORT, Self::IRQ)
    }

    /// A controller at other ports of the ISA bus, with another interrupt.
    pub fn at(vm: &Vm, port: u16, irq: u32) -> Self {
        Self {
            window: Window::Ports(Pio::new(vm, port)),
            irq: Pin::input("ioapic", irq),
        }
    }

    /// A decoder for the failure report, of the controller at port 0x3f0.
    pub fn decoder() -> Decoder {
        Decoder::ports(Self::PORT)
    }

    /// How its registers are reached.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The machine that it belongs to.
    pub fn vm(&self) -> &Vm {
        match &self.window {
            Window::Ports(io) => io.vm(),
            Window::Memory(mmio) => mmio.vm(),
        }
    }

    /// The pin that INT drives.
    pub fn irq(&self) -> Pin {
        self.irq.clone()
    }

    /// Reads a register, undecoded.
    #[track_caller]
    pub fn read(&self, reg: Reg) -> u8 {
        match &self.window {
            Window::Ports(io) => io.inb(reg.offset()),
            Window::Memory(mmio) => mmio.readb(reg.offset().into()),
        }
    }

    /// Writes a register as it is.
    #[track_caller]
    pub fn write(&self, reg: Reg, value: u8) {
        match &self.window {
            Window::Ports(io) => io.outb(reg.offset(), value),
            Window::Memory(mmio) => mmio.writeb(reg.offset().into(), value),
        }
    }

    /// Status register A. On PCs there is nothing at its port.
    #[track_caller]
    pub fn sra(&self) -> Sra {
        self.read(Reg::Sra).into()
    }

    /// Status register B.
    #[track_caller]
    pub fn srb(&self) -> Srb {
        self.read(Reg::Srb).into()
    }

    /// The digital output register.
    #[track_caller]
    pub fn dor(&self) -> Dor {
        self.read(Reg::Dor).into()
    }

    /// Writes the digital output register.
    #[track_caller]
    pub fn set_dor(&self, dor: Dor) {
        self.write(Reg::Dor, dor.into());
    }

    /// The tape drive register.
    #[track_caller]
    pub fn tdr(&self) -> Tdr {
        self.read(Reg::Tdr).into()
    }

    /// Writes the tape drive register.
    #[track_caller]
    pub fn set_tdr(&self, tdr: Tdr) {
        self.write(Reg::Tdr, tdr.into());
    }

    /// The main status register.
    #[track_caller]
    pub fn msr(&self) -> Msr {
        self.read(Reg::MsrDsr).into()
    }

    /// Writes the datarate select register.
    #[track_caller]
    pub fn set_dsr(&self, dsr: Dsr) {
        self.write(Reg::MsrDsr, dsr.into());
    }

    /// Reads a byte from the FIFO, whether or not it is ready for that.
    #[track_caller]
    pub fn fifo(&self) -> u8 {
        self.read(Reg::Fifo)
    }

    /// Writes a byte to the FIFO, whether or not it is ready for that.
    #[track_caller]
    pub fn write_fifo(&self, byte: u8) {
        self.write(Reg::Fifo, byte);
    }

    /// The digital input register.
    #[track_caller]
    pub fn dir(&self) -> Dir {
        self.read(Reg::DirCcr).into()
    }

    /// Writes the configuration control register.
    #[track_caller]
    pub fn set_ccr(&self, ccr: Ccr) {
        self.write(Reg::DirCcr, ccr.into());
    }

    /// Selects a data rate by the CCR.
    #[track_caller]
    pub fn set_rate(&self, rate: DataRate) {
        self.set_ccr(Ccr::new().with_rate(rate));
    }

    /// Holds the controller in reset by the DOR, and lets it out; takes back the four interrupts that polling then raises, one for
    /// each drive.
    #[track_caller]
    pub fn reset(&self) {
        let dor = Dor::new().with_dma_gate(true);
        self.set_dor(dor);
        self.set_dor(dor.with_not_reset(true));
        for _ in 0..4 {
            self.run(SenseInterrupt);
        }
    }

    /// The command phase: writes the bytes of a command, each when the controller asks for it.
    ///
    /// Panics if it does not ask for as many.
    #[track_caller]
    pub fn send(&self, command: &impl Command) {
        self.send_bytes(&command.bytes());
    }

    /// As [`send`](Self::send), of any bytes, from the first one of a command on.
    #[track_caller]
    pub fn send_bytes(&self, bytes: &[u8]) {
        self.write_when(Msr::IDLE, bytes);
    }

    /// As [`send`](Self::send), of further bytes of a command.
    #[track_caller]
    pub fn send_rest(&self, bytes: &[u8]) {
        self.write_when(Msr::COMMAND, bytes);
    }

    /// Writes bytes, the first one in this state, the others as parameters.
    #[track_caller]
    fn write_when(&self, first: Msr, bytes: &[u8]) {
        for (index, &byte) in bytes.iter().enumerate() {
            let expected = if index == 0 { first } else { Msr::COMMAND };
            let msr = self.msr();
            assert!(
                msr == expected,
                "the controller does not take byte {index} of the command {bytes:02x?}: {msr:?} in place of {expected:?}"
            );
            self.write_fifo(byte);
        }
    }

    /// The result phase: waits for it and reads the result of a command of type `C`.
    ///
    /// Panics if the phase does not end with it.
    #[track_caller]
    pub fn result<C: Command>(&self) -> C::Outcome {
        let bytes = self.result_bytes(C::Outcome::LEN);
        C::Outcome::from_bytes(&bytes)
    }

    /// Waits for the result phase and reads so many bytes.
    ///
    /// Panics if the phase does not end with them.
    #[track_caller]
    pub fn result_bytes(&self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len);
        if len > 0 {
            self.wait_for(Msr::RESULT);
        }
        while bytes.len() < len {
            let msr = self.msr();
            assert!(
                msr == Msr::RESULT,
                "the result phase ended after {bytes:02x?}, {} bytes too early: {msr:?}",
                len - bytes.len()
            );
            bytes.push(self.fifo());
        }
        let msr = self.msr();
        assert!(
            msr == Msr::IDLE,
            "the command did not end with the result {bytes:02x?}: {msr:?}"
        );
        bytes
    }

    /// Runs a command that needs neither data nor virtual time, and returns its result.
    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers make the command here"
    )]
    pub fn run<C: Command>(&self, command: C) -> C::Outcome {
        self.send(&command);
        self.result::<C>()
    }

    /// SAVE: the state that a power-down loses. The result phase tells how long it is.
    ///
    /// Panics if it is shorter than what [`Saved`] names, or does not end.
    #[track_caller]
    pub fn save(&self) -> Saved {
        self.send_bytes(&[0x2e]);
        let mut bytes = Vec::new();
        while self.msr() == Msr::RESULT {
            bytes.push(self.fifo());
            assert!(bytes.len() < 64, "the result of SAVE does not end");
        }
        assert!(
            bytes.len() >= 13,
            "the result of SAVE is short: {bytes:02x?}"
        );
        Saved(bytes)
    }

    /// RESTORE: sets the state to what [`save`](Self::save) has handed out. Reserved bytes at the end that the controller still asks
    /// for are zero.
    ///
    /// Panics if the controller does not stop to ask.
    #[track_caller]
    pub fn restore(&self, saved: &Saved) {
        self.send_bytes(&[0x4e]);
        let mut bytes = saved.0.iter();
        let mut count = 0;
        while self.msr() == Msr::COMMAND {
            self.write_fifo(bytes.next().copied().unwrap_or(0));
            count += 1;
            assert!(count < 64, "the parameters of RESTORE do not end");
        }
        self.wait_for(Msr::IDLE);
    }

    /// Reads `len` bytes in the execution phase of a command without DMA, each when the controller has one.
    #[track_caller]
    pub fn take_data(&self, len: usize) -> Vec<u8> {
        let mut data = Vec::with_capacity(len);
        while data.len() < len {
            // Not before each byte: a round trip costs more than all else.
            if data.len() % SECTOR == 0 {
                let msr = self.msr();
                assert!(
                    msr == Msr::PIO_READ,
                    "there is no data byte {}: {msr:?}",
                    data.len()
                );
            }
            data.push(self.fifo());
        }
        data
    }

    /// Writes bytes in the execution phase of a command without DMA.
    #[track_caller]
    pub fn give_data(&self, data: &[u8]) {
        for sector in data.chunks(SECTOR) {
            let msr = self.msr();
            assert!(
                msr == Msr::PIO_WRITE,
                "the controller takes no data byte: {msr:?}"
            );
            for &byte in sector {
                self.write_fifo(byte);
            }
        }
    }

    /// Sends a command that reads without DMA, and takes its data and its result.
    #[track_caller]
    pub fn pio_read(&self, command: &Transfer, len: usize) -> (Vec<u8>, TransferStatus) {
        self.send(command);
        let data = self.take_data(len);
        (data, self.result::<Transfer>())
    }

    /// Waits, of the host's time, until the main status register is this.
    #[track_caller]
    pub fn wait_for(&self, msr: Msr) {
        let here = self.clone();
        let reached = Condition::new(format!("{msr:?}"), move || here.msr() == msr)
            .seeing(|| format!("{:?}", self.msr()));
        self.vm().wait_until(reached, PATIENCE);
    }
}
