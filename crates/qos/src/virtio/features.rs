//! [`Features`]: what device and driver agree on.

use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};

/// A set of feature bits (Virtio 1.2 §2.2). Bits 0 to 23 and 50 to 127 are the device type's own; its driver names them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Features(u64);

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl Features {
            $($(#[$doc])* pub const $name: Self = Self::bit($bit);)*

            const NAMES: &'static [(u32, &'static str)] = &[$(($bit, stringify!($name))),*];
        }
    };
}

features! {
    /// The device interrupts when it has run out of buffers, whatever the driver asked for. Legacy only (§6.3).
    NOTIFY_ON_EMPTY = 24;
    /// The driver may split its requests over descriptors as it likes. Legacy only: others always may (§6.3).
    ANY_LAYOUT = 27;
    /// No feature: QEMU's legacy devices offer it to find out drivers that take whatever is offered (§6.3 reserves the bit).
    BAD_FEATURE = 30;
    /// A descriptor may name a table of descriptors (§2.7.5.3, §2.8.7).
    RING_INDIRECT_DESC = 28;
    /// Notifications are asked for by position in the ring (§2.7.7, §2.7.10).
    RING_EVENT_IDX = 29;
    /// The device complies with the specification (§6.1).
    VERSION_1 = 32;
    /// The device's access to memory is translated or limited by the platform (§6.1).
    ACCESS_PLATFORM = 33;
    /// Virtqueues have the packed layout (§2.8).
    RING_PACKED = 34;
    /// Buffers are used in the order in which they were made available (§2.7.8, §2.8.9).
    IN_ORDER = 35;
    /// Memory accesses are ordered as the platform orders them (§6.1).
    ORDER_PLATFORM = 36;
    /// The device has virtual functions (§6.1).
    SR_IOV = 37;
    /// A notification tells the position in the ring (§2.9).
    NOTIFICATION_DATA = 38;
    /// A notification tells what the device said the queue's is (§6.1).
    NOTIF_CONFIG_DATA = 39;
    /// One queue can be reset without the device (§2.6.1).
    RING_RESET = 40;
}

impl Features {
    /// No feature.
    pub const NONE: Self = Self(0);
    /// Every bit there is.
    pub const ALL: Self = Self(u64::MAX);

    /// The feature of this bit, 0 to 63.
    pub const fn bit(bit: u32) -> Self {
        Self(1 << bit)
    }

    /// The features of these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// As bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Both together, for constants.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Features {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Features {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for Features {
    type Output = Self;

    /// What is in the first and not in the second.
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Debug for Features {
    /// Names of the bits that all devices share, numbers of the others: `VERSION_1+9`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let bits = (0..64).filter(|bit| self.0 & (1 << bit) != 0);
        for (index, bit) in bits.enumerate() {
            if index > 0 {
                f.write_str("+")?;
            }
            match Self::NAMES.iter().find(|(known, _)| *known == bit) {
                Some((_, name)) => f.write_str(name)?,
                None => write!(f, "{bit}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_show_their_names() {
        let features = Features::VERSION_1 | Features::RING_PACKED | Features::bit(9);
        assert_eq!(format!("{features:?}"), "9+VERSION_1+RING_PACKED");
        assert_eq!(format!("{:?}", Features::NONE), "none");
    }

    #[test]
    fn sets_are_sets() {
        let both = Features::VERSION_1 | Features::IN_ORDER;
        assert!(both.contains(Features::IN_ORDER));
        assert!(!Features::IN_ORDER.contains(both));
        assert_eq!(both - Features::VERSION_1, Features::IN_ORDER);
        assert_eq!(both & Features::VERSION_1, Features::VERSION_1);
    }
}
