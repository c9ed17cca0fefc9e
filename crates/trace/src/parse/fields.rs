//! The header: a [`Draft`] takes it line by line.

use testjig_vm::Arch;

use super::steps::bytes_of;
use super::{MOST_WORDS, Problem, column, column_of};
use crate::error::excerpt;
use crate::header::{Detect, Disk, DiskInterface, Expect, Header, Red, Requirement};

/// A header of which architecture and machine may not be known yet.
pub(super) struct Draft {
    pub(super) lines: usize,
    pub(super) arch: Option<Arch>,
    pub(super) machine: Option<String>,
    seen: Vec<String>,
    pub(super) header: Header,
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

impl Draft {
    pub(super) fn line(&mut self, line: &str) -> Result<(), Problem> {
        if line.starts_with('#') {
            return Err((
                1,
                "comments come with the operations; in the header, write `note: …`".into(),
            ));
        }
        let (key, value) = line.split_once(':').ok_or_else(|| {
            (
                1,
                "a line of the header is `name: value`; the first blank line ends the header"
                    .to_owned(),
            )
        })?;
        let value = value.trim();
        let at = |problem: String| (column_of(line, value), problem);
        if !FIELDS.contains(&key) {
            return Err((
                1,
                format!(
                    "no line of the header is called `{}`; there are {}",
                    excerpt(key),
                    FIELDS.join(", ")
                ),
            ));
        }
        if ONCE.contains(&key) {
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
        self.set(key, value).map_err(at)
    }

    /// Sets what a line is about.
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let header = &mut self.header;
        match key {
            "title" => value.clone_into(&mut header.title),
            "id" => header.ids.push(value.to_owned()),
            "source" => header.sources.push(value.to_owned()),
            "note" => header.notes.push(value.to_owned()),
            "says" => header.says.push(value.to_owned()),
            "affected" => {
                for range in value.split(',') {
                    header.affected.push(range.trim().parse()?);
                }
            }
            "fixed" => header.fixed = Some(value.parse()?),
            "arch" => self.arch = Some(arch(value)?),
            "machine" => {
                let (name, options) = machine(value)?;
                self.machine = Some(name);
                header.machine_options = options;
            }
            "memory" => header.memory = Some(size(value)?),
            "default-devices" => header.default_devices = yes(value)?,
            "disk" => header.disks.push(disk(value)?),
            "args" => {
                let words = shlex::split(value)
                    .ok_or("a quotation that does not end, or a backslash before nothing")?;
                header.args.extend(words);
                if header.args.len() > MOST_WORDS {
                    return Err("the command line has more than 1,000 words".into());
                }
            }
            "requires" => header.requires.push(requirement(value)?),
            "expect" => header.expect = expect(value)?,
            "detect" => header.detect = detect(value)?,
            "red" => header.red = Some(red(value)?),
            _ => {}
        }
        Ok(())
    }
}

/// All lines that there are.
const FIELDS: [&str; 17] = [
    "title",
    "id",
    "source",
    "affected",
    "fixed",
    "arch",
    "machine",
    "memory",
    "default-devices",
    "disk",
    "args",
    "requires",
    "expect",
    "says",
    "detect",
    "red",
    "note",
];

/// Those that may be there once.
const ONCE: [&str; 9] = [
    "title",
    "arch",
    "machine",
    "memory",
    "default-devices",
    "fixed",
    "expect",
    "detect",
    "red",
];

fn arch(value: &str) -> Result<Arch, String> {
    value.parse().map_err(|_| {
        let known: Vec<&str> = Arch::ALL.iter().map(|arch| arch.name()).collect();
        format!(
            "no architecture `{}`; there are {}",
            excerpt(value),
            known.join(", ")
        )
    })
}

/// A name, and properties.
fn machine(value: &str) -> Result<(String, Vec<(String, String)>), String> {
    let mut parts = value.split(',');
    let name = parts.next().unwrap_or_default().to_owned();
    let options = parts.map(|part| {
        let (name, value) = part.split_once('=').ok_or_else(|| {
            format!(
                "`{}` is no property of a machine: `name=value`",
                excerpt(part)
            )
        })?;
        Ok((name.to_owned(), value.to_owned()))
    });
    Ok((name, options.collect::<Result<_, String>>()?))
}

fn detect(value: &str) -> Result<Detect, String> {
    match value {
        "stock" => Ok(Detect::Stock),
        "asan" => Ok(Detect::Asan),
        _ => Err("a bug is detected by `stock` or by `asan`".into()),
    }
}

fn red(value: &str) -> Result<Red, String> {
    let text = |rest: &str| rest.trim().to_owned();
    if let Some(place) = value.strip_prefix("shown on ") {
        Ok(Red::Shown(text(place)))
    } else if let Some(place) = value.strip_prefix("shown with the fix undone, ") {
        Ok(Red::Undone(text(place)))
    } else if value == "not demonstrated" {
        Ok(Red::NotDemonstrated)
    } else {
        Err(
            "`red: shown on …`, `red: shown with the fix undone, …` or `red: not demonstrated`"
                .into(),
        )
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
    let wrong = || {
        format!(
            "`{}` is no size: bytes, or a number with K, M or G",
            excerpt(text)
        )
    };
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
    /// Images are sparse; a disk has no more than the sectors of 512 bytes that 48 bits count.
    const LARGEST: u64 = 1 << 57;
    let mut words = value.split_whitespace();
    let (Some(id), Some(bytes)) = (words.next(), words.next()) else {
        return Err(
            "a disk is `NAME SIZE`, and then `if=…`, `index=…`, `ro`, `discard`, `content=0x…`"
                .into(),
        );
    };
    let mut disk = Disk {
        id: id.to_owned(),
        size: size(bytes)?,
        interface: DiskInterface::None,
        read_only: false,
        discard: false,
        index: None,
        content: Vec::new(),
    };
    if disk.size == 0 || disk.size > LARGEST {
        return Err("a disk has 1 byte to 134217728G".into());
    }
    for word in words {
        match word.split_once('=') {
            None if word == "ro" => disk.read_only = true,
            None if word == "discard" => disk.discard = true,
            Some(("index", number)) => {
                disk.index = Some(
                    number
                        .parse()
                        .ok()
                        .filter(|index| *index < 64)
                        .ok_or("a connector is numbered from 0 to 63")?,
                );
            }
            Some(("if", name)) => {
                let known = DiskInterface::ALL.iter().find(|(known, _)| *known == name);
                disk.interface = known
                    .ok_or_else(|| {
                        let names: Vec<&str> =
                            DiskInterface::ALL.iter().map(|(name, _)| *name).collect();
                        format!(
                            "no interface `{}`; there are {}",
                            excerpt(name),
                            names.join(", ")
                        )
                    })?
                    .1;
            }
            Some(("content", hex)) => {
                disk.content = bytes_of(hex).ok_or("the content is `0x` and two digits a byte")?;
            }
            _ => {
                return Err(format!(
                    "`{}` says nothing of a disk: `if=…`, `index=…`, `ro`, `discard`, `content=0x…`",
                    excerpt(word)
                ));
            }
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
