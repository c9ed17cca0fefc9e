//! Inputs from recordings: what a test did, as operations that can be mutated.

use std::fs;
use std::io;
use std::path::Path;

use testjig_qtest::{Command, Width};

use crate::input::{Input, MOST, Op, SCRATCH, Size, Value};
use crate::target::{Space, Target};

/// The inputs in files of operations as `jig run --keep` leaves them (`operations.log`), in a directory and those below it. What a
/// recording did to other devices and to guest memory over the wire is taken along; addresses in guest memory become distances in the
/// target's scratch memory.
///
/// # Errors
/// If a directory or a file can't be read.
pub fn seeds(directory: &Path, target: &Target) -> io::Result<Vec<Input>> {
    let mut inputs = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                directories.push(entry.path());
            } else if entry.file_name() == "operations.log" {
                let input = recorded(&fs::read_to_string(entry.path())?, target);
                if !input.ops.is_empty() {
                    inputs.push(input);
                }
            }
        }
    }
    inputs.sort_by_key(|input| input.ops.len());
    inputs.dedup();
    Ok(inputs)
}

/// One recording. Lines that are no operation on registers, memory or the clock are passed over.
fn recorded(text: &str, target: &Target) -> Input {
    let mut ops: Vec<Op> = text
        .lines()
        .filter_map(|line| operation(line, target))
        .collect();
    // A register that is read until it changes does not need to be read so often.
    ops.dedup();
    ops.truncate(MOST);
    Input { ops }
}

fn operation(line: &str, target: &Target) -> Option<Op> {
    // The reply and what a decoder says of it follow.
    let line = line.split(" → ").next()?.split("   ").next()?;
    match Command::parse(line.trim_end().as_bytes()).ok()? {
        Command::In { width, port } => {
            let place = target.place(Space::Ports, port.into());
            Some(Op::Read(place, Width::from(width).into()))
        }
        Command::Out { width, port, value } => {
            let place = target.place(Space::Ports, port.into());
            let size = Width::from(width).into();
            Some(Op::Write(place, size, written(value.into(), size, target)))
        }
        Command::Read { addr, .. } if target.is_memory(addr) => None,
        Command::Read { width, addr } => {
            Some(Op::Read(target.place(Space::Memory, addr), width.into()))
        }
        Command::Write { width, addr, value } => {
            let size = width.into();
            let value = written(value, size, target);
            Some(if target.is_memory(addr) {
                Op::Store(addr as u32 % SCRATCH, size, value)
            } else {
                Op::Write(target.place(Space::Memory, addr), size, value)
            })
        }
        Command::WriteBlock { addr, data, .. } if target.is_memory(addr) => {
            Some(Op::Fill(addr as u32 % SCRATCH, data.bytes().to_vec()))
        }
        Command::ClockStep(Some(span)) => Some(Op::Step(span.get())),
        _ => None,
    }
}

/// A number that may be the address of guest memory is one.
fn written(number: u64, size: Size, target: &Target) -> Value {
    let is_address = size.bytes() >= 4 && number >= 0x10_0000 && target.is_memory(number);
    if is_address {
        Value::Address(number as u32 % SCRATCH)
    } else {
        Value::Number(number)
    }
}

#[cfg(test)]
mod tests {
    use testjig_vm::{Launch, machine};

    use super::*;
    use crate::input::Place;
    use crate::target::Region;

    #[test]
    fn a_recording_is_what_it_did_to_registers_memory_and_the_clock() {
        let target = Target {
            name: "floppy".to_owned(),
            launch: Launch::new(&machine::PC),
            types: Vec::new(),
            regions: vec![Region {
                space: Space::Ports,
                start: 0x3f1,
                len: 5,
                name: "fdc".to_owned(),
            }],
            function: None,
            prelude: Vec::new(),
            scratch: 1 << 20,
            has_clock: true,
        };
        let text = "# a test\n\
                    endianness → little\n\
                    outb 0x3f2 0xc   fdc.DOR←0x0c {dma_gate drive=0}\n\
                    inb 0x3f4 → 0x80   fdc.MSR→0x80 {rqm}\n\
                    inb 0x3f4 → 0x80\n\
                    outl 0xcf8 0x80000000\n\
                    writel 0x301000 0x302008\n\
                    readl 0x301000 → 0x302008\n\
                    writew 0xfebf0010 0x1\n\
                    write 0x300000 0x2 0xabcd\n\
                    clock_step 1000 → 1000\n\
                    nonsense 1 2\n";
        let ops = recorded(text, &target).ops;
        assert_eq!(
            ops,
            [
                Op::Write(Place::Region(0, 1), Size::B, Value::Number(0xc)),
                Op::Read(Place::Region(0, 3), Size::B),
                Op::Write(Place::Port(0xcf8), Size::L, Value::Number(0x8000_0000)),
                Op::Store(0x1000, Size::L, Value::Address(0x2008)),
                Op::Write(Place::Memory(0xfebf_0010), Size::W, Value::Number(1)),
                Op::Fill(0, vec![0xab, 0xcd]),
                Op::Step(1000),
            ]
        );
    }
}
