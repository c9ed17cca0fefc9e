//! [`Wiring`]: interrupt lines from devices to the 8259 pair and the I/O APIC, and the test that watches or drives them.

use crate::dev::ioapic::IoApic;
use crate::dev::pic::PicPair;

/// Who drives a line; several may share one.
pub(crate) type Source = u8;

/// PCI interrupt pins, as sources of the ISA line that they are routed to.
const PIRQ: Source = 24;
/// The test itself, by `set_irq_in`.
const TEST: Source = 31;

/// The interrupt lines of the board.
#[derive(Default)]
pub(crate) struct Wiring {
    pub(crate) pic: PicPair,
    pub(crate) ioapic: IoApic,
    /// For each line, which sources drive it high.
    drivers: [u32; IoApic::LINES],
    /// PIRQA to PIRQD: how many functions assert each.
    asserted: [u32; 4],
    /// PIIX3 PIRQRCA to PIRQRCD: the ISA line of each, bit 7 set for none.
    routes: [u8; 4],
    watched: Option<Watched>,
    edges: Vec<(u32, bool)>,
    /// Rising edges to swallow, for the planted bug of that name.
    pub(crate) lose_every: Option<u32>,
    raised: u32,
}

/// Whose input pins are reported instead of delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    IoApic,
    Pic,
}

impl Wiring {
    /// Drives a line for one of its sources.
    pub(crate) fn set(&mut self, line: usize, source: Source, level: bool) {
        let before = self.drivers[line];
        let bit = 1 << source;
        let after = if level { before | bit } else { before & !bit };
        if after == before {
            return;
        }
        self.drivers[line] = after;
        if (before == 0) == (after == 0) {
            return;
        }
        if level {
            self.raised += 1;
            if self.lose_every.is_some_and(|n| self.raised % n == 0) {
                return;
            }
        }
        self.deliver(line, level);
    }

    fn deliver(&mut self, line: usize, level: bool) {
        let edge = (line as u32, level);
        match self.watched {
            Some(Watched::IoApic) => self.edges.push(edge),
            _ => self.ioapic.set(line, level),
        }
        if line < 16 {
            match self.watched {
                Some(Watched::Pic) => self.edges.push(edge),
                _ => self.pic.set(line, level),
            }
        }
    }

    /// A test drives an input pin of the I/O APIC or of the 8259 pair.
    pub(crate) fn drive(&mut self, pin: usize, level: bool) {
        self.set(pin, TEST, level);
    }

    /// Begins to watch.
    pub(crate) fn watch(&mut self, watched: Watched) {
        self.watched = Some(watched);
    }

    pub(crate) fn edges(&mut self) -> std::vec::Drain<'_, (u32, bool)> {
        self.edges.drain(..)
    }

    /// A function asserts or releases its interrupt pin (1 for INTA# to 4 for INTD#): the PC rotates pins by slot [PIIX3, PIRQ routing].
    pub(crate) fn pci(&mut self, slot: u8, pin: u8, level: bool) {
        let pirq = usize::from((slot + pin + 2) & 3);
        let before = self.asserted[pirq];
        self.asserted[pirq] = if level {
            before + 1
        } else {
            before.saturating_sub(1)
        };
        self.drive_pirq(pirq);
    }

    /// The ISA line of each PIRQ has been programmed.
    pub(crate) fn route(&mut self, routes: [u8; 4]) {
        for pirq in 0..4 {
            if let Some(line) = self.isa_line(pirq) {
                self.set(line, PIRQ + pirq as u8, false);
            }
        }
        self.routes = routes;
        for pirq in 0..4 {
            self.drive_pirq(pirq);
        }
    }

    fn drive_pirq(&mut self, pirq: usize) {
        if let Some(line) = self.isa_line(pirq) {
            self.set(line, PIRQ + pirq as u8, self.asserted[pirq] > 0);
        }
    }

    fn isa_line(&self, pirq: usize) -> Option<usize> {
        let route = self.routes[pirq];
        (route & 0x80 == 0).then_some(usize::from(route & 0xf))
    }
}
