//! Virtio over PCI: [`PciTransport`], modern and legacy.
//!
//! Source: Virtio 1.2 §4.1; legacy interface §4.1.4.10.

mod window;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;

use testjig_vm::{Fault, Pin, Vm};

use super::order::Order;
use super::transport::{ConfigWidth, Rings, Transport};
use super::{Features, Isr, LEGACY_PAGE, Status};
use crate::pci::{Bar, Capability, Function, Msix};

pub use self::window::Window;

/// The vendor of virtio devices.
pub const VENDOR: u16 = 0x1af4;
/// Vector number that means "no vector" (§4.1.4.3, `VIRTIO_MSI_NO_VECTOR`).
pub const NO_VECTOR: u16 = 0xffff;

/// Registers of the common configuration: offset in bytes (§4.1.4.3).
pub mod common {
    /// 32 bits: which 32 of the device's features.
    pub const DEVICE_FEATURE_SELECT: u64 = 0x00;
    /// 32 bits, read-only.
    pub const DEVICE_FEATURE: u64 = 0x04;
    /// 32 bits: which 32 of the driver's features.
    pub const DRIVER_FEATURE_SELECT: u64 = 0x08;
    /// 32 bits.
    pub const DRIVER_FEATURE: u64 = 0x0c;
    /// 16 bits: vector of configuration changes.
    pub const CONFIG_MSIX_VECTOR: u64 = 0x10;
    /// 16 bits, read-only: how many virtqueues.
    pub const NUM_QUEUES: u64 = 0x12;
    /// 8 bits.
    pub const DEVICE_STATUS: u64 = 0x14;
    /// 8 bits, read-only.
    pub const CONFIG_GENERATION: u64 = 0x15;
    /// 16 bits: which virtqueue the following are about.
    pub const QUEUE_SELECT: u64 = 0x16;
    /// 16 bits.
    pub const QUEUE_SIZE: u64 = 0x18;
    /// 16 bits: vector of used buffers.
    pub const QUEUE_MSIX_VECTOR: u64 = 0x1a;
    /// 16 bits.
    pub const QUEUE_ENABLE: u64 = 0x1c;
    /// 16 bits, read-only: where to notify, in units of the capability's multiplier.
    pub const QUEUE_NOTIFY_OFF: u64 = 0x1e;
    /// 64 bits, written as halves.
    pub const QUEUE_DESC: u64 = 0x20;
    /// 64 bits, written as halves.
    pub const QUEUE_DRIVER: u64 = 0x28;
    /// 64 bits, written as halves.
    pub const QUEUE_DEVICE: u64 = 0x30;
    /// 16 bits, read-only: what a notification says instead of the virtqueue's number, with [`NOTIF_CONFIG_DATA`].
    ///
    /// [`NOTIF_CONFIG_DATA`]: crate::virtio::Features::NOTIF_CONFIG_DATA
    pub const QUEUE_NOTIFY_DATA: u64 = 0x38;
    /// 16 bits: writing 1 resets the virtqueue, with [`RING_RESET`](crate::virtio::Features::RING_RESET).
    pub const QUEUE_RESET: u64 = 0x3a;
}

/// Registers of the legacy interface: offset in bytes in the ports of BAR 0 (§4.1.4.10).
pub mod legacy {
    /// 32 bits, read-only.
    pub const DEVICE_FEATURES: u64 = 0x00;
    /// 32 bits.
    pub const DRIVER_FEATURES: u64 = 0x04;
    /// 32 bits: page number of the selected virtqueue.
    pub const QUEUE_ADDRESS: u64 = 0x08;
    /// 16 bits, read-only.
    pub const QUEUE_SIZE: u64 = 0x0c;
    /// 16 bits.
    pub const QUEUE_SELECT: u64 = 0x0e;
    /// 16 bits.
    pub const QUEUE_NOTIFY: u64 = 0x10;
    /// 8 bits.
    pub const DEVICE_STATUS: u64 = 0x12;
    /// 8 bits, read to acknowledge.
    pub const ISR: u64 = 0x13;
    /// 16 bits, only while MSI-X is enabled.
    pub const CONFIG_VECTOR: u64 = 0x14;
    /// 16 bits, only while MSI-X is enabled.
    pub const QUEUE_VECTOR: u64 = 0x16;
    /// The device's configuration while MSI-X is disabled.
    pub const CONFIG: u64 = 0x14;
    /// The device's configuration while MSI-X is enabled.
    pub const CONFIG_WITH_MSIX: u64 = 0x18;
}

/// What a vendor-specific capability of a virtio device is about (§4.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CfgType {
    /// Common configuration.
    Common = 1,
    /// Notifications.
    Notify = 2,
    /// Interrupt status.
    Isr = 3,
    /// The device's configuration.
    Device = 4,
    /// Access to the others through configuration space.
    Pci = 5,
}

/// Offsets within such a capability: base address register, offset and length of the structure; notify multiplier; access window.
pub mod capability {
    /// 8 bits: [`CfgType`](super::CfgType).
    pub const CFG_TYPE: u16 = 3;
    /// 8 bits.
    pub const BAR: u16 = 4;
    /// 32 bits.
    pub const OFFSET: u16 = 8;
    /// 32 bits.
    pub const LENGTH: u16 = 12;
    /// 32 bits, of [`CfgType::Notify`](super::CfgType::Notify).
    pub const NOTIFY_MULTIPLIER: u16 = 16;
    /// 32 bits, of [`CfgType::Pci`](super::CfgType::Pci).
    pub const PCI_DATA: u16 = 16;
}

/// A structure that a capability points to.
#[derive(Clone, Debug)]
struct Part {
    bar: Bar,
    offset: u64,
    length: u64,
}

#[derive(Debug)]
struct Modern {
    common: Part,
    notify: Part,
    multiplier: u32,
    isr: Part,
    device: Part,
}

#[derive(Debug)]
enum Interface {
    Modern(Modern),
    Legacy(Bar),
}

/// A virtio device behind PCI.
pub struct PciTransport {
    function: Function,
    interface: Interface,
    order: Order,
    msix: Option<Msix>,
    /// Moves the device's configuration of the legacy interface.
    msix_enabled: Cell<bool>,
    notify_offs: RefCell<BTreeMap<u16, u16>>,
}

/// A structure of this type, as the first capability of it says.
fn find(capabilities: &[Capability], kind: CfgType) -> Option<&Capability> {
    capabilities.iter().find(|capability| {
        capability.id() == crate::pci::capability::id::VENDOR
            && capability.read::<u8>(capability::CFG_TYPE) == kind as u8
    })
}

impl PciTransport {
    /// The interface of the specification: capabilities are followed, the registers they are in mapped.
    ///
    /// Unwinds with a [`Fault`] if the function has it not.
    #[track_caller]
    pub fn modern(function: &Function) -> Self {
        let capabilities = function.capabilities();
        let mut mapped: Vec<Bar> = Vec::new();
        let mut part = |kind: CfgType| {
            let Some(capability) = find(&capabilities, kind) else {
                Fault::usage(format!(
                    "failed to drive {} by the interface of Virtio 1: it has no capability of its {kind:?} structure",
                    function.bdf()
                ))
                .raise();
            };
            let index: u8 = capability.read(capability::BAR);
            let known = mapped.iter().find(|bar| bar.info().index == index);
            let bar = known.cloned().unwrap_or_else(|| {
                let bar = function.iomap(index);
                mapped.push(bar.clone());
                bar
            });
            Part {
                bar,
                offset: capability.read::<u32>(capability::OFFSET).into(),
                length: capability.read::<u32>(capability::LENGTH).into(),
            }
        };
        let modern = Modern {
            common: part(CfgType::Common),
            notify: part(CfgType::Notify),
            isr: part(CfgType::Isr),
            device: part(CfgType::Device),
            multiplier: find(&capabilities, CfgType::Notify)
                .map_or(0, |notify| notify.read(capability::NOTIFY_MULTIPLIER)),
        };
        let mapped: Vec<&Bar> = mapped.iter().collect();
        Self::new(
            function,
            function.msix(&mapped),
            Interface::Modern(modern),
            Order::Little,
        )
    }

    /// The interface from before the specification, by the ports of BAR 0.
    #[track_caller]
    pub fn legacy(function: &Function) -> Self {
        let ports = function.iomap(0);
        let order = Order::of(function.vm());
        let msix = function.msix(&[&ports]);
        Self::new(function, msix, Interface::Legacy(ports), order)
    }

    #[track_caller]
    fn new(function: &Function, msix: Option<Msix>, interface: Interface, order: Order) -> Self {
        function.enable_bus_master();
        Self {
            function: function.clone(),
            interface,
            order,
            msix,
            msix_enabled: Cell::new(false),
            notify_offs: RefCell::default(),
        }
    }

    /// The PCI function.
    pub fn function(&self) -> &Function {
        &self.function
    }

    /// Its MSI-X capability.
    ///
    /// # Panics
    /// If it has none.
    #[track_caller]
    pub fn msix(&self) -> &Msix {
        match &self.msix {
            Some(msix) => msix,
            None => panic!("{self:?} has no MSI-X capability"),
        }
    }

    /// Enables MSI-X.
    ///
    /// # Panics
    /// As [`msix`](Self::msix).
    #[track_caller]
    pub fn enable_msix(&self) {
        self.msix().enable();
        self.msix_enabled.set(true);
    }

    /// Reads a register of the common configuration, one of [`common`].
    ///
    /// # Panics
    /// If the device is driven by the legacy interface.
    #[track_caller]
    pub fn common<T: crate::pci::BarValue>(&self, offset: u64) -> T {
        let part = &self.interface().common;
        part.bar.read(part.offset + offset)
    }

    /// Writes a register of the common configuration, one of [`common`]. Queued.
    ///
    /// # Panics
    /// If the device is driven by the legacy interface.
    #[track_caller]
    pub fn set_common<T: crate::pci::BarValue>(&self, offset: u64, value: T) {
        let part = &self.interface().common;
        part.bar.write(part.offset + offset, value);
    }

    /// The ports of the legacy interface.
    ///
    /// # Panics
    /// If the device is driven by the modern one.
    #[track_caller]
    pub fn ports(&self) -> &Bar {
        match &self.interface {
            Interface::Legacy(ports) => ports,
            Interface::Modern(_) => panic!("{self:?} is not driven by its legacy interface"),
        }
    }

    #[track_caller]
    fn interface(&self) -> &Modern {
        match &self.interface {
            Interface::Modern(modern) => modern,
            Interface::Legacy(_) => panic!("{self:?} is driven by its legacy interface"),
        }
    }

    /// Guest-physical address where a virtqueue's number is written to notify the device of it; `None` if that is no memory.
    #[track_caller]
    pub fn notify_address(&self, queue: u16) -> Option<u64> {
        let Interface::Modern(modern) = &self.interface else {
            return None;
        };
        let offset = u64::from(modern.multiplier) * self.notify_off(queue);
        Some(modern.notify.bar.cpu_address()? + modern.notify.offset + offset)
    }

    /// Which vector configuration changes send; what the device made of it: [`NO_VECTOR`] if it has not so many.
    #[track_caller]
    pub fn set_config_vector(&self, vector: u16) -> u16 {
        match &self.interface {
            Interface::Modern(_) => {
                self.set_common(common::CONFIG_MSIX_VECTOR, vector);
                self.common(common::CONFIG_MSIX_VECTOR)
            }
            Interface::Legacy(ports) => {
                ports.write(legacy::CONFIG_VECTOR, vector);
                ports.read(legacy::CONFIG_VECTOR)
            }
        }
    }

    /// Which vector a virtqueue's used buffers send; what the device made of it: [`NO_VECTOR`] if it has not so many.
    #[track_caller]
    pub fn set_queue_vector(&self, queue: u16, vector: u16) -> u16 {
        self.select(queue);
        match &self.interface {
            Interface::Modern(_) => {
                self.set_common(common::QUEUE_MSIX_VECTOR, vector);
                self.common(common::QUEUE_MSIX_VECTOR)
            }
            Interface::Legacy(ports) => {
                ports.write(legacy::QUEUE_VECTOR, vector);
                ports.read(legacy::QUEUE_VECTOR)
            }
        }
    }

    #[track_caller]
    fn select(&self, queue: u16) {
        match &self.interface {
            Interface::Modern(_) => self.set_common(common::QUEUE_SELECT, queue),
            Interface::Legacy(ports) => ports.write(legacy::QUEUE_SELECT, queue),
        }
    }

    /// Where a virtqueue is notified (§4.1.4.4), asked for once.
    #[track_caller]
    fn notify_off(&self, queue: u16) -> u64 {
        let known = self.notify_offs.borrow().get(&queue).copied();
        let off = known.unwrap_or_else(|| {
            self.select(queue);
            self.common(common::QUEUE_NOTIFY_OFF)
        });
        self.notify_offs.borrow_mut().insert(queue, off);
        off.into()
    }

    #[track_caller]
    fn set_address(&self, offset: u64, address: u64) {
        self.set_common(offset, address as u32);
        self.set_common(offset + 4, (address >> 32) as u32);
    }

    /// Where the device's configuration is.
    fn config(&self) -> (&Bar, u64) {
        match &self.interface {
            Interface::Modern(modern) => (&modern.device.bar, modern.device.offset),
            Interface::Legacy(ports) if self.msix_enabled.get() => {
                (ports, legacy::CONFIG_WITH_MSIX)
            }
            Interface::Legacy(ports) => (ports, legacy::CONFIG),
        }
    }

    /// Bytes of the device's configuration, as its capability says.
    ///
    /// # Panics
    /// If the device is driven by the legacy interface.
    #[track_caller]
    pub fn config_len(&self) -> u64 {
        self.interface().device.length
    }
}

impl Transport for PciTransport {
    fn vm(&self) -> &Vm {
        self.function.vm()
    }

    fn is_legacy(&self) -> bool {
        matches!(self.interface, Interface::Legacy(_))
    }

    fn as_pci(&self) -> Option<&PciTransport> {
        Some(self)
    }

    /// §4.1.2: modern devices have 0x1040 and their type, transitional ones the type as their subsystem.
    #[track_caller]
    fn device_id(&self) -> u32 {
        let (vendor, device) = self.function.id();
        match device {
            _ if vendor != VENDOR => 0,
            0x1000..=0x103f => self.function.read::<u16>(0x2e).into(),
            0x1040..=0x107f => u32::from(device - 0x1040),
            _ => 0,
        }
    }

    #[track_caller]
    fn device_features(&self) -> Features {
        match &self.interface {
            Interface::Modern(_) => {
                self.set_common(common::DEVICE_FEATURE_SELECT, 0_u32);
                let low: u32 = self.common(common::DEVICE_FEATURE);
                self.set_common(common::DEVICE_FEATURE_SELECT, 1_u32);
                let high: u32 = self.common(common::DEVICE_FEATURE);
                Features::from_bits(u64::from(high) << 32 | u64::from(low))
            }
            Interface::Legacy(ports) => {
                Features::from_bits(ports.read::<u32>(legacy::DEVICE_FEATURES).into())
            }
        }
    }

    #[track_caller]
    fn set_driver_features(&self, features: Features) {
        let bits = features.bits();
        match &self.interface {
            Interface::Modern(_) => {
                self.set_common(common::DRIVER_FEATURE_SELECT, 0_u32);
                self.set_common(common::DRIVER_FEATURE, bits as u32);
                self.set_common(common::DRIVER_FEATURE_SELECT, 1_u32);
                self.set_common(common::DRIVER_FEATURE, (bits >> 32) as u32);
            }
            Interface::Legacy(ports) => ports.write(legacy::DRIVER_FEATURES, bits as u32),
        }
    }

    #[track_caller]
    fn status(&self) -> Status {
        let status: u8 = match &self.interface {
            Interface::Modern(_) => self.common(common::DEVICE_STATUS),
            Interface::Legacy(ports) => ports.read(legacy::DEVICE_STATUS),
        };
        status.into()
    }

    #[track_caller]
    fn set_status(&self, status: Status) {
        match &self.interface {
            Interface::Modern(_) => self.set_common(common::DEVICE_STATUS, u8::from(status)),
            Interface::Legacy(ports) => ports.write(legacy::DEVICE_STATUS, u8::from(status)),
        }
    }

    #[track_caller]
    fn config_generation(&self) -> u32 {
        match &self.interface {
            Interface::Modern(_) => self.common::<u8>(common::CONFIG_GENERATION).into(),
            Interface::Legacy(_) => 0,
        }
    }

    #[track_caller]
    fn config_read(&self, offset: u32, width: ConfigWidth) -> u32 {
        let (bar, base) = self.config();
        let at = base + u64::from(offset);
        // The bus is little-endian; a legacy device's fields need not be.
        match width {
            ConfigWidth::B => bar.read::<u8>(at).into(),
            ConfigWidth::W => self.order.value(&bar.read::<u16>(at).to_le_bytes()) as u32,
            ConfigWidth::L => self.order.value(&bar.read::<u32>(at).to_le_bytes()) as u32,
        }
    }

    #[track_caller]
    fn config_write(&self, offset: u32, width: ConfigWidth, value: u32) {
        let (bar, base) = self.config();
        let at = base + u64::from(offset);
        match width {
            ConfigWidth::B => bar.write(at, value as u8),
            ConfigWidth::W => bar.write(at, u16::from_le_bytes(self.order.bytes16(value as u16))),
            ConfigWidth::L => bar.write(at, u32::from_le_bytes(self.order.bytes32(value))),
        }
    }

    fn has_fixed_queue_sizes(&self) -> bool {
        self.is_legacy()
    }

    #[track_caller]
    fn queue_max(&self, index: u16) -> u16 {
        self.select(index);
        match &self.interface {
            Interface::Modern(_) => self.common(common::QUEUE_SIZE),
            Interface::Legacy(ports) => ports.read(legacy::QUEUE_SIZE),
        }
    }

    #[track_caller]
    fn enable_queue(&self, index: u16, rings: &Rings) {
        self.select(index);
        match &self.interface {
            Interface::Modern(_) => {
                self.set_common(common::QUEUE_SIZE, rings.size);
                self.set_address(common::QUEUE_DESC, rings.desc);
                self.set_address(common::QUEUE_DRIVER, rings.driver);
                self.set_address(common::QUEUE_DEVICE, rings.device);
                self.set_common(common::QUEUE_ENABLE, 1_u16);
            }
            Interface::Legacy(ports) => {
                ports.write(legacy::QUEUE_ADDRESS, (rings.desc / LEGACY_PAGE) as u32);
            }
        }
    }

    #[track_caller]
    fn is_queue_enabled(&self, index: u16) -> bool {
        self.select(index);
        match &self.interface {
            Interface::Modern(_) => self.common::<u16>(common::QUEUE_ENABLE) != 0,
            Interface::Legacy(ports) => ports.read::<u32>(legacy::QUEUE_ADDRESS) != 0,
        }
    }

    #[track_caller]
    fn reset_queue(&self, index: u16) {
        self.select(index);
        self.set_common(common::QUEUE_RESET, 1_u16);
    }

    #[track_caller]
    fn notify(&self, index: u16, data: u16) {
        match &self.interface {
            Interface::Modern(modern) => {
                let offset = u64::from(modern.multiplier) * self.notify_off(index);
                let at = modern.notify.offset + offset;
                if data == 0 {
                    modern.notify.bar.write(at, index);
                } else {
                    let value = u32::from(data) << 16 | u32::from(index);
                    modern.notify.bar.write(at, value);
                }
            }
            Interface::Legacy(ports) => ports.write(legacy::QUEUE_NOTIFY, index),
        }
    }

    #[track_caller]
    fn isr(&self) -> Isr {
        let isr: u8 = match &self.interface {
            Interface::Modern(modern) => modern.isr.bar.read(modern.isr.offset),
            Interface::Legacy(ports) => ports.read(legacy::ISR),
        };
        isr.into()
    }

    fn acknowledge(&self, _isr: Isr) {}

    #[track_caller]
    fn line(&self) -> Option<Pin> {
        self.function.intx()
    }
}

impl fmt::Debug for PciTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_legacy() { "legacy " } else { "" };
        write!(f, "{kind}virtio-pci at {}", self.function.bdf())
    }
}
