//! [`Control`]: a message about a port (§5.3.6.2).

use std::fmt;

use crate::virtio::Order;

/// What a [`Control`] says.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ControlEvent(pub u16);

impl ControlEvent {
    /// By the driver: it is set up (value 1), or is not going to be (0).
    pub const DEVICE_READY: Self = Self(0);
    /// By the device: there is a port.
    pub const PORT_ADD: Self = Self(1);
    /// By the device: there is no such port any more.
    pub const PORT_REMOVE: Self = Self(2);
    /// By the driver: it is ready for the port (value 1), or is not going to be (0).
    pub const PORT_READY: Self = Self(3);
    /// By the device: the port is a console (value 1).
    pub const CONSOLE_PORT: Self = Self(4);
    /// By the device: the console has another size, which follows.
    pub const RESIZE: Self = Self(5);
    /// By either: the port is open there (value 1), or not (0).
    pub const PORT_OPEN: Self = Self(6);
    /// By the device: the port has a name, which follows.
    pub const PORT_NAME: Self = Self(7);

    const NAMES: [&'static str; 8] = [
        "DEVICE_READY",
        "PORT_ADD",
        "PORT_REMOVE",
        "PORT_READY",
        "CONSOLE_PORT",
        "RESIZE",
        "PORT_OPEN",
        "PORT_NAME",
    ];
}

impl fmt::Debug for ControlEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.get(usize::from(self.0)) {
            Some(name) => f.write_str(name),
            None => write!(f, "ControlEvent({})", self.0),
        }
    }
}

/// A message about a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The port.
    pub id: u32,
    /// What of it.
    pub event: ControlEvent,
    /// Most often: whether.
    pub value: u16,
    /// What follows, as with [`ControlEvent::PORT_NAME`].
    pub rest: Vec<u8>,
}

impl Control {
    /// Bytes of a message before what follows.
    pub const LEN: usize = 8;

    /// A message that nothing follows.
    pub fn new(id: u32, event: ControlEvent, value: u16) -> Self {
        Self {
            id,
            event,
            value,
            rest: Vec::new(),
        }
    }

    /// As it stands in memory.
    pub fn to_bytes(&self, order: Order) -> Vec<u8> {
        let mut bytes = order.bytes32(self.id).to_vec();
        bytes.extend(order.bytes16(self.event.0));
        bytes.extend(order.bytes16(self.value));
        bytes.extend(&self.rest);
        bytes
    }

    /// From memory; `None` if there are fewer bytes than [`Control::LEN`].
    pub fn from_bytes(bytes: &[u8], order: Order) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(Self::LEN)?;
        Some(Self {
            id: order.value(&head[..4]) as u32,
            event: ControlEvent(order.value(&head[4..6]) as u16),
            value: order.value(&head[6..]) as u16,
            rest: rest.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stands_in_memory_as_the_specification_has_it() {
        let message = Control {
            rest: b"x".to_vec(),
            ..Control::new(0x0102_0304, ControlEvent::PORT_NAME, 1)
        };
        let little = message.to_bytes(Order::Little);
        assert_eq!(little, [4, 3, 2, 1, 7, 0, 1, 0, b'x']);
        let big = message.to_bytes(Order::Big);
        assert_eq!(big, [1, 2, 3, 4, 0, 7, 0, 1, b'x']);
        for (bytes, order) in [(little, Order::Little), (big, Order::Big)] {
            assert_eq!(Control::from_bytes(&bytes, order), Some(message.clone()));
            assert_eq!(Control::from_bytes(&bytes[..7], order), None);
        }
    }

    #[test]
    fn events_are_shown_by_name() {
        assert_eq!(format!("{:?}", ControlEvent::PORT_OPEN), "PORT_OPEN");
        assert_eq!(format!("{:?}", ControlEvent(8)), "ControlEvent(8)");
    }
}
