//! Where runs record what did not pass.

use std::env;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// A directory for this run's records, in the build directory. It is not made until there is something to record.
pub fn directory() -> PathBuf {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    build_directory().join(format!("testjig/run-{seconds}-{}", std::process::id()))
}

/// The directory that Cargo builds into, or `target` where there is none.
pub fn build_directory() -> PathBuf {
    if let Some(directory) =
        env::var_os("CARGO_TARGET_DIR").filter(|directory| !directory.is_empty())
    {
        return directory.into();
    }
    // Cargo marks its build directory for backup programs; the binary that runs is somewhere below.
    let program = env::current_exe().unwrap_or_default();
    program
        .ancestors()
        .find(|directory| directory.join("CACHEDIR.TAG").exists())
        .map_or_else(|| PathBuf::from("target"), PathBuf::from)
}
