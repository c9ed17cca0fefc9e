//! From port accesses back to configuration registers, for the failure report.

use std::collections::BTreeMap;

use testjig_qtest::{Entry, Width};

use super::{Bdf, Command, ConfigAddress, ConfigSpace, Ecam, header};
use crate::describe::{Access, Describe, Space, Transfer};

/// One access to a configuration register, whichever two port accesses it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigAccess {
    /// The function.
    pub at: Bdf,
    /// First byte: 0–255, or 0–4095 in a configuration window.
    pub offset: u16,
    /// How wide.
    pub width: Width,
    /// Direction and value.
    pub transfer: Transfer,
}

impl ConfigAccess {
    /// The value that was written, or read and answered.
    pub fn value(&self) -> Option<u64> {
        match self.transfer {
            Transfer::Read(value) => value,
            Transfer::Write(value) => Some(value),
        }
    }

    /// The bytes that were moved, with their offsets; none if a read was not answered.
    pub fn bytes(&self) -> impl Iterator<Item = (u16, u8)> {
        let value = self.value().map(u64::to_le_bytes);
        let count = self.width.bytes();
        let offset = self.offset;
        value
            .into_iter()
            .flat_map(move |bytes| (offset..).zip(bytes).take(count))
    }
}

/// Follows CONFADD through the log of operations, and accesses to a configuration window.
#[derive(Clone, Debug, Default)]
pub struct ConfigTrace {
    address: ConfigAddress,
    window: Option<u64>,
}

impl ConfigTrace {
    /// One that also knows the configuration window at this guest-physical address, of 256 buses.
    pub fn ecam(base: u64) -> Self {
        Self {
            window: Some(base),
            ..Self::default()
        }
    }

    /// Takes in one access; answers for those to CONFDATA that made a configuration cycle, and for those to the window.
    pub fn observe(&mut self, access: &Access) -> Option<ConfigAccess> {
        const DATA: u64 = ConfigSpace::DATA_PORT as u64;
        if access.space != Space::Port {
            return self.in_window(access);
        }
        if access.address == u64::from(ConfigSpace::ADDRESS_PORT) && access.width == Width::L {
            if let Transfer::Write(address) | Transfer::Read(Some(address)) = access.transfer {
                self.address = (address as u32).into();
            }
            return None;
        }
        let within = access.address.checked_sub(DATA).filter(|&byte| byte < 4)?;
        self.address.enable().then(|| ConfigAccess {
            at: self.address.bdf(),
            offset: u16::from(self.address.dword()) * 4 + within as u16,
            width: access.width,
            transfer: access.transfer,
        })
    }

    fn in_window(&self, access: &Access) -> Option<ConfigAccess> {
        let within = access.address.checked_sub(self.window?)?;
        let requester = u16::try_from(within / u64::from(Ecam::LEN)).ok()?;
        Some(ConfigAccess {
            at: Bdf::from_requester_id(requester),
            offset: (within % u64::from(Ecam::LEN)) as u16,
            width: access.width,
            transfer: access.transfer,
        })
    }
}

/// What a report calls the register that begins at `offset`: of the header by name, of the rest by number.
pub(crate) fn register_name(offset: u16) -> String {
    let name = match offset {
        header::VENDOR_ID => "vendor",
        header::DEVICE_ID => "device",
        header::COMMAND => "command",
        header::STATUS => "status",
        header::REVISION_ID => "revision",
        header::CLASS_CODE => "class",
        header::CACHE_LINE_SIZE => "cache_line_size",
        header::LATENCY_TIMER => "latency_timer",
        header::HEADER_TYPE => "header_type",
        header::BIST => "bist",
        header::INTERRUPT_LINE => "interrupt_line",
        header::INTERRUPT_PIN => "interrupt_pin",
        0x10 | 0x14 | 0x18 | 0x1c | 0x20 | 0x24 => {
            return format!("bar{}", (offset - header::BAR0) / 4);
        }
        _ => return format!("{offset:#04x}"),
    };
    name.to_owned()
}

/// `←0x26`, `→0x26` or `→?` for a read that nobody answered, as wide as the access.
pub(crate) fn transfer_text(access: &ConfigAccess) -> String {
    let (arrow, value) = match access.transfer {
        Transfer::Write(value) => ("←", Some(value)),
        Transfer::Read(value) => ("→", value),
    };
    match value {
        Some(value) => format!(
            "{arrow}{value:#0width$x}",
            width = 2 + 2 * access.width.bytes()
        ),
        None => format!("{arrow}?"),
    }
}

/// The names of the bits that are set in a command register: ` {memory, bus_master}`.
pub(crate) fn command_text(command: u16) -> String {
    let command = Command::from_bits(command);
    let fields = [
        (command.io(), "io"),
        (command.memory(), "memory"),
        (command.bus_master(), "bus_master"),
        (command.special_cycles(), "special_cycles"),
        (command.write_and_invalidate(), "write_and_invalidate"),
        (command.palette_snoop(), "palette_snoop"),
        (command.parity_response(), "parity_response"),
        (command.stepping(), "stepping"),
        (command.serr(), "serr"),
        (command.fast_back_to_back(), "fast_back_to_back"),
        (command.interrupt_disable(), "interrupt_disable"),
    ];
    fields_text(&fields)
}

/// The names of the fields that are set, in braces.
pub(crate) fn fields_text(fields: &[(bool, &str)]) -> String {
    let set: Vec<_> = fields
        .iter()
        .filter_map(|&(set, name)| set.then_some(name))
        .collect();
    format!("{{{}}}", set.join(", "))
}

/// Decodes the configuration accesses to every function: `00:04.0 command←0x0002 {memory}`.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    trace: ConfigTrace,
    seen: BTreeMap<(Bdf, u16), String>,
}

impl Decoder {
    /// One that also knows the configuration window at this guest-physical address, of 256 buses.
    pub fn ecam(base: u64) -> Self {
        Self {
            trace: ConfigTrace::ecam(base),
            ..Self::default()
        }
    }

    /// What one configuration access meant.
    pub(crate) fn describe(&mut self, access: &ConfigAccess) -> String {
        let name = register_name(access.offset);
        let mut text = transfer_text(access);
        if access.offset == header::COMMAND && access.width == Width::W {
            if let Some(command) = access.value() {
                text = format!("{text} {}", command_text(command as u16));
            }
        }
        if access.value().is_some() {
            let value = text.trim_start_matches(['←', '→']);
            self.seen
                .insert((access.at, access.offset), format!("{name}={value}"));
        }
        format!("{} {name}{text}", access.at)
    }
}

impl Describe for Decoder {
    fn name(&self) -> &'static str {
        "pci"
    }

    fn observe(&mut self, entry: &Entry) -> Option<String> {
        let access = self.trace.observe(&Access::of(entry)?)?;
        Some(self.describe(&access))
    }

    fn state(&self) -> Vec<String> {
        self.seen
            .iter()
            .map(|((at, _), register)| format!("{at} {register}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(address: u64, width: Width, transfer: Transfer) -> Access {
        Access {
            space: Space::Port,
            address,
            width,
            transfer,
        }
    }

    fn select(trace: &mut ConfigTrace, address: u64) {
        let confadd = port(0xcf8, Width::L, Transfer::Write(address));
        assert_eq!(trace.observe(&confadd), None);
    }

    #[test]
    fn the_ports_give_function_offset_and_value() {
        let mut trace = ConfigTrace::default();
        select(&mut trace, 0x8001_fe70);
        let access = trace
            .observe(&port(0xcfe, Width::B, Transfer::Write(0x4a)))
            .unwrap();
        assert_eq!((access.at, access.offset), (Bdf::new(1, 31, 6), 0x72));
        assert_eq!(access.bytes().collect::<Vec<_>>(), [(0x72, 0x4a)]);
    }

    #[test]
    fn an_address_in_the_window_gives_function_and_offset() {
        let mut trace = ConfigTrace::ecam(0xb000_0000);
        let memory = |address| Access {
            space: Space::Memory,
            ..port(address, Width::W, Transfer::Write(6))
        };
        let access = trace.observe(&memory(0xb01f_e104)).unwrap();
        assert_eq!((access.at, access.offset), (Bdf::new(1, 31, 6), 0x104));
        assert_eq!(trace.observe(&memory(0xafff_fffe)), None);
        assert_eq!(trace.observe(&memory(0xc000_0000)), None);
        assert_eq!(
            ConfigTrace::default().observe(&memory(0xb000_0000)),
            None,
            "no window is known"
        );
    }

    #[test]
    fn a_disabled_address_and_other_ports_are_no_configuration_access() {
        let mut trace = ConfigTrace::default();
        let data = port(0xcfc, Width::L, Transfer::Read(Some(0)));
        assert_eq!(trace.observe(&data), None, "CONFADD is 0 after power-on");
        select(&mut trace, 0x0000_0000);
        assert_eq!(trace.observe(&data), None);
        select(&mut trace, 0x8000_0000);
        let beyond = port(0xd00, Width::B, Transfer::Read(Some(0)));
        assert_eq!(trace.observe(&beyond), None);
        let narrow = port(0xcf8, Width::B, Transfer::Write(0));
        assert_eq!(trace.observe(&narrow), None);
        assert!(
            trace.observe(&data).is_some(),
            "a byte does not reach CONFADD"
        );
    }

    #[test]
    fn registers_are_told_by_name_and_fields() {
        let mut decoder = Decoder::default();
        let mut access = ConfigAccess {
            at: Bdf::new(0, 4, 0),
            offset: header::COMMAND,
            width: Width::W,
            transfer: Transfer::Write(0x0006),
        };
        assert_eq!(
            decoder.describe(&access),
            "00:04.0 command←0x0006 {memory, bus_master}"
        );
        access.offset = 0x18;
        access.width = Width::L;
        access.transfer = Transfer::Read(Some(0xe000_000c));
        assert_eq!(decoder.describe(&access), "00:04.0 bar2→0xe000000c");
        access.offset = 0x40;
        access.transfer = Transfer::Read(None);
        assert_eq!(decoder.describe(&access), "00:04.0 0x40→?");
        assert_eq!(
            decoder.state(),
            [
                "00:04.0 command=0x0006 {memory, bus_master}",
                "00:04.0 bar2=0xe000000c"
            ]
        );
    }
}
