//! Decoding of the HBA's operations for the failure report, once BAR 5 is known.

use std::collections::BTreeMap;

use testjig_qtest::Entry;

use super::regs::{Cmd, PORT_LEN, PORTS, PortInterrupt};
use crate::describe::{Access, Describe, Space, Transfer};
use crate::dev::ata::{Error, Status};
use crate::pci::{ConfigTrace, Pci, header};

/// Follows a BAR 5 through configuration space: that of the function whose BAR 5 was written last, by either mechanism.
#[derive(Debug)]
pub struct Decoder {
    config: ConfigTrace,
    base: Option<u64>,
    seen: BTreeMap<u64, u64>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            config: ConfigTrace::ecam(Pci::Q35_ECAM),
            base: None,
            seen: BTreeMap::new(),
        }
    }
}

const BAR5: u16 = header::BAR0 + 20;
const LEN: u64 = PORTS + 32 * PORT_LEN;

impl Describe for Decoder {
    fn name(&self) -> &'static str {
        "ahci"
    }

    fn observe(&mut self, entry: &Entry) -> Option<String> {
        let access = Access::of(entry)?;
        if let Some(config) = self.config.observe(&access) {
            if let (BAR5, Transfer::Write(value)) = (config.offset, config.transfer) {
                self.base = Some(value & !0xfff);
            }
            return None;
        }
        let offset = access.address.checked_sub(self.base?)?;
        if access.space != Space::Memory || offset >= LEN {
            return None;
        }
        let (arrow, value) = match access.transfer {
            Transfer::Write(value) => ('←', value),
            Transfer::Read(Some(value)) => ('→', value),
            Transfer::Read(None) => return Some(format!("ahci.{}→no answer", name(offset))),
        };
        self.seen.insert(offset, value);
        Some(format!(
            "ahci.{}{arrow}{}",
            name(offset),
            text(offset, value)
        ))
    }

    fn state(&self) -> Vec<String> {
        let seen = self.seen.iter();
        seen.map(|(&offset, &value)| format!("{}={}", name(offset), text(offset, value)))
            .collect()
    }
}

/// The names of the host's registers, and of a port's, a dword each.
const HOST: [&str; 11] = [
    "CAP",
    "GHC",
    "IS",
    "PI",
    "VS",
    "CCC_CTL",
    "CCC_PORTS",
    "EM_LOC",
    "EM_CTL",
    "CAP2",
    "BOHC",
];
const PORT: [&str; 17] = [
    "CLB", "CLBU", "FB", "FBU", "IS", "IE", "CMD", "reserved", "TFD", "SIG", "SSTS", "SCTL",
    "SERR", "SACT", "CI", "SNTF", "FBS",
];

fn name(offset: u64) -> String {
    let Some(within) = offset.checked_sub(PORTS) else {
        let host = HOST.get(offset as usize / 4);
        return host.map_or(format!("[{offset:#x}]"), |&name| name.into());
    };
    let (port, register) = (within / PORT_LEN, within % PORT_LEN);
    match PORT.get(register as usize / 4) {
        Some(name) => format!("P{port}{name}"),
        None => format!("P{port}[{register:#x}]"),
    }
}

fn text(offset: u64, value: u64) -> String {
    let register = offset.checked_sub(PORTS).map(|within| within % PORT_LEN);
    let fields = match register {
        Some(0x10 | 0x14) => PortInterrupt::from(value as u32).flags().join(", "),
        Some(0x18) => {
            let cmd = Cmd::from(value as u32);
            let fields = [
                (cmd.start(), "start"),
                (cmd.receive(), "receive"),
                (cmd.receiving(), "receiving"),
                (cmd.running(), "running"),
            ];
            let set = fields.into_iter().filter(|&(set, _)| set);
            set.map(|(_, name)| name).collect::<Vec<_>>().join(", ")
        }
        Some(0x20) => format!(
            "status {:?}, error {:?}",
            Status::from(value as u8),
            Error::from((value >> 8) as u8)
        ),
        _ => return format!("{value:#x}"),
    };
    format!("{value:#x} {{{fields}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_have_names() {
        assert_eq!(name(0x04), "GHC");
        assert_eq!(name(0x118), "P0CMD");
        assert_eq!(name(0x100 + 5 * 0x80 + 0x38), "P5CI");
        assert_eq!(name(0x2c), "[0x2c]");
    }

    #[test]
    fn fields_are_told() {
        assert_eq!(text(0x118, 0x4011), "0x4011 {start, receive, receiving}");
        assert_eq!(
            text(0x1a0, 0x0451),
            "0x451 {status {err, seek_complete, ready}, error {aborted}}"
        );
        assert_eq!(text(0x110, 0x4000_0001), "0x40000001 {register, task_file}");
    }
}
