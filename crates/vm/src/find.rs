//! Which QEMU a run uses.

mod error;

pub use error::{FindError, FindErrorKind};
