//! [`Segment`]: a piece of a request in guest memory, and the descriptor that says so.

use crate::mem::{GuestBox, GuestBuf};

/// A piece of a request: where it is, and who writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Guest-physical address.
    pub addr: u64,
    /// Bytes.
    pub len: u32,
    /// Whether the device writes it; else it reads it.
    pub device_writes: bool,
}

impl Segment {
    /// What the device reads.
    pub fn readable(addr: u64, len: u32) -> Self {
        Self {
            addr,
            len,
            device_writes: false,
        }
    }

    /// What the device writes.
    pub fn writable(addr: u64, len: u32) -> Self {
        Self {
            addr,
            len,
            device_writes: true,
        }
    }

    pub(super) fn flags(self) -> DescFlags {
        if self.device_writes {
            DescFlags::WRITE
        } else {
            DescFlags::NONE
        }
    }
}

impl GuestBuf {
    /// All of it, for the device to read.
    pub fn readable(&self) -> Segment {
        Segment::readable(self.addr(), self.len() as u32)
    }

    /// All of it, for the device to write.
    pub fn writable(&self) -> Segment {
        Segment::writable(self.addr(), self.len() as u32)
    }
}

impl<T: crate::mem::FromBytes + crate::mem::IntoBytes + crate::mem::Immutable> GuestBox<T> {
    /// All of it, for the device to read.
    pub fn readable(&self) -> Segment {
        self.bytes().readable()
    }

    /// All of it, for the device to write.
    pub fn writable(&self) -> Segment {
        self.bytes().writable()
    }
}

/// Flags of a descriptor (Virtio 1.2 §2.7.5, §2.8.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DescFlags(pub u16);

impl DescFlags {
    /// A buffer that the device reads.
    pub const NONE: Self = Self(0);
    /// The chain goes on.
    pub const NEXT: Self = Self(1);
    /// A buffer that the device writes.
    pub const WRITE: Self = Self(2);
    /// The buffer is a table of descriptors.
    pub const INDIRECT: Self = Self(4);
    /// Packed ring: made available in the lap whose wrap counter this is.
    pub const AVAIL: Self = Self(1 << 7);
    /// Packed ring: used in the lap whose wrap counter this is.
    pub const USED: Self = Self(1 << 15);

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A descriptor as it stands in memory, of either ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Desc {
    /// Guest-physical address.
    pub addr: u64,
    /// Bytes.
    pub len: u32,
    /// What it is.
    pub flags: DescFlags,
    /// Split ring: the next descriptor of the chain. Packed ring: the buffer's id.
    pub next: u16,
}

/// Bytes of a descriptor, of either ring.
pub const DESC_LEN: u64 = 16;
