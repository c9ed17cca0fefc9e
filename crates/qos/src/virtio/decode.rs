//! [`Decoder`]: from the log of operations back to a device's registers, for the failure report.
//!
//! Where a device is, the log tells: a slot of virtio-mmio by its magic number, a function on PCI by its capabilities and base addresses,
//! as the driver read and wrote them. On pseries configuration goes by RTAS, which is not followed.

use std::collections::{BTreeMap, BTreeSet};

use testjig_qtest::{Entry, Width};

use super::pci::{CfgType, capability, common};
use super::{Features, Isr, MAGIC, MMIO_CONFIG, MmioReg, Status};
use crate::describe::{Access, Describe, Space, Transfer};
use crate::pci::{Bdf, ConfigAccess, ConfigTrace, Pci, header};

/// The vendor's identifier of a capability.
const VENDOR_SPECIFIC: u64 = 0x09;
/// Bytes of a virtio-mmio slot that are looked at.
const SLOT_LEN: u64 = 0x200;

/// Decodes accesses to virtio devices: `00:04.0 status←0x0f {acknowledge, driver, driver_ok, features_ok}`.
#[derive(Clone, Debug)]
pub struct Decoder {
    traces: Vec<ConfigTrace>,
    functions: BTreeMap<Bdf, Function>,
    slots: BTreeSet<u64>,
    /// What selects the registers after it, by device and register.
    selected: BTreeMap<(String, &'static str), u64>,
    seen: BTreeMap<(String, String), String>,
}

/// What is known of a function's configuration space.
#[derive(Clone, Debug, Default)]
struct Function {
    bytes: BTreeMap<u16, u8>,
    capabilities: BTreeSet<u16>,
    /// Of each base address register what was moved last, and what a read told of its kind.
    bars: [(u32, u32); 6],
}

impl Function {
    fn observe(&mut self, access: &ConfigAccess) {
        if let Some(bar) = bar_of(access.offset).filter(|_| access.width == Width::L) {
            let (last, kind) = &mut self.bars[bar];
            if let Some(value) = access.value() {
                *last = value as u32;
            }
            if let Transfer::Read(Some(value)) = access.transfer {
                *kind = value as u32 & 0xf;
            }
            return;
        }
        let id = access.value().unwrap_or_default() & 0xff;
        if access.width == Width::W && access.offset >= 0x40 && id == VENDOR_SPECIFIC {
            self.capabilities.insert(access.offset);
        }
        self.bytes.extend(access.bytes());
    }

    fn byte(&self, offset: u16) -> Option<u8> {
        self.bytes.get(&offset).copied()
    }

    fn dword(&self, offset: u16) -> Option<u32> {
        let mut bytes = [0; 4];
        for (at, byte) in (offset..).zip(&mut bytes) {
            *byte = self.byte(at)?;
        }
        Some(u32::from_le_bytes(bytes))
    }

    /// Where in memory a base address register is.
    fn address(&self, bar: u8) -> Option<u64> {
        let (low, kind) = *self.bars.get(usize::from(bar))?;
        let is_memory = kind & 1 == 0;
        let high = if kind & 0x6 == 0x4 {
            self.bars.get(usize::from(bar) + 1)?.0
        } else {
            0
        };
        is_memory.then_some(u64::from(high) << 32 | u64::from(low & !0xf))
    }

    /// The structure that an address is in, and where in it.
    fn structure(&self, address: u64) -> Option<(u8, u64)> {
        self.capabilities.iter().find_map(|&at| {
            let kind = self.byte(at + capability::CFG_TYPE)?;
            let base = self.address(self.byte(at + capability::BAR)?)?;
            let start = base + u64::from(self.dword(at + capability::OFFSET)?);
            let len = u64::from(self.dword(at + capability::LENGTH)?);
            let within = address.checked_sub(start)?;
            (within < len).then_some((kind, within))
        })
    }
}

/// Which base address register an offset is.
fn bar_of(offset: u16) -> Option<usize> {
    let within = offset.checked_sub(header::BAR0)?;
    (within < 24 && within % 4 == 0).then_some(usize::from(within / 4))
}

impl Default for Decoder {
    fn default() -> Self {
        let windows = [Pci::Q35_ECAM, Pci::ARM_VIRT_ECAM, Pci::RISCV_VIRT_ECAM];
        let mut traces = vec![ConfigTrace::default()];
        traces.extend(windows.map(ConfigTrace::ecam));
        Self {
            traces,
            functions: BTreeMap::new(),
            slots: BTreeSet::new(),
            selected: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }
}

impl Decoder {
    /// Takes in an access, and says what it meant.
    fn access(&mut self, access: &Access) -> Option<String> {
        let mut config = None;
        for trace in &mut self.traces {
            config = config.or(trace.observe(access));
        }
        if let Some(config) = config {
            self.functions
                .entry(config.at)
                .or_default()
                .observe(&config);
            return None;
        }
        if access.space != Space::Memory {
            return None;
        }
        if access.transfer == Transfer::Read(Some(MAGIC.into())) && access.width == Width::L {
            self.slots.insert(access.address);
        }
        let (device, register) = self.register(access.address)?;
        Some(self.describe(&device, &register, access))
    }

    /// Which device's register is at an address.
    fn register(&self, address: u64) -> Option<(String, Register)> {
        let slot = self.slots.range(..=address).next_back();
        if let Some(slot) = slot.filter(|slot| address - **slot < SLOT_LEN) {
            return Some((format!("{slot:#x}"), mmio(address - slot)?));
        }
        self.functions.iter().find_map(|(at, function)| {
            let (kind, offset) = function.structure(address)?;
            let register = match kind {
                kind if kind == CfgType::Common as u8 => in_common(offset)?,
                kind if kind == CfgType::Notify as u8 => Register::Plain("notify"),
                kind if kind == CfgType::Isr as u8 => Register::Isr("isr"),
                kind if kind == CfgType::Device as u8 => Register::Config(offset),
                _ => return None,
            };
            Some((at.to_string(), register))
        })
    }

    fn describe(&mut self, device: &str, register: &Register, access: &Access) -> String {
        let (arrow, value) = match access.transfer {
            Transfer::Write(value) => ('←', Some(value)),
            Transfer::Read(value) => ('→', value),
        };
        let selector = |name: &'static str| {
            let key = (device.to_owned(), name);
            self.selected.get(&key).copied().unwrap_or_default()
        };
        let name = match *register {
            Register::Queue(name) => format!("queue{}.{name}", selector("queue_select")),
            Register::Config(offset) => format!("config[{offset:#x}]"),
            Register::Features(name, select) => format!("{name}[{}]", selector(select)),
            Register::Plain(name)
            | Register::Select(name)
            | Register::Status(name)
            | Register::Isr(name) => name.to_owned(),
        };
        let Some(value) = value else {
            return format!("{device} {name}{arrow}?");
        };
        let fields = match *register {
            Register::Status(_) => status_text(Status::from_bits(value as u8)),
            Register::Isr(_) => isr_text(Isr::from_bits(value as u8)),
            Register::Features(_, select) => {
                let bits = (0..32).filter(|bit| value >> bit & 1 == 1);
                let shift = if selector(select) == 1 { 32 } else { 0 };
                let all = bits.fold(Features::NONE, |all, bit| all | Features::bit(bit + shift));
                format!(" {{{all:?}}}")
            }
            _ => String::new(),
        };
        if let (Register::Select(name), Transfer::Write(_)) = (register, access.transfer) {
            self.selected.insert((device.to_owned(), *name), value);
        }
        let width = 2 + 2 * access.width.bytes();
        let shown = format!("{value:#0width$x}{fields}");
        let key = (device.to_owned(), name.clone());
        self.seen.insert(key, format!("{device} {name}={shown}"));
        format!("{device} {name}{arrow}{shown}")
    }
}

/// A register, by how it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Register {
    Plain(&'static str),
    /// One that others hang on.
    Select(&'static str),
    /// One of the selected virtqueue.
    Queue(&'static str),
    /// 32 of the features, and what says which.
    Features(&'static str, &'static str),
    Status(&'static str),
    Isr(&'static str),
    /// A place in the device's configuration.
    Config(u64),
}

/// The register at an offset of the common configuration; halves of addresses count as themselves.
fn in_common(offset: u64) -> Option<Register> {
    Some(match offset {
        common::DEVICE_FEATURE_SELECT => Register::Select("device_feature_select"),
        common::DEVICE_FEATURE => Register::Features("device_feature", "device_feature_select"),
        common::DRIVER_FEATURE_SELECT => Register::Select("driver_feature_select"),
        common::DRIVER_FEATURE => Register::Features("driver_feature", "driver_feature_select"),
        common::CONFIG_MSIX_VECTOR => Register::Plain("config_msix_vector"),
        common::NUM_QUEUES => Register::Plain("num_queues"),
        common::DEVICE_STATUS => Register::Status("status"),
        common::CONFIG_GENERATION => Register::Plain("config_generation"),
        common::QUEUE_SELECT => Register::Select("queue_select"),
        common::QUEUE_SIZE => Register::Queue("size"),
        common::QUEUE_MSIX_VECTOR => Register::Queue("msix_vector"),
        common::QUEUE_ENABLE => Register::Queue("enable"),
        common::QUEUE_NOTIFY_OFF => Register::Queue("notify_off"),
        common::QUEUE_DESC => Register::Queue("desc"),
        0x24 => Register::Queue("desc_high"),
        common::QUEUE_DRIVER => Register::Queue("driver"),
        0x2c => Register::Queue("driver_high"),
        common::QUEUE_DEVICE => Register::Queue("device"),
        0x34 => Register::Queue("device_high"),
        common::QUEUE_NOTIFY_DATA => Register::Queue("notify_data"),
        common::QUEUE_RESET => Register::Queue("reset"),
        _ => return None,
    })
}

/// The register at an offset of a virtio-mmio slot.
fn mmio(offset: u64) -> Option<Register> {
    const REGISTERS: [(MmioReg, Register); 27] = [
        (MmioReg::MagicValue, Register::Plain("magic")),
        (MmioReg::Version, Register::Plain("version")),
        (MmioReg::DeviceId, Register::Plain("device_id")),
        (MmioReg::VendorId, Register::Plain("vendor_id")),
        (
            MmioReg::DeviceFeatures,
            Register::Features("device_feature", "device_feature_select"),
        ),
        (
            MmioReg::DeviceFeaturesSel,
            Register::Select("device_feature_select"),
        ),
        (
            MmioReg::DriverFeatures,
            Register::Features("driver_feature", "driver_feature_select"),
        ),
        (
            MmioReg::DriverFeaturesSel,
            Register::Select("driver_feature_select"),
        ),
        (MmioReg::GuestPageSize, Register::Plain("guest_page_size")),
        (MmioReg::QueueSel, Register::Select("queue_select")),
        (MmioReg::QueueNumMax, Register::Queue("size_max")),
        (MmioReg::QueueNum, Register::Queue("size")),
        (MmioReg::QueueAlign, Register::Queue("align")),
        (MmioReg::QueuePfn, Register::Queue("pfn")),
        (MmioReg::QueueReady, Register::Queue("enable")),
        (MmioReg::QueueNotify, Register::Plain("notify")),
        (MmioReg::InterruptStatus, Register::Isr("isr")),
        (MmioReg::InterruptAck, Register::Isr("isr_ack")),
        (MmioReg::Status, Register::Status("status")),
        (MmioReg::QueueDescLow, Register::Queue("desc")),
        (MmioReg::QueueDescHigh, Register::Queue("desc_high")),
        (MmioReg::QueueDriverLow, Register::Queue("driver")),
        (MmioReg::QueueDriverHigh, Register::Queue("driver_high")),
        (MmioReg::QueueDeviceLow, Register::Queue("device")),
        (MmioReg::QueueDeviceHigh, Register::Queue("device_high")),
        (MmioReg::ShmSel, Register::Plain("shm_select")),
        (
            MmioReg::ConfigGeneration,
            Register::Plain("config_generation"),
        ),
    ];
    if offset >= MMIO_CONFIG {
        return Some(Register::Config(offset - MMIO_CONFIG));
    }
    let found = REGISTERS.iter().find(|(at, _)| *at as u64 == offset);
    found.map(|(_, register)| *register)
}

fn set_text(fields: &[(bool, &str)]) -> String {
    let set: Vec<&str> = fields
        .iter()
        .filter_map(|(is_set, name)| is_set.then_some(*name))
        .collect();
    format!(" {{{}}}", set.join(", "))
}

fn status_text(status: Status) -> String {
    set_text(&[
        (status.acknowledge(), "acknowledge"),
        (status.driver(), "driver"),
        (status.driver_ok(), "driver_ok"),
        (status.features_ok(), "features_ok"),
        (status.needs_reset(), "needs_reset"),
        (status.failed(), "failed"),
    ])
}

fn isr_text(isr: Isr) -> String {
    set_text(&[
        (isr.used_buffer(), "used_buffer"),
        (isr.configuration(), "configuration"),
    ])
}

impl Describe for Decoder {
    fn name(&self) -> &'static str {
        "virtio"
    }

    fn observe(&mut self, entry: &Entry) -> Option<String> {
        self.access(&Access::of(entry)?)
    }

    fn state(&self) -> Vec<String> {
        self.seen.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(address: u64, width: Width, transfer: Transfer) -> Access {
        Access {
            space: Space::Memory,
            address,
            width,
            transfer,
        }
    }

    fn read(decoder: &mut Decoder, address: u64, width: Width, value: u64) -> Option<String> {
        decoder.access(&access(address, width, Transfer::Read(Some(value))))
    }

    fn write(decoder: &mut Decoder, address: u64, width: Width, value: u64) -> Option<String> {
        decoder.access(&access(address, width, Transfer::Write(value)))
    }

    #[test]
    fn a_slot_is_known_by_its_magic_number() {
        let mut decoder = Decoder::default();
        let base = 0xfeb0_0000;
        assert_eq!(write(&mut decoder, base + 0x70, Width::L, 1), None);
        read(&mut decoder, base, Width::L, MAGIC.into());
        assert_eq!(
            write(&mut decoder, base + 0x70, Width::L, 0xf).unwrap(),
            "0xfeb00000 status←0x0000000f {acknowledge, driver, driver_ok, features_ok}"
        );
        write(&mut decoder, base + 0x30, Width::L, 3);
        assert_eq!(
            write(&mut decoder, base + 0x38, Width::L, 64).unwrap(),
            "0xfeb00000 queue3.size←0x00000040"
        );
        write(&mut decoder, base + 0x14, Width::L, 1);
        assert_eq!(
            read(&mut decoder, base + 0x10, Width::L, 1).unwrap(),
            "0xfeb00000 device_feature[1]→0x00000001 {VERSION_1}"
        );
        assert_eq!(
            read(&mut decoder, base + 0x108, Width::W, 7).unwrap(),
            "0xfeb00000 config[0x8]→0x0007"
        );
        assert_eq!(read(&mut decoder, base + 0x200, Width::L, 7), None);
        assert!(
            decoder
                .state()
                .contains(&"0xfeb00000 queue3.size=0x00000040".to_owned())
        );
    }

    #[test]
    fn a_function_is_known_by_its_capabilities_and_base_addresses() {
        let mut decoder = Decoder::default();
        let space = Pci::Q35_ECAM + 0x2_0000;
        let mut config = |offset: u64, width, transfer| {
            assert_eq!(
                decoder.access(&access(space + offset, width, transfer)),
                None
            );
        };
        // Register 4 has 64 bits; its size is asked for before it gets its address.
        config(0x20, Width::L, Transfer::Read(Some(0xc)));
        config(0x20, Width::L, Transfer::Write(0xffff_ffff));
        config(0x20, Width::L, Transfer::Read(Some(0xffff_c00c)));
        config(0x24, Width::L, Transfer::Write(0xffff_ffff));
        config(0x24, Width::L, Transfer::Read(Some(0xffff_ffff)));
        config(0x20, Width::L, Transfer::Write(0));
        config(0x24, Width::L, Transfer::Write(0x80));
        for (at, kind, offset) in [(0x40_u64, 1_u64, 0_u64), (0x50, 3, 0x1000)] {
            config(at, Width::W, Transfer::Read(Some(0x0009)));
            config(at + 3, Width::B, Transfer::Read(Some(kind)));
            config(at + 4, Width::B, Transfer::Read(Some(4)));
            config(at + 8, Width::L, Transfer::Read(Some(offset)));
            config(at + 12, Width::L, Transfer::Read(Some(0x1000)));
        }
        let base = 0x80_0000_0000;
        assert_eq!(
            write(&mut decoder, base + 0x14, Width::B, 0x3).unwrap(),
            "00:04.0 status←0x03 {acknowledge, driver}"
        );
        assert_eq!(
            read(&mut decoder, base + 0x1000, Width::B, 1).unwrap(),
            "00:04.0 isr→0x01 {used_buffer}"
        );
        assert_eq!(read(&mut decoder, base + 0x2000, Width::B, 1), None);
    }
}
