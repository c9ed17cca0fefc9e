//! What the peer says of itself: [`Greeting`] and [`Version`].

use std::fmt;

use serde::{Deserialize, Serialize};

/// The version of a QEMU, from its greeting or from [`QueryVersion`](crate::commands::QueryVersion).
///
/// Versions compare by their numbers, then by package.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "VersionInfo", into = "VersionInfo")]
#[non_exhaustive]
pub struct Version {
    /// The major number: 11 of 11.1.3.
    pub major: u64,
    /// The minor number: 1 of 11.1.3.
    pub minor: u64,
    /// The micro number: 3 of 11.1.3.
    pub micro: u64,
    /// What the packager added, such as `Debian 1:11.1.3+ds-1`; often empty.
    pub package: String,
}

impl Version {
    /// A version of its numbers; `package` may be empty.
    pub fn new((major, minor, micro): (u64, u64, u64), package: impl Into<String>) -> Self {
        Self {
            major,
            minor,
            micro,
            package: package.into(),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)?;
        if self.package.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.package)
        }
    }
}

/// `VersionInfo` of the QAPI schema.
#[derive(Serialize, Deserialize)]
struct VersionInfo {
    qemu: VersionTriple,
    #[serde(default)]
    package: String,
}

#[derive(Serialize, Deserialize)]
struct VersionTriple {
    major: u64,
    minor: u64,
    micro: u64,
}

impl From<VersionInfo> for Version {
    fn from(info: VersionInfo) -> Self {
        let VersionTriple {
            major,
            minor,
            micro,
        } = info.qemu;
        Self {
            major,
            minor,
            micro,
            package: info.package,
        }
    }
}

impl From<Version> for VersionInfo {
    fn from(version: Version) -> Self {
        let Version {
            major,
            minor,
            micro,
            package,
        } = version;
        Self {
            qemu: VersionTriple {
                major,
                minor,
                micro,
            },
            package,
        }
    }
}

/// The first message on a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Greeting {
    /// The version of the peer.
    pub version: Version,
    /// What the peer offers to negotiate, such as `oob`. This crate enables none.
    #[serde(default)]
    pub capabilities: Vec<String>,
}
