//! Arm's two-wire serial bus interface of its Versatile, RealView and MPS2 boards: two lines that software moves.
//!
//! Source: *RealView Emulation Baseboard User Guide* (DUI 0303), "Two-wire serial bus interface", registers SB_CONTROL; the boards' memory
//! maps say where; timing and conditions are of UM10204 §3.1.
//!
//! | offset | access | register |
//! |---|---|---|
//! | 0x0 | read | SB_CONTROL: bit 0 is the line SCL, bit 1 the line SDA |
//! | 0x0 | write | SB_CONTROLS: lets the lines go whose bits are 1 |
//! | 0x4 | write | SB_CONTROLC: pulls the lines low whose bits are 1 |

use std::fmt;

use testjig_vm::Vm;

use super::{Adapter, Direction};
use crate::bus::Mmio;

/// The interface at an address of guest memory.
#[derive(Clone)]
pub struct Sbcon(Mmio);

/// A line, as its bit.
#[derive(Clone, Copy)]
enum Line {
    Scl = 1,
    Sda = 2,
}

impl Sbcon {
    const SET: u64 = 0;
    const CLEAR: u64 = 4;

    /// The interface whose registers begin at `base`. Touches nothing.
    pub fn new(vm: &Vm, base: u64) -> Self {
        Self(Mmio::new(vm, base))
    }

    #[track_caller]
    fn set(&self, line: Line, high: bool) {
        let register = if high { Self::SET } else { Self::CLEAR };
        self.0.writel(register, line as u32);
    }

    #[track_caller]
    fn data(&self) -> bool {
        self.0.readl(Self::SET) & Line::Sda as u32 != 0
    }

    /// §3.1.3: data are valid while the clock is high. What the line is then, with us pulling it low or not.
    #[track_caller]
    fn bit(&self, high: bool) -> bool {
        self.set(Line::Sda, high);
        self.set(Line::Scl, true);
        let seen = self.data();
        self.set(Line::Scl, false);
        seen
    }
}

impl fmt::Debug for Sbcon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sbcon({:#x})", self.0.base())
    }
}

impl Adapter for Sbcon {
    fn vm(&self) -> &Vm {
        self.0.vm()
    }

    fn start(&self, address: u8, direction: Direction) -> bool {
        // §3.1.4: data fall while the clock is high. In a transfer both are let go first, data while the clock is low.
        self.set(Line::Sda, true);
        self.set(Line::Scl, true);
        self.set(Line::Sda, false);
        self.set(Line::Scl, false);
        self.write(direction.with(address))
    }

    fn write(&self, byte: u8) -> bool {
        for bit in (0..8).rev() {
            self.bit(byte >> bit & 1 != 0);
        }
        // §3.1.6: the target pulls the line low.
        !self.bit(true)
    }

    fn read(&self, bytes: &mut [u8]) {
        let last = bytes.len() - 1;
        for (index, byte) in bytes.iter_mut().enumerate() {
            for _ in 0..8 {
                *byte = *byte << 1 | u8::from(self.bit(true));
            }
            self.bit(index == last);
        }
        self.stop();
    }

    fn stop(&self) {
        // §3.1.4: data rise while the clock is high.
        self.set(Line::Sda, false);
        self.set(Line::Scl, true);
        self.set(Line::Sda, true);
    }
}
