//! Tests in C: calls of libqtest, one after the other.

use testjig_qtest::{Command, Data, Encoding, Length, Nanos, PortWidth, Width, Word};

use super::Draft;
use super::command_line::Machine;
use super::lines::Line;
use crate::error::{ParseError, excerpt};
use crate::session::Step;

/// Calls that do nothing to the machine.
const HARMLESS: [&str; 24] = [
    "qtest_quit",
    "qtest_end",
    "qtest_get_arch",
    "qtest_add_func",
    "qtest_has_device",
    "qtest_has_machine",
    "g_test_init",
    "g_test_run",
    "g_test_skip",
    "g_assert",
    "g_assert_true",
    "g_assert_false",
    "g_assert_cmpint",
    "g_assert_cmphex",
    "g_assert_null",
    "g_assert_nonnull",
    "g_free",
    "strcmp",
    "main",
    "sizeof",
    "if",
    "return",
    "g_str_equal",
    "assert",
];

pub(super) fn read(lines: &[Line]) -> Result<Draft, ParseError> {
    let text = Text::new(lines);
    let mut draft = Draft {
        place: lines.first().map_or((1, 1), |line| line.place(0)),
        ..Draft::default()
    };
    let mut at = 0;
    while let Some(call) = text.next_call(at)? {
        at = call.next;
        match call.name.as_str() {
            "for" | "while" | "do" | "switch" | "goto" => {
                return Err(text.error(
                    call.at,
                    format!("`{}`: only calls one after the other are read", call.name),
                ));
            }
            "qtest_init" | "qtest_initf" | "qtest_start" | "qtest_init_with_serial" => {
                if draft.has_command {
                    return Err(text.error(call.at, "a second machine: import one test at a time"));
                }
                let words = call.text_of(0, &text)?;
                let words = shlex::split(&words).ok_or_else(|| {
                    text.error(call.at, "a quotation in the machine's options does not end")
                })?;
                let mut machine = Machine::default();
                machine
                    .take(&words)
                    .map_err(|(_, problem)| text.error(call.at, problem))?;
                draft.machine = machine;
                draft.has_command = true;
                draft.place = text.place(call.at);
            }
            name if HARMLESS.contains(&name) || name.starts_with("test_") => {}
            name => match command(name, &call, &text)? {
                Some(command) => draft.steps.push(Step::plain(command)),
                None if call.is_definition => {}
                None => {
                    return Err(text.error(
                        call.at,
                        format!("`{}` is no call that is known here", excerpt(name)),
                    ));
                }
            },
        }
    }
    Ok(draft)
}

/// The program's text without comments, which became blanks.
struct Text<'a> {
    text: String,
    /// Where each line begins.
    starts: Vec<(usize, &'a Line)>,
}

struct Call {
    name: String,
    at: usize,
    /// The arguments, with where each begins.
    arguments: Vec<(usize, String)>,
    next: usize,
    /// A brace follows: the function is defined here.
    is_definition: bool,
}

impl<'a> Text<'a> {
    fn new(lines: &'a [Line]) -> Self {
        let mut text = String::new();
        let mut starts = Vec::new();
        for line in lines {
            starts.push((text.len(), line));
            // Directives are not calls.
            if line.text.starts_with('#') {
                text.extend(std::iter::repeat_n(' ', line.text.len()));
            } else {
                text.push_str(&line.text);
            }
            text.push('\n');
        }
        Self {
            text: without_comments(&text),
            starts,
        }
    }

    fn place(&self, at: usize) -> (usize, usize) {
        let line = self.starts.iter().rfind(|(start, _)| *start <= at);
        line.map_or((1, 1), |(start, line)| line.place(at - start))
    }

    fn error(&self, at: usize, problem: impl Into<String>) -> ParseError {
        let (line, column) = self.place(at);
        ParseError::new(line, column, problem)
    }

    /// The next name that is followed by a parenthesis.
    fn next_call(&self, from: usize) -> Result<Option<Call>, ParseError> {
        let bytes = self.text.as_bytes();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let mut at = from;
        while at < bytes.len() {
            if bytes[at] == b'"' || bytes[at] == b'\'' {
                at = self.end_of_quotation(at)?;
                continue;
            }
            if !is_name(bytes[at]) || bytes[at].is_ascii_digit() {
                at += 1;
                continue;
            }
            let end = (at..bytes.len())
                .find(|&end| !is_name(bytes[end]))
                .unwrap_or(bytes.len());
            let open = (end..bytes.len()).find(|&open| !bytes[open].is_ascii_whitespace());
            if let Some(open) = open.filter(|&open| bytes[open] == b'(') {
                let name = self.text[at..end].to_owned();
                // What stands in the condition, or is an argument of what does nothing, is looked at by itself.
                let looks_inside = HARMLESS.contains(&name.as_str());
                let (arguments, close) = self.arguments(open)?;
                let after = self.text[close..].trim_start();
                return Ok(Some(Call {
                    is_definition: after.starts_with('{'),
                    next: if looks_inside || after.starts_with('{') {
                        open + 1
                    } else {
                        close
                    },
                    name,
                    at,
                    arguments,
                }));
            }
            if matches!(&self.text[at..end], "do" | "goto") {
                return Err(self.error(at, "only calls one after the other are read"));
            }
            at = end;
        }
        Ok(None)
    }

    fn end_of_quotation(&self, at: usize) -> Result<usize, ParseError> {
        let bytes = self.text.as_bytes();
        let mut end = at + 1;
        while end < bytes.len() && bytes[end] != bytes[at] {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        if end >= bytes.len() {
            return Err(self.error(at, "a quotation that does not end"));
        }
        Ok(end + 1)
    }

    /// The arguments between an opening parenthesis and its closing one, and what follows that.
    fn arguments(&self, open: usize) -> Result<(Vec<(usize, String)>, usize), ParseError> {
        let bytes = self.text.as_bytes();
        let mut arguments = Vec::new();
        let (mut depth, mut begin, mut at) = (0_usize, open + 1, open);
        while at < bytes.len() {
            match bytes[at] {
                b'"' | b'\'' => {
                    at = self.end_of_quotation(at)?;
                    continue;
                }
                b'(' => depth += 1,
                b',' if depth == 1 => {
                    arguments.push((begin, self.text[begin..at].to_owned()));
                    begin = at + 1;
                }
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        arguments.push((begin, self.text[begin..at].to_owned()));
                        return Ok((arguments, at + 1));
                    }
                }
                _ => {}
            }
            at += 1;
        }
        Err(self.error(open, "a parenthesis that is not closed"))
    }
}

fn without_comments(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote && bytes[at] != b'\n' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                while at < bytes.len() && bytes[at] != b'\n' {
                    out[at] = b' ';
                    at += 1;
                }
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let end = text[at..]
                    .find("*/")
                    .map_or(bytes.len(), |end| at + end + 2);
                for byte in &mut out[at..end] {
                    if *byte != b'\n' {
                        *byte = b' ';
                    }
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl Call {
    fn argument(&self, index: usize, text: &Text<'_>) -> Result<(usize, &str), ParseError> {
        self.arguments
            .get(index)
            .map(|(at, argument)| {
                (
                    at + argument.len() - argument.trim_start().len(),
                    argument.trim(),
                )
            })
            .ok_or_else(|| text.error(self.at, format!("`{}` has too few arguments", self.name)))
    }

    fn number(&self, index: usize, text: &Text<'_>) -> Result<u64, ParseError> {
        let (at, word) = self.argument(index, text)?;
        let digits = word.trim_end_matches(['u', 'U', 'l', 'L']);
        let digits = digits
            .strip_prefix('(')
            .and_then(|inner| inner.strip_suffix(')'))
            .unwrap_or(digits);
        if digits.is_empty() {
            return Err(text.error(at, "a number is missing"));
        }
        if let Some(positive) = digits.strip_prefix('-') {
            if let Some(value) = crate::parse::number(positive).filter(|_| !positive.is_empty()) {
                return Ok(value.wrapping_neg());
            }
        }
        crate::parse::number(digits)
            .ok_or_else(|| text.error(at, format!("`{}` is no plain number", excerpt(word))))
    }

    /// The bytes of string literals, one after the other.
    fn bytes(&self, index: usize, text: &Text<'_>) -> Result<Vec<u8>, ParseError> {
        let (at, word) = self.argument(index, text)?;
        let wrong = || text.error(at, format!("`{}` is no string literal", excerpt(word)));
        let mut bytes = Vec::new();
        let mut rest = word;
        while !rest.is_empty() {
            let inner = rest.strip_prefix('"').ok_or_else(wrong)?;
            let mut characters = inner.char_indices().peekable();
            let end = loop {
                match characters.next().ok_or_else(wrong)? {
                    (end, '"') => break end,
                    (_, '\\') => bytes.push(escape(&mut characters).ok_or_else(wrong)?),
                    (_, character) => {
                        bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                }
            };
            rest = inner[end + 1..].trim_start();
        }
        Ok(bytes)
    }

    fn text_of(&self, index: usize, text: &Text<'_>) -> Result<String, ParseError> {
        let bytes = self.bytes(index, text)?;
        String::from_utf8(bytes).map_err(|_| text.error(self.at, "this is no text"))
    }

    fn word(&self, index: usize, text: &Text<'_>) -> Result<Word, ParseError> {
        let word = self.text_of(index, text)?;
        Word::new(&word).map_err(|error| text.error(self.at, error.to_string()))
    }
}

/// What follows a backslash.
fn escape(characters: &mut std::iter::Peekable<std::str::CharIndices<'_>>) -> Option<u8> {
    let (_, character) = characters.next()?;
    Some(match character {
        'x' => {
            let mut value = 0_u32;
            let mut digits = 0;
            // C takes all digits that there are; a byte has two.
            while let Some(digit) = characters.peek().and_then(|(_, next)| next.to_digit(16)) {
                value = value * 16 + digit;
                digits += 1;
                characters.next();
                if digits > 2 {
                    return None;
                }
            }
            (digits > 0).then_some(value as u8)?
        }
        '0'..='7' => {
            let mut value = character.to_digit(8)?;
            for _ in 0..2 {
                let Some(digit) = characters.peek().and_then(|(_, next)| next.to_digit(8)) else {
                    break;
                };
                value = value * 8 + digit;
                characters.next();
            }
            u8::try_from(value).ok()?
        }
        'n' => b'\n',
        't' => b'\t',
        'r' => b'\r',
        '"' | '\\' | '\'' => character as u8,
        _ => return None,
    })
}

/// The command of a call; `None` if the name is of none. The first argument is the machine, if the name says so.
fn command(name: &str, call: &Call, text: &Text<'_>) -> Result<Option<Command>, ParseError> {
    let (name, from) = match name.strip_prefix("qtest_") {
        Some(name) => (name, 1),
        None => (name, 0),
    };
    let number = |index: usize| call.number(from + index, text);
    let width = || match name.as_bytes().last() {
        Some(b'b') => Width::B,
        Some(b'w') => Width::W,
        Some(b'l') => Width::L,
        _ => Width::Q,
    };
    let port_width = || match name.as_bytes().last() {
        Some(b'b') => PortWidth::B,
        Some(b'w') => PortWidth::W,
        _ => PortWidth::L,
    };
    let port = || -> Result<u16, ParseError> {
        u16::try_from(number(0)?).map_err(|_| text.error(call.at, "a port is below 0x10000"))
    };
    let length = |index: usize| -> Result<Length, ParseError> {
        Length::try_from(number(index)? as usize)
            .map_err(|error| text.error(call.at, error.to_string()))
    };
    let nanos = |index: usize| -> Result<Nanos, ParseError> {
        Nanos::new(number(index)?)
            .ok_or_else(|| text.error(call.at, "virtual time is less than 2^63 ns"))
    };
    Ok(Some(match name {
        "inb" | "inw" | "inl" => Command::In {
            width: port_width(),
            port: port()?,
        },
        "outb" | "outw" | "outl" => Command::Out {
            width: port_width(),
            port: port()?,
            value: number(1)? as u32 & port_width().mask(),
        },
        "readb" | "readw" | "readl" | "readq" => Command::Read {
            width: width(),
            addr: number(0)?,
        },
        "writeb" | "writew" | "writel" | "writeq" => Command::Write {
            width: width(),
            addr: number(0)?,
            value: number(1)? & width().mask(),
        },
        "memset" => Command::Memset {
            addr: number(0)?,
            value: number(1)? as u8,
            len: length(2)?,
        },
        "bufwrite" | "memwrite" => {
            let bytes = call.bytes(from + 1, text)?;
            let size = number(2)? as usize;
            // A literal has a zero after its last byte.
            if size > bytes.len() + 1 {
                return Err(text.error(call.at, format!("{size} bytes of {}", bytes.len())));
            }
            let mut data = bytes;
            data.resize(size, 0);
            Command::WriteBlock {
                addr: number(0)?,
                data: Data::try_from(data)
                    .map_err(|error| text.error(call.at, error.to_string()))?,
                encoding: Encoding::Hex,
            }
        }
        "bufread" | "memread" => Command::ReadBlock {
            addr: number(0)?,
            len: length(2)?,
            encoding: Encoding::Hex,
        },
        "clock_step" => Command::ClockStep(Some(nanos(0)?)),
        "clock_step_next" => Command::ClockStep(None),
        "clock_set" => Command::ClockSet(nanos(0)?),
        "irq_intercept_in" => Command::InterceptIn {
            path: call.word(from, text)?,
        },
        "irq_intercept_out" => Command::InterceptOut {
            path: call.word(from, text)?,
            name: None,
        },
        "set_irq_in" => Command::SetIrqIn {
            path: call.word(from, text)?,
            name: match call.argument(from + 1, text)? {
                (_, "NULL") => None,
                _ => Some(call.word(from + 1, text)?),
            },
            number: u16::try_from(number(2)?)
                .map_err(|_| text.error(call.at, "a pin's number is below 65536"))?,
            level: number(3)? as i32,
        },
        _ => return Ok(None),
    }))
}
