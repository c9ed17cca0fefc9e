//! From a [`Trace`] to text.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::Path;

use testjig_qtest::{Command, Reply};

use crate::error::FileError;
use crate::header::{Detect, Expect, Header, Red};
use crate::parse::{MAGIC, MAGIC_2};
use crate::session::{Action, Expected, Step, Trace};

impl fmt::Display for Trace {
    /// The file, which reads back as this value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No later a version than needed: so many programs as can read it.
        let is_version_2 = self.steps.iter().any(|step| step.action.is_of_version_2());
        writeln!(f, "{}", if is_version_2 { MAGIC_2 } else { MAGIC })?;
        write!(f, "{}", self.header)?;
        writeln!(f)?;
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        Ok(())
    }
}

impl Trace {
    /// Writes a file: whole, or not at all.
    ///
    /// # Errors
    /// Those of the system.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let write = || {
            let mut file = std::io::BufWriter::new(fs::File::create(&part)?);
            write!(file, "{self}")?;
            file.into_inner()?.sync_all()?;
            fs::rename(&part, path)
        };
        write().map_err(|error| {
            // Half a file is of no use.
            let _ = fs::remove_file(&part);
            FileError::io(path, error)
        })
    }
}

/// Text that stays on its line.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.trim();
        if !text.chars().any(char::is_control) {
            return f.write_str(text);
        }
        for character in text.chars() {
            let shown = if character.is_control() {
                ' '
            } else {
                character
            };
            write!(f, "{shown}")?;
        }
        Ok(())
    }
}

/// Bytes, in the largest unit that holds them.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(30, "G"), (20, "M"), (10, "K")] {
            if self.0 != 0 && self.0 % (1 << shift) == 0 {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = |f: &mut fmt::Formatter<'_>, name: &str, values: &[String]| {
            values
                .iter()
                .try_for_each(|value| writeln!(f, "{name}: {}", Plain(value)))
        };
        if !self.title.trim().is_empty() {
            writeln!(f, "title: {}", Plain(&self.title))?;
        }
        all(f, "id", &self.ids)?;
        all(f, "source", &self.sources)?;
        if !self.affected.is_empty() {
            let ranges: Vec<String> = self.affected.iter().map(ToString::to_string).collect();
            writeln!(f, "affected: {}", ranges.join(", "))?;
        }
        if let Some(fixed) = self.fixed {
            writeln!(f, "fixed: {fixed}")?;
        }
        writeln!(f, "arch: {}", self.arch)?;
        write!(f, "machine: {}", Plain(&self.machine))?;
        for (name, value) in &self.machine_options {
            write!(f, ",{}={}", Plain(name), Plain(value))?;
        }
        writeln!(f)?;
        if let Some(memory) = self.memory {
            writeln!(f, "memory: {}", Size(memory))?;
        }
        if self.default_devices {
            writeln!(f, "default-devices: yes")?;
        }
        for disk in &self.disks {
            write!(f, "disk: {} {}", disk.id, Size(disk.size))?;
            if disk.interface != super::DiskInterface::None {
                write!(f, " if={}", disk.interface.name())?;
            }
            if let Some(index) = disk.index {
                write!(f, " index={index}")?;
            }
            if disk.read_only {
                f.write_str(" ro")?;
            }
            if disk.discard {
                f.write_str(" discard")?;
            }
            if !disk.content.is_empty() {
                write!(f, " content=0x{}", const_hex::encode(&disk.content))?;
            }
            writeln!(f)?;
        }
        print_args(&self.args, f)?;
        for requirement in &self.requires {
            writeln!(f, "requires: {requirement}")?;
        }
        if self.expect != Expect::Survive {
            writeln!(f, "expect: {}", Plain(&self.expect.to_string()))?;
        }
        all(f, "says", &self.says)?;
        if self.detect == Detect::Asan {
            writeln!(f, "detect: asan")?;
        }
        match &self.red {
            None => {}
            Some(Red::Shown(place)) => writeln!(f, "red: shown on {}", Plain(place))?,
            Some(Red::Undone(place)) => {
                writeln!(f, "red: shown with the fix undone, {}", Plain(place))?;
            }
            Some(Red::NotDemonstrated) => writeln!(f, "red: not demonstrated")?,
        }
        all(f, "note", &self.notes)
    }
}

/// A line for each option with what belongs to it.
fn print_args(args: &[String], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut begun = false;
    for word in args {
        let plain = Plain(word).to_string();
        // Fails on a zero byte, which is a control character and gone.
        let quoted = shlex::try_quote(&plain).unwrap_or_default();
        if begun && !word.starts_with('-') {
            write!(f, " {quoted}")?;
        } else {
            if begun {
                writeln!(f)?;
            }
            write!(f, "args: {quoted}")?;
        }
        begun = true;
    }
    if begun { writeln!(f) } else { Ok(()) }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        match &self.comment {
            None => Ok(()),
            Some(comment) if self.action == Action::Nothing => write!(f, "# {}", Plain(comment)),
            Some(comment) => write!(f, "  # {}", Plain(comment)),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Reset => f.write_str("reset"),
            Self::Settle => f.write_str("settle"),
            Self::Plug(device) => write!(f, "plug {device}"),
            Self::Unplug(id) => write!(f, "unplug {id}"),
            Self::Edge { line, level } => {
                write!(f, "irq {} {line}", if *level { "raise" } else { "lower" })
            }
            Self::Image { disk, offset, data } => write!(
                f,
                "image {disk} {offset:#x} {:#x} 0x{}",
                data.bytes().len(),
                const_hex::encode(data.bytes())
            ),
            Self::Do(command, None) => f.write_str(&wire(command)),
            Self::Do(command, Some(expected)) => write!(f, "{} -> {expected}", wire(command)),
            Self::Until(command, expected) => write!(f, "until {} -> {expected}", wire(command)),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.reply, self.mask) {
            (Reply::Done, _) => f.write_str("ok"),
            (Reply::Value(value), None) => write!(f, "{value:#x}"),
            (Reply::Value(value), Some(mask)) => write!(f, "{value:#x} & {mask:#x}"),
            (Reply::Bytes(bytes), _) => write!(f, "0x{}", const_hex::encode(bytes)),
            (Reply::Nanos(time), _) => write!(f, "{}", time.get()),
            (Reply::Endianness(order), _) => write!(f, "{order}"),
            (Reply::Text(text), _) if text.is_empty() => f.write_str("ok"),
            (Reply::Text(text), _) => write!(f, "ok {text}"),
            // A comment would begin in it.
            (Reply::Failed(failure), _) if failure.reason.contains('#') => {
                let word = failure.to_string();
                f.write_str(word.split(' ').next().unwrap_or_default())
            }
            (reply, _) => write!(f, "{reply}"),
        }
    }
}

/// A request as it travels.
pub(crate) fn wire(command: &Command) -> String {
    let mut line = Vec::with_capacity(64);
    command.encode(&mut line);
    line.pop();
    String::from_utf8_lossy(&line).into_owned()
}
