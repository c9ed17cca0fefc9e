//! [`Bdf`]: where a function sits.

use std::fmt;

/// Where a function sits: bus 0–255, device 0–31, function 0–7. Shown as `00:01.3`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bdf {
    bus: u8,
    device: u8,
    function: u8,
}

impl Bdf {
    /// The function `function` (0–7) of the device `device` (0–31) on `bus`.
    ///
    /// # Panics
    /// If a number is out of its range.
    pub const fn new(bus: u8, device: u8, function: u8) -> Self {
        assert!(device < 32, "a PCI bus has devices 0 to 31");
        assert!(function < 8, "a PCI device has functions 0 to 7");
        Self {
            bus,
            device,
            function,
        }
    }

    /// The function of a requester ID, as transactions carry it (PCIe §2.2.4.2): bus, device, function from the top.
    pub const fn from_requester_id(id: u16) -> Self {
        Self::new((id >> 8) as u8, ((id >> 3) & 0x1f) as u8, (id & 0x7) as u8)
    }

    /// Bus number, 0–255.
    pub const fn bus(self) -> u8 {
        self.bus
    }

    /// Device number on its bus, 0–31.
    pub const fn device(self) -> u8 {
        self.device
    }

    /// Function number in its device, 0–7.
    pub const fn function(self) -> u8 {
        self.function
    }

    /// Bus, device and function in 16 bits, from the top.
    pub const fn requester_id(self) -> u16 {
        (self.bus as u16) << 8 | (self.device as u16) << 3 | self.function as u16
    }
}

impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:02x}:{:02x}.{:x}",
            self.bus, self.device, self.function
        )
    }
}

impl fmt::Debug for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requester_id_is_8_5_and_3_bits() {
        let at = Bdf::new(0xa5, 0x1b, 6);
        assert_eq!(at.requester_id(), 0xa5de);
        assert_eq!(Bdf::from_requester_id(0xa5de), at);
        assert_eq!(at.to_string(), "a5:1b.6");
    }
}
