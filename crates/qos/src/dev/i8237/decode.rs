//! Decoding of the DMA controller's operations for the failure report.

use std::collections::BTreeMap;

use testjig_qtest::Entry;

use super::{CLEAR_FLIP_FLOP, MASK, MASTER_CLEAR, MODE, Mode, PAGES, STATUS_COMMAND, Status};
use crate::describe::{Access, Describe, Space, Transfer};

/// Names ports, and puts the two bytes of addresses and counts together.
#[derive(Debug, Default)]
pub struct Decoder {
    high: bool,
    /// What was written, by the register's name.
    seen: BTreeMap<String, u16>,
}

impl Decoder {
    fn word(&mut self, name: String, written: bool, value: u8) -> String {
        let high = self.high;
        self.high = !high;
        let half = if high { "high" } else { "low" };
        let arrow = if written { '←' } else { '→' };
        let text = format!("dma.{name}.{half}{arrow}{value:#04x}");
        if written {
            let word = self.seen.entry(name).or_default();
            let [low, top] = word.to_le_bytes();
            *word = if high {
                u16::from_le_bytes([low, value])
            } else {
                u16::from_le_bytes([value, top])
            };
        }
        text
    }
}

impl Describe for Decoder {
    fn name(&self) -> &'static str {
        "dma"
    }

    fn observe(&mut self, entry: &Entry) -> Option<String> {
        let access = Access::of(entry)?;
        if access.space != Space::Port {
            return None;
        }
        let port = u16::try_from(access.address).ok()?;
        let page = PAGES.iter().position(|&page| page == port);
        if port > MASK && page.is_none() {
            return None;
        }
        let (written, value) = match access.transfer {
            Transfer::Write(value) => (true, value as u8),
            Transfer::Read(Some(value)) => (false, value as u8),
            Transfer::Read(None) => return Some(format!("dma port {port:#04x}→no answer")),
        };
        let arrow = if written { '←' } else { '→' };
        if let Some(channel) = page {
            let name = format!("page{channel}");
            if written {
                self.seen.insert(name.clone(), value.into());
            }
            return Some(format!("dma.{name}{arrow}{value:#04x}"));
        }
        Some(match port {
            0x00..0x08 => {
                let what = if port % 2 == 0 { "address" } else { "count" };
                self.word(format!("{what}{}", port / 2), written, value)
            }
            STATUS_COMMAND if written => format!("dma.command←{value:#04x}"),
            STATUS_COMMAND => {
                let status = Status::from(value);
                format!(
                    "dma.status→{value:#04x} {{requests={:#06b}, terminal_counts={:#06b}}}",
                    status.requests(),
                    status.terminal_counts()
                )
            }
            MODE => {
                let mode = Mode::from(value);
                let channel = mode.channel();
                self.seen.insert(format!("mode{channel}"), value.into());
                format!(
                    "dma.mode{channel}{arrow}{value:#04x} {{{:?}, {:?}}}",
                    mode.kind(),
                    mode.direction()
                )
            }
            0x0a if value & 4 != 0 => format!("dma.mask{}{arrow}1", value & 3),
            0x0a => format!("dma.mask{}{arrow}0", value & 3),
            CLEAR_FLIP_FLOP | MASTER_CLEAR if written => {
                self.high = false;
                let what = ["clear_flip_flop", "master_clear"];
                format!("dma.{}", what[usize::from(port == MASTER_CLEAR)])
            }
            0x09 => format!("dma.request{arrow}{value:#04x}"),
            0x0e => format!("dma.clear_mask{arrow}{value:#04x}"),
            MASK => format!("dma.masks{arrow}{value:#04x}"),
            _ => format!("dma.port{port:x}{arrow}{value:#04x}"),
        })
    }

    fn state(&self) -> Vec<String> {
        let seen = self.seen.iter();
        seen.map(|(name, value)| format!("{name}={value:#x}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use testjig_qtest::{Command, PortWidth, Reply};

    use super::*;

    fn out(port: u16, value: u32) -> Entry {
        let width = PortWidth::B;
        Entry {
            seq: 0,
            command: Command::Out { width, port, value },
            reply: Some(Reply::Done),
            elided: 0,
            location: Location::caller(),
        }
    }

    #[test]
    fn words_are_put_together() {
        let mut decoder = Decoder::default();
        let entries = [
            out(0x0c, 0),
            out(0x05, 0xff),
            out(0x05, 0x01),
            out(0x0b, 0x46),
        ];
        let texts: Vec<String> = entries.iter().filter_map(|e| decoder.observe(e)).collect();
        assert_eq!(
            texts,
            [
                "dma.clear_flip_flop",
                "dma.count2.low←0xff",
                "dma.count2.high←0x01",
                "dma.mode2←0x46 {Single, ToMemory}"
            ]
        );
        assert_eq!(decoder.state(), ["count2=0x1ff", "mode2=0x46"]);
    }

    #[test]
    fn pages_belong_to_their_channels() {
        let mut decoder = Decoder::default();
        let text = decoder.observe(&out(0x81, 0x12));
        assert_eq!(text.as_deref(), Some("dma.page2←0x12"));
        assert_eq!(decoder.observe(&out(0x80, 0x12)), None);
        assert_eq!(decoder.observe(&out(0x10, 0x12)), None);
    }
}
