//! [`SpaprPhb`]: configuration space by the run-time abstraction services of a POWER server (PAPR, "PCI Configuration RTAS functions").

use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;

use testjig_qtest::{Rtas, Width};
use testjig_vm::Vm;

use super::Bdf;
use crate::mem::{GuestAlloc, GuestBuf};

/// A PCI host bridge of a `pseries` machine, named by its unit ID.
#[derive(Clone, Debug)]
pub struct SpaprPhb {
    vm: Vm,
    unit: u64,
    /// Where arguments and results of a call are put; made when first needed.
    memory: OnceCell<Rc<GuestBuf>>,
}

/// What a service answered in place of a success: its first result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtasStatus(pub i32);

impl RtasStatus {
    /// Hardware error; also the answer where no function is.
    pub const HARDWARE_ERROR: Self = Self(-1);
    /// A parameter is wrong.
    pub const PARAMETER_ERROR: Self = Self(-3);
}

impl fmt::Display for RtasStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::HARDWARE_ERROR => f.write_str("hardware error (-1)"),
            Self::PARAMETER_ERROR => f.write_str("parameter error (-3)"),
            Self(status) => write!(f, "status {status}"),
        }
    }
}

impl std::error::Error for RtasStatus {}

impl SpaprPhb {
    /// Bytes of configuration space that a function has here.
    pub const LEN: u16 = 4096;
    /// The unit ID of the machine's own host bridge.
    pub const FIRST_UNIT: u64 = 0x0800_0000_2000_0000;
    /// Words of guest memory for the arguments of a call, and as many for its results.
    const WORDS: usize = 16;

    /// The machine's own host bridge.
    pub fn new(vm: &Vm) -> Self {
        Self::with_unit(vm, Self::FIRST_UNIT)
    }

    /// The host bridge of this unit ID.
    pub fn with_unit(vm: &Vm, unit: u64) -> Self {
        Self {
            vm: vm.clone(),
            unit,
            memory: OnceCell::new(),
        }
    }

    /// The unit ID.
    pub fn unit(&self) -> u64 {
        self.unit
    }

    /// The machine.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// The `config_addr` of the services: bus, device, function, and the register with its upper bits on top.
    pub const fn config_addr(at: Bdf, offset: u16) -> u32 {
        (offset as u32 & 0xf00) << 20 | (at.requester_id() as u32) << 8 | (offset as u32 & 0xff)
    }

    /// Calls a service with big-endian words and returns its results behind the status.
    ///
    /// # Errors
    /// The status, if it is not 0.
    #[track_caller]
    pub fn call<const N: usize>(
        &self,
        service: &str,
        arguments: &[u32],
    ) -> Result<[u32; N], RtasStatus> {
        assert!(
            arguments.len() <= Self::WORDS && N < Self::WORDS,
            "a service takes at most {} words and returns as many",
            Self::WORDS
        );
        let results = 4 * Self::WORDS as u64;
        let memory = self.memory.get_or_init(|| {
            // A service takes 32-bit addresses.
            let request = GuestAlloc::of(&self.vm).request(2 * results);
            Rc::new(request.below(1 << 32).buf())
        });
        for (index, argument) in arguments.iter().enumerate() {
            memory.write_be(4 * index as u64, *argument);
        }
        // A service that writes nothing must not leave a success of an earlier one.
        memory.write_be(results, RtasStatus::HARDWARE_ERROR.0 as u32);
        let call = Rtas::new(service)
            .unwrap_or_else(|error| panic!("{error}"))
            .with_arguments(arguments.len() as u32, memory.addr())
            .with_results(1 + N as u32, memory.addr() + results);
        let known = self.vm.call(&call);
        assert_eq!(known, 0, "the machine has no service {service}");
        match memory.read_be::<u32>(results) as i32 {
            0 => Ok(std::array::from_fn(|index| {
                memory.read_be(results + 4 * (1 + index as u64))
            })),
            status => Err(RtasStatus(status)),
        }
    }

    /// `ibm,read-pci-config`.
    ///
    /// # Errors
    /// The service's status: a function that is not there, an offset that is not aligned or beyond the end.
    #[track_caller]
    pub fn try_read(&self, at: Bdf, offset: u16, bytes: u32) -> Result<u32, RtasStatus> {
        let arguments = self.arguments(at, offset, bytes);
        let [value] = self.call("ibm,read-pci-config", &arguments)?;
        Ok(value)
    }

    /// `ibm,write-pci-config`.
    ///
    /// # Errors
    /// As [`SpaprPhb::try_read`].
    #[track_caller]
    pub fn try_write(
        &self,
        at: Bdf,
        offset: u16,
        bytes: u32,
        value: u32,
    ) -> Result<(), RtasStatus> {
        let [address, upper, lower, size] = self.arguments(at, offset, bytes);
        let [] = self.call(
            "ibm,write-pci-config",
            &[address, upper, lower, size, value],
        )?;
        Ok(())
    }

    fn arguments(&self, at: Bdf, offset: u16, bytes: u32) -> [u32; 4] {
        [
            Self::config_addr(at, offset),
            (self.unit >> 32) as u32,
            self.unit as u32,
            bytes,
        ]
    }

    /// As other host bridges read: all ones where no function is.
    #[track_caller]
    pub(super) fn read(&self, at: Bdf, offset: u16, width: Width) -> u32 {
        match self.try_read(at, offset, width.bytes() as u32) {
            Ok(value) => value,
            Err(_) => width.mask() as u32,
        }
    }

    /// As other host bridges write: nothing where no function is.
    #[track_caller]
    pub(super) fn write(&self, at: Bdf, offset: u16, width: Width, value: u32) {
        let _ = self.try_write(at, offset, width.bytes() as u32, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PAPR, "config_addr": bits 0–3 the upper bits of the register, 8–15 bus, 16–20 device, 21–23 function, 24–31 register.
    #[test]
    fn the_address_has_the_layout_of_papr() {
        assert_eq!(
            SpaprPhb::config_addr(Bdf::new(0x12, 0x1f, 7), 0xabc),
            0xa012_ffbc
        );
    }
}
