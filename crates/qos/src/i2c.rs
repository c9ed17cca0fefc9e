//! I²C: [`I2c`] is a bus, whatever controller drives it; [`Target`] is what sits at one address of it.
//!
//! Source: *I²C-bus specification and user manual* UM10204 (NXP, rev. 7), cited by section. Addresses have 7 bits, and stand in bits 6:0.
//!
//! ```no_run
//! # fn example(bus: &testjig_qos::i2c::I2c) {
//! let clock = bus.target(0x68);
//! clock.write(&[0x08, 1, 2, 3]);
//! assert_eq!(clock.write_read(&[0x08], 3), [1, 2, 3]);
//! # }
//! ```

mod imx;
mod sbcon;

use std::fmt;
use std::rc::Rc;

use testjig_vm::Vm;

pub use self::imx::{Control, ImxI2c, Reg, Status};
pub use self::sbcon::Sbcon;

/// Which way the bytes behind an address go (§3.1.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the controller to the target.
    Write,
    /// From the target to the controller.
    Read,
}

impl Direction {
    /// The first byte of a transfer: address and direction.
    pub const fn with(self, address: u8) -> u8 {
        address << 1 | self as u8
    }
}

/// A controller: what makes conditions and moves bytes.
pub trait Adapter: fmt::Debug {
    /// The machine.
    fn vm(&self) -> &Vm;

    /// START, or a repeated START within a transfer (§3.1.4), and the address. Whether a target acknowledges it.
    #[track_caller]
    fn start(&self, address: u8, direction: Direction) -> bool;

    /// A byte to the target; whether it acknowledges it (§3.1.6).
    #[track_caller]
    fn write(&self, byte: u8) -> bool;

    /// Bytes from the target, at least one, all but the last acknowledged; then STOP.
    #[track_caller]
    fn read(&self, bytes: &mut [u8]);

    /// STOP.
    #[track_caller]
    fn stop(&self);
}

/// A bus.
#[derive(Clone, Debug)]
pub struct I2c(Rc<dyn Adapter>);

impl I2c {
    /// The bus behind a controller.
    pub fn new(adapter: impl Adapter + 'static) -> Self {
        Self(Rc::new(adapter))
    }

    /// The machine.
    pub fn vm(&self) -> &Vm {
        self.0.vm()
    }

    /// The controller, for transfers that no driver makes.
    pub fn adapter(&self) -> &dyn Adapter {
        &*self.0
    }

    /// Whether something acknowledges this address, 0x00 to 0x7f.
    #[track_caller]
    pub fn is_there(&self, address: u8) -> bool {
        let there = self.0.start(address, Direction::Write);
        self.0.stop();
        there
    }

    /// What sits at this address, 0x00 to 0x7f. Touches nothing.
    ///
    /// # Panics
    /// If the address has more than 7 bits.
    #[track_caller]
    pub fn target(&self, address: u8) -> Target {
        assert!(address < 0x80, "{address:#x} is no address of 7 bits");
        Target {
            bus: self.clone(),
            address,
        }
    }
}

/// What sits at one address of a bus.
#[derive(Clone, Debug)]
pub struct Target {
    bus: I2c,
    address: u8,
}

impl Target {
    /// Its bus.
    pub fn bus(&self) -> &I2c {
        &self.bus
    }

    /// Its address, 7 bits.
    pub fn address(&self) -> u8 {
        self.address
    }

    /// Writes bytes in one transfer.
    ///
    /// # Panics
    /// If the address or a byte is not acknowledged.
    #[track_caller]
    pub fn write(&self, bytes: &[u8]) {
        self.begin(bytes);
        self.bus.0.stop();
    }

    /// Reads so many bytes, at least one, in one transfer.
    ///
    /// # Panics
    /// If the address is not acknowledged.
    #[track_caller]
    pub fn read(&self, len: usize) -> Vec<u8> {
        self.call(Direction::Read);
        let mut bytes = vec![0; len];
        self.bus.0.read(&mut bytes);
        bytes
    }

    /// Writes bytes, and reads so many behind a repeated START.
    ///
    /// # Panics
    /// If an address or a byte is not acknowledged.
    #[track_caller]
    pub fn write_read(&self, bytes: &[u8], len: usize) -> Vec<u8> {
        self.begin(bytes);
        self.read(len)
    }

    #[track_caller]
    fn begin(&self, bytes: &[u8]) {
        self.call(Direction::Write);
        for (index, byte) in bytes.iter().enumerate() {
            let taken = self.bus.0.write(*byte);
            assert!(
                taken,
                "I²C target {:#04x} does not acknowledge byte {index}, {byte:#04x}",
                self.address
            );
        }
    }

    #[track_caller]
    fn call(&self, direction: Direction) {
        let there = self.bus.0.start(self.address, direction);
        assert!(there, "no I²C target acknowledges {:#04x}", self.address);
    }
}
