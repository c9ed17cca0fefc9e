//! Target architectures: [`Arch`], named as QEMU names its `qemu-system-…` binaries.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a virtual machine's CPU is: one `qemu-system-…` binary each.
///
/// `Display` and [`FromStr`] use QEMU's target names (`x86_64`, `aarch64`, …).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Arch {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 32-bit x86.
    I386,
    /// 64-bit Arm.
    Aarch64,
    /// 32-bit Arm.
    Arm,
    /// 64-bit RISC-V.
    Riscv64,
    /// 64-bit PowerPC.
    Ppc64,
    /// 32-bit PowerPC.
    Ppc,
    /// z/Architecture.
    S390x,
    /// 32-bit SPARC.
    Sparc,
    /// 64-bit SPARC.
    Sparc64,
}

impl Arch {
    /// Every architecture, the default one (`x86_64`) first.
    pub const ALL: [Self; 10] = [
        Self::X86_64,
        Self::I386,
        Self::Aarch64,
        Self::Arm,
        Self::Riscv64,
        Self::Ppc64,
        Self::Ppc,
        Self::S390x,
        Self::Sparc,
        Self::Sparc64,
    ];

    /// QEMU's target name, as in `qemu-system-NAME` and as `query-target` answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::I386 => "i386",
            Self::Aarch64 => "aarch64",
            Self::Arm => "arm",
            Self::Riscv64 => "riscv64",
            Self::Ppc64 => "ppc64",
            Self::Ppc => "ppc",
            Self::S390x => "s390x",
            Self::Sparc => "sparc",
            Self::Sparc64 => "sparc64",
        }
    }

    /// The file name of the QEMU that emulates it: `qemu-system-x86_64`.
    pub fn binary_name(self) -> String {
        format!("qemu-system-{self}")
    }

    /// The environment variable that names a binary for it: `TESTJIG_QEMU_X86_64`.
    pub fn variable(self) -> String {
        format!("TESTJIG_QEMU_{}", self.name().to_ascii_uppercase())
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Arch {
    type Err = UnknownArch;

    fn from_str(name: &str) -> Result<Self, UnknownArch> {
        Self::ALL
            .into_iter()
            .find(|arch| arch.name() == name)
            .ok_or_else(|| UnknownArch(name.to_owned()))
    }
}

/// A name that is not an architecture testjig knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownArch(String);

impl fmt::Display for UnknownArch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Arch::ALL.map(Arch::name).join(", ");
        write!(f, "unknown architecture {:?}; known are {known}", self.0)
    }
}

impl std::error::Error for UnknownArch {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_in_text_and_in_json() {
        for arch in Arch::ALL {
            assert_eq!(arch.to_string().parse(), Ok(arch));
            let json = serde_json::to_string(&arch).expect("a unit variant");
            assert_eq!(json, format!("\"{arch}\""));
            assert_eq!(
                serde_json::from_str::<Arch>(&json).expect("our own text"),
                arch
            );
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = "x86-64"
            .parse::<Arch>()
            .expect_err("a hyphen, not an underscore");
        assert!(error.to_string().contains("\"x86-64\""), "{error}");
        assert!(error.to_string().contains("x86_64, i386"), "{error}");
    }

    #[test]
    fn the_variable_is_in_capitals() {
        assert_eq!(Arch::X86_64.variable(), "TESTJIG_QEMU_X86_64");
    }
}
