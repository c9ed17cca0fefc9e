//! From text to a [`Trace`]. Whatever the text is, it costs no more memory than the limits say.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::str::FromStr;

use testjig_qtest::{
    Command, Endianness, Failure, Nanos, ParseError as CommandError, Reply, Severity, Shape,
};
use testjig_vm::Arch;

use crate::error::{FileError, ParseError, excerpt};
use crate::header::{Detect, Disk, DiskInterface, Expect, Header, Red, Requirement};
use crate::session::{Action, Expected, Step, Trace};

/// The first line of every file.
pub(crate) const MAGIC: &str = "qtr 1";

/// The longest line, in bytes: 4 MiB. The largest block of one operation, 1 MiB, is half of it in hexadecimal digits.
pub const LONGEST_LINE: usize = 4 << 20;
/// The largest file, in bytes: 256 MiB.
pub const LARGEST_FILE: usize = 256 << 20;
/// The most lines after the header: 2,000,000.
pub const MOST_STEPS: usize = 2_000_000;
/// The most lines of the header, and the most words of a command line: 1,000.
pub const MOST_WORDS: usize = 1_000;

impl FromStr for Trace {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser::default();
        if text.len() > LARGEST_FILE {
            return Err(too_large());
        }
        for line in text.lines() {
            parser.line(line)?;
        }
        parser.finish()
    }
}

impl Trace {
    /// Reads a file. Of one that is too large only as much is read as shows it.
    ///
    /// # Errors
    /// If it can't be read, or is no session.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let file = std::fs::File::open(path).map_err(|error| FileError::io(path, error))?;
        let mut parser = Parser::default();
        let mut problem = None;
        each_line(file, |line| match parser.line(line) {
            Ok(()) => true,
            Err(error) => {
                problem = Some(error);
                false
            }
        })
        .map_err(|error| match error {
            LineError::Io(error) => FileError::io(path, error),
            LineError::Parse(error) => FileError::parse(path, error),
        })?;
        match problem {
            Some(error) => Err(error),
            None => parser.finish(),
        }
        .map_err(|error| FileError::parse(path, error))
    }
}

pub(crate) enum LineError {
    Io(io::Error),
    Parse(ParseError),
}

/// Hands on a file's lines, until told to stop, holding one of them at a time.
pub(crate) fn each_line(
    from: impl Read,
    mut take: impl FnMut(&str) -> bool,
) -> Result<(), LineError> {
    let mut from = BufReader::with_capacity(64 << 10, from.take(LARGEST_FILE as u64 + 1));
    let mut line = Vec::new();
    let (mut number, mut total) = (0, 0);
    loop {
        line.clear();
        number += 1;
        let most = LONGEST_LINE as u64 + 2;
        let read = from
            .by_ref()
            .take(most)
            .read_until(b'\n', &mut line)
            .map_err(LineError::Io)?;
        if read == 0 {
            return Ok(());
        }
        total += read;
        if total > LARGEST_FILE {
            return Err(LineError::Parse(too_large()));
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let text = std::str::from_utf8(&line).map_err(|error| {
            let column = String::from_utf8_lossy(&line[..error.valid_up_to()])
                .chars()
                .count()
                + 1;
            LineError::Parse(ParseError::new(
                number,
                column,
                "this is no text: a file is UTF-8",
            ))
        });
        if line.len() > LONGEST_LINE {
            return Err(LineError::Parse(too_long(number)));
        }
        if !take(text?) {
            return Ok(());
        }
    }
}

fn too_large() -> ParseError {
    ParseError::new(1, 1, "the file is larger than 256 MiB")
}

fn too_long(line: usize) -> ParseError {
    ParseError::new(line, LONGEST_LINE, "the line is longer than 4 MiB")
}

/// What was read so far.
#[derive(Default)]
struct Parser {
    number: usize,
    stage: Stage,
    header: Draft,
    steps: Vec<Step>,
}

#[derive(Default, PartialEq)]
enum Stage {
    #[default]
    Magic,
    Header,
    Steps,
}

/// A header of which architecture and machine may not be known yet.
struct Draft {
    lines: usize,
    arch: Option<Arch>,
    machine: Option<String>,
    seen: Vec<String>,
    header: Header,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            lines: 0,
            arch: None,
            machine: None,
            seen: Vec::new(),
            header: Header::new(Arch::X86_64, ""),
        }
    }
}

impl Parser {
    fn line(&mut self, line: &str) -> Result<(), ParseError> {
        self.number += 1;
        if line.len() > LONGEST_LINE {
            return Err(too_long(self.number));
        }
        match self.stage {
            Stage::Magic => {
                if line.trim_end() != MAGIC {
                    let problem = if line.starts_with("qtr ") {
                        "this file is of a later version of the format; this is version 1"
                            .to_owned()
                    } else {
                        format!("a session begins with the line `{MAGIC}`; what else holds sessions is read by `jig import`")
                    };
                    return Err(self.error(1, problem));
                }
                self.stage = Stage::Header;
            }
            Stage::Header if line.trim().is_empty() => self.stage = Stage::Steps,
            Stage::Header => {
                self.header.lines += 1;
                if self.header.lines > MOST_WORDS {
                    return Err(self.error(1, "the header has more than 1,000 lines"));
                }
                self.header
                    .line(line)
                    .map_err(|(column, problem)| self.error(column, problem))?;
            }
            Stage::Steps => {
                if self.steps.len() >= MOST_STEPS {
                    return Err(self.error(1, "there are more than 2,000,000 lines of operations"));
                }
                let step =
                    step(line).map_err(|(column, problem)| self.error(column, problem))?;
                self.steps.push(step);
            }
        }
        Ok(())
    }

    fn error(&self, column: usize, problem: impl Into<String>) -> ParseError {
        ParseError::new(self.number, column, problem)
    }

    fn finish(self) -> Result<Trace, ParseError> {
        let end = self.number.max(1);
        let lacks = |what: &str| {
            ParseError::new(end, 1, format!("the header has no line `{what}: …`"))
        };
        if self.stage == Stage::Magic {
            return Err(ParseError::new(
                1,
                1,
                format!("the file is empty; a session begins with the line `{MAGIC}`"),
            ));
        }
        let mut header = self.header.header;
        header.arch = self.header.arch.ok_or_else(|| lacks("arch"))?;
        header.machine = self.header.machine.ok_or_else(|| lacks("machine"))?;
        Ok(Trace {
            header,
            steps: self.steps,
        })
    }
}

/// A column, counted in characters from 1, and what is wrong there.
type Problem = (usize, String);

/// The column of a byte of a line.
fn column(line: &str, byte: usize) -> usize {
    line.get(..byte).map_or(1, |before| before.chars().count() + 1)
}

/// The column of a part of a line, by where it is in memory.
fn column_of(line: &str, part: &str) -> usize {
    column(line, part.as_ptr() as usize - line.as_ptr() as usize)
}

impl Draft {
    fn line(&mut self, line: &str) -> Result<(), Problem> {
        if line.starts_with('#') {
            return Err((1, "comments come with the operations; in the header, write `note: …`".into()));
        }
        let (key, value) = line.split_once(':').ok_or_else(|| {
            (1, "a line of the header is `name: value`; the first blank line ends the header".to_owned())
        })?;
        let value = value.trim();
        let at = |problem: String| (column_of(line, value), problem);
        let once = matches!(
            key,
            "title" | "arch" | "machine" | "memory" | "default-devices" | "fixed" | "expect" | "detect" | "red"
        );
        if once {
            if self.seen.iter().any(|seen| seen == key) {
                return Err((1, format!("`{key}` is there twice")));
            }
            self.seen.push(key.to_owned());
        }
        if value.is_empty() {
            return Err((column(line, line.len()), format!("`{key}` has no value")));
        }
        if value.chars().any(char::is_control) {
            return Err(at("a control character".into()));
        }
        let header = &mut self.header;
        match key {
            "title" => header.title = value.to_owned(),
            "id" => header.ids.push(value.to_owned()),
            "source" => header.sources.push(value.to_owned()),
            "note" => header.notes.push(value.to_owned()),
            "says" => header.says.push(value.to_owned()),
            "affected" => {
                for range in value.split(',') {
                    let range = range.trim().parse().map_err(|problem: &str| at(problem.into()))?;
                    header.affected.push(range);
                }
            }
            "fixed" => header.fixed = Some(value.parse().map_err(|problem: &str| at(problem.into()))?),
            "arch" => {
                let arch = value.parse().map_err(|_| {
                    let known: Vec<&str> = Arch::ALL.iter().map(|arch| arch.name()).collect();
                    at(format!("no architecture `{}`; there are {}", excerpt(value), known.join(", ")))
                })?;
                self.arch = Some(arch);
            }
            "machine" => {
                let mut parts = value.split(',');
                self.machine = parts.next().map(ToOwned::to_owned);
                for part in parts {
                    let (name, value) = part.split_once('=').ok_or_else(|| {
                        at(format!("`{}` is no property of a machine: `name=value`", excerpt(part)))
                    })?;
                    header.machine_options.push((name.to_owned(), value.to_owned()));
                }
            }
            "memory" => header.memory = Some(size(value).map_err(at)?),
            "default-devices" => header.default_devices = yes(value).map_err(at)?,
            "disk" => header.disks.push(disk(value).map_err(at)?),
            "args" => {
                let words = shlex::split(value)
                    .ok_or_else(|| at("a quotation that does not end, or a backslash before nothing".into()))?;
                header.args.extend(words);
                if header.args.len() > MOST_WORDS {
                    return Err(at("the command line has more than 1,000 words".into()));
                }
            }
            "requires" => header.requires.push(requirement(value).map_err(at)?),
            "expect" => header.expect = expect(value).map_err(at)?,
            "detect" => {
                header.detect = match value {
                    "stock" => Detect::Stock,
                    "asan" => Detect::Asan,
                    _ => return Err(at("a bug is detected by `stock` or by `asan`".into())),
                }
            }
            "red" => {
                header.red = Some(match value.strip_prefix("shown on ") {
                    Some(place) => Red::Shown(place.trim().to_owned()),
                    None if value == "not demonstrated" => Red::NotDemonstrated,
                    None => return Err(at("`red: shown on …` or `red: not demonstrated`".into())),
                });
            }
            _ => {
                return Err((
                    1,
                    format!(
                        "no line of the header is called `{}`; there are title, id, source, affected, fixed, arch, machine, memory, \
                         default-devices, disk, args, requires, expect, says, detect, red, note",
                        excerpt(key)
                    ),
                ));
            }
        }
        Ok(())
    }
}

fn yes(value: &str) -> Result<bool, String> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("`yes` or `no`".into()),
    }
}

/// A number of bytes, with K, M or G.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{}` is no size: bytes, or a number with K, M or G", excerpt(text));
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

fn disk(value: &str) -> Result<Disk, String> {
    /// Images are sparse; more than that no file of the format needs.
    const LARGEST: u64 = 1 << 42;
    let mut words = value.split_whitespace();
    let (Some(id), Some(bytes)) = (words.next(), words.next()) else {
        return Err("a disk is `NAME SIZE`, and then `if=…`, `ro`, `content=0x…`".into());
    };
    let mut disk = Disk {
        id: id.to_owned(),
        size: size(bytes)?,
        interface: DiskInterface::None,
        read_only: false,
        content: Vec::new(),
    };
    if disk.size == 0 || disk.size > LARGEST {
        return Err("a disk has 1 byte to 4096G".into());
    }
    for word in words {
        match word.split_once('=') {
            None if word == "ro" => disk.read_only = true,
            Some(("if", name)) => {
                let known = DiskInterface::ALL.iter().find(|(known, _)| *known == name);
                disk.interface = known
                    .ok_or_else(|| {
                        let names: Vec<&str> = DiskInterface::ALL.iter().map(|(name, _)| *name).collect();
                        format!("no interface `{}`; there are {}", excerpt(name), names.join(", "))
                    })?
                    .1;
            }
            Some(("content", hex)) => {
                disk.content = bytes_of(hex).ok_or("the content is `0x` and two digits a byte")?;
            }
            _ => return Err(format!("`{}` says nothing of a disk: `if=…`, `ro`, `content=0x…`", excerpt(word))),
        }
    }
    if disk.content.len() as u64 > disk.size {
        return Err("the content is longer than the disk".into());
    }
    Ok(disk)
}

fn requirement(value: &str) -> Result<Requirement, String> {
    match value.split_once(' ') {
        Some(("device", name)) => Ok(Requirement::Device(name.trim().to_owned())),
        Some(("object", name)) => Ok(Requirement::Object(name.trim().to_owned())),
        None if value == "clock" => Ok(Requirement::Clock),
        None if value == "running" => Ok(Requirement::Running),
        _ => Err("what can be required: `device NAME`, `object NAME`, `clock`, `running`".into()),
    }
}

fn expect(value: &str) -> Result<Expect, String> {
    match value {
        "survive" => Ok(Expect::Survive),
        "reply" => Ok(Expect::Reply),
        "crash" => Ok(Expect::Crash(String::new())),
        _ => value
            .strip_prefix("crash(")
            .and_then(|rest| rest.strip_suffix(')'))
            .map(|signature| Expect::Crash(signature.to_owned()))
            .ok_or_else(|| "`survive`, `reply`, `crash` or `crash(SIGNATURE)`".into()),
    }
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x")?;
    // The decoder takes one prefix off, whatever it is given.
    (!digits.starts_with("0x")).then(|| const_hex::decode(digits).ok())?
}

/// One line after the header.
pub(crate) fn step(line: &str) -> Result<Step, Problem> {
    let (said, comment) = match comment_of(line) {
        Some((said, comment)) => (said, Some(comment)),
        None => (line, None),
    };
    if said.chars().any(|c| c.is_control() && c != '\t') {
        let at = said.find(|c: char| c.is_control() && c != '\t').unwrap_or(0);
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
        if line[..at].chars().next_back().is_none_or(char::is_whitespace) {
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
    let (request, reply) = match split_reply(said) {
        Some((request, reply)) => (request.trim_end(), Some(reply.trim())),
        None => (said, None),
    };
    if let Some(edge) = request.strip_prefix("irq ") {
        let mut words = edge.split_whitespace();
        let level = match words.next() {
            Some("raise") => true,
            Some("lower") => false,
            _ => return Err((here(edge), "an interrupt line changes by `irq raise N` or `irq lower N`".into())),
        };
        let number = words.next().and_then(|word| word.parse().ok());
        return match (number, words.next(), reply) {
            (Some(line @ 0..=0xffff), None, None) => Ok(Action::Edge { line, level }),
            _ => Err((here(edge), "`irq raise` or `irq lower` takes the line's number, 0 to 65535, and has no answer".into())),
        };
    }
    if let Some(repeated) = request.strip_prefix("until ") {
        let repeated = repeated.trim_start();
        let command = command(line, repeated)?;
        let reply = reply.ok_or_else(|| {
            (column(line, line.len()), "`until` needs an answer to wait for: `until inb 0x1f7 -> 0x50`".to_owned())
        })?;
        let expected = expected(reply, command.shape()).map_err(|problem| (here(reply), problem))?;
        return Ok(Action::Until(command, expected));
    }
    let command = command(line, request)?;
    let expected = reply
        .map(|reply| expected(reply, command.shape()).map_err(|problem| (here(reply), problem)))
        .transpose()?;
    Ok(Action::Do(command, expected))
}

/// What stands before and after the arrow.
fn split_reply(said: &str) -> Option<(&str, &str)> {
    said.split_once(" -> ")
        .or_else(|| said.strip_suffix(" ->").map(|said| (said, &said[said.len()..])))
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
                 `irq`, `until` and `reset`",
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
                CommandError::Number { word, expected } => format!("`{}` is no {expected}", excerpt(word)),
                error => error.to_string(),
            };
            Err((column_of(line, wrong.unwrap_or(request)), text))
        }
    }
}

/// An answer to an operation of this shape.
pub(crate) fn expected(text: &str, shape: Shape) -> Result<Expected, String> {
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
        Some(_) => None,
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        None => None,
    }
}
