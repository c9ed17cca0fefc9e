//! Lines that QEMU takes although they say more, or less, than a [`Command`] can: [`read`].
//!
//! Clients that were written against QEMU may depend on any of them. Seen on QEMU 10.0 and 11.1.

use testjig_qtest::Command;

/// What such a line means.
pub(crate) enum Meant<'a> {
    /// A command with words behind it that nobody reads.
    Command(Command),
    /// `write` with another number of bytes than it says: what is missing is zero, what is too much is left out.
    Write { addr: u64, data: Vec<u8> },
    /// `memset` of no bytes, or of more than a block.
    Fill { addr: u64, len: u64, value: u8 },
    /// `clock_step` by nothing, or backwards.
    NoStep,
    /// `clock_set` to a time before the beginning.
    SetBack,
    /// A block that is too short to be one.
    BadSize,
    /// `irq_intercept_in` with a list's name.
    NamedIn(&'a str),
    /// No command of this name.
    Unknown(&'a str),
}

/// The longest `memset`.
const LONGEST_FILL: u64 = 1 << 30;

/// How many words after its name a command reads.
fn arity(name: &str) -> Option<usize> {
    Some(match name {
        "endianness" => 0,
        "inb" | "inw" | "inl" | "readb" | "readw" | "readl" | "readq" | "clock_step"
        | "clock_set" => 1,
        "outb" | "outw" | "outl" | "writeb" | "writew" | "writel" | "writeq" | "read"
        | "b64read" | "irq_intercept_in" | "irq_intercept_out" | "module_load" => 2,
        "write" | "b64write" | "memset" => 3,
        "set_irq_in" => 4,
        _ => return None,
    })
}

/// What QEMU takes the line for; `None` if it would abort.
pub(crate) fn read(line: &str) -> Option<Meant<'_>> {
    if line.is_empty() {
        return None;
    }
    let words: Vec<&str> = line.split(' ').collect();
    let (name, arguments) = (words[0], &words[1..]);
    let Some(arity) = arity(name) else {
        // Commands of some machines only: what is wrong with them is told by their own parser.
        let is_extension = matches!(name, "rtas" | "csr");
        return (!is_extension).then_some(Meant::Unknown(name));
    };
    if arguments.len() > arity {
        let end: usize = words[..=arity].iter().map(|word| word.len() + 1).sum();
        let shorter = &line[..end - 1];
        return match Command::parse(shorter.as_bytes()) {
            Ok(command) => Some(Meant::Command(command)),
            Err(_) => read(shorter),
        };
    }
    match (name, arguments) {
        ("irq_intercept_in", [path, _]) => Some(Meant::NamedIn(path)),
        ("memset", [addr, len, value]) => {
            let (addr, len, value) = (number(addr)?, number(len)?, number(value)?);
            (len <= LONGEST_FILL).then_some(Meant::Fill {
                addr,
                len,
                value: value as u8,
            })
        }
        ("write" | "b64write", [addr, len, text]) => {
            let (addr, len) = (number(addr)?, number(len)?);
            if text.len() < 3 {
                return Some(Meant::BadSize);
            }
            if name == "b64write" || len > 1 << 20 || !text.is_ascii() {
                return None;
            }
            let digits = &text.as_bytes()[2..];
            let nibble = |at: usize| {
                let digit = char::from(digits[at]).to_digit(16);
                digit.unwrap_or(0) as u8
            };
            let data = (0..len as usize).map(|at| {
                let whole = 2 * at + 1 < digits.len();
                if whole {
                    nibble(2 * at) << 4 | nibble(2 * at + 1)
                } else {
                    0
                }
            });
            Some(Meant::Write {
                addr,
                data: data.collect(),
            })
        }
        ("clock_step", [by]) => {
            let negative = by.strip_prefix('-').and_then(number);
            negative.map(|_| Meant::NoStep)
        }
        ("clock_set", [to]) => {
            let negative = to.strip_prefix('-').and_then(number);
            negative.map(|_| Meant::SetBack)
        }
        _ => None,
    }
}

/// A number as the wire spells it, read by the codec.
fn number(word: &str) -> Option<u64> {
    match Command::parse(format!("readb {word}").as_bytes()) {
        Ok(Command::Read { addr, .. }) => Some(addr),
        _ => None,
    }
}
