//! A machine of one RAM, one port latch and one timer whose pin goes up every millisecond.

use testjig_qtest::Endianness;
use testjig_server::qmp::{Event, Manage};
use testjig_server::{Clock, Interrupts, Lines, Memory, Ports, Vmm};

pub(crate) const PERIOD: u64 = 1_000_000;

pub(crate) struct Board {
    pub(crate) latch: u32,
    pub(crate) ram: Vec<u8>,
    now: u64,
    ticking: bool,
    watched: bool,
    edges: Vec<(u32, bool)>,
    big: bool,
    pub(crate) quit: bool,
    pub(crate) events: Vec<Event>,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            latch: 0,
            ram: vec![0; 64 << 10],
            now: 0,
            ticking: false,
            watched: false,
            edges: Vec::new(),
            big: false,
            quit: false,
            events: Vec::new(),
        }
    }
}

impl Board {
    /// One whose CPU has its most significant byte first.
    pub(crate) fn big_endian() -> Self {
        Self {
            big: true,
            ..Self::default()
        }
    }

    pub(crate) fn pulse(&mut self) {
        self.edges.extend([(3, true), (3, true), (3, false)]);
    }
}

impl Ports for Board {
    fn port_read(&mut self, port: u16, data: &mut [u8]) {
        let latch = if port == 0x80 { self.latch } else { u32::MAX };
        data.copy_from_slice(&latch.to_le_bytes()[..data.len()]);
    }

    /// Port 0x80 keeps, 0x81 starts the timer, 0x82 pulses pin 3.
    fn port_write(&mut self, port: u16, data: &[u8]) {
        match port {
            0x80 => {
                let mut latch = [0; 4];
                latch[..data.len()].copy_from_slice(data);
                self.latch = u32::from_le_bytes(latch);
            }
            0x81 => self.ticking = data[0] != 0,
            0x82 => self.pulse(),
            _ => {}
        }
    }
}

impl Memory for Board {
    fn memory_read(&mut self, addr: u64, data: &mut [u8]) {
        for (at, byte) in data.iter_mut().enumerate() {
            let cell = addr.checked_add(at as u64);
            *byte = cell
                .and_then(|cell| self.ram.get(cell as usize))
                .copied()
                .unwrap_or(0);
        }
    }

    fn memory_write(&mut self, addr: u64, data: &[u8]) {
        for (at, byte) in data.iter().enumerate() {
            let cell = addr.checked_add(at as u64);
            if let Some(cell) = cell.and_then(|cell| self.ram.get_mut(cell as usize)) {
                *cell = *byte;
            }
        }
    }
}

impl Clock for Board {
    fn now(&self) -> Option<u64> {
        Some(self.now)
    }

    fn deadline(&self) -> Option<u64> {
        self.ticking
            .then(|| (self.now / PERIOD + 1).saturating_mul(PERIOD))
    }

    fn advance(&mut self, to: u64) {
        self.now = to;
        if self.ticking && to % PERIOD == 0 {
            self.edges.extend([(8, true), (8, false)]);
            // A machine has a guest that ends such a flood; this one rests after a second.
            self.ticking = to < 1000 * PERIOD;
        }
    }
}

impl Interrupts for Board {
    fn device(&self, path: &str) -> Option<String> {
        match path {
            "pic" | "/machine/pic" => Some("/machine/pic".into()),
            "bare" => Some("/machine/bare".into()),
            _ => None,
        }
    }

    fn intercept(&mut self, device: &str, lines: Lines<'_>) -> bool {
        self.watched = device == "/machine/pic" && lines == Lines::In;
        self.watched
    }

    fn drive(&mut self, device: &str, list: Option<&str>, pin: u16, level: i32) -> bool {
        let known = device == "/machine/pic" && list.is_none() && pin < 16;
        if known {
            self.edges.push((pin.into(), level != 0));
        }
        known
    }

    fn edges(&mut self, report: &mut dyn FnMut(u32, bool)) {
        for (line, level) in self.edges.drain(..) {
            report(line, level);
        }
    }
}

impl Vmm for Board {
    fn endianness(&self) -> Endianness {
        if self.big {
            Endianness::Big
        } else {
            Endianness::Little
        }
    }
}

impl Manage for Board {
    fn reset(&mut self) {
        self.latch = 0;
        self.events.push(Event::new("RESET"));
    }

    fn quit(&mut self) {
        self.quit = true;
    }

    fn has_quit(&self) -> bool {
        self.quit
    }

    fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}
