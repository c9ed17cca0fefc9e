//! The embedded machine: this same binary, started again as a VMM.

use std::ffi::OsString;
use std::process::ExitCode;

use testjig_qmp::Version;
use testjig_vm::{Embedded, Qemu};

/// The first argument that makes any binary of testjig the embedded machine.
const ARGUMENT: &str = "--testjig-embedded-machine";

/// Is the embedded machine, and returns its exit status, if this process was started as that.
pub(crate) fn serve() -> Option<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == ARGUMENT) {
        return Some(main(&words).into());
    }
    Embedded::is_here(main);
    None
}

/// The embedded machine, after the argument that says so.
fn main(words: &[String]) -> u8 {
    testjig_machine::main(words.iter().skip(1).cloned())
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
