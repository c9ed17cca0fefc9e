use std::io;
use std::path::PathBuf;

/// Why no blocks are known of a program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// The file can't be read.
    #[error("failed to read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is no program whose blocks are found here.
    #[error("{} has no blocks that can be found: {why}", path.display())]
    Unsuitable {
        /// The file.
        path: PathBuf,
        /// What it is or lacks.
        why: String,
    },
}
