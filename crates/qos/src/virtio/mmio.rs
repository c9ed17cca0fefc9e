//! Virtio over memory-mapped registers: [`MmioTransport`], and [`MmioSlots`] of machines that have rows of them.
//!
//! Source: Virtio 1.2 §4.2.2 (registers of version 2), §4.2.4 (legacy interface, version 1).

use std::fmt;

use testjig_vm::{Pin, Vm};

use super::transport::{ConfigWidth, Rings, Transport};
use super::{Features, Isr, Status};
use crate::bus::Mmio;
use crate::qom::board_device;

/// A register's offset in bytes. All are 32 bits wide, and accessed only so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum MmioReg {
    /// Reads 0x74726976, "virt".
    MagicValue = 0x000,
    /// Reads 2, or 1 for legacy.
    Version = 0x004,
    /// Reads the device type, 0 for none.
    DeviceId = 0x008,
    /// Reads the vendor.
    VendorId = 0x00c,
    /// Reads 32 of the device's feature bits.
    DeviceFeatures = 0x010,
    /// Writes which 32.
    DeviceFeaturesSel = 0x014,
    /// Writes 32 of the driver's feature bits.
    DriverFeatures = 0x020,
    /// Writes which 32.
    DriverFeaturesSel = 0x024,
    /// Writes the unit of [`QueuePfn`](Self::QueuePfn) in bytes. Legacy.
    GuestPageSize = 0x028,
    /// Writes which virtqueue the registers 0x034 to 0x0a4 are about.
    QueueSel = 0x030,
    /// Reads the most descriptors it may have, 0 if there is no such virtqueue.
    QueueNumMax = 0x034,
    /// Writes how many it has.
    QueueNum = 0x038,
    /// Writes the alignment of the used ring in bytes. Legacy.
    QueueAlign = 0x03c,
    /// Reads and writes the page that the virtqueue begins at. Legacy.
    QueuePfn = 0x040,
    /// Reads and writes whether the virtqueue is in use.
    QueueReady = 0x044,
    /// Writes which virtqueue has buffers.
    QueueNotify = 0x050,
    /// Reads [`Isr`].
    InterruptStatus = 0x060,
    /// Writes what of it was handled.
    InterruptAck = 0x064,
    /// Reads and writes [`Status`]; writing 0 resets.
    Status = 0x070,
    /// Writes bits 31:0 of the descriptor area's address.
    QueueDescLow = 0x080,
    /// Writes bits 63:32 of it.
    QueueDescHigh = 0x084,
    /// Writes bits 31:0 of the driver area's address.
    QueueDriverLow = 0x090,
    /// Writes bits 63:32 of it.
    QueueDriverHigh = 0x094,
    /// Writes bits 31:0 of the device area's address.
    QueueDeviceLow = 0x0a0,
    /// Writes bits 63:32 of it.
    QueueDeviceHigh = 0x0a4,
    /// Writes which shared memory region the registers 0x0b0 to 0x0bc are about.
    ShmSel = 0x0ac,
    /// Reads bits 31:0 of its length, which is all ones if there is none.
    ShmLenLow = 0x0b0,
    /// Reads bits 63:32 of it.
    ShmLenHigh = 0x0b4,
    /// Reads a number that is another one when the configuration has changed.
    ConfigGeneration = 0x0fc,
}

/// Offset of the device's configuration in bytes.
pub const CONFIG: u64 = 0x100;
/// What [`MmioReg::MagicValue`] reads.
pub const MAGIC: u32 = 0x7472_6976;
/// What [`MmioReg::ShmLenLow`] and its high half read where there is no region.
pub const NO_REGION: u32 = u32::MAX;

/// Bytes of the page that [`MmioTransport`] has a legacy device count in, and of a legacy used ring's alignment.
pub const LEGACY_PAGE: u64 = 4096;

/// A virtio device behind memory-mapped registers.
#[derive(Clone)]
pub struct MmioTransport {
    regs: Mmio,
    legacy: bool,
    line: Line,
}

/// How the interrupt line of a device is found.
#[derive(Clone, Debug)]
enum Line {
    Known(Option<Pin>),
    /// By the slot's place in its row; the monitor is asked when it is wanted.
    OfSlot(u32),
}

impl MmioTransport {
    /// The registers at this address; whether they are legacy is asked of [`MmioReg::Version`].
    #[track_caller]
    pub fn probe(vm: &Vm, base: u64, line: Option<Pin>) -> Option<Self> {
        Self::with_line(vm, base, Line::Known(line))
    }

    #[track_caller]
    fn with_line(vm: &Vm, base: u64, line: Line) -> Option<Self> {
        let regs = Mmio::new(vm, base);
        if regs.readl(MmioReg::MagicValue as u64) != MAGIC {
            return None;
        }
        let legacy = match regs.readl(MmioReg::Version as u64) {
            1 => true,
            2 => false,
            _ => return None,
        };
        Some(Self { regs, legacy, line })
    }

    /// The registers.
    pub fn regs(&self) -> &Mmio {
        &self.regs
    }

    /// Reads a register.
    #[track_caller]
    pub fn read(&self, reg: MmioReg) -> u32 {
        self.regs.readl(reg as u64)
    }

    /// Writes a register. Queued.
    #[track_caller]
    pub fn write(&self, reg: MmioReg, value: u32) {
        self.regs.writel(reg as u64, value);
    }

    #[track_caller]
    fn write_address(&self, low: MmioReg, high: MmioReg, address: u64) {
        self.write(low, address as u32);
        self.write(high, (address >> 32) as u32);
    }
}

impl Transport for MmioTransport {
    fn vm(&self) -> &Vm {
        self.regs.vm()
    }

    fn is_legacy(&self) -> bool {
        self.legacy
    }

    #[track_caller]
    fn device_id(&self) -> u32 {
        self.read(MmioReg::DeviceId)
    }

    #[track_caller]
    fn device_features(&self) -> Features {
        self.write(MmioReg::DeviceFeaturesSel, 0);
        let low = self.read(MmioReg::DeviceFeatures);
        if self.legacy {
            return Features::from_bits(low.into());
        }
        self.write(MmioReg::DeviceFeaturesSel, 1);
        let high = self.read(MmioReg::DeviceFeatures);
        Features::from_bits(u64::from(high) << 32 | u64::from(low))
    }

    #[track_caller]
    fn set_driver_features(&self, features: Features) {
        self.write(MmioReg::DriverFeaturesSel, 0);
        self.write(MmioReg::DriverFeatures, features.bits() as u32);
        if !self.legacy {
            self.write(MmioReg::DriverFeaturesSel, 1);
            self.write(MmioReg::DriverFeatures, (features.bits() >> 32) as u32);
        }
    }

    #[track_caller]
    fn status(&self) -> Status {
        (self.read(MmioReg::Status) as u8).into()
    }

    #[track_caller]
    fn set_status(&self, status: Status) {
        self.write(MmioReg::Status, u8::from(status).into());
    }

    #[track_caller]
    fn config_generation(&self) -> u32 {
        if self.legacy {
            return 0;
        }
        self.read(MmioReg::ConfigGeneration)
    }

    #[track_caller]
    fn config_read(&self, offset: u32, width: ConfigWidth) -> u32 {
        let at = CONFIG + u64::from(offset);
        match width {
            ConfigWidth::B => self.regs.readb(at).into(),
            ConfigWidth::W => self.regs.readw(at).into(),
            ConfigWidth::L => self.regs.readl(at),
        }
    }

    #[track_caller]
    fn config_write(&self, offset: u32, width: ConfigWidth, value: u32) {
        let at = CONFIG + u64::from(offset);
        match width {
            ConfigWidth::B => self.regs.writeb(at, value as u8),
            ConfigWidth::W => self.regs.writew(at, value as u16),
            ConfigWidth::L => self.regs.writel(at, value),
        }
    }

    #[track_caller]
    fn queue_max(&self, index: u16) -> u16 {
        self.write(MmioReg::QueueSel, index.into());
        self.read(MmioReg::QueueNumMax) as u16
    }

    #[track_caller]
    fn enable_queue(&self, index: u16, rings: &Rings) {
        self.write(MmioReg::QueueSel, index.into());
        self.write(MmioReg::QueueNum, rings.size.into());
        if self.legacy {
            self.write(MmioReg::GuestPageSize, LEGACY_PAGE as u32);
            self.write(MmioReg::QueueAlign, LEGACY_PAGE as u32);
            self.write(MmioReg::QueuePfn, (rings.desc / LEGACY_PAGE) as u32);
            return;
        }
        self.write_address(MmioReg::QueueDescLow, MmioReg::QueueDescHigh, rings.desc);
        self.write_address(
            MmioReg::QueueDriverLow,
            MmioReg::QueueDriverHigh,
            rings.driver,
        );
        self.write_address(
            MmioReg::QueueDeviceLow,
            MmioReg::QueueDeviceHigh,
            rings.device,
        );
        self.write(MmioReg::QueueReady, 1);
    }

    #[track_caller]
    fn is_queue_enabled(&self, index: u16) -> bool {
        self.write(MmioReg::QueueSel, index.into());
        let reg = if self.legacy {
            MmioReg::QueuePfn
        } else {
            MmioReg::QueueReady
        };
        self.read(reg) != 0
    }

    #[track_caller]
    fn reset_queue(&self, index: u16) {
        self.write(MmioReg::QueueSel, index.into());
        self.write(MmioReg::QueueReady, 0);
    }

    #[track_caller]
    fn notify(&self, index: u16, data: u16) {
        self.write(
            MmioReg::QueueNotify,
            u32::from(data) << 16 | u32::from(index),
        );
    }

    #[track_caller]
    fn isr(&self) -> Isr {
        (self.read(MmioReg::InterruptStatus) as u8).into()
    }

    #[track_caller]
    fn acknowledge(&self, isr: Isr) {
        self.write(MmioReg::InterruptAck, u8::from(isr).into());
    }

    #[track_caller]
    fn line(&self) -> Option<Pin> {
        match &self.line {
            Line::Known(line) => line.clone(),
            // The machines make their slots in the order of their addresses.
            Line::OfSlot(slot) => {
                let path = board_device(self.regs.vm(), "virtio-mmio", *slot as usize);
                Some(Pin::output(path, 0).of_list("sysbus-irq"))
            }
        }
    }
}

impl fmt::Debug for MmioTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = 2 - u32::from(self.legacy);
        write!(f, "virtio-mmio {version} at {:#x}", self.regs.base())
    }
}

/// A machine's row of virtio-mmio slots, most of them empty.
#[derive(Clone, Debug)]
pub struct MmioSlots {
    vm: Vm,
    base: u64,
    stride: u64,
    count: u32,
}

impl MmioSlots {
    /// The slots of Arm's `virt`: 32, 512 bytes each.
    pub fn arm_virt(vm: &Vm) -> Self {
        Self::new(vm, 0x0a00_0000, 0x200, 32)
    }

    /// The slots of RISC-V's `virt`: 8, 4 KiB each.
    pub fn riscv_virt(vm: &Vm) -> Self {
        Self::new(vm, 0x1000_1000, 0x1000, 8)
    }

    /// The slots of x86's `microvm`: 8 with one interrupt controller, 512 bytes each.
    pub fn microvm(vm: &Vm) -> Self {
        Self::new(vm, 0xfeb0_0000, 0x200, 8)
    }

    /// Slots from an address on, so many bytes apart.
    pub fn new(vm: &Vm, base: u64, stride: u64, count: u32) -> Self {
        Self {
            vm: vm.clone(),
            base,
            stride,
            count,
        }
    }

    /// The machine.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Address of a slot's first register, counted from 0.
    pub fn address(&self, slot: u32) -> u64 {
        self.base + u64::from(slot) * self.stride
    }

    /// The registers of a slot, whether a device is there or not.
    ///
    /// # Panics
    /// If what is there is no virtio-mmio slot: the machine has not so many.
    #[track_caller]
    pub fn slot(&self, slot: u32) -> MmioTransport {
        match MmioTransport::with_line(&self.vm, self.address(slot), Line::OfSlot(slot)) {
            Some(transport) => transport,
            None => panic!(
                "no virtio-mmio registers at {:#x}, slot {slot} of {}",
                self.address(slot),
                self.vm.launch().machine()
            ),
        }
    }

    /// The first slot with a device of this type.
    #[track_caller]
    pub fn find(&self, device_id: u32) -> Option<MmioTransport> {
        (0..self.count)
            .map(|slot| self.slot(slot))
            .find(|transport| transport.device_id() == device_id)
    }
}
