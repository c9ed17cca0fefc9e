//! [`Msi`]: message-signaled interrupts (PCI §6.8.1), and where their messages land.

use std::rc::Rc;
use std::time::Duration;

use bitfield_struct::bitfield;
use testjig_vm::{Condition, Fault, Vm};

use super::{Capability, Function, Pci, capability};
use crate::mem::{GuestAlloc, GuestBuf};

/// What a function writes where in order to interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MsiMessage {
    /// Address on the PCI bus, a multiple of 4.
    pub address: u64,
    /// The dword that is written there; MSI has 16 bits of it.
    pub data: u32,
}

/// A dword of guest memory where messages land, instead of in an interrupt controller.
///
/// Zero stands for "nothing came": messages need other data.
#[derive(Clone, Debug)]
pub struct MsiSlot {
    vm: Vm,
    address: u64,
    /// Its piece of memory, if it owns one.
    _memory: Option<Rc<GuestBuf>>,
}

impl MsiSlot {
    /// A dword below 4 GiB from the machine's allocator.
    ///
    /// Ends the test as skipped on a `pseries`, whose devices reach memory only through a table that hypercalls fill.
    #[track_caller]
    pub fn new(pci: &Pci) -> Self {
        if pci.spapr().is_some() {
            Fault::skip("no message reaches the memory of a pseries: only hypercalls could map it for devices").raise();
        }
        let vm = pci.vm();
        let memory = GuestAlloc::of(vm).request(4).below(1 << 32).buf();
        Self {
            vm: vm.clone(),
            address: memory.addr(),
            _memory: Some(Rc::new(memory)),
        }
    }

    /// The dword at this guest-physical address, which becomes zero.
    #[track_caller]
    pub fn at(vm: &Vm, address: u64) -> Self {
        let slot = Self {
            vm: vm.clone(),
            address,
            _memory: None,
        };
        slot.clear();
        slot
    }

    /// The message that lands here with this data.
    ///
    /// # Panics
    /// If the data is zero.
    pub fn message(&self, data: u32) -> MsiMessage {
        assert!(data != 0, "zero can't be told from no message");
        MsiMessage {
            address: self.address,
            data,
        }
    }

    /// The data of the last message since the slot was cleared.
    #[track_caller]
    pub fn received(&self) -> Option<u32> {
        match self.vm.ram().read_le(self.address) {
            0 => None,
            data => Some(data),
        }
    }

    /// Forgets what came.
    #[track_caller]
    pub fn clear(&self) {
        self.vm.ram().write_le(self.address, 0_u32);
    }

    /// The data of the last message, and forgets it.
    #[track_caller]
    pub fn take(&self) -> Option<u32> {
        let received = self.received();
        self.clear();
        received
    }

    /// Holds once a message has come.
    pub fn arrived(&self) -> Condition<'static> {
        let slot = self.clone();
        Condition::new(
            format!("an MSI message at {:#x}", self.address),
            move || slot.received().is_some(),
        )
    }

    /// Waits for a message, so long of the host's time, and forgets it.
    #[track_caller]
    pub fn wait(&self, within: Duration) -> u32 {
        self.vm.wait_until(self.arrived(), within);
        self.take().unwrap_or_default()
    }
}

/// Message control (PCI §6.8.1.3).
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct MsiControl {
    /// Messages are sent, and INTx# is not asserted.
    pub enable: bool,
    /// Power of two of the vectors that the function can use, 0–5. Read-only.
    #[bits(3)]
    pub capable: u8,
    /// Power of two of the vectors that it may use.
    #[bits(3)]
    pub enabled: u8,
    /// The address has 64 bits. Read-only.
    pub wide: bool,
    /// Each vector can be masked. Read-only.
    pub maskable: bool,
    #[bits(7)]
    __: u8,
}

/// The MSI capability.
#[derive(Clone, Debug)]
pub struct Msi {
    capability: Capability,
}

impl Function {
    /// Its MSI capability.
    #[track_caller]
    pub fn msi(&self) -> Option<Msi> {
        self.capability(capability::id::MSI)
            .map(|capability| Msi { capability })
    }
}

impl Msi {
    /// Its place in configuration space.
    pub fn capability(&self) -> &Capability {
        &self.capability
    }

    /// Message control.
    #[track_caller]
    pub fn control(&self) -> MsiControl {
        self.capability.read::<u16>(0x02).into()
    }

    /// Writes message control.
    #[track_caller]
    pub fn set_control(&self, control: MsiControl) {
        self.capability.write(0x02, control.into_bits());
    }

    /// Sets the message of vector 0; the function puts the number of others into its low bits.
    #[track_caller]
    pub fn set_message(&self, message: MsiMessage) {
        self.capability.write(0x04, message.address as u32);
        let wide = self.control().wide();
        if wide {
            self.capability.write(0x08, (message.address >> 32) as u32);
        } else {
            assert!(
                message.address >> 32 == 0,
                "this function's MSI address has 32 bits, {:#x} has more",
                message.address
            );
        }
        self.capability.write(Self::data(wide), message.data as u16);
    }

    /// The message of vector 0.
    #[track_caller]
    pub fn message(&self) -> MsiMessage {
        let wide = self.control().wide();
        let low: u32 = self.capability.read(0x04);
        let high: u32 = if wide { self.capability.read(0x08) } else { 0 };
        MsiMessage {
            address: u64::from(high) << 32 | u64::from(low),
            data: self.capability.read::<u16>(Self::data(wide)).into(),
        }
    }

    const fn data(wide: bool) -> u16 {
        if wide { 0x0c } else { 0x08 }
    }

    /// Where the mask bits are; the pending bits follow.
    #[track_caller]
    fn mask_offset(&self) -> u16 {
        let control = self.control();
        assert!(
            control.maskable(),
            "the MSI vectors of {} can't be masked",
            self.capability.function().bdf()
        );
        if control.wide() { 0x10 } else { 0x0c }
    }

    /// The mask bits, one a vector.
    ///
    /// # Panics
    /// If the function has none.
    #[track_caller]
    pub fn mask(&self) -> u32 {
        self.capability.read(self.mask_offset())
    }

    /// Writes the mask bits.
    ///
    /// # Panics
    /// If the function has none.
    #[track_caller]
    pub fn set_mask(&self, mask: u32) {
        self.capability.write(self.mask_offset(), mask);
    }

    /// The pending bits: vectors whose message waits until it is unmasked.
    ///
    /// # Panics
    /// If the function has none.
    #[track_caller]
    pub fn pending(&self) -> u32 {
        self.capability.read(self.mask_offset() + 4)
    }

    /// Sends messages from now on, of one vector, as a bus master.
    #[track_caller]
    pub fn enable(&self, message: MsiMessage) {
        self.set_message(message);
        self.capability.function().enable_bus_master();
        self.set_control(self.control().with_enabled(0).with_enable(true));
    }

    /// Sends none.
    #[track_caller]
    pub fn disable(&self) {
        self.set_control(self.control().with_enable(false));
    }
}
