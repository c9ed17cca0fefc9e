//! The embedded machine: this same binary, in a worker's thread, forked, or started again as a VMM.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::time::Instant;

use testjig_machine::InProcess;
use testjig_qmp::Version;
use testjig_qtest::{Progress, Transport};
use testjig_vm::{Embedded, Inside, Qemu};

/// The first argument that makes any binary of testjig the embedded machine.
const ARGUMENT: &str = "--testjig-embedded-machine";

/// Is the embedded machine, and returns its exit status, if this process was started as that.
pub(crate) fn serve() -> Option<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == ARGUMENT) {
        return Some(main(&words).into());
    }
    Embedded::is_here(main, make);
    None
}

/// The embedded machine, after the argument that says so.
fn main(words: &[String]) -> u8 {
    testjig_machine::main(words.iter().skip(1).cloned())
}

/// The embedded machine in this thread.
fn make(words: &[String]) -> Result<Box<dyn Inside>, String> {
    let machine = InProcess::new(words.iter().skip(1).cloned())?;
    Ok(Box::new(Here(machine)))
}

struct Here(InProcess);

impl Transport for Here {
    fn exchange(
        &mut self,
        out: &[u8],
        input: &mut [u8],
        deadline: Instant,
    ) -> io::Result<Progress> {
        self.0.exchange(out, input, deadline)
    }
}

impl Inside for Here {
    fn attend(&mut self) -> io::Result<bool> {
        self.0.attend()
    }

    fn stderr(&self) -> String {
        let lines = self.0.warnings().iter().map(|line| format!("{line}\n"));
        lines.collect()
    }
}

/// The embedded machine; `instead_of` says what was looked at before, if nobody asked for it, and `plants` which bugs it is to have.
///
/// # Errors
/// If this process can't tell which program it is.
pub fn machine(instead_of: Vec<String>, plants: &[String]) -> Result<Qemu, String> {
    let program = std::env::current_exe().map_err(|error| {
        format!("failed to find this program, which is the embedded machine too: {error}")
    })?;
    let planted = plants
        .iter()
        .flat_map(|name| ["-plant".to_owned(), name.clone()]);
    let leading = [ARGUMENT.to_owned()].into_iter().chain(planted);
    let embedded = Embedded {
        program,
        leading_args: leading.map(OsString::from).collect(),
        version: Version::new(testjig_machine::VERSION, "the embedded machine"),
        machines: testjig_machine::MACHINES,
        devices: testjig_machine::DEVICES,
        objects: testjig_machine::OBJECTS,
        passed_over: instead_of,
    };
    Ok(embedded.into_qemu())
}
