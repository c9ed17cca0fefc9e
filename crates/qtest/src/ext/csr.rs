//! `csr`: control and status registers of RISC-V harts.

use super::{Arguments, Extension, OutOfRange, is_at_most};

const NUMBER_MAX: u16 = 0xfff;
const HART_MAX: u32 = i32::MAX as u32;

/// Reads or writes a control and status register of a RISC-V hart (`riscv32` and `riscv64`
/// machines).
///
/// QEMU aborts on a hart or register that does not exist, and on a write to a read-only register
/// (11.1); there is no reply that says so. Numbers are those of the RISC-V privileged
/// specification, chapter "CSR listing".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Csr {
    hart: u32,
    number: u16,
    access: CsrAccess,
}

/// What [`Csr`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CsrAccess {
    /// Reads the register.
    Get,
    /// Writes the register.
    Set(u64),
}

impl Csr {
    /// Reads register `number` of `hart`.
    ///
    /// # Errors
    ///
    /// If `number` exceeds 0xfff or `hart` 2³¹−1.
    pub fn get(hart: u32, number: u16) -> Result<Self, OutOfRange> {
        Self::new(hart, number, CsrAccess::Get)
    }

    /// Writes register `number` of `hart`.
    ///
    /// # Errors
    ///
    /// If `number` exceeds 0xfff or `hart` 2³¹−1.
    pub fn set(hart: u32, number: u16, value: u64) -> Result<Self, OutOfRange> {
        Self::new(hart, number, CsrAccess::Set(value))
    }

    fn new(hart: u32, number: u16, access: CsrAccess) -> Result<Self, OutOfRange> {
        if number > NUMBER_MAX {
            return Err(OutOfRange("a CSR's number is at most 0xfff"));
        }
        if hart > HART_MAX {
            return Err(OutOfRange("a hart's number is less than 2^31"));
        }
        Ok(Self {
            hart,
            number,
            access,
        })
    }
}

impl Extension for Csr {
    const NAME: &'static str = "csr";

    /// The register's value, after the write if it was one.
    type Reply = u64;

    fn arguments(&self, arguments: &mut Arguments) {
        let (name, value) = match self.access {
            CsrAccess::Get => ("get_csr", 0),
            CsrAccess::Set(value) => ("set_csr", value),
        };
        arguments
            .word(name)
            .hex(self.hart.into())
            .hex(self.number.into())
            .hex(value);
    }

    /// Two hexadecimal numbers without prefix: status, which must be 0, and value.
    fn decode(&self, reply: &str) -> Option<u64> {
        let (status, value) = reply.split_once(' ')?;
        if status != "0"
            || value.is_empty()
            || !value.bytes().all(|digit| digit.is_ascii_hexdigit())
        {
            return None;
        }
        u64::from_str_radix(value, 16).ok()
    }
}

/// Whether QEMU would take these arguments, as far as that does not depend on the machine.
pub(super) fn is_sound(arguments: &[&str]) -> bool {
    let [access, hart, number, value] = arguments else {
        return false;
    };
    matches!(*access, "get_csr" | "set_csr")
        && is_at_most(hart, HART_MAX.into())
        && is_at_most(number, NUMBER_MAX.into())
        && is_at_most(value, u64::MAX)
}
