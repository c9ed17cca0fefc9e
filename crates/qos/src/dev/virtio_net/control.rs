//! Commands of the control virtqueue (§5.1.6.5).

use crate::virtio::Order;

/// A command: class and number within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlCommand {
    /// Class.
    pub class: u8,
    /// Command.
    pub command: u8,
}

impl ControlCommand {
    /// Receive everything. One byte: on or off.
    pub const PROMISC: Self = Self::of(0, 0);
    /// Receive every multicast frame. One byte.
    pub const ALLMULTI: Self = Self::of(0, 1);
    /// Receive every unicast frame. One byte.
    pub const ALLUNI: Self = Self::of(0, 2);
    /// Receive no multicast frame. One byte.
    pub const NOMULTI: Self = Self::of(0, 3);
    /// Receive no unicast frame. One byte.
    pub const NOUNI: Self = Self::of(0, 4);
    /// Receive no broadcast frame. One byte.
    pub const NOBCAST: Self = Self::of(0, 5);
    /// Addresses to receive: [`mac_tables`].
    pub const MAC_TABLE_SET: Self = Self::of(1, 0);
    /// The device's address: six bytes.
    pub const MAC_ADDR_SET: Self = Self::of(1, 1);
    /// A VLAN to receive: 16 bits.
    pub const VLAN_ADD: Self = Self::of(2, 0);
    /// One not to receive any more: 16 bits.
    pub const VLAN_DEL: Self = Self::of(2, 1);
    /// The driver has announced itself.
    pub const ANNOUNCE_ACK: Self = Self::of(3, 0);
    /// Pairs of virtqueues to use: 16 bits.
    pub const VQ_PAIRS_SET: Self = Self::of(4, 0);
    /// Receive-side scaling: [`RssConfig`].
    pub const RSS_CONFIG: Self = Self::of(4, 1);
    /// Hashes to report: [`RssConfig`], of which the queues are reserved.
    pub const HASH_CONFIG: Self = Self::of(4, 2);
    /// Offloads of what is received: 64 bits, as features.
    pub const GUEST_OFFLOADS_SET: Self = Self::of(5, 0);

    /// Any command.
    pub const fn of(class: u8, command: u8) -> Self {
        Self { class, command }
    }
}

/// What the device says of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack(pub u8);

impl Ack {
    /// Done.
    pub const OK: Self = Self(0);
    /// Not done.
    pub const ERR: Self = Self(1);
    /// What this driver leaves there before.
    pub const PENDING: Self = Self(0xee);
}

/// Two tables of addresses, each after its number of entries in 32 bits (§5.1.6.5.2).
pub fn mac_tables(order: Order, unicast: &[[u8; 6]], multicast: &[[u8; 6]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for table in [unicast, multicast] {
        bytes.extend(order.bytes32(table.len() as u32));
        bytes.extend(table.iter().flatten());
    }
    bytes
}

/// Which hashes there are (§5.1.6.4.3).
pub mod hash {
    /// IPv4 addresses.
    pub const IPV4: u32 = 1 << 0;
    /// And TCP ports.
    pub const TCPV4: u32 = 1 << 1;
    /// And UDP ports.
    pub const UDPV4: u32 = 1 << 2;
    /// IPv6 addresses.
    pub const IPV6: u32 = 1 << 3;
    /// And TCP ports.
    pub const TCPV6: u32 = 1 << 4;
    /// And UDP ports.
    pub const UDPV6: u32 = 1 << 5;
    /// IPv6 addresses of extension headers.
    pub const IP_EX: u32 = 1 << 6;
    /// And TCP ports.
    pub const TCP_EX: u32 = 1 << 7;
    /// And UDP ports.
    pub const UDP_EX: u32 = 1 << 8;
}

/// Receive-side scaling (§5.1.6.5.7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RssConfig {
    /// Of [`hash`].
    pub hash_types: u32,
    /// Entries of the table less one.
    pub table_mask: u16,
    /// The virtqueue of frames without a hash, as a pair's number.
    pub unclassified_queue: u16,
    /// Pairs' numbers.
    pub table: Vec<u16>,
    /// Pairs of which only the transmit virtqueue is used, too.
    pub max_tx_vq: u16,
    /// The hash's key.
    pub key: Vec<u8>,
}

impl RssConfig {
    /// As it stands in memory; the key's length is the key's.
    pub fn to_bytes(&self, order: Order) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(order.bytes32(self.hash_types));
        bytes.extend(order.bytes16(self.table_mask));
        bytes.extend(order.bytes16(self.unclassified_queue));
        for &entry in &self.table {
            bytes.extend(order.bytes16(entry));
        }
        bytes.extend(order.bytes16(self.max_tx_vq));
        bytes.push(self.key.len() as u8);
        bytes.extend(&self.key);
        bytes
    }
}
