//! PCI: configuration space of a function ([`Config`]), and the bus that finds functions by their number.

mod config;
pub(crate) mod msix;

pub(crate) use config::{Bar, Config, Id};
pub(crate) use msix::Msix;

/// Device and function number of a function on bus 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Devfn(pub(crate) u8);

impl Devfn {
    pub(crate) const fn new(slot: u8, function: u8) -> Self {
        Self(slot << 3 | function)
    }

    pub(crate) const fn slot(self) -> u8 {
        self.0 >> 3
    }
}
