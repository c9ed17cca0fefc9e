//! Decoding of the function's operations for the failure report: both channels, and the bus masters once BAR 4 is known.

use std::collections::BTreeMap;

use testjig_qtest::Entry;

use super::{BmCommand, BmStatus, BusMaster};
use crate::describe::{Access, Describe, Space, Transfer};
use crate::dev::ata::{self, Channel};
use crate::pci::{ConfigTrace, header};

/// Follows the function's BAR 4 through configuration space.
#[derive(Debug)]
pub struct Decoder {
    channels: [ata::Decoder; 2],
    config: ConfigTrace,
    base: Option<u64>,
    seen: BTreeMap<(u64, u64), u64>,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            channels: [
                Channel::decoder("ide0", Channel::PRIMARY),
                Channel::decoder("ide1", Channel::SECONDARY),
            ],
            config: ConfigTrace::default(),
            base: None,
            seen: BTreeMap::new(),
        }
    }

    /// Remembers BAR 4 of function 1 of the PIIX, device 1 of bus 0.
    fn follow(&mut self, access: &Access) {
        const BAR4: u16 = header::BAR0 + 16;
        let Some(config) = self.config.observe(access) else {
            return;
        };
        let is_bar = config.offset == BAR4 && config.at.device() == 1 && config.at.function() == 1;
        if let (true, Transfer::Write(value)) = (is_bar, config.transfer) {
            self.base = Some(value & 0xfff0);
        }
    }

    fn bus_master(&mut self, access: &Access) -> Option<String> {
        let offset = access.address.checked_sub(self.base?)?;
        if access.space != Space::Port || offset >= 16 {
            return None;
        }
        let (channel, register) = (offset / 8, offset % 8);
        let (arrow, value) = match access.transfer {
            Transfer::Write(value) => ('←', value),
            Transfer::Read(Some(value)) => ('→', value),
            Transfer::Read(None) => {
                return Some(format!("bm{channel}.{}→no answer", name(register)));
            }
        };
        self.seen.insert((channel, register), value);
        let text = text(register, value);
        Some(format!("bm{channel}.{}{arrow}{text}", name(register)))
    }
}

impl Describe for Decoder {
    fn name(&self) -> &'static str {
        "piix-ide"
    }

    fn observe(&mut self, entry: &Entry) -> Option<String> {
        let access = Access::of(entry)?;
        self.follow(&access);
        let mut channels = self.channels.iter_mut();
        channels
            .find_map(|channel| channel.observe(entry))
            .or_else(|| self.bus_master(&access))
    }

    fn state(&self) -> Vec<String> {
        let channels = self.channels.iter().flat_map(|channel| {
            let name = channel.name().to_owned();
            let state = channel.state().into_iter();
            state.map(move |register| format!("{name}.{register}"))
        });
        let masters = self.seen.iter().map(|(&(channel, register), &value)| {
            format!("bm{channel}.{}={}", name(register), text(register, value))
        });
        channels.chain(masters).collect()
    }
}

fn name(register: u64) -> String {
    match register {
        BusMaster::COMMAND => "command".into(),
        BusMaster::STATUS => "status".into(),
        BusMaster::TABLE => "table".into(),
        other => format!("[{other}]"),
    }
}

fn text(register: u64, value: u64) -> String {
    let flags: Vec<&str> = match register {
        BusMaster::COMMAND => {
            let command = BmCommand::from(value as u8);
            named([
                (command.start(), "start"),
                (command.to_memory(), "to_memory"),
            ])
        }
        BusMaster::STATUS => {
            let status = BmStatus::from(value as u8);
            named([
                (status.active(), "active"),
                (status.error(), "error"),
                (status.interrupt(), "interrupt"),
            ])
        }
        _ => return format!("{value:#x}"),
    };
    format!("{value:#04x} {{{}}}", flags.join(", "))
}

fn named<const N: usize>(fields: [(bool, &'static str); N]) -> Vec<&'static str> {
    let set = fields.into_iter().filter(|&(set, _)| set);
    set.map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use testjig_qtest::{Command, PortWidth, Reply};

    use super::*;

    fn out(width: PortWidth, port: u16, value: u32) -> Entry {
        Entry {
            seq: 0,
            command: Command::Out { width, port, value },
            reply: Some(Reply::Done),
            elided: 0,
            location: Location::caller(),
        }
    }

    #[test]
    fn bus_masters_are_known_once_bar_4_is() {
        let mut decoder = Decoder::new();
        let start = out(PortWidth::B, 0xc008, 0x09);
        assert_eq!(decoder.observe(&start), None);
        decoder.observe(&out(PortWidth::L, 0xcf8, 0x8000_0920));
        decoder.observe(&out(PortWidth::L, 0xcfc, 0xc001));
        assert_eq!(
            decoder.observe(&start).expect("a bus master's"),
            "bm1.command←0x09 {start, to_memory}"
        );
        assert_eq!(decoder.state(), ["bm1.command=0x09 {start, to_memory}"]);
    }

    #[test]
    fn both_channels_are_told() {
        let mut decoder = Decoder::new();
        for (port, text) in [
            (0x1f7, "ide0.command←0xec (IDENTIFY_DEVICE)"),
            (0x177, "ide1.command←0xec (IDENTIFY_DEVICE)"),
        ] {
            assert_eq!(
                decoder.observe(&out(PortWidth::B, port, 0xec)).as_deref(),
                Some(text)
            );
        }
    }
}
