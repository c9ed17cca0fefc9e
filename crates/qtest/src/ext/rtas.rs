//! `rtas`: run-time abstraction services of pseries machines.

use super::{Arguments, Extension, InvalidWord, Word, is_at_most};
use crate::number::parse_decimal;

/// Calls a run-time abstraction service of a `pseries` machine (PAPR, chapter "Run-Time Abstraction
/// Services").
///
/// Arguments and results are arrays of big-endian 32-bit words in guest memory; the caller writes
/// the one first and reads the other afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rtas {
    /// Name of the service, for example `get-time-of-day`.
    pub service: Word,
    /// Number of arguments.
    pub argument_count: u32,
    /// Guest-physical address of the arguments.
    pub arguments: u64,
    /// Number of results.
    pub result_count: u32,
    /// Guest-physical address of the results.
    pub results: u64,
}

impl Rtas {
    /// A call of `service` without arguments and results.
    ///
    /// # Errors
    ///
    /// If `service` is not one word.
    pub fn new(service: &str) -> Result<Self, InvalidWord> {
        Ok(Self {
            service: Word::new(service)?,
            argument_count: 0,
            arguments: 0,
            result_count: 0,
            results: 0,
        })
    }

    /// With `count` arguments at guest-physical address `addr`.
    #[must_use]
    pub fn with_arguments(self, count: u32, addr: u64) -> Self {
        Self {
            argument_count: count,
            arguments: addr,
            ..self
        }
    }

    /// With room for `count` results at guest-physical address `addr`.
    #[must_use]
    pub fn with_results(self, count: u32, addr: u64) -> Self {
        Self {
            result_count: count,
            results: addr,
            ..self
        }
    }
}

impl Extension for Rtas {
    const NAME: &'static str = "rtas";

    /// The status of the call itself: 0 if the machine has the service, else a hypercall's error,
    /// −4 (`H_Parameter`). The service's own status is its first result.
    type Reply = i64;

    fn arguments(&self, arguments: &mut Arguments) {
        arguments
            .word(&self.service)
            .hex(self.argument_count.into())
            .hex(self.arguments)
            .hex(self.result_count.into())
            .hex(self.results);
    }

    /// One decimal number, the status as 64 bits without sign (QEMU 11.1, `pseries`).
    fn decode(&self, reply: &str) -> Option<i64> {
        Some(parse_decimal(reply.as_bytes())? as i64)
    }
}

/// Whether QEMU would take these arguments, as far as that does not depend on the machine.
pub(super) fn is_sound(arguments: &[&str]) -> bool {
    let [_, argument_count, arguments, result_count, results] = arguments else {
        return false;
    };
    is_at_most(argument_count, u32::MAX.into())
        && is_at_most(arguments, u64::MAX)
        && is_at_most(result_count, u32::MAX.into())
        && is_at_most(results, u64::MAX)
}
