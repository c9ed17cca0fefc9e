//! Inputs from recordings: what a test did, as operations that can be mutated.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use testjig_qtest::Command;
use testjig_trace::{Action, Step, Trace};

use crate::input::Input;
use crate::recording::Reader;
use crate::target::Target;

/// The inputs in recordings, in a directory and those below it: sessions as `jig run --record` writes them (`.qtr`), and what `jig run
/// --keep` leaves (`operations.log`), which has no memory that was written through its mapping.
///
/// What a recording did to other devices and to guest memory is taken along. Where it moved the device's base addresses, its accesses
/// are to where the target has them.
///
/// # Errors
/// If a directory or a file can't be read, or a file is no session.
pub fn seeds(directory: &Path, target: &Target) -> io::Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for session in sessions(directory)? {
        let on = target.machine_of(&session);
        let reader = Reader::of(
            &session,
            target.of(&Input {
                on,
                ..Input::default()
            }),
        );
        inputs.push(Input {
            on,
            ..reader.input(&session.steps)
        });
    }
    for path in files(directory, |path| path.ends_with("operations.log"))? {
        let text = fs::read_to_string(path)?;
        let steps: Vec<Step> = text.lines().filter_map(operation).collect();
        inputs.push(Reader::new(target, target.function).input(&steps));
    }
    inputs.retain(|input| !input.ops.is_empty());
    inputs.sort_by_key(|input| input.ops.len());
    inputs.dedup();
    Ok(inputs)
}

/// The sessions (`.qtr`) in a directory and those below it, in the order of their names.
///
/// # Errors
/// If a directory or a file can't be read, or a file is no session.
pub fn sessions(directory: &Path) -> io::Result<Vec<Trace>> {
    files(directory, |path| {
        path.extension().is_some_and(|extension| extension == "qtr")
    })?
    .iter()
    .map(|path| Trace::read(path).map_err(io::Error::other))
    .collect()
}

fn files(directory: &Path, is_wanted: impl Fn(&Path) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                directories.push(path);
            } else if is_wanted(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A line of an `operations.log`; none if it is no operation.
fn operation(line: &str) -> Option<Step> {
    // The reply and what a decoder says of it follow.
    let line = line.split(" → ").next()?.split("   ").next()?;
    let command = Command::parse(line.trim_end().as_bytes()).ok()?;
    Some(Step::new(Action::Do(command, None)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Op, Place, Size, Value};
    use crate::recording::tests::floppy;

    #[test]
    fn a_log_is_what_was_done_to_registers_memory_and_the_clock() {
        let text = "# a test\n\
                    endianness → little\n\
                    outb 0x3f2 0xc   fdc.DOR←0x0c {dma_gate drive=0}\n\
                    inb 0x3f4 → 0x80   fdc.MSR→0x80 {rqm}\n\
                    inb 0x3f4 → 0x80\n\
                    nonsense 1 2\n";
        let directory = tempfile::tempdir().expect("a directory");
        let below = directory.path().join("case");
        fs::create_dir(&below).expect("writable");
        fs::write(below.join("operations.log"), text).expect("writable");
        fs::write(below.join("stderr"), "nothing").expect("writable");
        let inputs = seeds(directory.path(), &floppy()).expect("readable");
        let [input] = &inputs[..] else {
            panic!("{inputs:?}");
        };
        assert_eq!(
            input.ops,
            [
                Op::Write(Place::Region(0, 1), Size::B, Value::Number(0xc)),
                Op::Reads(Place::Region(0, 3), Size::B, 2),
            ]
        );
    }

    #[test]
    fn what_is_no_session_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("a.qtr"), "no session").expect("writable");
        let error = seeds(directory.path(), &floppy()).expect_err("none");
        assert!(error.to_string().contains("a.qtr"), "{error}");
    }
}
