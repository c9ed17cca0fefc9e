//! PCI-to-PCI bridges: bus numbers and windows ([`Pci::enumerate`]), and the bridge itself ([`Bridge`]). P2P §3.2.

use std::ops::Range;

use testjig_vm::Fault;

use super::header::{self, BridgeControl};
use super::host::no_windows;
use super::window::{Pool, Pools};
use super::{BarKind, Bdf, Function, Pci, Status};

/// Granularity of an I/O window in bytes (P2P §3.2.5.6).
const IO_STEP: u64 = 4 << 10;
/// Granularity of a memory window in bytes (P2P §3.2.5.8).
const MEMORY_STEP: u64 = 1 << 20;
/// Room that a memory window has beyond what is there, for what is plugged in later.
const SPARE: u64 = 2 << 20;

/// A PCI-to-PCI bridge, or a port of PCI Express, which looks like one.
#[derive(Clone, Debug)]
pub struct Bridge {
    function: Function,
}

impl Function {
    /// The bridge that it is, by its header.
    #[track_caller]
    pub fn as_bridge(&self) -> Option<Bridge> {
        self.is_bridge().then(|| Bridge {
            function: self.clone(),
        })
    }
}

impl Bridge {
    /// The bridge's own configuration space.
    pub fn function(&self) -> &Function {
        &self.function
    }

    /// The number of the bus on its upstream side, as its register has it.
    #[track_caller]
    pub fn primary(&self) -> u8 {
        self.function.read(header::PRIMARY_BUS)
    }

    /// The number of the bus behind it.
    #[track_caller]
    pub fn secondary(&self) -> u8 {
        self.function.read(header::SECONDARY_BUS)
    }

    /// The highest number of a bus behind it.
    #[track_caller]
    pub fn subordinate(&self) -> u8 {
        self.function.read(header::SUBORDINATE_BUS)
    }

    /// Numbers the buses on both sides.
    #[track_caller]
    pub fn set_buses(&self, primary: u8, secondary: u8, subordinate: u8) {
        self.function.write(header::PRIMARY_BUS, primary);
        self.function.write(header::SECONDARY_BUS, secondary);
        self.function.write(header::SUBORDINATE_BUS, subordinate);
    }

    /// A function behind it.
    #[track_caller]
    pub fn device(&self, device: u8) -> Function {
        self.function
            .pci()
            .function(Bdf::new(self.secondary(), device, 0))
    }

    /// Bridge control.
    #[track_caller]
    pub fn control(&self) -> BridgeControl {
        self.function.read::<u16>(header::BRIDGE_CONTROL).into()
    }

    /// Writes bridge control.
    #[track_caller]
    pub fn set_control(&self, control: BridgeControl) {
        self.function
            .write(header::BRIDGE_CONTROL, control.into_bits());
    }

    /// Status of the secondary side.
    #[track_caller]
    pub fn secondary_status(&self) -> Status {
        self.function.read::<u16>(header::SECONDARY_STATUS).into()
    }

    /// Resets what is behind it: sets the bit and clears it again. It then has neither addresses nor bus numbers of its own.
    #[track_caller]
    pub fn reset_secondary_bus(&self) {
        let control = self.control();
        self.set_control(control.with_secondary_bus_reset(true));
        self.set_control(control.with_secondary_bus_reset(false));
    }

    /// Opens the I/O window for these ports; an empty range closes it.
    #[track_caller]
    pub fn set_io(&self, ports: Range<u64>) {
        let (base, limit) = if ports.is_empty() {
            (0xf0, 0)
        } else {
            ((ports.start >> 8) as u8, ((ports.end - 1) >> 8) as u8)
        };
        self.function.write::<u8>(header::IO_BASE, base & 0xf0);
        self.function.write::<u8>(header::IO_BASE + 1, limit & 0xf0);
        let upper = |port: u64| (port >> 16) as u16;
        let (base, limit) = (upper(ports.start), upper(ports.end.saturating_sub(1)));
        self.function.write::<u16>(header::IO_BASE_UPPER, base);
        self.function.write::<u16>(header::IO_BASE_UPPER + 2, limit);
    }

    /// Opens the memory window for these addresses below 4 GiB; an empty range closes it.
    #[track_caller]
    pub fn set_memory(&self, range: Range<u64>) {
        self.set_window(header::MEMORY_BASE, &range);
    }

    /// Opens the prefetchable window for these addresses; an empty range closes it.
    #[track_caller]
    pub fn set_prefetchable(&self, range: Range<u64>) {
        self.set_window(header::PREFETCHABLE_BASE, &range);
        let (base, limit) = if range.is_empty() {
            (0, 0)
        } else {
            (range.start, range.end - 1)
        };
        let upper = |address: u64| (address >> 32) as u32;
        self.function
            .write(header::PREFETCHABLE_BASE_UPPER, upper(base));
        self.function
            .write(header::PREFETCHABLE_LIMIT_UPPER, upper(limit));
    }

    #[track_caller]
    fn set_window(&self, offset: u16, range: &Range<u64>) {
        let (base, limit) = if range.is_empty() {
            (0xfff0, 0)
        } else {
            ((range.start >> 16) as u16, ((range.end - 1) >> 16) as u16)
        };
        self.function.write::<u16>(offset, base & 0xfff0);
        self.function.write::<u16>(offset + 2, limit & 0xfff0);
    }

    /// The ports that it forwards, as its registers say; empty if the window is closed.
    #[track_caller]
    pub fn io(&self) -> Range<u64> {
        let base: u8 = self.function.read(header::IO_BASE);
        let limit: u8 = self.function.read(header::IO_BASE + 1);
        let upper = |offset| u64::from(self.function.read::<u16>(offset)) << 16;
        let (mut from, mut to) = (u64::from(base & 0xf0) << 8, u64::from(limit & 0xf0) << 8);
        if base & 0xf == 1 {
            from |= upper(header::IO_BASE_UPPER);
            to |= upper(header::IO_BASE_UPPER + 2);
        }
        between(from, to + IO_STEP)
    }

    /// The memory below 4 GiB that it forwards; empty if the window is closed.
    #[track_caller]
    pub fn memory(&self) -> Range<u64> {
        let (from, to) = self.window(header::MEMORY_BASE);
        between(from, to + MEMORY_STEP)
    }

    /// The prefetchable memory that it forwards; empty if the window is closed.
    #[track_caller]
    pub fn prefetchable(&self) -> Range<u64> {
        let (mut from, mut to) = self.window(header::PREFETCHABLE_BASE);
        if self.prefetches_64bit() {
            let upper = |offset| u64::from(self.function.read::<u32>(offset)) << 32;
            from |= upper(header::PREFETCHABLE_BASE_UPPER);
            to |= upper(header::PREFETCHABLE_LIMIT_UPPER);
        }
        between(from, to + MEMORY_STEP)
    }

    #[track_caller]
    fn window(&self, offset: u16) -> (u64, u64) {
        let base: u16 = self.function.read(offset);
        let limit: u16 = self.function.read(offset + 2);
        (
            u64::from(base & 0xfff0) << 16,
            u64::from(limit & 0xfff0) << 16,
        )
    }

    /// Whether its prefetchable window may be above 4 GiB.
    #[track_caller]
    pub fn prefetches_64bit(&self) -> bool {
        self.function.read::<u8>(header::PREFETCHABLE_BASE) & 0xf == 1
    }

    /// Whether a window's base register can be written at all: I/O and prefetchable windows are optional (P2P §3.2.5.6, §3.2.5.9).
    #[track_caller]
    fn has_window(&self, offset: u16) -> bool {
        self.function.write::<u8>(offset, 0xf0);
        self.function.read::<u8>(offset) & 0xf0 != 0
    }
}

fn between(from: u64, to: u64) -> Range<u64> {
    if from < to { from..to } else { 0..0 }
}

/// What is needed behind a bridge: bytes of one kind, and the alignment of the largest piece.
#[derive(Clone, Copy, Debug, Default)]
struct Need {
    size: u64,
    align: u64,
}

impl Need {
    fn add(&mut self, size: u64, align: u64) {
        // The pieces come largest first later, so that nothing is lost to alignment but at the end.
        self.size += size.next_multiple_of(align);
        self.align = self.align.max(align);
    }
}

/// A bridge that was met, with what is needed behind it.
struct Found {
    bridge: Bridge,
    secondary: u8,
    io: Need,
    memory: Need,
    prefetchable: Need,
    behind: Vec<Found>,
}

impl Pci {
    /// Numbers the buses behind bridges, opens each bridge's windows for what is there and some more, switches the bridges on, and
    /// returns all functions.
    ///
    /// A second call leaves alone what the first has done, and does the same for bridges that are new on bus 0.
    #[track_caller]
    pub fn enumerate(&self) -> Vec<Function> {
        let mut last = self.state().bridges.keys().copied().max().unwrap_or(0);
        let found = self.number(0, &mut last);
        for found in &found {
            self.open(0, found);
        }
        self.functions()
    }

    /// Numbers the buses of bridges that are new, and returns those bridges.
    #[track_caller]
    fn number(&self, bus: u8, last: &mut u8) -> Vec<Found> {
        let mut found = Vec::new();
        for function in self.functions_on(bus) {
            let Some(bridge) = function.as_bridge() else {
                continue;
            };
            let at = function.bdf();
            let known = self.state().bridges.values().any(|&known| known == at);
            if known {
                continue;
            }
            let Some(secondary) = last.checked_add(1) else {
                Fault::usage(format!(
                    "failed to number the bus behind {at}: 255 is taken"
                ))
                .raise();
            };
            *last = secondary;
            bridge.set_buses(bus, secondary, 0xff);
            self.state().bridges.insert(secondary, at);
            let behind = self.number(secondary, last);
            bridge.set_buses(bus, secondary, *last);
            found.push(self.needs(bridge, secondary, behind));
        }
        found
    }

    /// Adds up what is behind a bridge.
    #[track_caller]
    fn needs(&self, bridge: Bridge, secondary: u8, behind: Vec<Found>) -> Found {
        let has_io = bridge.has_window(header::IO_BASE);
        let has_prefetchable = bridge.has_window(header::PREFETCHABLE_BASE);
        let (mut io, mut memory, mut prefetchable) =
            (Need::default(), Need::default(), Need::default());
        for function in self.functions_on(secondary) {
            let mut bars = function.bars();
            bars.extend(function.rom());
            for bar in bars {
                let need = match bar.kind {
                    BarKind::Io => &mut io,
                    kind if kind.is_prefetchable() && has_prefetchable => &mut prefetchable,
                    _ => &mut memory,
                };
                need.add(bar.size, bar.size);
            }
        }
        for found in &behind {
            io.add(found.io.size, found.io.align);
            memory.add(found.memory.size, found.memory.align);
            prefetchable.add(found.prefetchable.size, found.prefetchable.align);
        }
        let window = |need: Need, spare: u64, step: u64| Need {
            size: (need.size + spare).next_multiple_of(step),
            align: need.align.max(step),
        };
        let none = Need { size: 0, align: 1 };
        Found {
            io: if has_io { window(io, 1, IO_STEP) } else { none },
            memory: window(memory, SPARE, MEMORY_STEP),
            prefetchable: if has_prefetchable {
                window(prefetchable, SPARE, MEMORY_STEP)
            } else {
                none
            },
            bridge,
            secondary,
            behind,
        }
    }

    /// Opens a bridge's windows in those of the bus above it. One for which there is no room stays closed.
    #[track_caller]
    fn open(&self, bus: u8, found: &Found) {
        let bridge = &found.bridge;
        let wide = bridge.prefetches_64bit();
        let windows = {
            let mut state = self.state();
            let Some(pools) = state.pools.get_mut(&bus) else {
                drop(state);
                no_windows(bridge.function().bdf());
            };
            let take = |pool: &mut Pool, need: Need| {
                let base = pool.allocate(need.size, need.align);
                base.map_or(0..0, |base| base..base + need.size)
            };
            let io = take(&mut pools.io, found.io);
            let memory = take(&mut pools.memory, found.memory);
            let above = if wide || pools.memory64.range().end <= 1 << 32 {
                take(&mut pools.memory64, found.prefetchable)
            } else {
                0..0
            };
            let prefetchable = if above.is_empty() {
                take(&mut pools.memory, found.prefetchable)
            } else {
                above
            };
            let behind = Pools {
                io: Pool::new(io.clone()),
                memory: Pool::new(memory.clone()),
                memory64: Pool::new(prefetchable.clone()),
            };
            state.pools.insert(found.secondary, behind);
            (io, memory, prefetchable)
        };
        bridge.set_io(windows.0);
        bridge.set_memory(windows.1);
        bridge.set_prefetchable(windows.2);
        bridge.function().change_command(|command| {
            command
                .with_io(true)
                .with_memory(true)
                .with_bus_master(true)
        });
        for behind in &found.behind {
            self.open(found.secondary, behind);
        }
    }
}
