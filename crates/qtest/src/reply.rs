//! [`Reply`]: what the server answers, and [`Line`], what it says in a line.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::command::{Encoding, Endianness, Length, Nanos, PortWidth, Width};
use crate::encode::push_block;
use crate::number::{parse_decimal, parse_hex, push_decimal, push_hex_padded};

/// What a successful reply to a command looks like; see [`Command::shape`](crate::Command::shape).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// `OK` alone.
    Done,
    /// A hexadecimal value of a port: at least four digits.
    Port(PortWidth),
    /// A hexadecimal value of memory: sixteen digits, whatever the width.
    Value(Width),
    /// The bytes of a block.
    Bytes {
        /// How many.
        len: Length,
        /// How they are spelled.
        encoding: Encoding,
    },
    /// Virtual time, in decimal.
    Nanos,
    /// `little` or `big`.
    Endianness,
    /// Anything: an extension knows.
    Text,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("`OK` alone"),
            Self::Port(width) => {
                write!(f, "`OK` and a hexadecimal value of {} bytes", width.bytes())
            }
            Self::Value(width) => {
                write!(f, "`OK` and a hexadecimal value of {} bytes", width.bytes())
            }
            Self::Bytes {
                len,
                encoding: Encoding::Hex,
            } => write!(f, "`OK` and {} bytes in hex", len.get()),
            Self::Bytes {
                len,
                encoding: Encoding::Base64,
            } => write!(f, "`OK` and {} bytes in base64", len.get()),
            Self::Nanos => f.write_str("`OK` and a time in nanoseconds"),
            Self::Endianness => f.write_str("`OK little` or `OK big`"),
            Self::Text => f.write_str("`OK` and UTF-8 text"),
        }
    }
}

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// Done, nothing to tell.
    Done,
    /// The value of a port or of memory.
    Value(u64),
    /// The bytes of a block.
    Bytes(Vec<u8>),
    /// Virtual time.
    Nanos(Nanos),
    /// Byte order.
    Endianness(Endianness),
    /// What an extension answers; empty if nothing.
    Text(Box<str>),
    /// The server refused.
    Failed(Failure),
}

/// A reply that begins with `FAIL` or `ERR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which of the two.
    pub severity: Severity,
    /// The rest of the line; may be empty.
    pub reason: Box<str>,
}

/// The first word of a reply that is not `OK`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// `FAIL`.
    Fail,
    /// `ERR`.
    Err,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.severity {
            Severity::Fail => "FAIL",
            Severity::Err => "ERR",
        })?;
        if !self.reason.is_empty() {
            write!(f, " {}", self.reason)?;
        }
        Ok(())
    }
}

/// What a line from the server says, not yet interpreted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// An intercepted interrupt line changed: `IRQ raise 8`, `IRQ lower 8`.
    Irq {
        /// Number of the line in the intercepted list, at most [`Line::IRQ_MAX`].
        line: u32,
        /// Whether it is high now.
        level: bool,
    },
    /// A command succeeded; what follows `OK `, empty if nothing does.
    Ok(&'a [u8]),
    /// A command failed; what follows `FAIL ` or `ERR `, empty if nothing does.
    Failed(Severity, &'a [u8]),
}

impl fmt::Display for Reply {
    /// What a person wants to see of it, the bytes of a long block elided.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 16;
        match self {
            Self::Done => f.write_str("OK"),
            Self::Value(value) => write!(f, "{value:#x}"),
            Self::Bytes(bytes) => {
                let more = if bytes.len() > SHOWN { "…" } else { "" };
                write!(
                    f,
                    "0x{}{more}",
                    const_hex::encode(&bytes[..bytes.len().min(SHOWN)])
                )
            }
            Self::Nanos(time) => write!(f, "{} ns", time.get()),
            Self::Endianness(order) => write!(f, "{order}"),
            Self::Text(text) => f.write_str(text),
            Self::Failed(failure) => write!(f, "{failure}"),
        }
    }
}

impl<'a> Line<'a> {
    /// The largest number of an interrupt line; a larger one is taken for nonsense.
    pub const IRQ_MAX: u32 = 0xffff;

    /// Reads a line without its newline; `None` if the server would never say it.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        if let Some(payload) = after(line, b"OK") {
            return Some(Self::Ok(payload));
        }
        if let Some(edge) = line.strip_prefix(b"IRQ ") {
            let (level, number) = if let Some(number) = edge.strip_prefix(b"raise ") {
                (true, number)
            } else {
                (false, edge.strip_prefix(b"lower ")?)
            };
            let line = parse_decimal(number).filter(|line| *line <= u64::from(Self::IRQ_MAX))?;
            return Some(Self::Irq {
                line: line as u32,
                level,
            });
        }
        if let Some(reason) = after(line, b"FAIL") {
            return Some(Self::Failed(Severity::Fail, reason));
        }
        after(line, b"ERR").map(|reason| Self::Failed(Severity::Err, reason))
    }

    /// Appends the line, newline included.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (first, rest): (&[u8], &[u8]) = match *self {
            Self::Irq { line, level } => {
                out.extend_from_slice(if level { b"IRQ raise " } else { b"IRQ lower " });
                push_decimal(out, line.into());
                out.push(b'\n');
                return;
            }
            Self::Ok(payload) => (b"OK", payload),
            Self::Failed(Severity::Fail, reason) => (b"FAIL", reason),
            Self::Failed(Severity::Err, reason) => (b"ERR", reason),
        };
        out.extend_from_slice(first);
        if !rest.is_empty() {
            out.push(b' ');
            out.extend_from_slice(rest);
        }
        out.push(b'\n');
    }
}

/// What follows `word` and one blank; empty if `word` is all.
fn after<'a>(line: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(word)? {
        [] => Some(&[]),
        [b' ', rest @ ..] => Some(rest),
        _ => None,
    }
}

impl Reply {
    /// Reads a reply line without its newline.
    ///
    /// `None` if it is no reply, or a successful one of another shape.
    pub fn parse(line: &[u8], shape: Shape) -> Option<Self> {
        match Line::parse(line)? {
            Line::Ok(payload) => Self::decode(payload, shape),
            Line::Failed(severity, reason) => Some(Self::Failed(Failure {
                severity,
                reason: String::from_utf8_lossy(reason).into(),
            })),
            Line::Irq { .. } => None,
        }
    }

    /// Reads what follows `OK `.
    pub(crate) fn decode(payload: &[u8], shape: Shape) -> Option<Self> {
        Some(match shape {
            Shape::Done => payload.is_empty().then_some(Self::Done)?,
            Shape::Port(width) => Self::Value(decode_value(payload, width.into())?),
            Shape::Value(width) => Self::Value(decode_value(payload, width)?),
            Shape::Bytes { len, encoding } => {
                let mut bytes = vec![0; len.get() as usize];
                decode_block(payload, encoding, &mut bytes)?;
                Self::Bytes(bytes)
            }
            Shape::Nanos => Self::Nanos(decode_nanos(payload)?),
            Shape::Endianness => Self::Endianness(match payload {
                b"little" => Endianness::Little,
                b"big" => Endianness::Big,
                _ => return None,
            }),
            Shape::Text => Self::Text(std::str::from_utf8(payload).ok()?.into()),
        })
    }

    /// Appends the reply's line, newline included, spelled for a command of this shape.
    ///
    /// A reply of another shape is spelled as its own nature suggests.
    pub fn encode(&self, shape: Shape, out: &mut Vec<u8>) {
        match self {
            Self::Done => out.extend_from_slice(b"OK"),
            Self::Value(value) => {
                out.extend_from_slice(b"OK ");
                let digits = if matches!(shape, Shape::Port(_)) {
                    4
                } else {
                    16
                };
                push_hex_padded(out, *value, digits);
            }
            Self::Bytes(bytes) => {
                out.extend_from_slice(b"OK ");
                let encoding = match shape {
                    Shape::Bytes { encoding, .. } => encoding,
                    _ => Encoding::Hex,
                };
                push_block(out, bytes, encoding);
            }
            Self::Nanos(time) => {
                out.extend_from_slice(b"OK ");
                push_decimal(out, time.get());
            }
            Self::Endianness(order) => {
                out.extend_from_slice(b"OK ");
                out.extend_from_slice(order.to_string().as_bytes());
            }
            Self::Text(text) => return Line::Ok(text.as_bytes()).encode(out),
            Self::Failed(failure) => {
                return Line::Failed(failure.severity, failure.reason.as_bytes()).encode(out);
            }
        }
        out.push(b'\n');
    }
}

pub(crate) fn decode_value(payload: &[u8], width: Width) -> Option<u64> {
    parse_hex(payload).filter(|value| *value <= width.mask())
}

pub(crate) fn decode_nanos(payload: &[u8]) -> Option<Nanos> {
    Nanos::new(parse_decimal(payload)?)
}

/// Fills `bytes` exactly.
pub(crate) fn decode_block(payload: &[u8], encoding: Encoding, bytes: &mut [u8]) -> Option<()> {
    match encoding {
        Encoding::Hex => {
            // The decoder takes one prefix off.
            payload
                .starts_with(b"0x")
                .then(|| const_hex::decode_to_slice(payload, bytes).ok())?
        }
        Encoding::Base64 => {
            if payload.len() != bytes.len().div_ceil(3) * 4 {
                return None;
            }
            (STANDARD.decode_slice(payload, bytes).ok()? == bytes.len()).then_some(())
        }
    }
}
