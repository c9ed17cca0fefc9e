//! The configuration of the device (§5.1.4), and the features that say which fields are there (§5.1.3).

use bitfield_struct::bitfield;

use crate::virtio::{Features, Virtio};

/// Features of network devices (§5.1.3).
#[derive(Clone, Copy, Debug)]
pub struct NetFeature;

impl NetFeature {
    /// The device completes checksums of what is sent.
    pub const CSUM: Features = Features::bit(0);
    /// The driver takes frames whose checksum is not complete.
    pub const GUEST_CSUM: Features = Features::bit(1);
    /// The driver may switch offloads of what is received.
    pub const CTRL_GUEST_OFFLOADS: Features = Features::bit(2);
    /// The device tells the largest frame.
    pub const MTU: Features = Features::bit(3);
    /// The device has an address.
    pub const MAC: Features = Features::bit(5);
    /// The device segments whatever is sent. Legacy.
    pub const GSO: Features = Features::bit(6);
    /// The driver takes TCP over IPv4 unsegmented.
    pub const GUEST_TSO4: Features = Features::bit(7);
    /// The driver takes TCP over IPv6 unsegmented.
    pub const GUEST_TSO6: Features = Features::bit(8);
    /// The driver takes such with explicit congestion notification.
    pub const GUEST_ECN: Features = Features::bit(9);
    /// The driver takes UDP unfragmented.
    pub const GUEST_UFO: Features = Features::bit(10);
    /// The device segments TCP over IPv4.
    pub const HOST_TSO4: Features = Features::bit(11);
    /// The device segments TCP over IPv6.
    pub const HOST_TSO6: Features = Features::bit(12);
    /// The device segments such with explicit congestion notification.
    pub const HOST_ECN: Features = Features::bit(13);
    /// The device fragments UDP.
    pub const HOST_UFO: Features = Features::bit(14);
    /// A received frame may be in several buffers.
    pub const MRG_RXBUF: Features = Features::bit(15);
    /// The status is there.
    pub const STATUS: Features = Features::bit(16);
    /// There is a virtqueue of commands.
    pub const CTRL_VQ: Features = Features::bit(17);
    /// The driver may choose what is received.
    pub const CTRL_RX: Features = Features::bit(18);
    /// The driver may choose by VLAN.
    pub const CTRL_VLAN: Features = Features::bit(19);
    /// The driver may choose more finely.
    pub const CTRL_RX_EXTRA: Features = Features::bit(20);
    /// The device may ask the driver to announce itself.
    pub const GUEST_ANNOUNCE: Features = Features::bit(21);
    /// There is more than one pair of virtqueues.
    pub const MQ: Features = Features::bit(22);
    /// The driver may give the device another address.
    pub const CTRL_MAC_ADDR: Features = Features::bit(23);
    /// The device reports a hash of each received frame.
    pub const HASH_REPORT: Features = Features::bit(57);
    /// The driver tells how many segments a coalesced frame has.
    pub const GUEST_HDRLEN: Features = Features::bit(59);
    /// The device chooses the virtqueue of a received frame by its hash.
    pub const RSS: Features = Features::bit(60);
    /// The device tells of coalesced segments.
    pub const RSC_EXT: Features = Features::bit(61);
    /// The device stands in for another one with the same address.
    pub const STANDBY: Features = Features::bit(62);
    /// The device tells its speed.
    pub const SPEED_DUPLEX: Features = Features::bit(63);
}

/// Offsets of the fields in bytes (§5.1.4).
pub mod field {
    /// Six bytes.
    pub const MAC: u32 = 0;
    /// 16 bits: [`NetStatus`](super::NetStatus).
    pub const STATUS: u32 = 6;
    /// 16 bits: pairs of virtqueues.
    pub const MAX_VIRTQUEUE_PAIRS: u32 = 8;
    /// 16 bits: bytes of the largest frame without its Ethernet header.
    pub const MTU: u32 = 10;
    /// 32 bits: units of 10^6 bits a second; all ones is not known.
    pub const SPEED: u32 = 12;
    /// 8 bits: one of [`duplex`](super::duplex).
    pub const DUPLEX: u32 = 16;
    /// 8 bits: bytes.
    pub const RSS_MAX_KEY_SIZE: u32 = 17;
    /// 16 bits: entries.
    pub const RSS_MAX_INDIRECTION_TABLE_LENGTH: u32 = 18;
    /// 32 bits: of [`hash`](super::super::hash).
    pub const SUPPORTED_HASH_TYPES: u32 = 20;
}

/// Which ways at once a link carries frames (§5.1.4).
pub mod duplex {
    /// One.
    pub const HALF: u8 = 0;
    /// Both.
    pub const FULL: u8 = 1;
    /// Not known.
    pub const UNKNOWN: u8 = 0xff;
}

/// The field `status` (§5.1.4). Without the feature the link counts as up.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct NetStatus {
    /// The link is up.
    pub link_up: bool,
    /// The driver is to announce itself, and to say that it did.
    pub announce: bool,
    #[bits(14)]
    __: u16,
}

/// What the device can do of receive-side scaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RssLimits {
    /// Most bytes of a key.
    pub key_size: u8,
    /// Most entries of the table.
    pub table_length: u16,
    /// Which hashes.
    pub hash_types: u32,
}

/// The configuration of a network device, a read each call.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a>(pub(super) &'a Virtio);

impl Config<'_> {
    /// The device's address.
    #[track_caller]
    pub fn mac(&self) -> [u8; 6] {
        [0, 1, 2, 3, 4, 5].map(|at| self.0.config_u8(field::MAC + at))
    }

    /// Writes the address, which only a legacy device takes so.
    #[track_caller]
    pub fn set_mac(&self, mac: [u8; 6]) {
        for (at, byte) in (field::MAC..).zip(mac) {
            self.0.set_config_u8(at, byte);
        }
    }

    /// Link and announcement.
    #[track_caller]
    pub fn status(&self) -> NetStatus {
        self.0.config_u16(field::STATUS).into()
    }

    /// Pairs of virtqueues that there are.
    #[track_caller]
    pub fn max_virtqueue_pairs(&self) -> u16 {
        self.0.config_u16(field::MAX_VIRTQUEUE_PAIRS)
    }

    /// Bytes of the largest frame without its Ethernet header.
    #[track_caller]
    pub fn mtu(&self) -> u16 {
        self.0.config_u16(field::MTU)
    }

    /// Units of 10^6 bits a second; all ones is not known.
    #[track_caller]
    pub fn speed(&self) -> u32 {
        self.0.config_u32(field::SPEED)
    }

    /// One of [`duplex`].
    #[track_caller]
    pub fn duplex(&self) -> u8 {
        self.0.config_u8(field::DUPLEX)
    }

    /// Receive-side scaling.
    #[track_caller]
    pub fn rss(&self) -> RssLimits {
        RssLimits {
            key_size: self.0.config_u8(field::RSS_MAX_KEY_SIZE),
            table_length: self.0.config_u16(field::RSS_MAX_INDIRECTION_TABLE_LENGTH),
            hash_types: self.0.config_u32(field::SUPPORTED_HASH_TYPES),
        }
    }
}
