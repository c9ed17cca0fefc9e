//! [`VirtioPci`]: a virtio device on the PCI bus (§4.1), by the interface of the specification, by the one from before it, or by both.

use std::ops::Range as Span;

use super::queue::{Layout, Queue};
use super::{Broken, VirtioDevice, feature, number};
use crate::board::{Board, Device, Range};
use crate::pci::{Bar, Config, Devfn, Id, Msix, msix};

/// [4.1.4.3] `VIRTIO_MSI_NO_VECTOR`.
pub(super) const NO_VECTOR: u16 = 0xffff;

/// [2.1] Device status.
mod status {
    pub(super) const DRIVER_OK: u8 = 1 << 2;
    pub(super) const FEATURES_OK: u8 = 1 << 3;
    pub(super) const NEEDS_RESET: u8 = 1 << 6;
}

/// [4.1.4.5] Interrupt status.
mod isr {
    pub(super) const QUEUE: u8 = 1 << 0;
    pub(super) const CONFIGURATION: u8 = 1 << 1;
}

/// The base address registers.
const LEGACY: Bar = Bar::io(0, 128);
const MESSAGES: Bar = Bar::memory(1, msix::PAGE);
const MODERN: Bar = Bar::memory64(4, 0x4000);

/// Where the structures of §4.1.4 are in BAR 4.
const COMMON: u64 = 0x0000;
const INTERRUPTS: u64 = 0x1000;
const DEVICE: u64 = 0x2000;
const NOTIFY: u64 = 0x3000;
/// [4.1.4.4] Each virtqueue is notified at a dword of its own.
const MULTIPLIER: u64 = 4;

/// Bytes of the common configuration, up to and with `queue_device`.
const COMMON_LEN: u64 = 0x38;
/// The capabilities in configuration space. The last is the window to the structures [4.1.4.9].
const CAPABILITIES: u8 = 0x40;
const WINDOW: u8 = 0x90;
const WINDOW_DATA: u8 = WINDOW + 16;

const COMMAND: u8 = 0x04;
/// [PCI 3.0 §6.2.2] Bit 10: INTx# is not asserted.
const NO_INTX: u16 = 1 << 10;
const STATUS: u8 = 0x06;
/// [PCI 3.0 §6.2.3] Bit 3: INTx# would be asserted.
const INTX_STATUS: u8 = 1 << 3;
/// The second byte of message control: bit 15 enables, bit 14 masks all.
const MESSAGE_CONTROL: u8 = CAPABILITIES + 3;

/// Which of the two interfaces a device has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interfaces {
    pub(crate) legacy: bool,
    pub(crate) modern: bool,
}

/// A virtio device behind PCI.
pub(crate) struct VirtioPci<D> {
    config: Config,
    pub(crate) device: D,
    interfaces: Interfaces,
    /// Whether packed rings are offered.
    packed: bool,
    queues: Vec<Queue>,
    msix: Msix,
    device_features_select: u32,
    driver_features_select: u32,
    driver_features: u64,
    status: u8,
    isr: u8,
    generation: u8,
    config_vector: u16,
    queue_select: u16,
    /// Whether the interrupt pin is asserted.
    asserted: bool,
}

/// A vendor-specific capability [4.1.4].
fn capability(kind: u8, bar: u8, span: Span<u64>, more: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x09, 0, 16 + more.len() as u8, kind, bar, 0, 0, 0];
    bytes.extend((span.start as u32).to_le_bytes());
    bytes.extend(((span.end - span.start) as u32).to_le_bytes());
    bytes.extend(more);
    bytes
}

impl<D: VirtioDevice> VirtioPci<D> {
    /// A device in its slot, with so many vectors, at least one.
    pub(crate) fn new(
        devfn: Devfn,
        device: D,
        interfaces: Interfaces,
        packed: bool,
        vectors: u16,
    ) -> Self {
        let id = Id {
            vendor: 0x1af4,
            device: if interfaces.legacy {
                D::TRANSITIONAL_ID
            } else {
                0x1040 + D::TYPE
            },
            revision: u8::from(!interfaces.legacy),
            class: D::CLASS,
            subsystem: (0x1af4, if interfaces.legacy { D::TYPE } else { 0x1100 }),
        };
        let msix = Msix::new(vectors);
        let mut config = Config::new(devfn, id).with_pin(1).with_bar(MESSAGES);
        if interfaces.legacy {
            config = config.with_bar(LEGACY);
        }
        let mut capabilities = vec![msix.capability(MESSAGES.index)];
        if interfaces.modern {
            config = config.with_bar(MODERN);
            let bar = MODERN.index;
            let device_len = device.config().len() as u64;
            let notify_len = MULTIPLIER * u64::from(device.queues());
            capabilities.extend([
                capability(1, bar, COMMON..COMMON + COMMON_LEN, &[]),
                capability(3, bar, INTERRUPTS..INTERRUPTS + 1, &[]),
                capability(4, bar, DEVICE..DEVICE + device_len, &[]),
                capability(
                    2,
                    bar,
                    NOTIFY..NOTIFY + notify_len,
                    &(MULTIPLIER as u32).to_le_bytes(),
                ),
                capability(5, 0, 0..0, &[0; 4]),
            ]);
        }
        config = config.with_capabilities(CAPABILITIES, &capabilities);
        config.allow(MESSAGE_CONTROL, &[0xc0]);
        if interfaces.modern {
            config.allow(WINDOW + 4, &[0xff]);
            config.allow(WINDOW + 8, &[0xff; 12]);
        }
        let mut this = Self {
            config,
            device,
            interfaces,
            packed,
            queues: Vec::new(),
            msix,
            device_features_select: 0,
            driver_features_select: 0,
            driver_features: 0,
            status: 0,
            isr: 0,
            generation: 0,
            config_vector: NO_VECTOR,
            queue_select: 0,
            asserted: false,
        };
        this.clear();
        this
    }

    /// [2.4] What a driver finds first.
    fn clear(&mut self) {
        let size = self.device.queue_size();
        self.queues = (0..self.device.queues())
            .map(|_| Queue::new(size))
            .collect();
        self.device_features_select = 0;
        self.driver_features_select = 0;
        self.driver_features = 0;
        self.status = 0;
        self.isr = 0;
        self.config_vector = NO_VECTOR;
        self.queue_select = 0;
        self.device.reset();
    }

    fn offered(&self) -> u64 {
        let mut features = self.device.features()
            | feature::ANY_LAYOUT
            | feature::INDIRECT_DESC
            | feature::EVENT_IDX;
        if self.interfaces.modern {
            features |= feature::VERSION_1;
        }
        if self.packed {
            features |= feature::RING_PACKED;
        }
        features
    }

    fn has(&self, feature: u64) -> bool {
        self.driver_features & feature != 0
    }

    fn layout(&self) -> Layout {
        Layout {
            packed: self.has(feature::RING_PACKED),
            event_idx: self.has(feature::EVENT_IDX),
        }
    }

    /// [2.2] Features are fixed once they are agreed on.
    fn set_driver_features(&mut self, features: u64) {
        if self.status & status::FEATURES_OK == 0 {
            self.driver_features = features & self.offered();
            self.device.negotiated(self.driver_features);
        }
    }

    fn set_status(&mut self, board: &mut Board, value: u8, by_modern: bool) {
        if value == 0 {
            self.clear();
            self.update_pin(board);
            return;
        }
        let mut value = value | self.status & status::NEEDS_RESET;
        // [2.2.2, 6.1] A driver that speaks this interface has to accept the feature that says so.
        if by_modern && !self.has(feature::VERSION_1) {
            value &= !status::FEATURES_OK;
        }
        self.status = value;
    }

    fn queue(&mut self) -> Option<&mut Queue> {
        self.queues.get_mut(usize::from(self.queue_select))
    }

    fn messages_enabled(&self) -> bool {
        self.config.byte(MESSAGE_CONTROL) & 0x80 != 0
    }

    fn all_masked(&self) -> bool {
        self.config.byte(MESSAGE_CONTROL) & 0x40 != 0 || !self.config.is_bus_master()
    }

    /// [4.1.5.1.2, 4.1.5.3] By a message, or by the pin.
    fn interrupt(&mut self, board: &mut Board, vector: u16, cause: u8) {
        if self.messages_enabled() {
            let masked = self.all_masked();
            self.msix.send(board, vector, masked);
        } else {
            self.isr |= cause;
            self.update_pin(board);
        }
    }

    fn update_pin(&mut self, board: &mut Board) {
        let wanted = self.isr != 0 && !self.messages_enabled();
        let others = self.config.byte(STATUS) & !INTX_STATUS;
        self.config
            .put(STATUS, others | if wanted { INTX_STATUS } else { 0 });
        let level = wanted && self.config.word(COMMAND) & NO_INTX == 0;
        if level != self.asserted {
            self.asserted = level;
            let (slot, pin) = (self.config.devfn.slot(), self.config.pin());
            board.lines.pci(slot, pin, level);
        }
    }

    /// The device's configuration is another now [2.5, 4.1.5.3].
    pub(crate) fn config_changed(&mut self, board: &mut Board) {
        self.generation = self.generation.wrapping_add(1);
        if self.status & status::DRIVER_OK != 0 {
            self.interrupt(board, self.config_vector, isr::CONFIGURATION);
        }
    }

    /// Serves a virtqueue until there is nothing in it.
    fn notified(&mut self, board: &mut Board, number: u16) {
        // [3.1.2] Old drivers may begin before they say so.
        let is_ready = self.status & status::DRIVER_OK != 0 || !self.has(feature::VERSION_1);
        let is_broken = self.status & status::NEEDS_RESET != 0;
        let Some(queue) = self.queues.get(usize::from(number)) else {
            return;
        };
        if !queue.enabled || !is_ready || is_broken || !self.config.is_bus_master() {
            return;
        }
        let vector = queue.vector;
        match self.serve(board, number) {
            Ok(true) => self.interrupt(board, vector, isr::QUEUE),
            Ok(false) => {}
            Err(Broken) => {
                // [2.1.2]
                self.status |= status::NEEDS_RESET;
                self.config_changed(board);
            }
        }
    }

    /// Whether the driver wants to hear of it.
    fn serve(&mut self, board: &Board, number: u16) -> Result<bool, Broken> {
        let layout = self.layout();
        let queue = &mut self.queues[usize::from(number)];
        let old = queue.position(layout);
        while let Some(chain) = queue.take(&board.ram, layout)? {
            let len = self.device.serve(&board.ram, &chain)?;
            queue.give_back(&board.ram, layout, &chain, len)?;
        }
        queue.wants_interrupt(&board.ram, layout, old)
    }

    /// The common configuration as it reads [4.1.4.3].
    fn common(&self) -> [u8; COMMON_LEN as usize] {
        let features = |features: u64, select: u32| match select {
            0 => features as u32,
            1 => (features >> 32) as u32,
            _ => 0,
        };
        let mut bytes = [0; COMMON_LEN as usize];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0x00, &self.device_features_select.to_le_bytes());
        let offered = features(self.offered(), self.device_features_select);
        put(0x04, &offered.to_le_bytes());
        put(0x08, &self.driver_features_select.to_le_bytes());
        let chosen = features(self.driver_features, self.driver_features_select);
        put(0x0c, &chosen.to_le_bytes());
        put(0x10, &self.config_vector.to_le_bytes());
        put(0x12, &(self.queues.len() as u16).to_le_bytes());
        put(0x14, &[self.status, self.generation]);
        put(0x16, &self.queue_select.to_le_bytes());
        if let Some(queue) = self.queues.get(usize::from(self.queue_select)) {
            put(0x18, &queue.size.to_le_bytes());
            put(0x1a, &queue.vector.to_le_bytes());
            put(0x1c, &u16::from(queue.enabled).to_le_bytes());
            put(0x1e, &self.queue_select.to_le_bytes());
            for (at, area) in (0x20..).step_by(8).zip(queue.areas) {
                put(at, &area.to_le_bytes());
            }
        }
        bytes
    }

    /// [4.1.4.3.1] A vector that there is, or none.
    fn vector(&self, wanted: u16) -> u16 {
        if wanted < self.msix.entries() {
            wanted
        } else {
            NO_VECTOR
        }
    }

    /// A register of the common configuration is written with its own width; both halves of an address are registers.
    fn set_common(&mut self, board: &mut Board, offset: u64, data: &[u8]) {
        let value = number(data);
        let most = self.device.queue_size();
        let packed = self.has(feature::RING_PACKED);
        match (offset, data.len()) {
            (0x00, 4) => self.device_features_select = value as u32,
            (0x08, 4) => self.driver_features_select = value as u32,
            (0x0c, 4) => {
                let features = match self.driver_features_select {
                    0 => self.driver_features & !0xffff_ffff | value,
                    1 => self.driver_features & 0xffff_ffff | value << 32,
                    _ => return,
                };
                self.set_driver_features(features);
            }
            (0x10, 2) => self.config_vector = self.vector(value as u16),
            (0x14, 1) => self.set_status(board, value as u8, true),
            (0x16, 2) => self.queue_select = value as u16,
            (0x1a, 2) => {
                let vector = self.vector(value as u16);
                if let Some(queue) = self.queue() {
                    queue.vector = vector;
                }
            }
            _ => {
                // What is enabled stays as it is until a reset [4.1.4.3.2].
                let Some(queue) = self.queue().filter(|queue| !queue.enabled) else {
                    return;
                };
                match (offset, data.len()) {
                    (0x18, 2) => {
                        let size = value as u16;
                        if (1..=most).contains(&size) && (packed || size.is_power_of_two()) {
                            queue.size = size;
                        }
                    }
                    (0x1c, 2) => queue.enabled = value == 1,
                    (0x20..0x38, 4) if offset % 4 == 0 => {
                        let area = &mut queue.areas[((offset - 0x20) / 8) as usize];
                        *area = if offset % 8 == 0 {
                            *area & !0xffff_ffff | value
                        } else {
                            *area & 0xffff_ffff | value << 32
                        };
                    }
                    (0x20 | 0x28 | 0x30, 8) => queue.areas[((offset - 0x20) / 8) as usize] = value,
                    _ => {}
                }
            }
        }
    }

    fn modern_read(&mut self, board: &mut Board, offset: u64, data: &mut [u8]) {
        match offset {
            INTERRUPTS => {
                data.fill(0);
                data[0] = self.take_isr(board);
            }
            ..INTERRUPTS => copy(&self.common(), offset, data),
            DEVICE..NOTIFY => copy(&self.device.config(), offset - DEVICE, data),
            _ => data.fill(0),
        }
    }

    fn modern_write(&mut self, board: &mut Board, offset: u64, data: &[u8]) {
        match offset {
            ..INTERRUPTS => self.set_common(board, offset, data),
            DEVICE..NOTIFY => self.device.write_config((offset - DEVICE) as usize, data),
            NOTIFY.. => self.notified(board, ((offset - NOTIFY) / MULTIPLIER) as u16),
            _ => {}
        }
    }

    /// [4.1.4.5] Reading acknowledges.
    fn take_isr(&mut self, board: &mut Board) -> u8 {
        let isr = std::mem::take(&mut self.isr);
        self.update_pin(board);
        isr
    }

    /// [4.1.4.10] Where the device's configuration is in the legacy ports.
    fn legacy_config(&self) -> u16 {
        if self.messages_enabled() { 0x18 } else { 0x14 }
    }

    /// [2.7.2, 2.7.6] Pages of a legacy ring's table, available ring and used ring.
    fn set_legacy_page(&mut self, page: u32) {
        if let Some(queue) = self.queue() {
            let table = u64::from(page) << 12;
            let size = u64::from(queue.size);
            let avail = table + 16 * size;
            let used = (avail + 6 + 2 * size).next_multiple_of(4096);
            queue.areas = [table, avail, used];
            queue.enabled = page != 0;
        }
    }

    fn in_window(&self, offset: u8, len: u8) -> Option<(Bar, u64, usize)> {
        let data = WINDOW_DATA..WINDOW_DATA + 4;
        let touches = offset < data.end && u16::from(offset) + u16::from(len) > data.start.into();
        let at = u64::from(self.config.dword(WINDOW + 8));
        let len = self.config.dword(WINDOW + 12) as usize;
        let bar = [LEGACY, MODERN]
            .into_iter()
            .find(|bar| bar.index == self.config.byte(WINDOW + 4))?;
        // [4.1.4.9.2] Lengths of 1, 2 and 4, at their multiples, within the register.
        let fits = matches!(len, 1 | 2 | 4)
            && at % len as u64 == 0
            && at
                .checked_add(len as u64)
                .is_some_and(|end| end <= bar.size);
        let is_there =
            self.interfaces.modern && (self.interfaces.legacy || bar.index != LEGACY.index);
        (touches && fits && is_there).then_some((bar, at, len))
    }
}

/// Bytes of a structure, and zeroes behind its end.
fn copy(from: &[u8], offset: u64, data: &mut [u8]) {
    for (at, byte) in (offset as usize..).zip(data) {
        *byte = from.get(at).copied().unwrap_or(0);
    }
}

impl<D: VirtioDevice> Device for VirtioPci<D> {
    fn name(&self) -> &'static str {
        D::NAME
    }

    fn config(&mut self) -> Option<&mut Config> {
        Some(&mut self.config)
    }

    fn memory(&self) -> Vec<Range> {
        self.config.decoded(false)
    }

    fn ports(&self) -> Vec<Range> {
        self.config.decoded(true)
    }

    fn configured(&mut self, board: &mut Board, offset: u8, len: u8) {
        if let Some((bar, at, len)) = self.in_window(offset, len) {
            let bytes = self.config.dword(WINDOW_DATA).to_le_bytes();
            if bar.is_io {
                self.port_write(board, bar.index, at as u16, &bytes[..len]);
            } else {
                self.modern_write(board, at, &bytes[..len]);
            }
        }
        if self.messages_enabled() {
            let masked = self.all_masked();
            self.msix.catch_up(board, masked);
        }
        self.update_pin(board);
    }

    fn configuration_read(&mut self, board: &mut Board, offset: u8, len: u8) {
        if let Some((bar, at, len)) = self.in_window(offset, len) {
            let mut bytes = [0; 4];
            if bar.is_io {
                self.port_read(board, bar.index, at as u16, &mut bytes[..len]);
            } else {
                self.modern_read(board, at, &mut bytes[..len]);
            }
            for (at, byte) in (WINDOW_DATA..).zip(bytes) {
                self.config.put(at, byte);
            }
        }
    }

    fn memory_read(&mut self, board: &mut Board, region: u8, offset: u64, data: &mut [u8]) {
        if region == MESSAGES.index {
            self.msix.read(offset, data);
        } else {
            self.modern_read(board, offset, data);
        }
    }

    fn memory_write(&mut self, board: &mut Board, region: u8, offset: u64, data: &[u8]) {
        if region == MESSAGES.index {
            self.msix.write(offset, data);
            if self.messages_enabled() {
                let masked = self.all_masked();
                self.msix.catch_up(board, masked);
            }
        } else {
            self.modern_write(board, offset, data);
        }
    }

    /// [4.1.4.10] The legacy interface.
    fn port_read(&mut self, board: &mut Board, _: u8, offset: u16, data: &mut [u8]) {
        if offset == 0x13 {
            data.fill(0);
            data[0] = self.take_isr(board);
            return;
        }
        let config = self.legacy_config();
        if let Some(at) = offset.checked_sub(config) {
            copy(&self.device.config(), at.into(), data);
            return;
        }
        let mut bytes = [0; 0x18];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0x00, &(self.offered() as u32).to_le_bytes());
        put(0x04, &(self.driver_features as u32).to_le_bytes());
        if let Some(queue) = self.queues.get(usize::from(self.queue_select)) {
            put(0x08, &((queue.areas[0] >> 12) as u32).to_le_bytes());
            put(0x0c, &queue.size.to_le_bytes());
            put(0x16, &queue.vector.to_le_bytes());
        }
        put(0x0e, &self.queue_select.to_le_bytes());
        put(0x12, &[self.status]);
        put(0x14, &self.config_vector.to_le_bytes());
        copy(&bytes[..usize::from(config)], offset.into(), data);
    }

    fn port_write(&mut self, board: &mut Board, _: u8, offset: u16, data: &[u8]) {
        let config = self.legacy_config();
        if let Some(at) = offset.checked_sub(config) {
            self.device.write_config(at.into(), data);
            return;
        }
        let value = number(data);
        match (offset, data.len()) {
            (0x04, 4) => self.set_driver_features(value),
            (0x08, 4) => self.set_legacy_page(value as u32),
            (0x0e, 2) => self.queue_select = value as u16,
            (0x10, 2) => self.notified(board, value as u16),
            (0x12, 1) => self.set_status(board, value as u8, false),
            (0x14, 2) => self.config_vector = self.vector(value as u16),
            (0x16, 2) => {
                let vector = self.vector(value as u16);
                if let Some(queue) = self.queue() {
                    queue.vector = vector;
                }
            }
            _ => {}
        }
    }

    fn reset(&mut self, board: &mut Board) {
        self.config.reset();
        self.msix.reset();
        self.clear();
        self.update_pin(board);
    }
}
