//! The split ring (Virtio 1.2 §2.7): a descriptor table, an available ring and a used ring.

use std::cell::{Cell, RefCell};

use testjig_vm::{Ram, Vm};

use super::order::Order;
use super::queue::{InFlight, Placed, Used};
use super::segment::{DESC_LEN, Desc, DescFlags};
use super::transport::Rings;
use crate::mem::{GuestAlloc, GuestBuf};

/// The driver does not want to be interrupted (§2.7.6, `VIRTQ_AVAIL_F_NO_INTERRUPT`).
const NO_INTERRUPT: u16 = 1;
/// The device does not want to be notified (§2.7.8, `VIRTQ_USED_F_NO_NOTIFY`).
const NO_NOTIFY: u16 = 1;

/// Where the used ring of a legacy virtqueue begins, from the descriptor table on (§2.7.2).
fn legacy_used_offset(size: u64, align: u64) -> u64 {
    (DESC_LEN * size + 2 * (3 + size)).next_multiple_of(align)
}

/// A split ring and the driver's side of it.
#[derive(Debug)]
pub(super) struct Split {
    ram: Ram,
    order: Order,
    rings: Rings,
    event_idx: bool,
    in_order: bool,
    /// The memory of it all.
    _memory: Vec<GuestBuf>,
    /// Descriptors that are in no chain. The last freed is taken first, so that descriptors are seen again.
    free: RefCell<Vec<u16>>,
    flights: RefCell<Vec<Option<InFlight>>>,
    /// Heads in the order of their exposure; for `in_order`.
    waiting: RefCell<std::collections::VecDeque<u16>>,
    /// Entries of the available ring written so far, and of these what the device was told.
    written: Cell<u16>,
    exposed: Cell<u16>,
    /// Entries of the used ring taken.
    taken: Cell<u16>,
    /// With `in_order`: the last id that the device has told of, buffers before which are used as well.
    told: Cell<Option<Used>>,
}

impl Split {
    /// Lays a ring out in new memory. `legacy` is the alignment of a legacy device's used ring.
    #[track_caller]
    pub(super) fn new(vm: &Vm, order: Order, size: u16, legacy: Option<u64>) -> Self {
        let alloc = GuestAlloc::of(vm);
        let n = u64::from(size);
        let (desc_len, avail_len, used_len) = (DESC_LEN * n, 6 + 2 * n, 6 + 8 * n);
        let (rings, memory) = if let Some(align) = legacy {
            let used = legacy_used_offset(n, align);
            let all = alloc.request(used + used_len).align(align).lingers().buf();
            let rings = Rings {
                size,
                desc: all.addr(),
                driver: all.addr() + desc_len,
                device: all.addr() + used,
            };
            (rings, vec![all])
        } else {
            let desc = alloc.request(desc_len).align(16).lingers().buf();
            let avail = alloc.request(avail_len).align(2).lingers().buf();
            let used = alloc.request(used_len).align(4).lingers().buf();
            let rings = Rings {
                size,
                desc: desc.addr(),
                driver: avail.addr(),
                device: used.addr(),
            };
            (rings, vec![desc, avail, used])
        };
        Self {
            ram: vm.ram(),
            order,
            rings,
            event_idx: false,
            in_order: false,
            _memory: memory,
            free: RefCell::new((0..size).rev().collect()),
            flights: RefCell::new((0..size).map(|_| None).collect()),
            waiting: RefCell::default(),
            written: Cell::new(0),
            exposed: Cell::new(0),
            taken: Cell::new(0),
            told: Cell::new(None),
        }
    }

    pub(super) fn with(mut self, event_idx: bool, in_order: bool) -> Self {
        self.event_idx = event_idx;
        self.in_order = in_order;
        if in_order {
            // §2.7.9: descriptors are taken in ring order.
            self.free.get_mut().reverse();
        }
        self
    }

    pub(super) fn rings(&self) -> Rings {
        self.rings
    }

    pub(super) fn free_descriptors(&self) -> usize {
        self.free.borrow().len()
    }

    pub(super) fn is_in_order(&self) -> bool {
        self.in_order
    }

    /// Chains that the device has not used, or that were not taken.
    pub(super) fn in_flight(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Descriptors as they stand in memory at `addr`.
    #[track_caller]
    pub(super) fn write_desc_at(ram: &Ram, order: Order, addr: u64, desc: Desc) {
        let mut bytes = [0; DESC_LEN as usize];
        bytes[..8].copy_from_slice(&order.bytes64(desc.addr));
        bytes[8..12].copy_from_slice(&order.bytes32(desc.len));
        bytes[12..14].copy_from_slice(&order.bytes16(desc.flags.0));
        bytes[14..].copy_from_slice(&order.bytes16(desc.next));
        ram.write(addr, &bytes);
    }

    #[track_caller]
    pub(super) fn set_desc(&self, index: u16, desc: Desc) {
        let addr = self.rings.desc + DESC_LEN * u64::from(index);
        Self::write_desc_at(&self.ram, self.order, addr, desc);
    }

    #[track_caller]
    pub(super) fn desc(&self, index: u16) -> Desc {
        let addr = self.rings.desc + DESC_LEN * u64::from(index);
        Desc {
            addr: self.order.read(&self.ram, addr),
            len: self.order.read(&self.ram, addr + 8),
            flags: DescFlags(self.order.read(&self.ram, addr + 12)),
            next: self.order.read(&self.ram, addr + 14),
        }
    }

    /// Takes `count` descriptors that are in no chain; the first is the head.
    pub(super) fn take(&self, count: usize) -> Option<Vec<u16>> {
        let mut free = self.free.borrow_mut();
        if free.len() < count {
            return None;
        }
        if self.in_order {
            return Some(free.drain(..count).collect());
        }
        Some((0..count).filter_map(|_| free.pop()).collect())
    }

    /// Undoes [`take`](Self::take).
    pub(super) fn give_back(&self, taken: &[u16]) {
        let mut free = self.free.borrow_mut();
        if self.in_order {
            free.splice(0..0, taken.iter().copied());
        } else {
            free.extend(taken.iter().rev());
        }
    }

    /// Chains descriptors of these contents; each one's `next` is set here.
    #[track_caller]
    pub(super) fn place(&self, descs: &[Desc]) -> Option<Placed> {
        let taken = self.take(descs.len())?;
        for (position, desc) in descs.iter().enumerate() {
            let next = taken.get(position + 1).copied();
            self.set_desc(
                taken[position],
                Desc {
                    flags: next.map_or(desc.flags, |_| desc.flags.with(DescFlags::NEXT)),
                    next: next.unwrap_or(0),
                    ..*desc
                },
            );
        }
        Some(Placed {
            id: taken[0],
            descriptors: taken,
        })
    }

    /// Puts a chain into the available ring; the device sees it when it is exposed.
    #[track_caller]
    pub(super) fn queue(&self, placed: Placed, flight: InFlight) {
        self.flights.borrow_mut()[usize::from(placed.id)] = Some(InFlight {
            descriptors: placed.descriptors,
            ..flight
        });
        self.waiting.borrow_mut().push_back(placed.id);
        self.push_avail(placed.id);
    }

    /// Writes any number into the next entry of the available ring.
    #[track_caller]
    pub(super) fn push_avail(&self, head: u16) {
        let written = self.written.get();
        let slot = u64::from(written % self.rings.size);
        self.order
            .write(&self.ram, self.rings.driver + 4 + 2 * slot, head);
        self.written.set(written.wrapping_add(1));
    }

    /// Tells the device of all that is queued; whether it wants to be notified.
    #[track_caller]
    pub(super) fn expose(&self) -> bool {
        let (old, new) = (self.exposed.get(), self.written.get());
        self.set_avail_idx(new);
        self.exposed.set(new);
        if self.event_idx {
            let event: u16 = self.order.read(&self.ram, self.avail_event());
            return passed(event, new, old);
        }
        let flags: u16 = self.order.read(&self.ram, self.rings.device);
        flags & NO_NOTIFY == 0
    }

    #[track_caller]
    pub(super) fn set_avail_idx(&self, index: u16) {
        self.order.write(&self.ram, self.rings.driver + 2, index);
    }

    #[track_caller]
    pub(super) fn used_idx(&self) -> u16 {
        self.order.read(&self.ram, self.rings.device + 2)
    }

    /// Entries of the available ring that the device was told of.
    pub(super) fn exposed(&self) -> u16 {
        self.exposed.get()
    }

    /// Whether the device has used a buffer that was not taken.
    #[track_caller]
    pub(super) fn has_used(&self) -> bool {
        self.told.get().is_some() || self.used_idx() != self.taken.get()
    }

    /// Takes the next used buffer, and frees its descriptors.
    #[track_caller]
    pub(super) fn pop(&self) -> Option<Used> {
        if self.in_order {
            return self.pop_in_order();
        }
        let used = self.next_entry()?;
        self.taken.set(self.taken.get().wrapping_add(1));
        self.release(used.id);
        Some(used)
    }

    #[track_caller]
    fn next_entry(&self) -> Option<Used> {
        let taken = self.taken.get();
        if self.used_idx() == taken {
            return None;
        }
        let entry = self.rings.device + 4 + 8 * u64::from(taken % self.rings.size);
        let id: u32 = self.order.read(&self.ram, entry);
        assert!(
            id < u32::from(self.rings.size),
            "the device used descriptor {id} of a virtqueue of {}",
            self.rings.size
        );
        Some(Used {
            id: id as u16,
            len: self.order.read(&self.ram, entry + 4),
        })
    }

    /// §2.7.9: a device may tell of the last buffer of a batch only; those before it are used as well, in their order.
    #[track_caller]
    fn pop_in_order(&self) -> Option<Used> {
        let told = match self.told.get() {
            Some(told) => told,
            None => self.next_entry()?,
        };
        self.taken.set(self.taken.get().wrapping_add(1));
        let first = self.waiting.borrow().front().copied();
        assert!(
            self.waiting.borrow().contains(&told.id),
            "the device used buffer {}, which was not made available",
            told.id
        );
        let id = first.unwrap_or(told.id);
        let last = id == told.id;
        self.told.set((!last).then_some(told));
        self.release(id);
        Some(if last { told } else { Used { id, len: 0 } })
    }

    /// Gives the descriptors of a chain back.
    #[track_caller]
    fn release(&self, id: u16) {
        let flight = self.flights.borrow_mut()[usize::from(id)].take();
        let Some(flight) = flight else {
            panic!("the device used descriptor {id}, which is the head of no chain");
        };
        self.waiting.borrow_mut().retain(|&waiting| waiting != id);
        let mut free = self.free.borrow_mut();
        if self.in_order {
            free.extend(flight.descriptors);
        } else {
            free.extend(flight.descriptors.into_iter().rev());
        }
    }

    /// Whether and when the device is to interrupt: at the next used buffer, never, or so many buffers later.
    #[track_caller]
    pub(super) fn set_interrupts(&self, wanted: bool, later: u16) {
        if self.event_idx {
            let event = if wanted {
                self.taken.get().wrapping_add(later)
            } else {
                // As far away as can be.
                self.taken.get().wrapping_sub(1)
            };
            self.order.write(&self.ram, self.used_event(), event);
        }
        let flags = if wanted { 0 } else { NO_INTERRUPT };
        self.order.write(&self.ram, self.rings.driver, flags);
    }

    /// Where the driver tells of which used buffer it wants to be interrupted (§2.7.7).
    pub(super) fn used_event(&self) -> u64 {
        self.rings.driver + 4 + 2 * u64::from(self.rings.size)
    }

    /// Where the device tells of which available buffer it wants to be notified (§2.7.10).
    pub(super) fn avail_event(&self) -> u64 {
        self.rings.device + 4 + 8 * u64::from(self.rings.size)
    }
}

/// Whether an index that goes from `old` to `new` goes past `event` (§2.7.7.1).
fn passed(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_counts_once_its_entry_is_exposed() {
        assert!(passed(0, 1, 0));
        assert!(!passed(1, 1, 0));
        assert!(passed(1, 3, 0));
        assert!(passed(u16::MAX, 0, u16::MAX));
        assert!(!passed(0, 1, 1));
        assert!(!passed(5, 4, 2));
    }

    /// §2.7.2: "Used Ring … padding to alignment", for a queue of 256 and a page of 4 KiB.
    #[test]
    fn a_legacy_used_ring_begins_at_the_next_page() {
        assert_eq!(legacy_used_offset(256, 4096), 8192);
        assert_eq!(legacy_used_offset(128, 4096), 4096);
        assert_eq!(legacy_used_offset(1024, 4096), 5 * 4096);
    }
}
