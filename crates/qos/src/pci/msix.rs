//! [`Msix`]: message-signaled interrupts with a table of messages in memory space (PCI §6.8.2).

use bitfield_struct::bitfield;

use super::{Bar, Capability, Function, MsiMessage, capability};

/// Message control (PCI §6.8.2.3).
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct MsixControl {
    /// Entries of the table less one. Read-only.
    #[bits(11)]
    pub last_entry: u16,
    #[bits(3)]
    __: u8,
    /// All vectors are masked.
    pub function_mask: bool,
    /// Messages are sent, and INTx# is not asserted.
    pub enable: bool,
}

/// One entry of the table (PCI §6.8.2.6–9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MsixEntry {
    /// What is sent.
    pub message: MsiMessage,
    /// Whether it is held back.
    pub masked: bool,
}

/// The MSI-X capability, its table and its pending bits mapped.
#[derive(Clone, Debug)]
pub struct Msix {
    capability: Capability,
    entries: u16,
    table: (Bar, u64),
    pending: (Bar, u64),
}

/// Where the table or the pending bits are, as the capability says: base address register, and offset in it in bytes.
struct Place {
    bar: u8,
    offset: u64,
}

impl Place {
    fn of(register: u32) -> Self {
        Self {
            bar: (register & 0x7) as u8,
            offset: u64::from(register & !0x7),
        }
    }
}

/// Bytes of an entry.
const ENTRY: u64 = 16;

impl Function {
    /// Its MSI-X capability.
    #[track_caller]
    pub fn msix_capability(&self) -> Option<Capability> {
        self.capability(capability::id::MSIX)
    }

    /// Its MSI-X capability with the base address registers that hold table and pending bits, which are mapped if they are not among
    /// `mapped`.
    #[track_caller]
    pub fn msix(&self, mapped: &[&Bar]) -> Option<Msix> {
        let capability = self.msix_capability()?;
        let control = MsixControl::from(capability.read::<u16>(0x02));
        let table = Place::of(capability.read(0x04));
        let pending = Place::of(capability.read(0x08));
        let known = |index: u8| {
            let known = mapped.iter().find(|bar| bar.info().index == index);
            known.map(|&bar| bar.clone())
        };
        let table_bar = known(table.bar).unwrap_or_else(|| self.iomap(table.bar));
        let pending_bar = if pending.bar == table.bar {
            table_bar.clone()
        } else {
            known(pending.bar).unwrap_or_else(|| self.iomap(pending.bar))
        };
        Some(Msix {
            capability,
            entries: control.last_entry() + 1,
            table: (table_bar, table.offset),
            pending: (pending_bar, pending.offset),
        })
    }
}

impl Msix {
    /// Its place in configuration space.
    pub fn capability(&self) -> &Capability {
        &self.capability
    }

    /// How many entries the table has.
    pub fn entries(&self) -> u16 {
        self.entries
    }

    /// The registers that the table is in, and where it begins there.
    pub fn table(&self) -> (&Bar, u64) {
        (&self.table.0, self.table.1)
    }

    /// The registers that the pending bits are in, and where they begin there.
    pub fn pending_bits(&self) -> (&Bar, u64) {
        (&self.pending.0, self.pending.1)
    }

    /// Message control.
    #[track_caller]
    pub fn control(&self) -> MsixControl {
        self.capability.read::<u16>(0x02).into()
    }

    /// Writes message control.
    #[track_caller]
    pub fn set_control(&self, control: MsixControl) {
        self.capability.write(0x02, control.into_bits());
    }

    /// Sends messages from now on, as a bus master.
    #[track_caller]
    pub fn enable(&self) {
        self.capability.function().enable_bus_master();
        self.set_control(self.control().with_enable(true).with_function_mask(false));
    }

    /// Sends none.
    #[track_caller]
    pub fn disable(&self) {
        self.set_control(self.control().with_enable(false));
    }

    /// Masks or unmasks all vectors.
    #[track_caller]
    pub fn mask_all(&self, masked: bool) {
        self.set_control(self.control().with_function_mask(masked));
    }

    #[track_caller]
    fn entry_offset(&self, vector: u16) -> u64 {
        assert!(
            vector < self.entries,
            "the MSI-X table of {} has entries 0 to {}, and no {vector}",
            self.capability.function().bdf(),
            self.entries - 1
        );
        self.table.1 + ENTRY * u64::from(vector)
    }

    /// Reads an entry.
    ///
    /// # Panics
    /// If the table has no such entry.
    #[track_caller]
    pub fn entry(&self, vector: u16) -> MsixEntry {
        let at = self.entry_offset(vector);
        let bar = &self.table.0;
        let low: u32 = bar.read(at);
        let high: u32 = bar.read(at + 4);
        MsixEntry {
            message: MsiMessage {
                address: u64::from(high) << 32 | u64::from(low),
                data: bar.read(at + 8),
            },
            masked: bar.read::<u32>(at + 12) & 1 != 0,
        }
    }

    /// Writes an entry, the mask last.
    ///
    /// # Panics
    /// If the table has no such entry.
    #[track_caller]
    pub fn set_entry(&self, vector: u16, entry: MsixEntry) {
        let at = self.entry_offset(vector);
        let bar = &self.table.0;
        bar.write(at, entry.message.address as u32);
        bar.write(at + 4, (entry.message.address >> 32) as u32);
        bar.write(at + 8, entry.message.data);
        bar.write(at + 12, u32::from(entry.masked));
    }

    /// Sets a vector's message and unmasks it.
    #[track_caller]
    pub fn set_message(&self, vector: u16, message: MsiMessage) {
        self.set_entry(
            vector,
            MsixEntry {
                message,
                masked: false,
            },
        );
    }

    /// Masks or unmasks one vector, its message as it is.
    ///
    /// # Panics
    /// If the table has no such entry.
    #[track_caller]
    pub fn mask(&self, vector: u16, masked: bool) {
        let at = self.entry_offset(vector) + 12;
        let control: u32 = self.table.0.read(at);
        self.table.0.write(at, control & !1 | u32::from(masked));
    }

    /// Whether a vector's message waits until it is unmasked.
    ///
    /// # Panics
    /// If the table has no such entry.
    #[track_caller]
    pub fn is_pending(&self, vector: u16) -> bool {
        let _ = self.entry_offset(vector);
        let (bar, offset) = &self.pending;
        let dword: u32 = bar.read(offset + u64::from(vector / 32) * 4);
        dword >> (vector % 32) & 1 != 0
    }
}
