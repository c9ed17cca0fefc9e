//! The packed ring (Virtio 1.2 §2.8): one ring of descriptors, which both sides write, and two words to ask for events.

use std::cell::{Cell, RefCell};

use testjig_vm::{Ram, Vm};

use super::order::Order;
use super::queue::{InFlight, Placed, Used};
use super::segment::{DESC_LEN, Desc, DescFlags};
use super::split::Split;
use super::transport::Rings;
use crate::mem::{GuestAlloc, GuestBuf};

/// Packed rings are little-endian: only devices of the specification have them.
const LITTLE: Order = Order::Little;

/// What event suppression says (§2.8.10): events are sent, are not, or at one descriptor.
const ENABLE: u16 = 0;
const DISABLE: u16 = 1;
const AT_DESCRIPTOR: u16 = 2;

/// A place in the ring: descriptor and wrap counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    slot: u16,
    wrap: bool,
}

impl Place {
    const START: Self = Self {
        slot: 0,
        wrap: true,
    };

    /// `count` descriptors on, in a ring of `size`.
    fn after(self, count: u16, size: u16) -> Self {
        let sum = u32::from(self.slot) + u32::from(count);
        let laps = sum / u32::from(size);
        Self {
            slot: (sum % u32::from(size)) as u16,
            wrap: self.wrap ^ (laps % 2 == 1),
        }
    }

    /// As notifications and event suppression have it: bit 15 is the wrap counter.
    fn word(self) -> u16 {
        self.slot | u16::from(self.wrap) << 15
    }

    /// A number that grows by one with each descriptor, over two laps.
    fn position(self, size: u16) -> u32 {
        u32::from(self.slot) + if self.wrap { 0 } else { u32::from(size) }
    }
}

/// A packed ring and the driver's side of it.
#[derive(Debug)]
pub(super) struct Packed {
    ram: Ram,
    rings: Rings,
    event_idx: bool,
    in_order: bool,
    /// The memory of it all.
    _memory: [GuestBuf; 3],
    /// Ids of no buffer.
    ids: RefCell<Vec<u16>>,
    flights: RefCell<Vec<Option<InFlight>>>,
    waiting: RefCell<std::collections::VecDeque<u16>>,
    /// Heads whose flags are not written yet.
    hidden: RefCell<Vec<(u16, DescFlags)>>,
    next: Cell<Place>,
    exposed: Cell<Place>,
    /// Where the next used descriptor will be.
    used: Cell<Place>,
    free: Cell<u16>,
    told: Cell<Option<Used>>,
}

impl Packed {
    #[track_caller]
    pub(super) fn new(vm: &Vm, size: u16, event_idx: bool, in_order: bool) -> Self {
        let alloc = GuestAlloc::of(vm);
        let desc = alloc
            .request(DESC_LEN * u64::from(size))
            .align(16)
            .lingers()
            .buf();
        let driver = alloc.request(4).align(4).lingers().buf();
        let device = alloc.request(4).align(4).lingers().buf();
        let rings = Rings {
            size,
            desc: desc.addr(),
            driver: driver.addr(),
            device: device.addr(),
        };
        Self {
            ram: vm.ram(),
            rings,
            event_idx,
            in_order,
            _memory: [desc, driver, device],
            ids: RefCell::new((0..size).rev().collect()),
            flights: RefCell::new((0..size).map(|_| None).collect()),
            waiting: RefCell::default(),
            hidden: RefCell::default(),
            next: Cell::new(Place::START),
            exposed: Cell::new(Place::START),
            used: Cell::new(Place::START),
            free: Cell::new(size),
            told: Cell::new(None),
        }
    }

    pub(super) fn rings(&self) -> Rings {
        self.rings
    }

    pub(super) fn free_descriptors(&self) -> usize {
        self.free.get().into()
    }

    pub(super) fn is_in_order(&self) -> bool {
        self.in_order
    }

    /// Buffers that the device has not used, or that were not taken.
    pub(super) fn in_flight(&self) -> usize {
        self.waiting.borrow().len()
    }

    fn desc_addr(&self, slot: u16) -> u64 {
        self.rings.desc + DESC_LEN * u64::from(slot)
    }

    #[track_caller]
    pub(super) fn set_desc(&self, slot: u16, desc: Desc) {
        // Flags and id change places.
        let Desc { flags, next, .. } = desc;
        let swapped = Desc {
            flags: DescFlags(next),
            next: flags.0,
            ..desc
        };
        Split::write_desc_at(&self.ram, LITTLE, self.desc_addr(slot), swapped);
    }

    #[track_caller]
    pub(super) fn desc(&self, slot: u16) -> Desc {
        let addr = self.desc_addr(slot);
        Desc {
            addr: self.ram.read_le(addr),
            len: self.ram.read_le(addr + 8),
            next: self.ram.read_le(addr + 12),
            flags: DescFlags(self.ram.read_le(addr + 14)),
        }
    }

    #[track_caller]
    fn flags(&self, slot: u16) -> DescFlags {
        DescFlags(self.ram.read_le(self.desc_addr(slot) + 14))
    }

    /// The flags that make a descriptor available in the lap of this wrap counter (§2.8.1).
    fn available(wrap: bool) -> DescFlags {
        if wrap {
            DescFlags::AVAIL
        } else {
            DescFlags::USED
        }
    }

    /// Puts descriptors into the next slots. The head stays hidden until it is exposed.
    #[track_caller]
    pub(super) fn place(&self, descs: &[Desc], chained: bool) -> Option<Placed> {
        let count = descs.len() as u16;
        if self.free.get() < count {
            return None;
        }
        let id = self.ids.borrow_mut().pop()?;
        let head = self.next.get();
        let mut slots = Vec::with_capacity(descs.len());
        for (position, desc) in descs.iter().enumerate() {
            let at = head.after(position as u16, self.rings.size);
            slots.push(at.slot);
            let mut flags = desc.flags.with(Self::available(at.wrap));
            if chained && position + 1 < descs.len() {
                flags = flags.with(DescFlags::NEXT);
            }
            // §2.8.13: the head's flags are written last, when all of the chain is there.
            let shown = if position == 0 {
                self.hidden.borrow_mut().push((at.slot, flags));
                self.flags(at.slot)
            } else {
                flags
            };
            self.set_desc(
                at.slot,
                Desc {
                    flags: shown,
                    next: id,
                    ..*desc
                },
            );
        }
        self.next.set(head.after(count, self.rings.size));
        self.free.set(self.free.get() - count);
        Some(Placed {
            id,
            descriptors: slots,
        })
    }

    pub(super) fn queue(&self, placed: Placed, flight: InFlight) {
        self.waiting.borrow_mut().push_back(placed.id);
        self.flights.borrow_mut()[usize::from(placed.id)] = Some(InFlight {
            descriptors: placed.descriptors,
            ..flight
        });
    }

    /// Shows the device all that is queued; whether it wants to be notified.
    #[track_caller]
    pub(super) fn expose(&self) -> bool {
        for (slot, flags) in self.hidden.borrow_mut().drain(..) {
            self.ram.write_le(self.desc_addr(slot) + 14, flags.0);
        }
        let (old, new) = (self.exposed.get(), self.next.get());
        self.exposed.set(new);
        match self.ram.read_le::<u16>(self.rings.device + 2) {
            ENABLE => true,
            AT_DESCRIPTOR if self.event_idx => {
                let word: u16 = self.ram.read_le(self.rings.device);
                let event = Place {
                    slot: word & 0x7fff,
                    wrap: word >> 15 == 1,
                };
                self.passed(event, new, old)
            }
            _ => false,
        }
    }

    /// Whether going from `old` to `new` goes past `event`; all three are places of the last two laps.
    fn passed(&self, event: Place, new: Place, old: Place) -> bool {
        let laps = 2 * u32::from(self.rings.size);
        let back = |place: Place| {
            (laps + new.position(self.rings.size) - place.position(self.rings.size)) % laps
        };
        back(event) >= 1 && back(event) <= back(old)
    }

    /// What a notification tells with [`super::Features::NOTIFICATION_DATA`].
    pub(super) fn position(&self) -> u16 {
        self.exposed.get().word()
    }

    #[track_caller]
    pub(super) fn has_used(&self) -> bool {
        self.told.get().is_some() || self.is_used(self.used.get())
    }

    #[track_caller]
    fn is_used(&self, at: Place) -> bool {
        let flags = self.flags(at.slot);
        flags.contains(DescFlags::AVAIL) == at.wrap && flags.contains(DescFlags::USED) == at.wrap
    }

    /// Takes the next used buffer, and frees its descriptors.
    #[track_caller]
    pub(super) fn pop(&self) -> Option<Used> {
        let told = match self.told.take() {
            Some(told) => told,
            None => self.next_used()?,
        };
        let first = self.waiting.borrow().front().copied();
        let id = match first {
            // §2.8.9: the buffers before the one that the device has told of are used as well.
            Some(first) if self.in_order => first,
            _ => told.id,
        };
        if id != told.id {
            assert!(
                self.waiting.borrow().contains(&told.id),
                "the device used buffer {}, which was not made available",
                told.id
            );
            self.told.set(Some(told));
        }
        let count = self.release(id);
        self.used.set(self.used.get().after(count, self.rings.size));
        Some(if id == told.id {
            told
        } else {
            Used { id, len: 0 }
        })
    }

    #[track_caller]
    fn next_used(&self) -> Option<Used> {
        let at = self.used.get();
        if !self.is_used(at) {
            return None;
        }
        let entry = self.desc_addr(at.slot);
        Some(Used {
            id: self.ram.read_le(entry + 12),
            len: self.ram.read_le(entry + 8),
        })
    }

    /// Gives the descriptors of a buffer back; how many.
    #[track_caller]
    fn release(&self, id: u16) -> u16 {
        let flight = self
            .flights
            .borrow_mut()
            .get_mut(usize::from(id))
            .and_then(Option::take);
        let Some(flight) = flight else {
            panic!("the device used buffer {id}, which is none");
        };
        self.waiting.borrow_mut().retain(|&waiting| waiting != id);
        self.ids.borrow_mut().push(id);
        let count = flight.descriptors.len() as u16;
        self.free.set(self.free.get() + count);
        count
    }

    /// Whether and when the device is to interrupt: at the next used buffer, never, or so many descriptors later.
    #[track_caller]
    pub(super) fn set_interrupts(&self, wanted: bool, later: u16) {
        let flags = match (wanted, self.event_idx) {
            (false, _) => DISABLE,
            (true, false) => ENABLE,
            (true, true) => {
                let event = self.used.get().after(later, self.rings.size);
                self.ram.write_le(self.rings.driver, event.word());
                AT_DESCRIPTOR
            }
        };
        self.ram.write_le(self.rings.driver + 2, flags);
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn the_wrap_counter_turns_where_the_ring_begins_again() {
        let last = Place {
            slot: 7,
            wrap: true,
        };
        assert_eq!(Place::START.after(7, 8), last);
        assert_eq!(
            last.after(1, 8),
            Place {
                slot: 0,
                wrap: false
            }
        );
        assert_eq!(last.after(9, 8), Place::START);
        assert_eq!(last.word(), 0x8007);
    }
}
