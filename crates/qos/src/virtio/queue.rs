//! [`Virtqueue`]: requests to a device, whatever the layout of its ring.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use testjig_vm::{Condition, Vm};

use super::device::Virtio;
use super::order::Order;
use super::packed::Packed;
use super::segment::{DESC_LEN, Desc, DescFlags, Segment};
use super::split::Split;
use super::transport::Rings;
use crate::mem::{GuestAlloc, GuestBuf};

/// How long of the host's time a device may take for a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// A buffer that the device has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// What [`Virtqueue::add`] called it.
    pub id: u16,
    /// How many bytes the device wrote, as it says; 0 if another of the same batch speaks for it ([`super::Features::IN_ORDER`]).
    pub len: u32,
}

/// A chain in its descriptors.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) id: u16,
    pub(super) descriptors: Vec<u16>,
}

/// What a chain keeps until it is used.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    pub(super) descriptors: Vec<u16>,
    /// Its table of descriptors, if it is indirect.
    pub(super) _table: Option<GuestBuf>,
}

#[derive(Debug)]
pub(super) enum Ring {
    Split(Split),
    Packed(Packed),
}

/// How a virtqueue lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Descriptor table, available ring, used ring (Virtio 1.2 §2.7).
    Split,
    /// One ring of descriptors (§2.8).
    Packed,
}

/// A virtqueue that the device knows: [`Virtio::queue`].
///
/// Requests are chains of [`Segment`]s; those that the device reads come before those that it writes. Descriptors are recycled.
pub struct Virtqueue {
    device: Virtio,
    index: u16,
    ring: Ring,
    /// Whether several requests were under way since all were last taken.
    mixed: Cell<bool>,
}

impl Virtqueue {
    pub(super) fn new(device: Virtio, index: u16, ring: Ring) -> Self {
        Self {
            device,
            index,
            ring,
            mixed: Cell::default(),
        }
    }

    /// The device.
    pub fn device(&self) -> &Virtio {
        &self.device
    }

    /// Its number.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// Where it is.
    pub fn rings(&self) -> Rings {
        match &self.ring {
            Ring::Split(ring) => ring.rings(),
            Ring::Packed(ring) => ring.rings(),
        }
    }

    /// Number of descriptors.
    pub fn size(&self) -> u16 {
        self.rings().size
    }

    /// Descriptors that are in no request.
    pub fn free_descriptors(&self) -> usize {
        match &self.ring {
            Ring::Split(ring) => ring.free_descriptors(),
            Ring::Packed(ring) => ring.free_descriptors(),
        }
    }

    /// Queues a request, a descriptor for each segment. The device sees it after [`kick`](Self::kick) or [`expose`](Self::expose).
    ///
    /// # Panics
    /// If there are no segments, or fewer free descriptors.
    #[track_caller]
    pub fn add(&self, segments: &[Segment]) -> u16 {
        let descs: Vec<Desc> = segments.iter().copied().map(of_segment).collect();
        self.place(&descs, InFlight::default())
    }

    /// As [`add`](Self::add), in one descriptor that names a table of the others.
    #[track_caller]
    pub fn add_indirect(&self, segments: &[Segment]) -> u16 {
        let table = self.table(segments);
        let desc = Desc {
            addr: table.addr(),
            len: table.len() as u32,
            flags: DescFlags::INDIRECT,
            next: 0,
        };
        let flight = InFlight {
            _table: Some(table),
            ..InFlight::default()
        };
        self.place(&[desc], flight)
    }

    /// A table of descriptors, as this ring's indirect descriptors want it.
    #[track_caller]
    pub fn table(&self, segments: &[Segment]) -> GuestBuf {
        let len = DESC_LEN * segments.len() as u64;
        let table = GuestAlloc::of(self.vm()).request(len).align(16).buf();
        for (position, &segment) in segments.iter().enumerate() {
            let last = position + 1 == segments.len();
            let mut desc = of_segment(segment);
            if let (Ring::Split(_), false) = (&self.ring, last) {
                desc.flags = desc.flags.with(DescFlags::NEXT);
                desc.next = position as u16 + 1;
            }
            self.write_table_entry(&table, position, desc);
        }
        table
    }

    /// Writes an entry of a table of descriptors, whatever is in it. In a packed ring's, [`Desc::next`] is the id, which means nothing.
    #[track_caller]
    pub fn write_table_entry(&self, table: &GuestBuf, position: usize, desc: Desc) {
        let addr = table.addr() + DESC_LEN * position as u64;
        let (order, desc) = match &self.ring {
            Ring::Split(_) => (self.device.order(), desc),
            Ring::Packed(_) => {
                let swapped = Desc {
                    flags: DescFlags(desc.next),
                    next: desc.flags.0,
                    ..desc
                };
                (Order::Little, swapped)
            }
        };
        Split::write_desc_at(&self.vm().ram(), order, addr, desc);
    }

    #[track_caller]
    fn place(&self, descs: &[Desc], flight: InFlight) -> u16 {
        assert!(!descs.is_empty(), "a request has a descriptor at least");
        let placed = match &self.ring {
            Ring::Split(ring) => ring.place(descs),
            Ring::Packed(ring) => ring.place(descs, true),
        };
        let Some(placed) = placed else {
            panic!(
                "{} descriptors are not to be had: {} of {} are free in {self:?}",
                descs.len(),
                self.free_descriptors(),
                self.size()
            );
        };
        let id = placed.id;
        match &self.ring {
            Ring::Split(ring) => ring.queue(placed, flight),
            Ring::Packed(ring) => ring.queue(placed, flight),
        }
        id
    }

    /// Shows the device what is queued, and notifies it if it wants to be; whether it did.
    #[track_caller]
    pub fn kick(&self) -> bool {
        let wanted = self.expose();
        if wanted {
            self.notify();
        }
        wanted
    }

    /// Shows the device what is queued; whether it wants to be notified.
    #[track_caller]
    pub fn expose(&self) -> bool {
        match &self.ring {
            Ring::Split(ring) => ring.expose(),
            Ring::Packed(ring) => ring.expose(),
        }
    }

    /// Notifies the device, whether it wants to be or not. Queued.
    #[track_caller]
    pub fn notify(&self) {
        self.device.notify(self.index, self.position());
    }

    fn position(&self) -> u16 {
        match &self.ring {
            Ring::Split(ring) => ring.exposed(),
            Ring::Packed(ring) => ring.position(),
        }
    }

    /// Whether the device has used a buffer that was not taken yet.
    #[track_caller]
    pub fn has_used(&self) -> bool {
        match &self.ring {
            Ring::Split(ring) => ring.has_used(),
            Ring::Packed(ring) => ring.has_used(),
        }
    }

    /// Takes the next used buffer, if there is one.
    #[track_caller]
    pub fn pop(&self) -> Option<Used> {
        let (in_flight, is_in_order) = match &self.ring {
            Ring::Split(ring) => (ring.in_flight(), ring.is_in_order()),
            Ring::Packed(ring) => (ring.in_flight(), ring.is_in_order()),
        };
        // Which is the last of them is chance as well.
        self.mixed
            .set(in_flight > 1 || in_flight == 1 && self.mixed.get());
        let pop = || match &self.ring {
            Ring::Split(ring) => ring.pop(),
            Ring::Packed(ring) => ring.pop(),
        };
        if self.device.is_parallel() && self.mixed.get() && !is_in_order {
            self.vm().by_chance(pop)
        } else {
            pop()
        }
    }

    /// Holds while the device has used a buffer that was not taken yet.
    pub fn used(&self) -> Condition<'_> {
        Condition::new(format!("{self:?} returns a buffer"), || self.has_used()).seeing(|| {
            format!(
                "{} of {} descriptors are the device's, status {:?}",
                usize::from(self.size()) - self.free_descriptors(),
                self.size(),
                self.device.status()
            )
        })
    }

    /// Waits for a used buffer, at most 10 s of the host's time, and takes it.
    #[track_caller]
    pub fn wait(&self) -> Used {
        self.vm().wait_until(self.used(), PATIENCE);
        self.pop().expect("it was there")
    }

    /// Queues a request, shows it, waits for it; how many bytes the device says it wrote.
    ///
    /// # Panics
    /// If the device returns another buffer.
    #[track_caller]
    pub fn run(&self, segments: &[Segment]) -> u32 {
        let id = self.add(segments);
        self.finish(id)
    }

    /// Shows the device what is queued, and waits for this one request.
    ///
    /// # Panics
    /// If the device returns another buffer.
    #[track_caller]
    pub fn finish(&self, id: u16) -> u32 {
        self.kick();
        let used = self.wait();
        assert_eq!(used.id, id, "the device returned another buffer");
        used.len
    }

    /// Whether the device is to interrupt when it uses buffers. At first it is.
    #[track_caller]
    pub fn set_interrupts(&self, wanted: bool) {
        self.interrupts(wanted, 0);
    }

    /// Has the device interrupt when it has used `later` more entries of the ring after the next: descriptors of a packed ring, buffers
    /// of a split one. Needs [`super::Features::RING_EVENT_IDX`].
    #[track_caller]
    pub fn interrupt_after(&self, later: u16) {
        self.interrupts(true, later);
    }

    #[track_caller]
    fn interrupts(&self, wanted: bool, later: u16) {
        match &self.ring {
            Ring::Split(ring) => ring.set_interrupts(wanted, later),
            Ring::Packed(ring) => ring.set_interrupts(wanted, later),
        }
    }

    /// Writes what no driver would: for tests of what a device does then.
    pub fn raw(&self) -> RawQueue<'_> {
        RawQueue(self)
    }

    fn vm(&self) -> &Vm {
        self.device.vm()
    }
}

fn of_segment(segment: Segment) -> Desc {
    Desc {
        addr: segment.addr,
        len: segment.len,
        flags: segment.flags(),
        next: 0,
    }
}

impl fmt::Debug for Virtqueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "virtqueue {} of {:?}", self.index, self.device)
    }
}

/// A virtqueue's memory, without the driver's care: [`Virtqueue::raw`].
///
/// After a malformed request the books of [`Virtqueue`] may not fit any more: reset the device and make a new one.
#[derive(Debug)]
pub struct RawQueue<'a>(&'a Virtqueue);

impl RawQueue<'_> {
    /// Queues descriptors exactly as they are, in the next free places; their flags and [`Desc::next`] are the test's affair, only what
    /// makes a packed ring's descriptor available, and its id, is added. [`Virtqueue::kick`] shows them.
    ///
    /// In a split ring the first is the head; the test may ask [`next_free`](Self::next_free) before what numbers they will have.
    #[track_caller]
    pub fn add(&self, descs: &[Desc]) -> u16 {
        match &self.0.ring {
            Ring::Split(ring) => {
                let taken = ring.take(descs.len()).expect("descriptors are free");
                for (&index, &desc) in taken.iter().zip(descs) {
                    ring.set_desc(index, desc);
                }
                let id = taken[0];
                let placed = Placed {
                    id,
                    descriptors: taken,
                };
                ring.queue(placed, InFlight::default());
                id
            }
            Ring::Packed(ring) => {
                let placed = ring.place(descs, false).expect("descriptors are free");
                let id = placed.id;
                ring.queue(placed, InFlight::default());
                id
            }
        }
    }

    /// The numbers of the descriptors that the next request of a split ring takes, in order.
    pub fn next_free(&self, count: usize) -> Vec<u16> {
        match &self.0.ring {
            Ring::Split(ring) => {
                let taken = ring.take(count).unwrap_or_default();
                ring.give_back(&taken);
                taken
            }
            Ring::Packed(_) => Vec::new(),
        }
    }

    /// Writes a descriptor of the ring.
    #[track_caller]
    pub fn set_desc(&self, index: u16, desc: Desc) {
        match &self.0.ring {
            Ring::Split(ring) => ring.set_desc(index, desc),
            Ring::Packed(ring) => ring.set_desc(index, desc),
        }
    }

    /// Reads a descriptor of the ring.
    #[track_caller]
    pub fn desc(&self, index: u16) -> Desc {
        match &self.0.ring {
            Ring::Split(ring) => ring.desc(index),
            Ring::Packed(ring) => ring.desc(index),
        }
    }

    /// The split ring's own entries.
    ///
    /// # Panics
    /// If the ring is packed.
    #[track_caller]
    pub fn split(&self) -> RawSplit<'_> {
        match &self.0.ring {
            Ring::Split(ring) => RawSplit(ring),
            Ring::Packed(_) => panic!("{:?} has a packed ring", self.0),
        }
    }
}

/// Available and used ring of a split virtqueue, entry by entry.
#[derive(Debug)]
pub struct RawSplit<'a>(&'a Split);

impl RawSplit<'_> {
    /// Writes any number into the next entry of the available ring.
    #[track_caller]
    pub fn push_avail(&self, head: u16) {
        self.0.push_avail(head);
    }

    /// Writes the available ring's index, and nothing else.
    #[track_caller]
    pub fn set_avail_idx(&self, index: u16) {
        self.0.set_avail_idx(index);
    }

    /// The used ring's index.
    #[track_caller]
    pub fn used_idx(&self) -> u16 {
        self.0.used_idx()
    }

    /// Guest-physical address of `used_event`.
    pub fn used_event(&self) -> u64 {
        self.0.used_event()
    }

    /// Guest-physical address of `avail_event`.
    pub fn avail_event(&self) -> u64 {
        self.0.avail_event()
    }
}
