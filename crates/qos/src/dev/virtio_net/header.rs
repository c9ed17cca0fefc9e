//! [`Header`]: what stands before each frame (§5.1.6).

use bitfield_struct::bitfield;

use super::NetFeature;
use crate::virtio::{Features, Order};

/// Flags of a [`Header`].
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct HeaderFlags {
    /// The checksum is to be completed, from `csum_start` on.
    pub needs_csum: bool,
    /// The device has found the checksum right.
    pub data_valid: bool,
    /// `csum_start` and `csum_offset` count coalesced segments.
    pub rsc_info: bool,
    #[bits(5)]
    __: u8,
}

/// How a frame is to be segmented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gso(pub u8);

impl Gso {
    /// Not at all.
    pub const NONE: Self = Self(0);
    /// TCP over IPv4.
    pub const TCPV4: Self = Self(1);
    /// UDP.
    pub const UDP: Self = Self(3);
    /// TCP over IPv6.
    pub const TCPV6: Self = Self(4);
    /// With explicit congestion notification.
    pub const ECN: Self = Self(0x80);
}

/// The header of a frame. All zero is a frame that is sent as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// What of it means something.
    pub flags: HeaderFlags,
    /// Segmentation.
    pub gso: Gso,
    /// Bytes of the frame's own headers.
    pub hdr_len: u16,
    /// Bytes of a segment without headers.
    pub gso_size: u16,
    /// Where the checksummed part begins.
    pub csum_start: u16,
    /// Where in it the checksum is.
    pub csum_offset: u16,
    /// Buffers that a received frame takes.
    pub num_buffers: u16,
}

impl Header {
    /// Bytes of it with these features (§5.1.6, §5.1.6.1, §5.1.6.5.6).
    pub fn len(features: Features) -> usize {
        let counted = features.contains(NetFeature::MRG_RXBUF);
        if features.contains(NetFeature::HASH_REPORT) {
            20
        } else if counted || features.contains(Features::VERSION_1) {
            12
        } else {
            10
        }
    }

    /// As it stands in memory: 12 bytes, of which a legacy driver may take the first 10.
    pub fn to_bytes(self, order: Order) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[0] = self.flags.into();
        bytes[1] = self.gso.0;
        let rest = [
            self.hdr_len,
            self.gso_size,
            self.csum_start,
            self.csum_offset,
            self.num_buffers,
        ];
        for (place, value) in bytes[2..].chunks_exact_mut(2).zip(rest) {
            place.copy_from_slice(&order.bytes16(value));
        }
        bytes
    }

    /// From memory, as much as is there.
    pub fn from_bytes(bytes: &[u8], order: Order) -> Self {
        let field = |at: usize| match bytes.get(at..at + 2) {
            Some(field) => order.value(field) as u16,
            None => 0,
        };
        Self {
            flags: bytes.first().copied().unwrap_or_default().into(),
            gso: Gso(bytes.get(1).copied().unwrap_or_default()),
            hdr_len: field(2),
            gso_size: field(4),
            csum_start: field(6),
            csum_offset: field(8),
            num_buffers: field(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_its_fields_in_their_places() {
        let header = Header {
            flags: HeaderFlags::new().with_needs_csum(true),
            gso: Gso::TCPV6,
            hdr_len: 0x0102,
            gso_size: 0x0304,
            csum_start: 0x0506,
            csum_offset: 0x0708,
            num_buffers: 0x090a,
        };
        let bytes = [1, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        assert_eq!(header.to_bytes(Order::Big), bytes);
        assert_eq!(Header::from_bytes(&bytes, Order::Big), header);
        let little = header.to_bytes(Order::Little);
        assert_eq!(little[2..4], [2, 1]);
        assert_eq!(Header::from_bytes(&little, Order::Little), header);
        assert_eq!(Header::from_bytes(&bytes[..10], Order::Big).num_buffers, 0);
    }

    #[test]
    fn the_header_is_as_long_as_the_features_make_it() {
        assert_eq!(Header::len(Features::NONE), 10);
        assert_eq!(Header::len(NetFeature::MRG_RXBUF), 12);
        assert_eq!(Header::len(Features::VERSION_1), 12);
        assert_eq!(
            Header::len(Features::VERSION_1 | NetFeature::HASH_REPORT),
            20
        );
    }
}
