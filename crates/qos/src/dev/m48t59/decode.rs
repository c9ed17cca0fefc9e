//! Decoding of the chip's operations for the failure report.

use std::collections::BTreeMap;

use testjig_qtest::Entry;

use super::{
    ALL_REGISTERS, CLOCK_REGISTERS, Control, Day, Flags, Interrupts, Reg, SIZE, Seconds, Watchdog,
};
use crate::describe::{Access, Describe, Space, Transfer};

/// Knows which byte of the array an access reached, behind ports by the address written before.
#[derive(Debug)]
pub struct Decoder {
    base: u64,
    ports: bool,
    registers: u16,
    selected: u16,
    seen: BTreeMap<Reg, u8>,
}

impl Decoder {
    /// For an M48T08 in memory.
    pub fn m48t08(base: u64) -> Self {
        Self::new(base, false, CLOCK_REGISTERS)
    }

    /// For an M48T59 in memory.
    pub fn memory(base: u64) -> Self {
        Self::new(base, false, ALL_REGISTERS)
    }

    /// For an M48T59 behind ports.
    pub fn ports(base: u64) -> Self {
        Self::new(base, true, ALL_REGISTERS)
    }

    fn new(base: u64, ports: bool, registers: u16) -> Self {
        Self {
            base,
            ports,
            registers,
            selected: 0,
            seen: BTreeMap::new(),
        }
    }

    fn byte(&mut self, address: u16, transfer: Transfer) -> String {
        let reg = Reg::at(address, SIZE, self.registers);
        let name = reg.map_or_else(|| format!("ram[{address:#x}]"), |reg| reg.to_string());
        let (arrow, value) = match transfer {
            Transfer::Write(value) => ('←', value as u8),
            Transfer::Read(Some(value)) => ('→', value as u8),
            Transfer::Read(None) => return format!("m48t59.{name}→no answer"),
        };
        let Some(reg) = reg else {
            return format!("m48t59.{name}{arrow}{value:#04x}");
        };
        self.seen.insert(reg, value);
        format!("m48t59.{name}{arrow}{}", text(reg, value))
    }
}

impl Describe for Decoder {
    fn name(&self) -> &'static str {
        "m48t59"
    }

    fn observe(&mut self, entry: &Entry) -> Option<String> {
        let access = Access::of(entry)?;
        let offset = access.address.checked_sub(self.base)?;
        if access.space != Space::Memory {
            return None;
        }
        if !self.ports {
            let address = u16::try_from(offset).ok().filter(|at| *at < SIZE)?;
            return Some(self.byte(address, access.transfer));
        }
        match (offset, access.transfer) {
            (0, Transfer::Write(low)) => {
                self.selected = (self.selected & 0xff00) | (low as u16 & 0xff);
                Some(format!("m48t59.address.low←{low:#04x}"))
            }
            (1, Transfer::Write(high)) => {
                self.selected = (self.selected & 0x00ff) | ((high as u16 & 0xff) << 8);
                Some(format!("m48t59.address.high←{high:#04x}"))
            }
            (3, transfer) => Some(self.byte(self.selected, transfer)),
            _ => None,
        }
    }

    fn state(&self) -> Vec<String> {
        self.seen
            .iter()
            .map(|(&reg, &value)| format!("{reg}={}", text(reg, value)))
            .collect()
    }
}

/// Fields where there are some; else the byte, whose digits are decimal.
fn text(reg: Reg, value: u8) -> String {
    let fields: Vec<(bool, &str)> = match reg {
        Reg::SECONDS => vec![(Seconds::from(value).stop(), "stop")],
        Reg::DAY => {
            let day = Day::from(value);
            vec![
                (day.frequency_test(), "frequency_test"),
                (day.century_enable(), "century_enable"),
                (day.century(), "century"),
            ]
        }
        Reg::CONTROL => {
            let control = Control::from(value);
            vec![
                (control.write(), "write"),
                (control.read(), "read"),
                (control.sign(), "sign"),
            ]
        }
        Reg::WATCHDOG => {
            let watchdog = Watchdog::from(value);
            return format!(
                "{value:#04x} {{{:?}{}}}",
                watchdog.timeout(),
                if watchdog.steering() { ", reset" } else { "" }
            );
        }
        Reg::INTERRUPTS => {
            let interrupts = Interrupts::from(value);
            vec![
                (interrupts.alarm(), "alarm"),
                (interrupts.alarm_on_battery(), "alarm_on_battery"),
            ]
        }
        Reg::FLAGS => {
            let flags = Flags::from(value);
            vec![
                (flags.watchdog(), "watchdog"),
                (flags.alarm(), "alarm"),
                (flags.battery_low(), "battery_low"),
            ]
        }
        _ => return format!("{value:#04x}"),
    };
    let set: Vec<&str> = fields
        .into_iter()
        .filter_map(|(set, name)| set.then_some(name))
        .collect();
    format!("{value:#04x} {{{}}}", set.join(", "))
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use testjig_qtest::{Command, Reply, Width};

    use super::*;

    fn write(addr: u64, value: u64) -> Entry {
        Entry {
            seq: 0,
            command: Command::Write {
                width: Width::B,
                addr,
                value,
            },
            reply: Some(Reply::Done),
            elided: 0,
            location: Location::caller(),
        }
    }

    fn texts(mut decoder: Decoder, entries: &[Entry]) -> Vec<String> {
        entries.iter().filter_map(|e| decoder.observe(e)).collect()
    }

    #[test]
    fn memory_is_told_by_register_and_fields() {
        assert_eq!(
            texts(
                Decoder::memory(0x1000),
                &[
                    write(0x1000 + 0x1ff7, 0x8e),
                    write(0x1000 + 0x12, 0x34),
                    write(0x3000, 1)
                ]
            ),
            ["m48t59.watchdog←0x8e {3s, reset}", "m48t59.ram[0x12]←0x34"]
        );
    }

    #[test]
    fn an_m48t08_has_ram_where_the_m48t59_has_its_alarm() {
        assert_eq!(
            texts(
                Decoder::m48t08(0),
                &[write(0x1ff7, 0x8e), write(0x1ff8, 0x80)]
            ),
            ["m48t59.ram[0x1ff7]←0x8e", "m48t59.control←0x80 {write}"]
        );
    }

    #[test]
    fn ports_are_told_by_the_address_written_before() {
        let entries = [write(0x74, 0xf9), write(0x75, 0x1f), write(0x77, 0x80)];
        assert_eq!(
            texts(Decoder::ports(0x74), &entries)[2],
            "m48t59.seconds←0x80 {stop}"
        );
    }
}
