//! [`Order`]: the byte order of what device and driver share.

use testjig_qtest::Endianness;
use testjig_vm::{Ram, Scalar, Vm};

/// Byte order of virtqueues, requests and configuration: little, or a legacy device's, which has that of the machine's processor
/// (Virtio 1.2 §2.4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl Order {
    /// The order of a machine's processor.
    #[track_caller]
    pub fn of(vm: &Vm) -> Self {
        match vm.endianness() {
            Endianness::Little => Self::Little,
            Endianness::Big => Self::Big,
        }
    }

    /// Reads an integer of guest memory.
    #[track_caller]
    pub fn read<T: Scalar>(self, ram: &Ram, addr: u64) -> T {
        match self {
            Self::Little => ram.read_le(addr),
            Self::Big => ram.read_be(addr),
        }
    }

    /// Writes an integer of guest memory.
    #[track_caller]
    pub fn write<T: Scalar>(self, ram: &Ram, addr: u64, value: T) {
        match self {
            Self::Little => ram.write_le(addr, value),
            Self::Big => ram.write_be(addr, value),
        }
    }

    /// Bytes of a 16-bit integer.
    pub fn bytes16(self, value: u16) -> [u8; 2] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    /// Bytes of a 32-bit integer.
    pub fn bytes32(self, value: u32) -> [u8; 4] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    /// Bytes of a 64-bit integer.
    pub fn bytes64(self, value: u64) -> [u8; 8] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    /// The integer that 1 to 8 bytes are.
    pub fn value(self, bytes: &[u8]) -> u64 {
        let join = |value: u64, &byte: &u8| value << 8 | u64::from(byte);
        match self {
            Self::Little => bytes.iter().rev().fold(0, join),
            Self::Big => bytes.iter().fold(0, join),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Order;

    #[test]
    fn bytes_and_values_are_each_others_inverse() {
        for order in [Order::Little, Order::Big] {
            assert_eq!(order.value(&order.bytes16(0x1234)), 0x1234);
            assert_eq!(order.value(&order.bytes32(0x1234_5678)), 0x1234_5678);
            assert_eq!(order.value(&order.bytes64(1 << 63 | 2)), 1 << 63 | 2);
        }
        assert_eq!(Order::Big.value(&[1, 2, 3]), 0x01_0203);
        assert_eq!(Order::Little.value(&[1, 2, 3]), 0x03_0201);
    }
}
