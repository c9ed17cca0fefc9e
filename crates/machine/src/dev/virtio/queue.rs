//! [`Queue`]: a virtqueue as the device sees it, split (§2.7) or packed (§2.8).

use super::number;
use crate::ram::Ram;

/// [2.7.5] Bytes of a descriptor.
const DESC: u64 = 16;
/// [2.7.5] Flags of a descriptor.
const NEXT: u16 = 1 << 0;
const WRITE: u16 = 1 << 1;
const INDIRECT: u16 = 1 << 2;
/// [2.8.1] Of a packed ring's.
const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;
/// [2.7.6.1, 2.8.10] The driver wants no interrupts.
const NO_INTERRUPT: u16 = 1;
/// [2.8.10] The driver wants one at a certain descriptor.
const AT_DESCRIPTOR: u16 = 2;
/// [2.7.4.1, 5.2] The most descriptors of a chain, in tables or out of them.
const LONGEST: usize = 1024;

/// The driver did what no driver may: the device needs a reset.
#[derive(Debug)]
pub(crate) struct Broken;

/// A piece of guest memory.
#[derive(Clone, Copy, Debug)]
struct Segment {
    addr: u64,
    len: u32,
}

/// A buffer that the driver has made available.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    id: u16,
    /// How many entries of the ring it takes.
    entries: u16,
    readable: Vec<Segment>,
    writable: Vec<Segment>,
}

impl Chain {
    /// Bytes that the device may read.
    pub(crate) fn readable(&self) -> u64 {
        total(&self.readable)
    }

    /// Bytes that it may write.
    pub(crate) fn writable(&self) -> u64 {
        total(&self.writable)
    }

    /// Copies from the readable part; as much as there is, and how much that is.
    pub(crate) fn read(&self, ram: &Ram, offset: u64, data: &mut [u8]) -> usize {
        let mut done = 0;
        for (addr, len) in pieces(&self.readable, offset, data.len()) {
            ram.read(addr, &mut data[done..done + len]);
            done += len;
        }
        done
    }

    /// Copies to the writable part; as much as there is room, and how much that is.
    pub(crate) fn write(&self, ram: &Ram, offset: u64, data: &[u8]) -> usize {
        let mut done = 0;
        for (addr, len) in pieces(&self.writable, offset, data.len()) {
            ram.write(addr, &data[done..done + len]);
            done += len;
        }
        done
    }

    /// Adds a descriptor's memory.
    fn push(&mut self, ram: &Ram, desc: Desc) -> Result<(), Broken> {
        let segment = Segment {
            addr: desc.addr,
            len: desc.len,
        };
        // [2.7.4.2] What the device reads comes first; [2.7.5] a descriptor names memory, and some of it.
        let misplaced = desc.flags & WRITE == 0 && !self.writable.is_empty();
        let long = self.readable.len() + self.writable.len() == LONGEST;
        let inside = |dram: std::ops::Range<u64>| dram.end - desc.addr >= u64::from(desc.len);
        let is_memory = ram.stretch(desc.addr).is_some_and(inside);
        if misplaced || long || desc.len == 0 || !is_memory {
            return Err(Broken);
        }
        if desc.flags & WRITE == 0 {
            self.readable.push(segment);
        } else {
            self.writable.push(segment);
        }
        Ok(())
    }
}

fn total(segments: &[Segment]) -> u64 {
    segments.iter().map(|segment| u64::from(segment.len)).sum()
}

/// Addresses and lengths of what `len` bytes from `offset` on are.
fn pieces(
    segments: &[Segment],
    mut offset: u64,
    mut len: usize,
) -> impl Iterator<Item = (u64, usize)> {
    segments.iter().filter_map(move |segment| {
        let skipped = offset.min(u64::from(segment.len));
        offset -= skipped;
        let here = len.min((u64::from(segment.len) - skipped) as usize);
        len -= here;
        (here > 0).then_some((segment.addr + skipped, here))
    })
}

#[derive(Clone, Copy)]
struct Desc {
    addr: u64,
    len: u32,
    flags: u16,
    /// In a packed ring the buffer's id.
    next: u16,
}

impl Desc {
    /// Both layouts have their fields at the same places, with the last two interchanged.
    fn load(ram: &Ram, at: u64, packed: bool) -> Result<Self, Broken> {
        let bytes: [u8; 16] = ram.load(at).ok_or(Broken)?;
        let (first, second) = (number(&bytes[12..14]) as u16, number(&bytes[14..]) as u16);
        let (flags, next) = if packed {
            (second, first)
        } else {
            (first, second)
        };
        Ok(Self {
            addr: number(&bytes[..8]),
            len: number(&bytes[8..12]) as u32,
            flags,
            next,
        })
    }
}

/// A place in a packed ring, and how often its end was passed, odd or even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    slot: u16,
    wrap: bool,
}

impl Place {
    const FIRST: Self = Self {
        slot: 0,
        wrap: true,
    };

    fn advance(&mut self, by: u16, size: u16) {
        self.slot += by;
        if self.slot >= size {
            self.slot -= size;
            self.wrap = !self.wrap;
        }
    }
}

/// One virtqueue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) size: u16,
    pub(super) enabled: bool,
    /// Descriptor area, driver area and device area.
    pub(super) areas: [u64; 3],
    pub(super) vector: u16,
    /// The split ring: entries taken and used so far.
    taken: u16,
    used: u16,
    /// The packed ring: where the next buffer is, and where the next used one goes.
    next: Place,
    back: Place,
}

/// How a virtqueue was negotiated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) packed: bool,
    pub(super) event_idx: bool,
}

impl Queue {
    pub(super) fn new(size: u16) -> Self {
        Self {
            size,
            enabled: false,
            areas: [0; 3],
            vector: super::pci::NO_VECTOR,
            taken: 0,
            used: 0,
            next: Place::FIRST,
            back: Place::FIRST,
        }
    }

    /// The next buffer, if there is one.
    pub(super) fn take(&mut self, ram: &Ram, layout: Layout) -> Result<Option<Chain>, Broken> {
        if layout.packed {
            self.take_packed(ram)
        } else {
            self.take_split(ram)
        }
    }

    fn take_split(&mut self, ram: &Ram) -> Result<Option<Chain>, Broken> {
        let [table, avail, _] = self.areas;
        let index = u16::from_le_bytes(ram.load(avail.wrapping_add(2)).ok_or(Broken)?);
        match index.wrapping_sub(self.taken) {
            0 => return Ok(None),
            ahead if ahead > self.size => return Err(Broken),
            _ => {}
        }
        let entry = 4 + 2 * u64::from(self.taken % self.size);
        let head = u16::from_le_bytes(ram.load(avail.wrapping_add(entry)).ok_or(Broken)?);
        self.taken = self.taken.wrapping_add(1);
        let mut chain = Chain {
            id: head,
            entries: 1,
            ..Chain::default()
        };
        // [2.7.5.3] A table of its own may take the place of the queue's, once.
        let (mut table, mut size, mut number) = (table, u64::from(self.size), u64::from(head));
        let mut is_indirect = false;
        let mut left = size;
        loop {
            if number >= size || left == 0 {
                return Err(Broken);
            }
            left -= 1;
            let desc = Desc::load(ram, table.wrapping_add(DESC * number), false)?;
            if desc.flags & INDIRECT != 0 {
                if is_indirect || desc.flags & NEXT != 0 {
                    return Err(Broken);
                }
                is_indirect = true;
                (table, size, number) = (desc.addr, entries(desc.len)?, 0);
                left = size;
                continue;
            }
            chain.push(ram, desc)?;
            if desc.flags & NEXT == 0 {
                return Ok(Some(chain));
            }
            number = u64::from(desc.next);
        }
    }

    fn take_packed(&mut self, ram: &Ram) -> Result<Option<Chain>, Broken> {
        let table = self.areas[0];
        let mut at = self.next;
        let first = Desc::load(ram, table.wrapping_add(DESC * u64::from(at.slot)), true)?;
        let is_available = (first.flags & AVAIL != 0) == at.wrap;
        let is_used = (first.flags & USED != 0) == at.wrap;
        if !is_available || is_used {
            return Ok(None);
        }
        let mut chain = Chain::default();
        loop {
            if chain.entries == self.size {
                return Err(Broken);
            }
            let desc = Desc::load(ram, table.wrapping_add(DESC * u64::from(at.slot)), true)?;
            chain.entries += 1;
            at.advance(1, self.size);
            // [2.8.8] A buffer's id is that of its last descriptor.
            chain.id = desc.next;
            if desc.flags & INDIRECT == 0 {
                chain.push(ram, desc)?;
            } else {
                // [2.8.7] A table has its descriptors one after the other.
                for number in 0..entries(desc.len)? {
                    let at = desc.addr.wrapping_add(DESC * number);
                    chain.push(ram, Desc::load(ram, at, true)?)?;
                }
            }
            if desc.flags & NEXT == 0 {
                self.next = at;
                return Ok(Some(chain));
            }
        }
    }

    /// Gives a buffer back.
    pub(super) fn give_back(
        &mut self,
        ram: &Ram,
        layout: Layout,
        chain: &Chain,
        len: u32,
    ) -> Result<(), Broken> {
        if !layout.packed {
            let ring = self.areas[2];
            let entry = ring.wrapping_add(4 + 8 * u64::from(self.used % self.size));
            let bytes = u64::from(len) << 32 | u64::from(chain.id);
            self.used = self.used.wrapping_add(1);
            let done = ram.write(entry, &bytes.to_le_bytes())
                && ram.write(ring.wrapping_add(2), &self.used.to_le_bytes());
            return done.then_some(()).ok_or(Broken);
        }
        let at = self.areas[0].wrapping_add(DESC * u64::from(self.back.slot));
        // [2.8.1] "VIRTQ_DESC_F_WRITE … set if the device wrote something".
        let mut flags = if len > 0 { WRITE } else { 0 };
        if self.back.wrap {
            flags |= AVAIL | USED;
        }
        self.back.advance(chain.entries, self.size);
        let done = ram.write(at + 8, &len.to_le_bytes())
            && ram.write(at + 12, &chain.id.to_le_bytes())
            && ram.write(at + 14, &flags.to_le_bytes());
        done.then_some(()).ok_or(Broken)
    }

    /// Where the next used buffer goes; for [`wants_interrupt`](Self::wants_interrupt).
    pub(super) fn position(&self, layout: Layout) -> Place {
        if layout.packed {
            return self.back;
        }
        Place {
            slot: self.used,
            wrap: false,
        }
    }

    /// Asks to be notified of the next buffer [2.7.10], and tells whether the driver wants an interrupt for what was given back since
    /// `old` [2.7.7.2, 2.8.10]. A packed ring needs no asking: the device's area says "always" from the start.
    pub(super) fn wants_interrupt(
        &self,
        ram: &Ram,
        layout: Layout,
        old: Place,
    ) -> Result<bool, Broken> {
        let [_, driver, device] = self.areas;
        let word = |at: u64| ram.load(at).map(u16::from_le_bytes).ok_or(Broken);
        let new = self.position(layout);
        if layout.packed {
            let (event, flags) = (word(driver)?, word(driver.wrapping_add(2))?);
            return Ok(match flags & 3 {
                AT_DESCRIPTOR if layout.event_idx => {
                    let event = Place {
                        slot: event & 0x7fff,
                        wrap: event & 0x8000 != 0,
                    };
                    // Places of the lap before lie below 0.
                    let number = |place: Place| {
                        if place.wrap == new.wrap {
                            place.slot
                        } else {
                            place.slot.wrapping_sub(self.size)
                        }
                    };
                    passed(number(event), number(old), new.slot)
                }
                NO_INTERRUPT => false,
                _ => old != new,
            });
        }
        if !layout.event_idx {
            return Ok(old != new && word(driver)? & NO_INTERRUPT == 0);
        }
        let size = u64::from(self.size);
        let asked = ram.write(device.wrapping_add(4 + 8 * size), &self.taken.to_le_bytes());
        let event = word(driver.wrapping_add(4 + 2 * size))?;
        asked
            .then_some(passed(event, old.slot, new.slot))
            .ok_or(Broken)
    }
}

/// [2.7.5.3.2] Descriptors of a table of so many bytes.
fn entries(len: u32) -> Result<u64, Broken> {
    let count = u64::from(len) / DESC;
    if count == 0 || u64::from(len) % DESC != 0 {
        return Err(Broken);
    }
    Ok(count)
}

/// [2.7.10.1] Whether an index that went from `old` to `new` has passed `event`.
fn passed(event: u16, old: u16, new: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}
