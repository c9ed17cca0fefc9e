//! Decoding of a channel's operations for the failure report.

use std::collections::BTreeMap;

use testjig_qtest::Entry;

use super::command::Command;
use super::regs::{DeviceControl, DeviceReg, Error, Reg, Status};
use crate::describe::{Access, Describe, Space, Transfer};

/// Names the registers of one channel.
#[derive(Debug)]
pub struct Decoder {
    name: &'static str,
    command: u64,
    control: u64,
    /// By register, and whether it was written: where a write reaches another register than a read.
    seen: BTreeMap<(Reg, bool), u8>,
}

impl Decoder {
    /// For the channel with its command block at `command` and its control block at `control`.
    pub fn new(name: &'static str, command: u16, control: u16) -> Self {
        Self {
            name,
            command: command.into(),
            control: control.into(),
            seen: BTreeMap::new(),
        }
    }

    fn reg(&self, port: u64) -> Option<Reg> {
        if port == self.control {
            return Some(Reg::AlternateStatus);
        }
        let offset = usize::try_from(port.checked_sub(self.command)?).ok()?;
        Reg::COMMAND_BLOCK.get(offset).copied()
    }
}

impl Describe for Decoder {
    fn name(&self) -> &str {
        self.name
    }

    fn observe(&mut self, entry: &Entry) -> Option<String> {
        let access = Access::of(entry)?;
        let reg = match access.space {
            Space::Port => self.reg(access.address)?,
            Space::Memory => return None,
        };
        let (written, arrow, value) = match access.transfer {
            Transfer::Write(value) => (true, '←', value),
            Transfer::Read(Some(value)) => (false, '→', value),
            Transfer::Read(None) => {
                return Some(format!("{}.{}→no answer", self.name, reg.read_name()));
            }
        };
        if reg != Reg::Data {
            let apart = reg.written_name() != reg.read_name();
            self.seen.insert((reg, written && apart), value as u8);
        }
        let name = register_name(reg, written);
        Some(format!(
            "{}.{name}{arrow}{}",
            self.name,
            text(reg, written, value)
        ))
    }

    fn state(&self) -> Vec<String> {
        let seen = self.seen.iter();
        seen.map(|(&(reg, written), &value)| {
            let text = text(reg, written, value.into());
            format!("{}={text}", register_name(reg, written))
        })
        .collect()
    }
}

fn register_name(reg: Reg, written: bool) -> &'static str {
    if written {
        reg.written_name()
    } else {
        reg.read_name()
    }
}

fn text(reg: Reg, written: bool, value: u64) -> String {
    let byte = value as u8;
    let flags = match (reg, written) {
        (Reg::Data, _) => return format!("{value:#06x}"),
        (Reg::Status, true) => return format!("{byte:#04x} ({:?})", Command(byte)),
        (Reg::Status | Reg::AlternateStatus, false) => Status::from(byte).flags(),
        (Reg::Error, false) => Error::from(byte).flags(),
        (Reg::AlternateStatus, true) => DeviceControl::from(byte).flags(),
        (Reg::Device, _) => return device(byte.into()),
        _ => return format!("{byte:#04x}"),
    };
    format!("{byte:#04x} {{{}}}", flags.join(", "))
}

fn device(device: DeviceReg) -> String {
    format!(
        "{:#04x} {{{:?}, lba={}, head={}}}",
        device.into_bits(),
        device.unit(),
        device.lba(),
        device.head()
    )
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use testjig_qtest::{Command as Wire, PortWidth, Reply};

    use super::*;

    fn out(port: u16, value: u32) -> Entry {
        let command = Wire::Out {
            width: PortWidth::B,
            port,
            value,
        };
        entry(command, Reply::Done)
    }

    fn input(port: u16, value: u64) -> Entry {
        let command = Wire::In {
            width: PortWidth::B,
            port,
        };
        entry(command, Reply::Value(value))
    }

    fn entry(command: Wire, reply: Reply) -> Entry {
        Entry {
            seq: 0,
            command,
            reply: Some(reply),
            elided: 0,
            location: Location::caller(),
        }
    }

    fn decoder() -> Decoder {
        Decoder::new("ide0", 0x1f0, 0x3f6)
    }

    #[test]
    fn one_port_is_two_registers() {
        let mut decoder = decoder();
        let entries = [
            out(0x1f7, 0xec),
            input(0x1f7, 0x58),
            out(0x3f6, 6),
            input(0x3f6, 0x80),
        ];
        let texts: Vec<_> = entries.iter().filter_map(|e| decoder.observe(e)).collect();
        assert_eq!(
            texts,
            [
                "ide0.command←0xec (IDENTIFY_DEVICE)",
                "ide0.status→0x58 {drq, seek_complete, ready}",
                "ide0.control←0x06 {no_interrupt, reset}",
                "ide0.alternate_status→0x80 {busy}",
            ]
        );
    }

    #[test]
    fn the_device_register_is_told_by_its_fields() {
        let text = decoder().observe(&out(0x1f6, 0x5a)).expect("its own port");
        assert_eq!(text, "ide0.device←0x5a {Device1, lba=true, head=10}");
    }

    #[test]
    fn other_ports_are_not_the_channels() {
        for port in [0x1ef, 0x1f8, 0x3f5, 0x3f7, 0x170] {
            assert_eq!(decoder().observe(&out(port, 0)), None, "{port:#x}");
        }
    }

    #[test]
    fn state_keeps_what_was_read_apart_from_what_was_written() {
        let mut decoder = decoder();
        for entry in [out(0x1f1, 3), input(0x1f1, 4), input(0x1f0, 0xffff)] {
            decoder.observe(&entry);
        }
        assert_eq!(decoder.state(), ["error=0x04 {aborted}", "features=0x03"]);
    }
}
