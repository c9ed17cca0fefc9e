//! A machine that a person drives a line at a time.

use std::cell::RefCell;
use std::fmt::Write;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use testjig::graph::Graph;
use testjig::qos::describe::{Describe, meaning};
use testjig::qos::pci::{Function, Pci};
use testjig::vm::{EdgeKind, Fault, Irq, Vm};

use crate::shell::export::rust_test;
use crate::shell::words::Words;

/// What the commands are, for `help` and for completion.
pub(crate) const COMMANDS: [(&str, &str); 24] = [
    (
        "inb",
        "PORT            read a byte from an I/O port; inw, inl: two, four bytes",
    ),
    ("inw", ""),
    ("inl", ""),
    (
        "outb",
        "PORT VALUE      write a byte to an I/O port; outw, outl: two, four bytes",
    ),
    ("outw", ""),
    ("outl", ""),
    (
        "readb",
        "ADDRESS         read a byte of guest memory or a register; readw, readl, readq: two, four, eight bytes",
    ),
    ("readw", ""),
    ("readl", ""),
    ("readq", ""),
    (
        "writeb",
        "ADDRESS VALUE   write a byte there; writew, writel, writeq: two, four, eight bytes",
    ),
    ("writew", ""),
    ("writel", ""),
    ("writeq", ""),
    ("read", "ADDRESS LENGTH  show guest memory"),
    (
        "write",
        "ADDRESS BYTES   write hexadecimal digits to guest memory",
    ),
    ("lspci", "                list the PCI functions"),
    (
        "dump",
        "[DEVICE]        registers as the operations so far have shown them",
    ),
    (
        "watch",
        "irq N           record the edges of an interrupt line: pin N of the I/O APIC, or DEVICE-PATH N",
    ),
    (
        "step",
        "SPAN            move the virtual clock by 1s, 20ms, …, or to its next timer without a span",
    ),
    ("qmp", "COMMAND [JSON]  execute a QMP command"),
    ("hmp", "LINE            execute a line of the human monitor"),
    ("reset", "                reset the machine"),
    (
        "save",
        "FILE            write what was done so far as a Rust test",
    ),
];

/// A running machine, what is watched on it, and the decoders of its devices.
pub(crate) struct Session {
    vm: Vm,
    decoders: RefCell<Vec<Box<dyn Describe>>>,
    watched: Vec<Irq>,
    /// The first operation that was not shown yet, and the first edge of each watched line.
    shown: u64,
    edges: Vec<usize>,
    /// The operations that only looked around for a person: neither decoded on the screen nor saved.
    looks: Vec<Range<u64>>,
}

impl Session {
    pub(crate) fn new(vm: Vm, decoders: Vec<Box<dyn Describe>>) -> Self {
        Self {
            shown: vm.operations(),
            vm,
            decoders: RefCell::new(decoders),
            watched: Vec::new(),
            edges: Vec::new(),
            looks: Vec::new(),
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.vm.is_alive()
    }

    pub(crate) fn stop(self) -> String {
        self.vm.stop().to_string()
    }

    /// Does what a line says, and returns what it has to show.
    ///
    /// # Errors
    /// What is wrong with the line, or what the machine refused.
    pub(crate) fn execute(&mut self, line: &str) -> Result<String, String> {
        let done = catch_unwind(AssertUnwindSafe(|| self.command(line)));
        let mut text = match done {
            Ok(text) => text?,
            Err(payload) => {
                return Err(match payload.downcast::<Fault>() {
                    Ok(fault) => fault.to_string(),
                    Err(payload) => payload
                        .downcast_ref::<String>()
                        .cloned()
                        .unwrap_or_else(|| "the command could not be carried out".to_owned()),
                });
            }
        };
        self.show_meanings(&mut text);
        Ok(text)
    }

    fn command(&mut self, line: &str) -> Result<String, String> {
        let mut words = Words::of(line);
        if words.is_empty() {
            return Ok(String::new());
        }
        let name = words.next("the command")?;
        if let Some(done) = self.access(name, &mut words) {
            done.and_then(|text| words.end().map(|()| text))
        } else {
            self.other(name, words)
        }
    }

    /// Accesses to ports and memory; `None` if the name is of none.
    fn access(&self, name: &str, words: &mut Words<'_>) -> Option<Result<String, String>> {
        let mut access = || {
            let vm = &self.vm;
            let value = match name {
                "inb" => vm.inb(words.number("the port")?).into(),
                "inw" => vm.inw(words.number("the port")?).into(),
                "inl" => vm.inl(words.number("the port")?).into(),
                "readb" => vm.readb(words.number("the address")?).into(),
                "readw" => vm.readw(words.number("the address")?).into(),
                "readl" => vm.readl(words.number("the address")?).into(),
                "readq" => vm.readq(words.number("the address")?),
                _ => return Ok(None),
            };
            Ok(Some(format!("{value:#x}\n")))
        };
        match access() {
            Ok(None) => {}
            Ok(Some(text)) => return Some(Ok(text)),
            Err(error) => return Some(Err(error)),
        }
        let mut change = || {
            let vm = &self.vm;
            let address = "the address";
            let value = "the value";
            match name {
                "outb" => vm.outb(words.number("the port")?, words.number(value)?),
                "outw" => vm.outw(words.number("the port")?, words.number(value)?),
                "outl" => vm.outl(words.number("the port")?, words.number(value)?),
                "writeb" => vm.writeb(words.number(address)?, words.number(value)?),
                "writew" => vm.writew(words.number(address)?, words.number(value)?),
                "writel" => vm.writel(words.number(address)?, words.number(value)?),
                "writeq" => vm.writeq(words.number(address)?, words.number(value)?),
                "write" => vm.write_mem(words.number(address)?, &words.bytes("the bytes")?),
                _ => return Ok(false),
            }
            // Done, not only queued.
            vm.sync();
            Ok(true)
        };
        match change() {
            Ok(false) => None,
            Ok(true) => Some(Ok(String::new())),
            Err(error) => Some(Err(error)),
        }
    }

    fn other(&mut self, name: &str, mut words: Words<'_>) -> Result<String, String> {
        let vm = self.vm.clone();
        match name {
            "read" => {
                let address = words.number("the address")?;
                let length: u16 = words.number("the length, at most 65535 bytes,")?;
                words.end()?;
                let mut bytes = vec![0; length.into()];
                vm.read_mem(address, &mut bytes);
                Ok(hex_dump(address, &bytes))
            }
            "lspci" => {
                words.end()?;
                self.lspci()
            }
            "dump" => self.dump(&words.rest()),
            "watch" => {
                let pin = words.pin()?;
                words.end()?;
                self.watched.push(vm.intercept(pin));
                self.edges.push(0);
                Ok(String::new())
            }
            "step" => {
                if words.is_empty() {
                    vm.clock().step_next();
                } else {
                    vm.clock().step(words.span("the span")?);
                }
                words.end()?;
                Ok(format!("clock {} ns\n", vm.clock().now()))
            }
            "qmp" => {
                let command = words.next("the QMP command")?;
                let arguments = words.rest();
                let arguments = if arguments.is_empty() {
                    serde_json::Value::Null
                } else {
                    serde_json::from_str(&arguments)
                        .map_err(|error| format!("the arguments are no JSON object: {error}"))?
                };
                let reply = vm.qmp_raw(command, arguments);
                Ok(format!("{reply:#}\n"))
            }
            "hmp" => Ok(vm.hmp(&words.rest()).replace('\r', "")),
            "reset" => {
                words.end()?;
                vm.reset();
                Ok(String::new())
            }
            "save" => {
                let file = words.next("the file's name")?;
                words.end()?;
                self.save(Path::new(file))
            }
            _ => Err(format!("there is no command {name:?}; `help` lists them")),
        }
    }

    fn lspci(&mut self) -> Result<String, String> {
        let begin = self.vm.operations();
        let pci: Pci = Graph::get()
            .built_in(&self.vm)
            .ok_or("testjig knows no PCI host bridge of this machine")?;
        let mut text = String::new();
        for function in pci.functions() {
            let _ = writeln!(text, "{}", described(&function));
        }
        self.looks.push(begin..self.vm.operations());
        Ok(text)
    }

    fn dump(&self, wanted: &str) -> Result<String, String> {
        let decoders = self.decoders.borrow();
        let mut text = String::new();
        for decoder in decoders
            .iter()
            .filter(|decoder| wanted.is_empty() || decoder.name() == wanted)
        {
            for register in decoder.state() {
                let _ = writeln!(text, "{:9} {register}", decoder.name());
            }
        }
        if text.is_empty() {
            let known: Vec<&str> = decoders.iter().map(|decoder| decoder.name()).collect();
            return Err(format!(
                "no register of {} was touched yet; devices that are decoded: {}",
                if wanted.is_empty() {
                    "any device"
                } else {
                    wanted
                },
                known.join(", ")
            ));
        }
        Ok(text)
    }

    fn save(&self, file: &Path) -> Result<String, String> {
        let machine = self.vm.launch().machine();
        let text = self
            .vm
            .with_journal(|journal| rust_test(journal, machine, &self.looks));
        std::fs::write(file, text)
            .map_err(|error| format!("failed to write {}: {error}", file.display()))?;
        Ok(format!("a Rust test is in {}\n", file.display()))
    }

    /// What the operations since the last line meant, and the edges since then.
    fn show_meanings(&mut self, text: &mut String) {
        let mut decoders = self.decoders.borrow_mut();
        let (shown, looks) = (self.shown, &self.looks);
        self.shown = self.vm.with_journal(|journal| {
            for entry in journal.entries().filter(|entry| entry.seq >= shown) {
                let is_look = looks.iter().any(|look| look.contains(&entry.seq));
                if let Some(meaning) = meaning(&mut decoders, entry).filter(|_| !is_look) {
                    let _ = writeln!(text, "  {meaning}");
                }
            }
            journal.issued()
        });
        for (irq, seen) in self.watched.iter().zip(&mut self.edges) {
            let edges = irq.edges();
            for edge in &edges[*seen..] {
                let what = match edge {
                    EdgeKind::Raise => "raised",
                    EdgeKind::Lower => "lowered",
                };
                let _ = writeln!(text, "  {} {what}", irq.pin());
            }
            *seen = edges.len();
        }
    }
}

fn described(function: &Function) -> String {
    let (vendor, device) = function.id();
    format!(
        "{} {vendor:04x}:{device:04x} class {:06x}{}",
        function.bdf(),
        function.class(),
        match function.interrupt_pin() {
            0 => String::new(),
            pin => format!(" INT{}", char::from(b'A' - 1 + pin.min(4))),
        }
    )
}

fn hex_dump(address: u64, bytes: &[u8]) -> String {
    let mut text = String::new();
    for (line, chunk) in (address..).step_by(16).zip(bytes.chunks(16)) {
        let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown: String = chunk
            .iter()
            .map(|&byte| {
                if (0x20..0x7f).contains(&byte) {
                    char::from(byte)
                } else {
                    '.'
                }
            })
            .collect();
        let _ = writeln!(text, "{line:08x}  {:47}  {shown}", hex.join(" "));
    }
    text
}
