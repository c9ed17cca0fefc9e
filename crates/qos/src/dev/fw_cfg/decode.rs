//! The device's registers in the log of operations.

use testjig_qtest::{Entry, Width};

use super::{IO, Key, Layout, MMIO};
use crate::describe::{Access, Describe, Space, Transfer};

/// Follows the selector, and so knows what each read of the data register reached: `fw_cfg.data→0x51 'Q' (signature[0])`.
///
/// What DMA selects and moves is in guest memory, which no log of operations shows: after a DMA operation the item is unknown.
#[derive(Debug)]
pub struct Decoder {
    base: u64,
    space: Space,
    selected: Option<Key>,
    position: u64,
    dma_high: Option<u32>,
    last_dma: Option<u64>,
}

impl Decoder {
    /// For the device behind I/O ports from `port` on.
    pub fn io(port: u16) -> Self {
        Self::new(Space::Port, port.into())
    }

    /// For the device in memory from `base` on.
    pub fn mmio(base: u64) -> Self {
        Self::new(Space::Memory, base)
    }

    fn new(space: Space, base: u64) -> Self {
        Self {
            base,
            space,
            selected: None,
            position: 0,
            dma_high: None,
            last_dma: None,
        }
    }

    fn layout(&self) -> &'static Layout {
        match self.space {
            Space::Port => &IO,
            Space::Memory => &MMIO,
        }
    }

    fn selector(&mut self, access: &Access) -> String {
        match (access.transfer, access.width) {
            (Transfer::Write(value), Width::W) => {
                let key = match self.space {
                    Space::Port => value as u16,
                    Space::Memory => (value as u16).swap_bytes(),
                };
                let key = Key::from_bits(key);
                (self.selected, self.position) = (Some(key), 0);
                match key.name() {
                    Some(name) => format!("selector←{:#06x} ({name})", key.into_bits()),
                    None => format!("selector←{:#06x}", key.into_bits()),
                }
            }
            _ => plain("selector", access),
        }
    }

    fn data(&mut self, access: &Access) -> String {
        let mut text = plain("data", access);
        let Transfer::Read(answer) = access.transfer else {
            return text;
        };
        if let (Some(value), Width::B) = (answer, access.width) {
            let byte = value as u8;
            if byte.is_ascii_graphic() {
                text = format!("{text} '{}'", char::from(byte));
            }
        }
        if let Some(key) = self.selected {
            text = format!("{text} ({key}[{}])", self.position);
        }
        self.position += access.width.bytes() as u64;
        text
    }

    fn dma(&mut self, half: u64, access: &Access) -> String {
        let name = if half == 0 { "dma_high" } else { "dma_low" };
        match (access.transfer, access.width, half) {
            (Transfer::Write(value), Width::L, 0) => {
                let value = (value as u32).swap_bytes();
                self.dma_high = Some(value);
                format!("{name}←{value:#x}")
            }
            (Transfer::Write(value), Width::L, 4) => {
                let high = u64::from(self.dma_high.take().unwrap_or(0)) << 32;
                self.start(high | u64::from((value as u32).swap_bytes()))
            }
            (Transfer::Write(value), Width::Q, 0) => self.start(value.swap_bytes()),
            _ => plain(&format!("dma+{half}"), access),
        }
    }

    fn start(&mut self, address: u64) -> String {
        self.last_dma = Some(address);
        self.selected = None;
        format!("dma←descriptor at {address:#x}")
    }
}

fn plain(name: &str, access: &Access) -> String {
    match access.transfer {
        Transfer::Write(value) => format!("{name}←{value:#x}"),
        Transfer::Read(Some(value)) => format!("{name}→{value:#04x}"),
        Transfer::Read(None) => format!("{name}→no answer"),
    }
}

impl Describe for Decoder {
    fn name(&self) -> &'static str {
        "fw_cfg"
    }

    fn observe(&mut self, entry: &Entry) -> Option<String> {
        let access = Access::of(entry)?;
        if access.space != self.space {
            return None;
        }
        let offset = access.address.checked_sub(self.base)?;
        let Layout {
            selector,
            data,
            dma,
        } = *self.layout();
        let (selector, data, dma) = (u64::from(selector), u64::from(data), u64::from(dma));
        let text = if offset == selector {
            self.selector(&access)
        } else if (dma..dma + 8).contains(&offset) {
            self.dma(offset - dma, &access)
        } else if offset == data {
            self.data(&access)
        } else {
            return None;
        };
        Some(format!("fw_cfg.{text}"))
    }

    fn state(&self) -> Vec<String> {
        let mut state = Vec::new();
        if let Some(key) = self.selected {
            state.push(format!("selected={key} position={}", self.position));
        }
        if let Some(address) = self.last_dma {
            state.push(format!("last_dma={address:#x}"));
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use testjig_qtest::{Command, PortWidth, Reply};

    use super::*;

    fn out(width: PortWidth, port: u16, value: u32) -> Entry {
        entry(Command::Out { width, port, value }, Reply::Done)
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

    fn texts(decoder: &mut Decoder, entries: &[Entry]) -> Vec<String> {
        entries
            .iter()
            .filter_map(|entry| decoder.observe(entry))
            .collect()
    }

    #[test]
    fn a_read_is_told_with_item_and_position() {
        let entries = [
            out(PortWidth::W, 0x510, 0),
            input(0x511, 0x51),
            input(0x511, 0x45),
            out(PortWidth::W, 0x510, 0x0022),
            input(0x511, 0),
        ];
        let mut decoder = Decoder::io(0x510);
        assert_eq!(
            texts(&mut decoder, &entries),
            [
                "fw_cfg.selector←0x0000 (signature)",
                "fw_cfg.data→0x51 'Q' (signature[0])",
                "fw_cfg.data→0x45 'E' (signature[1])",
                "fw_cfg.selector←0x0022",
                "fw_cfg.data→0x00 (0x0022[0])",
            ]
        );
        assert_eq!(decoder.state(), ["selected=0x0022 position=1"]);
    }

    #[test]
    fn a_dma_address_is_told_in_the_order_of_the_processor() {
        let entries = [
            out(PortWidth::L, 0x514, 0x0100_0000),
            out(PortWidth::L, 0x518, 0x0000_1000),
            out(PortWidth::L, 0x518, 0x0000_1000),
        ];
        let mut decoder = Decoder::io(0x510);
        assert_eq!(
            texts(&mut decoder, &entries),
            [
                "fw_cfg.dma_high←0x1",
                "fw_cfg.dma←descriptor at 0x100100000",
                "fw_cfg.dma←descriptor at 0x100000",
            ]
        );
        assert_eq!(decoder.state(), ["last_dma=0x100000"]);
    }

    #[test]
    fn the_form_in_memory_has_its_own_offsets_and_a_big_endian_selector() {
        let write = |addr, width, value| entry(Command::Write { width, addr, value }, Reply::Done);
        let entries = [
            write(0x0902_0008, Width::W, 0x1900),
            write(0x0902_0010, Width::Q, 0x0000_1040_0000_0000),
            out(PortWidth::W, 0x510, 0),
        ];
        assert_eq!(
            texts(&mut Decoder::mmio(0x0902_0000), &entries),
            [
                "fw_cfg.selector←0x0019 (file_dir)",
                "fw_cfg.dma←descriptor at 0x40100000",
            ]
        );
    }

    #[test]
    fn what_the_specification_does_not_have_is_told_as_it_is() {
        let entries = [
            out(PortWidth::B, 0x510, 7),
            out(PortWidth::B, 0x511, 8),
            input(0x517, 0x20),
            input(0x51c, 0xff),
        ];
        assert_eq!(
            texts(&mut Decoder::io(0x510), &entries),
            [
                "fw_cfg.selector←0x7",
                "fw_cfg.data←0x8",
                "fw_cfg.dma+3→0x20"
            ]
        );
    }
}
