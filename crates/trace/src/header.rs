//! [`Header`]: what a session runs on, and what it is about.

use std::fmt;
use std::str::FromStr;

use testjig_vm::{Arch, Version};

/// Everything before the operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// One line: device and what was wrong with it.
    pub title: String,
    /// Names by which the bug is known: `CVE-2015-3456`.
    pub ids: Vec<String>,
    /// Where that can be read.
    pub sources: Vec<String>,
    /// The versions of QEMU that have the bug, as far as is known.
    pub affected: Vec<VersionRange>,
    /// The first version without it, if that is known.
    pub fixed: Option<VersionNumber>,
    /// The architecture of the machine.
    pub arch: Arch,
    /// The machine, as in `-machine`.
    pub machine: String,
    /// Properties of the machine: `("usb", "off")`.
    pub machine_options: Vec<(String, String)>,
    /// Bytes of RAM; the machine's usual size if absent.
    pub memory: Option<u64>,
    /// Whether the machine has the devices that it gets if nothing is said of them.
    pub default_devices: bool,
    /// Drives, each with an image of its own that is gone with the machine.
    pub disks: Vec<Disk>,
    /// More words of QEMU's command line.
    pub args: Vec<String>,
    /// What the binary must have besides machine and devices.
    pub requires: Vec<Requirement>,
    /// How the session should end.
    pub expect: Expect,
    /// Text that a machine without the bug writes to its standard error.
    pub says: Vec<String>,
    /// Where the bug shows.
    pub detect: Detect,
    /// How the bug was seen to be found by this file.
    pub red: Option<Red>,
    /// Free text, a line each.
    pub notes: Vec<String>,
}

impl Header {
    /// A session on this machine, of which nothing else is said: it is to survive.
    pub fn new(arch: Arch, machine: impl Into<String>) -> Self {
        Self {
            title: String::new(),
            ids: Vec::new(),
            sources: Vec::new(),
            affected: Vec::new(),
            fixed: None,
            arch,
            machine: machine.into(),
            machine_options: Vec::new(),
            memory: None,
            default_devices: false,
            disks: Vec::new(),
            args: Vec::new(),
            requires: Vec::new(),
            expect: Expect::Survive,
            says: Vec::new(),
            detect: Detect::Stock,
            red: None,
            notes: Vec::new(),
        }
    }

    /// The values of an option that may be there more than once: `-device`.
    pub fn values<'a>(&'a self, option: &'a str) -> impl Iterator<Item = &'a str> {
        self.args
            .windows(2)
            .filter(move |pair| pair[0] == option)
            .map(|pair| pair[1].as_str())
    }

    /// Whether this version is documented to have the bug.
    pub fn affects(&self, version: &Version) -> bool {
        let version = VersionNumber::from(version);
        self.affected.iter().any(|range| range.contains(version))
    }
}

/// A drive of the session's machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// What devices call it.
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
    /// Where it hangs; on no interface unless said.
    pub interface: DiskInterface,
    /// Whether the guest may only read.
    pub read_only: bool,
    /// Whether what the guest discards becomes a hole.
    pub discard: bool,
    /// Which connector of its interface, counted from 0; the next one if absent.
    pub index: Option<u32>,
    /// What its first bytes are, where they are not zero.
    pub content: Vec<u8>,
}

/// Where a drive hangs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskInterface {
    /// Nowhere: a device names it.
    #[default]
    None,
    /// The machine's IDE controller.
    Ide,
    /// A CD-ROM at the machine's IDE controller.
    IdeCd,
    /// The machine's floppy controller.
    Floppy,
    /// The machine's SCSI controller.
    Scsi,
    /// The machine's SD slot.
    Sd,
    /// The machine's memory technology device.
    Mtd,
    /// The machine's parallel flash.
    Pflash,
}

impl DiskInterface {
    pub(crate) const ALL: [(&'static str, Self); 8] = [
        ("none", Self::None),
        ("ide", Self::Ide),
        ("ide-cd", Self::IdeCd),
        ("floppy", Self::Floppy),
        ("scsi", Self::Scsi),
        ("sd", Self::Sd),
        ("mtd", Self::Mtd),
        ("pflash", Self::Pflash),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == self)
            .map_or("none", |(name, _)| name)
    }
}

/// What a binary must have for the session to say anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// A type of device that the machine does not name.
    Device(String),
    /// A type of object.
    Object(String),
    /// A virtual clock that moves when it is told to.
    Clock,
    /// Time that passes by itself.
    Running,
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(name) => write!(f, "device {name}"),
            Self::Object(name) => write!(f, "object {name}"),
            Self::Clock => f.write_str("clock"),
            Self::Running => f.write_str("running"),
        }
    }
}

/// How a session should end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The machine lives and answers; replies that the file has are given.
    Survive,
    /// The machine crashes, with this signature if it is not empty.
    Crash(String),
    /// As `Survive`; the replies are what the file is about.
    Reply,
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Survive => f.write_str("survive"),
            Self::Reply => f.write_str("reply"),
            Self::Crash(signature) if signature.is_empty() => f.write_str("crash"),
            Self::Crash(signature) => write!(f, "crash({signature})"),
        }
    }
}

/// Where a bug shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detect {
    /// In any build.
    Stock,
    /// In a build with the address sanitizer; a stock one may survive it.
    Asan,
}

/// Whether the file was seen to find its bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Red {
    /// On this QEMU, as it is packaged.
    Shown(String),
    /// On this QEMU, built with what mends the bug taken out of its source: what, and what came of it.
    Undone(String),
    /// It never was.
    NotDemonstrated,
}

/// A version of QEMU: 8.1.0 is written 8.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionNumber(pub u64, pub u64, pub u64);

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)?;
        if self.2 != 0 {
            write!(f, ".{}", self.2)?;
        }
        Ok(())
    }
}

impl From<&Version> for VersionNumber {
    fn from(version: &Version) -> Self {
        Self(version.major, version.minor, version.micro)
    }
}

impl FromStr for VersionNumber {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a version is two or three numbers: 8.1 or 8.1.3";
        let mut numbers = [0; 3];
        let mut count = 0;
        for part in text.split('.') {
            let slot = numbers.get_mut(count).ok_or(WRONG)?;
            if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(WRONG);
            }
            *slot = part.parse().map_err(|_| WRONG)?;
            count += 1;
        }
        let [major, minor, micro] = numbers;
        if count < 2 {
            return Err(WRONG);
        }
        Ok(Self(major, minor, micro))
    }
}

/// Versions from one on (all if absent) up to another, which is not among them (no end if absent).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// The first.
    pub from: Option<VersionNumber>,
    /// The first after them.
    pub before: Option<VersionNumber>,
}

impl VersionRange {
    /// Whether a version is among them.
    pub fn contains(&self, version: VersionNumber) -> bool {
        self.from.is_none_or(|from| from <= version)
            && self.before.is_none_or(|before| version < before)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(from) = self.from {
            write!(f, "{from}")?;
        }
        f.write_str("..")?;
        if let Some(before) = self.before {
            write!(f, "{before}")?;
        }
        Ok(())
    }
}

impl FromStr for VersionRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (from, before) = text
            .split_once("..")
            .ok_or("versions are written 7.0..8.1 (8.1 is not among them), ..8.1 or 8.1..")?;
        let end = |text: &str| -> Result<Option<VersionNumber>, Self::Err> {
            if text.is_empty() {
                Ok(None)
            } else {
                text.parse().map(Some)
            }
        };
        Ok(Self {
            from: end(from)?,
            before: end(before)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_versions_ends_before_its_end() {
        let range: VersionRange = "7.0..8.1".parse().unwrap();
        for (version, is_in) in [
            (VersionNumber(6, 2, 9), false),
            (VersionNumber(7, 0, 0), true),
            (VersionNumber(8, 0, 5), true),
            (VersionNumber(8, 1, 0), false),
        ] {
            assert_eq!(range.contains(version), is_in, "{version}");
        }
        assert!(
            "..".parse::<VersionRange>()
                .unwrap()
                .contains(VersionNumber(0, 0, 0))
        );
        for wrong in ["8", "8.1", "8.1..x", "8...9", "8.1.2.3..", "..+8.1"] {
            assert!(wrong.parse::<VersionRange>().is_err(), "{wrong}");
        }
    }
}
