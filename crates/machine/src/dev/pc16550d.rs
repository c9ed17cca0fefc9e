//! National PC16550D UART (data sheet, June 1995; its sections in brackets), as the PC/AT wires it: OUT2 lets the interrupt through.
//!
//! A character is sent in no time, so the transmitter is always empty. What the line brings waits in the machine until the receiver has
//! room; only in loopback can it be overrun.

use std::collections::VecDeque;
use std::io;

use testjig_server::serve::Endpoint;

use crate::board::{Board, Device, Range};
use crate::lines::Source;

/// [8.5] Characters in the receiver's FIFO.
const FIFO: usize = 16;
/// [8.3] Periods of the PC's crystal in ns, as a fraction.
const CRYSTAL: (u64, u64) = (1_000_000_000, 1_843_200);
/// What may wait in the machine; a line that brings more loses it.
const WAITING: usize = 1 << 20;

/// [8.7]
const IER_RECEIVED: u8 = 1 << 0;
const IER_EMPTY: u8 = 1 << 1;
const IER_LINE: u8 = 1 << 2;
const IER_MODEM: u8 = 1 << 3;
/// [8.5]
const FCR_ENABLE: u8 = 1 << 0;
const FCR_CLEAR_RECEIVER: u8 = 1 << 1;
/// [8.1]
const DLAB: u8 = 1 << 7;
/// [8.8]
const OUT2: u8 = 1 << 3;
const LOOPBACK: u8 = 1 << 4;
/// [8.4]
const DATA_READY: u8 = 1 << 0;
const OVERRUN: u8 = 1 << 1;
const THRE_TEMT: u8 = 3 << 5;
/// [8.9] DCD, DSR and CTS of a line that is connected.
const CONNECTED: u8 = 0xb0;
const RI: u8 = 1 << 6;

/// The UART.
pub(crate) struct Pc16550d {
    port: u16,
    irq: usize,
    source: Source,
    /// The other end of the line, if there is one.
    pub(crate) line: Option<Endpoint>,
    waiting: VecDeque<u8>,
    received: VecDeque<u8>,
    overrun: bool,
    ier: u8,
    fcr: u8,
    lcr: u8,
    mcr: u8,
    /// The modem's lines as they were read last, with their changes.
    msr: u8,
    scratch: u8,
    divisor: u16,
    /// The transmitter's interrupt is pending.
    emptied: bool,
    timed_out: bool,
    timeout_at: Option<u64>,
}

impl Pc16550d {
    pub(crate) fn new(port: u16, irq: usize, source: Source, line: Option<Endpoint>) -> Self {
        Self {
            port,
            irq,
            source,
            line,
            waiting: VecDeque::new(),
            received: VecDeque::new(),
            overrun: false,
            ier: 0,
            fcr: 0,
            lcr: 0,
            mcr: 0,
            msr: CONNECTED,
            scratch: 0,
            divisor: 12,
            emptied: false,
            timed_out: false,
            timeout_at: None,
        }
    }

    /// Takes what the line has brought; `false` if there is no other end any more.
    pub(crate) fn listen(&mut self, board: &mut Board) -> bool {
        let mut bytes = [0; 4096];
        let line = self.line.as_ref();
        let brought = match line.map_or(Ok(0), |line| line.try_read(&mut bytes)) {
            Ok(brought) => brought,
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        };
        let room = WAITING - self.waiting.len().min(WAITING);
        self.waiting.extend(&bytes[..brought.min(room)]);
        self.fill(board);
        self.update(board);
        brought > 0
    }

    fn is_buffered(&self) -> bool {
        self.fcr & FCR_ENABLE != 0
    }

    fn room(&self) -> bool {
        self.received.len() < if self.is_buffered() { FIFO } else { 1 }
    }

    /// Takes what waits, as long as there is room.
    fn fill(&mut self, board: &Board) {
        while self.mcr & LOOPBACK == 0 && self.room() {
            let Some(byte) = self.waiting.pop_front() else {
                return;
            };
            self.receive(board, byte);
        }
    }

    /// [8.4] A character too many: the FIFO keeps what it has, the buffer register is written over.
    fn receive(&mut self, board: &Board, byte: u8) {
        if !self.room() {
            self.overrun = true;
            if !self.is_buffered() {
                self.received[0] = byte;
            }
            return;
        }
        self.received.push_back(byte);
        self.watch(board);
    }

    /// [8.5] The timeout's four characters begin anew.
    fn watch(&mut self, board: &Board) {
        self.timed_out = false;
        let bits = 2
            + 5
            + u64::from(self.lcr & 3)
            + u64::from(self.lcr >> 2 & 1)
            + u64::from(self.lcr >> 3 & 1);
        let periods = 4 * bits * 16 * u64::from(self.divisor.max(1));
        let wait = periods * CRYSTAL.0 / CRYSTAL.1;
        let is_watched = self.is_buffered() && !self.received.is_empty();
        self.timeout_at = is_watched.then_some(board.now + wait);
    }

    fn send(&mut self, board: &Board, byte: u8) {
        if self.mcr & LOOPBACK != 0 {
            self.receive(board, byte);
        } else if let Some(line) = &self.line {
            // Nobody listens any more: as on a line, it is lost.
            let _ = line.try_write(&[byte]);
        }
    }

    /// [8.9] The modem's lines in bits 7:4.
    fn modem(&self) -> u8 {
        if self.mcr & LOOPBACK == 0 {
            return CONNECTED;
        }
        // [8.8] CTS is RTS, DSR is DTR, RI is OUT1, DCD is OUT2.
        (self.mcr & 2) << 3 | (self.mcr & 1) << 5 | (self.mcr & 0xc) << 4
    }

    fn modem_changed(&mut self) {
        let (before, now) = (self.msr & 0xf0, self.modem());
        let mut changed = (before ^ now) & !RI;
        // RI tells only that it has ended.
        changed |= before & !now & RI;
        self.msr = now | self.msr & 0x0f | changed >> 4;
    }

    /// [Table IV] What interrupts, by falling priority; the code of bits 3:1.
    fn cause(&self) -> Option<u8> {
        let trigger = if self.is_buffered() {
            [1, 4, 8, 14][usize::from(self.fcr >> 6)]
        } else {
            1
        };
        let enabled = |bit: u8| self.ier & bit != 0;
        if enabled(IER_LINE) && self.overrun {
            Some(3)
        } else if enabled(IER_RECEIVED) && self.received.len() >= trigger {
            Some(2)
        } else if enabled(IER_RECEIVED) && self.timed_out {
            Some(6)
        } else if enabled(IER_EMPTY) && self.emptied {
            Some(1)
        } else {
            (enabled(IER_MODEM) && self.msr & 0x0f != 0).then_some(0)
        }
    }

    fn update(&mut self, board: &mut Board) {
        // In loopback the board's lines are idle, but interrupts go on [8.8]; OUT2 is then what was written.
        let level = self.cause().is_some() && self.mcr & OUT2 != 0;
        board.lines.set(self.irq, self.source, level);
    }
}

impl Device for Pc16550d {
    fn name(&self) -> &'static str {
        "isa-serial"
    }

    fn ports(&self) -> Vec<Range> {
        vec![Range::new(self.port.into(), 8, 0)]
    }

    fn read8(&mut self, board: &mut Board, _: u8, offset: u16) -> u8 {
        let is_latch = self.lcr & DLAB != 0;
        let value = match offset {
            0 if is_latch => self.divisor as u8,
            1 if is_latch => (self.divisor >> 8) as u8,
            0 => {
                let byte = self.received.pop_front().unwrap_or(0);
                self.fill(board);
                self.watch(board);
                byte
            }
            1 => self.ier,
            2 => {
                let cause = self.cause();
                if cause == Some(1) {
                    self.emptied = false;
                }
                let fifos = if self.is_buffered() { 0xc0 } else { 0 };
                fifos | cause.map_or(1, |cause| cause << 1)
            }
            3 => self.lcr,
            4 => self.mcr,
            5 => {
                let ready = if self.received.is_empty() {
                    0
                } else {
                    DATA_READY
                };
                let overrun = if std::mem::take(&mut self.overrun) {
                    OVERRUN
                } else {
                    0
                };
                THRE_TEMT | ready | overrun
            }
            6 => {
                let value = self.msr;
                self.msr &= 0xf0;
                value
            }
            _ => self.scratch,
        };
        self.update(board);
        value
    }

    fn write8(&mut self, board: &mut Board, _: u8, offset: u16, value: u8) {
        let is_latch = self.lcr & DLAB != 0;
        match offset {
            0 if is_latch => self.divisor = self.divisor & 0xff00 | u16::from(value),
            1 if is_latch => self.divisor = self.divisor & 0x00ff | u16::from(value) << 8,
            0 => {
                self.send(board, value);
                self.emptied = true;
            }
            1 => {
                // [8.7] An empty transmitter interrupts when that is enabled.
                self.emptied |= value & !self.ier & IER_EMPTY != 0;
                self.ier = value & 0x0f;
            }
            2 => {
                // [8.5] Changing bit 0 empties the FIFOs; the others are written only with it.
                let value = if value & FCR_ENABLE == 0 { 0 } else { value };
                if value & FCR_CLEAR_RECEIVER != 0 || (value ^ self.fcr) & FCR_ENABLE != 0 {
                    self.received.clear();
                    self.watch(board);
                }
                self.fcr = value & 0xc9;
                self.fill(board);
            }
            3 => self.lcr = value,
            4 => {
                self.mcr = value & 0x1f;
                self.modem_changed();
                self.fill(board);
            }
            // [8.4, 8.9] Written only in the factory.
            5 | 6 => {}
            _ => self.scratch = value,
        }
        self.update(board);
    }

    fn deadline(&self) -> Option<u64> {
        self.timeout_at
    }

    fn expire(&mut self, board: &mut Board) {
        self.timeout_at = None;
        self.timed_out = true;
        self.update(board);
    }

    /// [Table III] The divisor, the scratch register and the line's characters are not reset.
    fn reset(&mut self, board: &mut Board) {
        (self.ier, self.fcr, self.lcr, self.mcr) = (0, 0, 0, 0);
        self.msr = CONNECTED;
        (self.overrun, self.emptied, self.timed_out) = (false, false, false);
        self.timeout_at = None;
        self.received.clear();
        self.update(board);
    }
}
