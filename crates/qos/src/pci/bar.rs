//! Base address registers: what they ask for ([`BarInfo`]), and a mapped one ([`Bar`]). PCI §6.2.5.

use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use testjig_qtest::Width;
use testjig_vm::{Fault, Vm};

use super::host::no_windows;
use super::{BarValue, Bdf, Command, Function, Ports, header, value};

/// Where a base address register places a function's registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BarKind {
    /// I/O ports.
    Io,
    /// Memory below 4 GiB.
    Memory32 {
        /// Reads have no side effects.
        prefetchable: bool,
    },
    /// Memory anywhere; the next register has the upper half of the address.
    Memory64 {
        /// Reads have no side effects.
        prefetchable: bool,
    },
    /// The expansion ROM.
    Rom,
}

impl BarKind {
    /// Whether it is in I/O space.
    pub const fn is_io(self) -> bool {
        matches!(self, Self::Io)
    }

    /// Whether its address has 64 bits.
    pub const fn is_64bit(self) -> bool {
        matches!(self, Self::Memory64 { .. })
    }

    /// Whether reads have no side effects.
    pub const fn is_prefetchable(self) -> bool {
        matches!(
            self,
            Self::Memory32 { prefetchable: true } | Self::Memory64 { prefetchable: true }
        )
    }

    /// From the low bits of the register; `None` for the two reserved types.
    const fn of(low: u32) -> Option<Self> {
        let prefetchable = low & 0x8 != 0;
        match low & 0x7 {
            0x0 => Some(Self::Memory32 { prefetchable }),
            0x4 => Some(Self::Memory64 { prefetchable }),
            low if low & 0x1 != 0 => Some(Self::Io),
            _ => None,
        }
    }

    /// The bits of the register that are not address.
    const fn flags(self) -> u64 {
        match self {
            Self::Io => 0x3,
            Self::Memory32 { .. } | Self::Memory64 { .. } => 0xf,
            Self::Rom => 0x7ff,
        }
    }
}

/// One base address register that a function implements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BarInfo {
    /// Its number, 0–5; 6 is the expansion ROM.
    pub index: u8,
    /// What it is.
    pub kind: BarKind,
    /// How many bytes, a power of two.
    pub size: u64,
}

impl BarInfo {
    /// The number that stands for the expansion ROM.
    pub const ROM: u8 = 6;
}

impl Function {
    /// How many base address registers the header has.
    #[track_caller]
    fn bar_count(&self) -> u8 {
        if self.is_bridge() { 2 } else { 6 }
    }

    /// Where the register is in the header.
    #[track_caller]
    fn bar_offset(&self, index: u8) -> u16 {
        match index {
            BarInfo::ROM if self.is_bridge() => header::BRIDGE_ROM,
            BarInfo::ROM => header::ROM,
            index => header::BAR0 + 4 * u16::from(index),
        }
    }

    /// The base address registers that the function implements, found out by writing all ones with decoding switched off (PCI §6.2.5.1).
    /// The registers and the command register have their values again afterwards. The expansion ROM is not among them.
    #[track_caller]
    pub fn bars(&self) -> Vec<BarInfo> {
        self.without_decoding(|| {
            let mut bars = Vec::new();
            let mut index = 0;
            let count = self.bar_count();
            while index < count {
                let info = self.size_bar(index);
                index += if info.is_some_and(|info| info.kind.is_64bit()) {
                    2
                } else {
                    1
                };
                bars.extend(info);
            }
            bars
        })
    }

    /// One base address register, found out as [`Function::bars`] does; `None` if the function does not implement it.
    ///
    /// # Panics
    /// If the header has no such register, or if it is the upper half of a 64-bit one.
    #[track_caller]
    pub fn bar(&self, index: u8) -> Option<BarInfo> {
        let count = self.bar_count();
        assert!(
            index < count,
            "{} has base address registers 0 to {}, and no {index}",
            self.bdf(),
            count - 1
        );
        let mut below = 0;
        while below < index {
            let low: u32 = self.read(self.bar_offset(below));
            below += if low & 0x7 == 0x4 { 2 } else { 1 };
        }
        assert!(
            below == index,
            "base address register {index} of {} is the upper half of {}",
            self.bdf(),
            index - 1
        );
        self.without_decoding(|| self.size_bar(index))
    }

    /// The expansion ROM (PCI §6.2.5.2); `None` if the function has none.
    #[track_caller]
    pub fn rom(&self) -> Option<BarInfo> {
        self.without_decoding(|| {
            let offset = self.bar_offset(BarInfo::ROM);
            let before: u32 = self.read(offset);
            self.write(offset, !0x7ff_u32);
            let probed: u32 = self.read(offset);
            self.write(offset, before);
            let mask = probed & !0x7ff;
            (mask != 0).then(|| BarInfo {
                index: BarInfo::ROM,
                kind: BarKind::Rom,
                size: 1 << mask.trailing_zeros(),
            })
        })
    }

    /// Sizes one register, the function's decoding switched off.
    #[track_caller]
    fn size_bar(&self, index: u8) -> Option<BarInfo> {
        let offset = self.bar_offset(index);
        let low = self.probe(offset);
        let Some(kind) = BarKind::of(low) else {
            Fault::usage(format!(
                "base address register {index} of {} is {low:#010x} with all ones written: a memory type that is reserved",
                self.bdf()
            ))
            .raise();
        };
        let mut mask = u64::from(low) & !kind.flags();
        if kind.is_64bit() {
            mask |= u64::from(self.probe(offset + 4)) << 32;
        }
        // An I/O register may leave the upper half of its address out.
        (mask != 0).then(|| BarInfo {
            index,
            kind,
            size: 1 << mask.trailing_zeros(),
        })
    }

    /// What a register keeps of all ones.
    #[track_caller]
    fn probe(&self, offset: u16) -> u32 {
        let before: u32 = self.read(offset);
        self.write(offset, u32::MAX);
        let probed = self.read(offset);
        self.write(offset, before);
        probed
    }

    /// Does something while the function decodes neither ports nor memory; nothing where no function answers, whose registers would
    /// read as all ones whatever is written.
    #[track_caller]
    fn without_decoding<R: Default>(&self, act: impl FnOnce() -> R) -> R {
        let command = self.command();
        if command.into_bits() == u16::MAX {
            return R::default();
        }
        let decodes = command.io() || command.memory();
        if decodes {
            self.set_command(command.with_io(false).with_memory(false));
        }
        let result = act();
        if decodes {
            self.set_command(command);
        }
        result
    }

    /// Gives base address register `index` (0–5) free addresses in a window of its bus, and switches its decoding on.
    ///
    /// Unwinds if the function does not implement the register, or if there is no room.
    #[track_caller]
    pub fn iomap(&self, index: u8) -> Bar {
        let info = self.implemented(index);
        let (address, pool) = self.allocate(&info);
        self.map(info, address, Some(pool))
    }

    /// Gives the expansion ROM free addresses, and switches its decoding on.
    #[track_caller]
    pub fn iomap_rom(&self) -> Bar {
        let Some(info) = self.rom() else {
            Fault::usage(format!(
                "failed to map the expansion ROM of {}: it has none",
                self.bdf()
            ))
            .raise();
        };
        let (address, pool) = self.allocate(&info);
        self.map(info, address, Some(pool))
    }

    /// As [`Function::iomap`], at a port or PCI memory address of the test's choice, whoever else may be there.
    #[track_caller]
    pub fn iomap_at(&self, index: u8, address: u64) -> Bar {
        let info = self.implemented(index);
        self.map(info, address, None)
    }

    #[track_caller]
    fn implemented(&self, index: u8) -> BarInfo {
        match self.bar(index) {
            Some(info) => info,
            None => Fault::usage(format!(
                "failed to map base address register {index} of {}: the function does not implement it{}",
                self.bdf(),
                if self.is_present() {
                    ""
                } else {
                    "; no function answers there"
                }
            ))
            .raise(),
        }
    }

    /// Addresses for a register, and of which pool they are.
    #[track_caller]
    fn allocate(&self, info: &BarInfo) -> (u64, PoolKind) {
        let at = self.bdf();
        let mut state = self.pci().state();
        let Some(pools) = state.pools.get_mut(&at.bus()) else {
            drop(state);
            no_windows(at)
        };
        let mut choices = PoolKind::choices(info.kind, at.bus() == 0).iter();
        let found = choices.find_map(|&kind| {
            let pool = kind.of(pools);
            // A 32-bit register takes no address above.
            let fits = info.kind.is_64bit() || pool.range().end <= 1 << 32;
            let address = fits
                .then(|| pool.allocate(info.size, info.size))
                .flatten()?;
            Some((address, kind))
        });
        drop(state);
        match found {
            Some(found) => found,
            None => Fault::usage(format!(
                "failed to map base address register {} of {at}: no {:#x} bytes of {} are left on bus {:#04x}",
                info.index,
                info.size,
                if info.kind.is_io() { "I/O space" } else { "memory space" },
                at.bus()
            ))
            .raise(),
        }
    }

    #[track_caller]
    fn map(&self, info: BarInfo, address: u64, pool: Option<PoolKind>) -> Bar {
        let pci = self.pci();
        let place = if info.kind.is_io() {
            match pci.map().ports {
                Ports::Native => Place::Port(address as u16),
                Ports::Memory(base) => Place::Memory(base + address),
            }
        } else {
            match pci.map().cpu_address(address) {
                Some(cpu) => Place::Memory(cpu),
                None => Fault::usage(format!(
                    "failed to map base address register {} of {} to {address:#x}: no window of the host bridge leads there",
                    info.index,
                    self.bdf()
                ))
                .raise(),
            }
        };
        let offset = self.bar_offset(info.index);
        let enable = u32::from(info.kind == BarKind::Rom);
        self.write(offset, address as u32 | enable);
        if info.kind.is_64bit() {
            self.write(offset + 4, (address >> 32) as u32);
        }
        let command = self.command();
        let decoding = decoding(command, info.kind, true);
        if decoding != command {
            self.set_command(decoding);
        }
        pci.state().mapped.entry(self.bdf()).or_default()[usize::from(!info.kind.is_io())] += 1;
        Bar(Rc::new(Mapped {
            function: self.clone(),
            info,
            address,
            place,
            swap: value::is_big_endian(pci.vm()),
            pool,
            unmapped: Cell::new(None),
        }))
    }
}

/// The command register with the space of this kind switched on or off.
fn decoding(command: Command, kind: BarKind, on: bool) -> Command {
    if kind.is_io() {
        command.with_io(on)
    } else {
        command.with_memory(on)
    }
}

/// Which of a bus's pools addresses are from.
#[derive(Clone, Copy, Debug)]
enum PoolKind {
    Io,
    Memory,
    Memory64,
}

impl PoolKind {
    /// Where to look for room, best first. Behind a bridge only what can be prefetched may be in the prefetchable window.
    fn choices(kind: BarKind, on_root: bool) -> &'static [Self] {
        match kind {
            BarKind::Io => &[Self::Io],
            BarKind::Rom
            | BarKind::Memory32 {
                prefetchable: false,
            } => &[Self::Memory],
            BarKind::Memory64 {
                prefetchable: false,
            } if !on_root => &[Self::Memory],
            BarKind::Memory32 { prefetchable: true } if on_root => &[Self::Memory],
            BarKind::Memory32 { .. } | BarKind::Memory64 { .. } => &[Self::Memory64, Self::Memory],
        }
    }

    fn of(self, pools: &mut super::window::Pools) -> &mut super::window::Pool {
        match self {
            Self::Io => &mut pools.io,
            Self::Memory => &mut pools.memory,
            Self::Memory64 => &mut pools.memory64,
        }
    }
}

/// Where the processor finds the registers.
#[derive(Clone, Copy, Debug)]
enum Place {
    Port(u16),
    Memory(u64),
}

/// A mapped base address register: the device's registers, by their offset.
///
/// Values are little-endian. Clones are the same mapping; after [`Bar::unmap`] an access through any of them unwinds and says so.
#[derive(Clone)]
pub struct Bar(Rc<Mapped>);

struct Mapped {
    function: Function,
    info: BarInfo,
    address: u64,
    place: Place,
    swap: bool,
    pool: Option<PoolKind>,
    unmapped: Cell<Option<&'static Location<'static>>>,
}

impl Bar {
    /// The function that it belongs to.
    pub fn function(&self) -> &Function {
        &self.0.function
    }

    /// What the register asked for.
    pub fn info(&self) -> BarInfo {
        self.0.info
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.0.info.size
    }

    /// The address that the register was given: a port number, or an address on the PCI bus.
    pub fn address(&self) -> u64 {
        self.0.address
    }

    /// The guest-physical address of the first byte; `None` if it is reached by port instructions.
    pub fn cpu_address(&self) -> Option<u64> {
        match self.0.place {
            Place::Port(_) => None,
            Place::Memory(address) => Some(address),
        }
    }

    /// The machine.
    pub fn vm(&self) -> &Vm {
        self.0.function.vm()
    }

    /// Whether it was unmapped.
    pub fn is_unmapped(&self) -> bool {
        self.0.unmapped.get().is_some()
    }

    /// Reads a register `offset` bytes from the start.
    #[track_caller]
    pub fn read<T: BarValue>(&self, offset: u64) -> T {
        self.check("read", offset, T::WIDTH.bytes() as u64);
        let vm = self.vm();
        T::from_u64(match self.0.place {
            Place::Port(base) => {
                let port = base + offset as u16;
                match T::WIDTH {
                    Width::B => vm.inb(port).into(),
                    Width::W => vm.inw(port).into(),
                    Width::L => vm.inl(port).into(),
                    Width::Q => self.too_wide(),
                }
            }
            Place::Memory(base) => value::read_memory(vm, self.0.swap, base + offset, T::WIDTH),
        })
    }

    /// Writes a register `offset` bytes from the start. Queued.
    #[track_caller]
    pub fn write<T: BarValue>(&self, offset: u64, value: T) {
        self.check("write", offset, T::WIDTH.bytes() as u64);
        let vm = self.vm();
        let value = value.into_u64();
        match self.0.place {
            Place::Port(base) => {
                let port = base + offset as u16;
                match T::WIDTH {
                    Width::B => vm.outb(port, value as u8),
                    Width::W => vm.outw(port, value as u16),
                    Width::L => vm.outl(port, value as u32),
                    Width::Q => self.too_wide(),
                }
            }
            Place::Memory(base) => {
                value::write_memory(vm, self.0.swap, base + offset, T::WIDTH, value);
            }
        }
    }

    /// Reads bytes as they are in memory space, with accesses of whatever width the machine chooses.
    #[track_caller]
    pub fn read_bytes(&self, offset: u64, bytes: &mut [u8]) {
        let base = self.block("read", offset, bytes.len());
        self.vm().read_mem(base + offset, bytes);
    }

    /// Writes bytes into memory space, with accesses of whatever width the machine chooses. Queued.
    #[track_caller]
    pub fn write_bytes(&self, offset: u64, bytes: &[u8]) {
        let base = self.block("write", offset, bytes.len());
        self.vm().write_mem(base + offset, bytes);
    }

    #[track_caller]
    fn block(&self, attempt: &str, offset: u64, len: usize) -> u64 {
        self.check(attempt, offset, len as u64);
        match self.0.place {
            Place::Memory(base) => base,
            Place::Port(_) => Fault::usage(format!(
                "failed to {attempt} {len} bytes at {offset:#x} of {self}: blocks are for memory, these are ports"
            ))
            .raise(),
        }
    }

    /// Takes the registers out of the address space: the addresses are free again, and decoding is switched off if no other register of
    /// this kind is mapped. Where one is, the register is left at the top of its space, where nothing decodes.
    ///
    /// Unwinds if it was unmapped already.
    #[track_caller]
    pub fn unmap(&self) {
        let Mapped {
            function,
            info,
            address,
            pool,
            unmapped,
            ..
        } = &*self.0;
        if let Some(first) = unmapped.get() {
            Fault::usage(format!("unmapped twice: {self} was unmapped at {first}")).raise();
        }
        unmapped.set(Some(Location::caller()));
        let left = {
            let mut state = function.pci().state();
            if let (Some(pool), Some(pools)) = (pool, state.pools.get_mut(&function.bdf().bus())) {
                pool.of(pools).free(*address);
            }
            let counts = state.mapped.entry(function.bdf()).or_default();
            let left = &mut counts[usize::from(!info.kind.is_io())];
            *left = left.saturating_sub(1);
            *left
        };
        if left == 0 {
            function.change_command(|command| decoding(command, info.kind, false));
        }
        let offset = function.bar_offset(info.index);
        if info.kind == BarKind::Rom {
            return function.write(offset, 0_u32);
        }
        function.write(offset, u32::MAX);
        if info.kind.is_64bit() {
            function.write(offset + 4, u32::MAX);
        }
    }

    /// Unwinds if the access is beyond the end, or after the mapping's.
    #[track_caller]
    fn check(&self, attempt: &str, offset: u64, len: u64) {
        if let Some(at) = self.0.unmapped.get() {
            Fault::usage(format!(
                "use after unmap: failed to {attempt} at {offset:#x} of {self}: it was unmapped at {at}"
            ))
            .raise();
        }
        if offset.checked_add(len).is_none_or(|end| end > self.size()) {
            Fault::usage(format!(
                "failed to {attempt} {len} bytes at {offset:#x} of {self}: it has {:#x} bytes",
                self.size()
            ))
            .raise();
        }
    }

    #[track_caller]
    fn too_wide(&self) -> ! {
        Fault::usage(format!(
            "failed to access 8 bytes of {self}: ports take at most 4 at once"
        ))
        .raise()
    }
}

impl fmt::Display for Bar {
    /// `bar2 of 00:04.0`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at: Bdf = self.0.function.bdf();
        match self.0.info.index {
            BarInfo::ROM => write!(f, "the ROM of {at}"),
            index => write!(f, "bar{index} of {at}"),
        }
    }
}

impl fmt::Debug for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bar({self} at {:#x})", self.0.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PCI §6.2.5.1: bit 0 memory or I/O; bits 2–1 the type of memory, 01 and 11 reserved; bit 3 prefetchable.
    #[test]
    fn the_low_bits_tell_the_kind() {
        assert_eq!(BarKind::of(0x1), Some(BarKind::Io));
        assert_eq!(
            BarKind::of(0xfff0_0008),
            Some(BarKind::Memory32 { prefetchable: true })
        );
        assert_eq!(
            BarKind::of(0xfff0_0004),
            Some(BarKind::Memory64 {
                prefetchable: false
            })
        );
        assert_eq!(BarKind::of(0x2), None);
        assert_eq!(BarKind::of(0x6), None);
    }
}
