//! The PMC's registers in the log of operations.

use std::collections::BTreeMap;

use testjig_qtest::Entry;

use super::{Attribute, I440fx, Pam, Segment, Smram, register};
use crate::describe::{Access, Describe};
use crate::pci::decode::{fields_text, register_name, transfer_text};
use crate::pci::{self, ConfigAccess, ConfigTrace};

/// Decodes the PMC's registers: `pmc.PAM1←0x31 {0xc0000 read_only, 0xc4000 read_write}`; other functions as [`pci::Decoder`] does.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    trace: ConfigTrace,
    others: pci::Decoder,
    seen: BTreeMap<u16, u8>,
}

impl Decoder {
    fn own(&mut self, access: &ConfigAccess) -> String {
        let known: Vec<_> = access
            .bytes()
            .filter_map(|(offset, value)| Some((offset, value, fields(offset, value)?)))
            .collect();
        for &(offset, value, _) in &known {
            self.seen.insert(offset, value);
        }
        let name = if fields(access.offset, 0).is_some() {
            own_name(access.offset)
        } else {
            register_name(access.offset)
        };
        let mut text = format!("pmc.{name}{}", transfer_text(access));
        match known.as_slice() {
            [] => {}
            [(offset, _, fields)] if *offset == access.offset => text = format!("{text} {fields}"),
            several => {
                let parts: Vec<_> = several
                    .iter()
                    .map(|(offset, value, fields)| {
                        format!("{}={value:#04x} {fields}", own_name(*offset))
                    })
                    .collect();
                text = format!("{text}: {}", parts.join(" "));
            }
        }
        text
    }
}

impl Describe for Decoder {
    fn name(&self) -> &'static str {
        "pmc"
    }

    fn observe(&mut self, entry: &Entry) -> Option<String> {
        let access = self.trace.observe(&Access::of(entry)?)?;
        if access.at == I440fx::BDF {
            Some(self.own(&access))
        } else {
            Some(self.others.describe(&access))
        }
    }

    fn state(&self) -> Vec<String> {
        let own = self.seen.iter().filter_map(|(&offset, &value)| {
            let fields = fields(offset, value)?;
            Some(format!("{}={value:#04x} {fields}", own_name(offset)))
        });
        own.chain(self.others.state()).collect()
    }
}

fn own_name(offset: u16) -> String {
    match offset {
        register::SMRAM => "SMRAM".to_owned(),
        register::MEMORY_SIZE => "MEMORY_SIZE".to_owned(),
        pam => format!("PAM{}", pam.wrapping_sub(register::PAM0)),
    }
}

/// The fields of one of the PMC's own registers; `None` for all others.
fn fields(offset: u16, value: u8) -> Option<String> {
    match offset {
        register::PAM0..=register::PAM6 => Some(pam_text(offset - register::PAM0, value.into())),
        register::SMRAM => Some(smram_text(value.into())),
        register::MEMORY_SIZE => Some(format!("{{{} MiB}}", u32::from(value) * 8)),
        _ => None,
    }
}

fn pam_text(number: u16, pam: Pam) -> String {
    let segments: Vec<_> = Segment::ALL
        .iter()
        .filter(|segment| segment.pam() == number)
        .map(|segment| {
            let attribute = if segment.in_upper_half() {
                pam.high()
            } else {
                pam.low()
            };
            format!("{segment} {}", attribute_text(attribute))
        })
        .collect();
    format!("{{{}}}", segments.join(", "))
}

fn attribute_text(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::Disabled => "disabled",
        Attribute::ReadOnly => "read_only",
        Attribute::WriteOnly => "write_only",
        Attribute::ReadWrite => "read_write",
    }
}

pub(super) fn smram_text(smram: Smram) -> String {
    fields_text(&[
        (smram.enable(), "enable"),
        (smram.lock(), "lock"),
        (smram.closed(), "closed"),
        (smram.open(), "open"),
    ])
}

#[cfg(test)]
mod tests {
    use testjig_qtest::Width;

    use super::*;
    use crate::describe::Transfer;

    fn access(offset: u16, width: Width, transfer: Transfer) -> ConfigAccess {
        ConfigAccess {
            at: I440fx::BDF,
            offset,
            width,
            transfer,
        }
    }

    #[test]
    fn a_pam_register_is_told_by_its_segments() {
        let mut decoder = Decoder::default();
        let write = access(0x5a, Width::B, Transfer::Write(0x31));
        assert_eq!(
            decoder.own(&write),
            "pmc.PAM1←0x31 {0xc0000 read_only, 0xc4000 read_write}"
        );
        let write = access(0x59, Width::B, Transfer::Write(0x20));
        assert_eq!(decoder.own(&write), "pmc.PAM0←0x20 {0xf0000 write_only}");
    }

    #[test]
    fn a_wide_access_is_told_register_by_register() {
        let mut decoder = Decoder::default();
        let write = access(0x70, Width::L, Transfer::Write(0x004a_0000));
        assert_eq!(
            decoder.own(&write),
            "pmc.0x70←0x004a0000: SMRAM=0x4a {enable, open}"
        );
        assert_eq!(decoder.state(), ["SMRAM=0x4a {enable, open}"]);
    }

    #[test]
    fn other_registers_keep_their_names() {
        let mut decoder = Decoder::default();
        let read = access(0x00, Width::W, Transfer::Read(Some(0x8086)));
        assert_eq!(decoder.own(&read), "pmc.vendor→0x8086");
        let read = access(0x57, Width::B, Transfer::Read(Some(8)));
        assert_eq!(decoder.own(&read), "pmc.MEMORY_SIZE→0x08 {64 MiB}");
        assert_eq!(decoder.state(), ["MEMORY_SIZE=0x08 {64 MiB}"]);
    }
}
