//! What can go wrong while a tree is read, built and tested.

use std::io;
use std::path::{Path, PathBuf};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory can't be read or written.
    #[error("failed to use {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A tool that is needed is not there, or declines.
    #[error("failed to run {0}: {1}")]
    Tool(String, String),
    /// The target is not made from this file.
    #[error(
        "{target} is not made from {file}: name a source file relative to the tree, such as hw/rtc/mc146818rtc.c"
    )]
    NotInTarget {
        /// The file.
        file: String,
        /// The binary.
        target: String,
    },
    /// The tests are not green on the device as it is.
    #[error("the tests of {file} are not green on the unchanged device: {problem}")]
    NotGreen {
        /// The source file of the device.
        file: String,
        /// What the tests said.
        problem: String,
    },
}

impl Error {
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            source,
        }
    }
}
