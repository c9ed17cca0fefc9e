//! Sessions in the spellings that others take: a shell line with a heredoc, a C test, a Rust test.

use std::fmt::Write as _;

use testjig_qtest::{Command, Reply};

use crate::header::{DiskInterface, Header};
use crate::print::wire;
use crate::session::{Action, Expected, Trace};

/// What a session is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `cat << EOF | qemu-system-… -qtest stdio`.
    Heredoc,
    /// A test of QEMU's libqtest.
    C,
    /// A test of testjig.
    Rust,
}

impl Trace {
    /// The session in another spelling. What that can't say is a comment in it.
    pub fn export(&self, target: Target) -> String {
        match target {
            Target::Heredoc => heredoc(self),
            Target::C => c(self),
            Target::Rust => rust(self),
        }
    }
}

/// The words of QEMU's command line, from the machine on.
fn words(header: &Header) -> Vec<String> {
    let mut machine = header.machine.clone();
    for (name, value) in &header.machine_options {
        let _ = write!(machine, ",{name}={value}");
    }
    let mut words = vec!["-machine".to_owned(), machine];
    if let Some(bytes) = header.memory {
        words.extend(["-m".to_owned(), format!("{}M", bytes.div_ceil(1 << 20))]);
    }
    if !header.default_devices {
        words.push("-nodefaults".to_owned());
    }
    for disk in &header.disks {
        let interface = match disk.interface {
            DiskInterface::IdeCd => "ide,media=cdrom",
            other => other.name(),
        };
        words.push("-drive".to_owned());
        words.push(format!(
            "id={},if={interface},format=raw,file=null-co://,file.read-zeroes=on,file.size={}",
            disk.id, disk.size
        ));
    }
    words.extend(header.args.iter().cloned());
    words
}

fn quoted(words: &[String]) -> String {
    let quoted = words.iter().map(|word| {
        shlex::try_quote(word)
            .map(std::borrow::Cow::into_owned)
            .unwrap_or_default()
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn heredoc(trace: &Trace) -> String {
    let header = &trace.header;
    let mut text = String::new();
    if !header.title.is_empty() {
        let _ = writeln!(text, "# {}", header.title);
    }
    let _ = writeln!(
        text,
        "cat << EOF | {} -display none -accel qtest -qtest stdio {}",
        header.arch.binary_name(),
        quoted(&words(header))
    );
    for step in &trace.steps {
        match &step.action {
            Action::Nothing
            | Action::Edge { .. }
            | Action::Image { .. }
            | Action::Reset
            | Action::Settle
            | Action::Plug(_)
            | Action::Unplug(_) => {}
            Action::Do(command, _) | Action::Until(command, _) => {
                let _ = writeln!(text, "{}", wire(command));
            }
        }
    }
    text.push_str("EOF\n");
    text
}

/// A name for a function, of the title.
fn name(trace: &Trace) -> String {
    let words = trace
        .header
        .title
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character.to_ascii_lowercase()
            } else {
                ' '
            }
        })
        .collect::<String>();
    let name = words
        .split_whitespace()
        .take(8)
        .collect::<Vec<_>>()
        .join("_");
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("session_{name}").trim_end_matches('_').to_owned()
    } else {
        name
    }
}

/// Bytes as a C string literal: three digits each, so that none runs into the next.
fn literal(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in bytes {
        let _ = write!(text, "\\{byte:03o}");
    }
    text.push('"');
    text
}

fn text_literal(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn c(trace: &Trace) -> String {
    let mut text = String::from("#include \"qemu/osdep.h\"\n#include \"libqtest.h\"\n\n");
    let name = name(trace);
    if !trace.header.title.is_empty() {
        let _ = writeln!(text, "/* {} */", trace.header.title.replace("*/", "* /"));
    }
    let _ = writeln!(text, "static void test_{name}(void)\n{{");
    let _ = writeln!(
        text,
        "    QTestState *s = qtest_init({});\n",
        text_literal(&quoted(&words(&trace.header)))
    );
    for step in &trace.steps {
        let (command, expected) = match &step.action {
            Action::Do(command, expected) => (command, expected.as_ref()),
            Action::Until(command, _) => (command, None),
            Action::Reset => {
                text.push_str("    /* the machine is reset here */\n");
                continue;
            }
            Action::Plug(device) | Action::Unplug(device) => {
                let _ = writeln!(text, "    /* {device} is plugged in or out here */");
                continue;
            }
            Action::Nothing | Action::Edge { .. } | Action::Image { .. } | Action::Settle => {
                continue;
            }
        };
        let call = c_call(command);
        match expected.and_then(compared) {
            Some((value, None)) => {
                let _ = writeln!(text, "    g_assert_cmphex({call}, ==, {value:#x});");
            }
            Some((value, Some(mask))) => {
                let _ = writeln!(
                    text,
                    "    g_assert_cmphex({call} & {mask:#x}, ==, {:#x});",
                    value & mask
                );
            }
            None => {
                let _ = writeln!(text, "    {call};");
            }
        }
    }
    let _ = writeln!(text, "\n    qtest_quit(s);\n}}\n");
    let _ = writeln!(
        text,
        "int main(int argc, char **argv)\n{{\n    g_test_init(&argc, &argv, NULL);\n    qtest_add_func(\"{name}\", test_{name});\n    \
         return g_test_run();\n}}"
    );
    text
}

/// The number that a call must return.
fn compared(expected: &Expected) -> Option<(u64, Option<u64>)> {
    match expected.reply {
        Reply::Value(value) => Some((value, expected.mask)),
        _ => None,
    }
}

fn c_call(command: &Command) -> String {
    match command {
        Command::In { width, port } => format!("qtest_in{}(s, {port:#x})", width.letter()),
        Command::Out { width, port, value } => {
            format!("qtest_out{}(s, {port:#x}, {value:#x})", width.letter())
        }
        Command::Read { width, addr } => format!("qtest_read{}(s, {addr:#x})", width.letter()),
        Command::Write { width, addr, value } => {
            format!("qtest_write{}(s, {addr:#x}, {value:#x})", width.letter())
        }
        Command::ReadBlock { addr, len, .. } => {
            let len = len.get();
            format!("qtest_memread(s, {addr:#x}, g_alloca({len:#x}), {len:#x})")
        }
        Command::WriteBlock { addr, data, .. } => {
            let bytes = data.bytes();
            format!(
                "qtest_bufwrite(s, {addr:#x}, {}, {:#x})",
                literal(bytes),
                bytes.len()
            )
        }
        Command::Memset { addr, len, value } => {
            format!("qtest_memset(s, {addr:#x}, {value:#x}, {:#x})", len.get())
        }
        Command::ClockStep(None) => "qtest_clock_step_next(s)".to_owned(),
        Command::ClockStep(Some(span)) => format!("qtest_clock_step(s, {})", span.get()),
        Command::ClockSet(time) => format!("qtest_clock_set(s, {})", time.get()),
        Command::InterceptIn { path } => {
            format!("qtest_irq_intercept_in(s, {})", text_literal(path))
        }
        Command::InterceptOut { path, .. } => {
            format!("qtest_irq_intercept_out(s, {})", text_literal(path))
        }
        Command::SetIrqIn {
            path,
            name,
            number,
            level,
        } => {
            let name = name
                .as_ref()
                .map_or("NULL".to_owned(), |name| text_literal(name));
            format!(
                "qtest_set_irq_in(s, {}, {name}, {number}, {level})",
                text_literal(path)
            )
        }
        other => format!("/* {} */", wire(other)),
    }
}

fn rust(trace: &Trace) -> String {
    let header = &trace.header;
    let mut text = String::from("use testjig::prelude::*;\n\n");
    if !header.title.is_empty() {
        let _ = writeln!(text, "/// {}", header.title);
    }
    let machine = match (header.arch.name(), header.machine.as_str()) {
        ("x86_64", "q35") => "Q35",
        _ => "Pc",
    };
    let launch = rust_launch(header);
    if launch.is_empty() {
        let _ = writeln!(text, "#[testjig::test(on = {machine})]");
    } else {
        let _ = writeln!(
            text,
            "#[testjig::test(on = {machine}, launch = |launch| launch{launch})]"
        );
    }
    let _ = writeln!(text, "fn {}(vm: &Vm) {{", name(trace));
    for step in &trace.steps {
        let (command, expected) = match &step.action {
            Action::Do(command, expected) => (command, expected.as_ref()),
            Action::Until(command, _) => (command, None),
            Action::Reset => {
                text.push_str("    vm.reset();\n");
                continue;
            }
            Action::Plug(device) | Action::Unplug(device) => {
                let _ = writeln!(text, "    /* {device} is plugged in or out here */");
                continue;
            }
            Action::Nothing | Action::Edge { .. } | Action::Image { .. } | Action::Settle => {
                continue;
            }
        };
        let call = rust_call(command);
        match expected.and_then(compared) {
            Some((value, None)) => {
                let _ = writeln!(text, "    assert_eq!({call}, {value:#x});");
            }
            Some((value, Some(mask))) => {
                let _ = writeln!(
                    text,
                    "    assert_eq!({call} & {mask:#x}, {:#x});",
                    value & mask
                );
            }
            None => {
                let _ = writeln!(text, "    {call};");
            }
        }
    }
    text.push_str("    vm.sync();\n}\n");
    text
}

fn rust_launch(header: &Header) -> String {
    let mut text = String::new();
    if let Some(bytes) = header.memory {
        let _ = write!(text, ".memory({bytes})");
    }
    for (name, value) in &header.machine_options {
        let _ = write!(text, ".machine_option({name:?}, {value:?})");
    }
    for disk in &header.disks {
        let _ = write!(
            text,
            ".drive(testjig::vm::Drive::new({:?}, testjig::vm::Image::zeroed({})))",
            disk.id, disk.size
        );
    }
    for word in &header.args {
        let _ = write!(text, ".arg({word:?})");
    }
    text
}

fn rust_call(command: &Command) -> String {
    match command {
        Command::In { width, port } => format!("vm.in{}({port:#x})", width.letter()),
        Command::Out { width, port, value } => {
            format!("vm.out{}({port:#x}, {value:#x})", width.letter())
        }
        Command::Read { width, addr } => format!("vm.read{}({addr:#x})", width.letter()),
        Command::Write { width, addr, value } => {
            format!("vm.write{}({addr:#x}, {value:#x})", width.letter())
        }
        Command::ReadBlock { addr, len, .. } => {
            format!("vm.read_mem({addr:#x}, &mut [0; {}])", len.get())
        }
        Command::WriteBlock { addr, data, .. } => {
            let bytes: Vec<String> = data
                .bytes()
                .iter()
                .map(|byte| format!("{byte:#04x}"))
                .collect();
            format!("vm.write_mem({addr:#x}, &[{}])", bytes.join(", "))
        }
        Command::Memset { addr, len, value } => {
            format!("vm.memset({addr:#x}, {}, {value:#x})", len.get())
        }
        Command::ClockStep(Some(span)) => format!(
            "vm.clock().step(std::time::Duration::from_nanos({}))",
            span.get()
        ),
        other => format!("// {}", wire(other)),
    }
}
