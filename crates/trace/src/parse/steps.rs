//! The operations, a line each.

use testjig_qtest::{
    Command, Data, Endianness, Failure, Nanos, ParseError as CommandError, Reply, Severity, Shape,
};

use super::{Problem, column, column_of};
use crate::error::excerpt;
use crate::session::{Action, Expected, Step};

pub(super) fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x")?;
    // The decoder takes one prefix off, whatever it is given.
    (!digits.starts_with("0x")).then(|| const_hex::decode(digits).ok())?
}

/// One line after the header.
pub(super) fn step(line: &str) -> Result<Step, Problem> {
    let (said, comment) = match comment_of(line) {
        Some((said, comment)) => (said, Some(comment)),
        None => (line, None),
    };
    if said.chars().any(|c| c.is_control() && c != '\t') {
        let at = said
            .find(|c: char| c.is_control() && c != '\t')
            .unwrap_or(0);
        return Err((column(line, at), "a control character".into()));
    }
    let comment = comment
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty());
    let action = action(line, said.trim())?;
    Ok(Step { action, comment })
}

/// What stands before and after the `#` of a comment.
fn comment_of(line: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    while let Some(found) = line[from..].find('#') {
        let at = from + found;
        if line[..at]
            .chars()
            .next_back()
            .is_none_or(char::is_whitespace)
        {
            return Some((&line[..at], &line[at + 1..]));
        }
        from = at + 1;
    }
    None
}

fn action(line: &str, said: &str) -> Result<Action, Problem> {
    let here = |part: &str| column_of(line, part);
    if said.is_empty() {
        return Ok(Action::Nothing);
    }
    if said == "reset" {
        return Ok(Action::Reset);
    }
    if said == "settle" {
        return Ok(Action::Settle);
    }
    for word in ["plug", "unplug"] {
        let rest = said.strip_prefix(word);
        if let Some(device) = rest.filter(|rest| rest.starts_with(char::is_whitespace)) {
            let device = device.trim();
            if device.is_empty() || device.contains(char::is_whitespace) {
                return Err((
                    here(said),
                    "`plug` takes a device as `-device` does, `unplug` an id, without spaces"
                        .into(),
                ));
            }
            let device = device.to_owned();
            return Ok(match word {
                "plug" => Action::Plug(device),
                _ => Action::Unplug(device),
            });
        }
    }
    let (request, reply) = match split_reply(said) {
        Some((request, reply)) => (request.trim_end(), Some(reply.trim())),
        None => (said, None),
    };
    if let Some(edge) = request.strip_prefix("irq ") {
        let mut words = edge.split_whitespace();
        let level = match words.next() {
            Some("raise") => true,
            Some("lower") => false,
            _ => {
                return Err((
                    here(edge),
                    "an interrupt line changes by `irq raise N` or `irq lower N`".into(),
                ));
            }
        };
        let number = words.next().and_then(|word| word.parse().ok());
        return match (number, words.next(), reply) {
            (Some(line @ 0..=0xffff), None, None) => Ok(Action::Edge { line, level }),
            _ => Err((
                here(edge),
                "`irq raise` or `irq lower` takes the line's number, 0 to 65535, and has no answer"
                    .into(),
            )),
        };
    }
    if let Some(write) = request.strip_prefix("image ") {
        return image(write, reply).map_err(|problem| (here(write), problem));
    }
    if let Some(repeated) = request.strip_prefix("until ") {
        let repeated = repeated.trim_start();
        let command = command(line, repeated)?;
        let reply = reply.ok_or_else(|| {
            (
                column(line, line.len()),
                "`until` needs an answer to wait for: `until inb 0x1f7 -> 0x50`".to_owned(),
            )
        })?;
        let expected =
            expected(reply, command.shape()).map_err(|problem| (here(reply), problem))?;
        return Ok(Action::Until(command, expected));
    }
    let command = command(line, request)?;
    let expected = reply
        .map(|reply| expected(reply, command.shape()).map_err(|problem| (here(reply), problem)))
        .transpose()?;
    Ok(Action::Do(command, expected))
}

/// `NAME OFFSET LENGTH BYTES`.
fn image(words: &str, reply: Option<&str>) -> Result<Action, String> {
    const FORM: &str =
        "an image is written by `image DISK OFFSET LENGTH 0xBYTES`, and does not answer";
    let words: Vec<&str> = words.split_whitespace().collect();
    let ([disk, offset, length, bytes], None) = (&words[..], reply) else {
        return Err(FORM.into());
    };
    let (Some(offset), Some(length), Some(bytes)) =
        (number(offset), number(length), bytes_of(bytes))
    else {
        return Err(FORM.into());
    };
    if bytes.len() as u64 != length {
        return Err(format!("{} bytes, and not {length}", bytes.len()));
    }
    Ok(Action::Image {
        disk: (*disk).to_owned(),
        offset,
        data: Data::try_from(bytes).map_err(|error| error.to_string())?,
    })
}

/// What stands before and after the arrow.
fn split_reply(said: &str) -> Option<(&str, &str)> {
    said.split_once(" -> ").or_else(|| {
        said.strip_suffix(" ->")
            .map(|said| (said, &said[said.len()..]))
    })
}

/// A request as the wire has it, but for its blanks.
pub(crate) fn command(line: &str, request: &str) -> Result<Command, Problem> {
    let mut words = request.split_whitespace();
    let name = words.next().unwrap_or_default();
    let mut wire = String::with_capacity(request.len());
    wire.push_str(name);
    for word in words {
        wire.push(' ');
        wire.push_str(word);
    }
    let parsed = Command::parse(wire.as_bytes());
    // What no server of a QEMU knows is a misspelling.
    let known = |name: &str| matches!(name, "rtas" | "csr");
    match parsed {
        Ok(Command::Extension(call)) if !known(call.name()) => Err((
            column_of(line, request),
            format!(
                "no operation is called `{}`; there are those of qtest (inb, outb, readl, writel, write, memset, clock_step, …), \
                 `irq`, `until`, `image` and `reset`",
                excerpt(name)
            ),
        )),
        Ok(command) => Ok(command),
        Err(error) => {
            let wrong = match &error {
                CommandError::Number { word, .. } => request
                    .split_whitespace()
                    .skip(1)
                    .find(|found| found.starts_with(word.as_str())),
                CommandError::Block { .. } => request.split_whitespace().nth(3),
                _ => None,
            };
            let text = match &error {
                CommandError::Number { word, expected } => {
                    format!("`{}` is no {expected}", excerpt(word))
                }
                error => error.to_string(),
            };
            Err((column_of(line, wrong.unwrap_or(request)), text))
        }
    }
}

/// An answer to an operation of this shape.
fn expected(text: &str, shape: Shape) -> Result<Expected, String> {
    for (word, severity) in [("FAIL", Severity::Fail), ("ERR", Severity::Err)] {
        if let Some(reason) = text.strip_prefix(word) {
            if reason.is_empty() || reason.starts_with(' ') {
                return Ok(Expected::exactly(Reply::Failed(Failure {
                    severity,
                    reason: reason.trim().into(),
                })));
            }
        }
    }
    let wrong = |what: &str| Err(format!("`{}` is no answer here: {what}", excerpt(text)));
    let reply = match shape {
        Shape::Port(_) | Shape::Value(_) => {
            let (value, mask) = match text.split_once('&') {
                Some((value, mask)) => (value.trim(), Some(mask.trim())),
                None => (text, None),
            };
            let most = match shape {
                Shape::Port(width) => u64::from(width.mask()),
                Shape::Value(width) => width.mask(),
                _ => u64::MAX,
            };
            let what = "a number of the access's width, perhaps with a mask: `0x80 & 0xf0`";
            let Some(value) = number(value).filter(|value| *value <= most) else {
                return wrong(what);
            };
            let mask = match mask.map(number) {
                None => None,
                Some(Some(mask)) => Some(mask),
                Some(None) => return wrong(what),
            };
            return Ok(Expected {
                reply: Reply::Value(value),
                mask,
            });
        }
        Shape::Bytes { len, .. } => match bytes_of(text) {
            Some(bytes) if bytes.len() == len.get() as usize => Reply::Bytes(bytes),
            _ => return wrong("`0x` and two digits for each byte that is read"),
        },
        Shape::Nanos => match number(text.trim_end_matches(" ns")).and_then(Nanos::new) {
            Some(time) => Reply::Nanos(time),
            None => return wrong("a time in nanoseconds"),
        },
        Shape::Endianness => match text {
            "little" => Reply::Endianness(Endianness::Little),
            "big" => Reply::Endianness(Endianness::Big),
            _ => return wrong("`little` or `big`"),
        },
        Shape::Text => match text.strip_prefix("ok") {
            Some("") => Reply::Text("".into()),
            Some(rest) if rest.starts_with(' ') => Reply::Text(rest[1..].into()),
            _ => return wrong("`ok` and what it says"),
        },
        _ => match text {
            "ok" => Reply::Done,
            _ => return wrong("`ok`, or `FAIL`"),
        },
    };
    Ok(Expected::exactly(reply))
}

/// A number as operations have it: hexadecimal with `0x`, else decimal.
pub(crate) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            u64::from_str_radix(digits, 16).ok()
        }
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}
