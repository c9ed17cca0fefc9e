//! Sessions of cases, kept as files that can be replayed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use testjig_trace::{Requirement, Trace};
use testjig_vm::Vm;

use crate::case::Case;
use crate::registry::Capability;

/// The file of those that can't be kept, a line each, with the reason.
const NOT_RECORDED: &str = "not-recorded.txt";

/// Writes a case's session, or the reason why there is none. A directory that can't be written to is a reason for the log only: the
/// case has passed.
pub(super) fn keep(directory: &Path, case: &Case, vm: Option<&Vm>) {
    if let Err(error) = write(directory, case, vm) {
        eprintln!("failed to keep the session of {}: {error}", case.name);
    }
}

fn write(directory: &Path, case: &Case, vm: Option<&Vm>) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let trace = match vm {
        Some(vm) => Trace::record(vm, &case.name),
        None => Err("it starts its own machines".to_owned()),
    };
    match trace {
        Ok(mut trace) => {
            trace.header.requires = case.test.needs.iter().copied().map(required).collect();
            let name = case.name.replace('/', "+");
            trace
                .write(&directory.join(format!("{name}.qtr")))
                .map_err(io::Error::other)
        }
        Err(reason) => {
            // One write, so that lines of several workers stay apart.
            let line = format!("{}: {reason}\n", case.name);
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(directory.join(NOT_RECORDED))?
                .write_all(line.as_bytes())
        }
    }
}

/// On a VMM that lacks what the test needs, its session says nothing either.
fn required(need: Capability) -> Requirement {
    match need {
        Capability::Clock => Requirement::Clock,
        Capability::Running => Requirement::Running,
    }
}
