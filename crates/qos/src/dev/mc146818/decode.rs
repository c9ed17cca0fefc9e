//! Decoding of the clock's operations for the failure report.

use std::collections::BTreeMap;

use testjig_qtest::Entry;

use super::{AlarmMatch, Format, Reg, RegA, RegB, RegC, RegD};
use crate::describe::{Access, Describe, Space, Transfer};

/// Follows the index port, and so knows what each access to the data port reached.
#[derive(Debug)]
pub struct Decoder {
    port: u64,
    selected: Option<Reg>,
    seen: BTreeMap<Reg, u8>,
}

impl Decoder {
    /// For the clock at `port` and the port above it.
    pub fn new(port: u16) -> Self {
        Self {
            port: port.into(),
            selected: None,
            seen: BTreeMap::new(),
        }
    }

    fn index(&mut self, transfer: Transfer) -> String {
        match transfer {
            Transfer::Write(value) => {
                let reg = Reg::at(value as u8 & 0x7f);
                self.selected = Some(reg);
                format!("rtc.index←{value:#04x} ({reg})")
            }
            Transfer::Read(Some(value)) => format!("rtc.index→{value:#04x}"),
            Transfer::Read(None) => "rtc.index→no answer".into(),
        }
    }

    fn data(&mut self, transfer: Transfer) -> String {
        let (arrow, value) = match transfer {
            Transfer::Write(value) => ('←', value as u8),
            Transfer::Read(Some(value)) => ('→', value as u8),
            Transfer::Read(None) => return format!("rtc.{}→no answer", self.selected_name()),
        };
        if let Some(reg) = self.selected {
            self.seen.insert(reg, value);
        }
        let text = self.text(value);
        format!("rtc.{}{arrow}{text}", self.selected_name())
    }

    fn selected_name(&self) -> String {
        self.selected.map_or("data".into(), |reg| reg.to_string())
    }

    fn text(&self, value: u8) -> String {
        match self.selected {
            Some(reg) => self.value(reg, value),
            None => format!("{value:#04x}"),
        }
    }

    /// What the report shows for `value` in `reg`: fields of the control registers, numbers for time where register B has been seen.
    fn value(&self, reg: Reg, value: u8) -> String {
        let fields = match reg {
            Reg::A => fields_of_a(value.into()),
            Reg::B => named(RegB::from(value).flags()),
            Reg::C => fields_of_c(value.into()),
            Reg::D => named([(RegD::from(value).valid_ram_and_time(), "valid_ram_and_time")]),
            _ => return self.number(reg, value),
        };
        format!("{value:#04x} {{{}}}", fields.join(", "))
    }

    fn number(&self, reg: Reg, value: u8) -> String {
        let format = self.seen.get(&Reg::B).map(|&b| RegB::from(b).format());
        match (reg, format) {
            (Reg::SECONDS_ALARM | Reg::MINUTES_ALARM | Reg::HOURS_ALARM, _)
                if value >= AlarmMatch::DONT_CARE =>
            {
                "any".into()
            }
            (Reg::HOURS | Reg::HOURS_ALARM, Some(format)) => format.decode_hour(value).to_string(),
            (reg, Some(format)) if reg < Reg::A || reg == Reg::CENTURY => {
                Format::decode(format, value).to_string()
            }
            _ => format!("{value:#04x}"),
        }
    }
}

impl Describe for Decoder {
    fn name(&self) -> &'static str {
        "rtc"
    }

    fn observe(&mut self, entry: &Entry) -> Option<String> {
        let access = Access::of(entry)?;
        match (access.space, access.address.checked_sub(self.port)?) {
            (Space::Port, 0) => Some(self.index(access.transfer)),
            (Space::Port, 1) => Some(self.data(access.transfer)),
            _ => None,
        }
    }

    fn state(&self) -> Vec<String> {
        self.seen
            .iter()
            .map(|(&reg, &value)| format!("{reg}={}", self.value(reg, value)))
            .collect()
    }
}

fn fields_of_a(a: RegA) -> Vec<String> {
    let mut fields = named([(a.update_in_progress(), "update_in_progress")]);
    fields.push(format!("divider={:?}", a.divider()));
    fields.push(format!("rate={}", a.rate()));
    fields
}

fn fields_of_c(c: RegC) -> Vec<String> {
    named([
        (c.irq(), "irq"),
        (c.periodic(), "periodic"),
        (c.alarm(), "alarm"),
        (c.update(), "update"),
    ])
}

fn named<const N: usize>(fields: [(bool, &str); N]) -> Vec<String> {
    let set = fields.into_iter().filter(|&(set, _)| set);
    set.map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use testjig_qtest::{Command, PortWidth, Reply};

    use super::*;

    fn out(port: u16, value: u32) -> Entry {
        entry(
            Command::Out {
                width: PortWidth::B,
                port,
                value,
            },
            Reply::Done,
        )
    }

    fn input(port: u16, value: u64) -> Entry {
        let command = Command::In {
            width: PortWidth::B,
            port,
        };
        entry(command, Reply::Value(value))
    }

    fn entry(command: Command, reply: Reply) -> Entry {
        Entry {
            seq: 0,
            command,
            reply: Some(reply),
            elided: 0,
            location: Location::caller(),
        }
    }

    fn texts(entries: &[Entry]) -> Vec<String> {
        let mut decoder = Decoder::new(0x70);
        entries.iter().filter_map(|e| decoder.observe(e)).collect()
    }

    #[test]
    fn a_write_is_told_by_register_and_fields() {
        assert_eq!(
            texts(&[out(0x70, 0x0b), out(0x71, 0x26)]),
            [
                "rtc.index←0x0b (B)",
                "rtc.B←0x26 {alarm_irq, binary, hour24}"
            ]
        );
    }

    #[test]
    fn a_read_is_told_with_its_answer() {
        assert_eq!(
            texts(&[out(0x70, 0x8c), input(0x71, 0xa0)])[1],
            "rtc.C→0xa0 {irq, alarm}"
        );
    }

    #[test]
    fn time_is_decoded_once_register_b_is_known() {
        let unknown = [out(0x70, 0), input(0x71, 0x41)];
        assert_eq!(texts(&unknown)[1], "rtc.seconds→0x41");
        let known = [
            out(0x70, 0x0b),
            out(0x71, 0x02),
            out(0x70, 0),
            input(0x71, 0x41),
        ];
        assert_eq!(texts(&known)[3], "rtc.seconds→41");
    }

    #[test]
    fn other_ports_are_not_the_clocks() {
        assert_eq!(texts(&[out(0x72, 1), out(0x6f, 1)]), [""; 0]);
    }

    #[test]
    fn state_shows_what_was_touched_last() {
        let mut decoder = Decoder::new(0x70);
        for entry in [
            out(0x70, 0x0b),
            out(0x71, 0x26),
            out(0x70, 0x05),
            out(0x71, 0xff),
        ] {
            decoder.observe(&entry);
        }
        assert_eq!(
            decoder.state(),
            ["hours_alarm=any", "B=0x26 {alarm_irq, binary, hour24}"]
        );
    }
}
