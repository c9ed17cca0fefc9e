//! Run-time abstraction services (RTAS): what the firmware of a POWER server does for its operating system.
//!
//! Source: *Power Architecture Platform Requirements* (PAPR; published as *Linux on Power Architecture Reference*, LoPAR), chapter
//! "Run-Time Abstraction Services". Arguments and results are big-endian words of 32 bits; the first result is the status.

use std::cell::OnceCell;
use std::rc::Rc;

use testjig_qtest::Rtas;
use testjig_vm::Vm;

use crate::dev::mc146818::{Date, DateTime, Time};
use crate::mem::{GuestAlloc, GuestBuf};
pub use crate::pci::RtasStatus;

impl RtasStatus {
    /// The service was carried out.
    pub const SUCCESS: Self = Self(0);
    /// A system parameter that may not be set.
    pub const NOT_AUTHORIZED: Self = Self(-9002);
    /// A buffer that is too small for a system parameter's length.
    pub const BUFFER_TOO_SMALL: Self = Self(-9999);
}

/// The services of a machine.
#[derive(Clone, Debug)]
pub struct Services {
    vm: Vm,
    memory: OnceCell<Rc<GuestBuf>>,
}

impl Services {
    /// Words of arguments, or of results, that a call has room for.
    pub const WORDS: usize = 16;
    /// What a result is before the service writes it.
    pub const UNWRITTEN: u32 = 0x5a5a_5a5a;
    /// What the call itself answers for a service that the machine does not have: `H_Parameter`.
    pub const H_PARAMETER: i64 = -4;

    /// The services of this machine. Touches nothing.
    pub fn new(vm: &Vm) -> Self {
        Self {
            vm: vm.clone(),
            memory: OnceCell::new(),
        }
    }

    /// The machine.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// Calls a service with these arguments and room for so many results, of which the first is the status.
    ///
    /// # Panics
    /// If the machine does not have the service, or with more than [`Services::WORDS`] arguments or results.
    #[track_caller]
    pub fn call(&self, service: &str, arguments: &[u32], results: usize) -> Vec<u32> {
        assert!(
            arguments.len() <= Self::WORDS && results <= Self::WORDS,
            "a call has room for {} words each way",
            Self::WORDS
        );
        let behind = 4 * Self::WORDS as u64;
        let memory = self.memory.get_or_init(|| {
            // Services take addresses of 32 bits.
            let request = GuestAlloc::of(&self.vm).request(2 * behind);
            Rc::new(request.below(1 << 32).buf())
        });
        for (offset, argument) in (0..).step_by(4).zip(arguments) {
            memory.write_be(offset, *argument);
        }
        let offsets = || (0..results as u64).map(|index| behind + 4 * index);
        for offset in offsets() {
            memory.write_be(offset, Self::UNWRITTEN);
        }
        let answer = self.raw(
            service,
            (arguments.len() as u32, memory.addr()),
            (results as u32, memory.addr() + behind),
        );
        assert_eq!(answer, 0, "the machine has no service {service}");
        offsets().map(|offset| memory.read_be(offset)).collect()
    }

    /// The call itself: numbers and addresses of arguments and results. Answers 0, or [`Services::H_PARAMETER`].
    #[track_caller]
    pub fn raw(&self, service: &str, arguments: (u32, u64), results: (u32, u64)) -> i64 {
        let call = Rtas::new(service)
            .unwrap_or_else(|error| panic!("{error}"))
            .with_arguments(arguments.0, arguments.1)
            .with_results(results.0, results.1);
        self.vm.call(&call)
    }

    /// The status alone of a call with room for so many results.
    #[track_caller]
    pub fn status(&self, service: &str, arguments: &[u32], results: usize) -> RtasStatus {
        RtasStatus(self.call(service, arguments, results)[0] as i32)
    }

    /// `get-time-of-day`: the moment, and the nanoseconds behind it.
    ///
    /// # Errors
    /// The status, if it is not 0.
    #[track_caller]
    pub fn time_of_day(&self) -> Result<(DateTime, u32), RtasStatus> {
        let results = self.call("get-time-of-day", &[], 8);
        match results[0] as i32 {
            0 => {
                let byte = |index: usize| results[index] as u8;
                let date = Date::new(results[1] as u16, byte(2), byte(3));
                let time = Time::new(byte(4), byte(5), byte(6));
                Ok((DateTime::new(date, time), results[7]))
            }
            status => Err(RtasStatus(status)),
        }
    }

    /// `set-time-of-day`, with 0 nanoseconds.
    #[track_caller]
    pub fn set_time_of_day(&self, now: DateTime) -> RtasStatus {
        let DateTime { date, time } = now;
        let arguments = [
            date.year.into(),
            date.month.into(),
            date.day.into(),
            time.hours.into(),
            time.minutes.into(),
            time.seconds.into(),
            0,
        ];
        self.status("set-time-of-day", &arguments, 1)
    }
}
