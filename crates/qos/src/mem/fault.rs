//! What a test can do wrong with guest memory.

use std::fmt;
use std::panic::Location;

/// Which side of a block was written over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Bytes before its first.
    Before,
    /// Bytes after its last.
    After,
}

/// Misuse of guest memory, with the block that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryFault {
    /// The block was not freed when the test had ended.
    Leak {
        /// Guest-physical address of the block.
        addr: u64,
        /// Its length in bytes.
        len: u64,
        /// Where it was allocated.
        allocated: &'static Location<'static>,
    },
    /// Bytes beside the block were written.
    Overrun {
        /// Guest-physical address of the block.
        addr: u64,
        /// Its length in bytes.
        len: u64,
        /// Where it was allocated.
        allocated: &'static Location<'static>,
        /// On which side.
        side: Side,
        /// The first changed byte: so many bytes before the block's first (1 is right before it), or after its last (0 is right after).
        distance: u64,
        /// What was written there.
        value: u8,
    },
    /// Bytes of the block were written after it was freed.
    UseAfterFree {
        /// Guest-physical address of the block.
        addr: u64,
        /// Its length in bytes.
        len: u64,
        /// Where it was allocated.
        allocated: &'static Location<'static>,
        /// Where it was freed; `None` if it was dropped.
        freed: Option<&'static Location<'static>>,
        /// The first changed byte, counted from the block's first.
        offset: u64,
        /// What was written there.
        value: u8,
    },
    /// The block was freed again.
    DoubleFree {
        /// Guest-physical address of the block.
        addr: u64,
        /// Its length in bytes.
        len: u64,
        /// Where it was allocated.
        allocated: &'static Location<'static>,
        /// Where it was freed first; `None` if it was dropped.
        freed: Option<&'static Location<'static>>,
    },
}

impl MemoryFault {
    /// Where the block was allocated.
    pub fn allocated(&self) -> &'static Location<'static> {
        match self {
            Self::Leak { allocated, .. }
            | Self::Overrun { allocated, .. }
            | Self::UseAfterFree { allocated, .. }
            | Self::DoubleFree { allocated, .. } => allocated,
        }
    }

    /// Whether it is a leak: the block itself is unharmed.
    pub fn is_leak(&self) -> bool {
        matches!(self, Self::Leak { .. })
    }
}

/// A block in words: `guest buffer of 512 bytes at 0x300040, allocated at suite/src/blk.rs:12`.
struct Block(u64, u64, &'static Location<'static>);

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(addr, len, place) = self;
        write!(
            f,
            "guest buffer of {len} bytes at {addr:#x}, allocated at {}:{}",
            place.file(),
            place.line()
        )
    }
}

/// Where a block ended, in words.
struct Freed(Option<&'static Location<'static>>);

impl fmt::Display for Freed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(place) => write!(f, "freed at {}:{}", place.file(), place.line()),
            None => f.write_str("dropped"),
        }
    }
}

impl fmt::Display for MemoryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Leak {
                addr,
                len,
                allocated,
            } => write!(f, "leak: {} and never freed", Block(addr, len, allocated)),
            Self::Overrun {
                addr,
                len,
                allocated,
                side,
                distance,
                value,
            } => {
                let block = Block(addr, len, allocated);
                match side {
                    Side::After => write!(
                        f,
                        "overrun: byte {} behind the end of a {block}, was written with {value:#04x}",
                        distance + 1
                    ),
                    Side::Before => write!(
                        f,
                        "underrun: byte {distance} before the start of a {block}, was written with {value:#04x}"
                    ),
                }
            }
            Self::UseAfterFree {
                addr,
                len,
                allocated,
                freed,
                offset,
                value,
            } => write!(
                f,
                "use after free: byte {offset:#x} of a {} and {}, was written with {value:#04x} after that",
                Block(addr, len, allocated),
                Freed(freed)
            ),
            Self::DoubleFree {
                addr,
                len,
                allocated,
                freed,
            } => write!(
                f,
                "double free: of a {} and already {}",
                Block(addr, len, allocated),
                Freed(freed)
            ),
        }
    }
}
