//! A session as a test.

use std::fmt::Write;
use std::ops::Range;

use testjig::qtest::{Command, Entry, Journal, Reply, Width};
use testjig::vm::MachineType;

/// The operations of a session as a Rust test that does the same and expects the same answers; `looks` are left out.
pub(crate) fn rust_test(journal: &Journal, machine: &MachineType, looks: &[Range<u64>]) -> String {
    let node = match machine.id().as_str() {
        "x86_64/q35" => "Q35",
        "x86_64/microvm" => "Microvm",
        "aarch64/virt" | "arm/virt" => "ArmVirt",
        "riscv64/virt" => "RiscvVirt",
        "ppc64/pseries" => "Pseries",
        "s390x/s390-ccw-virtio" => "S390Ccw",
        "sparc/SS-5" => "SparcSs5",
        "sparc64/sun4u" => "Sun4u",
        _ => "Pc",
    };
    let own = |entry: &&Entry| !looks.iter().any(|look| look.contains(&entry.seq));
    let mut text = String::new();
    if journal.dropped() > 0 {
        let _ = writeln!(
            text,
            "// The first {} operations are not known any more.",
            journal.dropped()
        );
    }
    let clock = journal
        .entries()
        .any(|entry| matches!(entry.command, Command::ClockStep(_) | Command::ClockSet(_)));
    let needs = if clock { ", needs(clock)" } else { "" };
    let _ = writeln!(
        text,
        "use std::time::Duration;\n\nuse testjig::prelude::*;\n"
    );
    let _ = writeln!(text, "/// On {machine}.");
    let _ = writeln!(
        text,
        "#[testjig::test(on = {node}{needs})]\nfn from_the_shell(vm: &Vm) {{"
    );
    // The first operation is the launcher's own.
    for entry in journal
        .entries()
        .skip_while(|entry| entry.command == Command::Endianness)
        .filter(own)
    {
        let _ = writeln!(text, "    {}", statement(entry));
    }
    text.push_str("}\n");
    if !clock {
        text = text.replacen("use std::time::Duration;\n\n", "", 1);
    }
    text
}

fn letter(width: Width) -> char {
    match width {
        Width::B => 'b',
        Width::W => 'w',
        Width::L => 'l',
        Width::Q => 'q',
    }
}

fn statement(entry: &Entry) -> String {
    let value = match entry.reply {
        Some(Reply::Value(value)) => Some(value),
        _ => None,
    };
    let read = |call: String| match value {
        Some(value) => format!("assert_eq!({call}, {value:#x});"),
        None => format!("{call};"),
    };
    match &entry.command {
        Command::In { width, port } => read(format!("vm.in{}({port:#x})", letter((*width).into()))),
        Command::Out { width, port, value } => {
            format!("vm.out{}({port:#x}, {value:#x});", letter((*width).into()))
        }
        Command::Read { width, addr } => read(format!("vm.read{}({addr:#x})", letter(*width))),
        Command::Write { width, addr, value } => {
            format!("vm.write{}({addr:#x}, {value:#x});", letter(*width))
        }
        Command::Memset { addr, len, value } => {
            format!("vm.memset({addr:#x}, {:#x}, {value:#x});", len.get())
        }
        Command::ClockStep(Some(span)) => {
            let span = std::time::Duration::from(*span).as_nanos();
            format!("vm.clock().step(Duration::from_nanos({span}));")
        }
        Command::ClockStep(None) => "vm.clock().step_next();".to_owned(),
        Command::WriteBlock { addr, data, .. } if entry.elided == 0 => {
            let bytes: Vec<String> = data
                .bytes()
                .iter()
                .map(|byte| format!("{byte:#04x}"))
                .collect();
            format!("vm.write_mem({addr:#x}, &[{}]);", bytes.join(", "))
        }
        _ => format!("// {entry}"),
    }
}
