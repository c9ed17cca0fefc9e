//! Motorola MC146818 real-time clock and 114 bytes of RAM, as the PC/AT wires it. Names in brackets are sections of its data sheet.

mod time;

use serde_json::{Value, json};
use testjig_server::qmp::Event;

use self::time::{Alarm, Format};
use crate::board::{Board, Device, Range};
use crate::calendar::Moment;
use crate::lines::Source;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400;
const SOURCE: Source = 1;

/// [Address Map] Indices.
pub(crate) mod index {
    pub(crate) const SECONDS_ALARM: u8 = 0x01;
    pub(crate) const MINUTES_ALARM: u8 = 0x03;
    pub(crate) const HOURS_ALARM: u8 = 0x05;
    pub(crate) const A: u8 = 0x0a;
    pub(crate) const B: u8 = 0x0b;
    pub(crate) const C: u8 = 0x0c;
    pub(crate) const D: u8 = 0x0d;
    /// [PC/AT] Why the processor was reset.
    pub(crate) const SHUTDOWN: u8 = 0x0f;
    /// [PC/AT] The century.
    pub(crate) const CENTURY: u8 = 0x32;
    /// [PS/2] The same byte.
    pub(crate) const CENTURY_PS2: u8 = 0x37;
}

/// [Register A] Update in progress.
const UIP: u8 = 0x80;
/// [Register B]
const SET: u8 = 0x80;
const PIE: u8 = 0x40;
const AIE: u8 = 0x20;
const UIE: u8 = 0x10;
const SQWE: u8 = 0x08;
const DM: u8 = 0x04;
const HOUR_24: u8 = 0x02;
/// [Register C]
const IRQF: u8 = 0x80;
const PF: u8 = 0x40;
const AF: u8 = 0x20;
const UF: u8 = 0x10;
/// [Register D] Valid RAM and time.
const VRT: u8 = 0x80;

/// [Table 6] UIP is set this long before an update: 244 us, eight periods of 32.768 kHz.
const NOTICE: u64 = 8 * SECOND / 32_768;
/// What firmware finds after a sleep; a reset leaves it.
pub(crate) const RESUME: u8 = 0xfe;

/// When the alarm next matches, as long as nothing changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// To be worked out when it matters.
    Unknown,
    Never,
    At(u64),
}

pub(crate) struct Mc146818 {
    port: u16,
    line: usize,
    /// The year that year byte 00 of century 00 stands for.
    base_year: i64,
    index: u8,
    /// All bytes; the ten of the time hold it while it stands, and are written from `time` while it runs.
    bytes: [u8; 128],
    flags: u8,
    /// Seconds since 1970 that the clock shows while it runs.
    time: i64,
    /// The day of the week, 1 to 7, which counts by itself [Update Cycle].
    weekday: i64,
    /// The next update, while the divider chain runs.
    next_update: u64,
    /// Since when the divider chain counts: the phase of the periodic interrupt.
    chain: u64,
    /// The periodic interrupt has been seen to this moment.
    seen: u64,
    alarm: Next,
    /// The host's time at the start, to tell how far the guest's is from it.
    base: i64,
    qom_path: String,
}

impl Mc146818 {
    /// A clock that shows `base`, seconds since 1970, at the start of virtual time.
    pub(crate) fn new(port: u16, line: usize, base_year: i64, base: i64, qom_path: &str) -> Self {
        let mut bytes = [0; 128];
        // 32.768 kHz and a periodic rate of 1,024 Hz; 24-hour mode.
        bytes[usize::from(index::A)] = 0x26;
        bytes[usize::from(index::B)] = HOUR_24;
        Self {
            port,
            line,
            base_year,
            index: 0,
            bytes,
            flags: 0,
            time: base,
            weekday: Moment::weekday(base) + 1,
            next_update: SECOND,
            chain: 0,
            seen: 0,
            alarm: Next::Unknown,
            base,
            qom_path: qom_path.into(),
        }
    }

    /// Sets a byte of RAM, as the firmware's predecessor would.
    pub(crate) fn put(&mut self, index: u8, value: u8) {
        self.bytes[usize::from(index)] = value;
    }

    /// A byte of RAM.
    pub(crate) fn get(&self, index: u8) -> u8 {
        self.bytes[usize::from(index)]
    }

    fn a(&self) -> u8 {
        self.bytes[usize::from(index::A)]
    }

    fn b(&self) -> u8 {
        self.bytes[usize::from(index::B)]
    }

    fn format(&self) -> Format {
        Format {
            binary: self.b() & DM != 0,
            hour24: self.b() & HOUR_24 != 0,
        }
    }

    /// [Table 4] The three time bases run, the other codes hold the chain or are for test.
    fn chain_runs(&self) -> bool {
        self.a() & 0x70 <= 0x20
    }

    /// [Register B, SET] inhibits updates.
    fn runs(&self) -> bool {
        self.chain_runs() && self.b() & SET == 0
    }

    /// [Table 5] Input clocks of 32.768 kHz between two periodic interrupts; `None` for rate 0.
    fn period(&self) -> Option<u64> {
        let rate = self.a() & 0x0f;
        match rate {
            0 => None,
            1 | 2 => Some(1 << (rate + 6)),
            _ => Some(1 << (rate - 1)),
        }
        .filter(|_| self.chain_runs())
    }

    /// The first tick of the periodic interrupt after a moment.
    fn tick_after(&self, moment: u64) -> Option<u64> {
        let period = u128::from(self.period()?);
        let clocks = u128::from(moment - self.chain) * 32_768 / u128::from(SECOND);
        let next = (clocks / period + 1) * period;
        let at = (next * u128::from(SECOND)).div_ceil(32_768);
        let at = self.chain + at as u64;
        // The division rounds down: the tick of this very moment has passed.
        if at > moment {
            return Some(at);
        }
        let later = ((next + period) * u128::from(SECOND)).div_ceil(32_768);
        Some(self.chain + later as u64)
    }

    /// Brings flags and time up to a moment.
    fn settle(&mut self, now: u64) {
        // PF is set with the square wave or the interrupt enabled, as on the boards that wire it so.
        if self.b() & (PIE | SQWE) != 0
            && self.tick_after(self.seen).is_some_and(|tick| tick <= now)
        {
            self.flags |= PF;
        }
        self.seen = now;
        if !self.chain_runs() || now < self.next_update {
            return;
        }
        let updates = (now - self.next_update) / SECOND + 1;
        self.next_update += updates * SECOND;
        if self.b() & SET != 0 {
            return;
        }
        let days = self.time.div_euclid(DAY as i64);
        if self.alarm_within(updates).is_some() {
            self.flags |= AF;
        }
        self.time += updates as i64;
        let midnights = self.time.div_euclid(DAY as i64) - days;
        self.weekday = (self.weekday - 1 + midnights).rem_euclid(7) + 1;
        self.flags |= UF;
        self.alarm = Next::Unknown;
    }

    /// The number of the update, from 1 on, at which the alarm matches first, if within so many.
    fn alarm_within(&self, updates: u64) -> Option<u64> {
        let alarm = Alarm {
            hours: self.bytes[usize::from(index::HOURS_ALARM)],
            minutes: self.bytes[usize::from(index::MINUTES_ALARM)],
            seconds: self.bytes[usize::from(index::SECONDS_ALARM)],
        };
        let format = self.format();
        (1..=updates.min(DAY)).find(|update| {
            let time = (self.time + *update as i64).rem_euclid(DAY as i64);
            alarm.matches(format, time)
        })
    }

    /// [Register C] IRQF = PF·PIE + AF·AIE + UF·UIE, and the line follows it.
    fn interrupt(&mut self, board: &mut Board) {
        // The enables are in the same bits as the flags.
        let pending = self.flags & self.b() & (PF | AF | UF) != 0;
        self.flags = self.flags & !IRQF | if pending { IRQF } else { 0 };
        board.lines.set(self.line, SOURCE, pending);
        if self.alarm == Next::Unknown && self.b() & AIE != 0 && self.flags & AF == 0 && self.runs()
        {
            self.alarm = match self.alarm_within(DAY) {
                Some(update) => Next::At(self.next_update + (update - 1) * SECOND),
                None => Next::Never,
            };
        }
    }

    /// The time's bytes, from the time.
    fn store_time(&mut self) {
        let moment = Moment::from_unix(self.time);
        let format = self.format();
        let year = moment.year - self.base_year;
        let encode = |value: i64| format.encode(value.rem_euclid(100) as u8);
        self.bytes[0x00] = encode(moment.second);
        self.bytes[0x02] = encode(moment.minute);
        self.bytes[0x04] = format.encode_hour(moment.hour as u8);
        self.bytes[0x06] = encode(self.weekday);
        self.bytes[0x07] = encode(moment.day);
        self.bytes[0x08] = encode(moment.month);
        self.bytes[0x09] = encode(year);
        self.bytes[usize::from(index::CENTURY)] = encode(year.div_euclid(100));
    }

    /// The time, from its bytes.
    fn load_time(&mut self) {
        self.time = self.shown().to_unix();
        self.weekday = i64::from(self.format().decode(self.bytes[0x06])).clamp(1, 7);
        self.alarm = Next::Unknown;
    }

    /// What the bytes say.
    fn shown(&self) -> Moment {
        let format = self.format();
        let decode = |at: usize| i64::from(format.decode(self.bytes[at]));
        Moment {
            year: decode(usize::from(index::CENTURY)) * 100 + decode(0x09) + self.base_year,
            month: decode(0x08),
            day: decode(0x07),
            hour: format.decode_hour(self.bytes[0x04]).into(),
            minute: decode(0x02),
            second: decode(0x00),
        }
    }

    /// The guest has set its clock: the host is told how far it is from its own.
    fn tell_change(&self, board: &mut Board) {
        let host = self.base + board.started.elapsed().as_secs() as i64;
        board.events.push(Event::with(
            "RTC_CHANGE",
            json!({"offset": self.time - host, "qom-path": self.qom_path}),
        ));
    }

    fn read(&mut self, board: &mut Board, index: u8) -> u8 {
        self.settle(board.now);
        if self.runs() {
            self.store_time();
        }
        match index {
            index::A => {
                let near = self.runs() && self.next_update - board.now <= NOTICE;
                self.a() & !UIP | if near { UIP } else { 0 }
            }
            // [Register C] A read clears all flags.
            index::C => {
                self.interrupt(board);
                let flags = self.flags;
                self.flags = 0;
                self.alarm = Next::Unknown;
                flags
            }
            index::D => VRT,
            index::CENTURY_PS2 => self.bytes[usize::from(index::CENTURY)],
            _ => self.bytes[usize::from(index)],
        }
    }

    fn write(&mut self, board: &mut Board, index: u8, value: u8) {
        self.settle(board.now);
        let ran = self.runs();
        if ran {
            self.store_time();
        }
        let at = usize::from(index);
        match index {
            index::A => {
                let chain_ran = self.chain_runs();
                self.bytes[at] = value & !UIP;
                if !chain_ran && self.chain_runs() {
                    // [Register A, DV] The first update comes half a second after the divider reset.
                    self.next_update = board.now + SECOND / 2;
                    self.chain = board.now;
                }
                self.change_of_running(board, ran);
            }
            index::B => {
                // [Register B, SET] It clears UIE.
                self.bytes[at] = if value & SET != 0 {
                    value & !UIE
                } else {
                    value
                };
                self.change_of_running(board, ran);
            }
            index::C | index::D => {}
            0x00 | 0x02 | 0x04 | 0x06..=0x09 | index::CENTURY | index::CENTURY_PS2 => {
                let at = if index == index::CENTURY_PS2 {
                    index::CENTURY.into()
                } else {
                    at
                };
                self.bytes[at] = value;
                if ran {
                    self.load_time();
                    self.tell_change(board);
                }
            }
            _ => {
                let lost = board.plant.wrong_bit && index % 2 == 1 && index > index::D;
                self.bytes[at] = if lost { value & !0x08 } else { value };
            }
        }
        self.alarm = Next::Unknown;
    }

    fn change_of_running(&mut self, board: &mut Board, ran: bool) {
        match (ran, self.runs()) {
            (false, true) => {
                self.load_time();
                self.tell_change(board);
            }
            // The time stands in its bytes, in the format that is now.
            (true, _) => self.store_time(),
            (false, false) => {}
        }
    }

    fn tm(&self) -> Value {
        let shown = self.shown();
        json!({
            "tm_year": shown.year - 1900, "tm_mon": shown.month - 1, "tm_mday": shown.day,
            "tm_hour": shown.hour, "tm_min": shown.minute, "tm_sec": shown.second,
        })
    }
}

impl Device for Mc146818 {
    fn name(&self) -> &'static str {
        "mc146818rtc"
    }

    fn ports(&self) -> Vec<Range> {
        vec![Range::new(self.port.into(), 2, 0)]
    }

    fn read8(&mut self, board: &mut Board, _: u8, offset: u16) -> u8 {
        if offset == 0 {
            return 0xff;
        }
        let value = self.read(board, self.index);
        self.interrupt(board);
        value
    }

    fn write8(&mut self, board: &mut Board, _: u8, offset: u16, value: u8) {
        if offset == 0 {
            self.index = value & 0x7f;
        } else {
            self.write(board, self.index, value);
            self.interrupt(board);
        }
    }

    fn deadline(&self) -> Option<u64> {
        let b = self.b();
        let update =
            (b & UIE != 0 && self.flags & UF == 0 && self.runs()).then_some(self.next_update);
        let tick = (b & PIE != 0 && self.flags & PF == 0)
            .then(|| self.tick_after(self.seen))
            .flatten();
        let alarm = match self.alarm {
            Next::At(moment) => Some(moment),
            Next::Never | Next::Unknown => None,
        };
        [update, tick, alarm].into_iter().flatten().min()
    }

    fn expire(&mut self, board: &mut Board) {
        self.settle(board.now);
        self.interrupt(board);
    }

    /// [Signal Descriptions, RESET] Clears PIE, AIE, UIE, SQWE and all flags; time and RAM go on.
    fn reset(&mut self, board: &mut Board) {
        self.settle(board.now);
        self.bytes[usize::from(index::B)] &= !(PIE | AIE | UIE | SQWE);
        self.flags = 0;
        if self.bytes[usize::from(index::SHUTDOWN)] != RESUME {
            self.bytes[usize::from(index::SHUTDOWN)] = 0;
        }
        self.index = 0;
        self.alarm = Next::Unknown;
        self.interrupt(board);
    }

    fn property(&mut self, board: &Board, name: &str) -> Option<Value> {
        match name {
            "date" | "rtc-time" => {
                self.settle(board.now);
                if self.runs() {
                    self.store_time();
                }
                Some(self.tm())
            }
            "base_year" => Some(json!(self.base_year)),
            "iobase" => Some(json!(self.port)),
            "irq" => Some(json!(self.line)),
            _ => None,
        }
    }
}
