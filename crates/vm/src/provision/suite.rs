//! [`Suite`]: which Debian a QEMU comes from, and what its packages are called there.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Arch;

/// A suite of the Debian archive: `sid`, `testing`, `bookworm`, `bookworm-backports`,
/// `stable-backports`, …
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Suite(String);

impl Suite {
    /// Checks a name: lower-case letters, digits, dots and hyphens, beginning with a letter.
    /// `unstable` is taken for `sid`, its code name for ever.
    ///
    /// # Errors
    /// If it is not of that form. Whether the archive has it shows when it is asked.
    pub fn new(name: &str) -> Result<Self, InvalidSuite> {
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
        let valid = name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(plain)
            && name.len() <= 64;
        match name {
            "unstable" => Ok(Self::sid()),
            _ if valid => Ok(Self(name.to_owned())),
            _ => Err(InvalidSuite(name.to_owned())),
        }
    }

    /// Debian unstable, the newest QEMU there is.
    pub fn sid() -> Self {
        Self("sid".to_owned())
    }

    /// What to take, in order, if the user did not say: QEMU there has the qtest accelerator, as
    /// far as is known. Each is called by the name of its role, which does not age.
    pub(crate) fn defaults() -> [Self; 3] {
        ["sid", "testing", "stable-backports"].map(|name| Self(name.to_owned()))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The suite that a backports suite adds to.
    pub(super) fn base(&self) -> Option<&str> {
        self.0
            .strip_suffix("-backports")
            .or_else(|| self.0.strip_suffix("-backports-sloppy"))
    }

    /// The suites to give to apt.
    pub(super) fn with_base(&self) -> String {
        match self.base() {
            Some(base) => format!("{base} {self}"),
            None => self.to_string(),
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Suite {
    type Err = InvalidSuite;

    fn from_str(name: &str) -> Result<Self, InvalidSuite> {
        Self::new(name)
    }
}

impl TryFrom<String> for Suite {
    type Error = InvalidSuite;

    fn try_from(name: String) -> Result<Self, InvalidSuite> {
        Self::new(&name)
    }
}

impl From<Suite> for String {
    fn from(suite: Suite) -> Self {
        suite.0
    }
}

/// A name that no suite can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSuite(String);

impl fmt::Display for InvalidSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not the name of a Debian suite; some that are: sid, testing, stable-backports, bookworm",
            self.0
        )
    }
}

impl std::error::Error for InvalidSuite {}

/// The packages that may hold the QEMU of an architecture, the better guess first: 7.2 had RISC-V
/// and s390x among the miscellaneous ones, later versions gave them packages of their own.
pub(super) fn packages(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::X86_64 | Arch::I386 => &["qemu-system-x86"],
        Arch::Aarch64 | Arch::Arm => &["qemu-system-arm"],
        Arch::Riscv64 => &["qemu-system-riscv", "qemu-system-misc"],
        Arch::Ppc64 | Arch::Ppc => &["qemu-system-ppc"],
        Arch::S390x => &["qemu-system-s390x", "qemu-system-misc"],
        Arch::Sparc | Arch::Sparc64 => &["qemu-system-sparc"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unstable_and_sid_are_one() {
        assert_eq!(Suite::new("unstable"), Ok(Suite::sid()));
    }

    #[test]
    fn a_backports_suite_comes_with_the_suite_it_adds_to() {
        let suites = |name| Suite::new(name).expect("a good name").with_base();
        assert_eq!(suites("bookworm-backports"), "bookworm bookworm-backports");
        assert_eq!(suites("sid"), "sid");
    }

    #[test]
    fn a_name_that_is_a_path_or_an_option_is_refused() {
        for name in [
            "",
            "..",
            "../x",
            "-t",
            "a b",
            "Sid",
            "stable/updates",
            "a\nb",
        ] {
            assert_eq!(Suite::new(name), Err(InvalidSuite(name.to_owned())));
        }
        assert!(serde_json::from_str::<Suite>("\"../..\"").is_err());
    }
}
