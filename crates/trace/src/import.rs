//! Sessions in the spellings that circulate: shell lines with a heredoc, mail, QEMU's own log, C tests.
//!
//! What can't be understood is an error with its line and column, never a guess.

mod c;
mod command_line;
mod lines;
mod log;
mod shell;

use testjig_vm::Arch;

use crate::error::ParseError;
use crate::header::Header;
use crate::parse::{LARGEST_FILE, MOST_STEPS};
use crate::session::{Step, Trace};

use lines::Line;

/// What a text may leave open.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// The architecture, if the text names no `qemu-system-…`.
    pub arch: Option<Arch>,
    /// The machine, if the text names none.
    pub machine: Option<String>,
}

/// In which spelling a text was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// The format of this crate.
    Qtr,
    /// A shell line with a heredoc, or operations alone.
    Shell,
    /// What QEMU's `-qtest-log` writes.
    Log,
    /// A test in C.
    C,
}

impl Import {
    /// Reads a session in any of the spellings.
    ///
    /// # Errors
    /// Where the text is not understood.
    pub fn read(&self, text: &str) -> Result<(Trace, Spelling), ParseError> {
        if text.len() > LARGEST_FILE {
            return Err(ParseError::new(1, 1, "the text is larger than 256 MiB"));
        }
        if text.starts_with("qtr ") {
            return Ok((text.parse()?, Spelling::Qtr));
        }
        let lines = lines::lines(text);
        let spelling = spelling(&lines);
        let draft = match spelling {
            Spelling::C => c::read(&lines)?,
            Spelling::Log => log::read(&lines)?,
            Spelling::Shell | Spelling::Qtr => shell::read(&lines)?,
        };
        if draft.steps.is_empty() {
            return Err(ParseError::new(
                1,
                1,
                "there is no operation in it; known are shell lines with a heredoc, QEMU's qtest log, and C tests",
            ));
        }
        if draft.steps.len() > MOST_STEPS {
            return Err(ParseError::new(
                1,
                1,
                "there are more than 2,000,000 operations",
            ));
        }
        Ok((self.finish(draft)?, spelling))
    }

    fn finish(&self, draft: Draft) -> Result<Trace, ParseError> {
        let (line, column) = draft.place;
        let arch = draft.machine.arch.or(self.arch).ok_or_else(|| {
            ParseError::new(
                line,
                column,
                "nothing says for which architecture this is: name it with --arch",
            )
        })?;
        let usual = (arch == Arch::X86_64 || arch == Arch::I386).then(|| "pc".to_owned());
        let machine = draft
            .machine
            .name
            .or_else(|| self.machine.clone())
            .or(usual)
            .ok_or_else(|| {
                ParseError::new(
                    line,
                    column,
                    "nothing says on which machine this is: name it with --machine",
                )
            })?;
        let mut header = Header::new(arch, machine);
        header.machine_options = draft.machine.options;
        header.memory = draft.machine.memory;
        header.default_devices = draft.has_command && !draft.machine.no_defaults;
        header.args = draft.machine.args;
        header.notes = draft.machine.notes;
        Ok(Trace {
            header,
            steps: draft.steps,
        })
    }
}

/// What a reader has found.
#[derive(Default)]
struct Draft {
    machine: command_line::Machine,
    /// Whether there was a command line, even an empty one.
    has_command: bool,
    steps: Vec<Step>,
    /// Where the machine is named, or should be.
    place: (usize, usize),
}

fn spelling(lines: &[Line]) -> Spelling {
    let any = |what: &dyn Fn(&str) -> bool| lines.iter().any(|line| what(line.text.trim_start()));
    if any(&|line| line.starts_with("[R +") || line.starts_with("[R ")) {
        Spelling::Log
    } else if any(&|line| {
        (line.contains("qtest_") && line.contains('(')
            || line.starts_with("outl(")
            || line.starts_with("writel("))
            && !line.contains("qemu-system")
    }) {
        Spelling::C
    } else {
        Spelling::Shell
    }
}

/// The words that begin an operation.
const OPERATIONS: [&str; 28] = [
    "inb",
    "inw",
    "inl",
    "outb",
    "outw",
    "outl",
    "readb",
    "readw",
    "readl",
    "readq",
    "writeb",
    "writew",
    "writel",
    "writeq",
    "read",
    "write",
    "b64read",
    "b64write",
    "memset",
    "clock_step",
    "clock_set",
    "irq_intercept_in",
    "irq_intercept_out",
    "set_irq_in",
    "module_load",
    "endianness",
    "rtas",
    "csr",
];

/// Whether a line begins as an operation does.
fn is_operation(line: &str) -> bool {
    line.split_whitespace()
        .next()
        .is_some_and(|word| OPERATIONS.contains(&word))
}
