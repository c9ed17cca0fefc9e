//! Commands to bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::command::{Command, Encoding, PortWidth, UNNAMED_GPIO_IN, Width};
use crate::number::{push_decimal, push_hex};

impl Command {
    /// Appends the line that asks for this, newline included.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::In { width, port } => {
                out.extend_from_slice(match width {
                    PortWidth::B => b"inb ",
                    PortWidth::W => b"inw ",
                    PortWidth::L => b"inl ",
                });
                push_hex(out, u64::from(*port));
            }
            Self::Out { width, port, value } => {
                out.extend_from_slice(match width {
                    PortWidth::B => b"outb ",
                    PortWidth::W => b"outw ",
                    PortWidth::L => b"outl ",
                });
                push_hex(out, u64::from(*port));
                out.push(b' ');
                push_hex(out, u64::from(value & width.mask()));
            }
            Self::Read { width, addr } => {
                out.extend_from_slice(match width {
                    Width::B => b"readb ",
                    Width::W => b"readw ",
                    Width::L => b"readl ",
                    Width::Q => b"readq ",
                });
                push_hex(out, *addr);
            }
            Self::Write { width, addr, value } => {
                out.extend_from_slice(match width {
                    Width::B => b"writeb ",
                    Width::W => b"writew ",
                    Width::L => b"writel ",
                    Width::Q => b"writeq ",
                });
                push_hex(out, *addr);
                out.push(b' ');
                push_hex(out, value & width.mask());
            }
            Self::ReadBlock {
                addr,
                len,
                encoding,
            } => {
                out.extend_from_slice(match encoding {
                    Encoding::Hex => b"read ",
                    Encoding::Base64 => b"b64read ",
                });
                push_hex(out, *addr);
                out.push(b' ');
                push_hex(out, u64::from(len.get()));
            }
            Self::WriteBlock {
                addr,
                data,
                encoding,
            } => write_block(out, *addr, data.bytes(), *encoding),
            Self::Memset { addr, len, value } => {
                out.extend_from_slice(b"memset ");
                push_hex(out, *addr);
                out.push(b' ');
                push_hex(out, u64::from(len.get()));
                out.push(b' ');
                push_hex(out, u64::from(*value));
            }
            _ => self.encode_rare(out),
        }
        out.push(b'\n');
    }

    fn encode_rare(&self, out: &mut Vec<u8>) {
        match self {
            Self::ClockStep(None) => out.extend_from_slice(b"clock_step"),
            Self::ClockStep(Some(by)) => {
                out.extend_from_slice(b"clock_step ");
                push_decimal(out, by.get());
            }
            Self::ClockSet(to) => {
                out.extend_from_slice(b"clock_set ");
                push_decimal(out, to.get());
            }
            Self::InterceptIn { path } => push_words(out, &["irq_intercept_in", path]),
            Self::InterceptOut { path, name: None } => {
                push_words(out, &["irq_intercept_out", path]);
            }
            Self::InterceptOut {
                path,
                name: Some(name),
            } => push_words(out, &["irq_intercept_out", path, name]),
            Self::SetIrqIn {
                path,
                name,
                number,
                level,
            } => {
                let name = name.as_deref().unwrap_or(UNNAMED_GPIO_IN);
                push_words(out, &["set_irq_in", path, name, ""]);
                push_decimal(out, u64::from(*number));
                out.push(b' ');
                if *level < 0 {
                    out.push(b'-');
                }
                push_decimal(out, u64::from(level.unsigned_abs()));
            }
            Self::ModuleLoad { prefix, name } => push_words(out, &["module_load", prefix, name]),
            Self::Endianness => out.extend_from_slice(b"endianness"),
            Self::Extension(call) => out.extend_from_slice(call.as_str().as_bytes()),
            _ => unreachable!("encoded by the caller"),
        }
    }
}

/// Appends the line of a block write, without its newline.
pub(crate) fn write_block(out: &mut Vec<u8>, addr: u64, data: &[u8], encoding: Encoding) {
    out.extend_from_slice(match encoding {
        Encoding::Hex => b"write ",
        Encoding::Base64 => b"b64write ",
    });
    push_hex(out, addr);
    out.push(b' ');
    push_hex(out, data.len() as u64);
    out.push(b' ');
    push_block(out, data, encoding);
}

/// Appends the bytes of a block in their spelling.
pub(crate) fn push_block(out: &mut Vec<u8>, data: &[u8], encoding: Encoding) {
    let at = out.len();
    match encoding {
        Encoding::Hex => {
            out.resize(at + 2 + 2 * data.len(), 0);
            out[at..at + 2].copy_from_slice(b"0x");
            let fits = const_hex::encode_to_slice(data, &mut out[at + 2..]);
            debug_assert!(fits.is_ok());
        }
        Encoding::Base64 => {
            out.resize(at + data.len().div_ceil(3) * 4, 0);
            let written = STANDARD.encode_slice(data, &mut out[at..]);
            debug_assert!(written.is_ok());
        }
    }
}

fn push_words(out: &mut Vec<u8>, words: &[&str]) {
    for (nr, word) in words.iter().enumerate() {
        if nr != 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word.as_bytes());
    }
}
