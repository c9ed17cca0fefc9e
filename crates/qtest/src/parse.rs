//! Bytes to commands: the half of the codec that a server needs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::command::{Command, Data, Encoding, Length, Nanos, PortWidth, UNNAMED_GPIO_IN, Width};
use crate::ext::{Call, InvalidCall};
use crate::number::{parse, parse_signed};
use crate::word::{InvalidWord, Word};

/// Why a line is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The line is empty, or begins or ends with a blank, or has two in a row.
    #[error("a line has one or more words, separated by single blanks")]
    EmptyWord,
    /// The line is not UTF-8.
    #[error("a line is UTF-8 text")]
    NotText,
    /// The command takes another number of words.
    #[error("`{name}` takes {expected} arguments, not {given}")]
    Arguments {
        /// Name of the command.
        name: String,
        /// How many arguments it takes.
        expected: &'static str,
        /// How many there are.
        given: usize,
    },
    /// A word is no number, or not in range.
    #[error("`{word}` is no {expected}")]
    Number {
        /// The word.
        word: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// The bytes of a block are misspelled, or not as many as announced.
    #[error("the bytes of the block are misspelled, or not {len} of them")]
    Block {
        /// The announced length.
        len: u32,
    },
    /// A name or path can't be a word.
    #[error(transparent)]
    Word(#[from] InvalidWord),
    /// The arguments of an extension are refused.
    #[error(transparent)]
    Call(#[from] InvalidCall),
}

/// Whether `name` is the first word of a common command.
pub(crate) fn is_builtin(name: &str) -> bool {
    matches!(
        name,
        "inb"
            | "inw"
            | "inl"
            | "outb"
            | "outw"
            | "outl"
            | "readb"
            | "readw"
            | "readl"
            | "readq"
            | "writeb"
            | "writew"
            | "writel"
            | "writeq"
            | "read"
            | "write"
            | "b64read"
            | "b64write"
            | "memset"
            | "clock_step"
            | "clock_set"
            | "irq_intercept_in"
            | "irq_intercept_out"
            | "set_irq_in"
            | "module_load"
            | "endianness"
    )
}

impl Command {
    /// Reads a line without its newline.
    ///
    /// Takes what QEMU takes, as far as it does not abort on it: numbers may be hexadecimal, octal
    /// or decimal, written values may exceed their width. A name that belongs to no common command
    /// makes an [`Extension`](Command::Extension).
    ///
    /// # Errors
    ///
    /// If the line says something that a `Command` can't say.
    pub fn parse(line: &[u8]) -> Result<Self, ParseError> {
        let line = std::str::from_utf8(line).map_err(|_| ParseError::NotText)?;
        let (name, rest) = match line.split_once(' ') {
            Some((name, rest)) => (name, Some(rest)),
            None => (line, None),
        };
        let words = Words { name, rest };
        if line.split(' ').any(str::is_empty) {
            return Err(ParseError::EmptyWord);
        }
        match name {
            "inb" => words.port_in(PortWidth::B),
            "inw" => words.port_in(PortWidth::W),
            "inl" => words.port_in(PortWidth::L),
            "outb" => words.port_out(PortWidth::B),
            "outw" => words.port_out(PortWidth::W),
            "outl" => words.port_out(PortWidth::L),
            "readb" => words.read(Width::B),
            "readw" => words.read(Width::W),
            "readl" => words.read(Width::L),
            "readq" => words.read(Width::Q),
            "writeb" => words.write(Width::B),
            "writew" => words.write(Width::W),
            "writel" => words.write(Width::L),
            "writeq" => words.write(Width::Q),
            "read" => words.read_block(Encoding::Hex),
            "b64read" => words.read_block(Encoding::Base64),
            "write" => words.write_block(Encoding::Hex),
            "b64write" => words.write_block(Encoding::Base64),
            "memset" => {
                let [addr, len, value] = words.take("3")?;
                Ok(Self::Memset {
                    addr: number(addr)?,
                    len: length(len)?,
                    value: number(value)? as u8,
                })
            }
            "clock_step" if rest.is_none() => Ok(Self::ClockStep(None)),
            "clock_step" => {
                let [by] = words.take("0 or 1")?;
                Ok(Self::ClockStep(Some(nanos(by)?)))
            }
            "clock_set" => {
                let [to] = words.take("1")?;
                Ok(Self::ClockSet(nanos(to)?))
            }
            "irq_intercept_in" => {
                let [path] = words.take("1")?;
                Ok(Self::InterceptIn {
                    path: Word::new(path)?,
                })
            }
            "irq_intercept_out" => {
                if let Ok([path]) = words.take("1 or 2") {
                    return Ok(Self::InterceptOut {
                        path: Word::new(path)?,
                        name: None,
                    });
                }
                let [path, name] = words.take("1 or 2")?;
                Ok(Self::InterceptOut {
                    path: Word::new(path)?,
                    name: Some(Word::new(name)?),
                })
            }
            "set_irq_in" => {
                let [path, name, number, level] = words.take("4")?;
                Ok(Self::SetIrqIn {
                    path: Word::new(path)?,
                    name: (name != UNNAMED_GPIO_IN)
                        .then(|| Word::new(name))
                        .transpose()?,
                    number: bounded(number, u16::MAX.into(), "pin number below 65536")? as u16,
                    level: signed(level)?,
                })
            }
            "module_load" => {
                let [prefix, name] = words.take("2")?;
                Ok(Self::ModuleLoad {
                    prefix: Word::new(prefix)?,
                    name: Word::new(name)?,
                })
            }
            "endianness" => {
                let [] = words.take("no")?;
                Ok(Self::Endianness)
            }
            _ => {
                for word in line.split(' ') {
                    Word::new(word)?;
                }
                Ok(Self::Extension(Call::from_line(line)?))
            }
        }
    }
}

/// The words of a line.
#[derive(Clone, Copy)]
struct Words<'a> {
    name: &'a str,
    rest: Option<&'a str>,
}

impl<'a> Words<'a> {
    fn take<const N: usize>(self, expected: &'static str) -> Result<[&'a str; N], ParseError> {
        let mut words = self.rest.into_iter().flat_map(|rest| rest.split(' '));
        let mut taken = [""; N];
        let mut given = 0;
        for slot in &mut taken {
            let Some(word) = words.next() else { break };
            *slot = word;
            given += 1;
        }
        given += words.count();
        if given == N {
            Ok(taken)
        } else {
            Err(ParseError::Arguments {
                name: self.name.into(),
                expected,
                given,
            })
        }
    }

    fn port_in(self, width: PortWidth) -> Result<Command, ParseError> {
        let [port] = self.take("1")?;
        Ok(Command::In {
            width,
            port: self::port(port)?,
        })
    }

    fn port_out(self, width: PortWidth) -> Result<Command, ParseError> {
        let [port, value] = self.take("2")?;
        Ok(Command::Out {
            width,
            port: self::port(port)?,
            value: number(value)? as u32 & width.mask(),
        })
    }

    fn read(self, width: Width) -> Result<Command, ParseError> {
        let [addr] = self.take("1")?;
        Ok(Command::Read {
            width,
            addr: number(addr)?,
        })
    }

    fn write(self, width: Width) -> Result<Command, ParseError> {
        let [addr, value] = self.take("2")?;
        Ok(Command::Write {
            width,
            addr: number(addr)?,
            value: number(value)? & width.mask(),
        })
    }

    fn read_block(self, encoding: Encoding) -> Result<Command, ParseError> {
        let [addr, len] = self.take("2")?;
        Ok(Command::ReadBlock {
            addr: number(addr)?,
            len: length(len)?,
            encoding,
        })
    }

    fn write_block(self, encoding: Encoding) -> Result<Command, ParseError> {
        let [addr, len, text] = self.take("3")?;
        let (addr, len) = (number(addr)?, length(len)?);
        let bytes = match encoding {
            Encoding::Hex => text
                .starts_with("0x")
                .then(|| const_hex::decode(text).ok())
                .flatten(),
            Encoding::Base64 => STANDARD.decode(text).ok(),
        };
        let data = bytes
            .filter(|bytes| bytes.len() == len.get() as usize)
            .and_then(|bytes| Data::try_from(bytes).ok())
            .ok_or(ParseError::Block { len: len.get() })?;
        Ok(Command::WriteBlock {
            addr,
            data,
            encoding,
        })
    }
}

fn bounded(word: &str, max: u64, expected: &'static str) -> Result<u64, ParseError> {
    parse(word.as_bytes())
        .filter(|value| *value <= max)
        .ok_or_else(|| ParseError::Number {
            word: word.chars().take(64).collect(),
            expected,
        })
}

fn number(word: &str) -> Result<u64, ParseError> {
    bounded(word, u64::MAX, "number below 2^64")
}

fn port(word: &str) -> Result<u16, ParseError> {
    Ok(bounded(word, u16::MAX.into(), "port below 0x10000")? as u16)
}

fn length(word: &str) -> Result<Length, ParseError> {
    let len = bounded(word, Length::MAX.into(), "length from 1 to 1048576")?;
    Length::new(len as u32).ok_or(ParseError::Number {
        word: word.into(),
        expected: "length from 1 to 1048576",
    })
}

fn nanos(word: &str) -> Result<Nanos, ParseError> {
    let ns = bounded(word, Nanos::MAX.get(), "number of nanoseconds below 2^63")?;
    Nanos::new(ns).ok_or(ParseError::Number {
        word: word.into(),
        expected: "number of nanoseconds below 2^63",
    })
}

fn signed(word: &str) -> Result<i32, ParseError> {
    parse_signed(word.as_bytes())
        .and_then(|value| i32::try_from(value).ok())
        .ok_or_else(|| ParseError::Number {
            word: word.chars().take(64).collect(),
            expected: "signed 32-bit number",
        })
}
